//! `HttpCookieBackend`: an application's own store for the cookies of a storage. `jar` decides which cookies exist and
//! which loads send them; `persistent` decides when they are read and written.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::jar::{Batch, Jar, JarEntry};
use crate::env::epoch_micros;
use crate::message::HttpCookie;
use crate::store::application::{BackendResult, guarded};
use crate::store::persistent::PersistentBackend;
use crate::store::persistent::data::Effort;

/// An application's own store for cookies, for
/// [`HttpCookieStorage::with_backend`](crate::cookies::HttpCookieStorage::with_backend), in place of a file: for example a
/// database, a keyring or a profile. Extension: no counterpart in Apple's API, where an application subclasses
/// *HTTPCookieStorage*.
///
/// The backend only stores cookies. The storage decides which cookies are valid, which loads send them, and which are
/// removed. The storage loads all cookies once and then passes every change to the backend; it passes expired cookies with
/// the next change or flush. Session cookies are not passed. Both methods are called on a background thread that may block,
/// never two at the same time. A method may use the storage itself, which then has the cookies in memory; a method must not
/// wait for tasks that use the storage. After an error or a panic there is one warning (`tracing`), the backend is not
/// called any more, and the cookies are in memory only.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use urlsession::cookies::{
///     BackendResult, HttpCookieBackend, HttpCookieStorage, KeptCookie, KeptCookieChanges, KeptCookieKey,
/// };
///
/// #[derive(Default)]
/// struct Profile(Mutex<HashMap<KeptCookieKey, KeptCookie>>);
///
/// impl HttpCookieBackend for Profile {
///     fn load(&self) -> BackendResult<Vec<KeptCookie>> {
///         Ok(self.0.lock().unwrap().values().cloned().collect())
///     }
///
///     fn update(&self, changes: &KeptCookieChanges) -> BackendResult<()> {
///         let mut all = self.0.lock().unwrap();
///         if changes.removes_all {
///             all.clear();
///         }
///         changes.removed.iter().for_each(|key| drop(all.remove(key)));
///         all.extend(changes.kept.iter().map(|kept| (kept.key(), kept.clone())));
///         Ok(())
///     }
/// }
///
/// let storage = HttpCookieStorage::with_backend(Profile::default());
/// assert!(storage.cookies().is_empty());
/// ```
pub trait HttpCookieBackend: Send + Sync + 'static {
    /// Returns every stored cookie, in any order. Called once, when the storage is first needed.
    ///
    /// # Errors
    /// Any: see above.
    fn load(&self) -> BackendResult<Vec<KeptCookie>>;

    /// Applies the changes, all of them or none.
    ///
    /// # Errors
    /// Any: see above.
    fn update(&self, changes: &KeptCookieChanges) -> BackendResult<()>;
}

/// A cookie as a [backend](HttpCookieBackend) stores it. Extension: no counterpart in Apple's API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCookie {
    /// The cookie, with an expiry date. A backend that cannot store the value itself can serialize it with the cargo
    /// feature `serde`, which preserves all of it. [`HttpCookie::new`] with the [`properties`](HttpCookie::properties) of
    /// the cookie creates an equal cookie, except for `HttpOnly`, `Partitioned`, fractions of a second and bytes that are
    /// not UTF-8.
    pub cookie: HttpCookie,
    /// The [partition](crate::UrlRequest::cookie_partition_identifier) of the cookie; `None` if it is in no partition.
    pub partition: Option<String>,
    /// When the cookie was created, with a precision of microseconds. The oldest cookies are sent first, and
    /// [`remove_cookies_since`](crate::cookies::HttpCookieStorage::remove_cookies_since) compares this time.
    pub created: SystemTime,
}

/// The key of a cookie in a [backend](HttpCookieBackend). Extension: no counterpart in Apple's API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct KeptCookieKey {
    /// [`KeptCookie::partition`](field@KeptCookie::partition); empty if it has none.
    pub partition: String,
    /// [`HttpCookie::domain`].
    pub domain: String,
    /// [`HttpCookie::path`].
    pub path: String,
    /// [`HttpCookie::name`].
    pub name: String,
}

/// The changes that a [backend](HttpCookieBackend) applies, in the order of the fields. Extension: no counterpart in
/// Apple's API.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeptCookieChanges {
    /// Whether all stored cookies are removed.
    pub removes_all: bool,
    /// The keys of the cookies to remove. A key without a stored cookie is ignored.
    pub removed: Vec<KeptCookieKey>,
    /// The cookies to store. Each replaces the cookie with the same key.
    pub kept: Vec<KeptCookie>,
}

