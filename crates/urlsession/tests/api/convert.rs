//! A data task that becomes a download or a stream when its response is there.

use std::sync::Arc;
use std::time::Duration;

use urlsession::tasks::TaskKind;
use urlsession::{
    DataTask, Decision, DelegateQueue, DownloadTask, ResponseDisposition, SessionDelegate, StreamTask, Task,
    TaskDelegate, TaskState, UrlError, UrlErrorCode, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply};

use crate::support::*;

fn becoming(origin: &Origin, disposition: ResponseDisposition) -> (UrlSession, Recorder) {
    with_recorder(configuration(origin), Recorder::new().disposing(disposition))
}

#[test]
fn a_data_task_becomes_a_download_with_its_identifier_and_its_response() {
    on_every_wire(|origin| {
        let (session, recorder) = becoming(origin, ResponseDisposition::BecomeDownload);
        origin.enqueue("/file", Reply::new(200).pattern(0, 100_000));
        drop(session.data_task(origin.url("/other")));
        let task = session.data_task(origin.url("/file"));
        task.set_task_description(Some("mine"));
        task.resume();
        let log = recorder.completed(1);
        assert_eq!(
            log.calls,
            [
                "didReceiveResponse",
                "didBecomeDownload",
                "didWriteData",
                "didFinishDownloading",
                "didComplete"
            ]
        );
        log.succeeded();
        assert_eq!(log.data.len(), 100_000);
        let became = log.became.unwrap();
        assert_eq!(became.kind(), TaskKind::Download);
        assert_eq!(became.task_identifier(), task.task_identifier());
        assert_eq!(became.task_description().as_deref(), Some("mine"));
        assert_eq!(became.response().unwrap().status_code(), Some(200));
        assert_eq!(became.original_request(), task.original_request());
        assert!(task.state() == TaskState::Completed && task.error().is_none());
        assert_ne!(became, Task::from(task));
        assert_eq!(log.metrics.len(), 1);
        assert_eq!(
            log.metrics[0].transaction_metrics[0].count_of_response_body_bytes_after_decoding,
            100_000
        );
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn what_a_task_became_is_listed_and_cancelled_in_its_place() {
    on_every_wire(|origin| {
        let (session, recorder) = becoming(origin, ResponseDisposition::BecomeDownload);
        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        let task = session.data_task(origin.url("/half"));
        task.resume();
        let log = recorder.wait_for(|log| !log.written.is_empty());
        let download = DownloadTask::try_from(log.became.unwrap()).unwrap();
        let tasks = session.tasks();
        assert_eq!((tasks.data.len(), tasks.upload.len()), (0, 0));
        assert_eq!(tasks.download, std::slice::from_ref(&download));
        task.cancel();
        assert_eq!(download.state(), TaskState::Running, "the old task is over");
        session.invalidate_and_cancel();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.completions.len(), 1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert_eq!(log.calls.last(), Some(&"didBecomeInvalid"));
        gate.release();
    });
}

#[test]
fn an_invalidation_under_way_waits_for_what_a_task_became() {
    on_every_wire(|origin| {
        let (session, recorder) = becoming(origin, ResponseDisposition::BecomeDownload);
        let gate = origin.hold();
        origin.enqueue("/file", Reply::new(200).pattern(0, 1000).after(gate.clone()));
        session.data_task(origin.url("/file")).resume();
        assert!(gate.wait_reached(PATIENCE));
        session.finish_tasks_and_invalidate();
        gate.release();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(
            log.calls[log.calls.len() - 3..],
            ["didFinishDownloading", "didComplete", "didBecomeInvalid"]
        );
    });
}

#[test]
fn a_data_task_becomes_a_stream_that_reads_the_body_and_writes_nothing() {
    on_every_wire(|origin| {
        let (session, recorder) = becoming(origin, ResponseDisposition::BecomeStream);
        origin.enqueue("/text", Reply::new(200).chunked(["0123456789", "abcdef"]));
        let task = session.data_task(origin.url("/text"));
        task.resume();
        let log = recorder.wait_for(|log| log.calls.contains(&"writeClosed"));
        assert_eq!(log.calls, ["didReceiveResponse", "didBecomeStream", "writeClosed"]);
        let stream = StreamTask::try_from(log.became.unwrap()).unwrap();
        assert_eq!((stream.kind(), stream.task_identifier()), (TaskKind::Stream, task.task_identifier()));
        in_tokio(async {
            let read = |min, max| stream.read_data(min, max, Duration::ZERO);
            assert_eq!(read(4, 4).await.unwrap(), ("0123".into(), false));
            let (data, _) = read(12, 100).await.unwrap();
            assert_eq!(data, "456789abcdef");
            let refused = stream.write("x", Duration::ZERO).await.unwrap_err();
            assert!(refused.to_string().contains("101"), "{refused}");
            assert_eq!(read(1, 1).await.unwrap(), ("".into(), true));
        });
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls[3..], ["readClosed", "didComplete"]);
        assert!(recorder.log().data.is_empty(), "the data task hears nothing more");
    });
}

#[test]
fn a_panic_over_what_it_became_fails_the_new_task() {
    #[derive(Clone)]
    struct Clumsy(Recorder);
    impl TaskDelegate for Clumsy {
        fn did_receive_response(&self, _: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
            Decision::now(ResponseDisposition::BecomeDownload)
        }
        fn did_become_download_task(&self, _: &DataTask, _: &DownloadTask) {
            panic!("not like that");
        }
        fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
            self.0.did_complete(task, error);
        }
    }
    impl SessionDelegate for Clumsy {}
    on_every_wire(|origin| {
        let clumsy = Clumsy(Recorder::new());
        let session = UrlSession::with_delegate(
            configuration(origin),
            Arc::new(clumsy.clone()),
            DelegateQueue::serial(),
        );
        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        session.data_task(origin.url("/half")).resume();
        let error = clumsy.0.completed(1).completions[0].clone().unwrap();
        assert!(error.to_string().contains("not like that"), "{error}");
        gate.release();
    });
}

#[test]
fn a_task_delegate_that_passes_on_lets_the_sessions_hear_of_the_conversion() {
    struct Decides;
    impl TaskDelegate for Decides {
        fn did_receive_response(&self, _: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
            Decision::now(ResponseDisposition::BecomeDownload)
        }
    }
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Peru"));
        task.set_delegate(Decides).unwrap();
        task.resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["didBecomeDownload", "didWriteData", "didFinishDownloading", "didComplete"]);
        assert_eq!(log.data, b"Lima");
    });
}
