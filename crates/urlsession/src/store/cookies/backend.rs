//! `HttpCookieBackend`: an application's own place for the cookies of a storage. Which cookies there are, and who gets them, is
//! the jar's business, when they are read and written `persistent`'s.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::jar::{Batch, Jar, JarEntry};
use crate::env::epoch_micros;
use crate::message::HttpCookie;
use crate::store::application::{BackendResult, guarded};
use crate::store::persistent::PersistentBackend;
use crate::store::persistent::data::Effort;

/// An application's own place for cookies, for [`HttpCookieStorage::with_backend`](crate::cookies::HttpCookieStorage::with_backend), in
/// the place of a file: a database of its own, a keyring, a profile. Not of Apple's, where one subclasses
/// *HTTPCookieStorage*.
///
/// It keeps, and decides nothing: what is a cookie, which goes to whom, and when one is too old or too many, is the
/// storage's business, which asks for all of them once and tells what changes: what has become too old with the next change,
/// or when it is flushed. Cookies of the session are not told.
/// Both methods are called beside the loads, on a thread that may block, never two at the same time. There the storage
/// itself may be used, and has what is in memory; tasks that use it must not be waited for. After an error or
/// a panic there is one warning (`tracing`), the backend is not called any more, and the cookies are kept in memory.
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
    /// Every cookie that is kept, in any order. Called once, when the storage is first needed.
    ///
    /// # Errors
    /// Any: see above.
    fn load(&self) -> BackendResult<Vec<KeptCookie>>;

    /// Does what has changed, all of it or nothing.
    ///
    /// # Errors
    /// Any: see above.
    fn update(&self, changes: &KeptCookieChanges) -> BackendResult<()>;
}

/// A cookie as a [backend](HttpCookieBackend) keeps it. Not of Apple's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCookie {
    /// It has a date of expiry. A backend that cannot hold the value itself writes it with the cargo feature `serde`, which
    /// keeps all of it. What [`HttpCookie::new`] makes again from its [`properties`](HttpCookie::properties) is the same but
    /// for `HttpOnly`, `Partitioned`, fractions of a second and bytes that are not UTF-8.
    pub cookie: HttpCookie,
    /// Of a [partition](crate::UrlRequest::cookie_partition_identifier), which one.
    pub partition: Option<String>,
    /// When it was made, in microseconds since 1970. The oldest are sent first, and
    /// [`remove_cookies_since`](crate::cookies::HttpCookieStorage::remove_cookies_since) goes by it.
    pub created: SystemTime,
}

/// What tells cookies of a [backend](HttpCookieBackend) apart. Not of Apple's.
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

/// What a [backend](HttpCookieBackend) is to do, in this order. Not of Apple's.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeptCookieChanges {
    /// Everything that was kept before goes.
    pub removes_all: bool,
    /// These go, if they are there.
    pub removed: Vec<KeptCookieKey>,
    /// These come, each in place of the one of its key.
    pub kept: Vec<KeptCookie>,
}

impl KeptCookieKey {
    /// The key of a cookie that is in no partition.
    pub fn new(domain: impl Into<String>, path: impl Into<String>, name: impl Into<String>) -> Self {
        Self { partition: String::new(), domain: domain.into(), path: path.into(), name: name.into() }
    }
}

impl KeptCookie {
    /// A cookie that is in no partition.
    pub fn new(cookie: HttpCookie, created: SystemTime) -> Self {
        Self { cookie, partition: None, created }
    }

    /// What tells it from others.
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
