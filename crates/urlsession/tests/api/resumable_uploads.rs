//! Resumable uploads: an upload that breaks off goes on where the server has it. Every request is seen by a server that was
//! written from the draft, in each of the versions that are deployed.

mod dialects;
mod digests;
mod faults;
mod given_up;
mod incremental;
mod later;
mod learned;
mod limits;
mod places;
mod streams;

use std::sync::mpsc;

use urlsession::uploads::{ResumableUploads, UploadStrategy};
use urlsession::{
    Bytes, Configuration, DelegateQueue, UploadTask, UrlError, UrlRequest, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply, UploadFault, UploadServer, UploadStep, pattern};

use crate::support::*;

/// Body, and how it is cut in most tests.
const LENGTH: usize = 300_000;
const CUT: u64 = 100_000;

/// What a server sees of an upload that is cut at its creation and then once more.
const CUT_TWICE: [&str; 5] = [
    "POST /target ?1 100000 bytes",
    "HEAD /uploads/0",
    "PATCH /uploads/0 ?1 @100000 100000 bytes",
    "HEAD /uploads/0",
    "PATCH /uploads/0 ?1 @200000 100000 bytes",
];

/// What a server sees of its second upload, when that is careful and cut at its first part.
const CUT_CAREFULLY: [&str; 5] = [
    "OPTIONS /target",
    "POST /target ?0",
    "PATCH /uploads/1 ?1 @0 100000 bytes",
    "HEAD /uploads/1",
    "PATCH /uploads/1 ?1 @100000 200000 bytes",
];

/// What an upload comes to.
type Loaded = Result<(Bytes, UrlResponse), UrlError>;

/// The versions, the newest first.
const VERSIONS: [u8; 4] = [8, 6, 5, 3];

/// Runs a test once a wire, against a server of this version.
fn with_server(server: impl Fn() -> UploadServer, test: impl Fn(&Origin, &UploadServer)) {
    for wire in WIRES {
        let server = server();
        let origin = Origin::builder().wire(wire).uploads(&server).start();
        test(&origin, &server);
        assert_eq!(server.violations(), [""; 0], "{wire:?}");
        let violations = origin.journal(|journal| journal.violations.clone());
        assert!(violations.is_empty(), "{wire:?}: {violations:?}");
    }
}

fn newest() -> UploadServer {
    UploadServer::new(8)
}

fn post(origin: &Origin) -> UrlRequest {
    request(&origin.url("/target"), "POST", None)
}

fn body() -> Bytes {
    pattern(0, LENGTH).into()
}

/// Uploads in one go.
fn upload(session: &UrlSession, origin: &Origin) -> Loaded {
    session.upload(post(origin), body()).wait()
}

fn requiring(origin: &Origin, strategy: UploadStrategy) -> Configuration {
    configuration(origin).resumable_uploads(ResumableUploads::Require { strategy })
}

#[track_caller]
fn took_all(result: Loaded, server: &UploadServer) -> UrlResponse {
    let (data, response) = result.unwrap();
    assert_eq!((text(&data), response.status_code()), (&*format!("took {LENGTH} bytes"), Some(200)));
    assert!(server.content(0) == body() && server.is_complete(0), "another body than was sent");
    response
}

#[test]
fn an_upload_says_that_it_could_be_resumed_and_a_data_task_does_not() {
    with_server(newest, |origin, server| {
        let session = session(origin);
        took_all(upload(&session, origin), server);
        assert_eq!(server.lines(), ["POST /target ?1 300000 bytes"]);
        let seen = &server.requests()[0];
        assert_eq!(seen.field("upload-complete"), Some("?1"));
        assert_eq!(seen.field("upload-length"), Some("300000"));
        assert_eq!(seen.field("upload-draft-interop-version"), Some("8"));
        session.data(request(&origin.url("/echo"), "POST", Some(b"x"))).wait().unwrap();
        let requests = origin.requests();
        let data = &requests[1];
        assert!(
            data.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("upload-")),
            "{data:?}"
        );
    });
}

