//! Delivers a task's events to its delegate on the session's queue, and returns the decisions.
//!
//! It keeps the order, holds the load back when the delegate is slow, and turns a panic, or a call that the delegate queue
//! dropped, into the task's failure. The failure is recorded before the missing decision becomes visible, and no default
//! replaces the decision.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use super::decision::{Decision, Responder, Unwound};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::task::byte_counts::UNKNOWN;
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::handle::Task;

/// The delegate to call, and the task handle for it: the handle for a task's own delegate passes calls on to the session's
/// delegate.
#[derive(Clone)]
pub(in crate::task) struct DelegateTarget {
    delegate: Arc<dyn TaskDelegate>,
    task: Task,
}

impl Core {
    /// The task's own delegate, else the session's; `None` if there is no delegate.
    pub(in crate::task) fn target(self: &Arc<Self>) -> Option<DelegateTarget> {
        let live = self.live();
        if let Some(delegate) = live.own_delegate() {
            return Some(DelegateTarget { delegate, task: Task::passing_on(self.clone()) });
        }
        let delegate = live.delegate_of_session()?;
        drop(live);
        Some(DelegateTarget { delegate, task: Task::of(self.clone()) })
    }

    /// The task's own delegate, which passes on the calls that it does not handle.
    pub(in crate::task) fn passing_target(self: &Arc<Self>) -> Option<DelegateTarget> {
        let delegate = self.live().own_delegate()?;
        Some(DelegateTarget { delegate, task: Task::passing_on(self.clone()) })
    }

    /// Only the session's delegate.
    pub(in crate::task) fn session_target(self: &Arc<Self>) -> Option<DelegateTarget> {
        let delegate = self.live().delegate_of_session()?;
        Some(DelegateTarget { delegate, task: Task::of(self.clone()) })
    }

    /// Only the task's own delegate, which passes nothing on.
    pub(in crate::task) fn own_target(self: &Arc<Self>) -> Option<DelegateTarget> {
        let delegate = self.live().own_delegate()?;
        Some(DelegateTarget { delegate, task: Task::of(self.clone()) })
    }

    /// Notifies the session's delegate of the new task, at once and on this thread.
    pub(crate) fn notify_created(self: &Arc<Self>) {
        if let Some(target) = self.session_target() {
            self.call(target, "did_create_task", |delegate, task| delegate.did_create_task(task));
        }
    }

    /// Calls the delegate later, in order.
    pub(in crate::task) fn notify(
        self: &Arc<Self>,
        target: DelegateTarget,
        what: &'static str,
        call: impl FnOnce(&dyn TaskDelegate, &Task) + Send + 'static,
    ) {
        self.enqueue(what, move |core| core.call(target, what, call));
    }

    /// Calls `job` on the delegate queue later, in order. If the queue drops it, the task fails.
    pub(in crate::task) fn enqueue(
        self: &Arc<Self>,
        what: &'static str,
        job: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let queued = Queued::new(self, what);
        self.session.queue.add(move || {
            if let Some(core) = queued.begin() {
                job(&core);
            }
        });
    }

