//! `retry`: loads that are tried again.

use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use urlsession::tasks::{RetryPolicy, WaitReason};
use urlsession::{BodyStream, Bytes, DataFuture, Task, UrlError, UrlErrorCode, UrlResponse, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::ranges::{LENGTH, Ranges, content, whole};
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn unavailable() -> Reply {
    Reply::new(503).body("later")
}

/// Loads while the clock is moved on over pauses of at most two seconds.
fn finish<T: Send + 'static>(clock: &HandClock, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = wait();
        sender.send(()).unwrap();
        result
    });
    clock.advance_until(2 * SECOND, || thread.is_finished() || receiver.try_recv().is_ok());
    thread.join().unwrap()
}

fn loaded(clock: &HandClock, future: DataFuture) -> Result<(Bytes, UrlResponse), UrlError> {
    finish(clock, move || future.wait())
}

fn statuses(task: &Task) -> Vec<Option<u16>> {
    let metrics = task.metrics().unwrap();
    let response = |response: &UrlResponse| response.status_code();
    metrics.transaction_metrics.iter().map(|one| one.response.as_ref().and_then(response)).collect()
}

#[test]
fn a_status_that_passes_is_tried_again_on_the_same_connection_and_each_try_is_measured() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(configuration);
        origin.enqueue("/x", unavailable());
        origin.enqueue("/x", Reply::new(429));
        origin.enqueue("/x", Reply::new(200).body("here"));
        let future = session.data(origin.url("/x")).retry(3);
        let task = future.task();
        let (data, response) = loaded(&clock, future).unwrap();
        assert_eq!((text(&data), response.status_code()), ("here", Some(200)));
        assert_eq!(statuses(&task), [Some(503), Some(429), Some(200)]);
        assert_eq!((task.count_of_bytes_received(), origin.connection_count()), (4, 1));
    });
}

#[test]
fn the_last_try_is_the_answer() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(configuration);
        for _ in 0..4 {
            origin.enqueue("/x", unavailable());
        }
        let (data, response) = loaded(&clock, session.data(origin.url("/x")).retry(2)).unwrap();
        assert_eq!((text(&data), response.status_code()), ("later", Some(503)));
        assert_eq!(origin.requests().len(), 3);
        for status in [500, 501, 404] {
            origin.enqueue("/other", Reply::new(status));
            let (_, response) = session.data(origin.url("/other")).retry(2).wait().unwrap();
            assert_eq!(response.status_code(), Some(status), "without a pause");
        }
    });
}

#[test]
fn a_body_that_breaks_off_is_loaded_anew_from_its_beginning() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(configuration);
        origin.enqueue("/x", Reply::new(200).pattern(0, 100_000).truncate_at(50_000));
        origin.enqueue("/x", Reply::new(200).pattern(0, 100_000));
        let future = session.data(origin.url("/x")).retry(1);
        let task = future.task();
        let (data, _) = loaded(&clock, future).unwrap();
        assert_eq!(data, urlsession_testkit::pattern(0, 100_000));
        assert_eq!(task.count_of_bytes_received(), 100_000);
        let metrics = task.metrics().unwrap();
        let errors: Vec<_> = metrics.transaction_metrics.iter().map(|one| one.error.is_some()).collect();
        // A connection that closes meanwhile may take a further transaction, of which the server sees nothing.
        assert_eq!((errors[0], errors.last(), origin.requests().len()), (true, Some(&false), 2));
    });
}

#[test]
fn what_is_not_idempotent_is_tried_again_only_if_the_application_says_so() {
    let origin = Origin::start(Wire::H1);
    let (configuration, clock) = with_hand_clock(&origin);
    let session = UrlSession::new(configuration);
    origin.enqueue("/x", unavailable());
    let post = request(&origin.url("/x"), "POST", Some(b"body"));
    assert_eq!(session.data(post.clone()).retry(2).wait().unwrap().1.status_code(), Some(503));
    for (method, policy) in
        [("POST", RetryPolicy::new(2).assumes_idempotent(true)), ("PUT", RetryPolicy::new(2))]
    {
        origin.enqueue("/x", unavailable());
        origin.enqueue("/x", Reply::new(201));
        let request = request(&origin.url("/x"), method, Some(b"body"));
        let (_, response) = loaded(&clock, session.data(request).retry(policy)).unwrap();
        assert_eq!(response.status_code(), Some(201));
        assert_eq!(origin.requests().last().unwrap().body_len, 4);
    }
    origin.enqueue("/x", unavailable());
    origin.enqueue("/x", Reply::new(201));
    let put = request(&origin.url("/x"), "PUT", None);
    let (_, response) = {
        let future = session.upload(put, "body").retry(2);
        finish(&clock, move || future.wait()).unwrap()
    };
    assert_eq!(response.status_code(), Some(201));
}

