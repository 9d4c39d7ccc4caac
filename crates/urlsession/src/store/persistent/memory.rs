//! `Memory`: the counted contents of a store in memory, and the watchers that are notified of changes.

use parking_lot::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::data::{StoreData, Watch};
use crate::env::StoreClock;

pub(in crate::store) struct Memory<T: StoreData> {
    /// How many things there are: all that a load looks at when there are none.
    count: AtomicUsize,
    contents: Mutex<T>,
    pub(super) watchers: T::Watchers,
    pub(super) clock: StoreClock,
}

impl<T: StoreData> Memory<T> {
    pub(super) fn new(contents: T) -> Self {
        Self {
            count: AtomicUsize::new(0),
            contents: Mutex::new(contents),
            watchers: T::Watchers::default(),
            clock: StoreClock::default(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub(super) fn contents(&self) -> MutexGuard<'_, T> {
        self.contents.lock()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut contents = self.contents();
        let has_changed = change(&mut contents);
        self.count.store(contents.len(), Relaxed);
        drop(contents);
        if has_changed {
            self.watchers.tell();
        }
        has_changed
    }
}
