//! `BoundedMap`: what a store knows by name, in memory, and which of it its disk does not have yet. The time is passed in,
//! and what must be written to disk is noted, not written.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use super::persistent::StoreData;
use crate::env::epoch_micros;

/// What is known by a name. Both times are in microseconds since 1970.
pub(super) trait Expiring: Copy + Send + 'static {
    /// How many are kept.
    const MOST: usize;

    fn expires(&self) -> i64;
    fn noted(&self) -> i64;

    /// Whether it is for the disk.
    fn is_lasting(&self) -> bool {
        true
    }
}

pub(super) struct BoundedMap<E> {
    entries: HashMap<Box<str>, E>,
    /// What differs from the disk; `None` if there is none.
    unwritten: Option<Unwritten>,
}

#[derive(Default)]
struct Unwritten {
    names: HashSet<Box<str>>,
    /// Nothing that was on the disk is wanted any more.
    is_cleared: bool,
}

/// What to do to the disk: names without an entry are to be deleted.
pub(super) struct Batch<E> {
    pub(super) clears: bool,
    pub(super) entries: Vec<(Box<str>, Option<E>)>,
}

impl<E: Expiring> BoundedMap<E> {
    /// Whether its time is over or not.
    pub(super) fn get(&self, name: &str) -> Option<&E> {
        self.entries.get(name)
    }

    /// In place of what was known before.
    pub(super) fn put(&mut self, name: &str, entry: E, now: SystemTime) {
        match self.entries.get_mut(name) {
            Some(known) => *known = entry,
            None => {
                self.entries.insert(name.into(), entry);
                self.make_room(now);
            }
        }
        if entry.is_lasting() {
            self.mark(name.into());
        }
    }

    /// Removes everything. True if there was anything.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some((name, entry)) = self.entries.remove_entry(name) else { return false };
        if entry.is_lasting() {
            self.mark(name);
        }
        true
    }

    fn mark(&mut self, name: Box<str>) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.names.insert(name);
        }
    }

    /// Removes what is too much: what has expired first, then who was not heard of for the longest time; a good many
    /// at once, so that it is seldom.
    fn make_room(&mut self, now: SystemTime) {
        if self.entries.len() <= E::MOST {
            return;
        }
        let now = epoch_micros(now);
        let mut by_age: Vec<(bool, i64, Box<str>)> = self
            .entries
            .iter()
            .map(|(name, entry)| (entry.expires() > now, entry.noted(), name.clone()))
            .collect();
        by_age.sort_unstable();
        by_age.truncate(self.entries.len() - (E::MOST - E::MOST / 16));
        for (_, _, name) in by_age {
            self.remove(&name);
        }
    }
}

impl<E> Default for BoundedMap<E> {
    fn default() -> Self {
        Self { entries: HashMap::new(), unwritten: None }
    }
}

impl<E: Expiring> StoreData for BoundedMap<E> {
    type Rows = Vec<(Box<str>, E)>;
    type Batch = Batch<E>;
    type Watchers = ();

    fn kept() -> Self {
        Self { unwritten: Some(Unwritten::default()), ..Self::default() }
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn has_lasting(&self) -> bool {
        self.entries.values().any(E::is_lasting)
    }

    fn clear(&mut self) -> bool {
        let had = !self.entries.is_empty() || self.unwritten.is_some();
        self.entries.clear();
        if let Some(unwritten) = &mut self.unwritten {
            *unwritten = Unwritten { is_cleared: true, ..Unwritten::default() };
        }
        had
    }

    fn merge_from_disk(&mut self, rows: Self::Rows, now: SystemTime) {
        let Some(unwritten) = &self.unwritten else { return };
        self.entries.retain(|name, entry| !entry.is_lasting() || unwritten.names.contains(name));
        if !unwritten.is_cleared {
            for (name, entry) in rows {
                if !unwritten.names.contains(&name) {
                    self.entries.insert(name, entry);
                }
            }
        }
        self.make_room(now);
    }

    fn expire(&mut self, now: SystemTime) {
        let now = epoch_micros(now);
        let old = self.entries.iter().filter(|(_, entry)| entry.expires() <= now);
        let old: Vec<Box<str>> = old.map(|(name, _)| name.clone()).collect();
        for name in old {
            self.remove(&name);
        }
    }

    fn take_dirty(&mut self) -> Option<Batch<E>> {
        let unwritten = std::mem::take(self.unwritten.as_mut()?);
        let entry = |name: Box<str>| {
            let entry = self.entries.get(&name).copied();
            (name, entry)
        };
        let entries: Vec<_> = unwritten.names.into_iter().map(entry).collect();
        (unwritten.is_cleared || !entries.is_empty())
            .then_some(Batch { clears: unwritten.is_cleared, entries })
    }

    fn mark_dirty(&mut self, batch: Batch<E>) {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.is_cleared |= batch.clears;
            unwritten.names.extend(batch.entries.into_iter().map(|(name, _)| name));
        }
    }

    fn forget_disk(&mut self) {
        self.unwritten = None;
    }
}
