//! `UrlCache`: responses kept in memory and on disk, found by request. `protocol::http::caching` decides whether a load may
//! use a response.
//!
//! Apple: *URLCache*.

mod backend;
#[cfg(feature = "persistent-stores")]
mod disk;
#[cfg(not(feature = "persistent-stores"))]
#[path = "cache/no_disk.rs"]
mod disk;
mod entry;
mod file;
mod format;
mod memory;
#[cfg(test)]
mod test_support;
pub(crate) mod writer;

use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use urlsession_proto::caching::{Times, Vary, vary};

use self::backend::Application;
pub use self::backend::{KeptResponse, UrlCacheBackend};
use self::disk::{DiskStore, DiskWorker};
pub(crate) use self::entry::{CacheEntry, Content, Said, Variant, key, key_of_url};
use self::memory::Memory;
pub(crate) use self::memory::{DiskLookup, Found};
use crate::env::{Clock, StoreClock, block_on, cache_folder, epoch_millis};
use crate::message::{CachedUrlResponse, HeaderFields, StoragePolicy, UrlRequest};

/// A cache of responses, in memory and on disk. A clone is the same cache. The cache is usable from any thread, and several
/// processes can use its directory at the same time.
///
/// Partial responses (206) are stored if they have a strong validator. The cache joins them, and completes them when the
/// whole response is loaded. Entries are found by URL (without the fragment), and by the request fields a response's `Vary`
/// names; only answers to `GET` are kept. When the capacity is reached, the least recently used responses are removed
/// first. If the store is damaged or cannot be written, its contents are lost, a warning ([`tracing`]) names the problem,
/// and no load fails. Methods that read the disk block until the disk thread answers.
#[derive(Clone)]
#[doc(alias = "URLCache")]
pub struct UrlCache(Arc<CacheInner>);

struct CacheInner {
    memory: Arc<Mutex<Memory>>,
    disk: Option<DiskWorker>,
    /// In the place of a disk.
    backend: Option<Application>,
    /// Counts changes: what was found before one is not put where it was removed.
    generation: AtomicU64,
    /// Counts how often all was removed: what was on its way then is not kept.
    clearings: AtomicU64,
    clock: StoreClock,
}

