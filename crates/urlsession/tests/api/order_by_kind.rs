//! The order of a delegate's calls for every kind of task and every way it can go (stream tasks: see `convert` and
//! `streams`).

use urlsession::{Decision, Task, TaskState, UrlErrorCode, UrlSession};
use urlsession_testkit::{Accept, Gate, Origin, Reply, Wire};

use crate::support::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Data,
    Upload,
    Download,
}

use Kind::{Data, Download, Upload};

impl Kind {
    fn task(self, session: &UrlSession, url: String) -> Task {
        match self {
            Data => session.data_task(url).into(),
            Upload => session.upload_task(request(&url, "PUT", None), vec![7; 1000]).into(),
            Download => session.download_task(url).into(),
        }
    }

    /// What is heard when the request is out.
    fn sent(self) -> Vec<&'static str> {
        if self == Upload { vec!["didSendBody"] } else { vec![] }
    }

    /// What is heard when half of the body is here.
    fn half(self) -> Vec<&'static str> {
        match self {
            Data | Upload => vec!["didReceiveResponse", "didReceiveData"],
            Download => vec!["didWriteData"],
        }
    }

    /// What is heard of a whole response.
    fn whole(self) -> Vec<&'static str> {
        match self {
            Data | Upload => self.half(),
            Download => vec!["didWriteData", "didFinishDownloading"],
        }
    }
}

fn for_each(test: impl Fn(&Origin, Kind)) {
    on_every_wire(|origin| [Data, Upload, Download].into_iter().for_each(|kind| test(origin, kind)));
}

