//! `WriteLatency`: whether the disk accepts written bytes at once, as the page cache does, so that the reading thread may
//! write; or makes writers wait, so that another thread must write. It measures nothing itself.

use std::time::Duration;

/// The latency of a disk, from the writes so far. The first write is assumed to be quick: memory accepts it before the disk
/// is used.
pub(super) struct WriteLatency {
    /// Quick writes since the last slow one.
    quick: u32,
    /// The number of quick writes that are required. It increases after each write that was wrongly expected to be quick.
    wanted: u32,
}

impl WriteLatency {
    pub(super) fn new() -> Self {
        Self { quick: 0, wanted: 0 }
    }

    /// Whether the next write is expected to be quick.
    pub(super) fn is_quick(&self) -> bool {
        self.quick >= self.wanted
    }

    /// A batch was written in this time.
    pub(super) fn wrote(&mut self, time: Duration) {
        if time <= QUICK {
            self.quick = self.quick.saturating_add(1);
            return;
        }
        if self.is_quick() {
            self.wanted = match time > STALL {
                true => self.wanted.max(1).saturating_mul(8),
                false => self.wanted.max(FEW),
            };
        }
        self.quick = 0;
    }
}

/// For a batch of at most 1 MiB. The page cache needs a fifth of this; it does not disturb other tasks on the same thread.
const QUICK: Duration = Duration::from_millis(2);

/// This disturbs other tasks. A time in between is a delay that any thread has that shares its core.
const STALL: Duration = Duration::from_millis(20);

/// Quick writes after such a delay, before the next write is expected to be quick.
const FEW: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SLIP: Duration = STALL;
    const STALLED: Duration = STALL.saturating_add(Duration::from_nanos(1));

    /// Quick writes until the next is trusted to be.
    fn until_quick(pace: &mut WriteLatency) -> u32 {
        let mut writes = 0;
        while !pace.is_quick() {
            pace.wrote(QUICK);
            writes += 1;
        }
        writes
    }

    #[test]
    fn a_disk_is_trusted_until_it_stalls_and_less_each_time() {
        let mut pace = WriteLatency::new();
        assert!(pace.is_quick());
        pace.wrote(QUICK);
        assert!(pace.is_quick());
        pace.wrote(STALLED);
        assert_eq!(until_quick(&mut pace), 8);
        pace.wrote(STALLED);
        pace.wrote(STALLED);
        assert_eq!(until_quick(&mut pace), 64);
    }

    #[test]
    fn a_slip_costs_a_few_writes_and_no_trust() {
        let mut pace = WriteLatency::new();
        for _ in 0..3 {
            pace.wrote(SLIP);
            assert_eq!(until_quick(&mut pace), FEW);
        }
        pace.wrote(STALLED);
        until_quick(&mut pace);
        pace.wrote(SLIP);
        assert_eq!(until_quick(&mut pace), 8 * FEW);
    }
}
