//! Progress: trees over tasks, their controls and their changes.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use urlsession::tasks::ProgressChanges;
use urlsession::{BodyStream, Bytes, Progress, TaskState};
use urlsession_testkit::{Reply, Wire};

use crate::support::ranges::*;
use crate::support::*;

#[test]
fn a_tree_counts_its_own_units_and_those_of_its_children() {
    let root = Progress::with_total_unit_count(10);
    assert_eq!((root.fraction_completed(), root.is_indeterminate(), root.is_finished()), (0.0, false, false));
    root.set_completed_unit_count(2);
    let child = Progress::with_total_unit_count(4);
    let grandchild = Progress::with_total_unit_count(2);
    root.add_child(&child, 8).unwrap();
    child.add_child(&grandchild, 4).unwrap();
    grandchild.set_completed_unit_count(1);
    assert_eq!((grandchild.fraction_completed(), child.fraction_completed()), (0.5, 0.5));
    assert_eq!((root.fraction_completed(), root.completed_unit_count()), (0.6, 2));
    assert_eq!(root.localized_description(), "60% completed");
    grandchild.set_completed_unit_count(2);
    assert_eq!((root.fraction_completed(), root.completed_unit_count(), root.is_finished()), (1.0, 10, true));
    assert_eq!(root.total_unit_count(), Some(10));
    // A finished child need not be kept: its units stay.
    root.set_total_unit_count(20);
    root.add_child(&Progress::with_total_unit_count(1), 10).unwrap();
    assert_eq!((root.fraction_completed(), root.completed_unit_count()), (0.5, 10));
}

#[test]
fn a_tree_without_units_is_indeterminate() {
    let progress = Progress::with_total_unit_count(0);
    assert_eq!((progress.is_indeterminate(), progress.fraction_completed()), (true, 0.0));
    progress.set_completed_unit_count(1);
    assert_eq!((progress.is_indeterminate(), progress.fraction_completed()), (false, 1.0));
    assert!(progress.is_finished());
}

#[test]
fn circles_and_children_of_tasks_are_refused() {
    let [a, b, c] = [1, 1, 1].map(Progress::with_total_unit_count);
    a.add_child(&b, 1).unwrap();
    b.add_child(&c, 1).unwrap();
    for (parent, child) in [(&a, &a), (&b, &a), (&c, &a), (&c, &b)] {
        parent.add_child(child, 1).unwrap_err();
    }
    let task = urlsession::UrlSession::shared().data_task("http://localhost/");
    task.progress().add_child(&a, 1).unwrap_err();
    task.progress().set_total_unit_count(9);
    assert_eq!(task.progress().total_unit_count(), None);
}

/// A progress whose handlers write down that they were called.
fn heard(progress: &Progress, name: &'static str, log: &Arc<Mutex<Vec<String>>>) {
    let write = |what: &'static str| {
        let log = log.clone();
        move || log.lock().unwrap().push(format!("{name} {what}"))
    };
    progress.set_cancellation_handler(write("cancelled"));
    progress.set_pausing_handler(write("paused"));
    progress.set_resuming_handler(write("resumed"));
}

#[test]
fn controls_call_handlers_and_act_on_children() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let session = session(origin);
        let task = session.data_task(origin.url("/held"));
        let (root, child) = (Progress::with_total_unit_count(2), Progress::with_total_unit_count(1));
        root.add_child(&child, 1).unwrap();
        child.add_child(&task.progress(), 1).unwrap();
        let log = Arc::default();
        heard(&root, "root", &log);
        heard(&child, "child", &log);
        heard(&task.progress(), "task", &log);

        root.resume();
        assert_eq!((task.state(), root.is_paused()), (TaskState::Running, false));
        assert!(gate.wait_reached(PATIENCE));
        root.pause();
        root.pause();
        assert_eq!(task.state(), TaskState::Suspended);
        assert!(root.is_paused() && child.is_paused() && task.progress().is_paused());
        root.resume();
        assert_eq!(task.state(), TaskState::Running, "one resumption for one pause");
        child.cancel();
        assert!(!root.is_cancelled() && child.is_cancelled());
        in_tokio(drain(task.observe()));
        root.cancel();
        root.cancel();
        assert!(root.is_cancelled() && task.progress().is_cancelled() && !root.is_finished());
        let expected = [
            "task resumed",
            "root paused",
            "child paused",
            "task paused",
            "root resumed",
            "child resumed",
            "task resumed",
            "child cancelled",
            "task cancelled",
            "root cancelled",
        ];
        assert_eq!(*log.lock().unwrap(), expected);
    });
}

