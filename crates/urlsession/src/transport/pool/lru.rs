//! `Lru`: entries in the order in which they were added. Adding one, removing one and finding the oldest take the same
//! time however many there are.
//!
//! It does not decide what is removed.

use slab::Slab;

#[derive(Debug)]
pub(super) struct Lru<T> {
    entries: Slab<LruEntry<T>>,
    oldest: usize,
    newest: usize,
}

#[derive(Debug)]
struct LruEntry<T> {
    value: T,
    older: usize,
    newer: usize,
}

impl<T> Lru<T> {
    pub(super) fn new() -> Self {
        Self { entries: Slab::new(), oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the newest entry; its key is valid until it is removed.
    pub(super) fn push(&mut self, value: T) -> usize {
        let key = self.entries.insert(LruEntry { value, older: self.newest, newer: NONE });
        match self.entries.get_mut(self.newest) {
            Some(newest) => newest.newer = key,
            None => self.oldest = key,
        }
        self.newest = key;
        key
    }

    pub(super) fn remove(&mut self, key: usize) -> T {
        let LruEntry { value, older, newer } = self.entries.remove(key);
        match self.entries.get_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        value
    }

    pub(super) fn get(&self, key: usize) -> Option<&T> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The key of the oldest entry.
    pub(super) fn oldest(&self) -> Option<usize> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// All entries, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }
}

/// No entry has this key.
const NONE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_first_of_those_that_were_not_removed() {
        let mut lru = Lru::new();
        let keys = [1, 2, 3, 4].map(|value| lru.push(value));
        assert_eq!((lru.remove(keys[1]), lru.remove(keys[0])), (2, 1));
        assert_eq!(lru.oldest(), Some(keys[2]));
        let five = lru.push(5);
        assert_eq!((lru.remove(keys[3]), lru.remove(keys[2])), (4, 3));
        assert_eq!((lru.oldest(), lru.len()), (Some(five), 1));
        assert_eq!((lru.remove(five), lru.oldest(), lru.is_empty()), (5, None, true));
        let six = lru.push(6);
        assert_eq!((lru.oldest(), lru.get(six)), (Some(six), Some(&6)));
    }
}