#[test]
fn a_body_that_can_be_read_only_once_is_not_tried_again() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin);
    origin.enqueue("/x", unavailable());
    let mut put = request(&origin.url("/x"), "PUT", None);
    put.set_http_body_stream(BodyStream::from_reader(&b"once"[..]));
    assert_eq!(session.data(put).retry(2).wait().unwrap().1.status_code(), Some(503));
}

#[test]
fn retry_after_is_waited_for_and_the_task_says_so() {
    for wire in WIRES {
        let origin = Origin::start(wire);
        let (configuration, clock) = with_hand_clock(&origin);
        let session = UrlSession::new(configuration);
        origin.enqueue("/x", unavailable().header("Retry-After", "40"));
        origin.enqueue("/x", Reply::new(200));
        let future = session.data(origin.url("/x")).retry(1);
        let task = future.task();
        let loading = std::thread::spawn(move || future.wait());
        wait_until(|| task.why_waiting() == Some(WaitReason::Retry));
        clock.wait_for_sleeper(40 * SECOND);
        clock.advance(39 * SECOND);
        clock.wait_for_sleeper(SECOND);
        assert_eq!((task.why_waiting(), origin.requests().len()), (Some(WaitReason::Retry), 1));
        clock.advance(SECOND);
        assert_eq!(loading.join().unwrap().unwrap().1.status_code(), Some(200));
        assert_eq!(task.why_waiting(), None);
    }
}

#[test]
fn a_pause_that_is_too_long_for_the_policy_or_for_the_time_of_the_load_is_not_begun() {
    let origin = Origin::start(Wire::H1);
    let (mut configuration, _clock) = with_hand_clock(&origin);
    configuration.timeout_interval_for_resource = 30 * SECOND;
    let session = UrlSession::new(configuration);
    for (seconds, longest) in [("11", 10), ("30", 60)] {
        origin.enqueue("/x", unavailable().header("Retry-After", seconds));
        let policy = RetryPolicy::new(2).longest_pause(longest * SECOND);
        let (data, response) = session.data(origin.url("/x")).retry(policy).wait().unwrap();
        assert_eq!((text(&data), response.status_code()), ("later", Some(503)), "{seconds}");
    }
}

#[test]
fn a_timeout_of_the_request_ends_a_try_and_that_of_the_last_the_load() {
    on_every_wire(|origin| {
        let (mut configuration, clock) = with_hand_clock(origin);
        configuration.timeout_interval_for_request = 10 * SECOND;
        let session = UrlSession::new(configuration);
        // The client may count the request's last byte after the clock was moved, and begins its ten seconds anew then.
        let begin = |requests| {
            let future = session.data(origin.url("/x")).retry(1);
            let task = future.task();
            let loading = std::thread::spawn(move || future.wait());
            // Not before the request is there: until then others may sleep, who dial.
            wait_until(|| origin.requests().len() == requests);
            let is_tried_again = || origin.requests().len() > requests;
            let has_timed_out = || task.why_waiting() == Some(WaitReason::Retry) || is_tried_again();
            clock.advance_until(10 * SECOND, has_timed_out);
            clock.advance_until(SECOND, is_tried_again);
            loading
        };
        origin.enqueue("/x", Reply::stall());
        origin.enqueue("/x", Reply::new(200).body("here"));
        assert_eq!(text(&begin(1).join().unwrap().unwrap().0), "here");
        origin.enqueue("/x", Reply::stall());
        origin.enqueue("/x", Reply::stall());
        let loading = begin(3);
        clock.advance_until(10 * SECOND, || loading.is_finished());
        let error = loading.join().unwrap().unwrap_err();
        assert_eq!((error.code(), error.failing_url().unwrap().path()), (UrlErrorCode::TimedOut, "/x"));
    });
}

