//! Sessions: creation, listing, invalidation.

use std::sync::{Arc, Weak};

use urlsession::{Configuration, DelegateQueue, TaskState, UrlErrorCode, UrlSession};
use urlsession_testkit::Reply;

use crate::support::*;

#[test]
fn test_finish_tasks_and_invalidate() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/Nepal", Reply::new(200).body("Kathmandu").after(gate.clone()));
        session.data_task(origin.url("/Nepal")).resume();
        assert!(gate.wait_reached(PATIENCE));
        session.finish_tasks_and_invalidate();
        assert_eq!(recorder.log().invalid, 0, "a task is running");
        gate.release();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete", "didBecomeInvalid"]);
    });
}

#[test]
fn test_check_error_type_after_invalidate_and_cancel() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/country.txt", Reply::held(gate.clone()));
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session.data_task_with_handler(origin.url("/country.txt"), move |result| {
            sender.send(result.unwrap_err()).unwrap();
        });
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        session.invalidate_and_cancel();
        let error = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error.code(), UrlErrorCode::Cancelled);
        assert_eq!(error.failing_url().unwrap().as_str(), origin.url("/country.txt"));
        assert!(error.to_string().contains("cancelled"), "{error}");
    });
}

#[test]
fn test_task_count_after_invalidate_and_cancel() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        (0..3).for_each(|_| origin.enqueue("/country.txt", Reply::held(gate.clone())));
        let session = session(origin);
        let tasks = [(); 3].map(|()| session.data_task(origin.url("/country.txt")));
        tasks[0].resume();
        tasks[1].resume();
        session.invalidate_and_cancel();
        assert!(session.all_tasks().is_empty());
        tasks[2].resume();
        assert!(session.all_tasks().is_empty());
    });
}

#[test]
fn test_session_delegate_after_invalidate_and_cancel() {
    let recorder = Arc::new(Recorder::new());
    let weak: Weak<Recorder> = Arc::downgrade(&recorder);
    let waiting = (*recorder).clone();
    let session = UrlSession::with_delegate(Configuration::ephemeral(), recorder, DelegateQueue::serial());
    assert!(session.delegate().is_some());
    session.invalidate_and_cancel();
    waiting.wait_for(|log| log.invalid == 1);
    assert!(session.delegate().is_none());
    let (sender, receiver) = std::sync::mpsc::channel();
    session.delegate_queue().add(move || sender.send(()).unwrap());
    receiver.recv_timeout(PATIENCE).unwrap();
    assert!(weak.upgrade().is_none(), "the delegate is released");
}

#[test]
fn test_get_all_tasks() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        (0..3).for_each(|_| origin.enqueue("/country.txt", Reply::held(gate.clone())));
        let session = session(origin);
        let [one, two, three] = [(); 3].map(|()| session.data_task(origin.url("/country.txt")));
        assert_eq!(session.all_tasks().len(), 0);
        one.cancel();
        two.resume();
        two.suspend();
        three.suspend();
        assert_eq!(session.all_tasks(), [(*two).clone()]);
        three.resume();
        assert_eq!(session.all_tasks().len(), 1);
        three.resume();
        assert_eq!(session.all_tasks().len(), 2);
        session.invalidate_and_cancel();
    });
}

