//! `DelegateQueue`: where delegate methods and completion handlers are called, one at a time, in order.
//!
//! Apple: *delegateQueue*. It does not depend on tasks. It also detects waits on a thread that could never end, because
//! they need a call of a queue that this thread blocks.

use parking_lot::{Mutex, MutexGuard};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::env::{SerialThreads, SerialWork};

/// Work for a queue.
pub type QueueJob = Box<dyn FnOnce() + Send>;

/// Calls the jobs that are added to it in order, never two at a time. A clone is the same queue.
#[derive(Clone)]
#[doc(alias = "OperationQueue")]
pub struct DelegateQueue(Arc<QueueState>);

struct QueueState {
    jobs: Mutex<Jobs>,
    executor: Executor,
    /// Why calls were dropped the last time, if no thread could be started.
    no_thread: Mutex<Option<String>>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<QueueJob>,
    is_draining: bool,
}

enum Executor {
    /// Threads of the library. Not the runtime's threads for blocking work: waking one of those costs three times as much.
    Own,
    Custom(Box<dyn Fn(QueueJob) + Send + Sync>),
}

impl DelegateQueue {
    /// A queue on a thread of the library. The thread is taken when there are calls to make, and given back when there are
    /// no more. All such queues share a few cached threads; a call that blocks delays only its own queue.
    pub fn serial() -> Self {
        Self::with(Executor::Own)
    }

    /// A queue on an executor of the application, such as its UI loop: `execute` must run each job that it receives once,
    /// on any thread, immediately or later. Jobs come one at a time and contain several calls if many are due.
    ///
    /// A job that is dropped instead of run, or that is passed to an `execute` that panics, fails every task that has a
    /// call in it: the task's state and [`error`](crate::task::Task::error) show the failure, and futures return that
    /// error. Delegate methods and completion handlers of such a task are not called, because there is no thread to call
    /// them on.
    pub fn on(execute: impl Fn(QueueJob) + Send + Sync + 'static) -> Self {
        Self::with(Executor::Custom(Box::new(execute)))
    }

    fn with(executor: Executor) -> Self {
        Self(Arc::new(QueueState { jobs: Mutex::default(), executor, no_thread: Mutex::default() }))
    }

    /// Calls `job` after all jobs that were added before.
    pub fn add(&self, job: impl FnOnce() + Send + 'static) {
        let mut jobs = self.0.jobs();
        jobs.waiting.push_back(Box::new(job));
        if !std::mem::replace(&mut jobs.is_draining, true) {
            drop(jobs);
            self.execute();
        }
    }

    fn execute(&self) {
        match &self.0.executor {
            Executor::Own => SerialThreads::shared().begin(self.0.clone()),
            Executor::Custom(execute) => {
                let batch = Batch(Some(self.clone()));
                let given = catch_unwind(AssertUnwindSafe(|| execute(Box::new(move || batch.run()))));
                if given.is_err() {
                    tracing::warn!("the executor of a delegate queue panicked");
                }
            }
        }
    }

    /// Why a call was dropped, if no thread of the library could be started for it.
    pub(in crate::task) fn why_no_thread(&self) -> Option<String> {
        self.0.no_thread.lock().clone()
    }

    /// Whether this thread is in a call of this queue.
    pub(in crate::task) fn is_in_call(&self) -> bool {
        CALLS.with_borrow(|calls| calls.contains(&self.0.id()))
    }

    /// Whether this thread is in a call of this queue and makes only such calls. A future that is polled there does not
    /// return to an event loop in between: it blocks the queue until it is done.
    pub(in crate::task) fn is_in_blocking_call(&self) -> bool {
        matches!(self.0.executor, Executor::Own) && self.is_in_call()
    }

    /// Called when this thread is about to block until something has happened that needs calls of this queue; `None` if the
    /// thread is in no call itself.
    ///
    /// # Errors
    /// The wait would never end: the thread is in a call of this queue, or of one that a call of this queue waits for.
    pub(in crate::task) fn begin_wait(&self) -> Result<Option<QueueWait>, WaitsForItself> {
        let awaited = self.0.id();
        let blocked = CALLS.with_borrow(Vec::clone);
        if blocked.is_empty() {
            return Ok(None);
        }
        let mut waits = WAITS.lock();
        let (mut reached, mut at) = (vec![awaited], 0);
        while let Some(queue) = reached.get(at).copied() {
            if blocked.contains(&queue) {
                return Err(WaitsForItself);
            }
            let next = waits.iter().filter(|(blocked, _)| *blocked == queue).map(|(_, awaited)| *awaited);
            let next = next.filter(|queue| !reached.contains(queue)).collect::<Vec<_>>();
            reached.extend(next);
            at += 1;
        }
        waits.extend(blocked.iter().map(|blocked| (*blocked, awaited)));
        Ok(Some(QueueWait { blocked, awaited }))
    }
}

/// The wait would be a wait of this thread for itself.
#[derive(Debug)]
pub(in crate::task) struct WaitsForItself;

/// A thread that blocks in calls of queues, until another queue has made its calls.
#[derive(Debug)]
pub(in crate::task) struct QueueWait {
    blocked: Vec<QueueId>,
    awaited: QueueId,
}

impl Drop for QueueWait {
    fn drop(&mut self) {
        let mut waits = WAITS.lock();
        for blocked in &self.blocked {
            if let Some(at) = waits.iter().position(|wait| *wait == (*blocked, self.awaited)) {
                waits.swap_remove(at);
            }
        }
    }
}

/// The address of a queue, which lives while it is in use.
type QueueId = usize;

thread_local! {
    /// The queues whose calls this thread is in, the innermost last.
    static CALLS: RefCell<Vec<QueueId>> = const { RefCell::new(Vec::new()) };
}

