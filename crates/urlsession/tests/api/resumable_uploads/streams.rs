//! Bodies that are not in memory or one file: streams, whose rest is asked for, and forms.

use std::sync::{Arc, Mutex};

use urlsession::{BodyStream, Decision, DelegateQueue, MultipartForm, SessionDelegate, Task, TaskDelegate};
use urlsession_testkit::{UploadFault, UploadLimits, UploadStep};

use super::*;

/// Gives the body from any offset, and remembers from where.
struct Source {
    knows_length: bool,
    asked: Mutex<Vec<u64>>,
}

impl TaskDelegate for Source {
    fn need_new_body_stream(&self, task: &Task) -> Decision<Option<BodyStream>> {
        self.need_new_body_stream_from(task, 0)
    }

    fn need_new_body_stream_from(&self, _: &Task, offset: u64) -> Decision<Option<BodyStream>> {
        self.asked.lock().unwrap().push(offset);
        let rest = body().slice(offset as usize..);
        Decision::now(Some(match self.knows_length {
            true => BodyStream::from(rest),
            false => BodyStream::from_reader(std::io::Cursor::new(rest)),
        }))
    }
}

impl SessionDelegate for Source {}

fn streamed(origin: &Origin, knows_length: bool) -> (UrlSession, Arc<Source>) {
    let source = Arc::new(Source { knows_length, asked: Mutex::default() });
    (UrlSession::with_delegate(configuration(origin), source.clone(), DelegateQueue::serial()), source)
}

fn finished(task: &UploadTask) {
    in_tokio(async {
        let mut changes = task.state_changes();
        while next(&mut changes).await.is_some() {}
    });
    assert_eq!(task.error().map(|error| error.to_string()), None);
}

#[test]
fn the_rest_of_a_stream_is_asked_for_whether_its_length_is_known_or_not() {
    for knows_length in [true, false] {
        with_server(newest, |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            let (session, source) = streamed(origin, knows_length);
            let task = session.upload_task_with_streamed_request(post(origin));
            task.resume();
            finished(&task);
            assert!(server.content(0) == body() && server.is_complete(0));
            assert_eq!(*source.asked.lock().unwrap(), [0, CUT]);
            assert_eq!(server.lines()[1..], ["HEAD /uploads/0", "PATCH /uploads/0 ?1 @100000 200000 bytes"]);
            assert_eq!(
                server.requests()[0].field("upload-length"),
                None,
                "nobody knew it when the head was sent"
            );
        });
    }
}

#[test]
fn a_stream_of_known_length_is_cut_into_parts() {
    with_server(
        || newest().limited(UploadLimits::appends(120_000)),
        |origin, server| {
            server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
            let (session, source) = streamed(origin, true);
            let mut post = post(origin);
            post.set_value("Content-Length", "300000").unwrap();
            let task = session.upload_task_with_streamed_request(post);
            task.resume();
            finished(&task);
            assert!(server.content(0) == body() && server.is_complete(0));
            assert_eq!(server.requests()[0].field("upload-length"), Some("300000"));
            let appends = server.lines().into_iter().filter(|line| line.starts_with("PATCH")).count();
            assert_eq!(source.asked.lock().unwrap().len(), 1 + appends);
        },
    );
}

#[test]
fn a_stream_that_nobody_gives_the_rest_of_fails_and_can_be_gone_on_with() {
    with_server(newest, |origin, server| {
        server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
        let first = BodyStream::from(body());
        let (session, recorder) =
            with_recorder(configuration(origin), Recorder::new().giving_bodies([first]));
        session.upload_task_with_streamed_request(post(origin)).resume();
        let error = recorder.completed(1).completions[0].clone().unwrap();
        assert_eq!(error.code(), urlsession::UrlErrorCode::RequestBodyStreamExhausted);
        let (session, source) = streamed(origin, true);
        let task = session.upload_task_with_resume_data(error.resume_data().unwrap());
        task.resume();
        finished(&task);
        assert!(server.content(0) == body());
        assert_eq!(*source.asked.lock().unwrap(), [CUT]);
    });
}

#[test]
fn a_form_goes_on_from_within_any_of_its_parts() {
    for cut in [10, 5000, 200_000] {
        with_server(newest, |origin, server| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("body");
            std::fs::write(&file, body()).unwrap();
            let form = || {
                MultipartForm::new().with_text("note", "x".repeat(8000)).with_file("picture", &file).unwrap()
            };
            server.at(UploadStep::Creation, [UploadFault::CutAt(cut)]);
            session(origin).upload_from_form(post(origin), form()).wait().unwrap();
            let content = server.content(0);
            let length = server.requests()[0].field("upload-length").unwrap().parse::<usize>().unwrap();
            assert_eq!((content.len(), server.is_complete(0)), (length, true));
            assert!(content.windows(LENGTH).any(|part| part == &body()[..]));
            assert_eq!(server.lines().len(), 3);
        });
    }
}