#[test]
fn an_upload_that_is_off_says_nothing_and_a_server_that_knows_nothing_is_served_as_ever() {
    on_every_wire(|origin| {
        let off = configuration(origin).resumable_uploads(ResumableUploads::Off);
        for (configuration, says) in [(off, false), (configuration(origin), true)] {
            let put = request(&origin.url("/echo"), "PUT", None);
            let (data, _) = UrlSession::new(configuration).upload(put, "content").wait().unwrap();
            assert_eq!(text(&data), "content");
            assert_eq!(origin.requests().last().unwrap().header("upload-complete").is_some(), says);
        }
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn an_application_that_speaks_of_uploads_itself_is_left_to_it() {
    on_every_wire(|origin| {
        let put = || request(&origin.url("/echo"), "PUT", None);
        let mut own = put();
        own.set_value("Upload-Complete", "?0").unwrap();
        session(origin).upload(own, "content").wait().unwrap();
        let mut configuration = configuration(origin);
        set_for_all(&mut configuration, "Upload-Complete", "?0");
        UrlSession::new(configuration).upload(put(), "content").wait().unwrap();
        for seen in origin.requests() {
            assert_eq!(seen.header_all("upload-complete"), ["?0"]);
            assert_eq!(seen.header("upload-draft-interop-version"), None);
        }
    });
}

#[test]
fn a_cut_upload_goes_on_where_the_server_has_it() {
    for version in VERSIONS {
        with_server(
            || UploadServer::new(8).speaking(&[version], urlsession_testkit::Refusal::BadRequest),
            |origin, server| {
                server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
                let (session, recorder) = recorded(origin);
                session.upload_task(post(origin), body()).resume();
                let log = recorder.completed(1);
                log.succeeded();
                assert_eq!(text(&log.data), format!("took {LENGTH} bytes"));
                assert!(server.content(0) == body() && server.is_complete(0));
                let mut lines = server.lines();
                if version != 8 {
                    // The refusal says which version it is.
                    assert_eq!(lines.remove(0), "POST /target ?1 300000 bytes");
                }
                assert_eq!(
                    lines,
                    [
                        "POST /target ?1 100000 bytes",
                        "HEAD /uploads/0",
                        "PATCH /uploads/0 ?1 @100000 200000 bytes",
                    ]
                );
                let total = LENGTH as u64;
                assert_eq!(log.sent.last().map(|last| (last.1, last.2)), Some((total, Some(total))));
                assert_eq!(log.sent.iter().map(|sent| sent.0).sum::<u64>(), total, "no byte counts twice");
                assert_eq!(log.informational[0].status_code(), 104);
                let statuses = log.metrics[0].transaction_metrics.len();
                assert_eq!(statuses, server.requests().len(), "a transaction each");
                assert_eq!(log.metrics[0].redirect_count, 0);
            },
        );
    }
}

#[test]
fn a_file_goes_on_too_and_is_read_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, body()).unwrap();
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        server.at(UploadStep::Append, [UploadFault::CutAt(CUT)]);
        took_all(session(origin).upload_from_file(post(origin), &file).wait(), server);
        assert_eq!(server.lines(), CUT_TWICE);
    });
}

#[test]
fn a_file_that_changes_in_between_fails_the_upload() {
    with_server(newest, |origin, server| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        std::fs::write(&file, body()).unwrap();
        let gate = origin.hold();
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let held = Reply::new(503).header("Retry-After", "0").after(gate.clone());
        server.at(UploadStep::Retrieval, [UploadFault::Answer(held)]);
        let (sender, receiver) = mpsc::channel();
        let task = session(origin).upload_task_from_file_with_handler(post(origin), &file, move |result| {
            sender.send(result).unwrap();
        });
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        let other = std::fs::File::options().write(true).open(&file).unwrap();
        other.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        gate.release();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!(error.code(), urlsession::UrlErrorCode::RequestBodyStreamExhausted);
        assert!(!server.is_complete(0));
    });
}

/// A task with a handler, and what that gets.
fn task_of(session: &UrlSession, origin: &Origin) -> (UploadTask, mpsc::Receiver<Loaded>) {
    let (sender, receiver) = mpsc::channel();
    let task =
        session.upload_task_with_handler(post(origin), body(), move |result| sender.send(result).unwrap());
    (task, receiver)
}

fn with_clock(origin: &Origin) -> (UrlSession, HandClock) {
    let clock = HandClock::new();
    let mut configuration = configuration(origin);
    configuration.environment.clock = std::sync::Arc::new(clock.clone());
    (
        UrlSession::with_delegate(
            configuration,
            std::sync::Arc::new(Recorder::new()),
            DelegateQueue::serial(),
        ),
        clock,
    )
}
