//! `--har`: a log of the load in a file.

use std::fs;

use serde_json::Value;
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

fn entries(document: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(
        (&document["log"]["version"], &document["log"]["creator"]["name"]),
        (&"1.2".into(), &"urlsession".into())
    );
    document["log"]["entries"].as_array().unwrap().clone()
}

#[test]
fn a_log_has_every_transaction_and_no_secret() {
    for wire in [Wire::H1, Wire::TlsH1, Wire::TlsH2] {
        let origin = Origin::start(wire);
        origin.enqueue("/start", Reply::new(302).header("Location", "/UK").header("Set-Cookie", "id=s3cret"));
        let directory = directory();
        let url = origin.url("/start?q=1").replace("://", "://me:s3cret@");
        let secret = ["-H", "Authorization: s3cret", "-H", "Cookie: s3cret"];
        let root = authority(&origin);
        let args = [&secret[..], &["--har", "log.har", "--cacert", &root, &url]].concat();
        assert_eq!(get_in(&directory, &args).ok(), "London");
        let log = fs::read_to_string(directory.join("log.har")).unwrap();
        assert!(!log.contains("s3cret") && log.contains("[redacted]"), "{log}");
        let statuses: Vec<_> =
            entries(&log).iter().map(|entry| entry["response"]["status"].as_u64()).collect();
        assert_eq!(statuses, [Some(302), Some(200)], "{log}");
    }
}

#[test]
fn a_log_goes_to_standard_output_behind_the_body() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["--har", "-", &origin.url("/UK")]);
    assert_eq!(entries(run.ok().strip_prefix("London").unwrap()).len(), 1);
}

#[test]
fn a_failed_load_is_logged_too() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let url = format!("http://127.0.0.1:{}/", origin.closed_port());
    let run = get_in(&directory, &["--har", "log.har", "--json", &url]);
    assert_eq!((run.code, &run.json()["error"]["code"]), (Some(1), &(-1004).into()));
    let log = entries(&fs::read_to_string(directory.join("log.har")).unwrap());
    assert_eq!(log[0]["response"]["status"], 0);
    assert!(log[0]["_error"].as_str().unwrap().starts_with("NSURLErrorCannotConnectToHost"), "{log:?}");
}

#[test]
fn a_log_that_cannot_be_written_is_a_failure() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["--har", "/does/not/exist", &origin.url("/UK")]);
    assert_eq!((run.code, run.text()), (Some(1), "London"));
    assert!(run.stderr.contains("cannot write the log to /does/not/exist"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_log() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let mode = || fs::metadata(directory.join("log.har")).unwrap().mode() & 0o777;
    get_in(&directory, &["--har", "log.har", &origin.url("/UK")]).ok();
    assert_eq!(mode(), 0o600);
    fs::set_permissions(directory.join("log.har"), fs::Permissions::from_mode(0o644)).unwrap();
    get_in(&directory, &["--har", "log.har", &origin.url("/UK")]).ok();
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_log_has_the_fields_and_the_text_that_were_sent() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let arguments = ["--har", "-", "-o", "body", "-X", "POST", "-d", "a=1", &origin.url("/echo")];
    let run = get_in(&directory, &arguments);
    let entry = &entries(run.ok())[0];
    let names = entry["request"]["headers"].as_array().unwrap().iter();
    let names = names.map(|field| field["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert!(names.iter().any(|name| name == "User-Agent") && names.contains(&"Content-Length".into()));
    assert_eq!(entry["request"]["postData"]["text"], "a=1");
}
