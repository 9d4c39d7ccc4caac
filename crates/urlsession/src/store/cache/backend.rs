//! `UrlCacheBackend`: an application's own store for cached responses. This module does not decide which requests an entry
//! answers, nor for how long. A returned entry that is damaged or has another key is a cache miss.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::entry::{CacheEntry, Content, Seal, Variant};
use super::file::checksum_of;
use super::format;
use super::memory::{Found, VARIANTS};
use crate::env::{JobThread, random};
use crate::store::application::{BackendResult, guarded};

/// An application's own store for cached responses, for [`UrlCache::with_backend`](crate::cache::UrlCache::with_backend).
/// It replaces the cache directory, for example by a database that several machines share. Extension: no counterpart in
/// Apple's API, where an application subclasses *URLCache*.
///
/// The backend stores responses by key, several for one key. The cache decides which request a response answers (RFC 9111,
/// `Vary`), whether the response is fresh, and which responses are stored. The backend decides which responses to remove
/// when there are too many. The methods are called in order, on a thread of the cache that may block. A method may use the
/// cache itself, which then finds only responses in memory; a method must not wait for loads that use the cache. After an
/// error or a panic there is one warning (`tracing`), the backend is not called any more, and responses are kept in memory
/// only.
///
/// ```
/// use std::sync::Mutex;
/// use std::time::SystemTime;
/// use urlsession::cache::{BackendResult, KeptResponse, UrlCache, UrlCacheBackend};
///
/// #[derive(Default)]
/// struct Kept(Mutex<Vec<KeptResponse>>);
///
/// impl UrlCacheBackend for Kept {
///     fn look_up(&self, key: &str) -> BackendResult<Vec<KeptResponse>> {
///         Ok(self.0.lock().unwrap().iter().filter(|kept| kept.key == key).cloned().collect())
///     }
///
///     fn store(&self, response: &KeptResponse) -> BackendResult<()> {
///         self.0.lock().unwrap().push(response.clone());
///         Ok(())
///     }
///
///     fn remove(&self, key: &str, variant: &[u8]) -> BackendResult<()> {
///         self.0.lock().unwrap().retain(|kept| kept.key != key || kept.variant != variant);
///         Ok(())
///     }
///
///     fn remove_since(&self, date: Option<SystemTime>) -> BackendResult<()> {
///         self.0.lock().unwrap().retain(|kept| date.is_some_and(|date| kept.stored <= date));
///         Ok(())
///     }
/// }
///
/// let cache = UrlCache::with_backend(4 << 20, 100 << 20, Kept::default());
/// assert_eq!(cache.disk_capacity(), 100 << 20);
/// ```
pub trait UrlCacheBackend: Send + Sync + 'static {
    /// Returns the responses of a key, in the order in which they were stored.
    ///
    /// # Errors
    /// Any: see above.
    fn look_up(&self, key: &str) -> BackendResult<Vec<KeptResponse>>;

    /// Stores a response. The backend holds no response with the same key and variant at this time.
    ///
    /// # Errors
    /// Any: see above.
    fn store(&self, response: &KeptResponse) -> BackendResult<()>;

    /// Removes the response with this key and variant, if there is one.
    ///
    /// # Errors
    /// Any: see above.
    fn remove(&self, key: &str, variant: &[u8]) -> BackendResult<()>;

    /// Removes the responses that were stored after this date; all responses if `date` is `None`.
    ///
    /// # Errors
    /// Any: see above.
    fn remove_since(&self, date: Option<SystemTime>) -> BackendResult<()>;
}

/// A response as a [backend](UrlCacheBackend) stores it. The backend must return it byte for byte. Extension: no
/// counterpart in Apple's API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptResponse {
    /// The URL without its fragment.
    pub key: String,
    /// Distinguishes the responses of one key. The values of request header fields cannot be read from it.
    pub variant: Vec<u8>,
    /// The status, the header fields, the times and a checksum, in a format of this library.
    pub head: Vec<u8>,
    /// The body as received, with the content coding that the head names.
    pub body: Bytes,
    /// When the response was stored, with a precision of milliseconds.
    pub stored: SystemTime,
}

impl KeptResponse {
    /// Creates a response from the values that [`UrlCacheBackend::store`] received.
    pub fn new(
        key: impl Into<String>,
        variant: impl Into<Vec<u8>>,
        head: impl Into<Vec<u8>>,
        body: impl Into<Bytes>,
        stored: SystemTime,
    ) -> Self {
        Self { key: key.into(), variant: variant.into(), head: head.into(), body: body.into(), stored }
    }
}

/// The way to a backend: a thread of its own, started when there is something to find or to keep, and jobs in order.
pub(super) struct Application {
    capacity: AtomicU64,
    inner: Arc<BackendInner>,
    thread: JobThread<Job>,
}

struct BackendInner {
    backend: Box<dyn UrlCacheBackend>,
    is_broken: AtomicBool,
}

thread_local! {
    /// The address of what this thread does the jobs of.
    static WORKS_FOR: Cell<usize> = const { Cell::new(0) };
}

type Job = Box<dyn FnOnce(&BackendInner) + Send>;

impl Application {
    pub(super) fn new(capacity: u64, backend: impl UrlCacheBackend) -> Self {
        let inner = BackendInner { backend: Box::new(backend), is_broken: AtomicBool::new(false) };
        Self { capacity: capacity.into(), inner: Arc::new(inner), thread: JobThread::new() }
    }

