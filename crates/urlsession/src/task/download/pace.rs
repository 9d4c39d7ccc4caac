//! `Pace`: whether the disk takes what is written at once, as a file in the page cache does, so that the thread that reads
//! may write; or makes writers wait, so that another thread must. It measures nothing itself.

use std::time::Duration;

/// What is known of a disk from the writes so far; nothing is trusted before some were quick.
pub(super) struct Pace {
    /// Quick writes since the last slow one.
    quick: u32,
    /// As many are wanted. More after each slow write that was trusted to be quick.
    wanted: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { quick: 0, wanted: FIRST }
    }

    /// Will the next write be quick?
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
            self.wanted = self.wanted.saturating_mul(8);
        }
        self.quick = 0;
    }
}

const FIRST: u32 = 4;

/// For a batch of at most 1 MiB. The page cache takes a fifth of it; others on the same thread do not notice it.
const QUICK: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_trusted_after_some_quick_writes_and_less_each_time_it_deceives() {
        let slow = QUICK + Duration::from_nanos(1);
        let mut pace = Pace::new();
        let until_quick = |pace: &mut Pace| {
            let mut writes = 0;
            while !pace.is_quick() {
                pace.wrote(QUICK);
                writes += 1;
            }
            writes
        };
        pace.wrote(slow);
        assert_eq!(until_quick(&mut pace), 4);
        pace.wrote(slow);
        assert_eq!(until_quick(&mut pace), 32);
        pace.wrote(slow);
        pace.wrote(slow);
        assert_eq!(until_quick(&mut pace), 256);
    }
}
