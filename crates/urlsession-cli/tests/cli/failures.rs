//! Exit codes, and what is said on standard error.

use urlsession_testkit::{Origin, Reply, Wire, is_wine};

use crate::support::*;

fn fails(run: &Run, code: i32) {
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("urlsession: "), "{}", run.stderr);
    assert!(lines[0].contains(&format!("({code})")), "{}", run.stderr);
}

#[test]
fn any_response_is_a_success() {
    let origin = Origin::start(Wire::H1);
    for path in ["/404", "/500", "/nothing-here"] {
        let run = get(&[&origin.url(path)]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{path}");
    }
}

#[test]
fn a_refused_connection_is_a_failure_with_its_code() {
    let origin = Origin::start(Wire::H1);
    fails(&get(&[&format!("http://127.0.0.1:{}/", origin.closed_port())]), -1004);
}

#[test]
fn an_unknown_host_is_a_failure_with_its_code() {
    fails(&get(&["https://nowhere.invalid/"]), -1003);
}

#[test]
fn a_malformed_url_is_a_failure_and_not_a_usage_error() {
    for url in ["http://[bad", "https://a b/", ""] {
        fails(&get(&[url]), -1000);
    }
    fails(&get(&["gopher://example.com/"]), -1002);
}

#[test]
fn a_failure_names_the_option_that_avoids_it() {
    let run = get(&["http://192.0.2.1/"]);
    fails(&run, -1022);
    assert!(run.stderr.contains("--allow-cleartext"), "{}", run.stderr);
    if !is_wine() {
        let run = get(&[&Origin::start(Wire::TlsH1).url("/UK")]);
        fails(&run, -1203);
        assert!(run.stderr.contains("--cacert"), "{}", run.stderr);
    }
}

#[test]
fn an_untrusted_certificate_is_a_failure_until_it_is_trusted() {
    let origin = Origin::start(Wire::TlsH2);
    // Wine says of a chain that ends before a root only that its revocation could not be checked.
    fails(&get(&[&origin.url("/UK")]), if is_wine() { -1202 } else { -1203 });
    assert_eq!(get(&["--cacert", &authority(&origin), &origin.url("/UK")]).ok(), "London");
    let missing = get(&["--cacert", "/does/not/exist.pem", &origin.url("/UK")]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("cannot read /does/not/exist.pem"), "{}", missing.stderr);
}

/// On Unix the platform's own store can be another for one process.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn an_authority_of_the_platform_is_trusted() {
    let origin = Origin::start(Wire::TlsH1);
    let mut trusting = command(&["get", &origin.url("/UK")]);
    trusting.env("SSL_CERT_FILE", authority(&origin)).env_remove("SSL_CERT_DIR");
    assert_eq!(run(&mut trusting).ok(), "London");
}

#[test]
fn a_load_that_takes_too_long_fails() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/never", Reply::stall());
    fails(&get(&["--max-time", "0.05", &origin.url("/never")]), -1001);
    assert_eq!(get(&["--max-time", "0", &origin.url("/UK")]).ok(), "London");
}

#[test]
fn silence_hides_the_message_and_not_the_code() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["-s", &format!("http://127.0.0.1:{}/", origin.closed_port())]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
}

#[test]
fn a_command_line_that_cannot_be_meant_is_a_usage_error() {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/");
    for args in [
        &["-H", "no colon", &url][..],
        &["-H", "two words: x", &url],
        &["-H", "X: a\r\nY: b", &url],
        &["-H", ": x", &url],
        &["-u", "me:pw\n", "-H", "\u{e4}: x", &url],
        &["-X", "G T", &url],
        &["--max-time", "soon", &url],
        &["--max-time", "-1", &url],
        &["--http1.1", "--http2", &url],
        &["-I", "-d", "x", &url],
        &["-o", "a", "-O", &url],
        &["--no-such-flag", &url],
        &[&url, &url],
        &[],
    ] {
        let run = get(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(run(&mut command(&["put", &url])).code, Some(2));
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn data_that_cannot_be_read_is_a_failure() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["-d", "@/does/not/exist", &origin.url("/echo")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("/does/not/exist"), "{}", run.stderr);
    assert_eq!(origin.connection_count(), 0);
}