#[test]
fn a_pause_ends_when_the_task_is_cancelled() {
    let origin = Origin::start(Wire::H1);
    let (configuration, _clock) = with_hand_clock(&origin);
    let session = UrlSession::new(configuration);
    origin.enqueue("/x", unavailable());
    let future = session.data(origin.url("/x")).retry(5);
    let task = future.task();
    let loading = std::thread::spawn(move || future.wait());
    wait_until(|| task.why_waiting() == Some(WaitReason::Retry));
    task.cancel();
    assert!(loading.join().unwrap().unwrap_err().is_cancelled());
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_a_delegate_has_been_given_is_not_loaded_again() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin);
    origin.enqueue("/x", Reply::new(200).pattern(0, 100_000).truncate_at(50_000));
    let recorder = Recorder::new();
    let loaded = session.data(origin.url("/x")).delegate(recorder.clone()).retry(3).wait();
    assert_eq!(loaded.unwrap_err().code(), UrlErrorCode::NetworkConnectionLost);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_download_goes_on_with_what_an_earlier_try_has_written() {
    for wire in WIRES {
        let ranges = Ranges::start(wire);
        let (configuration, clock) = with_hand_clock(&ranges.origin);
        let session = UrlSession::new(configuration);
        ranges.then(|_| whole().truncate_at(150_000));
        ranges.then(|_| unavailable());
        let folder = tempfile::tempdir().unwrap();
        let future = session.download(ranges.url()).to(folder.path().join("file")).retry(3);
        let task = future.task();
        let (file, response) = finish(&clock, move || future.wait()).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), content());
        assert_eq!(response.status_code(), Some(206));
        let sent: Vec<_> = ranges.origin.requests();
        let first = |at: usize| sent[at].header("range").map(str::to_owned);
        assert_eq!((sent.len(), first(0)), (3, None));
        assert!(
            first(1).is_some_and(|range| range.starts_with("bytes=")) && first(1) == first(2),
            "{:?}",
            first(1)
        );
        assert_eq!(task.count_of_bytes_received(), LENGTH);
        assert_eq!(statuses(&task), [Some(200), Some(503), Some(206)]);
    }
}

#[test]
fn a_download_whose_tries_are_over_can_be_resumed() {
    let ranges = Ranges::start(Wire::H1);
    let (configuration, clock) = with_hand_clock(&ranges.origin);
    let session = UrlSession::new(configuration);
    ranges.then(|_| whole().truncate_at(100_000));
    ranges.then(|_| {
        Reply::new(206)
            .header("ETag", "\"v1\"")
            .header("Content-Range", format!("bytes 100000-{}/{LENGTH}", LENGTH - 1))
            .pattern(100_000, LENGTH - 100_000)
            .truncate_at(100_000)
    });
    let future = session.download(ranges.url()).retry(1);
    let error = finish(&clock, move || future.wait()).unwrap_err();
    let data = error.resume_data().expect("what is here is kept");
    let (file, _) = session.download_resume_from(data).wait().unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), content());
}

#[test]
fn a_head_is_tried_again_and_a_body_that_is_being_read_is_not() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let session = UrlSession::new(configuration);
        origin.enqueue("/x", unavailable());
        origin.enqueue("/x", Reply::new(200).pattern(0, 1000).truncate_at(500));
        let future = session.bytes(origin.url("/x")).retry(3);
        let (bytes, response) = finish(&clock, move || future.wait()).unwrap();
        assert_eq!(response.status_code(), Some(200));
        let mut data = Vec::new();
        let error = bytes.blocking().read_to_end(&mut data).unwrap_err();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<UrlError>()).unwrap();
        assert_eq!((data.len(), inner.code()), (500, UrlErrorCode::NetworkConnectionLost));
        assert_eq!(origin.requests().len(), 2);
    });
}
