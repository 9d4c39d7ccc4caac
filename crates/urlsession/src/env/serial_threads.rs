//! `SerialThreads`: few cached threads that do the work of many serial queues.
//!
//! A queue without work holds no thread. There are as many threads as processors, at least four; more are started only
//! for work that has waited because those there are do not come back, as when the application's code blocks them. So a
//! blocked queue delays no other for long, and a thousand queues with short work do not start a thousand threads.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use super::thread::start_thread;

/// A queue of work, of which one thread at a time does some.
pub(crate) trait SerialWork: Send + Sync {
    /// Does some of it. True if there is more; then it is called again, maybe on another thread.
    fn do_some(&self) -> bool;

    /// No thread could be started.
    fn give_up(&self, why: &io::Error);
}

/// The threads.
pub(crate) struct SerialThreads {
    state: Mutex<ThreadsState>,
    /// Threads that are started without waiting, and that are kept with nothing to do.
    eager: usize,
    /// How long work waits for threads that do not come back, before another is started.
    patience: Duration,
}

#[derive(Default)]
struct ThreadsState {
    /// What no thread has taken yet, numbered in order.
    ready: VecDeque<(u64, Arc<dyn SerialWork>)>,
    next_number: u64,
    /// How often something was taken from `ready`.
    taken: u64,
    /// Threads with nothing to do, the last one to become so at the end.
    idle: Vec<Thread>,
    threads: usize,
    is_watched: bool,
}

impl SerialThreads {
    /// Those of the process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<SerialThreads> = OnceLock::new();
        SHARED.get_or_init(|| {
            let processors = thread::available_parallelism().map_or(1, usize::from);
            Self::new(processors.max(LEAST_EAGER), PATIENCE)
        })
    }

    fn new(eager: usize, patience: Duration) -> Self {
        Self { state: Mutex::default(), eager, patience }
    }

    /// Has a thread do this work, at once if one is free.
    pub(crate) fn begin(&'static self, work: Arc<dyn SerialWork>) {
        let mut state = self.state();
        state.push(work);
        if let Some(thread) = state.idle.pop() {
            drop(state);
            thread.unpark();
        } else if state.threads < self.eager {
            self.start(state, None);
        } else if !state.is_watched {
            state.is_watched = true;
            let watch = Watch::begin(&state, 1);
            self.start(state, Some(watch));
        }
    }

    fn start(&'static self, mut state: MutexGuard<'_, ThreadsState>, watch: Option<Watch>) {
        state.threads += 1;
        drop(state);
        let is_watch = watch.is_some();
        let Err(error) = start_thread("urlsession-delegate", move || self.live(watch)) else { return };
        tracing::warn!("delegate calls are delayed: {error}");
        let mut state = self.state();
        state.threads -= 1;
        state.is_watched &= !is_watch;
        if state.threads == 0 {
            let ready = std::mem::take(&mut state.ready);
            drop(state);
            ready.iter().for_each(|(_, work)| work.give_up(&error));
        }
    }

    /// What each thread does from its start to its end.
    fn live(&'static self, watch: Option<Watch>) {
        if let Some(watch) = watch {
            self.watch(watch);
        }
        loop {
            let mut state = self.state();
            let Some(mut work) = state.take() else {
                match self.rest(state) {
                    true => continue,
                    false => return,
                }
            };
            drop(state);
            while work.do_some() {
                let mut state = self.state();
                if let Some(other) = state.take() {
                    state.push(std::mem::replace(&mut work, other));
                }
            }
        }
    }

    /// Waits for work; false if the thread is to end.
    fn rest(&self, mut state: MutexGuard<'_, ThreadsState>) -> bool {
        if state.idle.len() >= self.eager {
            state.threads -= 1;
            return false;
        }
        let this = thread::current();
        let id = this.id();
        state.idle.push(this);
        drop(state);
        thread::park_timeout(REST);
        let mut state = self.state();
        // Whoever has work takes a thread from the list before it wakes it. If nobody has, the time is over.
        let Some(at) = state.idle.iter().position(|thread| thread.id() == id) else { return true };
        state.idle.remove(at);
        state.threads -= 1;
        false
    }

    /// Returns when this thread is needed for work, or when nothing waits any more.
    fn watch(&'static self, mut watch: Watch) {
        loop {
            thread::park_timeout(self.patience);
            let mut state = self.state();
            let Some(growth) = watch.look(&state) else { continue };
            // This thread is the first of those that are added, if any.
            for _ in 1..growth {
                self.start(state, None);
                state = self.state();
            }
            // One is for this thread. The added ones may have taken theirs already, so they do not count for the others.
            state.is_watched = state.ready.len() > 1;
            if state.is_watched {
                let next = Watch::begin(&state, growth.max(1));
                self.start(state, Some(next));
            }
            return;
        }
    }

    fn state(&self) -> MutexGuard<'_, ThreadsState> {
        self.state.lock()
    }
}

impl ThreadsState {
    fn push(&mut self, work: Arc<dyn SerialWork>) {
        self.ready.push_back((self.next_number, work));
        self.next_number += 1;
    }

