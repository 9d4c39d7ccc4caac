//! `HttpCookieStorage`: the cookies of a session or of an application. The module stores, finds and removes them.
//!
//! The rules are in `rules`, the memory is in `jar`, the disk is in `disk`. Apple: *HTTPCookieStorage*.

mod backend;
mod changes;
#[cfg(feature = "persistent-stores")]
mod disk;
mod jar;
mod rules;
mod text;

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use url::Url;
use urlsession_proto::cookie::SetCookie;

use self::backend::Application;
pub use self::backend::{HttpCookieBackend, KeptCookie, KeptCookieChanges, KeptCookieKey};
pub use self::changes::HttpCookieChanges;
use self::jar::Jar;
pub(crate) use self::rules::Visit;
use crate::env::{Clock, RuntimeHandle};
use crate::message::{HttpCookie, HttpCookieAcceptPolicy, LONGEST};
use crate::store::persistent::{Store, StoreData, StoreRegistry};

/// A store of cookies. A clone is the same store, and equal to it. The store is usable from any thread.
///
/// The store holds at most 180 cookies of a site (a registrable domain, such as `example.co.uk`) and 3,000 in all, each for
/// 400 days at most. When a limit is reached, expired cookies are removed first, then cookies that are not secure, the
/// least recently sent first (RFC 6265bis §5.7). A response over cleartext evicts no secure cookie.
///
/// A store with a file keeps its cookies across runs, except session cookies. The file is read when it is first needed and
/// created with the first cookie to store. Changes are written soon afterwards, in the background: call
/// [`flush`](Self::flush) before the process ends. Processes that use the same file see each other's changes; loads see
/// them within a second. If the file cannot be used, there is one warning (`tracing`), and the cookies are in memory only.
///
/// The methods read the file, if there is one, and may wait for the disk; loads read it on a background thread. Cookies of
/// [partitions](crate::UrlRequest::cookie_partition_identifier) are listed and deleted like all other cookies, but only
/// tasks find and set them.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "HTTPCookieStorage")]
pub struct HttpCookieStorage(Store<Jar>);

impl HttpCookieStorage {
    /// The shared store of the application, which [`Configuration::default`](crate::Configuration::default) uses. Its file
    /// is below the user's data folder (on Linux `$XDG_DATA_HOME/urlsession/<application>/cookies.db`). The environment
    /// variable `URLSESSION_APPLICATION_ID` names the application; without it, the name of the executable does.
    pub fn shared() -> Self {
        static SHARED: LazyLock<HttpCookieStorage> =
            LazyLock::new(|| HttpCookieStorage(OPENED.below(|folder| folder.join(FILE))));
        SHARED.clone()
    }

    /// Creates a separate store in memory.
    pub fn ephemeral() -> Self {
        Self(Store::in_memory())
    }

    /// Creates a store whose cookies an application's own backend stores: see [`HttpCookieBackend`]. Extension: no
    /// counterpart in Apple's API.
    pub fn with_backend(backend: impl HttpCookieBackend) -> Self {
        Self(Store::kept_by(Application::new(backend)))
    }

    /// Every cookie that is not expired, the oldest first.
    pub fn cookies(&self) -> Vec<HttpCookie> {
        self.0.read();
        self.0.contents().all(self.0.now())
    }

    /// The cookies that a load of `url` sends if `url` is also the main document: longest path first, then the oldest
    /// first.
    #[doc(alias = "cookies(for:)")]
    #[doc(alias = "cookiesForURL:")]
    pub fn cookies_for(&self, url: &Url) -> Vec<HttpCookie> {
        self.0.read();
        self.found(&Visit { url, main_document_url: None, partition: None }, self.0.now())
    }

    /// Stores a cookie, unless the policy is `Never`, and replaces the cookie with the same name, domain and path. An
    /// expired cookie removes that cookie. The application sets the cookie itself, so its origin is not checked.
    #[doc(alias = "setCookie(_:)")]
    pub fn set_cookie(&self, cookie: HttpCookie) {
        if self.cookie_accept_policy() != HttpCookieAcceptPolicy::Never {
            self.keep(cookie);
        }
    }

    /// Stores the cookies of a response from `url`, if the policy and the rules for cookies (RFC 6265bis §5.7) allow its
    /// host to set them. Without a main document URL, `url` is a first-party URL.
    #[doc(alias = "setCookies(_:for:mainDocumentURL:)")]
    #[doc(alias = "setCookies:forURL:mainDocumentURL:")]
    pub fn set_cookies(
        &self,
        cookies: impl IntoIterator<Item = HttpCookie>,
        url: &Url,
        main_document_url: Option<&Url>,
    ) {
        let visit = Visit { url, main_document_url, partition: None };
        self.set_for(cookies, &visit, self.0.now());
    }

    /// Removes the cookie with the same name, domain and path, if there is one.
    #[doc(alias = "deleteCookie(_:)")]
    pub fn delete_cookie(&self, cookie: &HttpCookie) {
        self.0.read();
        self.0.change(|jar| jar.delete(cookie));
    }

    /// Removes the cookies that were created after `date`.
    #[doc(alias = "removeCookies(since:)")]
    #[doc(alias = "removeCookiesSinceDate:")]
    pub fn remove_cookies_since(&self, date: SystemTime) {
        self.0.read();
        self.0.change(|jar| jar.remove_since(date));
    }

