//! `Index`: what is on disk as far as memory knows, and the stamp that tells whether another process has written since.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::open_files::OpenFileCache;
use crate::env::fs;
use crate::store::cache::file::is_past;

/// What is on disk, as far as is known.
#[derive(Default)]
pub(super) struct Index {
    /// Hashes of the keys; some may be gone.
    pub(super) known: HashSet<u64>,
    /// Hashes of keys that are about to be kept, and how often.
    pub(super) awaited: HashMap<u64, u32>,
    /// The store as it was when the hashes were right.
    pub(super) mark: Option<WalStamp>,
    pub(super) opened: OpenFileCache,
}

impl Index {
    pub(super) fn hash(key: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// What was about to be kept is, or will not be.
    pub(super) fn has_come(&mut self, key: &str) {
        if let Entry::Occupied(mut awaited) = self.awaited.entry(Self::hash(key)) {
            *awaited.get_mut() -= 1;
            if *awaited.get() == 0 {
                awaited.remove();
            }
        }
    }
}

/// What changes when any process writes: SQLite's log.
#[derive(PartialEq, Eq)]
pub(super) struct WalStamp(Option<(u64, Option<SystemTime>)>);

impl WalStamp {
    pub(super) fn of(folder: &Path) -> Self {
        Self(changed(&folder.join(format!("{FILE}-wal"))).ok())
    }

    /// To compare with later; `None` if that would not tell: a log that was cut off a moment ago may be written and cut
    /// off again at the same time, as far as the file system can tell.
    pub(super) fn lasting(folder: &Path) -> Option<Self> {
        let mark = Self::of(folder);
        let is_telling = mark.0.is_none_or(|(length, written)| length > 0 || written.is_some_and(is_past));
        is_telling.then_some(mark)
    }
}

/// What a file system says of a file that is not there is no error.
fn changed(path: &Path) -> io::Result<(u64, Option<SystemTime>)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.len(), metadata.modified().ok()))
}

pub(super) const FILE: &str = "cache.db";