    fn take(&mut self) -> Option<Arc<dyn SerialWork>> {
        let (_, work) = self.ready.pop_front()?;
        self.taken += 1;
        Some(work)
    }
}

/// Decides when there are too few threads. It counts periods instead of reading a clock.
struct Watch {
    periods: u32,
    /// What was the next number a period ago, and at the beginning.
    recent: u64,
    first: u64,
    taken: u64,
    /// How many threads were added last.
    grown: usize,
}

impl Watch {
    fn begin(state: &ThreadsState, grown: usize) -> Self {
        let next = state.next_number;
        Self { periods: 0, recent: next, first: next, taken: state.taken, grown }
    }

    /// A period has passed. The number of threads to add, 0 if nothing waits; `None` to go on watching.
    fn look(&mut self, state: &ThreadsState) -> Option<usize> {
        let Some((oldest, _)) = state.ready.front() else { return Some(0) };
        self.periods += 1;
        let taken = state.taken - std::mem::replace(&mut self.taken, state.taken);
        let recent = std::mem::replace(&mut self.recent, state.next_number);
        if *oldest < recent && taken <= self.grown as u64 {
            // At most the threads added last have taken anything, and they are stuck too.
            return Some((self.grown * 2).min(state.ready.len()));
        }
        // The threads come back, but too slowly.
        (self.periods >= MOST_PERIODS && *oldest < self.first).then_some(1)
    }
}

const LEAST_EAGER: usize = 4;

const PATIENCE: Duration = Duration::from_millis(10);

/// After so many periods work has waited too long even if other work is being done.
const MOST_PERIODS: u32 = 10;

/// How long a thread is kept with nothing to do.
const REST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// Says that it has begun, and waits to be let go if it is to.
    struct Work(Sender<()>, Option<Mutex<Receiver<()>>>);

    impl SerialWork for Work {
        fn do_some(&self) -> bool {
            self.0.send(()).unwrap();
            if let Some(gate) = &self.1 {
                let _ = gate.lock().recv();
            }
            false
        }

        fn give_up(&self, why: &io::Error) {
            assert_eq!(why.kind(), io::ErrorKind::WouldBlock);
        }
    }

    fn threads(eager: usize, patience: Duration) -> &'static SerialThreads {
        Box::leak(Box::new(SerialThreads::new(eager, patience)))
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn thousands_of_queues_with_short_work_share_the_threads_there_are() {
        // So long that nobody is found to be stuck.
        let threads = threads(3, 100 * LONG);
        let (begun, begins) = mpsc::channel();
        for _ in 0..2_000 {
            threads.begin(Arc::new(Work(begun.clone(), None)));
        }
        for _ in 0..2_000 {
            begins.recv_timeout(LONG).unwrap();
        }
        // Three and the one that watches.
        assert!(threads.state().threads <= 4, "{}", threads.state().threads);
    }

    #[test]
    fn blocked_work_delays_no_other() {
        // Again and again: whether a thread takes its work before another is started is chance.
        for blocked in 1..40 {
            let threads = threads(2, Duration::from_millis(1));
            let (begun, begins) = mpsc::channel();
            let gates: Vec<_> = (0..blocked)
                .map(|_| {
                    let (gate, waits) = mpsc::channel();
                    threads.begin(Arc::new(Work(begun.clone(), Some(Mutex::new(waits)))));
                    gate
                })
                .collect();
            for _ in 0..blocked {
                begins.recv_timeout(LONG).expect("one waits behind another");
            }
            threads.begin(Arc::new(Work(begun, None)));
            begins.recv_timeout(LONG).expect("it waits behind those that are blocked");
            drop(gates);
        }
    }

    fn waiting(numbers: std::ops::Range<u64>, taken: u64) -> ThreadsState {
        let (sender, _) = mpsc::channel();
        let work = || Arc::new(Work(sender.clone(), None)) as Arc<dyn SerialWork>;
        let next_number = numbers.end;
        ThreadsState {
            ready: numbers.map(|n| (n, work())).collect(),
            next_number,
            taken,
            ..ThreadsState::default()
        }
    }

    #[test]
    fn threads_are_added_twice_as_many_each_time_while_nothing_moves_and_few_while_something_does() {
        let mut watch = Watch::begin(&waiting(0..100, 0), 1);
        assert_eq!(watch.look(&waiting(0..100, 0)), Some(2), "stuck");
        let mut watch = Watch::begin(&waiting(2..100, 2), 2);
        assert_eq!(watch.look(&waiting(4..100, 4)), Some(4), "those that were added are stuck too");
        let mut watch = Watch::begin(&waiting(0..100, 0), 1);
        for period in 1..MOST_PERIODS as u64 {
            assert_eq!(watch.look(&waiting(period * 5..100, period * 5)), None, "it goes on");
        }
        assert_eq!(watch.look(&waiting(60..100, 60)), Some(1), "but slowly");
        let mut watch = Watch::begin(&waiting(0..1, 0), 1);
        assert_eq!(watch.look(&waiting(1..1, 1)), Some(0), "nothing waits");
        let mut watch = Watch::begin(&waiting(0..1, 0), 1);
        assert_eq!(watch.look(&waiting(7..8, 7)), None, "what waits has just come");
    }
}
