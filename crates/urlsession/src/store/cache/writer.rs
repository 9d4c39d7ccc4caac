//! A body on its way into the cache: gathered while its reader has it, kept once it is whole. It never fails or slows
//! the reader; one that is given up leaves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};

use super::entry::{CacheEntry, Content};
use super::{UrlCache, share};
use crate::message::{CachedUrlResponse, StoragePolicy};

pub(crate) struct CacheWriter {
    cache: UrlCache,
    /// With an empty body.
    draft: CacheEntry,
    pieces: Vec<Bytes>,
    length: u64,
    most: u64,
    /// How often the cache had been emptied when this began.
    clearings: u64,
    /// The body is held in memory until it is whole: somebody wants to see it, or there is nothing else.
    is_held: bool,
    spill: Option<Spill>,
    is_given_up: bool,
}

/// A body that goes to a file as it comes.
struct Spill {
    number: u64,
    in_flight: Arc<AtomicU64>,
}

impl CacheWriter {
    /// For the body of `draft`.
    pub(crate) fn new(cache: UrlCache, draft: CacheEntry, is_held: bool) -> Self {
        let (most, clearings) = (cache.most(), cache.0.clearings.load(Relaxed));
        Self {
            cache,
            draft,
            pieces: Vec::new(),
            length: 0,
            most,
            clearings,
            is_held,
            spill: None,
            is_given_up: false,
        }
    }

    /// More of the body.
    pub(crate) fn chunk(&mut self, chunk: &Bytes) {
        if self.is_given_up {
            return;
        }
        self.length += chunk.len() as u64;
        if self.length > self.most {
            return self.give_up();
        }
        self.pieces.push(chunk.clone());
        // A backend takes what is whole.
        let may_spill = !self.is_held && self.cache.0.backend.is_none();
        if may_spill && self.length > IN_MEMORY.max(share(self.cache.memory_capacity())) {
            self.spill();
        }
    }

    /// The body has ended: it is kept.
    pub(crate) fn finish(mut self) {
        if self.is_given_up || self.is_late() {
            return;
        }
        if self.spill.is_none() {
            let data = self.data();
            let draft = self.draft.with_content(Content::Memory(data));
            return self.cache.store(draft);
        }
        self.spill();
        let Some((disk, spill)) = self.cache.0.disk.as_ref().zip(self.spill.take()) else { return };
        self.cache.change();
        self.cache.memory().remove_variant(&self.draft.key, &self.draft.variant);
        disk.expect(&self.draft.key);
        let draft = self.draft.with_content(Content::Memory(Bytes::new()));
        disk.run(move |disk_store| {
            disk_store.commit(spill.number, &draft);
            disk_store.has_come(&draft.key);
        });
    }

    /// What would be kept, for the application to decide about, once the body has ended.
    pub(crate) fn proposal(&mut self) -> Option<CachedUrlResponse> {
        if self.is_given_up {
            return None;
        }
        let data = self.data();
        self.pieces = vec![data.clone()];
        Some(self.draft.cached(data))
    }

    /// Keeps what the application made of the proposal.
    pub(crate) fn keep(self, decided: &CachedUrlResponse) {
        if decided.storage_policy() == StoragePolicy::NotAllowed || self.is_late() {
            return;
        }
        let CacheEntry { key, variant, times, .. } = &self.draft;
        let content = Content::Memory(decided.data().clone());
        self.cache.store(CacheEntry::new(key.clone(), variant.clone(), decided, *times, content));
    }

    /// The cache was emptied meanwhile.
    fn is_late(&self) -> bool {
        self.cache.0.clearings.load(Relaxed) != self.clearings
    }

    /// In one piece; if it came in one, without a copy.
    fn data(&mut self) -> Bytes {
        match &mut self.pieces[..] {
            [] => Bytes::new(),
            // A small piece of a large buffer must not keep that.
            [only] => only.clone(),
            pieces => {
                let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        }
    }

    /// Hands on what has come to the disk.
    fn spill(&mut self) {
        let Some(disk) = self.cache.0.disk.as_ref().filter(|disk| share(disk.capacity()) >= self.length)
        else {
            return self.give_up();
        };
        let spill = self.spill.get_or_insert_with(|| {
            let number = disk.new_body();
            disk.run(move |disk_store| disk_store.begin(number));
            Spill { number, in_flight: Arc::default() }
        });
        let number = spill.number;
        for piece in self.pieces.drain(..) {
            let (length, in_flight) = (piece.len() as u64, spill.in_flight.clone());
            if in_flight.fetch_add(length, Relaxed) > IN_FLIGHT {
                self.is_given_up = true;
            }
            disk.run(move |disk_store| {
                disk_store.append(number, &piece);
                in_flight.fetch_sub(length, Relaxed);
            });
        }
        if self.is_given_up {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
        self.pieces = Vec::new();
        self.abandon();
    }

    fn abandon(&mut self) {
        if let Some((disk, spill)) = self.cache.0.disk.as_ref().zip(self.spill.take()) {
            disk.run(move |disk_store| disk_store.abandon(spill.number));
        }
    }
}

impl Drop for CacheWriter {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// A body is gathered in memory up to here, whatever the memory's capacity.
const IN_MEMORY: u64 = 256 * 1024;

/// What may wait for a disk that is slower than the network.
const IN_FLIGHT: u64 = 16 * 1024 * 1024;
