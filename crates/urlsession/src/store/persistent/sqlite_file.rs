//! Stores with a file: `SqliteFile`, a store's contents in a SQLite file, and `StoreRegistry`, the stores in use. The store
//! defines the contents of the file ([`Table`]); `persistence` decides when the file is read and written.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::data::{Effort, Error, PersistentBackend, StoreData};
use super::persistence::Persistence;
use super::store::{Shared, Store};
use crate::env::{data_folder, fs};
use crate::store::database::{self, Remains, Schema};

/// How the contents look in SQLite.
pub(in crate::store) trait Table: StoreData {
    const SCHEMA: Schema;

    fn read(connection: &Connection) -> rusqlite::Result<Self::Rows>;

    fn write(connection: &mut Connection, batch: &Self::Batch, now: SystemTime) -> rusqlite::Result<Gone>;
}

/// What a file lost when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Gone {
    /// Nothing that anybody might want to be gone.
    Nothing,
    /// Values were deleted or replaced: nothing of them may stay.
    Some,
    Everything,
}

impl Gone {
    /// So many rows.
    pub(in crate::store) fn rows(count: usize) -> Self {
        if count > 0 { Self::Some } else { Self::Nothing }
    }
}

impl<T: Table> Store<T> {
    /// A store of its own, with this file.
    pub(in crate::store) fn with_file(path: PathBuf) -> Self {
        let file = SqliteFile::<T>::new(path.clone());
        Self::make(T::kept(), Some(Persistence::new(Box::new(file), Some(path))))
    }
}

/// The stores with a file that are in use, so that the same path is the same store.
pub(in crate::store) struct StoreRegistry<T: StoreData>(Mutex<Vec<(PathBuf, Weak<Shared<T>>)>>);

impl<T: Table> StoreRegistry<T> {
    pub(in crate::store) const fn none() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The store of this path.
    pub(in crate::store) fn at(&self, path: PathBuf) -> Store<T> {
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
    pub(in crate::store) fn below(&self, file: impl FnOnce(&Path) -> PathBuf) -> Store<T> {
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

struct SqliteFile<T> {
    path: PathBuf,
    connection: Option<Connection>,
    /// SQLite's count of other connections' changes, at the last reading.
    seen: i64,
    /// Of what is gone, in the file.
    remains: Remains,
    of: PhantomData<fn() -> T>,
}

impl<T> SqliteFile<T> {
    /// Nothing is opened yet.
    fn new(path: PathBuf) -> Self {
        Self { path, connection: None, seen: 0, remains: Remains::default(), of: PhantomData }
    }

    fn remove_remains(&mut self, effort: Effort) -> rusqlite::Result<()> {
        self.connection.as_ref().map_or(Ok(()), |connection| self.remains.remove(connection, effort))
    }
}

impl<T: Table> PersistentBackend<T> for SqliteFile<T> {
    fn name(&self) -> &'static str {
        T::SCHEMA.name
    }

    fn location(&self) -> String {
        format!("at {}", self.path.display())
    }

    fn is_there(&self) -> bool {
        self.connection.is_some() || fs::exists(&self.path)
    }

    /// Opens the file if it is not open, and reads it if another process has written it since.
    fn read(&mut self) -> Result<Option<T::Rows>, Error> {
        let (connection, is_new) = match &mut self.connection {
            Some(connection) => (connection, false),
            none => (none.insert(database::open(&self.path, &T::SCHEMA)?), true),
        };
        let version: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if !is_new && version == self.seen {
            return Ok(None);
        }
        let rows = T::read(connection)?;
        self.seen = version;
        Ok(Some(rows))
    }

    fn write(&mut self, batch: &T::Batch, now: SystemTime) -> Result<bool, Error> {
        let Some(connection) = &mut self.connection else { return Ok(true) };
        match T::write(connection, batch, now) {
            Ok(Gone::Nothing) => {}
            Ok(Gone::Some) => self.remains.note(),
            Ok(Gone::Everything) => {
                self.remains.note();
                database::remove_aside(&self.path);
            }
            Err(error) if database::is_busy(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn tidy(&mut self, effort: Effort) -> Result<(), Error> {
        Ok(self.remove_remains(effort)?)
    }

    fn close(&mut self) {
        self.connection = None;
    }
}

impl<T> Drop for SqliteFile<T> {
    fn drop(&mut self) {
        // The next who opens the file tries it, too.
        let _ = self.remove_remains(Effort::Little);
    }
}
