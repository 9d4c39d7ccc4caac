//! `Store`: what stores have in common that are memory first, with or without a file behind them. It opens, locks and
//! counts, and sees to it that what changes is written; what is kept is its contents' to say ([`StoreData`]), and how
//! that looks on the disk ([`Table`]). The file is `disk`'s.

mod data;
mod memory;
mod persistence;
mod sqlite_file;

use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

pub(super) use self::data::{Gone, PersistentBackend, StoreData, Table, Watch};
use self::memory::Memory;
use self::persistence::Persistence;
use self::sqlite_file::SqliteFile;
use super::database::Effort;
use crate::env::{Clock, RuntimeHandle, StoreClock, data_folder};

/// A clone is the same store, and equal to it.
pub(super) struct Store<T: StoreData>(Arc<Shared<T>>);

struct Shared<T: StoreData> {
    memory: Memory<T>,
    disk: Option<Persistence<T>>,
}

impl<T: StoreData> Store<T> {
    /// A store of its own, in memory only.
    pub(super) fn in_memory() -> Self {
        Self::make(T::default(), None)
    }

    /// A store of its own, that this one alone keeps.
    pub(super) fn kept_by(backend: impl PersistentBackend<T> + 'static) -> Self {
        Self::make(T::kept(), Some(Persistence::new(Box::new(backend), None)))
    }

    fn make(contents: T, disk: Option<Persistence<T>>) -> Self {
        Self(Arc::new(Shared { memory: Memory::new(contents), disk }))
    }

    /// How many things there are, as far as is known in memory. Costs one load of an atomic.
    pub(super) fn count(&self) -> usize {
        self.0.memory.count()
    }

    /// To look at what is there; what is changed here is neither counted, told nor written.
    pub(super) fn contents(&self) -> MutexGuard<'_, T> {
        self.0.memory.contents()
    }

    /// Changes what is there; if `change` says that it has, that is told, and written beside the caller.
    pub(super) fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        if self.0.memory.change(change) && self.0.disk.as_ref().is_some_and(Persistence::wants_writer) {
            let store = self.clone();
            // The library's own runtime does not shut down.
            RuntimeHandle::own().spawn(async move { store.write_with(Effort::Little).await });
        }
    }

    pub(super) fn watchers(&self) -> &T::Watchers {
        &self.0.memory.watchers
    }

    /// Wall-clock time, for what is asked outside a load.
    pub(super) fn now(&self) -> SystemTime {
        self.0.memory.clock.wall()
    }

    pub(super) fn clock(&self) -> &StoreClock {
        &self.0.memory.clock
    }

    /// Whether it is time to look for what other processes have written.
    pub(super) fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.0.disk.as_ref().is_some_and(|disk| disk.is_due(clock.wall()))
    }

    /// Takes in what other processes have written. Blocks.
    pub(super) fn read(&self) {
        if let Some(disk) = &self.0.disk {
            disk.read(&self.0.memory);
        }
    }

    /// The same beside the reactor.
    pub(super) async fn refresh(&self, runtime: &RuntimeHandle) {
        if self.0.disk.as_ref().is_some_and(Persistence::is_busy_here) {
            return;
        }
        let store = self.clone();
        // If the runtime shuts down, so does the load that asks.
        runtime.blocking(move || store.read()).await;
    }

    /// Completes when every change so far is on the disk, if there is one, nothing of what is gone is there any more, and
    /// the changes of other processes are here.
    pub(super) async fn flush(&self) {
        self.write_with(Effort::All).await;
    }

    async fn write_with(&self, effort: Effort) {
        if self.0.disk.as_ref().is_some_and(|disk| !disk.is_busy_here()) {
            let store = self.clone();
            // The library's own runtime does not shut down.
            RuntimeHandle::own().blocking(move || store.write(effort)).await;
        }
    }

    /// For `Debug`: what is kept is told to nobody.
    pub(super) fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("file", &self.0.disk.as_ref().and_then(Persistence::path))
            .field("count", &self.count())
            .finish_non_exhaustive()
    }

    /// Writes what is not written, and takes in what others have. Blocks.
    pub(super) fn write(&self, effort: Effort) {
        if let Some(disk) = &self.0.disk {
            disk.write(&self.0.memory, effort);
        }
    }

    #[cfg(test)]
    pub(super) fn disk(&self) -> &Persistence<T> {
        self.0.disk.as_ref().unwrap()
    }
}

impl<T: Table> Store<T> {
    /// A store of its own, with this file.
    pub(super) fn with_file(path: PathBuf) -> Self {
        let file = SqliteFile::<T>::new(path.clone());
        Self::make(T::kept(), Some(Persistence::new(Box::new(file), Some(path))))
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

/// The stores with a file that are in use, so that the same path is the same store.
pub(super) struct StoreRegistry<T: StoreData>(Mutex<Vec<(PathBuf, Weak<Shared<T>>)>>);

impl<T: Table> StoreRegistry<T> {
    pub(super) const fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The store of this path.
    pub(super) fn at(&self, path: PathBuf) -> Store<T> {
        let path = std::path::absolute(&path).unwrap_or(path);
        let mut open = self.0.lock();
        open.retain(|(_, store)| store.strong_count() > 0);
        let known = open.iter().find(|(known, _)| *known == path).and_then(|(_, store)| store.upgrade());
        known.map(Store).unwrap_or_else(|| {
            let new = Store::with_file(path.clone());
            open.push((path, Arc::downgrade(&new.0)));
            new
        })
    }

    /// The store of the file that is named below the folder of this application's data.
    pub(super) fn below(&self, file: impl FnOnce(&Path) -> PathBuf) -> Store<T> {
        match data_folder() {
            Some(folder) => self.at(file(&folder)),
            None => {
                tracing::warn!(
                    "this user has no data folder: the {} store is in memory only",
                    T::SCHEMA.name
                );
                Store::in_memory()
            }
        }
    }
}