#[test]
fn who_joins_late_is_treated_as_the_others_were() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let (root, late) = (Progress::with_total_unit_count(1), Progress::with_total_unit_count(1));
        root.pause();
        root.add_child(&late, 1).unwrap();
        assert!(late.is_paused());
        root.cancel();
        let task = session.data_task(origin.url("/Nepal"));
        root.add_child(&task.progress(), 1).unwrap();
        in_tokio(drain(task.observe()));
        assert!(task.progress().is_cancelled());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        root.set_cancellation_handler(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn what_is_offered_to_a_user_is_only_said() {
    let task = urlsession::UrlSession::shared().data_task("http://localhost/");
    for progress in [Progress::with_total_unit_count(1), task.progress()] {
        assert!(progress.is_cancellable() && progress.is_pausable());
        progress.set_cancellable(false);
        progress.set_pausable(false);
        assert!(!progress.is_cancellable() && !progress.is_pausable());
        progress.cancel();
        assert!(progress.is_cancelled());
    }
    assert!(!task.progress().is_cancellable(), "a task has one progress, however often it is asked for");
}

#[test]
fn a_tree_tells_what_happens_below_it() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        let url = origin.url("/half");
        origin.enqueue("/half", Reply::new(200).pattern(0, 100_000).body_gate(50_000, gate.clone()));
        let (session, recorder) = recorded(origin);
        let root = Progress::with_total_unit_count(4);
        let mut changes = root.changes();
        let inner = Progress::with_total_unit_count(1);
        root.add_child(&inner, 2).unwrap();
        let task = session.data_task(url);
        inner.add_child(&task.progress(), 1).unwrap();
        task.resume();
        recorder.wait_for(|log| log.data.len() == 50_000);
        in_tokio(async {
            // Unread changes are one; the last of them is there at the latest.
            while next(&mut changes).await.unwrap() < 0.25 {}
            assert_eq!(root.fraction_completed(), 0.25);
            gate.release();
            while !inner.is_finished() {
                next(&mut changes).await.unwrap();
            }
            assert_eq!((root.fraction_completed(), root.is_finished()), (0.5, false));
            root.set_completed_unit_count(2);
            assert_eq!(drain(changes).await.last(), Some(&1.0));
        });
        assert_eq!(root.completed_unit_count(), 4);
        assert!(in_tokio(drain(root.changes())).is_empty());
        assert!(in_tokio(drain(task.progress().changes())).is_empty());
    });
}

/// A waker and a handler that use the progress themselves would deadlock under its lock.
#[test]
fn no_lock_is_held_while_the_application_is_called() {
    struct Reader(Progress, Mutex<Vec<f64>>);
    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            let fraction = self.0.fraction_completed();
            self.1.lock().unwrap().push(fraction);
        }
    }
    let root = Progress::with_total_unit_count(4);
    let child = Progress::with_total_unit_count(2);
    root.add_child(&child, 4).unwrap();
    let reader = Arc::new(Reader(root.clone(), Mutex::default()));
    let waker = Waker::from(reader.clone());
    let mut changes = root.changes();
    let poll = |changes: &mut ProgressChanges| Pin::new(changes).poll_next(&mut Context::from_waker(&waker));
    assert_eq!(poll(&mut changes), Poll::Pending);
    child.set_completed_unit_count(1);
    assert_eq!(*reader.1.lock().unwrap(), [0.5]);
    assert_eq!(poll(&mut changes), Poll::Ready(Some(0.5)));
    assert_eq!(poll(&mut changes), Poll::Pending);
    let seen = root.clone();
    root.set_cancellation_handler(move || {
        seen.set_total_unit_count(8);
        seen.add_child(&Progress::with_total_unit_count(1), 4).unwrap();
    });
    root.cancel();
    assert_eq!(poll(&mut changes), Poll::Ready(Some(0.25)));
    assert_eq!(poll(&mut changes), Poll::Ready(None));
}

/// A body that is what a test puts there.
fn fed_body() -> (BodyStream, mpsc::Sender<Bytes>) {
    struct Fed(mpsc::Receiver<Bytes>);
    impl Stream for Fed {
        type Item = std::io::Result<Bytes>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(cx).map(|chunk| chunk.map(Ok))
        }
    }
    let (sender, receiver) = mpsc::channel(1);
    (BodyStream::from_stream(Fed(receiver)), sender)
}

/// Waits until a fraction is this far; it never goes back on its way there.
async fn reaches(changes: &mut ProgressChanges, fraction: f64) {
    let mut last = 0.0;
    while last < fraction - 1e-9 {
        let now = next(changes).await.expect("the task has not ended");
        assert!(last <= now && now <= fraction + 1e-9, "{last}, then {now} on the way to {fraction}");
        last = now;
    }
}

#[test]
fn the_fraction_of_an_upload_moves_while_it_is_sent_and_does_not_go_back_when_it_is_answered() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/upload", Reply::new(200).pattern(0, 100_000).body_gate(50_000, gate.clone()));
        let (body, sender) = fed_body();
        let (session, recorder) = with_recorder(configuration(origin), Recorder::new().giving_bodies([body]));
        let mut post = request(&origin.url("/upload"), "POST", None);
        post.set_value("Content-Length", "100000").unwrap();
        let task = session.upload_task_with_streamed_request(post);
        let progress = task.progress();
        assert_eq!((progress.is_indeterminate(), progress.fraction_completed()), (false, 0.0));
        let mut changes = progress.changes();
        task.resume();
        in_tokio(async {
            let half = Bytes::from(vec![b'a'; 50_000]);
            sender.send(half.clone()).await.unwrap();
            reaches(&mut changes, 0.475).await;
            sender.send(half).await.unwrap();
            drop(sender);
            // The answer is as long as the body: what is sent would be a half of it all.
            reaches(&mut changes, 0.975).await;
            assert_eq!(
                (progress.completed_unit_count(), progress.total_unit_count()),
                (150_000, Some(200_000))
            );
        });
        gate.release();
        recorder.completed(1).succeeded();
        assert_eq!(progress.fraction_completed(), 1.0);
    });
}

