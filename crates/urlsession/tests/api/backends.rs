//! Stores that an application keeps itself: what its backend has is used, and one that fails costs no load.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use urlsession::authentication::{
    AuthenticationMethod, KeptCredential, UrlCredential, UrlCredentialBackend,
    UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use urlsession::block_on;
use urlsession::cache::{BackendResult, KeptResponse, UrlCache, UrlCacheBackend};
use urlsession::cookies::{
    HttpCookieBackend, HttpCookieStorage, KeptCookie, KeptCookieChanges, KeptCookieKey,
};
use urlsession::{UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// What goes wrong in a backend.
#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    Error,
    Panic,
}

impl Fault {
    fn happen(self) -> BackendResult<()> {
        match self {
            Self::None => Ok(()),
            Self::Error => Err("the profile is gone".into()),
            Self::Panic => panic!("a fault of the application's"),
        }
    }
}

#[derive(Clone, Default)]
struct Profile {
    cookies: Arc<Mutex<HashMap<KeptCookieKey, KeptCookie>>>,
    calls: Arc<AtomicUsize>,
    on_load: Fault,
    on_update: Fault,
}

impl HttpCookieBackend for Profile {
    fn load(&self) -> BackendResult<Vec<KeptCookie>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.on_load.happen()?;
        Ok(self.cookies.lock().unwrap().values().cloned().collect())
    }

    fn update(&self, changes: &KeptCookieChanges) -> BackendResult<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.on_update.happen()?;
        let mut all = self.cookies.lock().unwrap();
        if changes.removes_all {
            all.clear();
        }
        changes.removed.iter().for_each(|key| drop(all.remove(key)));
        all.extend(changes.kept.iter().map(|kept| (kept.key(), kept.clone())));
        Ok(())
    }
}

fn with_profile(origin: &Origin, profile: &Profile) -> (UrlSession, HttpCookieStorage) {
    let storage = HttpCookieStorage::with_backend(profile.clone());
    let session = UrlSession::new(configuration(origin).http_cookie_storage(storage.clone()));
    (session, storage)
}

fn setting(cookies: &[&str]) -> Reply {
    cookies.iter().fold(Reply::new(200).body("x"), |reply, cookie| reply.header("Set-Cookie", *cookie))
}

fn sent(origin: &Origin) -> Option<String> {
    origin.requests().last().unwrap().header("cookie").map(str::to_owned)
}

#[test]
fn cookies_of_an_applications_backend_are_there_in_the_next_session() {
    on(Wire::H1, |origin| {
        let profile = Profile::default();
        let (session, storage) = with_profile(origin, &profile);
        origin.enqueue(
            "/a",
            setting(&["b=2; Max-Age=600; Path=/", "a=1; Max-Age=600; Path=/", "s=of the session"]),
        );
        load(&session, origin.url("/a")).unwrap();
        block_on(storage.flush());
        assert_eq!(profile.cookies.lock().unwrap().len(), 2);

        let (session, storage) = with_profile(origin, &profile);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(sent(origin).as_deref(), Some("b=2; a=1"), "in the order in which they were made");
        let first = storage.cookies().remove(0);
        storage.delete_cookie(&first);
        origin.enqueue("/a", setting(&["a=3; Max-Age=600; Path=/"]));
        load(&session, origin.url("/a")).unwrap();
        block_on(session.flush());
        let values: Vec<String> =
            profile.cookies.lock().unwrap().values().map(|kept| kept.cookie.value().to_owned()).collect();
        assert_eq!(values, ["3"]);
        block_on(session.reset());
        assert!(profile.cookies.lock().unwrap().is_empty());
    });
}

#[test]
fn a_cookie_of_the_backend_that_is_too_old_or_of_the_session_is_sent_to_nobody() {
    on(Wire::H1, |origin| {
        let profile = Profile::default();
        let (session, storage) = with_profile(origin, &profile);
        origin.enqueue("/a", setting(&["a=1; Max-Age=600; Path=/", "s=1; Path=/"]));
        load(&session, origin.url("/a")).unwrap();
        for cookie in storage.cookies() {
            let kept = KeptCookie::new(cookie, SystemTime::UNIX_EPOCH);
            profile.cookies.lock().unwrap().insert(kept.key(), kept);
        }
        let (configuration, clock) = with_hand_clock(origin);
        let storage = HttpCookieStorage::with_backend(profile);
        let session = UrlSession::new(configuration.http_cookie_storage(storage));
        clock.advance(std::time::Duration::from_secs(86_400));
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(sent(origin), None);
    });
}