fn calls(parts: &[Vec<&'static str>]) -> Vec<&'static str> {
    let mut calls = parts.concat();
    calls.push("didComplete");
    calls
}

fn run(kind: Kind, session: &UrlSession, recorder: &Recorder, url: String) -> Log {
    let task = kind.task(session, url);
    task.resume();
    let log = recorder.completed(1);
    assert_eq!(task.state(), TaskState::Completed);
    assert_eq!(log.metrics.len(), 1, "metrics come once, before the end");
    log
}

#[test]
fn success() {
    for_each(|origin, kind| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/ok", Reply::new(200).pattern(0, 1000));
        let log = run(kind, &session, &recorder, origin.url("/ok"));
        log.succeeded();
        assert_eq!(log.calls, calls(&[kind.sent(), kind.whole()]), "{kind:?}");
        assert_eq!(log.data.len(), 1000);
    });
}

#[test]
fn failure_before_the_head_and_after_it() {
    for_each(|origin, kind| {
        let heard = [
            (Reply::drop_connection(), vec![]),
            (Reply::new(200).pattern(0, 1000).truncate_at(500), kind.half()),
        ];
        for (reply, heard) in heard {
            let (session, recorder) = recorded(origin);
            origin.enqueue("/fails", reply);
            let log = run(kind, &session, &recorder, origin.url("/fails"));
            assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
            assert_eq!(log.calls, calls(&[kind.sent(), heard]), "{kind:?}");
        }
    });
}

#[test]
fn a_redirect_that_is_followed_changed_or_refused() {
    for_each(|origin, kind| {
        let there = || {
            origin.enqueue("/there", Reply::new(307).header("Location", "/here").body("moved"));
            origin.url("/there")
        };
        origin.enqueue("/here", Reply::new(200).body("here"));
        let (session, recorder) = recorded(origin);
        let log = run(kind, &session, &recorder, there());
        assert_eq!(
            log.calls,
            calls(&[kind.sent(), vec!["willRedirect"], kind.sent(), kind.whole()]),
            "{kind:?}"
        );
        assert_eq!(text(&log.data), "here");

        let elsewhere = origin.url("/Peru");
        let changing = Recorder::new().redirecting(move |_, mut next| {
            next.set_url(elsewhere.parse().unwrap());
            Decision::now(Some(next))
        });
        let (session, recorder) = with_recorder(configuration(origin), changing);
        let log = run(kind, &session, &recorder, there());
        assert_eq!(
            log.calls,
            calls(&[kind.sent(), vec!["willRedirect"], kind.sent(), kind.whole()]),
            "{kind:?}"
        );
        assert_eq!(text(&log.data), "Lima");

        let refusing = Recorder::new().redirecting(|_, _| Decision::now(None));
        let (session, recorder) = with_recorder(configuration(origin), refusing);
        let log = run(kind, &session, &recorder, there());
        assert_eq!(log.calls, calls(&[kind.sent(), vec!["willRedirect"], kind.whole()]), "{kind:?}");
        assert_eq!(text(&log.data), "moved");
    });
}

/// Cancelled when `when` says so: what was heard until then, completion, and the end of the session.
fn cancelled(
    kind: Kind,
    origin: &Origin,
    url: String,
    heard: &[Vec<&'static str>],
    when: impl FnOnce(&Task, &Recorder),
) {
    let (session, recorder) = recorded(origin);
    let task = kind.task(&session, url);
    when(&task, &recorder);
    task.cancel();
    recorder.completed(1);
    session.finish_tasks_and_invalidate();
    let log = recorder.wait_for(|log| log.invalid == 1);
    let mut expected = calls(heard);
    expected.push("didBecomeInvalid");
    assert_eq!(log.calls, expected, "{kind:?}");
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled, "{kind:?}");
    assert_eq!(task.state(), TaskState::Completed);
}

#[test]
fn cancelled_before_it_is_resumed() {
    for_each(|origin, kind| cancelled(kind, origin, origin.url("/x"), &[], |_, _| {}));
}

#[test]
fn cancelled_while_it_is_queued() {
    for kind in [Data, Upload, Download] {
        on(Wire::H1, |origin| {
            let mut configuration = configuration(origin);
            configuration.http_maximum_connections_per_host = 1;
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            let gate = origin.hold();
            origin.enqueue("/held", Reply::new(204).after(gate.clone()));
            session.data_task(origin.url("/held")).resume();
            assert!(gate.wait_reached(PATIENCE));
            let queued = kind.task(&session, origin.url("/never"));
            queued.resume();
            queued.cancel();
            assert_eq!(recorder.completed(1).calls, ["didComplete"], "{kind:?}");
            gate.release();
            recorder.completed(2);
            assert_eq!(origin.requests().len(), 1);
        });
    }
}

#[test]
fn cancelled_while_it_is_connecting() {
    for kind in [Data, Upload, Download] {
        let origin = Origin::builder().wire(Wire::TlsH1).accept(Accept::Stall).start();
        cancelled(kind, &origin, origin.url("/x"), &[], |task, _| {
            task.resume();
            assert!(origin.wait_for(|journal| journal.accepted == 1, PATIENCE));
        });
    }
}

fn held(origin: &Origin, reply: impl FnOnce(Gate) -> Reply) -> (String, urlsession_testkit::Hold) {
    let gate = origin.hold();
    origin.enqueue("/held", reply(gate.clone()));
    (origin.url("/held"), gate)
}

#[test]
fn cancelled_when_the_head_is_sent() {
    for_each(|origin, kind| {
        let (url, gate) = held(origin, Reply::held);
        cancelled(kind, origin, url, &[kind.sent()], |task, recorder| {
            task.resume();
            assert!(gate.wait_reached(PATIENCE));
            recorder.wait_for(|log| log.calls.len() == kind.sent().len());
        });
        gate.release();
    });
}

#[test]
fn cancelled_when_the_body_is_half_read() {
    for_each(|origin, kind| {
        let (url, gate) = held(origin, |gate| Reply::new(200).pattern(0, 1000).body_gate(500, gate));
        cancelled(kind, origin, url, &[kind.sent(), kind.half()], |task, recorder| {
            task.resume();
            let all = |log: &Log| {
                log.data.len() == 500 || log.written.last().is_some_and(|(_, total, _)| *total == 500)
            };
            recorder.wait_for(all);
        });
        gate.release();
    });
}

#[test]
fn cancelled_after_the_last_byte_it_keeps_its_result() {
    for_each(|origin, kind| {
        let (session, recorder) = recorded(origin);
        let task = kind.task(&session, origin.url("/Peru"));
        task.resume();
        recorder.completed(1);
        task.cancel();
        session.finish_tasks_and_invalidate();
        let log = recorder.wait_for(|log| log.invalid == 1);
        log.succeeded();
        assert_eq!(log.calls.last(), Some(&"didBecomeInvalid"));
        assert_eq!(log.calls.iter().filter(|call| **call == "didComplete").count(), 1);
    });
}

#[test]
fn invalidated_in_flight() {
    for_each(|origin, kind| {
        let (url, gate) = held(origin, |gate| Reply::new(200).pattern(0, 1000).body_gate(500, gate));
        let (session, recorder) = recorded(origin);
        kind.task(&session, url).resume();
        let all = |log: &Log| {
            log.data.len() == 500 || log.written.last().is_some_and(|(_, total, _)| *total == 500)
        };
        recorder.wait_for(all);
        session.invalidate_and_cancel();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.calls[log.calls.len() - 2..], ["didComplete", "didBecomeInvalid"], "{kind:?}");
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        gate.release();
    });
}
