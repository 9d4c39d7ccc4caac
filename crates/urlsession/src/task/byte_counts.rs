//! `ByteCounts`: how many bytes a task has sent and received, and how many it expects.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};

/// The four counters, in bytes; `UNKNOWN` where a length is not known.
pub(super) struct ByteCounts {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) to_send: AtomicU64,
    pub(super) to_receive: AtomicU64,
    /// The part of the sent and received bytes that an earlier load has moved.
    pub(super) of_earlier: AtomicU64,
    /// Delivered to a delegate that has not returned yet.
    pub(super) in_delivery: AtomicU64,
    /// Written to a download's file.
    pub(super) written: AtomicU64,
    pub(super) sent_report: Report,
    pub(super) written_report: Report,
}

/// A count that is reported to the delegate: reports that have not been delivered yet are merged.
#[derive(Default)]
pub(super) struct Report {
    reported: AtomicU64,
    is_on_its_way: AtomicBool,
}

impl Report {
    /// True if a report is waiting already. If not, the caller sends one.
    pub(super) fn begin(&self) -> bool {
        self.is_on_its_way.swap(true, AcqRel)
    }

    /// Counts from here: earlier bytes are not new.
    pub(super) fn begin_from(&self, count: u64) {
        self.reported.store(count, Relaxed);
    }

    /// The new bytes, and the total.
    pub(super) fn end(&self, count: &AtomicU64) -> (u64, u64) {
        self.is_on_its_way.store(false, Relaxed);
        let total = count.load(Acquire);
        (total.saturating_sub(self.reported.swap(total, AcqRel)), total)
    }
}

pub(super) const UNKNOWN: u64 = u64::MAX;

impl ByteCounts {
    pub(super) fn new(to_send: u64) -> Self {
        Self {
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            to_send: AtomicU64::new(to_send),
            to_receive: AtomicU64::new(UNKNOWN),
            of_earlier: AtomicU64::new(0),
            in_delivery: AtomicU64::new(0),
            written: AtomicU64::new(0),
            sent_report: Report::default(),
            written_report: Report::default(),
        }
    }
}
