//! Delegates: who is called, in which order, on which thread, and what happens when they misbehave.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use urlsession::tasks::QueueJob;
use urlsession::{
    Bytes, DataTask, Decision, DelegateQueue, ResponseDisposition, SessionDelegate, Task, TaskDelegate,
    UrlError, UrlErrorCode, UrlResponse, UrlSession,
};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

struct Nothing;
impl TaskDelegate for Nothing {}
impl SessionDelegate for Nothing {}

#[test]
fn test_session_delegate_called_if_task_delegate_does_not_implement() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/country.txt"));
        task.set_delegate(Nothing).unwrap();
        task.resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
        assert_eq!(log.metrics.len(), 1);
    });
}

#[test]
fn a_tasks_own_delegate_is_asked_first_and_may_pass_on() {
    struct Own(mpsc::Sender<String>);
    impl TaskDelegate for Own {
        fn did_receive_data(&self, task: &DataTask, data: Bytes) {
            self.0.send(text(&data).to_owned()).unwrap();
            if let Some((next, _)) = task.next_delegate() {
                next.did_receive_data(task, Bytes::from_static(b"changed"));
            }
        }
    }
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let (sender, receiver) = mpsc::channel();
        let task = session.data_task(origin.url("/Nepal"));
        task.set_delegate(Own(sender)).unwrap();
        task.resume();
        assert_eq!(text(&recorder.completed(1).data), "changed");
        assert_eq!(receiver.recv().unwrap(), "Kathmandu");
        let late = task.remove_delegate().unwrap_err();
        assert_eq!(late.to_string(), "the delegate cannot be set after `resume()` (-999)");
        assert!(receiver.recv().is_err(), "the delegate was released");
    });
}