#[test]
fn a_cookie_backend_that_fails_or_panics_costs_persistence_and_no_load() {
    on(Wire::H1, |origin| {
        for (on_load, on_update) in [
            (Fault::Error, Fault::None),
            (Fault::Panic, Fault::None),
            (Fault::None, Fault::Error),
            (Fault::None, Fault::Panic),
        ] {
            let profile = Profile { on_load, on_update, ..Profile::default() };
            let (session, storage) = with_profile(origin, &profile);
            origin.enqueue("/a", setting(&["a=1; Max-Age=600; Path=/"]));
            load(&session, origin.url("/a")).unwrap();
            block_on(storage.flush());
            let calls = profile.calls.load(Ordering::Relaxed);
            load(&session, origin.url("/Peru")).unwrap();
            block_on(session.flush());
            assert_eq!(sent(origin).as_deref(), Some("a=1"), "it is in memory");
            assert_eq!(profile.calls.load(Ordering::Relaxed), calls, "it is asked no more");
            assert!(profile.cookies.lock().unwrap().is_empty());
        }
    });
}

#[derive(Clone, Default)]
struct Safe {
    all: Arc<Mutex<Vec<KeptCredential>>>,
    calls: Arc<AtomicUsize>,
    fault: Fault,
}

impl UrlCredentialBackend for Safe {
    fn load(&self, _: Option<&UrlProtectionSpace>) -> BackendResult<Vec<KeptCredential>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.fault.happen()?;
        // Whoever is asked for one space and gives all must not get another's credentials used.
        Ok(self.all.lock().unwrap().clone())
    }

    fn set(&self, kept: &KeptCredential) -> BackendResult<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.fault.happen()?;
        self.remove(&kept.space, kept.credential.user().unwrap())?;
        self.all.lock().unwrap().push(kept.clone());
        Ok(())
    }

    fn remove(&self, space: &UrlProtectionSpace, user: &str) -> BackendResult<()> {
        self.fault.happen()?;
        let is_other = |kept: &KeptCredential| kept.space != *space || kept.credential.user() != Some(user);
        self.all.lock().unwrap().retain(is_other);
        Ok(())
    }
}

fn space(origin: &Origin, realm: &str) -> UrlProtectionSpace {
    UrlProtectionSpace::new(
        urlsession::Url::parse(&origin.url("/")).unwrap().host_str().unwrap(),
        origin.port(),
        UrlProtectionSpaceProtocol::Http,
        Some(realm),
        AuthenticationMethod::HttpBasic,
    )
}

fn permanent(user: &str) -> UrlCredential {
    UrlCredential::new(user, "p4ss", Persistence::Permanent)
}

fn asking(realm: &str) -> Reply {
    Reply::new(401).header("WWW-Authenticate", format!("Basic realm=\"{realm}\""))
}

fn with_storage(origin: &Origin, storage: &UrlCredentialStorage) -> UrlSession {
    UrlSession::new(configuration(origin).url_credential_storage(storage.clone()))
}

