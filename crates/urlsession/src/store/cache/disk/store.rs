//! The cache on disk, as its own thread sees it: an index in SQLite, large bodies as files beside it.
//!
//! A row is there only when its body is whole, so an entry is whole or absent whenever a process ends. What is found
//! damaged is removed and is a miss. Nothing here fails a load: what cannot be written is not kept.

mod gone;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, params};

use super::index::{FILE, Index, WalStamp};
use super::rows::{Freed, SCHEMA, Verified, bodies, content, data_version, delete_rows};
use super::space;
use crate::env::fs;
use crate::store::cache::entry::{CacheEntry, Content, Seal, Variant};
use crate::store::cache::file::{BodyWriter, WHOLE, checksum_of};
use crate::store::cache::format;
use crate::store::cache::memory::{Found, Memory, VARIANTS};
use crate::store::database::{self, Remains};
use crate::store::key_file;

pub(in crate::store::cache) struct DiskStore {
    folder: PathBuf,
    state: StoreState,
    capacity: Arc<AtomicU64>,
    memory: Arc<Mutex<Memory>>,
    index: Arc<Mutex<Index>>,
    writers: HashMap<u64, BodyWriter>,
    /// Files whose checksum was right, and when they were last written.
    verified: Verified,
    /// Rows used since the index was last told.
    touched: Vec<i64>,
    has_warned: bool,
}

enum StoreState {
    Closed,
    Open(Open),
    /// It cannot be opened; the warning said why.
    Failed,
}

struct Open {
    connection: Connection,
    /// The sizes of all rows.
    total: u64,
    /// What the bodies beside the index take on the disk.
    files: u64,
    /// Changes when another process writes.
    data_version: i64,
    /// Which file it is: it may be removed under our feet.
    identity: Option<Identity>,
    /// Of the digests in it.
    seal: Arc<Seal>,
    /// Of what is gone, in the file.
    remains: Remains,
    /// Jobs since something is gone.
    jobs_since: u32,
}

type Identity = (u64, u64);

impl Open {
    /// Bytes on the disk: the sizes of all entries, or what they really take if that is more.
    fn usage(&self, capacity: u64) -> rusqlite::Result<u64> {
        Ok(self.total.max(space::index(&self.connection, capacity)? + self.files))
    }

    fn forget(&mut self, freed: Freed) {
        self.total = self.total.saturating_sub(freed.size);
        self.files = self.files.saturating_sub(freed.files);
        // An entry's size is never 0.
        self.note_rows(freed.size);
    }

    /// So many rows, or bytes of them, are gone or another.
    fn note_rows(&mut self, count: u64) {
        if count > 0 {
            self.remains.note();
        }
    }
}

/// A row's body.
struct RowBody {
    inline: Option<Bytes>,
    file: Option<String>,
    length: u64,
    crc: u32,
}

impl DiskStore {
    pub(super) fn new(
        folder: PathBuf,
        capacity: Arc<AtomicU64>,
        memory: Arc<Mutex<Memory>>,
        index: Arc<Mutex<Index>>,
    ) -> Self {
        Self {
            folder,
            state: StoreState::Closed,
            capacity,
            memory,
            index,
            writers: HashMap::new(),
            verified: HashMap::new(),
            touched: Vec::new(),
            has_warned: false,
        }
    }

    /// The newest entry of `key` that is wanted. A body of more than `WHOLE` is open, another read.
    pub(in crate::store::cache) fn find(&mut self, key: &str, wanted: &dyn Fn(&Variant) -> bool) -> Found {
        self.attempt(false, |disk_store| disk_store.try_find(key, wanted)).unwrap_or(Found::Nothing)
    }

