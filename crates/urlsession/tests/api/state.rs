//! Tasks: states, properties, observation, progress.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use urlsession::block_on;
use urlsession::protocols::{
    UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask,
};
use urlsession::tasks::TaskChange;
use urlsession::{
    BodyStream, Bytes, Configuration, DataFuture, Task, TaskState, Url, UrlErrorCode, UrlRequest,
    UrlResponse, UrlSession,
};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

#[test]
fn test_task_error() {
    let session = UrlSession::shared();
    let (task, result) = load_with_task(&session, "http://127.0.0.0:999999/Nepal");
    assert_eq!(result.unwrap_err().code(), UrlErrorCode::BadUrl);
    assert_eq!(task.error().unwrap().code(), UrlErrorCode::BadUrl);
}

#[test]
fn test_task_copy() {
    let task = UrlSession::shared().data_task("http://localhost/");
    assert_eq!(task, task.clone());
}

#[test]
fn test_cancel_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/Peru", Reply::held(gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Peru"));
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        task.cancel();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert_eq!(log.calls, ["didComplete"]);
        task.cancel();
        assert_eq!(task.state(), TaskState::Completed);
    });
}

#[test]
fn test_unhandled_url_protocol() {
    let (task, result) = load_with_task(&UrlSession::shared(), "foobar://127.0.0.1:80/Nepal");
    assert_eq!(result.unwrap_err().code(), UrlErrorCode::UnsupportedUrl);
    assert_eq!(task.error().unwrap().code(), UrlErrorCode::UnsupportedUrl);
    assert!(task.response().is_none());
}

#[test]
fn test_request_to_nil_url() {
    // A request has a URL; text that is none fails the load.
    let (task, result) = load_with_task(&UrlSession::shared(), "");
    assert_eq!(result.unwrap_err().code(), UrlErrorCode::BadUrl);
    assert_eq!(task.error().unwrap().code(), UrlErrorCode::BadUrl);
    assert!(task.original_request().is_none());
}

#[test]
fn schemes_compare_without_case() {
    on(Wire::H1, |origin| {
        let url = origin.url("/Peru").replace("http://", "HTTP://");
        assert_eq!(text(&load(&session(origin), url).unwrap().0), "Lima");
    });
}

#[test]
fn test_suspend_resume_task() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task =
            session.data_task_with_handler(origin.url("/get"), move |result| sender.send(result).unwrap());
        task.suspend();
        assert_eq!(task.state(), TaskState::Suspended);
        task.suspend();
        for _ in 0..2 {
            task.resume();
            assert_eq!(task.state(), TaskState::Suspended);
        }
        let gate = origin.hold();
        origin.enqueue("/get", Reply::held(gate.clone()));
        for _ in 0..3 {
            task.resume();
            assert_eq!(task.state(), TaskState::Running);
        }
        gate.release();
        let (_, response) = receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(response.status_code(), Some(200));
    });
}

#[test]
fn suspension_stops_the_transfer_and_resumption_continues_it() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 300_000).body_gate(100_000, gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/slow"));
        task.resume();
        recorder.wait_for(|log| log.data.len() >= 100_000);
        task.suspend();
        gate.release();
        // Every event that was on its way has been heard when the queue has come this far.
        let received = task.count_of_bytes_received();
        assert_eq!(task.state(), TaskState::Suspended);
        assert!(received < 300_000);
        task.resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none());
        assert!(
            log.data.len() == 300_000 && log.data.iter().zip(0u64..).all(|(b, i)| u64::from(*b) == i % 251)
        );
        assert_eq!(origin.requests().len(), 1, "the request was not sent again");
    });
}

