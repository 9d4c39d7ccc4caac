//! `Database`: a SQLite file that several processes share, opened so that a bad one costs its contents and never
//! an error later.
//!
//! The module defines no tables; a store supplies its [`Schema`]. What was deleted does not stay in its files: [`Remains`].
//! All of it blocks: call it beside the reactor.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::env::fs::{self, File};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::store::persistent::data::Effort;

/// The tables of a store.
pub(crate) struct Schema {
    /// What the store is called in messages.
    pub(crate) name: &'static str,
    /// Written to `user_version`. A file of another version is not this store's, and is moved aside.
    pub(crate) version: i32,
    /// Makes the tables.
    pub(crate) create: &'static str,
    /// Removes the tables of every older version, where what is in them is not worth keeping; `None`: a file of an older
    /// version is moved aside.
    pub(crate) discard_older: Option<&'static str>,
}

/// Opens the file at `path`, makes it and its folder if they are missing (for this user alone), and moves it aside
/// if it is corrupt or of another version.
///
/// # Errors
/// Only if nothing can be kept there: no permission, a read-only or full file system.
pub(crate) fn open(path: &Path, schema: &Schema) -> Result<Connection> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(|error| cannot_open(schema, folder, error))?;
    // Two processes that find the same bad file must not both move it: the second would move the first's new one.
    let lock = lock(&path.with_extension("lock")).map_err(|error| cannot_open(schema, path, error))?;
    make_file(path).map_err(|error| cannot_open(schema, path, error))?;
    let connection = match prepare(path, schema) {
        Ok(connection) => connection,
        Err(Unusable::NotOurs(why)) => {
            let aside = move_aside(path).map_err(|error| cannot_open(schema, path, error))?;
            tracing::warn!(
                store = schema.name,
                "{} is {why}; it was moved to {} and a new one is made",
                path.display(),
                aside.display()
            );
            make_file(path).map_err(|error| cannot_open(schema, path, error))?;
            prepare(path, schema).map_err(|unusable| cannot_open(schema, path, unusable.into_error()))?
        }
        Err(unusable) => return Err(cannot_open(schema, path, unusable.into_error())),
    };
    drop(lock);
    Ok(connection)
}

enum Unusable {
    NotOurs(&'static str),
    Failed(rusqlite::Error),
}

impl Unusable {
    fn into_error(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Self::NotOurs(why) => why.into(),
            Self::Failed(error) => error.into(),
        }
    }
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::NotOurs("corrupt"),
            _ => Self::Failed(error),
        }
    }
}

fn prepare(path: &Path, schema: &Schema) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // Readers and one writer at a time, across processes; a commit survives the crash of the process, and no crash
    // of the machine tears the file.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // What is deleted is written over with zeros, and copies are nowhere but beside the file.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Unusable::NotOurs("corrupt"));
    }
    let version =
        |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i32>(0));
    if version(&connection)? == 0 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let is_empty =
            transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
                row.get::<_, bool>(0)
            })?;
        if is_empty {
            transaction.execute_batch(schema.create)?;
            transaction.pragma_update(None, "user_version", schema.version)?;
        }
        transaction.commit()?;
    }
    if let Some(discard) = schema.discard_older
        && (1..schema.version).contains(&version(&connection)?)
    {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first.
        if version(&transaction)? < schema.version {
            transaction.execute_batch(discard)?;
            transaction.execute_batch(schema.create)?;
            transaction.pragma_update(None, "user_version", schema.version)?;
        }
        transaction.commit()?;
    }
    match version(&connection)? {
        found if found == schema.version => {
            // A process that was killed may have left in the log what it had deleted.
            Remains { are_in_log: true, ..Remains::default() }.remove(&connection, Effort::Little)?;
            Ok(connection)
        }
        found if found > schema.version => Err(Unusable::NotOurs("of a newer version of this library")),
        _ => Err(Unusable::NotOurs("not of this library's making")),
    }
}

/// What of deleted and replaced values may still be in a file's pages or in its log. SQLite writes zeros over what is
/// deleted, but when it moves rows between pages it leaves copies where they were, and the log has the pages as they were
/// before until it is cut off. Neither can be helped while another process reads; what stays is removed another time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remains {
    are_in_pages: bool,
    are_in_log: bool,
}

impl Remains {
    /// Something was deleted or replaced.
    pub(crate) fn note(&mut self) {
        *self = Self { are_in_pages: true, are_in_log: true };
    }

    /// Whether there is something that takes little to remove.
    pub(crate) fn are_urgent(&self) -> bool {
        self.are_in_log
    }

