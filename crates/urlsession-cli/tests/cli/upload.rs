//! `urlsession upload`: files, standard input and forms.

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use urlsession_testkit::{Origin, Recorded, Reply, UploadFault, UploadServer, UploadStep, Wire};

use crate::support::*;

fn file(name: &str, content: &[u8]) -> String {
    let path = directory().join(name);
    fs::write(&path, content).unwrap();
    path.into_os_string().into_string().unwrap()
}

#[test]
fn a_file_is_put_with_its_length_and_the_answer_is_written() {
    for wire in [Wire::H1, Wire::TlsH2] {
        let origin = Origin::start(wire);
        let run = upload(&["--cacert", &authority(&origin), &file("a", b"content"), &origin.url("/echo")]);
        assert_eq!(run.ok(), "content");
        assert_eq!(run.stderr, "");
        let request = only_request(&origin);
        assert_eq!((&*request.method, request.header("content-length")), ("PUT", Some("7")));
    }
}

#[test]
fn a_folder_gets_the_file_by_its_name() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/folder/a%20b.txt", Reply::new(201));
    upload(&[&file("a b.txt", b"x"), &origin.url("/folder/")]).ok();
    assert_eq!(only_request(&origin).target, "/folder/a%20b.txt");
}

#[test]
fn standard_input_is_streamed() {
    let origin = Origin::start(Wire::H1);
    let run = reading("upload", b"from a pipe", &["-X", "post", "-", &origin.url("/echo")]);
    assert_eq!(run.ok(), "from a pipe");
    let request = only_request(&origin);
    assert_eq!((&*request.method, request.header("transfer-encoding")), ("POST", Some("chunked")));
}

#[test]
fn a_login_by_digest_sends_the_file_again_and_standard_input_asks_first() {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/digest/ann/pw/SHA-256/auth");
    let login = ["--digest", "-u", "ann:pw"];
    assert_eq!(upload(&[&login[..], &[&file("a", b"content"), &url]].concat()).ok(), "in");
    let bodies: Vec<_> = origin.requests().iter().map(Recorded::text).collect();
    assert_eq!(bodies, ["content", "content"]);
    let run = reading("upload", b"once", &[&login[..], &["-", &url]].concat());
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("(-1021)"), "{}", run.stderr);
    // Asked first, the server says no before anything of it is gone.
    origin.enqueue("/digest/ann/pw/SHA-256/auth", Reply::routes().early());
    origin.enqueue("/digest/ann/pw/SHA-256/auth", Reply::routes().informational(100, &[]));
    let first = ["-H", "Expect: 100-continue", "-", &url];
    assert_eq!(reading("upload", b"once", &[&login[..], &first].concat()).ok(), "in");
}

#[test]
fn a_form_is_posted() {
    let origin = Origin::start(Wire::H1);
    let (text, data) = (file("note.txt", b"a note"), file("data", b"bytes"));
    let parts = [
        "title=a;b=c".to_owned(),
        format!("note=<{text}"),
        format!("one=@{text}"),
        format!("two=@{data};type=text/x;filename=other"),
    ];
    let mut args: Vec<&str> = parts.iter().flat_map(|part| ["-F", part]).collect();
    let url = origin.url("/upload");
    args.push(&url);
    upload(&args).ok();
    let request = only_request(&origin);
    let kind = request.header("content-type").unwrap().to_owned();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |head: &str, content: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let expected = [
        part("name=\"title\"", "a;b=c"),
        part("name=\"note\"", "a note"),
        part("name=\"one\"; filename=\"note.txt\"\r\nContent-Type: text/plain", "a note"),
        part("name=\"two\"; filename=\"other\"\r\nContent-Type: text/x", "bytes"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!((request.method.as_str(), request.text()), ("POST", expected.concat()));
}

#[test]
fn a_status_is_a_failure_only_if_it_is_to_be_one() {
    let origin = Origin::start(Wire::H1);
    let source = file("a", b"x");
    for _ in 0..2 {
        origin.enqueue("/no", Reply::new(403).body("not here"));
    }
    assert_eq!(upload(&[&source, &origin.url("/no")]).ok(), "not here");
    let run = upload(&["-f", &source, &origin.url("/no")]);
    assert_eq!((run.code, run.text(), &*run.stderr), (Some(1), "", "urlsession: the server answered 403\n"));
}

#[test]
fn what_cannot_be_sent_or_meant_is_told() {
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/upload");
    let missing = upload(&["/does/not/exist", &url]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("/does/not/exist does not exist"), "{}", missing.stderr);
    for args in
        [&[&*url][..], &["-F", "a=b", "x", &url], &["-F", "no equals sign", &url], &["a", "b", &url], &[]]
    {
        let run = upload(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
    }
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn how_far_it_is_is_shown_if_it_is_asked_for() {
    let origin = Origin::start(Wire::H1);
    let source = file("a", &[7; 50_000]);
    let run = upload(&["--progress", &source, &origin.url("/upload")]);
    run.ok();
    assert!(
        run.stderr.ends_with("50.0 kB of 50.0 kB\x1b[K\n") || run.stderr.contains("50.0 kB of 50.0 kB  "),
        "{}",
        run.stderr
    );
    assert_eq!(upload(&[&source, &origin.url("/upload")]).stderr, "");
}

/// The requests of an upload of 300,000 bytes that is killed when the server has the first 100,000, and of the next one.
fn killed_and_repeated(options: &[&str]) -> Vec<String> {
    let server = UploadServer::new(8);
    server.at(UploadStep::Creation, [UploadFault::AnswerAt(100_000, Reply::stall())]);
    let origin = Origin::builder().uploads(&server).start();
    let (file, url) = (file("film", &[7; 300_000]), origin.url("/target"));
    let arguments = [&["upload"], options, &[&file, &url]].concat();
    let data = directory();
    let mut first = begun(|| with_data(&mut command(&arguments), &data).spawn());
    // The server has them, and the record is written when the server has said where the upload is.
    assert!(origin.wait_for(|journal| journal.heads.iter().any(|head| head.body_len >= 100_000), PATIENCE));
    let is_expected = options.is_empty();
    let below = if cfg!(target_vendor = "apple") { "Library/Application Support" } else { "" };
    let records =
        || fs::read_dir(data.join(below).join("urlsession/urlsession/uploads")).into_iter().flatten();
    let is_whole = |name: &OsStr| name.as_encoded_bytes().ends_with(b".upload");
    let is_recorded = || records().any(|entry| is_whole(&entry.unwrap().file_name()));
    while is_expected && !is_recorded() {
        assert!(first.try_wait().unwrap().is_none(), "it waits for the server");
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(run(with_data(&mut command(&arguments), &data)).ok(), "took 300000 bytes");
    server.lines()
}

#[test]
fn an_upload_that_is_killed_is_gone_on_with_unless_that_is_not_wanted() {
    assert_eq!(
        killed_and_repeated(&[])[1..],
        ["HEAD /uploads/0", "PATCH /uploads/0 ?1 @100000 200000 bytes"]
    );
    assert_eq!(killed_and_repeated(&["--no-resume"])[1..], ["PUT /target ?1 300000 bytes"]);
}

/// Never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(20);
