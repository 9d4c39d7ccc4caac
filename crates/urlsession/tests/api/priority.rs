//! Priorities: who gets the next connection, and what the server is told, at the beginning and later.

use urlsession::UrlSession;
use urlsession_testkit::{Origin, PriorityUpdate, Reply, Wire};

use crate::support::*;

/// The library's thread has done what it was given to do so far.
fn settle(session: &UrlSession, origin: &Origin) {
    session.data(origin.url("/Uruguay").replace("127.0.0.1", "localhost")).wait().unwrap();
}

/// The paths the tasks were answered in, one connection held by another until all have their priorities.
fn served(priorities: &[(&str, f32)], later: &[(usize, f32)]) -> Vec<String> {
    let origin = Origin::start(Wire::H1);
    let mut configuration = configuration(&origin);
    configuration.http_maximum_connections_per_host = 1;
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let gate = origin.hold();
    origin.enqueue("/held", Reply::new(200).after(gate.clone()));
    session.data_task(origin.url("/held")).resume();
    assert!(gate.wait_reached(PATIENCE));
    let mut tasks = Vec::new();
    for (path, priority) in priorities {
        let task = session.data_task(origin.url(path));
        task.set_priority(*priority);
        task.resume();
        tasks.push(task);
    }
    settle(&session, &origin);
    for (task, priority) in later {
        tasks[*task].set_priority(*priority);
    }
    settle(&session, &origin);
    gate.release();
    recorder.completed(1 + priorities.len());
    let order = origin.requests().iter().map(|request| request.path().to_owned()).collect::<Vec<_>>();
    order.into_iter().filter(|path| path != "/Uruguay" && path != "/held").collect()
}

#[test]
fn higher_priorities_get_the_next_connection() {
    let tasks = [("/Nepal", 0.1), ("/Peru", 0.5), ("/UK", 0.9), ("/Italy", 0.5)];
    assert_eq!(served(&tasks, &[]), ["/UK", "/Peru", "/Italy", "/Nepal"]);
}

#[test]
fn a_priority_changed_in_the_queue_changes_the_order() {
    let tasks = [("/Nepal", 0.1), ("/Peru", 0.5), ("/UK", 0.9), ("/Italy", 0.5)];
    assert_eq!(served(&tasks, &[(0, 1.0), (1, 0.4)]), ["/Nepal", "/UK", "/Italy", "/Peru"]);
    assert_eq!(served(&tasks, &[(2, 0.5)]), ["/Peru", "/Italy", "/UK", "/Nepal"], "behind its equals");
}

#[test]
fn a_priority_other_than_the_default_is_told_to_the_server() {
    on_every_wire(|origin| {
        let session = session(origin);
        for (priority, sent) in [(1.0, Some("u=0")), (0.5, None), (0.25, Some("u=5"))] {
            let load = session.data(origin.url("/Peru"));
            let task = load.task();
            task.set_priority(priority);
            load.wait().unwrap();
            assert_eq!(task.priority(), priority);
            assert_eq!(origin.requests().last().unwrap().header("priority"), sent);
        }
    });
}

fn updates(origin: &Origin) -> Vec<PriorityUpdate> {
    origin.journal(|journal| journal.priority_updates.clone())
}

fn update(stream: u32, value: &str) -> PriorityUpdate {
    PriorityUpdate { stream, value: value.into() }
}

#[test]
fn over_http2_a_change_is_told_while_the_response_is_awaited_and_while_it_is_read() {
    on(Wire::TlsH2, |origin| {
        let (session, recorder) = recorded(origin);
        let (head, body) = (origin.hold(), origin.hold());
        origin.enqueue(
            "/slow",
            Reply::new(200).pattern(0, 1000).after(head.clone()).body_gate(500, body.clone()),
        );
        let task = session.data_task(origin.url("/slow"));
        task.resume();
        assert!(head.wait_reached(PATIENCE));
        task.set_priority(1.0);
        assert!(origin.wait_for(|journal| journal.priority_updates.len() == 1, PATIENCE));
        head.release();
        recorder.wait_for(|log| log.data.len() == 500);
        task.set_priority(0.0);
        assert!(origin.wait_for(|journal| journal.priority_updates.len() == 2, PATIENCE));
        // As urgent as before: nothing to tell.
        task.set_priority(0.01);
        body.release();
        assert_eq!(recorder.completed(1).data.len(), 1000);
        assert_eq!(updates(origin), [update(1, "u=0"), update(1, "u=7")]);
        // And the connection goes on.
        session.data(origin.url("/Nepal")).wait().unwrap();
        assert_eq!(origin.journal(|journal| journal.accepted), 1);
    });
}

#[test]
fn over_http2_a_change_is_told_between_the_frames_of_an_upload() {
    on(Wire::TlsH2, |origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/upload", Reply::new(200).read_gate(gate.clone()));
        let task = session.data_task(request(&origin.url("/upload"), "POST", Some(&vec![7; 3_000_000])));
        task.resume();
        recorder.wait_for(|log| log.sent.last().is_some_and(|(_, total, _)| *total > 0));
        task.set_priority(0.9);
        assert!(origin.wait_for(|journal| journal.priority_updates.len() == 1, PATIENCE));
        gate.release();
        assert!(recorder.completed(1).completions[0].is_none());
        assert_eq!(origin.requests()[0].body_len, 3_000_000);
        assert_eq!(updates(origin), [update(1, "u=1")]);
    });
}