#[test]
fn a_delegate_may_be_a_value_or_shared_and_for_tasks_alone() {
    #[derive(Default)]
    struct Count(Mutex<Vec<&'static str>>);
    impl TaskDelegate for Count {
        fn did_complete(&self, _: &Task, _: Option<&UrlError>) {
            self.0.lock().unwrap().push("completed");
        }
    }
    impl SessionDelegate for Count {
        fn did_become_invalid(&self, _: &UrlSession, _: Option<&UrlError>) {
            self.0.lock().unwrap().push("invalid");
        }
    }
    struct Sent(mpsc::Sender<()>);
    impl TaskDelegate for Sent {
        fn did_complete(&self, _: &Task, _: Option<&UrlError>) {
            self.0.send(()).unwrap();
        }
    }
    on(Wire::H1, |origin| {
        let load = |session: &UrlSession| {
            session.data_task(origin.url("/Peru")).resume();
            session.finish_tasks_and_invalidate();
            wait_until(|| session.delegate().is_none());
        };
        let queue = DelegateQueue::serial;
        let count = Arc::new(Count::default());
        let shared: [Arc<dyn SessionDelegate>; 1] = [count.clone()];
        load(&UrlSession::with_delegate(configuration(origin), count.clone(), queue()));
        load(&UrlSession::with_delegate(configuration(origin), shared[0].clone(), queue()));
        // The delegate is let go before it is told of the session's end.
        wait_until(|| count.0.lock().unwrap().len() == 4);
        assert_eq!(*count.0.lock().unwrap(), ["completed", "invalid", "completed", "invalid"]);
        // What is for tasks alone is not told of the session's end.
        load(&UrlSession::with_task_delegate(configuration(origin), count.clone(), queue()));
        load(&UrlSession::with_task_delegate(configuration(origin), shared[0].clone(), queue()));
        assert_eq!(count.0.lock().unwrap()[4..], ["completed", "completed"]);
        let (sender, receiver) = mpsc::channel();
        load(&UrlSession::with_task_delegate(configuration(origin), Sent(sender), queue()));
        receiver.recv().unwrap();
    });
}

#[test]
fn creation_is_told_at_once_on_the_creating_thread() {
    struct Creation(Mutex<Vec<(std::thread::ThreadId, u64)>>);
    impl TaskDelegate for Creation {
        fn did_create_task(&self, task: &Task) {
            task.set_priority(0.9);
            self.0.lock().unwrap().push((std::thread::current().id(), task.task_identifier()));
        }
    }
    impl SessionDelegate for Creation {}
    on(Wire::H1, |origin| {
        let delegate = Arc::new(Creation(Mutex::default()));
        let session =
            UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
        let task = session.data_task(origin.url("/Nepal"));
        assert_eq!(*delegate.0.lock().unwrap(), [(std::thread::current().id(), 1)]);
        assert_eq!(task.priority(), 0.9);
        let load = session.data(origin.url("/Nepal"));
        assert_eq!(load.task().priority(), 0.9);
    });
}

#[test]
fn a_response_may_be_refused() {
    on_every_wire(|origin| {
        let recorder = Recorder::new().disposing(ResponseDisposition::Cancel);
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        session.data_task(origin.url("/Nepal")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["didReceiveResponse", "didComplete"]);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert!(log.data.is_empty());
    });
}

#[test]
fn no_data_comes_before_the_response_is_answered() {
    #[derive(Default)]
    struct Late {
        responder: Mutex<Option<urlsession::Responder<ResponseDisposition>>>,
        asked: Mutex<Option<mpsc::Sender<()>>>,
        data: Mutex<Vec<u8>>,
    }
    impl TaskDelegate for Late {
        fn did_receive_response(&self, _: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
            let (answer, responder) = Decision::deferred();
            *self.responder.lock().unwrap() = Some(responder);
            self.asked.lock().unwrap().take().unwrap().send(()).unwrap();
            answer
        }
        fn did_receive_data(&self, _: &DataTask, data: Bytes) {
            self.data.lock().unwrap().extend_from_slice(&data);
        }
    }
    impl SessionDelegate for Late {}
    on_every_wire(|origin| {
        let (sender, asked) = mpsc::channel();
        let delegate = Arc::new(Late { asked: Mutex::new(Some(sender)), ..Late::default() });
        let session =
            UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
        let task = session.data_task(origin.url("/Nepal"));
        let states = task.state_changes();
        task.resume();
        asked.recv_timeout(PATIENCE).unwrap();
        assert!(delegate.data.lock().unwrap().is_empty());
        delegate.responder.lock().unwrap().take().unwrap().answer(ResponseDisposition::Allow);
        in_tokio(drain(states));
        assert_eq!(*delegate.data.lock().unwrap(), b"Kathmandu");
    });
}

#[test]
fn a_panic_fails_its_task_and_nothing_else() {
    struct Clumsy(mpsc::Sender<Option<UrlError>>);
    impl TaskDelegate for Clumsy {
        fn did_receive_data(&self, task: &DataTask, _: Bytes) {
            assert_ne!(task.task_identifier(), 1, "clumsy");
        }
        fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
            self.0.send(error.cloned()).unwrap();
        }
    }
    impl SessionDelegate for Clumsy {}
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/first", Reply::new(200).pattern(0, 10).body_gate(5, gate.clone()));
        let (sender, receiver) = mpsc::channel();
        let delegate = Arc::new(Clumsy(sender));
        let session = UrlSession::with_delegate(configuration(origin), delegate, DelegateQueue::serial());
        session.data_task(origin.url("/first")).resume();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap().to_string();
        let place = format!("the load was cancelled at localhost:{}/first (-999): ", origin.port());
        let place = place
            .replace("localhost", origin.url("/").parse::<urlsession::Url>().unwrap().host_str().unwrap());
        assert!(error.starts_with(&place), "{error}");
        assert!(
            error.contains("the delegate panicked in did_receive_data") && error.contains("clumsy"),
            "{error}"
        );
        session.data_task(origin.url("/Nepal")).resume();
        assert!(receiver.recv_timeout(PATIENCE).unwrap().is_none());
        gate.release();
    });
}

#[test]
fn a_panic_in_a_late_answer_fails_its_task_too() {
    on_every_wire(|origin| {
        let recorder = Recorder::new().redirecting(|_, _| Decision::later(async { panic!("late") }));
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        session.data_task(origin.url("/redirect/1")).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].as_ref().unwrap().to_string().contains("late"));
    });
}

#[test]
fn calls_come_on_the_applications_executor() {
    on_every_wire(|origin| {
        let (sender, jobs) = mpsc::channel::<QueueJob>();
        let queue = DelegateQueue::on(move |job| sender.send(job).unwrap());
        let recorder = Recorder::new();
        let session = UrlSession::with_delegate(configuration(origin), Arc::new(recorder.clone()), queue);
        session.data_task(origin.url("/Nepal")).resume();
        // The test's thread is the application's loop.
        while recorder.log().completions.is_empty() {
            jobs.recv_timeout(PATIENCE).unwrap()();
        }
        assert_eq!(text(&recorder.log().data), "Kathmandu");
    });
}