    fn try_find(&mut self, key: &str, wanted: &dyn Fn(&Variant) -> bool) -> rusqlite::Result<Found> {
        let StoreState::Open(open) = &self.state else { return Ok(Found::Nothing) };
        let (mut found, mut bad) = (Found::Nothing, Vec::new());
        {
            let mut query = open.connection.prepare_cached(
                "SELECT id, variant, head, body, file, length, crc FROM entries
                 WHERE key = ? ORDER BY used DESC",
            )?;
            let mut rows = query.query([key])?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let bytes = row.get_ref(1)?.as_blob()?;
                let variant = match Variant::from_bytes(bytes, &open.seal) {
                    Some(variant) if !wanted(&variant) => {
                        found = Found::OtherVariant;
                        continue;
                    }
                    Some(variant) => variant,
                    None => {
                        bad.push(id);
                        continue;
                    }
                };
                let entry = format::decode(key, variant, row.get_ref(2)?.as_blob()?);
                let content = content(row, &self.folder, &mut self.verified)?;
                if let Some((mut entry, content)) = entry.zip(content) {
                    entry.content = content;
                    if let Some(entry) = self.ready(id, row.get(4)?, entry) {
                        self.touched.push(id);
                        found = Found::Entry(entry);
                        break;
                    }
                }
                bad.push(id);
            }
        }
        if !bad.is_empty() {
            tracing::warn!(
                "{} damaged entries of the cache at {} are removed",
                bad.len(),
                self.folder.display()
            );
            self.remove_rows(&bad)?;
        }
        Ok(found)
    }

    /// The entry of a row with its body as `find` gives it; `None` if that is damaged. The body's file stays open.
    fn ready(&self, row: i64, name: Option<String>, entry: CacheEntry) -> Option<Arc<CacheEntry>> {
        let entry = Arc::new(entry);
        let (Content::File(file), Some(name)) = (&entry.content, name) else { return Some(entry) };
        if file.length > WHOLE {
            self.index().opened.insert(row, name, entry.clone());
            return Some(entry);
        }
        let read = entry.with_content(Content::Memory(file.read()?));
        if file.is_verified() {
            self.index().opened.insert(row, name, entry);
        }
        Some(Arc::new(read))
    }

    /// Keeps an entry with a body in memory, in place of one with the same key and variant.
    pub(in crate::store::cache) fn put(&mut self, entry: &CacheEntry, data: &Bytes) {
        if entry.size() > self.capacity.load(Relaxed) {
            return;
        }
        let crc = checksum_of(data);
        let length = data.len() as u64;
        if data.len() <= INLINE {
            let body = RowBody { inline: Some(data.clone()), file: None, length, crc };
            self.attempt(true, |disk_store| disk_store.insert(entry, &body));
            return;
        }
        let number = u64::MAX;
        self.begin(number);
        self.append(number, data);
        self.commit(number, entry);
    }

    /// What was announced for this key has been dealt with.
    pub(in crate::store::cache) fn has_come(&self, key: &str) {
        self.index().has_come(key);
    }

    /// Begins a body that comes piece by piece.
    pub(in crate::store::cache) fn begin(&mut self, number: u64) {
        if self.attempt(true, |_| Ok(())).is_none() {
            return;
        }
        match BodyWriter::create(&bodies(&self.folder)) {
            Ok(writer) => drop(self.writers.insert(number, writer)),
            Err(error) => self.warn(&error),
        }
    }

    /// One that cannot be written is given up.
    pub(in crate::store::cache) fn append(&mut self, number: u64, piece: &[u8]) {
        if let Some(writer) = self.writers.get_mut(&number)
            && let Err(error) = writer.write(piece)
        {
            self.writers.remove(&number);
            self.warn(&error);
        }
    }

    pub(in crate::store::cache) fn abandon(&mut self, number: u64) {
        self.writers.remove(&number);
    }

    /// The body is whole: the entry is there from now on.
    pub(in crate::store::cache) fn commit(&mut self, number: u64, entry: &CacheEntry) {
        let Some(writer) = self.writers.remove(&number) else { return };
        match writer.finish() {
            Ok((name, length, crc)) => {
                let body = RowBody { inline: None, file: Some(name.clone()), length, crc };
                if self.attempt(true, |disk_store| disk_store.insert(entry, &body)).is_none() {
                    let _ = fs::remove_file(bodies(&self.folder).join(name));
                }
            }
            Err(error) => self.warn(&error),
        }
    }

    /// Another head for the same body.
    pub(in crate::store::cache) fn update(&mut self, entry: &CacheEntry) {
        self.index().opened.remove(&entry.key);
        self.attempt(false, |disk_store| {
            let open = disk_store.open_now()?;
            let variant = entry.variant.to_bytes(&open.seal);
            let rows = open
                .connection
                .prepare_cached("UPDATE entries SET head = ? WHERE key = ? AND variant = ?")?
                .execute(params![format::encode(entry), &*entry.key, variant])?;
            open.note_rows(rows as u64);
            Ok(())
        });
    }

    pub(in crate::store::cache) fn remove(&mut self, key: &str) {
        self.attempt(false, |disk_store| disk_store.delete("key = ?", &[&key]));
    }

    pub(in crate::store::cache) fn remove_variant(&mut self, key: &str, variant: &Variant) {
        self.attempt(false, |disk_store| {
            let variant = variant.to_bytes(&disk_store.open_now()?.seal);
            disk_store.delete("key = ? AND variant = ?", &[&key, &variant])
        });
    }

    pub(in crate::store::cache) fn remove_since(&mut self, since: i64) {
        self.attempt(false, |disk_store| disk_store.delete("stored > ?", &[&since]));
    }

    /// Bytes used, of every process.
    pub(in crate::store::cache) fn usage(&mut self) -> u64 {
        let capacity = self.capacity.load(Relaxed);
        self.attempt(false, |disk_store| disk_store.open_now()?.usage(capacity)).unwrap_or(0)
    }

    /// Makes space, down to the capacity.
    pub(in crate::store::cache) fn shrink(&mut self) {
        self.attempt(false, |disk_store| {
            let mut gone = Vec::new();
            let result = disk_store.evict(&mut gone, true);
            disk_store.unlink(gone);
            result
        });
    }

    /// Writes down what was used.
    fn note_uses(&mut self) {
        self.attempt(false, Self::tell_uses);
    }

    /// After each job: what is there now, for those who only want to know whether to ask.
    pub(in crate::store::cache) fn settle(&mut self) {
        if self.touched.len() >= TOUCHES {
            self.note_uses();
        }
        self.count_job();
        self.mark();
    }

    fn mark(&mut self) {
        let mark = WalStamp::lasting(&self.folder);
        let StoreState::Open(open) = &self.state else { return };
        let Ok(version) = data_version(&open.connection) else { return };
        if version != open.data_version {
            let _ = self.reload();
        }
        self.index().mark = mark;
    }

    /// Does `work` on the open index; `None` if there is none, or if it failed.
    fn attempt<T>(&mut self, makes: bool, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> Option<T> {
        self.open(makes);
        if !matches!(self.state, StoreState::Open(_)) {
            return None;
        }
        match work(self) {
            Ok(done) => Some(done),
            Err(error) => {
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                ) {
                    // Opened anew it is looked through, and moved aside if it is as bad as it seems.
                    self.state = StoreState::Closed;
                }
                self.warn(&error);
                None
            }
        }
    }

    fn open(&mut self, makes: bool) {
        let path = self.folder.join(FILE);
        let identity = identity(&path);
        if let StoreState::Open(open) = &self.state
            && open.identity != identity
        {
            self.state = StoreState::Closed;
            self.index().opened.clear();
        }
        if !matches!(self.state, StoreState::Closed) || (identity.is_none() && !makes) {
            return;
        }
        let opened = database::open(&path, &SCHEMA).and_then(|connection| {
            let made = database::make_folder(&bodies(&self.folder));
            let seal = made.and_then(|()| Ok(Seal::new(&key_file::read_or_make(&path)?)));
            seal.map(|seal| (connection, seal)).map_err(|error| {
                use crate::error::{Phase, UrlError, UrlErrorCode};
                let detail = format!("no bodies can be kept at {}", self.folder.display());
                UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Disk, detail).with_source(error)
            })
        });
        match opened {
            Ok((connection, seal)) => {
                let identity = self::identity(&path);
                if let Err(error) = space::prepare(&connection, self.capacity.load(Relaxed)) {
                    // Another process has it open; the next opening tries again.
                    tracing::debug!("free pages of the cache's index cannot be released: {error}");
                }
                self.state = StoreState::Open(Open {
                    connection,
                    total: 0,
                    files: 0,
                    data_version: 0,
                    identity,
                    seal,
                    remains: Remains::default(),
                    jobs_since: 0,
                });
                match self.reload() {
                    Ok(()) => self.sweep(false),
                    Err(error) => self.warn(&error),
                }
            }
            Err(error) => {
                self.state = StoreState::Failed;
                tracing::warn!("nothing is cached on disk: {error}");
            }
        }
    }

    fn open_now(&mut self) -> rusqlite::Result<&mut Open> {
        match &mut self.state {
            StoreState::Open(open) => Ok(open),
            _ => Err(rusqlite::Error::InvalidQuery),
        }
    }

    /// Reads what all processes have written.
    fn reload(&mut self) -> rusqlite::Result<()> {
        self.read_seal();
        let open = self.open_now()?;
        open.data_version = data_version(&open.connection)?;
        let sums = "SELECT coalesce(sum(size), 0),
                           coalesce(sum((length + 4095) / 4096 * 4096) FILTER (WHERE file IS NOT NULL), 0)
                    FROM entries";
        let number = |row: &rusqlite::Row<'_>, at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        (open.total, open.files) = open
            .connection
            .prepare_cached(sums)?
            .query_row([], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
        let mut keys = open.connection.prepare_cached("SELECT key FROM entries")?;
        let known: HashSet<u64> = keys
            .query_map([], |row| Ok(Index::hash(row.get_ref(0)?.as_str()?)))?
            .collect::<Result<_, _>>()?;
        drop(keys);
        let mut index = self.index();
        index.known = known;
        index.opened.clear();
        Ok(())
    }

    fn insert(&mut self, entry: &CacheEntry, body: &RowBody) -> rusqlite::Result<()> {
        let mut gone = Vec::new();
        let size = entry.size().saturating_sub(entry.content.length()) + body.length;
        if data_version(&self.open_now()?.connection)? != self.open_now()?.data_version {
            self.reload()?;
        }
        let open = self.open_now()?;
        let variant = entry.variant.to_bytes(&open.seal);
        let transaction = open.connection.unchecked_transaction()?;
        let of_key =
            "SELECT id FROM entries WHERE key = ?1 AND variant != ?2 ORDER BY used DESC LIMIT -1 OFFSET ?3";
        let surplus = format!("(key = ?1 AND variant = ?2) OR id IN ({of_key})");
        let freed = delete_rows(
            &transaction,
            &surplus,
            &[&&*entry.key, &variant, &(VARIANTS as i64 - 1)],
            &mut gone,
        )?;
        transaction
            .prepare_cached(
                "INSERT INTO entries (key, variant, head, body, file, length, crc, size, stored, used)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM entries))",
            )?
            .execute(params![
                &*entry.key,
                variant,
                format::encode(entry),
                body.inline.as_deref(),
                body.file,
                body.length as i64,
                i64::from(body.crc),
                size as i64,
                entry.stored,
            ])?;
        transaction.commit()?;
        open.forget(freed);
        open.total += size;
        open.files += if body.file.is_some() { space::on_disk(body.length) } else { 0 };
        let mut index = self.index();
        index.known.insert(Index::hash(&entry.key));
        // What was found before may not be the newest any more.
        index.opened.remove(&entry.key);
        drop(index);
        let evicted = self.evict(&mut gone, false);
        self.unlink(gone);
        evicted
    }

    fn delete(&mut self, condition: &str, values: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<()> {
        let mut gone = Vec::new();
        let open = self.open_now()?;
        let freed = delete_rows(&open.connection, condition, values, &mut gone)?;
        open.forget(freed);
        self.unlink(gone);
        Ok(())
    }

    fn remove_rows(&mut self, rows: &[i64]) -> rusqlite::Result<()> {
        rows.iter().try_for_each(|id| self.delete("id = ?", &[id]))
    }

    /// Removes the least recently used entries until the rest fits. With `all` the file is truncated at once instead of
    /// step by step.
    fn evict(&mut self, gone: &mut Vec<String>, all: bool) -> rusqlite::Result<()> {
        let capacity = self.capacity.load(Relaxed);
        if self.open_now()?.usage(capacity)? > capacity {
            self.tell_uses()?;
        }
        // What rows take on the disk shows when they are gone.
        while let over @ 1.. = self.open_now()?.usage(capacity)?.saturating_sub(capacity) {
            if !self.evict_some(over, gone)? {
                break;
            }
        }
        let open = self.open_now()?;
        if all {
            space::bound_log(&open.connection, capacity)?;
        }
        space::mark_dirty(&open.connection, capacity, all)
    }

    /// Removes the least recently used entries, `over` bytes in all; false if there are none.
    fn evict_some(&mut self, mut over: u64, gone: &mut Vec<String>) -> rusqlite::Result<bool> {
        let open = self.open_now()?;
        let transaction = open.connection.unchecked_transaction()?;
        let mut victims = Vec::new();
        {
            let mut oldest = transaction.prepare_cached("SELECT id, size FROM entries ORDER BY used")?;
            let mut rows = oldest.query([])?;
            while over > 0
                && let Some(row) = rows.next()?
            {
                victims.push(row.get::<_, i64>(0)?);
                over = over.saturating_sub(row.get::<_, i64>(1)?.unsigned_abs());
            }
        }
        let mut freed = Freed::default();
        for id in &victims {
            let of = delete_rows(&transaction, "id = ?", &[id], gone)?;
            (freed.size, freed.files) = (freed.size + of.size, freed.files + of.files);
        }
        transaction.commit()?;
        open.forget(freed);
        Ok(!victims.is_empty())
    }

    /// What was used in memory or here is used: the index is told when it matters, not at every use.
    fn tell_uses(&mut self) -> rusqlite::Result<()> {
        let mut ids = std::mem::take(&mut self.touched);
        ids.extend(self.index().opened.touched());
        let in_memory = self.memory.lock().touched();
        if ids.is_empty() && in_memory.is_empty() {
            return Ok(());
        }
        let open = self.open_now()?;
        let transaction = open.connection.unchecked_transaction()?;
        let next = "(SELECT coalesce(max(used), 0) + 1 FROM entries)";
        for id in ids {
            transaction
                .prepare_cached(&format!("UPDATE entries SET used = {next} WHERE id = ?"))?
                .execute([id])?;
        }
        for entry in in_memory {
            transaction
                .prepare_cached(&format!("UPDATE entries SET used = {next} WHERE key = ? AND variant = ?"))?
                .execute(params![&*entry.key, entry.variant.to_bytes(&open.seal)])?;
        }
        transaction.commit()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock()
    }

    /// Once: what is wrong with the disk is wrong for every entry.
    fn warn(&mut self, error: &dyn std::error::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                "the cache at {} cannot be used as it should, and loads go on without: {error}",
                self.folder.display()
            );
        }
    }
}

/// Whether there is an index.
pub(super) fn is_there(folder: &Path) -> bool {
    identity(&folder.join(FILE)).is_some()
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|_| (0, 0))
}

/// Larger bodies are files.
const INLINE: usize = 16 * 1024;

/// Uses that are told together.
const TOUCHES: usize = 256;
