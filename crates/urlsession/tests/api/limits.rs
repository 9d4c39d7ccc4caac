//! `limit`: bodies that are longer than their application takes.

use urlsession::{DataResponse, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

const TOO_LONG: UrlErrorCode = UrlErrorCode::DataLengthExceedsMaximum;

#[test]
fn a_body_as_long_as_the_limit_is_taken_and_a_longer_one_fails_before_it_is_read() {
    on_every_wire(|origin| {
        let session = session(origin);
        origin.enqueue("/x", Reply::new(200).pattern(0, 100_000));
        assert_eq!(session.data(origin.url("/x")).limit(100_000).wait().unwrap().0.len(), 100_000);
        let gate = origin.hold();
        origin.enqueue("/x", Reply::new(200).pattern(0, 100_000).body_gate(0, gate.clone()));
        let future = session.data(origin.url("/x")).limit(99_999);
        let task = future.task();
        let error = future.wait().unwrap_err();
        gate.release();
        assert_eq!((error.code(), task.count_of_bytes_received()), (TOO_LONG, 0));
        assert!(error.to_string().contains("100000 bytes, longer than 99999 bytes, the limit"), "{error}");
        assert_eq!(error.failing_url().unwrap().path(), "/x");
        assert_eq!(task.response().unwrap().status_code(), Some(200));
    });
}

#[test]
fn a_body_of_unknown_length_is_read_up_to_the_limit_and_its_connection_is_not_used_again() {
    on_every_wire(|origin| {
        let session = session(origin);
        origin.enqueue("/x", Reply::new(200).endless(64 << 20).no_length());
        let future = session.data(origin.url("/x")).limit(100_000);
        let task = future.task();
        assert_eq!(future.wait().unwrap_err().code(), TOO_LONG);
        assert!(task.count_of_bytes_received() <= 100_000);
        load(&session, origin.url("/Peru")).unwrap();
        let connections = if origin.wire() == Wire::TlsH2 { 1 } else { 2 };
        assert_eq!(origin.connection_count(), connections);
    });
}

#[test]
fn the_limit_is_of_what_is_decoded() {
    on_every_wire(|origin| {
        let session = session(origin);
        let coded = |data: &[u8]| Reply::new(200).header("Content-Encoding", "gzip").body(gzip(data));
        origin.enqueue("/bomb", coded(&vec![0; 1_000_000]));
        assert_eq!(session.data(origin.url("/bomb")).limit(10_000).wait().unwrap_err().code(), TOO_LONG);
        assert!(gzip(b"x").len() > 5);
        origin.enqueue("/short", coded(b"x"));
        assert_eq!(session.data(origin.url("/short")).limit(5).wait().unwrap().text(), "x");
    });
}

#[test]
fn a_length_of_what_does_not_come_is_not_minded() {
    on_every_wire(|origin| {
        origin.enqueue("/x", Reply::new(200).pattern(0, 1000));
        let (data, response) =
            session(origin).data(request(&origin.url("/x"), "HEAD", None)).limit(1).wait().unwrap();
        assert_eq!((data.len(), response.expected_content_length()), (0, Some(1000)));
    });
}

#[test]
fn a_body_read_as_it_comes_and_the_answer_to_an_upload_have_limits_too() {
    on_every_wire(|origin| {
        let session = session(origin);
        origin.enqueue("/x", Reply::new(200).pattern(0, 1000));
        assert_eq!(session.bytes(origin.url("/x")).limit(999).wait().unwrap_err().code(), TOO_LONG);
        origin.enqueue("/x", Reply::new(200).pattern(0, 1_000_000).no_length());
        let (mut bytes, _) = session.bytes(origin.url("/x")).limit(200_000).wait().unwrap();
        let chunks: Vec<_> = std::iter::from_fn(|| bytes.wait_chunk()).collect();
        let (last, before) = chunks.split_last().unwrap();
        assert_eq!(last.as_ref().unwrap_err().code(), TOO_LONG);
        let read: usize = before.iter().map(|chunk| chunk.as_ref().unwrap().len()).sum();
        assert!(read <= 200_000, "{read}");
        origin.enqueue("/x", Reply::new(200).pattern(0, 1000));
        let post = request(&origin.url("/x"), "POST", None);
        assert_eq!(session.upload(post, "a").limit(10).wait().unwrap_err().code(), TOO_LONG);
    });
}

#[test]
fn a_delegate_gets_nothing_beyond_the_limit() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/x", Reply::new(200).pattern(0, 1_000_000).no_length());
    let recorder = Recorder::new();
    let session = UrlSession::new(configuration(&origin));
    let loaded = session.data(origin.url("/x")).delegate(recorder.clone()).limit(1000).wait();
    assert_eq!(loaded.unwrap_err().code(), TOO_LONG);
    assert!(recorder.log().data.len() <= 1000);
}