    /// Calls the delegate on this thread.
    pub(in crate::task) fn call(
        self: &Arc<Self>,
        target: DelegateTarget,
        what: &'static str,
        call: impl FnOnce(&dyn TaskDelegate, &Task),
    ) {
        let DelegateTarget { delegate, task } = target;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || call(&*delegate, &task))) {
            self.fail(panicked(what, &*panic));
        }
    }

    /// Requests a decision from the delegate; `None` is the default.
    ///
    /// # Errors
    /// The delegate panicked, or was not called: the task has failed already, and must not continue.
    pub(in crate::task) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        target: DelegateTarget,
        what: &'static str,
        question: impl FnOnce(&dyn TaskDelegate, &Task) -> Decision<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let (asked, responder) = Decision::deferred();
        let asking = Question { queued: Queued::new(self, what), responder };
        self.session.queue.add(move || asking.put(target, what, question));
        match asked.resolve().await {
            Ok(Some(answer)) => match answer.into_now() {
                Ok(decision) => Ok(decision),
                Err(later) => self.decided(what, later).await,
            },
            Ok(None) | Err(Unwound) => Err(self.failure()),
        }
    }

    /// The decision of the application, immediately or later; `None` for the default.
    ///
    /// # Errors
    /// Same as [`ask`](Self::ask).
    pub(in crate::task) async fn decided<T: Send + 'static>(
        self: &Arc<Self>,
        what: &'static str,
        answer: Decision<T>,
    ) -> Result<Option<T>> {
        // Boxed, so that dropping it can be guarded: it is the application's.
        let mut decision = Some(Box::pin(answer.resolve()));
        poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let poll = decision.as_mut().map_or(Poll::Pending, |decision| decision.as_mut().poll(cx));
                if poll.is_ready() {
                    decision = None;
                }
                poll
            }));
            let error = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(decision))) => return Poll::Ready(Ok(decision)),
                Ok(Poll::Ready(Err(Unwound))) => unwound(what),
                Err(panic) => panicked(what, &*panic),
            };
            self.fail(error);
            Poll::Ready(Err(self.failure()))
        })
        .await
    }

    /// Reports sent body bytes; reports that have not been delivered yet are merged.
    pub(in crate::task) fn report_sent(self: &Arc<Self>) {
        if self.bytes.sent_report.begin() {
            return;
        }
        let Some(target) = self.target() else { return };
        let core = self.clone();
        self.notify(target, "did_send_body_data", move |delegate, task| {
            let (bytes, total) = core.bytes.sent_report.end(&core.bytes.sent);
            let expected = Some(core.bytes.to_send.load(Relaxed)).filter(|expected| *expected != UNKNOWN);
            if bytes > 0 {
                delegate.did_send_body_data(task, bytes, total, expected);
            }
        });
    }

    /// Waits until all calls made so far have been delivered, or dropped.
    pub(in crate::task) async fn flush(self: &Arc<Self>) {
        let (answer, responder) = Decision::deferred();
        self.session.queue.add(move || responder.answer(()));
        let _ = answer.resolve().await;
    }
}

/// A call that waits in the delegate queue. If it is dropped before it has begun, it fails its task.
struct Queued {
    core: Option<Arc<Core>>,
    what: &'static str,
}

impl Queued {
    fn new(core: &Arc<Core>, what: &'static str) -> Self {
        Self { core: Some(core.clone()), what }
    }

    /// Its task, once.
    fn begin(mut self) -> Option<Arc<Core>> {
        self.core.take()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.fail(dropped_by_queue(&core, self.what));
        }
    }
}

/// A waiting request for a decision. The fields are dropped in their order: the task has failed before the responder
/// reports that there is no answer.
struct Question<T> {
    queued: Queued,
    responder: Responder<Decision<T>>,
}

impl<T: Send + 'static> Question<T> {
    fn put(
        self,
        target: DelegateTarget,
        what: &'static str,
        question: impl FnOnce(&dyn TaskDelegate, &Task) -> Decision<T>,
    ) {
        let Self { queued, responder } = self;
        let Some(core) = queued.begin() else { return };
        let DelegateTarget { delegate, task } = target;
        // The responder stays outside: unwinding does not drop it.
        match catch_unwind(AssertUnwindSafe(move || question(&*delegate, &task))) {
            Ok(answer) => responder.answer(answer),
            Err(panic) => {
                core.fail(panicked(what, &*panic));
                drop(responder);
            }
        }
    }
}

pub(in crate::task) fn panicked(what: &str, panic: &(dyn Any + Send)) -> UrlError {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let detail = format!("the delegate panicked in {what}: {}", message.unwrap_or("no message"));
    UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail)
}

fn unwound(what: &str) -> UrlError {
    let detail = format!("a panic dropped the responder of {what} before it had answered");
    UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail)
}

