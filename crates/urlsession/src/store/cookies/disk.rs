//! `Disk`: the file of a cookie store. It reads and writes; what there is to write is the jar's to say.
//!
//! All of it blocks. The lock of the file is taken before that of the jar, never the other way round.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, Row, TransactionBehavior, params};

use super::Store;
use super::jar::{Batch, Entry, Jar, MOST, micros};
use crate::env::{Clock, SystemClock};
use crate::message::{HttpCookie, HttpCookieStringPolicy, ports_text};
use crate::store::database::{self, Schema};

pub(super) struct Disk {
    path: PathBuf,
    link: Mutex<Link>,
    /// Has it been looked at?
    is_known: AtomicBool,
    /// When to look for other processes' changes again, in microseconds since 1970.
    due: AtomicI64,
    /// Is somebody on the way to write?
    has_writer: AtomicBool,
    /// Cookies are kept in memory only.
    is_broken: AtomicBool,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    /// SQLite's count of other connections' changes, at the last reading.
    seen: i64,
}

impl Disk {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            link: Mutex::default(),
            is_known: AtomicBool::new(false),
            due: AtomicI64::new(0),
            has_writer: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Is it time to look for other processes' changes? One of several who ask is told so, but at the first time all
    /// must wait.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        if !self.is_known.load(Relaxed) {
            return true;
        }
        let (now, due) = (micros(now), self.due.load(Relaxed));
        // A clock that was set back must not stop it.
        let is_time = now >= due || due - now > 2 * INTERVAL;
        is_time && self.due.compare_exchange(due, now + INTERVAL, Relaxed, Relaxed).is_ok()
    }

    /// Should the caller see to it that `write` is called? Only one of several is told so.
    pub(super) fn wants_writer(&self) -> bool {
        !self.is_broken.load(Relaxed) && !self.has_writer.swap(true, Relaxed)
    }

    pub(super) fn read(&self, store: &Store) {
        let mut link = self.lock();
        if !self.is_broken.load(Relaxed)
            && self.is_there(&link)
            && let Err(error) = self.take_in(&mut link, store)
        {
            self.give_up(&mut link, store, &*error);
        }
        self.is_known.store(true, Relaxed);
    }

    pub(super) fn write(&self, store: &Store) {
        // Who changes something from here on must call again.
        self.has_writer.store(false, Relaxed);
        let mut link = self.lock();
        self.is_known.store(true, Relaxed);
        // A file is made when there is something to keep.
        if self.is_broken.load(Relaxed) {
            return;
        }
        let mut jar = store.jar();
        if !self.is_there(&link) && !jar.has_lasting() {
            // What differs from no file need not be remembered.
            jar.take_unwritten();
            return;
        }
        drop(jar);
        // What others have written comes first: what is taken out of the jar to be written counts as being there.
        if let Err(error) = self.take_in(&mut link, store) {
            return self.give_up(&mut link, store, &*error);
        }
        let batch = store.jar().take_unwritten();
        let Some(connection) = link.connection.as_mut().filter(|_| !batch.is_empty()) else { return };
        let Err(error) = write(connection, &batch) else { return };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                tracing::warn!("the cookie store at {} is busy: its changes wait", self.path.display());
                store.jar().give_back(batch);
            }
            _ => self.give_up(&mut link, store, &error),
        }
    }

    fn is_there(&self, link: &Link) -> bool {
        link.connection.is_some() || self.path.exists()
    }

    /// Opens the file if it is not open, and reads it if another process has written it since.
    fn take_in(&self, link: &mut Link, store: &Store) -> Result<(), Error> {
        let (connection, is_new) = match &mut link.connection {
            Some(connection) => (connection, false),
            none => (none.insert(database::open(&self.path, &SCHEMA)?), true),
        };
        let version: i64 = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        if !is_new && version == link.seen {
            return Ok(());
        }
        let rows = read(connection)?;
        link.seen = version;
        store.change(|jar: &mut Jar| {
            jar.take_in(rows, SystemClock.wall());
            true
        });
        Ok(())
    }

    /// From here on cookies are kept in memory only: that is no reason to fail a load.
    fn give_up(&self, link: &mut Link, store: &Store, error: &(dyn std::error::Error + 'static)) {
        self.is_broken.store(true, Relaxed);
        link.connection = None;
        store.jar().forget_disk();
        tracing::warn!(
            "cookies cannot be kept at {} and are in memory only from here on: {error}",
            self.path.display()
        );
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn read(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = connection.prepare(
        "SELECT partition, domain, path, name, value, created, accessed, expires, flags, same_site, version, \
         comment, comment_url, ports FROM cookies ORDER BY created LIMIT ?",
    )?;
    // Several processes may each have written as many as they keep.
    let mut rows = statement.query([4 * MOST as i64])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let text = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str()?));
    let optional = |at: usize| row.get_ref(at).and_then(|value| Ok(value.as_str_or_null()?));
    let (expires, flags): (i64, u8) = (row.get(7)?, row.get(8)?);
    let same_site = match row.get::<_, u8>(9)? {
        1 => Some(HttpCookieStringPolicy::SameSiteLax),
        2 => Some(HttpCookieStringPolicy::SameSiteStrict),
        _ => None,
    };
    let is = |flag: u8| flags & flag != 0;
    let expires = UNIX_EPOCH.checked_add(Duration::from_nanos(u64::try_from(expires).unwrap_or(0)));
    let cookie = HttpCookie::kept(text(3)?, text(4)?, text(1)?, text(2)?)
        .with(Some(expires.unwrap_or(UNIX_EPOCH)), is(SECURE), is(HTTP_ONLY))
        .with_rest(
            same_site,
            is(PARTITIONED),
            is(BY_SCRIPT),
            row.get(10)?,
            [optional(11)?, optional(12)?, optional(13)?],
        );
    let partition = Some(text(0)?).filter(|partition| !partition.is_empty()).map(Into::into);
    Ok(Entry { cookie, partition, created: row.get(5)?, accessed: row.get(6)? })
}

fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if batch.clears {
        transaction.execute("DELETE FROM cookies", [])?;
    } else {
        transaction.execute("DELETE FROM cookies WHERE expires <= ?", [nanos(SystemClock.wall())])?;
    }
    {
        let mut delete = transaction
            .prepare("DELETE FROM cookies WHERE partition = ? AND domain = ? AND path = ? AND name = ?")?;
        for [partition, domain, path, name] in &batch.deletes {
            delete.execute([partition, domain, path, name])?;
        }
        let mut put = transaction
            .prepare("INSERT OR REPLACE INTO cookies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for entry in &batch.puts {
            let cookie = &entry.cookie;
            let flag = |is: bool, flag: u8| if is { flag } else { 0 };
            put.execute(params![
                entry.partition.as_deref().unwrap_or_default(),
                cookie.domain(),
                cookie.path(),
                cookie.name(),
                cookie.value(),
                entry.created,
                entry.accessed,
                cookie.expires_date().map(nanos),
                flag(cookie.is_secure(), SECURE)
                    | flag(cookie.is_http_only(), HTTP_ONLY)
                    | flag(cookie.is_partitioned(), PARTITIONED)
                    | flag(cookie.is_set_by_javascript(), BY_SCRIPT),
                match cookie.same_site_policy() {
                    None => 0,
                    Some(HttpCookieStringPolicy::SameSiteLax) => 1,
                    Some(HttpCookieStringPolicy::SameSiteStrict) => 2,
                },
                cookie.version(),
                cookie.comment(),
                cookie.comment_url(),
                cookie.port_list().map(ports_text),
            ])?;
        }
    }
    transaction.commit()
}

/// Nanoseconds since 1970; cookies live for 400 days, so that the year 2262 is far enough.
fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

const SCHEMA: Schema = Schema {
    name: "cookie",
    version: 1,
    // Expiry is in nanoseconds since 1970, so that a cookie read is the cookie written; else microseconds.
    create: "CREATE TABLE cookies (
        partition TEXT NOT NULL,
        domain TEXT NOT NULL,
        path TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        created INTEGER NOT NULL,
        accessed INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        same_site INTEGER NOT NULL,
        version INTEGER NOT NULL,
        comment TEXT,
        comment_url TEXT,
        ports TEXT,
        PRIMARY KEY (partition, domain, path, name)
    ) STRICT, WITHOUT ROWID",
};

const SECURE: u8 = 1;
const HTTP_ONLY: u8 = 2;
const PARTITIONED: u8 = 4;
const BY_SCRIPT: u8 = 8;

/// How long loads may not see what another process has written: a second.
const INTERVAL: i64 = 1_000_000;