    /// Removes them, as far as that can be now; the rest stays noted. No transaction may be open.
    ///
    /// # Errors
    /// Those of the disk; that another process is at work is none.
    pub(crate) fn remove(&mut self, connection: &Connection, effort: Effort) -> rusqlite::Result<()> {
        let are_there = self.are_in_log || (self.are_in_pages && effort == Effort::All);
        if !are_there {
            return Ok(());
        }
        if effort == Effort::Little {
            connection.busy_timeout(Duration::ZERO)?;
        }
        let result = self.try_remove(connection, effort);
        if effort == Effort::Little {
            connection.busy_timeout(BUSY)?;
        }
        match result {
            Err(error) if is_busy(&error) => Ok(()),
            result => result,
        }
    }

    fn try_remove(&mut self, connection: &Connection, effort: Effort) -> rusqlite::Result<()> {
        let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        if self.are_in_pages {
            let bytes = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
            let most = if effort == Effort::All { LARGE } else { SMALL };
            if bytes <= most {
                connection.execute_batch("VACUUM")?;
            }
            // Of a file that is never written anew, what a page is used for next is written over them.
            self.are_in_pages = bytes > most && bytes <= LARGE;
        }
        // The first column says whether somebody is reading what is in the log.
        self.are_in_log = number("PRAGMA wal_checkpoint(TRUNCATE)")? != 0;
        Ok(())
    }
}

/// Whether another process is at work.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Removes the bad files that were moved aside: what was in them is not wanted any more.
pub(crate) fn remove_aside(path: &Path) {
    for number in 1..=ASIDE {
        // Mostly there is none.
        let _ = fs::remove_file(aside(path, number));
    }
}

/// Makes the folder, for this user alone.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::folder_builder();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the file if it is not there, for this user alone; SQLite gives its other files the same permissions.
fn make_file(path: &Path) -> io::Result<File> {
    let mut options = fs::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = make_file(path)?;
    file.lock()?;
    Ok(file)
}

