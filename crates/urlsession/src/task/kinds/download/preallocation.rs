//! `Preallocation`: the disk space that is reserved ahead of the received bytes: enough that the file system stores the
//! file in large pieces, but not so much that the announced length alone fills the disk. Everything here may block.

use std::io;

use crate::env::fs::File;
use crate::env::{free_room, reserve};

/// The reserved space of one file.
#[derive(Debug, Default)]
pub(super) struct Preallocation {
    /// The complete length of the file, while more space is to be reserved; 0 if not.
    complete: u64,
    /// The end of the reserved space.
    end: u64,
    step: u64,
}

impl Preallocation {
    /// Reserves space for a file of `complete` bytes that has `position` of them. A disk without enough space fails now,
    /// before the server sends in vain.
    pub(super) fn take(&mut self, file: &File, position: u64, complete: Option<u64>) -> io::Result<()> {
        if complete == Some(self.complete) && self.end > position {
            return Ok(());
        }
        *self = Self { end: self.end, ..Self::default() };
        let missing = complete.map_or(0, |complete| complete.saturating_sub(position));
        let (Some(complete), true) = (complete, missing >= MUCH) else { return Ok(()) };
        let free = free_room(file);
        self.step = free.map_or(STEP, |free| (free / SHARE).clamp(MUCH, STEP));
        self.end = complete.min(position.saturating_add(self.step));
        // Where no space can be reserved, a file may still fit in less space, because it may be compressed.
        if !reserve(file, position, self.end - position)? {
            *self = Self::default();
        } else if free.is_some_and(|free| free < missing) {
            return Err(io::ErrorKind::StorageFull.into());
        } else {
            self.complete = complete;
        }
        Ok(())
    }

    /// Whether more space should be reserved soon.
    pub(super) fn is_due(&self, position: u64) -> bool {
        self.end < self.complete && position.saturating_add(self.step / 4) > self.end
    }

    /// The next step, if it is due. If there is not enough space, the file is written as far as possible.
    pub(super) fn take_more(&mut self, file: &File, position: u64) {
        if !self.is_due(position) {
            return;
        }
        let from = self.end.max(position);
        self.end = self.complete.min(position.saturating_add(self.step)).max(from);
        if !reserve(file, from, self.end - from).unwrap_or(false) {
            self.complete = 0;
        }
    }

    /// Releases reserved space that is not needed: otherwise a short file would occupy as much as a long one.
    pub(super) fn give_back(&mut self, file: &File, position: u64) -> io::Result<()> {
        if std::mem::take(self).end <= position {
            return Ok(());
        }
        // Truncating a file at its end releases the space that is reserved behind the end.
        file.metadata().and_then(|metadata| file.set_len(metadata.len()))
    }
}

/// Reserving less space is not worth a system call.
const MUCH: u64 = 1024 * 1024;
/// At most this much is reserved ahead: some thirty system calls for a GiB,
const STEP: u64 = 32 * 1024 * 1024;
/// and at most one in this many of the free bytes.
const SHARE: u64 = 8;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn taken(file: &File) -> u64 {
        file.metadata().unwrap().blocks() * 512
    }

    #[test]
    fn room_is_taken_step_by_step_up_to_the_end_and_given_back() {
        let file = tempfile::tempfile().unwrap();
        let mut preallocation = Preallocation::default();
        let complete = 70 * MUCH;
        preallocation.take(&file, 0, Some(complete)).unwrap();
        let step = preallocation.step;
        if preallocation.complete == 0 || step < 30 * MUCH {
            eprintln!("skipped: a file system without space");
            return;
        }
        // Some file systems take a block more for themselves.
        let is_about = |bytes: u64| (bytes..bytes + MUCH).contains(&taken(&file));
        assert!(is_about(step) && !preallocation.is_due(0) && !preallocation.is_due(step / 2));
        assert!(preallocation.is_due(step - MUCH));
        preallocation.take_more(&file, step - MUCH);
        assert!(is_about(2 * step - MUCH) && !preallocation.is_due(step - MUCH));
        // The same again takes nothing.
        preallocation.take(&file, step, Some(complete)).unwrap();
        assert!(is_about(2 * step - MUCH));
        preallocation.take_more(&file, 2 * step - MUCH);
        assert!(is_about(complete) && !preallocation.is_due(complete));
        preallocation.give_back(&file, 0).unwrap();
        assert_eq!(taken(&file), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_at_once_and_what_is_little_is_not_asked_for() {
        let file = tempfile::tempfile().unwrap();
        let mut preallocation = Preallocation::default();
        preallocation.take(&file, 0, Some(MUCH - 1)).unwrap();
        preallocation.take(&file, 0, None).unwrap();
        assert_eq!(taken(&file), 0);
        for complete in [1 << 60, u64::MAX] {
            assert!(preallocation.take(&file, 0, Some(complete)).is_err());
            preallocation.give_back(&file, 0).unwrap();
            assert_eq!(taken(&file), 0);
        }
    }
}
