//! `Activity`: what the deadlines watch of a load: bytes moved, and waits that do not count.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the deadlines watch: bytes moved, and waits that do not count.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    moved: AtomicU64,
    idle_pauses: AtomicU32,
    waits_for: AtomicU8,
}

impl Activity {
    /// Bytes have moved on the wire, in either direction.
    pub(crate) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// While the pause lives, time does not count as idle.
    pub(crate) fn pause_idle(&self) -> IdlePause<'_> {
        self.idle_pauses.fetch_add(1, Relaxed);
        IdlePause(self)
    }

    /// A pause that applications may ask for. A load waits for one thing at a time.
    pub(crate) fn pause_idle_for(&self, reason: WaitReason) -> IdlePause<'_> {
        self.waits_for.store(reason as u8, Relaxed);
        self.pause_idle()
    }

    pub(crate) fn why_waiting(&self) -> Option<WaitReason> {
        [WaitReason::Connection, WaitReason::Connectivity, WaitReason::Retry]
            .into_iter()
            .find(|reason| *reason as u8 == self.waits_for.load(Relaxed))
    }

    pub(crate) fn is_idle_paused(&self) -> bool {
        self.idle_pauses.load(Relaxed) > 0
    }
}

/// See [`Activity::pause_idle`].
pub(crate) struct IdlePause<'a>(&'a Activity);

impl Drop for IdlePause<'_> {
    fn drop(&mut self) {
        // The end of a pause counts as movement, so that the idle time starts anew.
        self.0.moved.fetch_add(1, Relaxed);
        self.0.idle_pauses.fetch_sub(1, Relaxed);
        self.0.waits_for.store(0, Relaxed);
    }
}

/// What a task waits for before it can send. Extension: no counterpart in Apple's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// A free connection: all connections that `http_maximum_connections_per_host` allows are busy.
    Connection = 1,
    /// An allowed network, because `waits_for_connectivity` is set.
    Connectivity = 2,
    /// The time of the next attempt, which the [`RetryPolicy`](crate::tasks::RetryPolicy) determines.
    Retry = 3,
}
