//! Where loads run: any executor, none, and runtimes that come and go.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use urlsession::authentication::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use urlsession::block_on;
use urlsession::metrics::TaskMetrics;
use urlsession::protocols::{UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading};
use urlsession::tasks::QueueJob;
use urlsession::{
    Bytes, Configuration, DataTask, Decision, DelegateQueue, DownloadTask, HttpUrlResponse, Phase,
    ResponseDisposition, SessionDelegate, Task, TaskDelegate, TaskState, UrlError, UrlRequest, UrlResponse,
    UrlSession,
};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

#[test]
fn a_runtime_that_is_dropped_takes_no_later_load_with_it() {
    on(Wire::H1, |origin| {
        for _ in 0..50 {
            let (data, _) = in_tokio(UrlSession::shared().data(origin.url("/Peru"))).unwrap();
            assert_eq!(text(&data), "Lima");
        }
    });
    on_every_wire(|origin| {
        let session = session(origin);
        for round in 0..50 {
            let runtime = match round % 2 {
                0 => runtime(),
                _ => tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap(),
            };
            assert_eq!(text(&runtime.block_on(session.data(origin.url("/Peru"))).unwrap().0), "Lima");
        }
        assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
    });
}

#[test]
fn waiting_works_inside_any_runtime() {
    on_every_wire(|origin| {
        let session = session(origin);
        in_tokio(async {
            assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
            assert_eq!(text(&session.data(origin.url("/Peru")).await.unwrap().0), "Lima");
            assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
        });
        let multi =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let url = origin.url("/Peru");
        let data = multi.block_on(multi.spawn(async move { session.data(url).wait().unwrap().0 })).unwrap();
        assert_eq!(text(&data), "Lima");
    });
}

#[test]
fn futures_need_no_tokio() {
    on_every_wire(|origin| {
        let (data, _) = block_on(session(origin).data(origin.url("/bytes/500000"))).unwrap();
        assert_eq!(data.len(), 500_000);
        block_on(async {
            let (mut bytes, _) = session(origin).bytes(origin.url("/bytes/500000")).await.unwrap();
            let mut length = 0;
            while let Some(chunk) = next(&mut bytes).await {
                length += chunk.unwrap().len();
            }
            assert_eq!(length, 500_000);
        });
    });
}

#[test]
fn a_load_moves_between_threads_while_it_runs() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        let mut load = Box::pin(session(origin).data(origin.url("/slow")));
        let (sender, receiver) = mpsc::channel();
        // Polled here until the gate is reached, finished elsewhere.
        runtime().block_on(async {
            let _ = tokio::time::timeout(Duration::ZERO, &mut load).await;
        });
        drop(load);
        let load = session(origin).data(origin.url("/Peru"));
        std::thread::spawn(move || sender.send(block_on(load)).unwrap());
        assert_eq!(text(&receiver.recv_timeout(PATIENCE).unwrap().unwrap().0), "Lima");
        gate.release();
    });
}

#[test]
fn an_idle_connection_of_one_runtime_makes_room_for_another() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_maximum_connections_per_host = 1;
        let session = UrlSession::new(configuration);
        let (first, second) = (runtime(), runtime());
        for _ in 0..3 {
            first.block_on(session.data(origin.url("/Peru"))).unwrap();
            second.block_on(session.data(origin.url("/Peru"))).unwrap();
        }
        assert_eq!(origin.requests().len(), 6);
    });
}

#[test]
fn a_load_in_place_keeps_its_connection_within_its_runtime() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let runtime = runtime();
        for _ in 0..5 {
            runtime.block_on(session.data(origin.url("/Peru"))).unwrap();
        }
        assert_eq!(origin.connection_count(), 1);
        drop(runtime);
        assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE), "it ends with its runtime");
    });
}

#[test]
fn a_runtime_without_drivers_is_not_used_for_them() {
    type Builder = tokio::runtime::Builder;
    let settings: [fn(&mut Builder) -> &mut Builder; 3] =
        [|builder| builder, |builder| builder.enable_time(), |builder| builder.enable_io()];
    on_every_wire(|origin| {
        let session = session(origin);
        for set in settings {
            for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
                let runtime = set(builder.worker_threads(1)).build().unwrap();
                for _ in 0..2 {
                    let (data, _) = runtime.block_on(session.data(origin.url("/Peru"))).unwrap();
                    assert_eq!(text(&data), "Lima");
                }
                let (url, session) = (origin.url("/Peru"), session.clone());
                let load = async move {
                    let (mut bytes, _) = session.bytes(url).await.unwrap();
                    next(&mut bytes).await.unwrap().unwrap()
                };
                assert_eq!(text(&runtime.block_on(load)), "Lima");
            }
        }
    });
}

