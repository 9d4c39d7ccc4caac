//! `urlsession download`: a file that is whole or not there, and an interrupted one that goes on.

use std::fs;
use std::io::{BufRead, BufReader};

use urlsession_testkit::{Gate, Origin, Reply, Wire, pattern};

use crate::support::*;

/// The SHA-256 digest of the four letters.
const ROME: &str = "d0d22019186582c6a842762ec016c71601d45dae437ec65a75799d86c8f392c0";

#[test]
fn a_file_is_named_by_the_response_in_the_current_directory_and_its_path_is_told() {
    let origin = Origin::start(Wire::H1);
    let disposition = "attachment; filename=\"../a b.txt\"";
    origin.enqueue("/x", Reply::new(200).header("Content-Disposition", disposition).body("A"));
    let directory = directory();
    assert_eq!(download_in(&directory, &[&origin.url("/country.txt")]).ok(), "country.txt\n");
    let name = download_in(&directory, &[&origin.url("/x")]).ok().trim_end().to_owned();
    assert!(!name.contains('/') && fs::read(directory.join(&name)).unwrap() == b"A", "{name}");
    assert_eq!(names(&directory).len(), 2);
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_to_be_overwritten() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    fs::write(directory.join("out"), "older").unwrap();
    let run = download_in(&directory, &["-o", "out", &origin.url("/Italy")]);
    assert_eq!((run.code, run.text()), (Some(1), ""));
    assert!(run.stderr.contains("out is there already"), "{}", run.stderr);
    assert!(run.stderr.contains("--overwrite"), "{}", run.stderr);
    assert_eq!(fs::read(directory.join("out")).unwrap(), b"older");
    assert_eq!(download_in(&directory, &["-o", "out", "--overwrite", &origin.url("/Italy")]).ok(), "out\n");
    assert_eq!(fs::read(directory.join("out")).unwrap(), b"Rome");
}

#[test]
fn an_error_status_is_a_failure_and_no_file() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    fs::write(directory.join("out"), "older").unwrap();
    for (path, code) in [("/404", "(-1100)"), ("/500", "(-1011)")] {
        let run = download_in(&directory, &["-o", "out", "--overwrite", &origin.url(path)]);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains(code) && run.stderr.contains(&path[1..]), "{}", run.stderr);
    }
    assert_eq!(fs::read(directory.join("out")).unwrap(), b"older");
    assert_eq!(names(&directory), ["out"]);
}

#[test]
fn an_interrupted_download_goes_on_in_the_next_run() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let url = origin.url("/big");
    let whole = |reply: Reply| reply.header("ETag", "\"v1\"").header("Accept-Ranges", "bytes");
    origin.enqueue("/big", whole(Reply::new(200).endless(300_000)).truncate_at(200_000));
    let run = download_in(&directory, &["-o", "big", &url]);
    assert_eq!((run.code, names(&directory).contains(&"big".to_owned())), (Some(1), false));
    assert_eq!(names(&directory).len(), 2, "what is here and what is known of it: {:?}", names(&directory));
    // The server answers whatever is missing.
    let rest =
        Reply::new(206).pattern(200_000, 100_000).header("Content-Range", "bytes 200000-299999/300000");
    origin.enqueue("/big", whole(rest));
    let run = download_in(&directory, &["-v", "-o", "big", &url]);
    run.ok();
    assert!(run.stderr.contains("going on after 200000 bytes"), "{}", run.stderr);
    let requests = origin.requests();
    assert_eq!(requests[1].header("range"), Some("bytes=200000-"));
    assert_eq!(requests[1].header("if-range"), Some("\"v1\""));
    assert!(fs::read(directory.join("big")).unwrap() == pattern(0, 300_000));
    assert_eq!(names(&directory), ["big"]);
}

#[test]
fn a_download_that_is_not_to_be_resumed_leaves_nothing() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let reply = Reply::new(200).header("ETag", "\"v1\"").header("Accept-Ranges", "bytes").endless(300_000);
    origin.enqueue("/big", reply.truncate_at(200_000));
    assert_eq!(download_in(&directory, &["--no-resume", "-o", "big", &origin.url("/big")]).code, Some(1));
    assert!(names(&directory).is_empty(), "{:?}", names(&directory));
}

#[test]
fn a_digest_is_checked_before_the_file_appears() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let usage = download_in(&directory, &["--sha256", &ROME[..40], &origin.url("/Italy")]);
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
    let wrong = "0".repeat(64);
    let run = download_in(&directory, &["-o", "out", "--sha256", &wrong, &origin.url("/Italy")]);
    assert_eq!(run.code, Some(1));
    assert!(!directory.join("out").exists());
    download_in(&directory, &["-o", "out", "--sha256", ROME, &origin.url("/Italy")]).ok();
    assert_eq!(fs::read(directory.join("out")).unwrap(), b"Rome");
}

#[test]
fn how_far_it_is_is_shown_where_it_is_wanted_and_nowhere_else() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let url = origin.url("/bytes/100000");
    assert_eq!(download_in(&directory, &["-o", "a", &url]).stderr, "", "standard error is no terminal");
    assert_eq!(download_in(&directory, &["-o", "b", "--no-progress", &url]).stderr, "");
    let shown = download_in(&directory, &["-o", "c", "--progress", &url]);
    let last = shown.stderr.rsplit('\r').next().unwrap();
    assert!(last.starts_with("100% ████") && last.contains(" 100.0 kB of 100.0 kB"), "{last}");
    assert!(shown.ok().ends_with("c\n"));
    // While it goes on, too.
    let gate = Gate::new();
    origin.enqueue("/slow", Reply::new(200).endless(1000).body_gate(500, gate.clone()));
    let url = origin.url("/slow");
    let arguments = ["download", "--progress", "-o", "d", &url];
    let mut child = begun(|| command(&arguments).current_dir(&directory).spawn());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(" 50% ") {
        assert!(stderr.read_until(b'\r', &mut seen).unwrap() > 0, "{}", String::from_utf8_lossy(&seen));
    }
    gate.release();
    // Read to its end, so that it never waits for us.
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_report_tells_of_downloads_too() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let report = download_in(&directory, &["--json", "-o", "out", &origin.url("/Italy")]).json();
    assert_eq!((&report["status"], &report["error"]), (&200.into(), &serde_json::Value::Null));
    let report = download_in(&directory, &["--json", "-o", "none", &origin.url("/404")]).json();
    assert_eq!((&report["status"], &report["error"]["code"]), (&404.into(), &(-1100).into()));
}
