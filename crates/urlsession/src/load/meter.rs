//! `Meter`: what the deadlines watch of a load: bytes moved, and waits that do not count.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the deadlines watch: bytes moved, and waits that do not count.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    moved: AtomicU64,
    excused: AtomicU32,
    waits_for: AtomicU8,
}

impl Meter {
    /// Bytes have moved on the wire, in either direction.
    pub(crate) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// While the excuse lives, time does not count as idle.
    pub(crate) fn excuse(&self) -> Excuse<'_> {
        self.excused.fetch_add(1, Relaxed);
        Excuse(self)
    }

    /// An excuse that applications may ask for. A load waits for one thing at a time.
    pub(crate) fn excuse_for(&self, reason: WaitReason) -> Excuse<'_> {
        self.waits_for.store(reason as u8, Relaxed);
        self.excuse()
    }

    pub(crate) fn why_waiting(&self) -> Option<WaitReason> {
        [WaitReason::Connection, WaitReason::Connectivity]
            .into_iter()
            .find(|reason| *reason as u8 == self.waits_for.load(Relaxed))
    }

    pub(crate) fn is_excused(&self) -> bool {
        self.excused.load(Relaxed) > 0
    }
}

/// See [`Meter::excuse`].
pub(crate) struct Excuse<'a>(&'a Meter);

impl Drop for Excuse<'_> {
    fn drop(&mut self) {
        // The end of an excuse counts as movement, so that the idle time starts anew.
        self.0.moved.fetch_add(1, Relaxed);
        self.0.excused.fetch_sub(1, Relaxed);
        self.0.waits_for.store(0, Relaxed);
    }
}

/// What a task waits for before it can send. Not of Apple's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// A free connection: as many as `http_maximum_connections_per_host` allows are busy.
    Connection = 1,
    /// A network that may be used, as `waits_for_connectivity` says.
    Connectivity = 2,
}