/// What a delegate call does with the session it is of.
type InCall = dyn Fn(&UrlSession) -> Result<Bytes, UrlError> + Send + Sync;

/// Does something in every one of its calls, and sends what came of it.
struct Waiter {
    session: Mutex<Option<UrlSession>>,
    in_call: Box<InCall>,
    found: Mutex<mpsc::Sender<(&'static str, Result<Bytes, UrlError>)>>,
    is_in_call: AtomicBool,
}

impl Waiter {
    fn call(&self, name: &'static str) {
        // Those of the load that is made here come later, and of them nothing is asked.
        if self.is_in_call.swap(true, Relaxed) {
            return;
        }
        let session = self.session.lock().unwrap().clone();
        if let Some(session) = session {
            let _ = self.found.lock().unwrap().send((name, (self.in_call)(&session)));
        }
    }

    fn call_for(&self, task: &Task, name: &'static str) {
        if task.task_identifier() == 1 {
            self.is_in_call.store(false, Relaxed);
            self.call(name);
        }
    }
}

impl TaskDelegate for Waiter {
    fn will_perform_http_redirection(
        &self,
        task: &Task,
        _: &HttpUrlResponse,
        next: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        self.call_for(task, "redirect");
        Some(next).into()
    }
    fn did_receive_challenge(
        &self,
        task: &Task,
        _: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        self.call_for(task, "challenge");
        Decision::default_handling()
    }
    fn did_receive_response(&self, task: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
        self.call_for(task, "response");
        Decision::default_handling()
    }
    fn did_receive_data(&self, task: &DataTask, _: Bytes) {
        self.call_for(task, "data");
    }
    fn did_finish_collecting_metrics(&self, task: &Task, _: &TaskMetrics) {
        self.call_for(task, "metrics");
    }
    fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
        assert_eq!(error.map(ToString::to_string), None);
        self.call_for(task, "completion");
    }
}
impl SessionDelegate for Waiter {}

/// What came of doing `in_call` in each call for a task that is redirected.
fn in_every_call(
    origin: &Origin,
    queue: DelegateQueue,
    in_call: impl Fn(&UrlSession) -> Result<Bytes, UrlError> + Send + Sync + 'static,
) -> Vec<(&'static str, Result<Bytes, UrlError>)> {
    let (found, founds) = mpsc::channel();
    let waiter = Arc::new(Waiter {
        session: Mutex::default(),
        in_call: Box::new(in_call),
        found: Mutex::new(found),
        is_in_call: AtomicBool::new(false),
    });
    let session = UrlSession::with_delegate(configuration(origin), waiter.clone(), queue);
    *waiter.session.lock().unwrap() = Some(session.clone());
    session.data_task(origin.url("/redirect/1")).resume();
    let mut all = Vec::new();
    while all.last().is_none_or(|(name, _)| *name != "completion") {
        all.push(founds.recv_timeout(PATIENCE).expect("a delegate call does not return"));
    }
    *waiter.session.lock().unwrap() = None;
    let names = all.iter().map(|(name, _)| *name).filter(|name| *name != "challenge").collect::<Vec<_>>();
    assert_eq!(names, ["redirect", "response", "data", "metrics", "completion"]);
    all
}

/// It was refused at once, and says what to do.
#[track_caller]
fn is_refused(result: &Result<Bytes, UrlError>) {
    let error = result.as_ref().expect_err("it could not end");
    assert_eq!(error.phase(), Phase::Delegate);
    let text = error.to_string();
    assert!(text.contains("waited for in a call of the delegate queue"), "{text}");
    assert!(text.contains("completion handler"), "{text}");
}

#[test]
fn waiting_for_a_load_in_a_call_of_its_own_delegate_queue_is_an_error_at_once() {
    on_every_wire(|origin| {
        let url = origin.url("/Peru");
        let ways: [Arc<InCall>; 5] = [
            Arc::new({
                let url = url.clone();
                move |session: &UrlSession| session.data(&*url).wait().map(|(data, _)| data)
            }),
            Arc::new({
                let url = url.clone();
                move |session: &UrlSession| block_on(session.data(&*url)).map(|(data, _)| data)
            }),
            Arc::new({
                let url = url.clone();
                move |session: &UrlSession| in_tokio(session.data(&*url)).map(|(data, _)| data)
            }),
            Arc::new({
                let url = url.clone();
                move |session: &UrlSession| session.bytes(&*url).wait().map(|_| Bytes::new())
            }),
            Arc::new({
                let url = url.clone();
                move |session: &UrlSession| session.download(&*url).wait().map(|_| Bytes::new())
            }),
        ];
        for way in ways {
            let results = in_every_call(origin, DelegateQueue::serial(), move |session| way(session));
            results.iter().for_each(|(_, result)| is_refused(result));
        }
    });
}

