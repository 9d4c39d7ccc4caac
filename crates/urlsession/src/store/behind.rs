//! `Disk`: the file behind a store that is memory first. When to read it, when to write, and that a bad one costs
//! persistence only; what is in it is its store's to say ([`Contents`]).
//!
//! All but [`write_soon`] blocks. The lock of the file is taken before that of the store, never the other way round.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode};

use super::database::{self, Schema};
use crate::env::{Clock, Place, SystemClock};

/// A store as its disk sees it.
pub(crate) trait Contents: Send + Sync + 'static {
    /// Everything in the file.
    type Rows;
    /// What is to be written.
    type Batch;
    const SCHEMA: Schema;

    fn disk(&self) -> Option<&Disk>;

    /// A file is made when there is something to keep. If there is nothing, what differs from no file is forgotten.
    fn wants_file(&self) -> bool;

    /// Takes what another process has written: the file as it is now.
    fn take_in(&self, rows: Self::Rows, now: SystemTime);

    /// What is to be written now; it counts as written.
    fn take_unwritten(&self) -> Option<Self::Batch>;

    /// The batch could not be written, and is to be another time.
    fn give_back(&self, batch: Self::Batch);

    /// There is no disk any more.
    fn forget_disk(&self);

    fn read(connection: &Connection) -> rusqlite::Result<Self::Rows>;

    fn write(connection: &mut Connection, batch: &Self::Batch, now: SystemTime) -> rusqlite::Result<()>;
}

/// Sees to it that what has changed is written, beside the caller.
pub(crate) fn write_soon<C: Contents>(store: &Arc<C>) {
    if store.disk().is_some_and(Disk::wants_writer) {
        let store = store.clone();
        // The library's own runtime does not shut down.
        Place::own().spawn(async move { flush(&store).await });
    }
}

/// Completes when every change so far is on the disk, if there is one, and the changes of other processes are here.
pub(crate) async fn flush<C: Contents>(store: &Arc<C>) {
    if store.disk().is_some() {
        let store = store.clone();
        // The library's own runtime does not shut down.
        Place::own().blocking(move || write(&*store)).await;
    }
}

/// Looks for what other processes have written, beside the reactor.
pub(crate) async fn refresh<C: Contents>(store: &Arc<C>, place: &Place) {
    let store = store.clone();
    // If the runtime shuts down, so does the load that asks.
    place.blocking(move || read(&*store)).await;
}

/// Takes in what others have written. Blocks.
pub(crate) fn read<C: Contents>(store: &C) {
    if let Some(disk) = store.disk() {
        disk.read(store);
    }
}

/// Writes what is not written, and takes in what others have. Blocks.
pub(crate) fn write<C: Contents>(store: &C) {
    if let Some(disk) = store.disk() {
        disk.write(store);
    }
}

/// The stores with a file that are in use, so that the same path is the same store.
pub(crate) struct Opened<C>(Mutex<Vec<(PathBuf, Weak<C>)>>);

impl<C> Opened<C> {
    pub(crate) const fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The store of this path.
    pub(crate) fn at(&self, path: PathBuf, make: impl FnOnce(PathBuf) -> Arc<C>) -> Arc<C> {
        let path = std::path::absolute(&path).unwrap_or(path);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, store)| store.strong_count() > 0);
        let known = open.iter().find(|(known, _)| *known == path).and_then(|(_, store)| store.upgrade());
        known.unwrap_or_else(|| {
            let new = make(path.clone());
            open.push((path, Arc::downgrade(&new)));
            new
        })
    }
}

pub(crate) struct Disk {
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
}

impl Disk {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            link: Mutex::default(),
            is_known: AtomicBool::new(false),
            due: AtomicI64::new(0),
            has_writer: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Is it time to look for other processes' changes? One of several who ask is told so, but at the first time all
    /// must wait.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        if !self.is_known.load(Relaxed) {
            return true;
        }
        let (now, due) = (micros(now), self.due.load(Relaxed));
        // A clock that was set back must not stop it.
        let is_time = now >= due || due - now > 2 * INTERVAL;
        is_time && self.due.compare_exchange(due, now + INTERVAL, Relaxed, Relaxed).is_ok()
    }

    /// Should the caller see to it that `write` is called? Only one of several is told so.
    pub(crate) fn wants_writer(&self) -> bool {
        !self.is_broken.load(Relaxed) && !self.has_writer.swap(true, Relaxed)
    }

    fn read<C: Contents>(&self, store: &C) {
        let mut link = self.lock();
        if !self.is_broken.load(Relaxed)
            && self.is_there(&link)
            && let Err(error) = self.take_in(&mut link, store)
        {
            self.give_up(&mut link, store, &*error);
        }
        self.is_known.store(true, Relaxed);
    }

    fn write<C: Contents>(&self, store: &C) {
        // Who changes something from here on must call again.
        self.has_writer.store(false, Relaxed);
        let mut link = self.lock();
        self.is_known.store(true, Relaxed);
        if self.is_broken.load(Relaxed) || (!self.is_there(&link) && !store.wants_file()) {
            return;
        }
        // What others have written comes first: what is taken out of the store to be written counts as being there.
        if let Err(error) = self.take_in(&mut link, store) {
            return self.give_up(&mut link, store, &*error);
        }
        let Some(batch) = store.take_unwritten() else { return };
        let Some(connection) = &mut link.connection else { return };
        let Err(error) = C::write(connection, &batch, SystemClock.wall()) else { return };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                let (name, path) = (C::SCHEMA.name, self.path.display());
                tracing::warn!("the {name} store at {path} is busy: its changes wait");
                store.give_back(batch);
            }
            _ => self.give_up(&mut link, store, &error),
        }
    }

    fn is_there(&self, link: &Link) -> bool {
        link.connection.is_some() || self.path.exists()
    }

    /// Opens the file if it is not open, and reads it if another process has written it since.
    fn take_in<C: Contents>(&self, link: &mut Link, store: &C) -> Result<(), Error> {
        let (connection, is_new) = match &mut link.connection {
            Some(connection) => (connection, false),
            none => (none.insert(database::open(&self.path, &C::SCHEMA)?), true),
        };
        let version: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if !is_new && version == link.seen {
            return Ok(());
        }
        let rows = C::read(connection)?;
        link.seen = version;
        store.take_in(rows, SystemClock.wall());
        Ok(())
    }

    /// From here on all is kept in memory only: that is no reason to fail a load.
    fn give_up<C: Contents>(&self, link: &mut Link, store: &C, error: &(dyn std::error::Error + 'static)) {
        self.is_broken.store(true, Relaxed);
        link.connection = None;
        store.forget_disk();
        tracing::warn!(
            "the {} store cannot be kept at {} and is in memory only from here on: {error}",
            C::SCHEMA.name,
            self.path.display()
        );
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 2),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX / 2),
    }
}

/// How long loads may not see what another process has written: a second.
const INTERVAL: i64 = 1_000_000;