#[test]
fn the_fraction_of_another_task_is_mostly_what_it_receives() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 100_000).body_gate(50_000, gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.data_task(request(&origin.url("/half"), "POST", Some(&[b'a'; 100_000])));
        let progress = task.progress();
        assert!(progress.is_indeterminate(), "who asks for something does not know how much comes");
        task.resume();
        recorder.wait_for(|log| log.data.len() == 50_000);
        assert_eq!((progress.is_indeterminate(), progress.fraction_completed()), (false, 0.525));
        gate.release();
        recorder.completed(1).succeeded();
        assert_eq!(progress.fraction_completed(), 1.0);
    });
}

#[test]
fn of_a_coded_body_the_total_is_unknown() {
    on_every_wire(|origin| {
        // Much shorter than what it holds.
        let body = gzip(&[b'a'; 100_000]);
        let at = body.len() as u64 - 1;
        let (gate, session) = (origin.hold(), session(origin));
        origin.enqueue("/coded", Reply::new(200).header("Content-Encoding", "gzip").body(body.clone()));
        let (task, loaded) = load_with_task(&session, origin.url("/coded"));
        assert_eq!(loaded.unwrap().0.len(), 100_000);
        assert_eq!(task.count_of_bytes_expected_to_receive(), None);
        assert_eq!((task.progress().total_unit_count(), task.progress().fraction_completed()), (None, 1.0));

        let reply = Reply::new(200).header("Content-Encoding", "gzip").body(body);
        origin.enqueue("/coded", reply.body_gate(at, gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.download_task(origin.url("/coded"));
        task.resume();
        recorder.wait_for(|log| !log.written.is_empty());
        assert_eq!((task.progress().is_indeterminate(), task.progress().fraction_completed()), (true, 0.0));
        gate.release();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.written.last().map(|(_, total, expected)| (*total, *expected)), Some((100_000, None)));
        assert!(log.written.iter().all(|(.., expected)| expected.is_none()), "{:?}", log.written);
    });
}

#[test]
fn throughput_and_time_left_of_a_task_are_measured_and_those_of_others_set() {
    on_every_wire(|origin| {
        let (configuration, clock) = with_hand_clock(origin);
        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 100_000).body_gate(50_000, gate.clone()));
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let task = session.data_task(origin.url("/half"));
        let progress = task.progress();
        let told = || (progress.throughput(), progress.estimated_time_remaining());
        assert_eq!(told(), (None, None), "it does not run");
        task.resume();
        recorder.wait_for(|log| log.data.len() == 50_000);
        clock.advance(Duration::from_secs(2));
        assert_eq!(told(), (Some(25_000), Some(Duration::from_secs(2))));
        clock.advance(Duration::from_secs(10));
        assert_eq!(told(), (Some(0), None), "nothing moves");
        progress.set_throughput(Some(7));
        progress.set_estimated_time_remaining(Some(Duration::from_secs(7)));
        assert_eq!(told(), (Some(0), None));
        gate.release();
        recorder.completed(1).succeeded();
        assert_eq!(told(), (None, None), "it is over");
    });
    let own = Progress::with_total_unit_count(1);
    assert_eq!((own.throughput(), own.estimated_time_remaining()), (None, None));
    own.set_throughput(Some(7));
    own.set_estimated_time_remaining(Some(Duration::from_secs(8)));
    assert_eq!((own.throughput(), own.estimated_time_remaining()), (Some(7), Some(Duration::from_secs(8))));
}

#[test]
fn what_an_earlier_download_has_left_is_no_speed() {
    on_every_range_server(|ranges| {
        let data: Vec<u8> = ranges.broken_at(150_001).into();
        let gate = ranges.origin.hold();
        let held = gate.clone();
        ranges.then(move |request| part(asked(request), LENGTH).body_gate(10_000, held.clone()));
        let (configuration, clock) = with_hand_clock(&ranges.origin);
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let task = session.download_task_with_resume_data(data);
        let progress = task.progress();
        let mut changes = progress.changes();
        task.resume();
        let resumed = recorder.wait_for(|log| !log.resumed.is_empty()).resumed[0].0;
        in_tokio(reaches(&mut changes, (resumed + 10_000) as f64 / LENGTH as f64));
        clock.advance(Duration::from_secs(2));
        assert_eq!(progress.throughput(), Some(5_000));
        gate.release();
        recorder.completed(1).succeeded();
    });
}
