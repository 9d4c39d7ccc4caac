//! A clock that stands still until it is moved.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use urlsession::environment::Clock;

use super::PATIENCE;

/// Moved by hand. A clone is the same clock.
#[derive(Clone)]
pub struct HandClock(Arc<(Mutex<State>, Condvar)>);

struct State {
    start: (Instant, SystemTime),
    passed: Duration,
    sleepers: Vec<(u64, Instant, Waker)>,
    next: u64,
}

impl HandClock {
    pub fn new() -> Self {
        let state = State {
            start: (Instant::now(), SystemTime::now()),
            passed: Duration::ZERO,
            sleepers: Vec::new(),
            next: 0,
        };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// Moves it on and wakes who waited for that.
    pub fn advance(&self, time: Duration) {
        let mut state = self.0.0.lock().unwrap();
        state.passed += time;
        let now = state.start.0 + state.passed;
        let due = state.sleepers.extract_if(.., |(_, deadline, _)| *deadline <= now).collect::<Vec<_>>();
        drop(state);
        for (_, _, waker) in due {
            waker.wake();
        }
    }

    /// Moves it on by `time` until `done`, each time somebody sleeps for that long at most. More than once, because
    /// a client counts the last byte it moved when it comes to it, which may be after the first move.
    pub fn advance_until(&self, time: Duration, done: impl Fn() -> bool) {
        for _ in 0..10 {
            let start = Instant::now();
            while !done() && !self.somebody_sleeps(time) {
                assert!(start.elapsed() < PATIENCE, "nobody sleeps and nothing is done");
                std::thread::yield_now();
            }
            if done() {
                return;
            }
            self.advance(time);
        }
    }

    fn somebody_sleeps(&self, within: Duration) -> bool {
        let state = self.0.0.lock().unwrap();
        state.sleepers.iter().any(|(_, at, _)| *at <= state.start.0 + state.passed + within)
    }

    /// Waits until somebody sleeps until `within` from now at the latest: only then is it worth moving on.
    pub fn wait_for_sleeper(&self, within: Duration) {
        self.wait_for_sleepers(1, within);
    }

    /// Waits until as many sleep until `within` from now at the latest.
    pub fn wait_for_sleepers(&self, count: usize, within: Duration) {
        let state = self.0.0.lock().unwrap();
        let sleep = |state: &State| {
            let end = state.start.0 + state.passed + within;
            state.sleepers.iter().filter(|(_, at, _)| *at <= end).count()
        };
        let (state, timeout) =
            self.0.1.wait_timeout_while(state, PATIENCE, |state| sleep(state) < count).unwrap();
        assert!(!timeout.timed_out(), "{} sleep", sleep(&state));
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        let state = self.0.0.lock().unwrap();
        state.start.0 + state.passed
    }

    fn wall(&self) -> SystemTime {
        let state = self.0.0.lock().unwrap();
        state.start.1 + state.passed
    }

    fn sleep_until(&self, deadline: Instant) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let mut state = self.0.0.lock().unwrap();
        state.next += 1;
        Some(Box::pin(Sleep { clock: self.clone(), deadline, number: state.next }))
    }
}

struct Sleep {
    clock: HandClock,
    deadline: Instant,
    number: u64,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.0.0.lock().unwrap();
        if state.start.0 + state.passed >= self.deadline {
            return Poll::Ready(());
        }
        state.sleepers.retain(|(number, _, _)| *number != self.number);
        state.sleepers.push((self.number, self.deadline, cx.waker().clone()));
        drop(state);
        self.clock.0.1.notify_all();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.0.0.lock().unwrap().sleepers.retain(|(number, _, _)| *number != self.number);
    }
}
