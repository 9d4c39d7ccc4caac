//! `Preallocation`: what is taken on the disk ahead of what has come: enough that the file system lays the file out in large
//! pieces, and never so much that a server's word alone takes the disk. Everything here may block.

use std::io;

use crate::env::fs::File;
use crate::env::{free_room, reserve};

/// The space of one file.
#[derive(Debug, Default)]
pub(super) struct Preallocation {
    /// Where the file will end, while more is to be taken; 0 if not.
    complete: u64,
    /// It has been taken up to here.
    end: u64,
    step: u64,
}

impl Preallocation {
    /// For a file of `complete` bytes that has `position` of them. A disk that is too full for it is told of now, before
    /// the server has sent for nothing.
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
        // Where no space can be taken, a file may well fit in less, as it may be compressed.
        if !reserve(file, position, self.end - position)? {
            *self = Self::default();
        } else if free.is_some_and(|free| free < missing) {
            return Err(io::ErrorKind::StorageFull.into());
        } else {
            self.complete = complete;
        }
        Ok(())
    }

    /// Whether more is to be taken soon.
    pub(super) fn is_due(&self, position: u64) -> bool {
        self.end < self.complete && position.saturating_add(self.step / 4) > self.end
    }

    /// The next step, if it is due. Where there is not as much, the file goes on as far as it gets.
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

    /// Gives back what is not needed: without it a short file would take as much as a long one.
    pub(super) fn give_back(&mut self, file: &File, position: u64) -> io::Result<()> {
        if std::mem::take(self).end <= position {
            return Ok(());
        }
        // To cut a file where it ends gives back what is reserved behind that.
        file.metadata().and_then(|metadata| file.set_len(metadata.len()))
    }
}

/// Space for less is not worth a system call.
const MUCH: u64 = 1024 * 1024;
/// At most so much is taken ahead: some thirty system calls for a GiB,
const STEP: u64 = 32 * 1024 * 1024;
/// and at most one in so many of the bytes that are free.
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
