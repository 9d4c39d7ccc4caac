//! Threads of the library's own: started here and nowhere else, so that one that cannot be started is an error.

use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

/// Runs `work` on a thread of its own.
///
/// # Errors
/// The system starts no thread; the error says what to do. `work` is dropped.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    #[cfg(test)]
    tests::injected().map_err(|error| no_thread(name, error.kind(), &error))?;
    let started = Builder::new().name(name.into()).spawn(work);
    started.map(drop).map_err(|error| no_thread(name, error.kind(), &error))
}

/// The error of a thread that could not be started.
pub(super) fn no_thread(name: &str, kind: io::ErrorKind, why: impl fmt::Display) -> io::Error {
    let detail = format!(
        "the thread {name} cannot be started: {why}; end other threads or processes, or raise the limit of this user or \
         container (`ulimit -u`, `pids.max`, `ulimit -v`)"
    );
    io::Error::new(kind, detail)
}

/// A thread that does jobs in the order in which they are given. It is started with the first, and ends when this is dropped.
pub(crate) struct JobThread<J> {
    jobs: OnceLock<Sender<J>>,
    start: Mutex<()>,
}

impl<J: Send + 'static> JobThread<J> {
    pub(crate) fn new() -> Self {
        Self { jobs: OnceLock::new(), start: Mutex::new(()) }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.jobs.get().is_some()
    }

    /// Gives the thread a job; `work` makes what it does with jobs, if it has not begun. A job that is given to a thread
    /// that has panicked is dropped.
    ///
    /// # Errors
    /// The thread cannot be started, and the job is dropped. With the next job that is tried again.
    pub(crate) fn give<W: FnOnce(Receiver<J>) + Send + 'static>(
        &self,
        name: &str,
        job: J,
        work: impl FnOnce() -> W,
    ) -> io::Result<()> {
        let _ = self.started(name, work)?.send(job);
        Ok(())
    }

    fn started<W: FnOnce(Receiver<J>) + Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> W,
    ) -> io::Result<&Sender<J>> {
        if let Some(jobs) = self.jobs.get() {
            return Ok(jobs);
        }
        let _one_at_a_time = self.start.lock();
        if let Some(jobs) = self.jobs.get() {
            return Ok(jobs);
        }
        let (sender, jobs) = channel();
        let work = work();
        start_thread(name, move || work(jobs))?;
        Ok(self.jobs.get_or_init(|| sender))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    std::thread_local! {
        static FAILURES: Cell<usize> = const { Cell::new(0) };
    }

    /// The next `count` threads that this thread starts cannot be started.
    pub(crate) fn fail_next(count: usize) {
        FAILURES.set(count);
    }

    pub(super) fn injected() -> io::Result<()> {
        match FAILURES.get() {
            0 => Ok(()),
            count => {
                FAILURES.set(count - 1);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    #[test]
    fn a_job_without_a_thread_is_an_error_and_the_next_job_starts_one() {
        let thread = JobThread::new();
        let (done, dones) = channel();
        let work = || {
            let done = done.clone();
            move |jobs: Receiver<u8>| jobs.iter().for_each(|job| done.send(job).unwrap())
        };
        fail_next(1);
        let error = thread.give("urlsession-test", 1, work).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains("urlsession-test cannot be started"), "{error}");
        assert!(error.to_string().contains("ulimit -u"), "{error}");
        assert!(!thread.is_started());
        for job in [2, 3] {
            thread.give("urlsession-test", job, work).unwrap();
            assert_eq!(dones.recv(), Ok(job));
        }
        assert!(thread.is_started());
        // The thread ends with what gives it jobs.
        drop((thread, done));
        dones.recv().unwrap_err();
    }
}