#[test]
fn test_cancelled_tasks_cannot_be_resumed() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task =
            session.data_task_with_handler(origin.url("/Nepal"), move |result| sender.send(result).unwrap());
        task.cancel();
        task.resume();
        assert!(session.all_tasks().is_empty());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap_err().code(), UrlErrorCode::Cancelled);
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_task_of_an_invalidated_session_fails_and_says_so() {
    on_every_wire(|origin| {
        let session = session(origin);
        session.finish_tasks_and_invalidate();
        let error = load(&session, origin.url("/Nepal")).unwrap_err();
        assert!(error.to_string().contains("invalidated"), "{error}");
        let error = session.data(origin.url("/Nepal")).wait().unwrap_err();
        assert!(error.to_string().contains("invalidated"), "{error}");
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn the_shared_session_cannot_be_invalidated() {
    on(urlsession_testkit::Wire::H1, |origin| {
        UrlSession::shared().invalidate_and_cancel();
        UrlSession::shared().finish_tasks_and_invalidate();
        assert_eq!(text(&load(&UrlSession::shared(), origin.url("/Peru")).unwrap().0), "Lima");
    });
}

#[test]
fn the_configuration_is_copied() {
    let mut configuration = Configuration::ephemeral();
    configuration.http_maximum_connections_per_host = 2;
    let session = UrlSession::new(configuration.clone());
    configuration.http_maximum_connections_per_host = 9;
    assert_eq!(session.configuration().http_maximum_connections_per_host, 2);
    session.configuration().http_maximum_connections_per_host = 9;
    assert_eq!(session.configuration().http_maximum_connections_per_host, 2);
    session.set_session_description(Some("mine"));
    assert_eq!(session.clone().session_description().as_deref(), Some("mine"));
}

#[test]
fn a_dropped_session_lets_its_tasks_finish() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/Nepal", Reply::new(200).body("Kathmandu").after(gate.clone()));
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Nepal")).resume();
        drop(session);
        gate.release();
        assert_eq!(text(&recorder.completed(1).data), "Kathmandu");
    });
}

#[test]
fn unresumed_tasks_end_with_their_session() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Nepal"));
        session.invalidate_and_cancel();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.calls, ["didComplete", "didBecomeInvalid"]);
        assert_eq!(task.state(), TaskState::Completed);
    });
}

#[test]
fn a_flush_gives_later_loads_new_connections_and_disturbs_no_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
        let (session, recorder) = recorded(origin);
        load(&session, origin.url("/Peru")).unwrap();
        session.data_task(origin.url("/held")).resume();
        assert!(gate.wait_reached(PATIENCE));
        let before = origin.connection_count();
        let (sender, flushed) = std::sync::mpsc::channel();
        session.flush_with_handler(move || sender.send(()).unwrap());
        flushed.recv_timeout(PATIENCE).unwrap();
        gate.release();
        assert!(recorder.completed(1).completions[0].is_none());
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), before + 1);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), before + 1, "the new one is kept");
    });
}

#[test]
fn a_reset_forgets_tls_sessions() {
    on(urlsession_testkit::Wire::TlsH1, |origin| {
        let session = session(origin);
        let resumed = || origin.requests().last().unwrap().tls.as_ref().unwrap().resumed;
        load(&session, origin.url("/Peru")).unwrap();
        in_tokio(session.flush());
        load(&session, origin.url("/Peru")).unwrap();
        assert!(resumed());
        in_tokio(session.reset());
        load(&session, origin.url("/Peru")).unwrap();
        assert!(!resumed());
    });
}

#[test]
fn test_get_tasks_with_completion() {
    on_every_wire(|origin| {
        let session = session(origin);
        let count = || {
            let tasks = session.tasks();
            (tasks.data.len(), tasks.upload.len(), tasks.download.len())
        };
        let data = (0..3).map(|_| session.data_task(origin.url("/delay/60"))).collect::<Vec<_>>();
        let put = || request(&origin.url("/delay/60"), "PUT", None);
        let uploads = [session.upload_task(put(), "x"), session.upload_task(put(), "x")];
        let download = session.download_task(origin.url("/delay/60"));
        assert_eq!(count(), (0, 0, 0));
        data[0].cancel();
        data[1].resume();
        data[2].resume();
        data[2].suspend();
        uploads[0].suspend();
        uploads[1].resume();
        download.cancel();
        assert_eq!(count(), (2, 1, 0));
        assert_eq!(session.tasks().upload[0], uploads[1]);
        session.invalidate_and_cancel();
    });
}