    /// 0 keeps nothing more.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    pub(super) fn set_capacity(&self, capacity: u64) {
        self.capacity.store(capacity, Relaxed);
    }

    /// The newest entry of `key` that is wanted.
    pub(super) async fn find(
        &self,
        key: Arc<str>,
        wanted: impl Fn(&Variant) -> bool + Send + 'static,
    ) -> Found {
        let found = self.ask(move |inner| {
            let mut found = Found::Nothing;
            for (kept, variant) in inner.of(&key).into_iter().rev() {
                if !wanted(&variant) {
                    found = Found::OtherVariant;
                } else if let Some(entry) = decoded(&kept, variant) {
                    return Found::Entry(Arc::new(entry));
                }
            }
            found
        });
        found.await.unwrap_or(Found::Nothing)
    }

    /// Keeps an entry in place of one with the same key and variant.
    pub(super) fn put(&self, entry: Arc<CacheEntry>) {
        if entry.size() > self.capacity() {
            return self.remove(entry.key.clone(), Some(entry.variant.clone()));
        }
        self.run(move |inner| {
            let Content::Memory(body) = &entry.content else { return };
            let (same, mut others): (Vec<_>, Vec<_>) =
                inner.of(&entry.key).into_iter().partition(|(_, variant)| *variant == entry.variant);
            others.truncate(others.len().saturating_sub(VARIANTS - 1));
            for (kept, _) in same.iter().chain(&others) {
                inner.call(|backend| backend.remove(&kept.key, &kept.variant));
            }
            let kept = encoded(&entry, body);
            inner.call(|backend| backend.store(&kept));
        });
    }

    /// Removes one variant of a key, or all.
    pub(super) fn remove(&self, key: Arc<str>, variant: Option<Variant>) {
        self.run(move |inner| {
            for (kept, of) in inner.of(&key) {
                if variant.as_ref().is_none_or(|variant| *variant == of) {
                    inner.call(|backend| backend.remove(&kept.key, &kept.variant));
                }
            }
        });
    }

    /// In milliseconds since 1970; `None` is everything.
    pub(super) fn remove_since(&self, since: Option<i64>) {
        self.run(move |inner| {
            inner.call(|backend| backend.remove_since(since.map(date)));
        });
    }

    /// Completes when the earlier jobs are done.
    pub(super) async fn flush(&self) {
        if self.thread.is_started() {
            self.ask(|_| ()).await;
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&BackendInner) -> T + Send + 'static,
    ) -> Option<T> {
        if WORKS_FOR.get() == Arc::as_ptr(&self.inner) as usize {
            // The backend itself asks, and would wait for itself.
            return None;
        }
        let (sender, answer) = oneshot::channel();
        self.run(move |inner| drop(sender.send(job(inner))));
        answer.await.ok()
    }

    fn run(&self, job: impl FnOnce(&BackendInner) + Send + 'static) {
        let given = self.thread.give("urlsession-cache", Box::new(job), || {
            let inner = self.inner.clone();
            move |jobs: Receiver<Job>| {
                WORKS_FOR.set(Arc::as_ptr(&inner) as usize);
                jobs.iter().for_each(|job| job(&inner));
            }
        });
        if let Err(error) = given {
            // The load goes on.
            tracing::warn!("the backend thread of a cache cannot be started for now: {error}");
        }
    }
}

impl BackendInner {
    /// What there is of a key; what is of no use any more is left to the backend.
    fn of(&self, key: &str) -> Vec<(KeptResponse, Variant)> {
        let kept = self.call(|backend| backend.look_up(key)).unwrap_or_default();
        let readable = |kept: KeptResponse| {
            let (salt, bytes) = kept.variant.split_first_chunk::<SALT>()?;
            let variant = Variant::from_bytes(bytes, &Seal::new(salt))?;
            (kept.key == key).then_some((kept, variant))
        };
        kept.into_iter().filter_map(readable).collect()
    }

    fn call<T>(&self, call: impl FnOnce(&dyn UrlCacheBackend) -> BackendResult<T>) -> Option<T> {
        if self.is_broken.load(Relaxed) {
            return None;
        }
        guarded(|| call(&*self.backend))
            .inspect_err(|error| {
                self.is_broken.store(true, Relaxed);
                tracing::warn!("the application's cache backend failed and is not used any more: {error}");
            })
            .ok()
    }
}

fn encoded(entry: &CacheEntry, body: &Bytes) -> KeptResponse {
    let mut variant = vec![0; SALT];
    random(&mut variant);
    let sealed = entry.variant.to_bytes(&Seal::new(&variant));
    variant.extend_from_slice(&sealed);
    let mut head = format::encode(entry);
    head.extend_from_slice(&check(&entry.key, &variant, body));
    KeptResponse { key: (*entry.key).into(), variant, head, body: body.clone(), stored: date(entry.stored) }
}

/// `None` if it is not what was stored.
fn decoded(kept: &KeptResponse, variant: Variant) -> Option<CacheEntry> {
    let (head, found) = kept.head.split_last_chunk::<12>()?;
    let mut entry = format::decode(&kept.key, variant, head)?;
    if *found != check(&kept.key, &kept.variant, &kept.body) {
        return None;
    }
    entry.content = Content::Memory(kept.body.clone());
    Some(entry)
}

/// That a head, a body and what they are found by belong together.
fn check(key: &str, variant: &[u8], body: &[u8]) -> [u8; 12] {
    let parts = [checksum_of(key.as_bytes()), checksum_of(variant), checksum_of(body)];
    let mut check = [0; 12];
    check.chunks_exact_mut(4).zip(parts).for_each(|(to, part)| to.copy_from_slice(&part.to_le_bytes()));
    check
}

fn date(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Bytes that the digests of a variant are sealed with, before it: no table can be made of them beforehand.
const SALT: usize = 16;

setters! {
    impl KeptResponse {
        key: into String,
        variant: list u8,
        head: list u8,
        body: into Bytes,
        stored: value SystemTime,
    }
}
