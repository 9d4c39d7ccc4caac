//! The index's table, its rows, and the bodies they name. The disk store decides when they are read and written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use bytes::Bytes;
use rusqlite::{Connection, Row};

use super::space::on_disk;
use crate::env::fs;
use crate::store::cache::entry::Content;
use crate::store::cache::file::{BodyFile, checksum_of};
use crate::store::database::Schema;

/// Files whose checksum was right, and when they were last written.
pub(super) type Verified = HashMap<String, (Option<SystemTime>, Arc<AtomicBool>)>;

/// The body of a row, a large one open; `None` if it is damaged or gone.
pub(super) fn content(
    row: &Row<'_>,
    folder: &Path,
    verified: &mut Verified,
) -> rusqlite::Result<Option<Content>> {
    let length = u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0);
    let crc = row.get::<_, i64>(6)? as u32;
    if let Some(data) = row.get_ref(3)?.as_blob_or_null()? {
        let is_right = data.len() as u64 == length && checksum_of(data) == crc;
        return Ok(is_right.then(|| Content::Memory(Bytes::copy_from_slice(data))));
    }
    let name: Option<String> = row.get(4)?;
    Ok(name.and_then(|name| open_body(folder, &name, length, crc, verified)))
}

fn open_body(folder: &Path, name: &str, length: u64, crc: u32, verified: &mut Verified) -> Option<Content> {
    // A name of ours leads nowhere else, whatever the index says.
    if !name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let file = fs::open(bodies(folder).join(name)).ok()?;
    let metadata = file.metadata().ok().filter(|metadata| metadata.len() == length)?;
    if verified.len() > VERIFIED {
        verified.clear();
    }
    let written = metadata.modified().ok();
    let known = verified.entry(name.to_owned()).or_insert_with(|| (written, Arc::default()));
    if known.0 != written {
        *known = (written, Arc::default());
    }
    Some(Content::File(Arc::new(BodyFile::new(file, length, crc, written, known.1.clone()))))
}

/// What deleted rows took.
#[derive(Clone, Copy, Default)]
pub(super) struct Freed {
    /// Their sizes.
    pub(super) size: u64,
    /// Of their files, on the disk.
    pub(super) files: u64,
}

/// Deletes rows and says how much they took; their files are the caller's to remove once that is certain.
pub(super) fn delete_rows(
    connection: &Connection,
    condition: &str,
    values: &[&dyn rusqlite::ToSql],
    gone: &mut Vec<String>,
) -> rusqlite::Result<Freed> {
    let mut freed = Freed::default();
    let mut rows = connection
        .prepare_cached(&format!("DELETE FROM entries WHERE {condition} RETURNING file, size, length"))?;
    let mut rows = rows.query(values)?;
    while let Some(row) = rows.next()? {
        let file = row.get::<_, Option<String>>(0)?;
        freed.size += row.get::<_, i64>(1)?.unsigned_abs();
        freed.files += if file.is_some() { on_disk(row.get::<_, i64>(2)?.unsigned_abs()) } else { 0 };
        gone.extend(file);
    }
    Ok(freed)
}

pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

pub(super) fn bodies(folder: &Path) -> PathBuf {
    folder.join("bodies")
}

/// `used` counts uses: the smallest was used longest ago.
pub(super) const SCHEMA: Schema = Schema {
    name: "cache",
    // 1 had digests without a key, 2 had heads and variants in forms of their own.
    version: 3,
    discard_older: Some("DROP TABLE entries"),
    create: "CREATE TABLE entries (
                 id INTEGER PRIMARY KEY,
                 key TEXT NOT NULL,
                 variant BLOB NOT NULL,
                 head BLOB NOT NULL,
                 body BLOB,
                 file TEXT,
                 length INTEGER NOT NULL,
                 crc INTEGER NOT NULL,
                 size INTEGER NOT NULL,
                 stored INTEGER NOT NULL,
                 used INTEGER NOT NULL,
                 UNIQUE (key, variant)
             ) STRICT;
             CREATE INDEX by_use ON entries (used, size);
             CREATE INDEX by_file ON entries (file) WHERE file IS NOT NULL;",
};

const VERIFIED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database;

    #[test]
    fn what_older_versions_kept_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.db");
        let older = database::open(&path, &Schema { version: 2, ..SCHEMA }).unwrap();
        let insert = "INSERT INTO entries VALUES
            (1, 'http://a/', CAST('authorization=digest' AS BLOB), x'', x'', NULL, 0, 0, 9, 0, 1)";
        older.execute_batch(insert).unwrap();
        drop(older);
        let now = database::open(&path, &SCHEMA).unwrap();
        let count: i64 = now.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0);
        let files = std::fs::read_dir(folder.path()).unwrap();
        for file in files {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"digest"));
        }
    }
}
