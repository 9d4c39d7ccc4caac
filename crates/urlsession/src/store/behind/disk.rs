//! `Disk`: the file behind a store. When to read it, when to write, and that a bad one costs persistence only; what is
//! in it is its store's to say ([`Table`]).
//!
//! The lock of the file is taken before that of the contents, never the other way round.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rusqlite::Connection;

use super::{Contents, Gone, Inner, Table};
use crate::env::epoch_micros;
use crate::env::fs;
use crate::store::database::{self, Effort, Remains};

pub(in crate::store) struct Disk {
    path: PathBuf,
    link: Mutex<Link>,
    /// Has it been looked at?
    is_known: AtomicBool,
    /// When to look for other processes' changes again, in microseconds since 1970.
    due: AtomicI64,
    /// Is somebody on the way to write?
    has_writer: AtomicBool,
    /// What is kept is in memory only.
    is_broken: AtomicBool,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// SQLite's count of other connections' changes, at the last reading.
    seen: i64,
    /// Of what is gone, in the file.
    remains: Remains,
}

impl Disk {
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        Self {
            path,
            link: Mutex::default(),
            is_known: AtomicBool::new(false),
            due: AtomicI64::new(0),
            has_writer: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Is it time to look for other processes' changes? One of several who ask is told so, but at the first time all
    /// must wait.
    pub(in crate::store) fn is_due(&self, now: SystemTime) -> bool {
        if !self.is_known.load(Relaxed) {
            return true;
        }
        let (now, due) = (epoch_micros(now), self.due.load(Relaxed));
        // A clock that was set back must not stop it.
        let is_time = now >= due || due - now > 2 * INTERVAL;
        is_time && self.due.compare_exchange(due, now + INTERVAL, Relaxed, Relaxed).is_ok()
    }

    /// Should the caller see to it that `write` is called? Only one of several is told so.
    pub(in crate::store) fn wants_writer(&self) -> bool {
        !self.is_broken.load(Relaxed) && !self.has_writer.swap(true, Relaxed)
    }

    /// Takes in what others have written. Blocks.
    pub(super) fn read<T: Table>(&self, store: &Inner<T>) {
        let mut link = self.lock();
        if !self.is_broken.load(Relaxed) && self.is_there(&link) {
            let done = self.take_in(&mut link, store);
            if let Err(error) = done.and_then(|()| Ok(link.remove_remains(Effort::Little)?)) {
                self.give_up(&mut link, store, &*error);
            }
        }
        self.is_known.store(true, Relaxed);
    }

    /// Writes what is not written, takes in what others have, and removes what remains of what is gone. Blocks.
    pub(super) fn write<T: Table>(&self, store: &Inner<T>, effort: Effort) {
        // Who changes something from here on must call again.
        self.has_writer.store(false, Relaxed);
        let mut link = self.lock();
        self.is_known.store(true, Relaxed);
        if self.is_broken.load(Relaxed) || (!self.is_there(&link) && !wants_file(&mut *store.contents())) {
            return;
        }
        // What others have written comes first: what is taken out of the store to be written counts as being there.
        if let Err(error) = self.take_in(&mut link, store) {
            return self.give_up(&mut link, store, &*error);
        }
        let batch = store.contents().take_unwritten();
        let Link { connection: Some(connection), remains, .. } = &mut *link else { return };
        if let Some(batch) = batch {
            match T::write(connection, &batch, store.clock.wall()) {
                Ok(Gone::Nothing) => {}
                Ok(Gone::Some) => remains.note(),
                Ok(Gone::Everything) => {
                    remains.note();
                    database::remove_aside(&self.path);
                }
                Err(error) if database::is_busy(&error) => {
                    let (name, path) = (T::SCHEMA.name, self.path.display());
                    tracing::warn!("the {name} store at {path} is busy: its changes wait");
                    store.contents().give_back(batch);
                }
                Err(error) => return self.give_up(&mut link, store, &error),
            }
        }
        if let Err(error) = link.remove_remains(effort) {
            self.give_up(&mut link, store, &error);
        }
    }

    fn is_there(&self, link: &Link) -> bool {
        link.connection.is_some() || fs::exists(&self.path)
    }

    /// Opens the file if it is not open, and reads it if another process has written it since.
    fn take_in<T: Table>(&self, link: &mut Link, store: &Inner<T>) -> Result<(), Error> {
        let (connection, is_new) = match &mut link.connection {
            Some(connection) => (connection, false),
            none => (none.insert(database::open(&self.path, &T::SCHEMA)?), true),
        };
        let version: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if !is_new && version == link.seen {
            return Ok(());
        }
        let rows = T::read(connection)?;
        link.seen = version;
        store.change(|contents| {
            contents.take_in(rows, store.clock.wall());
            true
        });
        Ok(())
    }

    /// From here on all is kept in memory only: that is no reason to fail a load.
    fn give_up<T: Table>(
        &self,
        link: &mut Link,
        store: &Inner<T>,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.is_broken.store(true, Relaxed);
        link.connection = None;
        store.contents().forget_disk();
        tracing::warn!(
            "the {} store cannot be kept at {} and is in memory only from here on: {error}",
            T::SCHEMA.name,
            self.path.display()
        );
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn remove_remains(&mut self, effort: Effort) -> rusqlite::Result<()> {
        self.connection.as_ref().map_or(Ok(()), |connection| self.remains.remove(connection, effort))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The next who opens the file tries it, too.
        let _ = self.remove_remains(Effort::Little);
    }
}

/// A file is made when there is something to keep. If there is nothing, what differs from no file is forgotten.
fn wants_file(contents: &mut impl Contents) -> bool {
    let wants = contents.has_lasting();
    if !wants {
        contents.take_unwritten();
    }
    wants
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long loads may not see what another process has written: a second.
const INTERVAL: i64 = 1_000_000;
