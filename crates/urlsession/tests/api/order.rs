//! The order of a delegate's calls, whenever a task ends: completion once, last, and nothing after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use urlsession::{Decision, DelegateQueue, TaskState, UrlErrorCode, UrlSession};
use urlsession_testkit::{Accept, Origin, Reply, Wire};

use crate::support::*;

/// The calls of a task that was cancelled when `when` says so.
fn cancelled(origin: &Origin, path: &str, when: impl FnOnce(&urlsession::DataTask, &Recorder)) -> Log {
    let (session, recorder) = recorded(origin);
    let task = session.data_task(origin.url(path));
    when(&task, &recorder);
    task.cancel();
    recorder.completed(1);
    session.finish_tasks_and_invalidate();
    let log = recorder.wait_for(|log| log.invalid == 1);
    assert_eq!(task.state(), TaskState::Completed);
    log
}

fn is_cancelled(log: &Log) -> bool {
    log.completions.len() == 1
        && log.completions[0].as_ref().is_some_and(|error| error.code() == UrlErrorCode::Cancelled)
}

#[test]
fn cancelled_before_it_is_resumed() {
    on_every_wire(|origin| {
        let log = cancelled(origin, "/Nepal", |_, _| {});
        assert!(is_cancelled(&log));
        assert_eq!(log.calls, ["didComplete", "didBecomeInvalid"]);
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn cancelled_while_queued() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_maximum_connections_per_host = 1;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/held", Reply::new(204).after(gate.clone()));
        session.data_task(origin.url("/held")).resume();
        assert!(gate.wait_reached(PATIENCE));
        let queued = session.data_task(origin.url("/never"));
        queued.resume();
        queued.cancel();
        let log = recorder.completed(1);
        assert!(is_cancelled(&log));
        assert_eq!(log.calls, ["didComplete"]);
        gate.release();
        recorder.completed(2);
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn cancelled_while_connecting() {
    let origin = Origin::builder().wire(Wire::TlsH1).accept(Accept::Stall).start();
    let log = cancelled(&origin, "/Nepal", |task, _| {
        task.resume();
        assert!(origin.wait_for(|journal| journal.accepted == 1, PATIENCE));
    });
    assert!(is_cancelled(&log));
    assert_eq!(log.calls, ["didComplete", "didBecomeInvalid"]);
}

#[test]
fn cancelled_when_the_head_is_sent() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let log = cancelled(origin, "/held", |task, _| {
            task.resume();
            assert!(gate.wait_reached(PATIENCE));
        });
        assert!(is_cancelled(&log));
        assert_eq!(log.calls, ["didComplete", "didBecomeInvalid"]);
        assert!(log.metrics[0].transaction_metrics[0].request_start_date.is_some());
        gate.release();
    });
}

#[test]
fn cancelled_when_the_body_is_half_read() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        let log = cancelled(origin, "/half", |task, recorder| {
            task.resume();
            recorder.wait_for(|log| log.data.len() == 500);
        });
        assert!(is_cancelled(&log));
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete", "didBecomeInvalid"]);
        assert_eq!(log.metrics[0].transaction_metrics[0].count_of_response_body_bytes_after_decoding, 500);
        gate.release();
    });
}

#[test]
fn cancelled_after_the_last_byte_it_keeps_its_result() {
    on_every_wire(|origin| {
        let log = cancelled(origin, "/Nepal", |task, recorder| {
            task.resume();
            recorder.completed(1);
        });
        assert!(log.completions[0].is_none());
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete", "didBecomeInvalid"]);
    });
}

