//! Erases removed data of the disk store from the disk: keys, remains of rows, and files that no row names. The disk store
//! decides what is removed.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rusqlite::OptionalExtension;

use super::{DiskStore, FILE, StoreState};
use crate::env::fs;
use crate::store::cache::disk::rows::bodies;
use crate::store::cache::disk::space;
use crate::store::cache::entry::Seal;
use crate::store::cache::file::is_being_written;
use crate::store::database;
use crate::store::key_file;
use crate::store::persistent::data::Effort;

impl DiskStore {
    /// Removes everything, also bodies that are coming and what nobody names.
    pub(in crate::store::cache) fn clear(&mut self) {
        self.writers.clear();
        self.attempt(false, |disk_store| {
            // Whoever keeps something by the old key does so before it is deleted, or learns of the new one by that.
            disk_store.renew_seal();
            disk_store.delete("true", &[])?;
            let capacity = disk_store.capacity.load(Relaxed);
            space::mark_dirty(&disk_store.open_now()?.connection, capacity, true)
        });
        self.sweep(true);
        database::remove_aside(&self.folder.join(FILE));
    }

    /// What was kept by the old key is nobody's any more, here or in another process.
    fn renew_seal(&mut self) {
        match key_file::renew(&self.folder.join(FILE)) {
            Ok(key) => {
                if let StoreState::Open(open) = &mut self.state {
                    open.seal = Seal::new(&key);
                }
            }
            Err(error) => self.warn(&error),
        }
    }

    /// Writes down what was used, and waits until nothing of what is gone is there any more.
    pub(in crate::store::cache) fn flush(&mut self) {
        self.note_uses();
        self.remove_remains(Effort::All);
    }

    /// How long to wait for another job before [`tidy`](Self::tidy) is to be called; `None` if it need not be.
    pub(in crate::store::cache) fn patience(&self) -> Option<Duration> {
        let StoreState::Open(open) = &self.state else { return None };
        let patience = if open.jobs_since == 0 { PATIENCE_IF_BUSY } else { PATIENCE };
        open.remains.are_urgent().then_some(patience)
    }

    /// Removes what remains of what is gone, while there is nothing else to do.
    pub(in crate::store::cache) fn tidy(&mut self) {
        self.remove_remains(Effort::Little);
        self.mark();
    }

    fn remove_remains(&mut self, effort: Effort) {
        let StoreState::Open(open) = &mut self.state else { return };
        open.jobs_since = 0;
        if let Err(error) = open.remains.remove(&open.connection, effort) {
            self.warn(&error);
        }
    }

    /// A job more. Who asks without a pause must not keep the remains there for ever.
    pub(super) fn count_job(&mut self) {
        if let StoreState::Open(open) = &mut self.state
            && open.remains.are_urgent()
        {
            open.jobs_since += 1;
            if open.jobs_since >= MOST_JOBS_SINCE {
                self.remove_remains(Effort::Little);
            }
        }
    }

    /// Removes the files of rows that are gone.
    pub(super) fn unlink(&mut self, files: Vec<String>) {
        self.index().opened.remove_files(&files);
        for name in files {
            self.verified.remove(&name);
            // Gone already is as good; whoever reads it has it open.
            let _ = fs::remove_file(bodies(&self.folder).join(name));
        }
    }

    /// Another process that has emptied the cache has another key.
    pub(super) fn read_seal(&mut self) {
        let StoreState::Open(open) = &mut self.state else { return };
        // Should it not be readable now, what is kept is found by nobody else.
        let Ok(key) = key_file::read_existing(&self.folder.join(FILE)) else { return };
        let seal = Seal::new(&key);
        if seal != open.seal {
            open.seal = seal;
            self.memory.lock().clear();
        }
    }

    /// Removes files that no row names: of a process that was killed. Young ones may be another's, at work; with `all` they
    /// go too, if nobody is writing them.
    pub(super) fn sweep(&mut self, all: bool) {
        let StoreState::Open(open) = &self.state else { return };
        let named = |name: &str| {
            let query = "SELECT 1 FROM entries WHERE file = ?";
            open.connection.query_row(query, [name], |_| Ok(())).optional().map_or(true, |row| row.is_some())
        };
        let Ok(files) = fs::read_dir(bodies(&self.folder)) else { return };
        for file in files.flatten() {
            let changed = file.metadata().and_then(|metadata| metadata.modified());
            let is_old = changed.ok().and_then(fs::age).is_some_and(|age| age > ORPHAN_AGE);
            let is_orphan = is_old || (all && !is_being_written(&file.path()));
            if is_orphan && !file.file_name().to_str().is_some_and(named) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.note_uses();
        self.remove_remains(Effort::Little);
    }
}

/// How long nothing must be asked for before remains are removed, and how long if that could not be done just now.
const PATIENCE: Duration = Duration::from_millis(50);
const PATIENCE_IF_BUSY: Duration = Duration::from_secs(2);

/// After so many jobs it is done all the same.
const MOST_JOBS_SINCE: u32 = 256;

const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);