#[test]
fn credentials_of_an_applications_backend_answer_a_challenge() {
    on(Wire::H1, |origin| {
        let safe = Safe::default();
        let storage = UrlCredentialStorage::with_backend(safe.clone());
        storage.set(&permanent("bob"), &space(origin, "other"));
        storage.set(&permanent("eve"), &space(origin, "ours"));
        storage.set_default_credential(&permanent("ann"), &space(origin, "ours"));
        storage.set(&UrlCredential::new("tim", "x", Persistence::ForSession), &space(origin, "ours"));
        let defaults: Vec<_> = safe.all.lock().unwrap().iter().map(|kept| kept.is_default).collect();
        assert_eq!(defaults, [true, false, true]);
        // The next storage knows what is permanent, and nothing of another space.
        let storage = UrlCredentialStorage::with_backend(safe.clone());
        assert_eq!(storage.credentials(&space(origin, "ours")).len(), 2);
        let session = with_storage(origin, &storage);
        origin.enqueue("/a", asking("ours"));
        origin.enqueue("/a", Reply::new(200).body("hers"));
        assert_eq!(text(&load(&session, origin.url("/a")).unwrap().0), "hers");
        let login = origin.requests().last().unwrap().header("authorization").map(str::to_owned);
        assert_eq!(login.as_deref(), Some("Basic YW5uOnA0c3M="));
        storage.remove(&permanent("ann"), &space(origin, "ours"));
        assert_eq!(safe.all.lock().unwrap().len(), 2);
        block_on(session.reset());
        assert!(safe.all.lock().unwrap().is_empty());
    });
}

#[test]
fn a_credential_backend_that_fails_or_panics_costs_persistence_and_no_load() {
    on(Wire::H1, |origin| {
        for fault in [Fault::Error, Fault::Panic] {
            let safe = Safe { fault, ..Safe::default() };
            let storage = UrlCredentialStorage::with_backend(safe.clone());
            let session = with_storage(origin, &storage);
            origin.enqueue("/a", asking("ours"));
            assert_eq!(load(&session, origin.url("/a")).unwrap().1.status_code(), Some(401));
            storage.set(&permanent("ann"), &space(origin, "ours"));
            origin.enqueue("/b", asking("ours"));
            origin.enqueue("/b", Reply::new(200).body("hers"));
            assert_eq!(text(&load(&session, origin.url("/b")).unwrap().0), "hers", "it is in memory");
            assert_eq!(safe.calls.load(Ordering::Relaxed), 1, "it is asked no more");
        }
    });
}

#[derive(Clone, Default)]
struct Shelf {
    all: Arc<Mutex<Vec<KeptResponse>>>,
    calls: Arc<AtomicUsize>,
    fault: Fault,
}

impl Shelf {
    fn called(&self) -> BackendResult<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.fault.happen()
    }
}

impl UrlCacheBackend for Shelf {
    fn look_up(&self, _: &str) -> BackendResult<Vec<KeptResponse>> {
        self.called()?;
        // Whoever is asked for one key and gives all must not get another's responses used.
        Ok(self.all.lock().unwrap().clone())
    }

    fn store(&self, response: &KeptResponse) -> BackendResult<()> {
        self.called()?;
        self.all.lock().unwrap().push(response.clone());
        Ok(())
    }

    fn remove(&self, key: &str, variant: &[u8]) -> BackendResult<()> {
        self.called()?;
        self.all.lock().unwrap().retain(|kept| kept.key != key || kept.variant != variant);
        Ok(())
    }

    fn remove_since(&self, date: Option<SystemTime>) -> BackendResult<()> {
        self.called()?;
        self.all.lock().unwrap().retain(|kept| date.is_some_and(|date| kept.stored <= date));
        Ok(())
    }
}

fn with_shelf(origin: &Origin, shelf: &Shelf) -> UrlSession {
    let cache = UrlCache::with_backend(1 << 20, 100 << 20, shelf.clone());
    UrlSession::new(configuration(origin).url_cache(cache))
}

fn cacheable(body: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200).header("Cache-Control", "max-age=600").body(body)
}

fn body_of(session: &UrlSession, origin: &Origin, path: &str) -> Vec<u8> {
    load(session, origin.url(path)).unwrap().0.to_vec()
}

