//! What happens to the files of a folder, as the system tells of it: the moments at which a process can be stopped.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use super::PATIENCE;

/// Hears of everything that is done in a folder.
pub struct Watch(OwnedFd);

impl Watch {
    pub fn of(folder: &Path) -> Self {
        let heard = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        add_watch(&heard, folder, WatchFlags::ALL_EVENTS).unwrap();
        Self(heard)
    }

    /// Forgets what has happened, and how much that was.
    pub fn drain(&self) -> usize {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.0.as_fd(), &mut space);
        let mut count = 0;
        while reader.next().is_ok() {
            count += 1;
        }
        count
    }

    /// Waits until so much has happened. False if the process that holds the other end of `pipe` has ended before.
    pub fn wait(&self, events: usize, pipe: &File) -> bool {
        let mut count = self.drain();
        while count < events {
            let mut both = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(pipe, PollFlags::empty())];
            let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            assert!(poll(&mut both, Some(&limit)).unwrap() > 0, "nothing happened after {count} steps");
            let [heard, held] = both.map(|one| one.revents());
            if heard.is_empty() && !held.is_empty() {
                return false;
            }
            count += self.drain();
        }
        true
    }
}