#[test]
fn properties_tell_what_happened() {
    on_every_wire(|origin| {
        let session = session(origin);
        let mut request = request(&origin.url("/echo"), "POST", Some(b"12345"));
        request.set_value("Content-Type", "text/plain").unwrap();
        let (task, result) = load_with_task(&session, &request);
        result.unwrap();
        assert_eq!(task.task_identifier(), 1);
        assert_eq!(*task.original_request().unwrap(), request);
        assert_eq!(task.response().unwrap().status_code(), Some(200));
        assert_eq!((task.count_of_bytes_sent(), task.count_of_bytes_received()), (5, 5));
        assert_eq!(task.count_of_bytes_expected_to_send(), Some(5));
        assert_eq!(task.count_of_bytes_expected_to_receive(), Some(5));
        assert_eq!((task.error().is_none(), task.state()), (true, TaskState::Completed));
        let progress = task.progress();
        assert_eq!((progress.fraction_completed(), progress.total_unit_count()), (1.0, Some(10)));
        assert!(progress.is_finished() && !progress.is_cancelled());
        task.set_task_description(Some("label"));
        assert_eq!(task.task_description().as_deref(), Some("label"));
        assert_eq!(session.data_task("http://localhost/").task_identifier(), 2);
    });
}

#[test]
fn hints_are_kept_as_they_are_set() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let task = session.data_task(origin.url("/Nepal"));
        assert_eq!(task.count_of_bytes_client_expects_to_send(), None);
        assert_eq!(task.count_of_bytes_client_expects_to_receive(), None);
        assert_eq!(task.earliest_begin_date(), None);
        let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
        task.set_count_of_bytes_client_expects_to_send(Some(1));
        task.set_count_of_bytes_client_expects_to_receive(Some(2));
        task.set_earliest_begin_date(Some(tomorrow));
        task.resume();
        in_tokio(drain(task.observe()));
        assert_eq!(task.response().unwrap().status_code(), Some(200), "it does not wait until tomorrow");
        assert_eq!(task.count_of_bytes_client_expects_to_send(), Some(1));
        assert_eq!(task.count_of_bytes_client_expects_to_receive(), Some(2));
        assert_eq!(task.earliest_begin_date(), Some(tomorrow));
    });
}

#[test]
fn priorities_are_clamped() {
    let task = UrlSession::shared().data_task("http://localhost/");
    assert_eq!(task.priority(), Task::DEFAULT_PRIORITY);
    for (set, got) in [(2.0, 1.0), (-1.0, 0.0), (0.25, 0.25), (f32::NAN, 0.25)] {
        task.set_priority(set);
        assert_eq!(task.priority(), got);
    }
}

#[test]
fn progress_pauses_resumes_and_cancels_the_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let session = session(origin);
        let task = session.data_task(origin.url("/held"));
        let progress = task.progress();
        assert!(progress.is_paused() && progress.is_indeterminate());
        progress.resume();
        assert_eq!(task.state(), TaskState::Running);
        assert!(gate.wait_reached(PATIENCE));
        progress.pause();
        assert!(progress.is_paused());
        progress.cancel();
        in_tokio(drain(task.observe()));
        assert!(progress.is_cancelled() && !progress.is_finished());
    });
}

#[test]
fn changes_are_observed_until_the_end() {
    on_every_wire(|origin| {
        let session = session(origin);
        let task = session.data_task(origin.url("/redirect/1"));
        let (changes, states) = (task.observe(), task.state_changes());
        task.resume();
        let changes = in_tokio(drain(changes));
        for change in [TaskChange::CurrentRequest, TaskChange::Response, TaskChange::Bytes] {
            assert!(changes.contains(&change), "{change:?} is not in {changes:?}");
        }
        assert_eq!(in_tokio(drain(states)), [TaskState::Running, TaskState::Completed]);
        assert!(in_tokio(drain(task.observe())).is_empty(), "a finished task changes no more");
    });
}

/// Loads pieces that are there at once, and calls `halt` after the third.
struct Always<F> {
    url: Url,
    halt: Arc<F>,
    given: Arc<AtomicUsize>,
}

const PIECES: usize = 50;

impl<F: Fn() + Send + Sync + 'static> UrlProtocol for Always<F> {
    fn can_init(&self, _: &UrlRequest) -> bool {
        true
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        let (halt, given) = (self.halt.clone(), self.given.clone());
        client.did_receive_response(UrlResponse::new(self.url.clone(), None, None, None));
        Box::pin(async move {
            for number in 1..=PIECES {
                client.did_load("x").await?;
                given.store(number, SeqCst);
                if number == 3 {
                    halt();
                }
            }
            client.did_finish_loading();
            Ok(())
        })
    }

    fn stop_loading(&self, _: &UrlProtocolTask) {}
}

