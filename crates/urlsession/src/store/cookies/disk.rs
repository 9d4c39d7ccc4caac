//! The file of a cookie store: its tables, read and written. `persistent` decides when, and the jar decides what is
//! written.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::jar::{Batch, Jar, JarEntry, MOST};
use super::{FILE, HttpCookieStorage, OPENED};
use crate::message::{HttpCookie, HttpCookieStringPolicy, ports_text};
use crate::store::database::Schema;
use crate::store::persistent::{Gone, Table};

impl HttpCookieStorage {
    /// The store with this file. Its folder is made when it is needed. The same path gives the same store.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(OPENED.at(path.into()))
    }

    /// The store of a group of this user's applications, whatever their names, below the user's data folder.
    #[doc(alias = "sharedCookieStorage(forGroupContainerIdentifier:)")]
    #[doc(alias = "sharedCookieStorageForGroupContainerIdentifier:")]
    pub fn shared_cookie_storage_for_group_container(identifier: &str) -> Self {
        Self(OPENED.below(|folder| folder.with_file_name(group_folder(identifier)).join(FILE)))
    }
}

/// A folder's name for any identifier, of no two the same.
pub(super) fn group_folder(identifier: &str) -> String {
    let escaped = identifier.bytes().map(|b| match b {
        b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' => char::from(b).to_string(),
        // File systems may not tell upper case from lower.
        _ => format!("_{b:02x}"),
    });
    format!("group.{}", escaped.collect::<String>())
}

impl Table for Jar {
    const SCHEMA: Schema = SCHEMA;

    fn read(connection: &Connection) -> rusqlite::Result<Vec<JarEntry>> {
        read(connection)
    }

    fn write(connection: &mut Connection, batch: &Batch, now: SystemTime) -> rusqlite::Result<Gone> {
        write(connection, batch, now)
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<JarEntry>> {
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

fn entry(row: &Row<'_>) -> rusqlite::Result<JarEntry> {
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
    Ok(JarEntry { cookie, partition, created: row.get(5)?, accessed: row.get(6)? })
}

fn write(connection: &mut Connection, batch: &Batch, now: SystemTime) -> rusqlite::Result<Gone> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut gone = match batch.clears {
        true => transaction.execute("DELETE FROM cookies", [])?,
        false => transaction.execute("DELETE FROM cookies WHERE expires <= ?", [nanos(now)])?,
    };
    {
        let mut delete = transaction
            .prepare("DELETE FROM cookies WHERE partition = ? AND domain = ? AND path = ? AND name = ?")?;
        for [partition, domain, path, name] in &batch.deletes {
            gone += delete.execute([partition, domain, path, name])?;
        }
        let mut put =
            transaction.prepare("INSERT INTO cookies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for entry in &batch.puts {
            let cookie = &entry.cookie;
            let [name, value] = cookie.stored_pair();
            let partition = entry.partition.as_deref().unwrap_or_default();
            // What is replaced is counted.
            gone += delete.execute([partition, cookie.domain(), cookie.path(), &*name])?;
            let flag = |is: bool, flag: u8| if is { flag } else { 0 };
            put.execute(params![
                partition,
                cookie.domain(),
                cookie.path(),
                name,
                value,
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
    transaction.commit()?;
    Ok(if batch.clears { Gone::Everything } else { Gone::rows(gone) })
}

/// Nanoseconds since 1970; cookies live for 400 days, so that the year 2262 is far enough.
fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

const SCHEMA: Schema = Schema {
    name: "cookie",
    version: 1,
    discard_older: None,
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