#[test]
fn waiting_in_a_completion_handler_of_a_session_with_a_delegate_is_refused_and_without_one_works() {
    on_every_wire(|origin| {
        let wait = |session: UrlSession| {
            let (sender, receiver) = mpsc::channel();
            let (inner, url) = (session.clone(), origin.url("/Peru"));
            let handler = move |_| sender.send(inner.data(url).wait().map(|(data, _)| data)).unwrap();
            session.data_task_with_handler(origin.url("/Nepal"), handler).resume();
            receiver.recv_timeout(PATIENCE).expect("the handler does not return")
        };
        is_refused(&wait(recorded(origin).0));
        assert_eq!(text(&wait(session(origin)).unwrap()), "Lima");
    });
}

#[test]
fn waiting_for_another_session_works_unless_that_waits_for_this_one() {
    /// Waits for a load of the other session in its first call for data.
    struct Other {
        session: UrlSession,
        url: String,
        found: mpsc::Sender<Result<Bytes, UrlError>>,
    }
    impl TaskDelegate for Other {
        fn did_finish_collecting_metrics(&self, _: &Task, _: &TaskMetrics) {
            let load = self.session.data(&*self.url).wait();
            self.found.send(load.map(|(data, _)| data)).unwrap();
        }
    }
    impl SessionDelegate for Other {}
    on_every_wire(|origin| {
        let (first, recorder) = recorded(origin);
        let (found, founds) = mpsc::channel();
        let other = Other { session: first.clone(), url: origin.url("/Peru"), found };
        let second =
            UrlSession::with_delegate(configuration(origin), Arc::new(other), DelegateQueue::serial());
        // Nothing of the first session waits: its loads can be waited for.
        second.data_task(origin.url("/Nepal")).resume();
        assert_eq!(text(&founds.recv_timeout(PATIENCE).unwrap().unwrap()), "Lima");
        // In a handler of the first: the second is waited for, in whose call the first would be.
        let (sender, receiver) = mpsc::channel();
        let (inner, url) = (second.clone(), origin.url("/Nepal"));
        let handler = move |_| sender.send(inner.data(url).wait().map(|(data, _)| data)).unwrap();
        first.data_task_with_handler(origin.url("/Nepal"), handler).resume();
        is_refused(&founds.recv_timeout(PATIENCE).unwrap());
        assert_eq!(text(&receiver.recv_timeout(PATIENCE).unwrap().unwrap()), "Kathmandu");
        drop(recorder);
    });
}

#[test]
fn resume_data_can_be_waited_for_in_a_delegate_call() {
    struct Canceller(mpsc::Sender<bool>);
    impl TaskDelegate for Canceller {
        fn did_write_data(&self, task: &DownloadTask, _: u64, _: u64, _: Option<u64>) {
            let data = block_on(task.cancel_by_producing_resume_data());
            let _ = self.0.send(data.is_some());
        }
    }
    impl SessionDelegate for Canceller {}
    on_every_wire(|origin| {
        let gate = origin.hold();
        let reply = Reply::new(200).header("ETag", "\"v1\"").pattern(0, 400_000);
        origin.enqueue("/file", reply.body_gate(300_000, gate.clone()));
        let (sender, receiver) = mpsc::channel();
        let delegate = Arc::new(Canceller(sender));
        let session = UrlSession::with_delegate(configuration(origin), delegate, DelegateQueue::serial());
        session.download_task(origin.url("/file")).resume();
        assert!(receiver.recv_timeout(PATIENCE).expect("the delegate call does not return"));
        gate.release();
    });
}

/// A protocol that does something where its loads are polled.
struct Doing(Box<dyn Fn() -> Result<Bytes, UrlError> + Send + Sync>);

impl UrlProtocol for Doing {
    fn can_init(&self, request: &UrlRequest) -> bool {
        request.url().scheme() == "doing"
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        let done = (self.0)();
        Box::pin(async move {
            let data = done?;
            client.did_receive_response(UrlResponse::new("doing:".parse().unwrap(), None, None, None));
            client.did_load(data).await?;
            client.did_finish_loading();
            Ok(())
        })
    }
}