#[test]
fn completion_comes_once_and_last_for_a_hundred_tasks() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        for i in 0..100 {
            let task = session.data_task(origin.url("/Nepal"));
            task.resume();
            if i % 3 == 0 {
                task.cancel();
            }
        }
        session.finish_tasks_and_invalidate();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.completions.len(), 100);
        assert_eq!(log.calls.last(), Some(&"didBecomeInvalid"));
        assert_eq!(log.metrics.len(), 100);
    });
}

#[test]
fn a_slow_delegate_holds_the_server_back() {
    struct Slow(mpsc::Receiver<()>, mpsc::Sender<usize>);
    struct Gate(Mutex<Slow>);
    impl TaskDelegate for Gate {
        fn did_receive_data(&self, _: &DataTask, data: Bytes) {
            let slow = self.0.lock().unwrap();
            slow.1.send(data.len()).unwrap();
            let _ = slow.0.recv();
        }
    }
    impl SessionDelegate for Gate {}
    on_every_wire(|origin| {
        origin.enqueue("/big", Reply::new(200).endless(1 << 30));
        let (step, steps) = mpsc::channel();
        let (seen, sizes) = mpsc::channel();
        let delegate = Arc::new(Gate(Mutex::new(Slow(steps, seen))));
        let session = UrlSession::with_delegate(configuration(origin), delegate, DelegateQueue::serial());
        let task = session.data_task(origin.url("/big"));
        task.resume();
        let mut taken = 0;
        for _ in 0..20 {
            taken += sizes.recv_timeout(PATIENCE).unwrap();
            let ahead = task.count_of_bytes_received() as usize - taken;
            assert!(ahead <= 2 << 20, "{ahead} bytes wait for the delegate");
            step.send(()).unwrap();
        }
        session.invalidate_and_cancel();
        drop(step);
    });
}

/// The lengths of the data calls of one task.
#[derive(Default)]
struct Lengths(Mutex<Vec<usize>>, Mutex<Option<mpsc::Sender<Option<UrlError>>>>);

impl TaskDelegate for Lengths {
    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.0.lock().unwrap().push(data.len());
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.1.lock().unwrap().take().unwrap().send(error.cloned()).unwrap();
    }
}
impl SessionDelegate for Lengths {}

#[test]
fn data_comes_in_one_piece_if_the_task_prefers_that() {
    on_every_wire(|origin| {
        let run = |reply: Reply, is_incremental: bool| {
            origin.enqueue("/big", reply);
            let (sender, ended) = mpsc::channel();
            let delegate = Arc::new(Lengths(Mutex::default(), Mutex::new(Some(sender))));
            let session =
                UrlSession::with_delegate(configuration(origin), delegate.clone(), DelegateQueue::serial());
            let task = session.data_task(origin.url("/big"));
            assert!(task.prefers_incremental_delivery());
            task.set_prefers_incremental_delivery(is_incremental).unwrap();
            task.resume();
            let error = ended.recv_timeout(PATIENCE).expect("the task did not end");
            task.set_prefers_incremental_delivery(true).unwrap_err();
            assert_eq!(task.prefers_incremental_delivery(), is_incremental);
            (delegate.0.lock().unwrap().clone(), error.map(|error| error.code()))
        };
        let big = || Reply::new(200).pattern(0, 2_000_000);
        let (lengths, error) = run(big(), true);
        assert_eq!((lengths.iter().sum::<usize>(), error), (2_000_000, None));
        assert!(lengths.len() > 1);
        assert_eq!(run(big(), false), (vec![2_000_000], None));
        assert_eq!(run(Reply::new(204), false), (vec![], None));
        assert_eq!(
            run(big().truncate_at(1_000_000), false),
            (vec![], Some(UrlErrorCode::NetworkConnectionLost))
        );
    });
}

#[test]
fn the_delegate_of_a_future_may_get_its_data_in_one_piece_too() {
    on_every_wire(|origin| {
        let delegate = Arc::new(Lengths::default());
        let session = session(origin);
        let load = session.data(origin.url("/bytes/2000000"));
        load.task().set_delegate(delegate.clone()).unwrap();
        load.task().set_prefers_incremental_delivery(false).unwrap();
        assert_eq!(load.wait().unwrap().0.len(), 2_000_000);
        assert_eq!(*delegate.0.lock().unwrap(), [2_000_000]);
        let task = session.data_task_with_handler(origin.url("/Nepal"), |_| {});
        assert!(!task.prefers_incremental_delivery(), "a handler gets everything at once");
    });
}