/// Renames the file, and what SQLite keeps beside it, to the first free name; at most [`ASIDE`] are kept.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let free = (1..ASIDE).find(|number| !fs::exists(aside(path, *number))).unwrap_or(ASIDE);
    let aside = aside(path, free);
    fs::rename(path, &aside)?;
    for rest in ["-wal", "-shm"] {
        match fs::remove_file(beside(path, rest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn aside(path: &Path, number: u32) -> PathBuf {
    beside(path, &format!(".bad-{number}"))
}

/// The path with this after its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn cannot_open(
    schema: &Schema,
    path: &Path,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> UrlError {
    let detail = format!(
        "the {} store cannot be kept at {}; check that this user may write there, or name another directory",
        schema.name,
        path.display()
    );
    UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Disk, detail).with_source(cause)
}

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Bytes of a file that is written anew whenever something was deleted from it.
const SMALL: i64 = 256 * 1024;
/// Bytes of a file that is too large for that at any time.
const LARGE: i64 = 32 * 1024 * 1024;

/// How many bad files are kept, the last name being written over.
const ASIDE: u32 = 3;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SCHEMA: Schema = Schema {
        name: "test",
        version: 2,
        create: "CREATE TABLE things (name TEXT PRIMARY KEY) STRICT",
        discard_older: None,
    };

    fn add(connection: &Connection, name: &str) {
        connection.execute("INSERT INTO things VALUES (?)", [name]).unwrap();
    }

    fn count(connection: &Connection) -> u32 {
        connection.query_row("SELECT count(*) FROM things", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_one_connection_writes_another_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/things.db");
        let (first, second) = (open(&path, &SCHEMA).unwrap(), open(&path, &SCHEMA).unwrap());
        add(&first, "one");
        add(&second, "two");
        assert_eq!((count(&first), count(&second)), (2, 2));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private/things.db");
        let connection = open(&path, &SCHEMA).unwrap();
        add(&connection, "one");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for file in fs::read_dir(path.parent().unwrap()).unwrap() {
            assert_eq!(mode(&file.as_ref().unwrap().path()), 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_corrupt_truncated_foreign_or_newer_file_is_moved_aside_and_a_new_one_made() {
        let newer = Schema { version: 3, ..SCHEMA };
        let foreign = "CREATE TABLE recipes (name TEXT)";
        type Spoil<'a> = &'a dyn Fn(&Path);
        let spoil: [(&str, Spoil<'_>); 4] = [
            ("garbage", &|path| fs::write(path, vec![b'x'; 8192]).unwrap()),
            ("truncated", &|path| {
                let connection = open(path, &SCHEMA).unwrap();
                (0..1000).for_each(|number| add(&connection, &format!("{number:0100}")));
                drop(connection);
                let length = fs::metadata(path).unwrap().len();
                File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
            }),
            ("newer", &|path| drop(open(path, &newer).unwrap())),
            ("foreign", &|path| Connection::open(path).unwrap().execute_batch(foreign).unwrap()),
        ];
        for (what, spoil) in spoil {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("things.db");
            spoil(&path);
            let connection = open(&path, &SCHEMA).unwrap();
            assert_eq!(count(&connection), 0, "{what}");
            assert!(folder.path().join("things.db.bad-1").exists(), "{what}");
            add(&connection, "kept");
            drop(connection);
            assert_eq!(count(&open(&path, &SCHEMA).unwrap()), 1, "{what}");
        }
    }

    #[test]
    fn bad_files_do_not_pile_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        for _ in 0..6 {
            fs::write(&path, "not a database at all").unwrap();
            open(&path, &SCHEMA).unwrap();
        }
        let bad = fs::read_dir(folder.path())
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains(".bad-"));
        assert_eq!(bad.count(), 3);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = open(&file.join("things.db"), &SCHEMA).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotOpenFile);
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }

    #[test]
    fn an_older_version_that_is_not_worth_keeping_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        let older = open(&path, &SCHEMA).unwrap();
        add(&older, "old secret");
        let newer = Schema { version: 3, discard_older: Some("DROP TABLE things"), ..SCHEMA };
        drop(older);
        let connection = open(&path, &newer).unwrap();
        assert_eq!(count(&connection), 0);
        assert_eq!(left_of(folder.path(), &["old secret"]), Vec::<String>::new());
        drop(connection);
        assert!(!folder.path().join("things.db.bad-1").exists());
        assert_eq!(count(&open(&path, &newer).unwrap()), 0);
    }

    #[test]
    fn nothing_of_what_was_deleted_or_replaced_is_in_any_file() {
        let create =
            "CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID";
        let schema = Schema { create, ..SCHEMA };
        for longest in [3, 40, 200, 800] {
            let folder = tempfile::tempdir().unwrap();
            let connection = open(&folder.path().join("things.db"), &schema).unwrap();
            let mut seed: u64 = 7;
            let mut random = |below: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            let (mut live, mut gone) = (std::collections::HashMap::new(), Vec::new());
            for step in 0..1500 {
                let name = random(300).to_string();
                let secret = format!("S{step:07}");
                let old = if random(3) == 0 {
                    connection.execute("DELETE FROM things WHERE name = ?", [&name]).unwrap();
                    live.remove(&name)
                } else {
                    let value = secret.repeat(1 + random(longest) as usize);
                    connection
                        .execute("INSERT OR REPLACE INTO things VALUES (?, ?)", [&name, &value])
                        .unwrap();
                    live.insert(name, secret)
                };
                gone.extend(old);
            }
            let mut remains = Remains::default();
            remains.note();
            remains.remove(&connection, Effort::All).unwrap();
            assert!(!remains.are_urgent());
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            assert_eq!(left_of(folder.path(), &gone), Vec::<String>::new(), "{longest}");
            assert_eq!(count(&connection) as usize, live.len());
        }
    }

    #[test]
    fn what_another_process_still_reads_goes_when_it_has_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        let (connection, reader) = (open(&path, &SCHEMA).unwrap(), open(&path, &SCHEMA).unwrap());
        add(&connection, "a secret");
        let reading = reader.unchecked_transaction().unwrap();
        assert_eq!(count(&reading), 1);
        connection.execute("DELETE FROM things", []).unwrap();
        let mut remains = Remains::default();
        remains.note();
        remains.remove(&connection, Effort::Little).unwrap();
        assert!(remains.are_urgent());
        reading.commit().unwrap();
        remains.remove(&connection, Effort::Little).unwrap();
        assert!(!remains.are_urgent());
        assert_eq!(left_of(folder.path(), &["a secret"]), Vec::<String>::new());
        add(&reader, "another");
        assert_eq!(count(&connection), 1);
    }

    #[test]
    fn what_a_killed_process_left_in_the_log_goes_when_the_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("things.db");
        let killed = open(&path, &SCHEMA).unwrap();
        add(&killed, "a secret");
        killed.execute("DELETE FROM things", []).unwrap();
        assert_eq!(left_of(folder.path(), &["a secret"]), ["a secret"]);
        let _next = open(&path, &SCHEMA).unwrap();
        assert_eq!(left_of(folder.path(), &["a secret"]), Vec::<String>::new());
    }

    /// Which of these values are in any file of the folder.
    fn left_of(folder: &Path, values: &[&str]) -> Vec<String> {
        let wanted: std::collections::HashMap<&[u8], &str> =
            values.iter().map(|value| (&value.as_bytes()[..8], *value)).collect();
        let mut found = Vec::new();
        for file in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            found.extend(
                bytes.windows(8).filter_map(|window| wanted.get(window)).map(|found| (*found).to_owned()),
            );
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