#[test]
fn waiting_on_the_thread_that_serves_sockets_is_an_error_at_once() {
    on_every_wire(|origin| {
        let (inner, url) = (session(origin), origin.url("/Peru"));
        let wait: [Box<dyn Fn() -> Result<Bytes, UrlError> + Send + Sync>; 2] = [
            Box::new({
                let (inner, url) = (inner.clone(), url.clone());
                move || inner.data(&*url).wait().map(|(data, _)| data)
            }),
            Box::new({
                let (bytes, _) = inner.bytes(&*url).wait().unwrap();
                let bytes = Mutex::new(bytes);
                move || bytes.lock().unwrap().wait_chunk().unwrap()
            }),
        ];
        for wait in wait {
            let mut configuration = Configuration::ephemeral();
            configuration.protocol_classes.push(UrlProtocolClass::new(Doing(wait)));
            let error = load(&UrlSession::new(configuration), "doing:").unwrap_err();
            assert!(error.to_string().contains("serves its sockets"), "{error}");
        }
    });
}

/// Executors that run nothing.
fn dropping() -> [DelegateQueue; 2] {
    [DelegateQueue::on(drop::<QueueJob>), DelegateQueue::on(|_| panic!("the loop has ended"))]
}

#[test]
fn an_executor_that_drops_its_jobs_fails_the_tasks_and_says_why() {
    on_every_wire(|origin| {
        for queue in dropping() {
            let delegate = Arc::new(Recorder::new());
            let session = UrlSession::with_delegate(configuration(origin), delegate, queue);
            let tasks: [Task; 5] = [
                session.data_task(origin.url("/redirect/1")).into(),
                session.data_task_with_handler(origin.url("/Peru"), |_| panic!("called")).into(),
                session.upload_task(request(&origin.url("/echo"), "PUT", None), "body").into(),
                session.download_task(origin.url("/Peru")).into(),
                session.data_task("data:,x").into(),
            ];
            for task in tasks {
                let states = task.state_changes();
                task.resume();
                assert_eq!(in_tokio(drain(states)).last(), Some(&TaskState::Completed));
                let error = task.error().expect("it failed").to_string();
                assert!(error.contains("dropped the call of"), "{error}");
            }
            let error = session.data(origin.url("/Peru")).wait().unwrap_err().to_string();
            assert!(error.contains("dropped the call of"), "{error}");
            session.finish_tasks_and_invalidate();
            assert!(session.delegate().is_none(), "it is released");
        }
    });
}

#[test]
fn an_executor_that_drops_its_jobs_fails_tasks_without_a_delegate_too() {
    on(Wire::H1, |origin| {
        for queue in dropping() {
            let session = UrlSession::with_delegate(configuration(origin), Arc::new(Silent), queue);
            let (sender, receiver) = mpsc::channel::<()>();
            let task = session.data_task_with_handler(origin.url("/Peru"), move |_| drop(sender));
            let states = task.state_changes();
            task.resume();
            assert_eq!(in_tokio(drain(states)).last(), Some(&TaskState::Completed));
            assert!(task.error().is_some());
            // The handler is let go.
            assert_eq!(receiver.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        }
    });
}

#[test]
fn on_a_loop_of_the_applications_own_a_load_may_be_polled_within_a_call() {
    // Over TLS the delegate is asked whether it trusts the server, which it can only answer in another call.
    on(Wire::H1, |origin| {
        let (sender, jobs) = mpsc::channel::<QueueJob>();
        let queue = DelegateQueue::on(move |job| drop(sender.send(job)));
        // The loop runs on a thread of its own, and another executor within it.
        let thread = std::thread::spawn(move || {
            while let Ok(job) = jobs.recv() {
                job();
            }
        });
        let url = origin.url("/Peru");
        let (found, founds) = mpsc::channel();
        let session = UrlSession::with_delegate(configuration(origin), Arc::new(Silent), queue);
        let inner = session.clone();
        let handler = move |_| found.send(in_tokio(inner.data(url)).map(|(data, _)| data)).unwrap();
        session.data_task_with_handler("data:,x", handler).resume();
        assert_eq!(text(&founds.recv_timeout(PATIENCE).expect("it does not return").unwrap()), "Lima");
        drop(session);
        thread.join().unwrap();
    });
}

struct Silent;
impl TaskDelegate for Silent {}
impl SessionDelegate for Silent {}
