//! Upload tasks: a body of data, of a file or of a stream, whatever the request itself has for one.

use std::fs;
use std::io::Write;

use urlsession::tasks::TaskKind;
use urlsession::{BodyStream, Bytes, Task, UploadTask, UrlErrorCode};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

fn put(url: String) -> urlsession::UrlRequest {
    request(&url, "PUT", Some(b"not this"))
}

#[test]
fn test_simple_upload_with_delegate() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.upload_task(put(origin.url("/upload")), vec![7; 16384]);
        assert_eq!(task.count_of_bytes_expected_to_send(), Some(16384));
        task.resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didSendBody", "didReceiveResponse", "didReceiveData", "didComplete"]);
        assert_eq!(log.sent.last(), Some(&(log.sent.last().unwrap().0, 16384, Some(16384))));
        assert_eq!(log.sent.iter().map(|(new, ..)| new).sum::<u64>(), 16384);
        let seen = &origin.requests()[0];
        assert_eq!((seen.body_len, seen.header("content-length")), (16384, Some("16384")));
    });
}

#[test]
fn a_handler_and_a_future_get_the_response_of_an_upload() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session.upload_task_with_handler(put(origin.url("/echo")), "by handler", move |result| {
            sender.send(result).unwrap();
        });
        task.resume();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().0, "by handler");
        let (data, response) = session.upload(put(origin.url("/echo")), "awaited").wait().unwrap();
        assert_eq!((text(&data), response.status_code()), ("awaited", Some(200)));
    });
}

#[test]
fn a_file_is_sent_with_its_length_and_again_after_a_redirect() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let content = (0..300_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    fs::write(&file, &content).unwrap();
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/there", Reply::new(307).header("Location", "/here"));
        origin.enqueue("/here", Reply::new(204));
        let task = session.upload_task_from_file(put(origin.url("/there")), &file);
        assert_eq!(task.count_of_bytes_expected_to_send(), Some(300_000));
        task.resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert!(!log.calls.contains(&"needNewBodyStream"), "a file is read again: {:?}", log.calls);
        for seen in origin.requests() {
            assert_eq!((seen.body_len, seen.header("content-length")), (300_000, Some("300000")));
        }
        assert_eq!(origin.requests()[1].body, content[..origin.requests()[1].body.len()]);
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn a_file_that_cannot_be_sent_fails_the_task_and_says_which_and_where() {
    on_every_wire(|origin| {
        let session = session(origin);
        let folder = tempfile::tempdir().unwrap();
        let upload = |path| session.upload_from_file(put(origin.url("/upload")), path).wait().unwrap_err();
        let missing = upload(folder.path().join("missing"));
        assert_eq!(missing.code(), UrlErrorCode::FileDoesNotExist);
        assert!(missing.to_string().contains("missing") && missing.failing_url().is_some(), "{missing}");
        assert_eq!(upload(folder.path().into()).code(), UrlErrorCode::FileIsDirectory);
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_file_that_grows_or_shrinks_before_it_is_sent_fails_the_task() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        for change in [
            |file: &mut fs::File| file.set_len(3).unwrap(),
            |file: &mut fs::File| file.write_all(&[1; 20_000]).unwrap(),
        ] {
            fs::write(&file, [0; 10_000]).unwrap();
            let upload = session(origin).upload_from_file(put(origin.url("/upload")), &file);
            change(&mut fs::File::options().write(true).open(&file).unwrap());
            let error = upload.wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("changed"), "{cause}");
        }
        assert!(origin.requests().is_empty(), "no request may look complete");
    });
}

#[test]
fn test_simple_upload_with_delegate_providing_input_stream() {
    on_every_wire(|origin| {
        for method in ["PUT", "POST", "DELETE", "HEAD"] {
            let body = BodyStream::from(Bytes::from(vec![7; 16384]));
            let (session, recorder) =
                with_recorder(configuration(origin), Recorder::new().giving_bodies([body]));
            let request = request(&origin.url("/echo"), method, Some(b"not this"));
            session.upload_task_with_streamed_request(request).resume();
            let log = recorder.completed(1);
            let mut calls = vec![
                "needNewBodyStream",
                "didSendBody",
                "didReceiveResponse",
                "didReceiveData",
                "didComplete",
            ];
            calls.retain(|call| method != "HEAD" || *call != "didReceiveData");
            assert_eq!(log.calls, calls);
            assert_eq!(log.sent.last().unwrap().1, 16384);
            let seen = origin.requests().pop().unwrap();
            assert_eq!(seen.body_len, 16384);
            let form = (method == "POST").then_some("application/x-www-form-urlencoded");
            assert_eq!(seen.header("content-type"), form);
            let echoed = if method == "HEAD" { 0 } else { 16384 };
            assert_eq!(log.data, vec![7; echoed]);
        }
        let body = BodyStream::from(Bytes::from(vec![7; 16384]));
        let (session, recorder) = with_recorder(configuration(origin), Recorder::new().giving_bodies([body]));
        session.upload_task_with_streamed_request(origin.url("/echo")).resume();
        let log = recorder.completed(1);
        assert_eq!((log.calls.as_slice(), log.sent.len()), (&["needNewBodyStream", "didComplete"][..], 0));
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::DataLengthExceedsMaximum);
    });
}

#[test]
fn a_get_left_in_place_is_refused_and_a_streamed_request_without_a_stream_fails() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.upload_task(origin.url("/upload").as_str(), "x").resume();
        let log = recorder.completed(1);
        let code = |log: &Log, at: usize| log.completions[at].as_ref().unwrap().code();
        assert_eq!(code(&log, 0), UrlErrorCode::DataLengthExceedsMaximum);
        session.upload_task_with_streamed_request(put(origin.url("/upload"))).resume();
        let log = recorder.completed(2);
        assert_eq!(code(&log, 1), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn an_upload_task_is_a_data_task_too_and_knows_its_kind() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let task: Task = session.upload_task(put(origin.url("/x")), "x").into();
        assert_eq!(task.kind(), TaskKind::Upload);
        assert_eq!(urlsession::DataTask::try_from(task.clone()).map(Task::from), Ok(task.clone()));
        assert!(UploadTask::try_from(task.clone()).is_ok());
        assert_eq!(urlsession::DownloadTask::try_from(task.clone()), Err(task));
        let data: Task = session.data_task(origin.url("/x")).into();
        assert!(UploadTask::try_from(data).is_err());
    });
}

#[test]
fn a_file_that_changed_since_the_task_was_made_is_named_by_the_error() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        fs::write(&path, "before").unwrap();
        let load = session(origin).upload_from_file(request(&origin.url("/echo"), "PUT", None), &path);
        fs::write(&path, "quite another").unwrap();
        let error = load.wait().unwrap_err().to_string();
        let expected = format!("the file {} changed since the task was made", path.display());
        assert!(error.contains(&expected), "{error}");
    });
}
