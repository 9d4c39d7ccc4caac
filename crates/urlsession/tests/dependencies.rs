//! What the project depends on: under which licences, from where, and what not.

use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};

const LICENCES: [&str; 7] =
    ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "Unicode-3.0", "Zlib", "CDLA-Permissive-2.0"];

/// TLS is rustls, and the wires are ours and h2's.
const UNWANTED: [&str; 2] = ["openssl", "hyper"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// All packages for all platforms and features, the project's own among them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        other => panic!("no list of packages: {other}"),
    }
}

fn is_allowed(licence: &LicenseReq) -> bool {
    licence.license.id().is_some_and(|id| LICENCES.contains(&id.name))
}

/// What is wrong with a package.
fn faults(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap();
    let mut faults = Vec::new();
    // Without a source it is a member of this workspace.
    if !matches!(package["source"].as_str(), None | Some(CRATES_IO)) {
        faults.push(format!("{name} comes from {}", package["source"]));
    }
    // Some write MIT/Apache-2.0.
    let licence = package["license"].as_str().map(|text| Expression::parse_mode(text, ParseMode::LAX));
    if !licence.is_some_and(|licence| licence.is_ok_and(|it| it.evaluate(is_allowed))) {
        faults.push(format!("{name} has the licence {}", package["license"]));
    }
    if UNWANTED.contains(&name) {
        faults.push(format!("{name} is not to be depended on"));
    }
    let dependencies = package["dependencies"].as_array().unwrap();
    let is_ours = package["source"].is_null();
    for of in dependencies.iter().filter(|of| is_ours && of["req"] == "*" && of["path"].is_null()) {
        faults.push(format!("{name} wants any version of {}", of["name"]));
    }
    faults
}

#[test]
#[ignore = "cargo may have to download what other platforms need"]
fn every_dependency_has_a_licence_and_a_source_that_are_allowed() {
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let faults: Vec<_> = packages.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_licence_a_source_or_a_name_that_is_not_allowed_is_a_fault() {
    let package = |name: &str, source: Value, licence: Value, req: &str| {
        let dependencies = serde_json::json!([{ "name": "other", "req": req, "path": null }]);
        serde_json::json!({
            "name": name, "source": source, "license": licence, "dependencies": dependencies
        })
    };
    let count = |package| faults(&package).len();
    assert_eq!(count(package("a", CRATES_IO.into(), "MIT OR GPL-3.0-only".into(), "*")), 0);
    assert_eq!(count(package("a", CRATES_IO.into(), "(MIT OR Apache-2.0) AND Zlib".into(), "1")), 0);
    assert_eq!(count(package("a", CRATES_IO.into(), "MIT AND GPL-3.0-only".into(), "1")), 1);
    assert_eq!(count(package("a", CRATES_IO.into(), Value::Null, "1")), 1);
    assert_eq!(count(package("a", "git+https://example.com/a".into(), "MIT".into(), "1")), 1);
    assert_eq!(count(package("openssl", CRATES_IO.into(), "MIT".into(), "1")), 1);
    assert_eq!(count(package("ours", Value::Null, "MIT".into(), "*")), 1);
}