#[test]
fn cancelled_while_its_redirect_is_being_decided() {
    on_every_wire(|origin| {
        let (sender, asked) = std::sync::mpsc::channel();
        let recorder = Recorder::new().redirecting(move |_, _| {
            let (answer, responder) = Decision::deferred();
            sender.send(responder).unwrap();
            answer
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let task = session.data_task(origin.url("/redirect/1"));
        task.resume();
        let responder = asked.recv_timeout(PATIENCE).unwrap();
        task.cancel();
        let log = recorder.completed(1);
        responder.answer(None);
        assert!(is_cancelled(&log));
        assert_eq!(log.calls, ["willRedirect", "didComplete"]);
    });
}

#[test]
fn failed_before_and_after_the_head() {
    on_every_wire(|origin| {
        for (reply, calls) in [
            (Reply::drop_connection(), vec!["didComplete"]),
            (
                Reply::new(200).pattern(0, 1000).truncate_at(500),
                vec!["didReceiveResponse", "didReceiveData", "didComplete"],
            ),
        ] {
            origin.enqueue("/fails", reply);
            let (session, recorder) = recorded(origin);
            session.data_task(origin.url("/fails")).resume();
            let log = recorder.completed(1);
            assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
            assert_eq!((log.calls, log.metrics.len()), (calls, 1));
        }
    });
}

#[test]
fn invalidated_in_flight_everything_completes_before_the_session_ends() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        (0..20).for_each(|_| origin.enqueue("/held", Reply::held(gate.clone())));
        let (session, recorder) = recorded(origin);
        for _ in 0..20 {
            session.data_task(origin.url("/held")).resume();
        }
        session.invalidate_and_cancel();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.completions.len(), 20);
        assert_eq!(log.calls.last(), Some(&"didBecomeInvalid"));
        gate.release();
    });
}

/// Eight threads resume, suspend and cancel the same tasks: nobody waits for ever, every task completes once.
#[test]
fn a_storm_of_calls_loses_no_wake_up_and_completes_once() {
    on_every_wire(|origin| {
        for round in 0..20u64 {
            let (session, recorder) = recorded(origin);
            let tasks = (0..8).map(|_| session.data_task(origin.url("/bytes/20000"))).collect::<Vec<_>>();
            std::thread::scope(|scope| {
                for thread in 0..8u64 {
                    let tasks = &tasks;
                    scope.spawn(move || {
                        let mut random = (round * 8 + thread + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        for _ in 0..200 {
                            random ^= random << 13;
                            random ^= random >> 7;
                            random ^= random << 17;
                            let task = &tasks[(random % 8) as usize];
                            match (random >> 8) % 64 {
                                0..=30 => task.resume(),
                                31..=61 => task.suspend(),
                                _ => task.cancel(),
                            }
                        }
                    });
                }
            });
            for task in &tasks {
                while task.state() == TaskState::Suspended {
                    task.resume();
                }
            }
            let log = recorder.completed(8);
            session.finish_tasks_and_invalidate();
            recorder.wait_for(|log| log.invalid == 1);
            assert_eq!((log.completions.len(), recorder.log().completions.len()), (8, 8));
            let good = |error: &Option<urlsession::UrlError>| {
                error.as_ref().is_none_or(|error| error.code() == UrlErrorCode::Cancelled)
            };
            assert!(log.completions.iter().all(good), "{:?}", log.completions);
        }
    });
}

#[test]
fn a_delegate_that_blocks_for_ever_blocks_only_its_own_sessions_queue() {
    struct Stuck(std::sync::Mutex<std::sync::mpsc::Receiver<()>>, AtomicUsize);
    impl urlsession::TaskDelegate for Stuck {
        fn did_receive_data(&self, _: &urlsession::DataTask, _: urlsession::Bytes) {
            self.1.fetch_add(1, Ordering::Relaxed);
            let _ = self.0.lock().unwrap().recv();
        }
    }
    impl urlsession::SessionDelegate for Stuck {}
    on_every_wire(|origin| {
        let (free, stuck) = std::sync::mpsc::channel();
        let delegate = Arc::new(Stuck(std::sync::Mutex::new(stuck), AtomicUsize::new(0)));
        let blocked =
            UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
        let task = blocked.data_task(origin.url("/Nepal"));
        task.resume();
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Peru")).resume();
        assert_eq!(text(&recorder.completed(1).data), "Lima");
        task.cancel();
        assert_eq!(task.state(), TaskState::Canceling);
        drop(free);
    });
}
