//! Entries found on disk lately, with their body files open: they are found again without a question to the index. Few,
//! since each holds a descriptor and, once it is removed, its place on the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::store::cache::entry::{CacheEntry, Variant};

/// The least recently used first; one entry a key.
#[derive(Default)]
pub(super) struct OpenFileCache(Vec<Slot>);

struct Slot {
    row: i64,
    /// Of the body's file.
    name: String,
    entry: Arc<CacheEntry>,
}

impl OpenFileCache {
    pub(super) fn find(&mut self, key: &str, wanted: impl Fn(&Variant) -> bool) -> Option<Arc<CacheEntry>> {
        let at = self.0.iter().position(|slot| *slot.entry.key == *key)?;
        if !wanted(&self.0[at].entry.variant) {
            return None;
        }
        self.0[at..].rotate_left(1);
        let entry = &self.0.last()?.entry;
        entry.touch();
        Some(entry.clone())
    }

    pub(super) fn insert(&mut self, row: i64, name: String, entry: Arc<CacheEntry>) {
        self.remove(&entry.key);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Slot { row, name, entry });
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|slot| *slot.entry.key != *key);
    }

    pub(super) fn remove_files(&mut self, names: &[String]) {
        self.0.retain(|slot| !names.contains(&slot.name));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Rows used since the last call.
    pub(super) fn touched(&self) -> impl Iterator<Item = i64> {
        self.0.iter().filter(|slot| slot.entry.is_touched.swap(false, Relaxed)).map(|slot| slot.row)
    }
}

const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cache::test_support::entry;

    fn with(keys: impl IntoIterator<Item = usize>) -> OpenFileCache {
        let mut opened = OpenFileCache::default();
        for key in keys {
            opened.insert(key as i64, format!("f{key}"), entry(&format!("http://a/{key}"), 1));
        }
        opened
    }

    fn has(opened: &mut OpenFileCache, key: usize) -> bool {
        opened.find(&format!("http://a/{key}"), |_| true).is_some()
    }

    #[test]
    fn what_was_used_last_stays_and_the_number_is_bounded() {
        let mut opened = with(0..MOST);
        assert!(has(&mut opened, 0));
        opened.insert(99, "f99".into(), entry("http://a/99", 1));
        assert!(has(&mut opened, 0) && !has(&mut opened, 1) && has(&mut opened, 99));
        assert_eq!(opened.0.len(), MOST);
    }

    #[test]
    fn an_entry_is_found_by_who_it_answers_until_it_or_its_file_is_gone() {
        let mut opened = with([1, 2, 3]);
        assert!(opened.find("http://a/1", |_| false).is_none());
        opened.insert(4, "f4".into(), entry("http://a/1", 1));
        opened.remove_files(&["f1".into(), "f2".into()]);
        assert!(has(&mut opened, 1) && !has(&mut opened, 2));
        opened.remove("http://a/1");
        assert!(!has(&mut opened, 1));
        assert_eq!(opened.touched().count(), 0);
        assert!(has(&mut opened, 3));
        assert_eq!(opened.touched().collect::<Vec<_>>(), [3]);
        assert_eq!(opened.touched().count(), 0);
    }
}
