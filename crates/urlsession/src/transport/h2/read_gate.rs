//! `ReadGate`: whether any reader can accept data of a connection. While the readers of all its streams wait for something
//! else, such as a disk, the connection is not read: its data waits in the socket, and not in memory.
//!
//! One stream that can accept data is enough to read the connection: no stream waits for another. Other frames of the server
//! do not wait forever either.

use parking_lot::{Mutex, MutexGuard};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::env::{Clock, RuntimeHandle, Timer};

#[derive(Default)]
pub(super) struct ReadGate(Mutex<GateState>);

#[derive(Default)]
struct GateState {
    readers: usize,
    /// The next reader's number.
    next: u64,
    /// The numbers of those that rest.
    resting: Vec<u64>,
    /// Of who reads the connection, while it is not read.
    waker: Option<Waker>,
}

impl ReadGate {
    /// Ready unless all streams' readers rest, of which there is one.
    fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.readers == 0 || state.resting.len() < state.readers {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// There is another stream.
    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        let number = self.change(|state| {
            state.readers += 1;
            state.next += 1;
            state.next
        });
        Reader { rest: self.clone(), number }
    }

    fn change<T>(&self, change: impl FnOnce(&mut GateState) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        if let Some(waker) = state.waker.take() {
            drop(state);
            // If all rest still, it says so again.
            waker.wake();
        }
        changed
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock()
    }
}

/// The reader of the connection for its streams.
pub(super) struct Driver {
    rest: Arc<ReadGate>,
    clock: Arc<dyn Clock>,
    runtime: RuntimeHandle,
    wait: Wait,
}

enum Wait {
    Not,
    Until(Pin<Box<Timer>>),
    NoLonger,
}

impl Driver {
    pub(super) fn new(rest: Arc<ReadGate>, clock: Arc<dyn Clock>, runtime: RuntimeHandle) -> Self {
        Self { rest, clock, runtime, wait: Wait::Not }
    }

    /// Ready if the connection is to be read now. A disk that stalls for long is no reason to leave PINGs unanswered: then
    /// comes what the windows allow.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.rest.poll_over(cx).is_ready() {
            self.wait = Wait::Not;
            return Poll::Ready(());
        }
        loop {
            match &mut self.wait {
                Wait::Not => {
                    let end = self.clock.now() + LONGEST;
                    self.wait = Wait::Until(Box::pin(Timer::at(&*self.clock, &self.runtime, end)));
                }
                Wait::Until(timer) => {
                    ready!(timer.as_mut().poll(cx));
                    self.wait = Wait::NoLonger;
                }
                Wait::NoLonger => return Poll::Ready(()),
            }
        }
    }
}

/// The reader of a stream, until this is dropped.
pub(super) struct Reader {
    rest: Arc<ReadGate>,
    number: u64,
}

impl Reader {
    /// Rests until what this gives is dropped, which may be after the reader is.
    pub(super) fn rest(&self) -> ReadPause {
        self.rest.change(|state| {
            if !state.resting.contains(&self.number) {
                state.resting.push(self.number);
            }
        });
        ReadPause { rest: self.rest.clone(), number: self.number }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.rest.change(|state| {
            state.readers -= 1;
            state.resting.retain(|number| *number != self.number);
        });
    }
}

/// A reader that rests, until this is dropped.
pub(super) struct ReadPause {
    rest: Arc<ReadGate>,
    number: u64,
}

impl Drop for ReadPause {
    fn drop(&mut self) {
        self.rest.change(|state| state.resting.retain(|number| *number != self.number));
    }
}

/// Well below what servers wait for the answer to a PING.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// A connection's rest, and what its driver sees: how often it was woken, and whether it may read.
    fn connection() -> (Arc<ReadGate>, impl Fn() -> (usize, bool)) {
        let (rest, count) = (Arc::new(ReadGate::default()), Arc::new(Count::default()));
        let (driven, waker) = (rest.clone(), Waker::from(count.clone()));
        let is_read = move || driven.poll_over(&Context::from_waker(&waker)).is_ready();
        (rest, move || (count.0.load(Relaxed), is_read()))
    }

    #[test]
    fn a_connection_is_read_unless_all_its_readers_rest() {
        let (rest, woken_and_read) = connection();
        assert_eq!(woken_and_read(), (0, true), "nobody rests");
        let (one, other) = (rest.reader(), rest.reader());
        let resting = one.rest();
        assert_eq!(woken_and_read(), (0, true));
        let others = other.rest();
        assert_eq!(woken_and_read(), (0, false));
        drop(resting);
        assert_eq!(woken_and_read(), (1, true));
        let resting = one.rest();
        assert_eq!(woken_and_read(), (1, false));
        let third = rest.reader();
        assert_eq!(woken_and_read(), (2, true));
        drop(third);
        assert_eq!(woken_and_read(), (2, false));
        drop((resting, others));
        assert_eq!(woken_and_read(), (3, true));
    }

    #[test]
    fn a_rest_that_outlives_its_reader_is_nobody_elses() {
        let (rest, woken_and_read) = connection();
        let (gone, other) = (rest.reader(), rest.reader());
        let resting = gone.rest();
        drop(gone);
        assert_eq!(woken_and_read(), (0, true));
        let others = other.rest();
        assert_eq!(woken_and_read(), (0, false));
        drop(resting);
        assert_eq!(woken_and_read(), (1, false));
        drop(others);
        assert_eq!(woken_and_read(), (2, true));
    }
}
