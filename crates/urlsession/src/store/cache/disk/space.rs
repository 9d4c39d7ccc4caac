//! The disk space of the cache's folder: the pages of the index, the bodies beside it, and SQLite's log. This module
//! measures space and releases it; it does not decide which entries are removed.
//!
//! An index with entries takes more than their sizes: pages are filled in part, and pages of what is gone stay in the
//! file. Both are counted, the latter given back, so that the folder keeps to the capacity within a tenth.

use rusqlite::Connection;

/// Makes an index that can give pages back, and bounds its log. Of an index that is shared this is done when nobody else
/// has it open; until then it grows and is used again.
pub(super) fn prepare(connection: &Connection, capacity: u64) -> rusqlite::Result<()> {
    bound_log(connection, capacity)?;
    if number(connection, "PRAGMA auto_vacuum")? == INCREMENTAL {
        return Ok(());
    }
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL as i64)?;
    connection.execute_batch("VACUUM")?;
    checkpoint(connection)
}

/// The log is written back when it has this part of the capacity, and cut to it.
pub(super) fn bound_log(connection: &Connection, capacity: u64) -> rusqlite::Result<()> {
    let pages = (capacity / LOG_SHARE / PAGE).clamp(SHORTEST_LOG, DEFAULT_LOG);
    connection.pragma_update(None, "wal_autocheckpoint", pages as i64)?;
    connection.pragma_update(None, "journal_size_limit", (pages * PAGE) as i64)
}

/// Bytes of the index's pages that are in use, beyond what an index without entries has.
pub(super) fn index(connection: &Connection, capacity: u64) -> rusqlite::Result<u64> {
    let page = number(connection, "PRAGMA page_size")?;
    let used =
        number(connection, "PRAGMA page_count")?.saturating_sub(number(connection, "PRAGMA freelist_count")?);
    Ok((used * page).saturating_sub(if capacity < SMALL { EMPTY_SMALL } else { EMPTY }))
}

/// Gives pages back to the file system that nothing is in, but for some that the next entries use: a few at a time, or
/// all of them.
pub(super) fn mark_dirty(connection: &Connection, capacity: u64, all: bool) -> rusqlite::Result<()> {
    let free = number(connection, "PRAGMA freelist_count")?;
    let pages = match all {
        true => free,
        false => free.saturating_sub(capacity / FREE_SHARE / PAGE).min(AT_ONCE),
    };
    if pages == 0 {
        return Ok(());
    }
    // Each row is a page that was given back.
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    if all { checkpoint(connection) } else { Ok(()) }
}

/// What a file of this length takes.
pub(super) fn on_disk(length: u64) -> u64 {
    length.next_multiple_of(PAGE)
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    connection.prepare_cached(pragma)?.query_row([], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
}

/// `auto_vacuum` that gives back when it is asked to.
const INCREMENTAL: u64 = 2;

/// SQLite's page, and the block of most file systems.
const PAGE: u64 = 4096;

/// An index without entries.
const EMPTY: u64 = 32 * 1024;

/// A cache of less is judged by the sizes of its entries: a few pages are most of it.
const SMALL: u64 = 1024 * 1024;
const EMPTY_SMALL: u64 = 64 * 1024;

/// The log has this part of the capacity, and so have free pages.
const LOG_SHARE: u64 = 50;
const FREE_SHARE: u64 = 40;

/// As SQLite does by itself.
const DEFAULT_LOG: u64 = 1000;

/// Pages: less is not worth the writing back.
const SHORTEST_LOG: u64 = 8;

/// Pages given back beside one entry.
const AT_ONCE: u64 = 64;
