//! Where the body goes, and that it goes there as it comes.

use std::fs;
use std::io::Read;

use urlsession_testkit::{Gate, Origin, Reply, Wire, pattern};

use crate::support::*;

#[test]
fn the_body_goes_to_standard_output_and_nothing_else_does() {
    let origin = Origin::start(Wire::H1);
    let run = get(&[&origin.url("/bytes/100000")]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout == pattern(0, 100_000));
}

#[test]
fn a_coded_body_is_decoded() {
    let origin = Origin::start(Wire::H1);
    assert_eq!(get(&[&origin.url("/gzipped-response")]).ok(), "Hello World!");
}

#[test]
fn the_body_is_passed_on_before_the_rest_of_it_has_come() {
    let origin = Origin::start(Wire::H1);
    let gate = Gate::new();
    origin.enqueue("/slow", Reply::new(200).body("first then").body_gate(5, gate.clone()));
    let mut child = begun(|| command(&["get", &origin.url("/slow")]).spawn());
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 5];
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    gate.release();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " then");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_load_quietly() {
    let origin = Origin::start(Wire::H1);
    let mut child = begun(|| command(&["get", &origin.url("/bytes/1000000000000")]).spawn());
    let mut some = [0; 1000];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    // Its end of the pipe was dropped with the statement above.
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_file_gets_the_body() {
    let origin = Origin::start(Wire::H1);
    let path = directory().join("out");
    fs::write(&path, "an older and longer text").unwrap();
    assert_eq!(get(&["-o", path.to_str().unwrap(), &origin.url("/Italy")]).ok(), "");
    assert_eq!(fs::read(&path).unwrap(), b"Rome");
    assert_eq!(get(&["-o", "-", &origin.url("/Italy")]).ok(), "Rome");
}

#[test]
fn a_partly_written_file_stays() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/half", Reply::new(200).body("all of it").truncate_at(3));
    let path = directory().join("out");
    let run = get(&["-o", path.to_str().unwrap(), &origin.url("/half")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("(-1005)"), "{}", run.stderr);
    assert_eq!(fs::read(&path).unwrap(), b"all");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let origin = Origin::start(Wire::H1);
    let path = directory().join("missing").join("out");
    let run = get(&["-o", path.to_str().unwrap(), &origin.url("/Italy")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("urlsession: cannot create ") && run.stderr.contains("missing"));
    assert_eq!(get(&["-s", "-o", path.to_str().unwrap(), &origin.url("/Italy")]).stderr, "");
    if cfg!(target_os = "linux") {
        let run = get(&["-o", "/dev/full", &origin.url("/Italy")]);
        assert_eq!(run.code, Some(1));
        assert!(run.stderr.starts_with("urlsession: cannot write to /dev/full: "), "{}", run.stderr);
    }
}

#[test]
fn the_response_names_the_file_of_a_remote_name() {
    let origin = Origin::start(Wire::H1);
    origin
        .enqueue("/x", Reply::new(200).header("Content-Disposition", "attachment; filename=a.txt").body("A"));
    let directory = directory();
    get_in(&directory, &["-O", &origin.url("/x")]).ok();
    get_in(&directory, &["-O", &origin.url("/country.txt")]).ok();
    assert_eq!(names(&directory), ["a.txt", "country.txt"]);
    assert_eq!(fs::read(directory.join("a.txt")).unwrap(), b"A");
}

#[test]
fn a_remote_name_never_leaves_the_directory() {
    let origin = Origin::start(Wire::H1);
    let outer = directory();
    let inner = outer.join("inner");
    fs::create_dir(&inner).unwrap();
    let absolute = outer.join("absolute").into_os_string().into_string().unwrap();
    for name in ["../evil", "..", ".", "/evil", "a/../../evil", "..\\evil", "%2e%2e%2fevil", "", &absolute] {
        let field = format!("attachment; filename=\"{}\"", name.replace('\\', "\\\\"));
        origin.enqueue("/x", Reply::new(200).header("Content-Disposition", field).body("evil"));
        let run = get_in(&inner, &["-O", &origin.url("/x")]);
        assert!(matches!(run.code, Some(0 | 1)), "{name}: {}", run.stderr);
    }
    get_in(&inner, &["-O", &origin.url("/..%2f..%2fevil")]);
    assert_eq!(names(&outer), ["inner"]);
    assert!(!names(&inner).is_empty());
    for name in names(&inner) {
        assert!(fs::metadata(inner.join(&name)).unwrap().is_file(), "{name}");
    }
}

#[test]
fn a_remote_name_overwrites_nothing() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    fs::write(directory.join("country.txt"), "mine").unwrap();
    let run = get_in(&directory, &["-O", &origin.url("/country.txt")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("country.txt exists"), "{}", run.stderr);
    assert_eq!(fs::read(directory.join("country.txt")).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn a_remote_name_follows_no_link() {
    let origin = Origin::start(Wire::H1);
    let (outside, directory) = (directory().join("target"), directory());
    std::os::unix::fs::symlink(&outside, directory.join("country.txt")).unwrap();
    assert_eq!(get_in(&directory, &["-O", &origin.url("/country.txt")]).code, Some(1));
    assert!(!outside.exists());
}

#[test]
fn heads_are_written_before_the_body() {
    let origin = Origin::start(Wire::H1);
    let cookies =
        Reply::new(302).header("Location", "/UK").header("Set-Cookie", "a=1").header("Set-Cookie", "b=2");
    origin.enqueue("/start", cookies);
    let run = get(&["-i", &origin.url("/start")]);
    let text = run.ok();
    assert!(text.starts_with("HTTP/1.1 302 Found\r\n"), "{text}");
    assert!(text.contains("\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{text}");
    assert!(text.contains("\r\n\r\nHTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nLondon"), "{text}");
}

#[test]
fn a_head_can_be_asked_for_alone() {
    let origin = Origin::start(Wire::H1);
    let run = get(&["-I", &origin.url("/bytes/1000")]);
    assert!(run.ok().starts_with("HTTP/1.1 200 OK\r\n") && run.ok().ends_with("\r\n\r\n"));
    assert!(run.ok().contains("\r\nContent-Length: 1000\r\n"));
    assert_eq!(only_request(&origin).method, "HEAD");
}

#[test]
fn a_name_of_the_server_is_never_hidden_and_keeps_its_characters() {
    let origin = Origin::start(Wire::H1);
    for (path, field, name) in [
        ("/.bash_profile", None, "_bash_profile"),
        ("/x", Some("attachment; filename=\".bash_profile\""), "_bash_profile"),
        ("/a;b.txt", None, "a;b.txt"),
        ("/x", Some("attachment; filename=\".x.iso.urlsession-part\""), "__x.iso.urlsession-part"),
        ("/con.txt", None, "_con.txt"),
    ] {
        let mut reply = Reply::new(200).body("x");
        if let Some(field) = field {
            reply = reply.header("Content-Disposition", field);
        }
        origin.enqueue(path, reply);
        let directory = directory();
        get_in(&directory, &["-O", &origin.url(path)]).ok();
        let saved = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(saved.collect::<Vec<_>>(), [name]);
    }
}
