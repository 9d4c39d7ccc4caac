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
    let run = get(&["-b", "no-such-file", "http://127.0.0.1/"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no-such-file"), "{}", run.stderr);
}
