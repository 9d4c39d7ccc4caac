//! `Persistence`: when the backend of a store is read and written. A damaged backend costs persistence only. The backend
//! ([`PersistentBackend`]) decides how it reads and writes.
//!
//! The lock of the backend is taken before that of the contents, never the other way round.

use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread::{self, ThreadId};
use std::time::SystemTime;

use super::data::{Effort, Error, PersistentBackend, StoreData};
use super::memory::Memory;
use crate::env::epoch_micros;

pub(in crate::store) struct Persistence<T> {
    /// Of a file, which other processes may write, too.
    path: Option<PathBuf>,
    backend: Mutex<Box<dyn PersistentBackend<T>>>,
    /// The thread that uses the backend: an application's own may use the store meanwhile, and waits for nothing then.
    busy: Mutex<Option<ThreadId>>,
    /// It has been read once.
    is_known: AtomicBool,
    /// When to look for other processes' changes again, in microseconds since 1970.
    due: AtomicI64,
    /// A writer is about to write.
    has_writer: AtomicBool,
    /// What is kept is in memory only.
    is_broken: AtomicBool,
}

impl<T: StoreData> Persistence<T> {
    pub(in crate::store) fn new(backend: Box<dyn PersistentBackend<T>>, path: Option<PathBuf>) -> Self {
        Self {
            path,
            backend: Mutex::new(backend),
            busy: Mutex::new(None),
            is_known: AtomicBool::new(false),
            due: AtomicI64::new(0),
            has_writer: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(in crate::store) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether it is time to look for other processes' changes. One of several who ask is told so, but at the first time all
    /// must wait.
    pub(in crate::store) fn is_due(&self, now: SystemTime) -> bool {
        if !self.is_known.load(Relaxed) {
            return true;
        }
        if self.path.is_none() {
            return false;
        }
        let (now, due) = (epoch_micros(now), self.due.load(Relaxed));
        // A clock that was set back must not stop it.
        let is_time = now >= due || due - now > 2 * INTERVAL;
        is_time && self.due.compare_exchange(due, now + INTERVAL, Relaxed, Relaxed).is_ok()
    }

    /// True if the backend itself, which this thread has called, calls the store.
    pub(super) fn is_busy_here(&self) -> bool {
        *self.busy.lock() == Some(thread::current().id())
    }

    /// Whether the caller has to see to it that `write` is called. Only one of several is told so.
    pub(in crate::store) fn wants_writer(&self) -> bool {
        !self.is_broken.load(Relaxed) && !self.has_writer.swap(true, Relaxed)
    }

    /// Takes in what others have written. Blocks.
    pub(super) fn read(&self, store: &Memory<T>) {
        if self.is_busy_here() {
            return;
        }
        let mut held = self.lock();
        let backend: &mut dyn PersistentBackend<T> = &mut **held.backend;
        if !self.is_broken.load(Relaxed) && backend.is_there() {
            let done = merge_from_disk(backend, store);
            if let Err(error) = done.and_then(|()| backend.tidy(Effort::Little)) {
                self.give_up(backend, store, &*error);
            }
        }
        self.is_known.store(true, Relaxed);
    }

    /// Writes what is not written, takes in what others have, and removes what remains of what is gone. Blocks.
    pub(super) fn write(&self, store: &Memory<T>, effort: Effort) {
        // Who changes something from here on must call again.
        self.has_writer.store(false, Relaxed);
        if self.is_busy_here() {
            return;
        }
        let mut held = self.lock();
        let backend: &mut dyn PersistentBackend<T> = &mut **held.backend;
        self.is_known.store(true, Relaxed);
        if self.is_broken.load(Relaxed) || (!backend.is_there() && !wants_file(&mut *store.contents())) {
            return;
        }
        // What others have written comes first: what is taken out of the store to be written counts as being there.
        if let Err(error) = merge_from_disk(backend, store) {
            return self.give_up(backend, store, &*error);
        }
        store.change(|contents| {
            contents.expire(store.clock.wall());
            // Nobody has seen it since its time was over.
            false
        });
        let batch = store.contents().take_dirty();
        if let Some(batch) = batch {
            match backend.write(&batch, store.clock.wall()) {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        "the {} store {} is locked by another process; its changes are written later",
                        backend.name(),
                        backend.location()
                    );
                    store.contents().mark_dirty(batch);
                }
                Err(error) => return self.give_up(backend, store, &*error),
            }
        }
        if let Err(error) = backend.tidy(effort) {
            self.give_up(backend, store, &*error);
        }
    }

    /// From here on all is kept in memory only: that is no reason to fail a load.
    fn give_up(
        &self,
        backend: &mut dyn PersistentBackend<T>,
        store: &Memory<T>,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.is_broken.store(true, Relaxed);
        backend.close();
        store.contents().forget_disk();
        tracing::warn!(
            "the {} store cannot be kept {} and is in memory only from here on: {error}",
            backend.name(),
            backend.location()
        );
    }

    fn lock(&self) -> Held<'_, T> {
        let backend = self.backend.lock();
        self.set_busy(Some(thread::current().id()));
        Held { backend, persistence: self }
    }

    fn set_busy(&self, thread: Option<ThreadId>) {
        *self.busy.lock() = thread;
    }
}

/// The backend, locked by this thread.
struct Held<'a, T: StoreData> {
    backend: MutexGuard<'a, Box<dyn PersistentBackend<T>>>,
    persistence: &'a Persistence<T>,
}

impl<T: StoreData> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // Before the lock is released.
        self.persistence.set_busy(None);
    }
}

fn merge_from_disk<T: StoreData>(
    backend: &mut dyn PersistentBackend<T>,
    store: &Memory<T>,
) -> Result<(), Error> {
    if let Some(rows) = backend.read()? {
        store.change(|contents| {
            contents.merge_from_disk(rows, store.clock.wall());
            true
        });
    }
    Ok(())
}

/// A file is made when there is something to keep. If there is nothing, what differs from no file is forgotten.
fn wants_file(contents: &mut impl StoreData) -> bool {
    let wants = contents.has_lasting();
    if !wants {
        contents.take_dirty();
    }
    wants
}

/// How long loads may not see what another process has written: a second.
const INTERVAL: i64 = 1_000_000;
