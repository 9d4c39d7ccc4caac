//! What a build has with each of its features, alone and all together, and what it does instead without them.

#![allow(clippy::disallowed_methods)] // a test may open files

use urlsession::cache::{CacheBypass, CacheLookup};
use urlsession::{CachePolicy, Configuration, UrlErrorCode, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

fn session(origin: &Origin, configure: impl FnOnce(&mut Configuration)) -> UrlSession {
    let mut configuration = Configuration::ephemeral();
    configuration.additional_trust_anchors = vec![origin.trust_anchor_der()];
    configure(&mut configuration);
    UrlSession::new(configuration)
}

fn get(session: &UrlSession, request: UrlRequest) -> String {
    let (data, _) = session.data(request).wait().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

fn request(url: String) -> UrlRequest {
    UrlRequest::new(url.parse().unwrap())
}

#[test]
fn pages_load_and_uploads_arrive_over_every_wire() {
    for wire in [Wire::H1, Wire::TlsH1, Wire::TlsH2] {
        let origin = Origin::start(wire);
        let session = session(&origin, |_| {});
        origin.enqueue("/page", Reply::new(200).body("a page"));
        assert_eq!(get(&session, request(origin.url("/page"))), "a page", "{wire:?}");
        origin.enqueue("/upload", Reply::new(200).body("thanks"));
        let upload = session.upload(UrlRequest::post(origin.url("/upload")).unwrap(), "a body");
        assert_eq!(upload.wait().unwrap().0, "thanks", "{wire:?}");
        let uploaded = origin.requests().pop().unwrap();
        assert_eq!((uploaded.method.as_str(), &uploaded.body[..]), ("POST", &b"a body"[..]), "{wire:?}");
    }
}

#[test]
fn the_codings_that_are_asked_for_are_those_that_are_built_in() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin, |_| {});
    origin.enqueue("/", Reply::new(200).body("x"));
    get(&session, request(origin.url("/")));
    let mut codings = vec!["gzip", "deflate"];
    codings.extend(cfg!(feature = "brotli").then_some("br"));
    codings.extend(cfg!(feature = "zstd").then_some("zstd"));
    assert_eq!(origin.requests()[0].header("accept-encoding"), Some(codings.join(", ").as_str()));
}

#[test]
fn a_session_without_a_cache_keeps_to_cache_policies() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin, |configuration| configuration.url_cache = None);
    let with = |policy| {
        let mut request = request(origin.url("/x"));
        request.set_cache_policy(policy);
        request
    };
    let error = session.data(with(CachePolicy::ReturnCacheDataDontLoad)).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotLoadFromNetwork);
    assert_eq!(origin.requests().len(), 0);
    for (policy, control, pragma) in [
        (CachePolicy::UseProtocolCachePolicy, None, None),
        (CachePolicy::ReturnCacheDataElseLoad, None, None),
        (CachePolicy::ReloadIgnoringLocalCacheData, None, None),
        (CachePolicy::ReloadIgnoringLocalAndRemoteCacheData, Some("no-cache"), Some("no-cache")),
        (CachePolicy::ReloadRevalidatingCacheData, Some("max-age=0"), None),
    ] {
        origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=60").body("x"));
        let future = session.data(with(policy));
        let task = future.task();
        future.wait().unwrap();
        let sent = origin.requests().pop().unwrap();
        assert_eq!((sent.header("cache-control"), sent.header("pragma")), (control, pragma), "{policy:?}");
        let cache = task.metrics().unwrap().transaction_metrics[0].cache_decision.unwrap();
        assert_eq!(cache.lookup, CacheLookup::NotAsked(CacheBypass::NoCache), "{policy:?}");
    }
}

#[test]
fn the_default_configuration_has_a_cache_if_one_is_built_in() {
    assert_eq!(Configuration::ephemeral().url_cache.is_some(), cfg!(feature = "cache"));
}

#[cfg(feature = "cache")]
#[test]
fn a_fresh_response_is_loaded_once() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin, |_| {});
    origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=60").body("x"));
    for _ in 0..2 {
        assert_eq!(get(&session, request(origin.url("/x"))), "x");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[cfg(all(feature = "cache", not(feature = "persistent-stores")))]
#[test]
fn a_cache_without_stores_on_disk_is_in_memory_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = urlsession::cache::UrlCache::new(1 << 20, 1 << 20, Some(folder.path().join("cache")));
    assert_eq!((cache.memory_capacity(), cache.disk_capacity()), (1 << 20, 0));
    let origin = Origin::start(Wire::H1);
    let session = session(&origin, |configuration| configuration.url_cache = Some(cache));
    origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=60").body("x"));
    for _ in 0..2 {
        assert_eq!(get(&session, request(origin.url("/x"))), "x");
    }
    urlsession::block_on(session.flush());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(feature = "persistent-stores")]
#[test]
fn a_store_with_a_file_is_found_again() {
    use urlsession::cookies::HttpCookieStorage;
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start(Wire::H1);
    let url = origin.url("/").parse().unwrap();
    {
        let storage = HttpCookieStorage::at(folder.path().join("cookies.db"));
        let session =
            session(&origin, |configuration| configuration.http_cookie_storage = Some(storage.clone()));
        origin.enqueue("/", Reply::new(200).header("Set-Cookie", "a=b; Max-Age=60"));
        get(&session, request(origin.url("/")));
        urlsession::block_on(storage.flush());
        session.finish_tasks_and_invalidate();
    }
    let values = HttpCookieStorage::at(folder.path().join("cookies.db")).cookies_for(&url);
    assert_eq!(values.iter().map(|cookie| cookie.value()).collect::<Vec<_>>(), ["b"]);
}

#[cfg(feature = "har")]
#[test]
fn what_a_task_did_is_told_in_har() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin, |_| {});
    origin.enqueue("/x", Reply::new(200).body("x"));
    let future = session.data(request(origin.url("/x")));
    let task = future.task();
    future.wait().unwrap();
    let log: urlsession::metrics::HarLog = task.metrics().unwrap().har_entries().into_iter().collect();
    assert!(log.to_string().contains("/x"), "{log}");
}