impl UrlCache {
    /// The shared cache of the process: 4 MiB in memory and 20 MiB on disk, in the application's folder below the user's
    /// cache directory. Nothing is written to disk before the first response is stored.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlCache> = LazyLock::new(|| UrlCache::new(MEMORY, DISK, None));
        SHARED.clone()
    }

    /// Creates a cache with these capacities in bytes. With a memory capacity of 0, all responses are on disk; with a disk
    /// capacity of 0, nothing is written to disk. `directory` is created when it is needed; `None` is the directory of
    /// [`shared`](Self::shared).
    #[doc(alias = "init(memoryCapacity:diskCapacity:directory:)")]
    pub fn new(memory_capacity: u64, disk_capacity: u64, directory: Option<PathBuf>) -> Self {
        let folder = directory.or_else(|| Some(cache_folder()?.join("responses")));
        Self::make(memory_capacity, disk_capacity, folder)
    }

    /// Creates a cache with this memory capacity, in bytes, that stores responses in an application's own store: see
    /// [`UrlCacheBackend`]. A response may take at most a twentieth of `backend_capacity`, and is in memory until it is
    /// complete; with 0, nothing is stored in the backend. [`disk_capacity`](Self::disk_capacity) returns
    /// `backend_capacity`. The cache does not know how many bytes the backend uses. Extension: no counterpart in Apple's
    /// API.
    pub fn with_backend(memory_capacity: u64, backend_capacity: u64, backend: impl UrlCacheBackend) -> Self {
        let memory = Arc::new(Mutex::new(Memory::new(memory_capacity)));
        Self::of(memory, None, Some(Application::new(backend_capacity, backend)))
    }

    /// That of [`Configuration::default`](crate::Configuration::default).
    pub(crate) fn of_default_sessions() -> Option<Self> {
        Some(Self::shared())
    }

    /// That of [`Configuration::ephemeral`](crate::Configuration::ephemeral): one of its own, in memory.
    pub(crate) fn of_ephemeral_sessions() -> Option<Self> {
        Some(Self::make(MEMORY, 0, None))
    }

    fn make(memory: u64, disk: u64, folder: Option<PathBuf>) -> Self {
        let memory = Arc::new(Mutex::new(Memory::new(memory)));
        let disk = folder.and_then(|folder| DiskWorker::new(folder, disk, memory.clone()));
        Self::of(memory, disk, None)
    }

    fn of(memory: Arc<Mutex<Memory>>, disk: Option<DiskWorker>, backend: Option<Application>) -> Self {
        Self(Arc::new(CacheInner {
            memory,
            disk,
            backend,
            generation: AtomicU64::new(0),
            clearings: AtomicU64::new(0),
            clock: StoreClock::default(),
        }))
    }

    /// The memory capacity, in bytes.
    #[doc(alias = "memoryCapacity")]
    pub fn memory_capacity(&self) -> u64 {
        self.memory().capacity()
    }

    /// Sets [`memory_capacity`](Self::memory_capacity). Responses that no longer fit are removed; 0 stores nothing.
    #[doc(alias = "memoryCapacity")]
    pub fn set_memory_capacity(&self, bytes: u64) {
        self.memory().set_capacity(bytes);
    }

    /// The disk capacity, in bytes; 0 if there is no directory. The directory, with its index and log, exceeds the capacity
    /// by a tenth at most; by a little more if the capacity is below 2 MiB, because the index itself needs space.
    #[doc(alias = "diskCapacity")]
    pub fn disk_capacity(&self) -> u64 {
        match (&self.0.disk, &self.0.backend) {
            (Some(disk), _) => disk.capacity(),
            (None, backend) => backend.as_ref().map_or(0, Application::capacity),
        }
    }

    /// Sets [`disk_capacity`](Self::disk_capacity). Responses that no longer fit are removed; 0 stores nothing. Without
    /// effect if there is no directory.
    #[doc(alias = "diskCapacity")]
    pub fn set_disk_capacity(&self, bytes: u64) {
        if let Some(disk) = &self.0.disk {
            disk.set_capacity(bytes);
        }
        if let Some(backend) = &self.0.backend {
            backend.set_capacity(bytes);
        }
    }

    /// The memory in use, in bytes.
    #[doc(alias = "currentMemoryUsage")]
    pub fn current_memory_usage(&self) -> u64 {
        self.memory().usage()
    }

    /// The disk space in use, in bytes, by all processes together; 0 with a backend. Reads the disk.
    #[doc(alias = "currentDiskUsage")]
    pub fn current_disk_usage(&self) -> u64 {
        let usage = async { self.0.disk.as_ref()?.ask(DiskStore::usage).await };
        block_on(usage).unwrap_or(0)
    }

    /// The stored response for a request, of any age. A header field that the request does not set matches any value that
    /// the session sends. Reads the disk.
    #[doc(alias = "cachedResponse(for:)")]
    pub fn cached_response(&self, request: &UrlRequest) -> Option<CachedUrlResponse> {
        block_on(self.find_cached(request))
    }

    pub(crate) async fn find_cached(&self, request: &UrlRequest) -> Option<CachedUrlResponse> {
        let key = key(request)?;
        let fields = request.fields().clone();
        let found = match self.find_in_memory(key, |variant| variant.matches(said(&fields))) {
            Found::Entry(entry) => Some(entry),
            _ => match self.find_on_disk(key, move |variant| variant.matches(said(&fields))).await {
                Found::Entry(entry) => Some(entry),
                _ => None,
            },
        }?;
        if found.is_part() && !request.fields().contains("range") {
            return None;
        }
        let data = match &found.content {
            Content::Memory(data) => data.clone(),
            Content::File(file) => file.read()?,
        };
        Some(found.cached(data))
    }

    /// Stores a response for a request, as its storage policy says, and replaces the stored one. Nothing is stored if the
    /// method is not `GET`, if the URL contains a user name, or if the response is larger than the capacity. The response's
    /// header fields determine its freshness; its age is counted from now.
    #[doc(alias = "storeCachedResponse(_:for:)")]
    pub fn store_cached_response(&self, cached: &CachedUrlResponse, request: &UrlRequest) {
        let Some(key) = key(request) else { return };
        let names = match cached.response().http_head().map(|head| vary(&head.fields)) {
            Some(Vary::Fields(names)) => names,
            Some(Vary::Everything) => return,
            None => Vec::new(),
        };
        let variant = Variant::of(names, said(request.fields()));
        let now = epoch_millis(self.0.clock.wall());
        let times = Times { requested: now.div_euclid(1000), received: now.div_euclid(1000) };
        let data = cached.data().clone();
        let mut entry = CacheEntry::new(key.into(), variant, cached, times, Content::Memory(data));
        entry.stored = now;
        self.store(entry);
    }

    /// Removes the stored responses of a request's URL. Nothing of them is left on disk, as with
    /// [`remove_all_cached_responses`](Self::remove_all_cached_responses).
    #[doc(alias = "removeCachedResponse(for:)")]
    pub fn remove_cached_response(&self, request: &UrlRequest) {
        if let Some(key) = key(request) {
            self.remove(key);
        }
    }

    /// Removes all responses. Responses that are being loaded at this time are not stored. The removed data is erased from
    /// the disk within moments, at the latest when [`UrlSession::flush`](crate::UrlSession::flush) or `reset` is done.
    #[doc(alias = "removeAllCachedResponses()")]
    pub fn remove_all_cached_responses(&self) {
        self.change();
        self.0.clearings.fetch_add(1, Relaxed);
        self.memory().clear();
        self.on_disk_if_there(DiskStore::clear);
        if let Some(backend) = &self.0.backend {
            backend.remove_since(None);
        }
    }

    /// Removes the responses that were stored **after** this date.
    #[doc(alias = "removeCachedResponses(since:)")]
    pub fn remove_cached_responses_since(&self, date: SystemTime) {
        self.change();
        let since = epoch_millis(date);
        self.memory().remove_since(since);
        self.on_disk_if_there(move |disk_store| disk_store.remove_since(since));
        if let Some(backend) = &self.0.backend {
            backend.remove_since(Some(since));
        }
    }

    /// Waits until everything kept so far is on disk, and nothing of what was removed.
    pub(crate) async fn flush(&self) {
        if let Some(disk) = &self.0.disk {
            disk.ask(DiskStore::flush).await;
        }
        if let Some(backend) = &self.0.backend {
            backend.flush().await;
        }
    }

    /// Sets the clock of the cache to the session's, unless another session has set its clock.
    pub(crate) fn set_clock(&self, clock: &Arc<dyn Clock>) {
        self.0.clock.set(clock);
    }

    pub(crate) fn find_in_memory(&self, key: &str, wanted: impl Fn(&Variant) -> bool) -> Found {
        self.memory().find(key, wanted)
    }

    /// What is on disk, as far as is known without asking. `now` is in seconds.
    pub(crate) fn known_on_disk(
        &self,
        key: &str,
        wanted: impl Fn(&Variant) -> bool,
        now: impl FnOnce() -> i64,
    ) -> DiskLookup {
        match (&self.0.disk, &self.0.backend) {
            (Some(disk), _) => disk.look(key, wanted, now()),
            (None, None) => DiskLookup::Nothing,
            (None, Some(_)) => DiskLookup::Unknown,
        }
    }

    /// Looks on disk; what is small is in memory from then on.
    pub(crate) async fn find_on_disk(
        &self,
        key: &str,
        wanted: impl Fn(&Variant) -> bool + Send + 'static,
    ) -> Found {
        let generation = self.0.generation.load(Relaxed);
        let owned: Arc<str> = key.into();
        let found = match (&self.0.disk, &self.0.backend) {
            (Some(disk), _) => {
                disk.ask(move |disk_store| disk_store.find(&owned, &wanted)).await.unwrap_or(Found::Nothing)
            }
            (None, Some(backend)) => backend.find(owned, wanted).await,
            (None, None) => Found::Nothing,
        };
        if let Found::Entry(entry) = &found
            && matches!(entry.content, Content::Memory(_))
        {
            let mut memory = self.memory();
            let is_small = entry.content.length() <= share(memory.capacity());
            if is_small && self.0.generation.load(Relaxed) == generation {
                memory.insert(entry.clone());
            }
        }
        found
    }

    /// The most a body may take that a session keeps: a twentieth of the disk, without one of the memory.
    pub(crate) fn most(&self) -> u64 {
        share(self.disk_capacity()).max(share(self.memory_capacity()))
    }

    /// Keeps an entry whose body is in memory.
    pub(crate) fn store(&self, entry: CacheEntry) {
        self.change();
        let Content::Memory(data) = entry.content.clone() else { return };
        if entry.policy == StoragePolicy::NotAllowed {
            return;
        }
        let entry = Arc::new(entry);
        self.memory().insert(entry.clone());
        if let Some(backend) = &self.0.backend {
            match entry.policy {
                StoragePolicy::Allowed => backend.put(entry.clone()),
                _ => backend.remove(entry.key.clone(), Some(entry.variant.clone())),
            }
        }
        let Some(disk) = &self.0.disk else { return };
        if entry.policy == StoragePolicy::Allowed && disk.capacity() > 0 {
            disk.expect(&entry.key);
            disk.run(move |disk_store| {
                disk_store.put(&entry, &data);
                disk_store.has_come(&entry.key);
            });
        } else {
            // What was there is outdated.
            disk.run_if_there(move |disk_store| disk_store.remove_variant(&entry.key, &entry.variant));
        }
    }

    /// The server has confirmed an entry: its head is new, its body is the same.
    pub(crate) fn confirm(&self, entry: &Arc<CacheEntry>) {
        self.change();
        if matches!(entry.content, Content::Memory(_)) {
            self.memory().insert(entry.clone());
        }
        if let Some(backend) = &self.0.backend
            && entry.policy == StoragePolicy::Allowed
        {
            backend.put(entry.clone());
        }
        let entry = entry.clone();
        self.on_disk_if_there(move |disk_store| disk_store.update(&entry));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.change();
        self.memory().remove(key);
        if let Some(backend) = &self.0.backend {
            backend.remove(key.into(), None);
        }
        let key: Arc<str> = key.into();
        self.on_disk_if_there(move |disk_store| disk_store.remove(&key));
    }

    pub(crate) fn remove_entry(&self, entry: &Arc<CacheEntry>) {
        self.change();
        self.memory().remove_variant(&entry.key, &entry.variant);
        if let Some(backend) = &self.0.backend {
            backend.remove(entry.key.clone(), Some(entry.variant.clone()));
        }
        let entry = entry.clone();
        self.on_disk_if_there(move |disk_store| disk_store.remove_variant(&entry.key, &entry.variant));
    }

    fn on_disk_if_there(&self, job: impl FnOnce(&mut DiskStore) + Send + 'static) {
        if let Some(disk) = &self.0.disk {
            disk.run_if_there(job);
        }
    }

    fn change(&self) {
        self.0.generation.fetch_add(1, Relaxed);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock()
    }
}

impl fmt::Debug for UrlCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlCache")
            .field("memory_capacity", &self.memory_capacity())
            .field("disk_capacity", &self.disk_capacity())
            .finish_non_exhaustive()
    }
}

/// What a request itself says.
fn said<'a>(fields: &'a HeaderFields) -> impl Fn(&str) -> Said<'a> + 'a {
    move |name| fields.bytes(name).map_or(Said::Unknown, Said::Value)
}

/// Apple, *willCacheResponse*: no more than about 5 % of the cache.
fn share(capacity: u64) -> u64 {
    capacity / 20
}

/// Apple: *URLCache.shared*.
const MEMORY: u64 = 4 * 1024 * 1024;
const DISK: u64 = 20 * 1024 * 1024;