    /// All cookies in the order of `compare`; equal cookies the oldest first. Apple's method takes sort descriptors.
    #[doc(alias = "sortedCookies(using:)")]
    #[doc(alias = "sortedCookiesUsingDescriptors:")]
    pub fn sorted_cookies_using(
        &self,
        compare: impl FnMut(&HttpCookie, &HttpCookie) -> Ordering,
    ) -> Vec<HttpCookie> {
        let mut cookies = self.cookies();
        cookies.sort_by(compare);
        cookies
    }

    /// Which cookies are accepted. Default: all. Loads use the policy of their
    /// [configuration](field@crate::Configuration::http_cookie_accept_policy) instead. The policy is not written to disk.
    #[doc(alias = "cookieAcceptPolicy")]
    pub fn cookie_accept_policy(&self) -> HttpCookieAcceptPolicy {
        self.0.contents().policy
    }

    /// Sets [`cookie_accept_policy`](Self::cookie_accept_policy), for all clones of this store.
    #[doc(alias = "cookieAcceptPolicy")]
    pub fn set_cookie_accept_policy(&self, policy: HttpCookieAcceptPolicy) {
        self.0.contents().policy = policy;
    }

    /// A stream with an item each time the cookies change.
    #[doc(alias = "NSHTTPCookieManagerCookiesChanged")]
    #[doc(alias = "NSHTTPCookieManagerCookiesChangedNotification")]
    pub fn changes(&self) -> HttpCookieChanges {
        self.0.watchers().add()
    }

    /// Completes when every change so far is on disk, removed and replaced cookies are erased from the disk, and the
    /// changes of other processes are read. Without a file or a backend, nothing is written. Extension: no counterpart in
    /// Apple's API, where the session's `flush` does this.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Removes every cookie.
    pub(crate) fn remove_all(&self) {
        self.0.change(StoreData::clear);
    }

    /// Whether there is no cookie, here and, as far as is known, on the disk. Costs one load of an atomic.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.count() == 0
    }

    /// Sets the clock of the store to the session's, unless another session has set its clock.
    pub(crate) fn set_clock(&self, clock: &Arc<dyn Clock>) {
        self.0.clock().set(clock);
    }

    /// Whether it is time to look for what other processes have written.
    pub(crate) fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.0.is_stale(clock)
    }

    /// Looks for what other processes have written, beside the reactor.
    pub(crate) async fn refresh(&self, runtime: &RuntimeHandle) {
        self.0.refresh(runtime).await;
    }

    /// The value of the `Cookie` field of a load.
    pub(crate) fn field(&self, visit: &Visit<'_>, now: SystemTime) -> Option<Vec<u8>> {
        let mut jar = self.0.contents();
        let found = jar.find(visit, now);
        if found.is_empty() {
            return None;
        }
        let length =
            found.iter().map(|cookie| cookie.name_bytes().len() + cookie.value_bytes().len() + 3).sum();
        let mut field = Vec::with_capacity(length);
        found.iter().for_each(|cookie| cookie.write_pair(&mut field));
        Some(field)
    }

    /// The cookies of a load.
    pub(crate) fn found(&self, visit: &Visit<'_>, now: SystemTime) -> Vec<HttpCookie> {
        self.0.contents().find(visit, now).into_iter().cloned().collect()
    }

    /// Keeps what a response of a load has set, as far as it may.
    pub(crate) fn store<'f>(
        &self,
        fields: impl Iterator<Item = SetCookie<'f>>,
        visit: &Visit<'_>,
        policy: HttpCookieAcceptPolicy,
        now: SystemTime,
    ) {
        let cookies = fields.filter_map(|set| HttpCookie::from_set_cookie(&set, visit.url, now));
        self.admit(cookies, visit, policy, now);
    }

    /// As [`set_cookies`](Self::set_cookies), for the partition of a load.
    pub(crate) fn set_for(
        &self,
        cookies: impl IntoIterator<Item = HttpCookie>,
        visit: &Visit<'_>,
        now: SystemTime,
    ) {
        self.0.read();
        self.admit(cookies, visit, self.cookie_accept_policy(), now);
    }

    /// Reads the changes of other processes. Waits for the disk.
    pub(crate) fn read_disk(&self) {
        self.0.read();
    }

    fn admit(
        &self,
        cookies: impl IntoIterator<Item = HttpCookie>,
        visit: &Visit<'_>,
        policy: HttpCookieAcceptPolicy,
        now: SystemTime,
    ) {
        let admitted = cookies.into_iter().filter_map(|cookie| rules::admitted(cookie, visit, policy, now));
        let is_secure = visit.is_secure();
        self.0.change(|jar| {
            admitted.fold(false, |changed, cookie| {
                let is_set = match is_secure {
                    true => jar.set(cookie, visit.partition, now),
                    false => {
                        !jar.shields(&cookie, visit.partition, now)
                            && jar.set_from_cleartext(cookie, visit.partition, now)
                    }
                };
                is_set | changed
            })
        });
    }

    /// Keeps a cookie of the application's.
    fn keep(&self, cookie: HttpCookie) {
        self.0.read();
        let now = self.0.now();
        self.0.change(|jar| jar.set(cookie.expiring_by(now + LONGEST), None, now));
    }
}

/// Such as `<HttpCookieStorage cookies count:2>`.
impl fmt::Display for HttpCookieStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<HttpCookieStorage cookies count:{}>", self.cookies().len())
    }
}

impl fmt::Debug for HttpCookieStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe("HttpCookieStorage", f)
    }
}

static OPENED: StoreRegistry<Jar> = StoreRegistry::none();

const FILE: &str = "cookies.db";

#[cfg(all(test, feature = "persistent-stores"))]
#[path = "cookies_tests.rs"]
mod tests;
