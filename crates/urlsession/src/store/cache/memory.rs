//! The cache in memory: entries by key, the least recently used are removed first. No IO and no clock here.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use slab::Slab;
use smallvec::{SmallVec, smallvec};

use super::entry::{CacheEntry, Variant};

pub(super) struct Memory {
    capacity: u64,
    usage: u64,
    by_key: HashMap<Arc<str>, SmallVec<[usize; 1]>>,
    slots: Slab<Slot>,
    /// Most and least recently used.
    newest: Option<usize>,
    oldest: Option<usize>,
}

/// An entry between its neighbours in the order of use.
struct Slot {
    entry: Arc<CacheEntry>,
    size: u64,
    newer: Option<usize>,
    older: Option<usize>,
}

/// What a look at a store gives.
pub(crate) enum Found {
    Entry(Arc<CacheEntry>),
    /// There are answers to this URL, to other requests.
    OtherVariant,
    Nothing,
}

/// What is known of a key without asking.
pub(crate) enum DiskLookup {
    Nothing,
    Entry(Arc<CacheEntry>),
    /// It is worth asking.
    Unknown,
}

impl Memory {
    pub(super) fn new(capacity: u64) -> Self {
        Self { capacity, usage: 0, by_key: HashMap::new(), slots: Slab::new(), newest: None, oldest: None }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn usage(&self) -> u64 {
        self.usage
    }

    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.evict();
    }

    /// The newest entry of `key` that is wanted; it is the most recently used then.
    pub(super) fn find(&mut self, key: &str, wanted: impl Fn(&Variant) -> bool) -> Found {
        let Some(slots) = self.by_key.get(key) else { return Found::Nothing };
        let at = slots.iter().rev().copied().find(|at| wanted(&self.slots[*at].entry.variant));
        let Some(at) = at else { return Found::OtherVariant };
        if self.newest != Some(at) {
            self.unlink(at);
            self.link(at);
        }
        let entry = &self.slots[at].entry;
        entry.touch();
        Found::Entry(entry.clone())
    }

    /// Keeps an entry, in place of one with the same key and variant. One that is larger than everything is not kept.
    pub(super) fn insert(&mut self, entry: Arc<CacheEntry>) {
        self.remove_variant(&entry.key, &entry.variant);
        let size = entry.size();
        if size > self.capacity {
            return;
        }
        self.usage += size;
        let key = entry.key.clone();
        let at = self.slots.insert(Slot { entry, size, newer: None, older: None });
        self.link(at);
        let surplus = match self.by_key.entry(key) {
            Place::Vacant(place) => {
                place.insert(smallvec![at]);
                None
            }
            Place::Occupied(place) => {
                let slots = place.into_mut();
                slots.push(at);
                (slots.len() > VARIANTS).then(|| slots[0])
            }
        };
        if let Some(at) = surplus {
            self.take(at);
        }
        self.evict();
    }

    pub(super) fn remove(&mut self, key: &str) {
        for at in self.by_key.get(key).cloned().unwrap_or_default() {
            self.take(at);
        }
    }

    pub(super) fn remove_variant(&mut self, key: &str, variant: &Variant) {
        let slots = self.by_key.get(key).map_or(&[][..], |slots| slots);
        if let Some(at) = slots.iter().copied().find(|at| self.slots[*at].entry.variant == *variant) {
            self.take(at);
        }
    }

    /// Removes what was stored after this moment, in milliseconds since 1970.
    pub(super) fn remove_since(&mut self, since: i64) {
        let newer = self.slots.iter().filter(|(_, slot)| slot.entry.stored > since);
        for at in newer.map(|(at, _)| at).collect::<Vec<_>>() {
            self.take(at);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    /// Entries used since the last call, the least recently used first.
    pub(super) fn touched(&mut self) -> Vec<Arc<CacheEntry>> {
        let mut all = Vec::new();
        let mut at = self.oldest;
        while let Some(slot) = at.and_then(|at| self.slots.get(at)) {
            if slot.entry.is_touched.swap(false, Relaxed) {
                all.push(slot.entry.clone());
            }
            at = slot.newer;
        }
        all
    }

    fn evict(&mut self) {
        while self.usage > self.capacity
            && let Some(oldest) = self.oldest
        {
            self.take(oldest);
        }
    }

    fn take(&mut self, at: usize) {
        self.unlink(at);
        let slot = self.slots.remove(at);
        self.usage -= slot.size;
        if let Place::Occupied(mut place) = self.by_key.entry(slot.entry.key.clone()) {
            place.get_mut().retain(|other| *other != at);
            if place.get().is_empty() {
                place.remove();
            }
        }
    }

    fn link(&mut self, at: usize) {
        (self.slots[at].newer, self.slots[at].older) = (None, self.newest);
        match self.newest {
            Some(newest) => self.slots[newest].newer = Some(at),
            None => self.oldest = Some(at),
        }
        self.newest = Some(at);
    }

    fn unlink(&mut self, at: usize) {
        let (newer, older) = (self.slots[at].newer, self.slots[at].older);
        match newer {
            Some(newer) => self.slots[newer].older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.slots[older].newer = newer,
            None => self.oldest = newer,
        }
    }
}

/// How many answers to one URL are kept.
pub(super) const VARIANTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::test_support::entry;
    use super::*;

    fn has(memory: &mut Memory, key: &str) -> bool {
        matches!(memory.find(key, |_| true), Found::Entry(_))
    }

    #[test]
    fn what_was_used_last_stays() {
        let size = entry("http://a/0", 100).size();
        let mut memory = Memory::new(3 * size);
        for key in ["http://a/0", "http://a/1", "http://a/2"] {
            memory.insert(entry(key, 100));
        }
        assert!(has(&mut memory, "http://a/0"));
        memory.insert(entry("http://a/3", 100));
        let left = ["http://a/0", "http://a/1", "http://a/2", "http://a/3"].map(|key| has(&mut memory, key));
        assert_eq!(left, [true, false, true, true]);
        assert_eq!(memory.usage(), 3 * size);
    }

    #[test]
    fn the_same_again_replaces_and_a_smaller_capacity_evicts() {
        let size = entry("http://a/0", 100).size();
        let mut memory = Memory::new(10 * size);
        for _ in 0..3 {
            memory.insert(entry("http://a/0", 100));
        }
        memory.insert(entry("http://a/1", 100));
        assert_eq!(memory.usage(), 2 * size);
        memory.set_capacity(size);
        assert!(!has(&mut memory, "http://a/0") && has(&mut memory, "http://a/1"));
        memory.set_capacity(0);
        assert!((memory.usage() == 0) && memory.usage() == 0);
        memory.insert(entry("http://a/0", 100));
        assert!((memory.usage() == 0));
    }

    #[test]
    fn the_order_survives_removals_in_every_place() {
        let mut memory = Memory::new(1 << 20);
        let keys = ["http://a/0", "http://a/1", "http://a/2", "http://a/3"];
        keys.iter().for_each(|key| memory.insert(entry(key, 10)));
        memory.remove("http://a/1");
        memory.remove("http://a/3");
        memory.remove("http://a/0");
        assert!(has(&mut memory, "http://a/2"));
        assert_eq!(memory.touched().len(), 1);
        assert_eq!(memory.touched().len(), 0);
        memory.remove_since(i64::MIN);
        assert!((memory.usage() == 0) && memory.newest.is_none() && memory.oldest.is_none());
    }
}
