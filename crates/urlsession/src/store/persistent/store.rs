//! `Store`: contents in memory, and their backend.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::MutexGuard;

use super::data::{Effort, PersistentBackend, StoreData};
use super::memory::Memory;
use super::persistence::Persistence;
use crate::env::{Clock, RuntimeHandle, StoreClock};

/// A clone is the same store, and equal to it.
pub(in crate::store) struct Store<T: StoreData>(pub(super) Arc<Shared<T>>);

pub(super) struct Shared<T: StoreData> {
    memory: Memory<T>,
    disk: Option<Persistence<T>>,
}

impl<T: StoreData> Store<T> {
    /// A store of its own, in memory only.
    pub(in crate::store) fn in_memory() -> Self {
        Self::make(T::default(), None)
    }

    /// A store of its own, that this one alone keeps.
    pub(in crate::store) fn kept_by(backend: impl PersistentBackend<T> + 'static) -> Self {
        Self::make(T::kept(), Some(Persistence::new(Box::new(backend), None)))
    }

    pub(super) fn make(contents: T, disk: Option<Persistence<T>>) -> Self {
        Self(Arc::new(Shared { memory: Memory::new(contents), disk }))
    }

    /// How many things there are, as far as is known in memory. Costs one load of an atomic.
    pub(in crate::store) fn count(&self) -> usize {
        self.0.memory.count()
    }

    /// To look at what is there; what is changed here is neither counted, told nor written.
    pub(in crate::store) fn contents(&self) -> MutexGuard<'_, T> {
        self.0.memory.contents()
    }

    /// Changes what is there; if `change` says that it has, that is told, and written beside the caller.
    pub(in crate::store) fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        if self.0.memory.change(change) && self.0.disk.as_ref().is_some_and(Persistence::wants_writer) {
            let store = self.clone();
            match RuntimeHandle::own() {
                Ok(runtime) => runtime.spawn(async move { store.write_with(Effort::Little).await }),
                // `write` looks whether the backend itself makes this change.
                Err(_) => store.write(Effort::Little),
            }
        }
    }

    pub(in crate::store) fn watchers(&self) -> &T::Watchers {
        &self.0.memory.watchers
    }

    /// Wall-clock time, for what is asked outside a load.
    pub(in crate::store) fn now(&self) -> SystemTime {
        self.0.memory.clock.wall()
    }

    pub(in crate::store) fn clock(&self) -> &StoreClock {
        &self.0.memory.clock
    }

    /// Whether it is time to look for what other processes have written.
    pub(in crate::store) fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.0.disk.as_ref().is_some_and(|disk| disk.is_due(clock.wall()))
    }

    /// Takes in what other processes have written. Blocks.
    pub(in crate::store) fn read(&self) {
        if let Some(disk) = &self.0.disk {
            disk.read(&self.0.memory);
        }
    }

    /// The same beside the reactor.
    pub(in crate::store) async fn refresh(&self, runtime: &RuntimeHandle) {
        if self.0.disk.as_ref().is_some_and(Persistence::is_busy_here) {
            return;
        }
        let store = self.clone();
        // If the runtime shuts down, so does the load that asks.
        let _ = runtime.blocking(move || store.read()).await;
    }

    /// Completes when every change so far is on the disk, if there is one, nothing of what is gone is there any more, and
    /// the changes of other processes are here.
    pub(in crate::store) async fn flush(&self) {
        self.write_with(Effort::All).await;
    }

    async fn write_with(&self, effort: Effort) {
        if self.0.disk.as_ref().is_some_and(|disk| !disk.is_busy_here()) {
            let store = self.clone();
            let written = match RuntimeHandle::own() {
                Ok(runtime) => runtime.blocking(move || store.write(effort)).await,
                Err(error) => Err(error),
            };
            if written.is_err() {
                // There is no other thread for it.
                self.write(effort);
            }
        }
    }

    /// For `Debug`: what is kept is told to nobody.
    pub(in crate::store) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("file", &self.0.disk.as_ref().and_then(Persistence::path))
            .field("count", &self.count())
            .finish_non_exhaustive()
    }

    /// Writes what is not written, and takes in what others have. Blocks.
    pub(in crate::store) fn write(&self, effort: Effort) {
        if let Some(disk) = &self.0.disk {
            disk.write(&self.0.memory, effort);
        }
    }

    #[cfg(test)]
    pub(in crate::store) fn disk(&self) -> &Persistence<T> {
        self.0.disk.as_ref().unwrap()
    }
}

impl<T: StoreData> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: StoreData> PartialEq for Store<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: StoreData> Eq for Store<T> {}