/// A load, what polling it gave, and how many pieces were taken.
type Halted = (Pin<Box<DataFuture>>, Poll<Result<usize, UrlErrorCode>>, Arc<AtomicUsize>);

/// A load of pieces whose task is halted in the middle of a poll: what the polls gave until the first that gave nothing,
/// and how many pieces were taken.
fn halted(halt: fn(&Task)) -> Halted {
    let (task, given) = (Arc::new(OnceLock::<Task>::new()), Arc::<AtomicUsize>::default());
    let of_load = task.clone();
    let url: Url = "always://x/".parse().unwrap();
    let halt = Arc::new(move || halt(of_load.get().unwrap()));
    let protocol = Always { url: url.clone(), halt, given: given.clone() };
    let classes = vec![UrlProtocolClass::new(protocol)];
    let session = UrlSession::new(Configuration::ephemeral().protocol_classes(classes));
    let mut load = Box::pin(session.data(url));
    task.set(load.task().into()).unwrap();
    let polled = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let polled = polled.map(|loaded| loaded.map(|(data, _)| data.len()).map_err(|error| error.code()));
    (load, polled, given)
}

#[test]
fn a_task_that_is_halted_while_more_is_always_there_takes_no_more_of_it() {
    let (mut load, polled, given) = halted(|task| task.suspend());
    // One more was given, and is not taken.
    assert!(polled.is_pending() && given.load(SeqCst) <= 4, "{polled:?} {given:?}");
    let before = given.load(SeqCst);
    assert!(load.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(given.load(SeqCst), before);
    load.task().resume();
    assert_eq!(block_on(load).unwrap().0.len(), PIECES);

    let (mut load, polled, given) = halted(|task| task.cancel());
    assert!(polled.is_pending() && given.load(SeqCst) <= 4, "{polled:?} {given:?}");
    let polled = load.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = polled else { panic!("{polled:?}") };
    assert_eq!(error.code(), UrlErrorCode::Cancelled);
}

/// Pieces of a body that are there at once; `halt` is called when the third is asked for.
struct Pieces<F> {
    halt: F,
    given: Arc<AtomicUsize>,
}

impl<F: Fn() + Unpin> Stream for Pieces<F> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let number = self.given.fetch_add(1, SeqCst) + 1;
        if number == 3 {
            (self.halt)();
        }
        Poll::Ready((number <= PIECES).then(|| Ok(Bytes::from_static(b"x"))))
    }
}

#[test]
fn an_upload_that_is_halted_while_more_is_always_there_sends_no_more_of_it() {
    on_every_wire(|origin| {
        for halt in [|task: &Task| task.suspend(), |task: &Task| task.cancel()] {
            let (task, given) = (Arc::new(OnceLock::<Task>::new()), Arc::<AtomicUsize>::default());
            let of_load = task.clone();
            let halt = move || halt(of_load.get().unwrap());
            let body = BodyStream::from_stream(Pieces { halt, given: given.clone() });
            let mut request = UrlRequest::new(origin.url("/echo").parse::<Url>().unwrap());
            request.set_http_method("POST").unwrap();
            request.set_http_body_stream(body);
            in_tokio(async {
                let mut load = Box::pin(session(origin).data(request));
                task.set(load.task().into()).unwrap();
                // The poll in which it is halted ends.
                let halted = poll_fn(|cx| {
                    let polled = load.as_mut().poll(cx);
                    if given.load(SeqCst) < 3 { Poll::Pending } else { Poll::Ready(polled.is_pending()) }
                });
                halted.await;
                assert_eq!(given.load(SeqCst), 3);
                if task.get().unwrap().state() == TaskState::Suspended {
                    task.get().unwrap().resume();
                    assert_eq!(load.await.unwrap().1.status_code(), Some(200));
                } else {
                    assert_eq!(load.await.unwrap_err().code(), UrlErrorCode::Cancelled);
                }
            });
        }
    });
}

#[test]
fn priorities_are_apples_and_a_task_has_the_default_one() {
    assert_eq!([Task::LOW_PRIORITY, Task::DEFAULT_PRIORITY, Task::HIGH_PRIORITY], [0.25, 0.5, 0.75]);
    let task = UrlSession::shared().data_task("http://localhost/");
    assert_eq!(task.priority(), Task::DEFAULT_PRIORITY);
}