#[test]
fn a_response_in_an_applications_backend_answers_the_next_session() {
    on(Wire::H1, |origin| {
        let shelf = Shelf::default();
        let session = with_shelf(origin, &shelf);
        origin.enqueue("/a", cacheable("first"));
        origin.enqueue("/b", cacheable(vec![b'b'; 700_000]));
        ["/a", "/b"].iter().for_each(|path| drop(body_of(&session, origin, path)));
        block_on(session.flush());
        let session = with_shelf(origin, &shelf);
        assert_eq!(body_of(&session, origin, "/a"), b"first");
        assert!(body_of(&session, origin, "/b") == vec![b'b'; 700_000]);
        assert_eq!(origin.requests().len(), 2);
        // What replaces it, and what is removed, is another or gone there, too.
        origin.enqueue("/a", cacheable("second"));
        let mut request = request(&origin.url("/a"), "GET", None);
        request.set_cache_policy(urlsession::CachePolicy::ReloadIgnoringLocalCacheData);
        load(&session, request.clone()).unwrap();
        block_on(session.flush());
        assert_eq!(shelf.all.lock().unwrap().len(), 2);
        assert_eq!(body_of(&with_shelf(origin, &shelf), origin, "/a"), b"second");
        session.configuration().url_cache.unwrap().remove_cached_response(&request);
        block_on(session.flush());
        assert_eq!(shelf.all.lock().unwrap().len(), 1);
        block_on(session.reset());
        assert!(shelf.all.lock().unwrap().is_empty());
    });
}

#[test]
fn vary_is_obeyed_over_an_applications_backend_which_cannot_read_what_it_varies_by() {
    on(Wire::H1, |origin| {
        let shelf = Shelf::default();
        let asking = |language: &str| {
            let mut request = request(&origin.url("/a"), "GET", None);
            request.set_value("Accept-Language", language).unwrap();
            request
        };
        for (language, body) in [("de", "Haus"), ("fr", "maison")] {
            origin.enqueue("/a", cacheable(body).header("Vary", "Accept-Language"));
            let session = with_shelf(origin, &shelf);
            load(&session, asking(language)).unwrap();
            block_on(session.flush());
        }
        let session = with_shelf(origin, &shelf);
        for (language, body) in [("de", "Haus"), ("fr", "maison")] {
            assert_eq!(text(&load(&session, asking(language)).unwrap().0), body);
        }
        assert_eq!(origin.requests().len(), 2);
        let all = shelf.all.lock().unwrap();
        assert!(all.len() == 2 && all[0].variant != all[1].variant);
    });
}

#[test]
fn what_a_cache_backend_gives_back_damaged_or_mixed_up_is_a_miss() {
    type Spoil = fn(&mut [KeptResponse]);
    let ways: [Spoil; 4] = [
        |all| all[0].body = b"other".as_slice().into(),
        |all| all[0].head[3] ^= 1,
        |all| all[0].variant.truncate(3),
        |all| {
            let head = all[1].head.clone();
            all[1].head = std::mem::replace(&mut all[0].head, head);
        },
    ];
    on(Wire::H1, |origin| {
        for spoil in ways {
            let shelf = Shelf::default();
            let session = with_shelf(origin, &shelf);
            origin.enqueue("/a", cacheable("first"));
            origin.enqueue("/b", cacheable("other"));
            ["/a", "/b"].iter().for_each(|path| drop(body_of(&session, origin, path)));
            block_on(session.flush());
            spoil(&mut shelf.all.lock().unwrap());
            origin.enqueue("/a", cacheable("anew"));
            assert_eq!(body_of(&with_shelf(origin, &shelf), origin, "/a"), b"anew");
        }
    });
}

#[test]
fn a_cache_backend_that_fails_or_panics_costs_persistence_and_no_load() {
    on(Wire::H1, |origin| {
        for fault in [Fault::Error, Fault::Panic] {
            let shelf = Shelf { fault, ..Shelf::default() };
            let session = with_shelf(origin, &shelf);
            origin.enqueue("/a", cacheable("first"));
            assert_eq!(body_of(&session, origin, "/a"), b"first");
            block_on(session.flush());
            let count = origin.requests().len();
            assert_eq!(body_of(&session, origin, "/a"), b"first");
            assert_eq!(origin.requests().len(), count, "it is in memory");
            assert_eq!(shelf.calls.load(Ordering::Relaxed), 1, "it is asked no more");
        }
    });
}

/// A backend that asks the storage it is the backend of.
#[derive(Clone, Default)]
struct Curious(Arc<OnceLock<HttpCookieStorage>>, Arc<Mutex<Vec<usize>>>);

impl Curious {
    fn ask(&self) {
        let storage = self.0.get().unwrap();
        let count = storage.cookies().len();
        block_on(storage.flush());
        self.1.lock().unwrap().push(count);
    }
}

