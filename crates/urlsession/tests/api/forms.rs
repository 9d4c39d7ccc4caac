//! Forms as bodies: `multipart/form-data` of text, data, files and streams.

use std::fs;

use urlsession::bodies::FormPart;
use urlsession::{BodyStream, Bytes, MultipartForm, UrlErrorCode};
use urlsession_testkit::{Recorded, Reply};

use crate::support::*;

fn post(url: String) -> urlsession::UrlRequest {
    request(&url, "POST", Some(b"not this"))
}

fn form() -> MultipartForm {
    MultipartForm::with_boundary("cut-here").unwrap()
}

fn typed(seen: &Recorded) -> &str {
    seen.header("content-type").unwrap()
}

#[test]
fn a_form_of_text_data_and_files_is_sent_with_its_length() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pixel.png");
        fs::write(&file, [0x89, b'P', b'N', b'G', b'\r', b'\n']).unwrap();
        let form = form()
            .with_text("ünï\"\r\n", "först\nline")
            .with_part("data", FormPart::data(&b"{}"[..]).with_file_name("a.json"))
            .with_file("file", &file)
            .unwrap();
        session(origin).upload_from_form(post(origin.url("/upload")), form).wait().unwrap();
        let expected = [
            "--cut-here\r\nContent-Disposition: form-data; name=\"ünï%22%0D%0A\"\r\n\r\nförst\nline"
                .as_bytes(),
            b"\r\n--cut-here\r\nContent-Disposition: form-data; name=\"data\"; filename=\"a.json\"\r\n\
              Content-Type: application/json\r\n\r\n{}",
            b"\r\n--cut-here\r\nContent-Disposition: form-data; name=\"file\"; filename=\"pixel.png\"\r\n\
              Content-Type: image/png\r\n\r\n\x89PNG\r\n",
            b"\r\n--cut-here--\r\n",
        ]
        .concat();
        let seen = &origin.requests()[0];
        assert_eq!(typed(seen), "multipart/form-data; boundary=cut-here");
        assert_eq!(seen.header("content-length"), Some(&*expected.len().to_string()));
        assert_eq!(String::from_utf8_lossy(&seen.body), String::from_utf8_lossy(&expected));
        assert_eq!(seen.body, expected);
    });
}

#[test]
fn a_form_with_a_stream_of_unknown_length_has_none() {
    on_every_wire(|origin| {
        let stream = BodyStream::from_reader(&b"streamed"[..]);
        let form = form().with_part("s", FormPart::stream(stream)).with_text("t", "x");
        let mut request = post(origin.url("/upload"));
        request.set_multipart_form(form);
        session(origin).data(request).wait().unwrap();
        let seen = &origin.requests()[0];
        assert_eq!(seen.header("content-length"), None);
        assert!(
            seen.text().contains("Content-Type: application/octet-stream\r\n\r\nstreamed\r\n--cut-here\r\n")
        );
        assert!(seen.text().ends_with("name=\"t\"\r\n\r\nx\r\n--cut-here--\r\n"));
    });
}

#[test]
fn a_form_is_sent_again_as_long_as_all_its_parts_can_be() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body.txt");
        fs::write(&file, "from a file").unwrap();
        let redirect = || Reply::new(307).header("Location", "/upload");
        origin.enqueue("/there", redirect());
        let again = form().with_file("f", &file).unwrap().with_text("t", "x");
        session(origin).upload_from_form(post(origin.url("/there")), again).wait().unwrap();
        let seen = origin.requests();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].text(), typed(&seen[0])), (seen[1].text(), typed(&seen[1])));
        assert!(seen[1].text().contains("from a file"));

        origin.enqueue("/there", redirect());
        let once = form().with_part("s", FormPart::stream(BodyStream::from(Bytes::from_static(b"once"))));
        let error = session(origin).upload_from_form(post(origin.url("/there")), once).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert_eq!(origin.requests().len(), 3);
    });
}

#[test]
fn a_form_is_not_sent_whole_if_a_file_changes_or_a_part_has_not_its_length() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        fs::write(&file, [7; 100_000]).unwrap();
        let changed = form().with_file("f", &file).unwrap();
        let upload = session(origin).upload_from_form(post(origin.url("/upload")), changed);
        fs::File::options().write(true).open(&file).unwrap().set_len(3).unwrap();
        let error = upload.wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("changed"));
        // One too short and one too long by as much: the sum would be right.
        let stream = |length| FormPart::stream(BodyStream::from_reader(&b"four"[..]).with_length(length));
        let wrong = form().with_part("a", stream(5)).with_part("b", stream(3));
        let error = session(origin).upload_from_form(post(origin.url("/upload")), wrong).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(origin.requests().is_empty(), "no request may look complete");
    });
}

#[test]
fn progress_of_a_form_counts_every_byte() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let form = form().with_part("d", FormPart::data(vec![7; 100_000]));
        let task = session.upload_task_from_form(post(origin.url("/upload")), form);
        let expected = task.count_of_bytes_expected_to_send().unwrap();
        assert!(expected > 100_000);
        task.resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(task.count_of_bytes_sent(), expected);
        assert_eq!(origin.requests()[0].body_len, expected);
    });
}
