//! `SqliteFile`: a store's contents in a SQLite file. What is in it is its store's to say ([`Table`]), when it is read and written
//! is decided by `persistence`.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::SystemTime;

use rusqlite::Connection;

use super::data::{Error, Gone, PersistentBackend, Table};
use crate::env::fs;
use crate::store::database::{self, Effort, Remains};

pub(super) struct SqliteFile<T> {
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
    pub(super) fn new(path: PathBuf) -> Self {
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