#[test]
fn a_panic_when_the_task_is_created_fails_that_task_and_a_panic_of_its_body_too() {
    struct Clumsy(mpsc::Sender<Option<UrlError>>);
    impl TaskDelegate for Clumsy {
        fn did_create_task(&self, task: &Task) {
            assert_ne!(task.task_identifier(), 1, "clumsy");
        }
        fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
            self.0.send(error.cloned()).unwrap();
        }
    }
    impl SessionDelegate for Clumsy {}
    on_every_wire(|origin| {
        let (sender, receiver) = mpsc::channel();
        let delegate = Arc::new(Clumsy(sender));
        let session = UrlSession::with_delegate(configuration(origin), delegate, DelegateQueue::serial());
        let task = session.data_task(origin.url("/Nepal"));
        task.resume();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap().to_string();
        assert!(error.contains("did_create_task") && error.contains("clumsy"), "{error}");
        assert_eq!(origin.requests().len(), 0);

        let mut put = request(&origin.url("/echo"), "PUT", None);
        put.set_http_body_stream(urlsession::BodyStream::from_stream(Bursting));
        session.data_task(put).resume();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap().to_string();
        assert!(error.contains("burst"), "{error}");
    });
}

/// A body that panics when it is read.
struct Bursting;

impl futures_core::Stream for Bursting {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        panic!("burst");
    }
}

#[test]
fn a_panic_of_a_progress_handler_does_not_undo_the_act() {
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Nepal"));
        let parent = urlsession::Progress::with_total_unit_count(1);
        parent.add_child(&task.progress(), 1).unwrap();
        task.progress().set_cancellation_handler(|| panic!("clumsy"));
        let cancels = parent.clone();
        std::thread::spawn(move || cancels.cancel()).join().unwrap_err();
        let error = recorder.completed(1).completions[0].clone().unwrap();
        assert_eq!(error.code(), UrlErrorCode::Cancelled);
        assert_eq!(origin.requests().len(), 0);
    });
}

#[cfg(target_os = "linux")]
mod many_sessions {
    use super::*;

    /// Set for the child of the test below.
    const CHILD: &str = "URLSESSION_TEST_MANY_SESSIONS";

    /// How many threads of this process serve delegate queues.
    fn delegate_threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        // The kernel keeps fifteen characters.
        names.filter(|name| name.starts_with("urlsession-dele")).count()
    }

    #[test]
    #[ignore = "the child of the test below, in whose process nobody else has delegates"]
    fn child_with_many_sessions() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let recorder = Recorder::new();
        let sessions: Vec<_> = (0..2_000)
            .map(|_| {
                let delegate = Arc::new(recorder.clone());
                let queue = DelegateQueue::serial();
                let session =
                    UrlSession::with_delegate(urlsession::Configuration::ephemeral(), delegate, queue);
                session.data_task("data:,one").resume();
                session
            })
            .collect();
        recorder.completed(2_000);
        // As many as processors, and some for a moment if these do not get on.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(delegate_threads() <= 2 * processors.max(4), "{}", delegate_threads());
        drop(sessions);
        // A queue without an owner holds no thread.
        wait_until(|| delegate_threads() <= processors);
    }

    #[test]
    fn two_thousand_sessions_share_a_few_threads_for_their_delegates() {
        in_a_process_of_its_own("delegates::many_sessions::child_with_many_sessions", (CHILD, "yes"));
    }
}

#[test]
fn a_delegate_that_blocks_holds_up_only_its_own_session() {
    struct Blocked(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);
    impl TaskDelegate for Blocked {
        fn did_complete(&self, _: &Task, _: Option<&UrlError>) {
            self.1.send(()).unwrap();
            let _ = self.0.lock().unwrap().recv();
        }
    }
    impl SessionDelegate for Blocked {}
    let session = |delegate: Arc<dyn SessionDelegate>| {
        UrlSession::with_delegate(urlsession::Configuration::ephemeral(), delegate, DelegateQueue::serial())
    };
    let (reached, reaches) = mpsc::channel();
    let blocked: Vec<_> = (0..40)
        .map(|_| {
            let (gate, waits) = mpsc::channel();
            let session = session(Arc::new(Blocked(Mutex::new(waits), reached.clone())));
            session.data_task("data:,x").resume();
            (session, gate)
        })
        .collect();
    for _ in &blocked {
        reaches.recv_timeout(PATIENCE).expect("one is held up by another");
    }
    let recorder = Recorder::new();
    session(Arc::new(recorder.clone())).data_task("data:,x").resume();
    recorder.completed(1);
}