impl KeptCookieKey {
    /// Creates the key of a cookie that is in no partition.
    pub fn new(domain: impl Into<String>, path: impl Into<String>, name: impl Into<String>) -> Self {
        Self { partition: String::new(), domain: domain.into(), path: path.into(), name: name.into() }
    }
}

impl KeptCookie {
    /// Creates a stored cookie that is in no partition.
    pub fn new(cookie: HttpCookie, created: SystemTime) -> Self {
        Self { cookie, partition: None, created }
    }

    /// The key of the cookie.
    pub fn key(&self) -> KeptCookieKey {
        let [name, _] = self.cookie.stored_pair();
        KeptCookieKey {
            partition: self.partition.clone().unwrap_or_default(),
            domain: self.cookie.domain().into(),
            path: self.cookie.path().into(),
            name: name.into_owned(),
        }
    }

    fn of(entry: &JarEntry) -> Self {
        Self {
            cookie: entry.cookie.clone(),
            partition: entry.partition.as_deref().map(Into::into),
            created: UNIX_EPOCH + Duration::from_micros(u64::try_from(entry.created).unwrap_or(0)),
        }
    }
}

/// An application's backend, called as the file of a jar is.
pub(super) struct Application<B> {
    backend: B,
    is_read: bool,
}

impl<B: HttpCookieBackend> Application<B> {
    pub(super) fn new(backend: B) -> Self {
        Self { backend, is_read: false }
    }
}

impl<B: HttpCookieBackend> PersistentBackend<Jar> for Application<B> {
    fn name(&self) -> &'static str {
        "cookie"
    }

    fn location(&self) -> String {
        "by the application's backend".into()
    }

    fn is_there(&self) -> bool {
        true
    }

    fn read(&mut self) -> BackendResult<Option<Vec<JarEntry>>> {
        if std::mem::replace(&mut self.is_read, true) {
            return Ok(None);
        }
        Ok(Some(entries(guarded(|| self.backend.load())?)))
    }

    fn write(&mut self, batch: &Batch, _: SystemTime) -> BackendResult<bool> {
        let key = |[partition, domain, path, name]: &[Box<str>; 4]| KeptCookieKey {
            partition: (&**partition).into(),
            domain: (&**domain).into(),
            path: (&**path).into(),
            name: (&**name).into(),
        };
        let changes = KeptCookieChanges {
            removes_all: batch.clears,
            removed: batch.deletes.iter().map(key).collect(),
            kept: batch.puts.iter().map(KeptCookie::of).collect(),
        };
        guarded(|| self.backend.update(&changes)).map(|()| true)
    }

    fn tidy(&mut self, _: Effort) -> BackendResult<()> {
        Ok(())
    }

    fn close(&mut self) {}
}

/// What a jar can hold: one cookie of a key, of no two the same time, none of the session.
fn entries(kept: Vec<KeptCookie>) -> Vec<JarEntry> {
    let lasting = kept.into_iter().filter(|kept| !kept.cookie.is_session_only());
    let one_of_each: HashMap<_, _> = lasting.map(|kept| (kept.key(), kept)).collect();
    let entry = |kept: KeptCookie| {
        let created = epoch_micros(kept.created);
        let partition = kept.partition.filter(|partition| !partition.is_empty()).map(Into::into);
        JarEntry { cookie: kept.cookie, partition, created, accessed: created }
    };
    let mut all: Vec<JarEntry> = one_of_each.into_values().map(entry).collect();
    all.sort_unstable_by(|a, b| a.created.cmp(&b.created).then_with(|| a.key().cmp(&b.key())));
    for at in 1..all.len() {
        all[at].created = all[at].created.max(all[at - 1].created.saturating_add(1));
    }
    all
}

setters! {
    impl KeptCookie {
        cookie: value HttpCookie,
        partition: option String,
        created: value SystemTime,
    }
}

setters! {
    impl KeptCookieKey {
        partition: into String,
        domain: into String,
        path: into String,
        name: into String,
    }
}

setters! {
    impl KeptCookieChanges {
        removes_all: value bool,
        removed: list KeptCookieKey,
        kept: list KeptCookie,
    }
}