/// Queues that have a blocked call, and the queue that each of them waits for.
static WAITS: Mutex<Vec<(QueueId, QueueId)>> = Mutex::new(Vec::new());

/// This thread is in calls of a queue.
struct InCalls;

impl InCalls {
    fn begin(queue: QueueId) -> Self {
        CALLS.with_borrow_mut(|calls| calls.push(queue));
        Self
    }
}

impl Drop for InCalls {
    fn drop(&mut self) {
        CALLS.with_borrow_mut(Vec::pop);
    }
}

impl QueueState {
    fn id(&self) -> QueueId {
        std::ptr::from_ref(self).addr()
    }

    /// Makes some of the calls; true if there are more.
    fn drain_some(&self) -> bool {
        let _in_calls = InCalls::begin(self.id());
        for _ in 0..JOBS_AT_ONCE {
            let Some(job) = self.next() else { return false };
            run(job);
        }
        true
    }

    /// The next job; if there is none, draining has ended.
    fn next(&self) -> Option<QueueJob> {
        let mut jobs = self.jobs();
        let job = jobs.waiting.pop_front();
        jobs.is_draining = job.is_some();
        job
    }

    /// Drops the waiting jobs: the code that added a job handles its task.
    fn drop_jobs(&self) {
        let mut jobs = self.jobs();
        jobs.is_draining = false;
        let waiting = std::mem::take(&mut jobs.waiting);
        drop(jobs);
        for job in waiting {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(job)));
        }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock()
    }
}

impl SerialWork for QueueState {
    fn do_some(&self) -> bool {
        self.drain_some()
    }

    fn give_up(&self, why: &io::Error) {
        *self.no_thread.lock() = Some(why.to_string());
        self.drop_jobs();
    }
}

/// The job for an executor of the application, which may also drop it.
struct Batch(Option<DelegateQueue>);

impl Batch {
    fn run(mut self) {
        if let Some(queue) = self.0.take()
            && queue.0.drain_some()
        {
            queue.execute();
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.0.drop_jobs();
        }
    }
}

impl fmt::Debug for DelegateQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelegateQueue")
    }
}

fn run(job: QueueJob) {
    // A panic of the application must not end the queue; the code that added the job handles its task.
    let _ = catch_unwind(AssertUnwindSafe(job));
}

/// So that a UI loop and other queues can run in between.
const JOBS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn jobs_run_in_order_and_survive_a_panic() {
        let queue = DelegateQueue::serial();
        let (sender, receiver) = mpsc::channel();
        for i in 0..200 {
            let sender = sender.clone();
            queue.add(move || {
                sender.send(i).unwrap();
                if i == 7 {
                    std::panic::panic_any("application");
                }
            });
        }
        drop(sender);
        assert!(receiver.iter().eq(0..200));
    }

    #[test]
    fn an_executor_of_the_application_gets_one_job_at_a_time() {
        let (sender, jobs) = mpsc::channel::<QueueJob>();
        let queue = DelegateQueue::on(move |job| sender.send(job).unwrap());
        let (done, results) = mpsc::channel();
        for i in 0..100 {
            let done = done.clone();
            queue.add(move || done.send(i).unwrap());
        }
        let mut batches = 0;
        while let Ok(job) = jobs.try_recv() {
            job();
            batches += 1;
        }
        assert_eq!(batches, 2);
        assert!(results.try_iter().eq(0..100));
    }

    #[test]
    fn a_job_that_the_executor_drops_or_that_makes_it_panic_is_dropped_and_the_next_one_runs() {
        let (sender, jobs) = mpsc::channel::<QueueJob>();
        let is_broken = Arc::new(AtomicBool::new(false));
        let breaks = is_broken.clone();
        let queue = DelegateQueue::on(move |job| {
            if breaks.load(Relaxed) {
                std::panic::panic_any("application");
            }
            sender.send(job).unwrap();
        });
        let (done, results) = mpsc::channel();
        let add = |number: u8| {
            let done = done.clone();
            queue.add(move || done.send(number).unwrap());
        };
        add(1);
        add(2);
        drop(jobs.try_recv().unwrap());
        is_broken.store(true, Relaxed);
        add(3);
        is_broken.store(false, Relaxed);
        add(4);
        jobs.try_recv().unwrap()();
        assert!(results.try_iter().eq([4]));
    }

    #[test]
    fn a_wait_for_the_queue_of_the_call_one_is_in_is_refused_however_many_queues_are_between() {
        let inline = || DelegateQueue::on(|job| job());
        let (a, b, c) = (inline(), inline(), inline());
        // A panic in a job is swallowed: what was found is sent.
        let (found, founds) = mpsc::channel();
        let call = |queue: &DelegateQueue, job: &(dyn Fn() + Sync)| {
            // Each on a thread of its own, as serial queues are; and scoped, so that a job may borrow.
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _in_calls = InCalls::begin(queue.0.id());
                    job();
                });
            });
        };
        assert!(a.begin_wait().is_ok(), "outside of any call");
        call(&a, &|| {
            found.send(("a for a", a.begin_wait().is_ok())).unwrap();
            let wait = b.begin_wait().unwrap();
            call(&b, &|| {
                found.send(("b for a", a.begin_wait().is_ok())).unwrap();
                let _wait = c.begin_wait().unwrap();
                call(&c, &|| found.send(("c for a", a.begin_wait().is_ok())).unwrap());
            });
            drop(wait);
            call(&b, &|| found.send(("b for a, which waits no more", a.begin_wait().is_ok())).unwrap());
        });
        drop(found);
        let expected = [
            ("a for a", false),
            ("b for a", false),
            ("c for a", false),
            ("b for a, which waits no more", true),
        ];
        assert!(founds.iter().eq(expected));
    }
}
