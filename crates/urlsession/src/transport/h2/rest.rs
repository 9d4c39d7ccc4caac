//! `Rest`: whether anybody can take what a connection brings. While the readers of all its streams wait for something else,
//! such as a disk, nothing is read of it: a window full of data would lie in memory, and waits in the socket instead.
//!
//! One stream that can take data is enough for the connection to be read: no stream waits for another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
pub(super) struct Rest(Mutex<State>);

#[derive(Default)]
struct State {
    streams: usize,
    resting: usize,
    /// Of who reads the connection, while it is not read.
    reader: Option<Waker>,
}

impl Rest {
    /// Ready unless all streams rest, of which there is one.
    pub(super) fn poll_over(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.streams == 0 || state.resting < state.streams {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// There is another stream.
    pub(super) fn stream(self: &Arc<Self>) -> Resting {
        self.change(|state| state.streams += 1);
        Resting { rest: self.clone(), is_resting: false }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if let Some(reader) = state.reader.take() {
            drop(state);
            // If all rest still, it says so again.
            reader.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one stream rests, until this is dropped.
pub(super) struct Resting {
    rest: Arc<Rest>,
    is_resting: bool,
}

impl Resting {
    pub(super) fn set(&mut self, is_resting: bool) {
        if std::mem::replace(&mut self.is_resting, is_resting) != is_resting {
            self.rest.change(|state| match is_resting {
                true => state.resting += 1,
                false => state.resting -= 1,
            });
        }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.set(false);
        self.rest.change(|state| state.streams -= 1);
    }
}

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

    #[test]
    fn a_connection_is_read_unless_all_its_streams_rest() {
        let rest = Arc::new(Rest::default());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let is_read = || rest.poll_over(&Context::from_waker(&waker)).is_ready();
        assert!(is_read(), "nobody rests");
        let (mut one, mut other) = (rest.stream(), rest.stream());
        one.set(true);
        assert!(is_read());
        other.set(true);
        other.set(true);
        assert!(!is_read());
        assert_eq!(count.0.load(Relaxed), 0);
        one.set(false);
        assert_eq!((count.0.load(Relaxed), is_read()), (1, true));
        one.set(true);
        assert!(!is_read());
        let third = rest.stream();
        assert_eq!((count.0.load(Relaxed), is_read()), (2, true));
        drop(third);
        assert!(!is_read());
        drop((one, other));
        assert!(count.0.load(Relaxed) > 2 && is_read());
    }
}