impl HttpCookieBackend for Curious {
    fn load(&self) -> BackendResult<Vec<KeptCookie>> {
        self.ask();
        Ok(Vec::new())
    }

    fn update(&self, _: &KeptCookieChanges) -> BackendResult<()> {
        self.ask();
        Ok(())
    }
}

#[test]
fn a_backend_that_asks_its_own_storage_gets_what_is_in_memory() {
    on(Wire::H1, |origin| {
        let backend = Curious::default();
        let storage = HttpCookieStorage::with_backend(backend.clone());
        assert!(backend.0.set(storage.clone()).is_ok());
        let session = UrlSession::new(configuration(origin).http_cookie_storage(storage.clone()));
        origin.enqueue("/a", setting(&["a=1; Max-Age=60"]));
        load(&session, origin.url("/a")).unwrap();
        block_on(storage.flush());
        assert_eq!(*backend.1.lock().unwrap(), [0, 1]);
    });
}

#[test]
fn a_backend_of_cookies_is_told_of_those_that_have_become_too_old() {
    on(Wire::H1, |origin| {
        let profile = Profile::default();
        let (configuration, clock) = with_hand_clock(origin);
        let storage = HttpCookieStorage::with_backend(profile.clone());
        let session = UrlSession::new(configuration.http_cookie_storage(storage.clone()));
        origin.enqueue("/a", setting(&["a=1; Max-Age=60", "b=2; Max-Age=600"]));
        load(&session, origin.url("/a")).unwrap();
        block_on(storage.flush());
        assert_eq!(profile.cookies.lock().unwrap().len(), 2);
        clock.advance(std::time::Duration::from_secs(60));
        block_on(storage.flush());
        assert_eq!(profile.cookies.lock().unwrap().len(), 1);
        // Also of those that were too old when they were read.
        let storage = HttpCookieStorage::with_backend(profile.clone());
        let (mut configuration, clock) = with_hand_clock(origin);
        clock.advance(std::time::Duration::from_secs(2000));
        configuration.http_cookie_storage = Some(storage.clone());
        let _session = UrlSession::new(configuration);
        assert!(storage.cookies().is_empty());
        block_on(storage.flush());
        assert!(profile.cookies.lock().unwrap().is_empty());
    });
}

/// A backend that asks the cache it is the backend of.
#[derive(Clone, Default)]
struct CuriousShelf(Arc<OnceLock<UrlCache>>, Arc<AtomicUsize>);

impl CuriousShelf {
    fn ask(&self) -> BackendResult<()> {
        let cache = self.0.get().unwrap();
        let other = UrlRequest::new("http://two.example/".parse()?);
        self.1.fetch_add(usize::from(cache.cached_response(&other).is_none()), Ordering::Relaxed);
        cache.remove_cached_response(&other);
        Ok(())
    }
}

impl UrlCacheBackend for CuriousShelf {
    fn look_up(&self, key: &str) -> BackendResult<Vec<KeptResponse>> {
        if !key.contains("two.example") {
            self.ask()?;
        }
        Ok(Vec::new())
    }

    fn store(&self, _: &KeptResponse) -> BackendResult<()> {
        self.ask()
    }

    fn remove(&self, _: &str, _: &[u8]) -> BackendResult<()> {
        Ok(())
    }

    fn remove_since(&self, _: Option<SystemTime>) -> BackendResult<()> {
        Ok(())
    }
}

#[test]
fn a_backend_that_asks_its_own_cache_gets_what_is_in_memory() {
    on(Wire::H1, |origin| {
        let backend = CuriousShelf::default();
        let cache = UrlCache::with_backend(0, 1 << 20, backend.clone());
        assert!(backend.0.set(cache.clone()).is_ok());
        let session = UrlSession::new(configuration(origin).url_cache(cache.clone()));
        origin.enqueue("/a", Reply::new(200).header("Cache-Control", "max-age=60").body("x"));
        load(&session, origin.url("/a")).unwrap();
        block_on(session.flush());
        // Looked for, looked for again to be replaced, kept.
        assert_eq!(backend.1.load(Ordering::Relaxed), 3);
    });
}
