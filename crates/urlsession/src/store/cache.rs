//! `UrlCache`: responses kept in memory and on disk, found by request. Whether a load may use one is decided in
//! `protocol::http::caching`.
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

/// Responses kept for later loads, in memory and on disk. A clone is the same cache; usable from any thread, and the
/// directory from several processes at the same time.
///
/// Parts of a response (206) are kept if they have a strong validator, joined, and completed when the whole is loaded.
/// Entries are found by URL (without the fragment), and by the request fields a response's `Vary` names; only
/// answers to `GET` are kept. The least recently used go first when the capacity is reached. A damaged or
/// unwritable store costs what it holds and never a load: a warning ([`tracing`]) says what is wrong. Methods that
/// look at the disk block until its thread answers.
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
    /// The cache of the process: 4 MiB in memory and 20 MiB on disk, in this application's folder of the user's
    /// cache directory. Nothing is written there before something is kept.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlCache> = LazyLock::new(|| UrlCache::new(MEMORY, DISK, None));
        SHARED.clone()
    }

    /// A cache of these capacities in bytes. With no memory, everything is on disk; with no disk, nothing is
    /// written. `directory` is made when it is needed; `None` is that of [`shared`](Self::shared).
    #[doc(alias = "init(memoryCapacity:diskCapacity:directory:)")]
    pub fn new(memory_capacity: u64, disk_capacity: u64, directory: Option<PathBuf>) -> Self {
        let folder = directory.or_else(|| Some(cache_folder()?.join("responses")));
        Self::make(memory_capacity, disk_capacity, folder)
    }

    /// A cache of this capacity in memory, in bytes, and an application's own place for the rest: see [`UrlCacheBackend`].
    /// Of `backend_capacity` a response may take a twentieth, and is in memory until it is whole; with 0 nothing is stored
    /// there. It is [`disk_capacity`](Self::disk_capacity) from then on. How much is used there is not known here.
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

    /// Bytes that may be used in memory.
    #[doc(alias = "memoryCapacity")]
    pub fn memory_capacity(&self) -> u64 {
        self.memory().capacity()
    }

    /// Changes [`memory_capacity`](Self::memory_capacity): what does not fit any more goes; 0 keeps nothing.
    #[doc(alias = "memoryCapacity")]
    pub fn set_memory_capacity(&self, bytes: u64) {
        self.memory().set_capacity(bytes);
    }

    /// Bytes that may be used on disk; 0 if there is no directory. The directory takes as much as that at most, within a
    /// tenth, with its index and log; below two mebibytes, of which the index alone needs a part, a little more.
    #[doc(alias = "diskCapacity")]
    pub fn disk_capacity(&self) -> u64 {
        match (&self.0.disk, &self.0.backend) {
            (Some(disk), _) => disk.capacity(),
            (None, backend) => backend.as_ref().map_or(0, Application::capacity),
        }
    }

    /// Changes [`disk_capacity`](Self::disk_capacity): what does not fit any more goes; 0 keeps nothing. Without
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

    /// Bytes used in memory.
    #[doc(alias = "currentMemoryUsage")]
    pub fn current_memory_usage(&self) -> u64 {
        self.memory().usage()
    }

    /// Bytes used on disk, by all processes together. Looks at the disk.
    #[doc(alias = "currentDiskUsage")]
    pub fn current_disk_usage(&self) -> u64 {
        let usage = async { self.0.disk.as_ref()?.ask(DiskStore::usage).await };
        block_on(usage).unwrap_or(0)
    }

    /// What is kept for a request, however old. Fields the request does not set are taken for whatever the session
    /// sends. Looks at the disk.
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

    /// Keeps a response for a request, in place of what is there, as its storage policy says. Nothing is kept for
    /// requests that are not `GET`, or whose URL has a user's name in it, and nothing that is larger than the
    /// capacity. Freshness is judged by the response's own head, its age counted from now.
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

    /// Removes what is kept for a request's URL; nothing of it is left on disk, as of
    /// [`remove_all_cached_responses`](Self::remove_all_cached_responses).
    #[doc(alias = "removeCachedResponse(for:)")]
    pub fn remove_cached_response(&self, request: &UrlRequest) {
        if let Some(key) = key(request) {
            self.remove(key);
        }
    }

    /// Removes everything; of the responses that are being loaded none is kept. On disk nothing of it is left within
    /// moments, or when [`UrlSession::flush`](crate::UrlSession::flush) or `reset` is done.
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

    /// Removes what was stored **after** this date.
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

    /// A session uses the cache: its clock is the cache's, unless another session's is.
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