pub(in crate::task) fn dropped_by_queue(core: &Core, what: &str) -> UrlError {
    let detail = match core.session.queue.why_no_thread() {
        Some(why) => format!("there was no thread for the call of {what}: {why}"),
        None => format!(
            "the executor of the delegate queue dropped the call of {what}; it must run each job that it is given"
        ),
    };
    UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::configuration::Configuration;
    use crate::message::UrlRequest;
    use crate::task::core::Style;
    use crate::task::kind::TaskKind;
    use crate::task::session_shared::SessionShared;
    use crate::task::state::TaskState;
    use crate::task::{DelegateQueue, QueueJob};

    struct Nothing;
    impl TaskDelegate for Nothing {}

    /// Writes down the state of a task each time it is woken.
    struct States(Arc<Core>, Mutex<Vec<TaskState>>);

    impl Wake for States {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0.state());
        }
    }

    /// Requests a decision; `meet` handles the job. Returns the decision, and the states in which the load is woken.
    fn ask(
        question: impl FnOnce(&dyn TaskDelegate, &Task) -> Decision<u8> + Send + 'static,
        meet: impl FnOnce(QueueJob),
    ) -> (Result<Option<u8>>, Vec<TaskState>) {
        let (sender, jobs) = mpsc::channel();
        let queue = DelegateQueue::on(move |job| sender.send(job).unwrap());
        let delegate: Arc<dyn TaskDelegate> = Arc::new(Nothing);
        let session =
            Arc::new(SessionShared::local(Configuration::ephemeral().into(), Some(delegate), queue));
        let request = UrlRequest::new("http://a/".parse().unwrap());
        let core = Core::new(&session, Ok(request), TaskKind::Data, Style::Future, None);
        core.resume();
        let states = Arc::new(States(core.clone(), Mutex::default()));
        let waker = Waker::from(states.clone());
        let mut cx = Context::from_waker(&waker);
        let mut asked = pin!(core.ask(core.target().unwrap(), "did_ask", question));
        assert!(asked.as_mut().poll(&mut cx).is_pending());
        meet(jobs.try_recv().unwrap());
        let Poll::Ready(answer) = asked.as_mut().poll(&mut cx) else { panic!("it waits") };
        let states = std::mem::take(&mut *states.1.lock());
        (answer, states)
    }

    #[test]
    fn a_failure_is_recorded_before_a_load_can_see_that_there_is_no_decision() {
        type Question = fn(&dyn TaskDelegate, &Task) -> Decision<u8>;
        let panics: Question = |_, _| std::panic::panic_any("of the delegate");
        let later: Question = |_, _| Decision::later(async { std::panic::panic_any("of the delegate") });
        let unwound: Question = |_, _| {
            let (answer, responder) = Decision::deferred();
            let thread = std::thread::spawn(move || {
                let _responder = responder;
                std::panic::resume_unwind(Box::new("of a thread"));
            });
            thread.join().unwrap_err();
            answer
        };
        let cases: [(Question, bool, &str); 4] = [
            (panics, true, "the delegate panicked in did_ask: of the delegate"),
            (later, true, "the delegate panicked in did_ask: of the delegate"),
            (unwound, true, "a panic dropped the responder of did_ask"),
            (panics, false, "dropped the call of did_ask"),
        ];
        for (question, is_run, expected) in cases {
            let (answer, states) = ask(question, |job| if is_run { job() } else { drop(job) });
            let error = answer.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            // Of a question that was answered, it is the poll that finds the failure.
            let is_found_by_poll = expected.contains("responder") || std::ptr::fn_addr_eq(question, later);
            assert!(is_found_by_poll || !states.contains(&TaskState::Running), "{expected}: {states:?}");
        }
    }

    #[test]
    fn a_question_is_answered_by_a_value_later_or_by_the_default() {
        assert_eq!(ask(|_, _| Decision::now(1), |job| job()).0.unwrap(), Some(1));
        assert_eq!(ask(|_, _| Decision::later(async { 2 }), |job| job()).0.unwrap(), Some(2));
        assert_eq!(ask(|_, _| Decision::default_handling(), |job| job()).0.unwrap(), None);
    }
}
