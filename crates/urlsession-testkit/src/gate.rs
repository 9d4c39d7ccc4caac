//! Owns the gate, the testkit's only way to pause: the server waits, the test decides when it goes on.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// The name [`crate::Origin::hold`] uses for a gate.
pub type Hold = Gate;

/// A door the server stops at until the test opens it; clones are the same door, and it stays open.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    open: watch::Sender<bool>,
    arrivals: Mutex<usize>,
    arrived: Condvar,
    arrived_async: Notify,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                open: watch::Sender::new(false),
                arrivals: Mutex::new(0),
                arrived: Condvar::new(),
                arrived_async: Notify::new(),
            }),
        }
    }

    /// Opens the gate for everything that waits at it, now and later.
    pub fn release(&self) {
        self.inner.open.send_replace(true);
    }

    /// Whether [`Gate::release`] was called.
    pub fn is_released(&self) -> bool {
        *self.inner.open.borrow()
    }

    /// How many times the server has come to the gate so far.
    pub fn reached(&self) -> usize {
        *self.arrivals()
    }

    /// Blocks until the server has come to the gate; `false` when `limit` passed first.
    pub fn wait_reached(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut arrivals = self.arrivals();
        while *arrivals == 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            let woken = self.inner.arrived.wait_timeout(arrivals, left);
            arrivals = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits until the server has come to the gate, on any executor and without a limit.
    pub async fn until_reached(&self) {
        loop {
            // Made before the look at the count, so that no arrival in between is missed.
            let arrived = self.inner.arrived_async.notified();
            if self.reached() > 0 {
                return;
            }
            arrived.await;
        }
    }

    pub(crate) async fn pass(&self) {
        *self.arrivals() += 1;
        self.inner.arrived.notify_all();
        self.inner.arrived_async.notify_waiters();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.inner.open.subscribe().wait_for(|open| *open).await;
    }

    fn arrivals(&self) -> MutexGuard<'_, usize> {
        self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("released", &self.is_released())
            .field("reached", &self.reached())
            .finish()
    }
}
