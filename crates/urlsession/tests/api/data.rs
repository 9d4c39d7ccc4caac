//! Data tasks in the three styles. Names are those of the peer's rows where there is one.

use std::sync::Arc;

use urlsession::{DelegateQueue, UrlSession};

use crate::support::*;

#[test]
fn test_data_task_with_url() {
    on_every_wire(|origin| {
        let recorder = Recorder::new();
        let session = UrlSession::with_delegate(
            configuration(origin),
            Arc::new(recorder.clone()),
            DelegateQueue::serial(),
        );
        session.data_task(origin.url("/Nepal")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().map(ToString::to_string), None);
        assert_eq!(text(&log.data), "Kathmandu");
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
    });
}

#[test]
fn test_data_task_with_url_completion_handler() {
    on_every_wire(|origin| {
        let (data, response) = load(&session(origin), origin.url("/USA")).unwrap();
        assert_eq!((text(&data), response.status_code()), ("Washington, D.C.", Some(200)));
    });
}

#[test]
fn test_async_data_from_url() {
    on_every_wire(|origin| {
        let session = session(origin);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (data, response) = runtime.block_on(session.data(origin.url("/UK")).into_future()).unwrap();
        assert_eq!((text(&data), response.status_code()), ("London", Some(200)));
        let (data, _) = session.data(origin.url("/UK")).wait().unwrap();
        assert_eq!(text(&data), "London");
    });
}
