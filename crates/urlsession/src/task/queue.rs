//! `DelegateQueue`: where delegate methods and completion handlers are called, one at a time, in order.
//!
//! Apple: *delegateQueue*. It knows nothing of tasks.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::env::Place;

/// Work for a queue.
pub type Job = Box<dyn FnOnce() + Send>;

/// Calls what it is given in order, never two at a time. A clone is the same queue.
#[derive(Clone)]
#[doc(alias = "OperationQueue")]
pub struct DelegateQueue(Arc<Inner>);

struct Inner {
    jobs: Mutex<Jobs>,
    executor: Executor,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    is_draining: bool,
    /// The own thread, while it has nothing to do.
    resting: Option<Thread>,
}

enum Executor {
    /// A thread of the library's own. Not one of the runtime's for blocking work: those are shared, and to wake
    /// one costs three times as much.
    Own,
    Custom(Box<dyn Fn(Job) + Send + Sync>),
}

impl DelegateQueue {
    /// A queue on a thread of the library's own, taken when there is something to call.
    pub fn serial() -> Self {
        Self::with(Executor::Own)
    }

    /// A queue on an executor of the application, such as its UI loop: `execute` must run each job it is given
    /// once, on whatever thread, and may do so later. Jobs come one at a time and hold several calls if many are
    /// due. A job dropped instead of run stops this queue's sessions.
    pub fn on(execute: impl Fn(Job) + Send + Sync + 'static) -> Self {
        Self::with(Executor::Custom(Box::new(execute)))
    }

    fn with(executor: Executor) -> Self {
        Self(Arc::new(Inner { jobs: Mutex::default(), executor }))
    }

    /// Calls `job` after everything given before.
    pub fn add(&self, job: impl FnOnce() + Send + 'static) {
        let mut jobs = self.jobs();
        jobs.waiting.push_back(Box::new(job));
        if !std::mem::replace(&mut jobs.is_draining, true) {
            let resting = jobs.resting.take();
            drop(jobs);
            match resting {
                Some(thread) => thread.unpark(),
                None => self.execute(),
            }
        }
    }

    fn execute(&self) {
        let queue = self.clone();
        match &self.0.executor {
            Executor::Own => Place::thread("urlsession-delegate", move || queue.serve()),
            Executor::Custom(execute) => execute(Box::new(move || queue.drain())),
        }
    }

    /// The life of the own thread: it ends when it has rested long enough.
    fn serve(&self) {
        loop {
            while let Some(job) = self.next(|jobs| jobs.resting = Some(thread::current())) {
                run(job);
            }
            thread::park_timeout(REST);
            let mut jobs = self.jobs();
            if !jobs.is_draining {
                jobs.resting = None;
                return;
            }
        }
    }

    fn drain(&self) {
        for _ in 0..JOBS_AT_ONCE {
            let Some(job) = self.next(|_| ()) else { return };
            run(job);
        }
        self.execute();
    }

    /// The next job; if there is none, draining has ended.
    fn next(&self, at_end: impl FnOnce(&mut Jobs)) -> Option<Job> {
        let mut jobs = self.jobs();
        let job = jobs.waiting.pop_front();
        if job.is_none() {
            jobs.is_draining = false;
            at_end(&mut jobs);
        }
        job
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DelegateQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelegateQueue")
    }
}

fn run(job: Job) {
    // A panicking application must not take the queue with it; who added the job sees to its task.
    let _ = catch_unwind(AssertUnwindSafe(job));
}

/// How long the own thread is kept with nothing to do.
const REST: Duration = Duration::from_secs(10);

/// So that a UI loop gets its turn between them.
const JOBS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

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
        let (sender, jobs) = mpsc::channel::<Job>();
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
}
