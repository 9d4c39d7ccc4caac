//! `-b` and `-c`.

use std::fs;

use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

#[test]
fn cookies_are_sent_as_given_and_from_a_file() {
    let origin = Origin::start(Wire::H1);
    let file = directory().join("cookies.txt");
    fs::write(&file, "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tfile\t1\n").unwrap();
    get(&["-b", "a=1; b=two=2", "-b", file.to_str().unwrap(), &origin.url("/echo")]).ok();
    assert_eq!(only_request(&origin).header("cookie"), Some("a=1; b=two=2; file=1"));
}

#[test]
fn cookies_are_written_and_read_again() {
    let origin = Origin::start(Wire::H1);
    let set = Reply::new(302)
        .header("Location", "/there")
        .header("Set-Cookie", "id=s3cret; Max-Age=600; HttpOnly")
        .header("Set-Cookie", "far=1; Domain=example.com");
    origin.enqueue("/here", set);
    let directory = directory();
    get_in(&directory, &["-c", "jar", &origin.url("/here")]).ok();
    let text = fs::read_to_string(directory.join("jar")).unwrap();
    assert!(
        text.starts_with("# Netscape") && text.contains("#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t"),
        "{text}"
    );
    assert!(text.contains("\tid\ts3cret\n") && !text.contains("far"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(directory.join("jar")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    get_in(&directory, &["-b", "jar", &origin.url("/again")]).ok();
    let cookies: Vec<_> =
        origin.requests().iter().map(|request| request.header("cookie").map(str::to_owned)).collect();
    assert_eq!(cookies, [None, Some("id=s3cret".to_owned()), Some("id=s3cret".to_owned())]);
}

#[test]
fn a_cookie_that_cannot_be_sent_is_the_command_lines_fault() {
    let run = get(&["-b", "=s3cret", "http://127.0.0.1/"]);
    assert_eq!(run.code, Some(2));
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    let folder = directory();
    let run = get(&["-b", folder.to_str().unwrap(), "http://127.0.0.1/"]);
    assert_eq!(run.code, Some(1), "a file that cannot be read is an error");
    assert!(run.stderr.contains(folder.to_str().unwrap()), "{}", run.stderr);
}

#[test]
fn a_cookie_file_that_is_not_there_is_empty_with_a_warning() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/first", Reply::new(200).header("Set-Cookie", "a=1; Path=/"));
    let directory = directory();
    let run = get_in(&directory, &["-b", "no-such-file", "-c", "no-such-file", &origin.url("/first")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("warning") && run.stderr.contains("no-such-file"), "{}", run.stderr);
    let run = get_in(&directory, &["-b", "no-such-file", &origin.url("/second")]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    let seen: Vec<_> =
        origin.requests().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(seen, [None, Some("a=1".to_owned())]);
    let silent = get_in(&directory, &["-s", "-b", "nor-this", &origin.url("/third")]);
    assert_eq!((silent.code, &*silent.stderr), (Some(0), ""));
}

#[test]
fn a_cookie_file_is_read_and_written_byte_for_byte() {
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    let line = b"127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t\xe9\xff\n";
    let decimal = b"127.0.0.1\tFALSE\t/\tFALSE\t4102444800.5\tb\t2\n";
    fs::write(directory.join("jar"), [&line[..], decimal].concat()).unwrap();
    get_in(&directory, &["-b", "jar", "-c", "out", &origin.url("/")]).ok();
    assert_eq!(only_request(&origin).header("cookie"), Some("a=\u{e9}\u{ff}; b=2"));
    let out = fs::read(directory.join("out")).unwrap();
    assert!(out.windows(line.len()).any(|window| window == line), "{}", out.escape_ascii());
}

#[test]
fn a_cookie_file_sets_no_cookie_for_a_registry_and_none_that_breaks_its_promise() {
    let origin = Origin::start(Wire::H1);
    let file = directory().join("cookies.txt");
    let lines = [
        ".com\tTRUE\t/\tFALSE\t0\tregistry\t1",
        "127.0.0.1\tFALSE\t/\tFALSE\t0\t__Host-a\t1",
        "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1; b=2",
        "127.0.0.1\tFALSE\t/\tFALSE\t0\tgood\t1",
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    get(&["-b", file.to_str().unwrap(), &origin.url("/")]).ok();
    assert_eq!(only_request(&origin).header("cookie"), Some("good=1"));
}

#[cfg(unix)]
#[test]
fn what_is_given_as_cookies_may_be_a_file_of_any_name_and_is_otherwise_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let origin = Origin::start(Wire::H1);
    let directory = directory();
    fs::write(directory.join(OsStr::from_bytes(b"jar\xff")), "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n")
        .unwrap();
    let get = |cookie: &[u8]| {
        run(command(&["get", "-b"])
            .arg(OsStr::from_bytes(cookie))
            .arg(origin.url("/echo"))
            .current_dir(&directory))
    };
    get(b"jar\xff").ok();
    assert_eq!(only_request(&origin).header("cookie"), Some("a=1"));
    let refused = get(b"sid=s3cret\xe9");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("-b") && refused.stderr.contains("UTF-8"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("s3cret") && origin.requests().len() == 1, "{}", refused.stderr);
    let missing = get(b"none\xff");
    assert_eq!(missing.code, Some(0));
    assert!(missing.stderr.contains("warning"), "{}", missing.stderr);
}

#[test]
fn a_cookie_for_a_host_in_a_zone_is_refused_before_anything_is_sent() {
    let run = get(&["-b", "a=1", "http://[fe80::1%25lo]:1/"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("-H 'Cookie: …'"), "{}", run.stderr);
}
