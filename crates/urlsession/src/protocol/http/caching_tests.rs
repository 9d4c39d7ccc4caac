//! The caching layer over a scripted layer.

use std::future::poll_fn;

use super::super::test_support::{Reply, Script, run, run_request};
use super::*;
use crate::env::{RuntimeHandle, SystemClock};
use crate::error::UrlErrorCode;
use crate::load::detached::DetachedContext;
use crate::load::{Activity, NotStored, TransactionLog};
use crate::message::CachePolicy;

/// A layer with a cache of its own above a script.
fn layer(script: &Arc<Script>) -> Caching<Arc<Script>> {
    Caching::new(Arc::new(Configuration::ephemeral()), Arc::default(), script.clone())
}

fn script(replies: impl IntoIterator<Item = Reply>) -> Arc<Script> {
    Arc::new(Script::new(replies.into_iter().map(Ok::<_, UrlError>)))
}

fn reply(status: u16, fields: &[(&'static str, &'static str)], body: &'static [u8]) -> Reply {
    Reply { status, fields: fields.to_vec(), body }
}

/// Loads and reads to the end, as a task does.
fn get(layer: &Caching<Arc<Script>>, policy: CachePolicy) -> (u16, Vec<u8>, CacheDecision) {
    let mut request = UrlRequest::new("http://a/".parse().unwrap());
    request.set_cache_policy(policy);
    let (result, log) = run_request(layer, request);
    let Response { head, mut body } = result.unwrap();
    let mut data = Vec::new();
    crate::env::block_on(async {
        while let Some(chunk) = poll_fn(|cx| body.poll_chunk(cx)).await {
            data.extend_from_slice(&chunk.unwrap());
        }
    });
    (head.status_code().unwrap(), data, log.last().unwrap().cache.unwrap())
}

#[test]
fn a_hit_does_not_reach_the_room_below() {
    let script = script([reply(200, &[("cache-control", "max-age=60")], b"x")]);
    let layer = layer(&script);
    for is_hit in [false, true, true] {
        let (_, data, decision) = get(&layer, CachePolicy::UseProtocolCachePolicy);
        assert_eq!((&data[..], decision.is_hit()), (&b"x"[..], is_hit));
    }
    assert_eq!(script.seen().len(), 1);
}

#[test]
fn conditions_are_sent_once_and_what_is_confirmed_is_answered_with_its_own_status() {
    let head = [("etag", "\"1\""), ("last-modified", "yesterday"), ("cache-control", "max-age=0")];
    let script = script([reply(200, &head, b"x"), reply(304, &[], b""), reply(200, &head, b"y")]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    let (status, data, decision) = get(&layer, CachePolicy::UseProtocolCachePolicy);
    assert_eq!((status, &data[..]), (200, &b"x"[..]));
    assert_eq!(decision.lookup, CacheLookup::Revalidated(RevalidationReason::Stale));
    let sent = ["if-none-match: \"1\"", "if-modified-since: yesterday"];
    assert_eq!(*script.added.lock(), sent);
    let (_, data, _) = get(&layer, CachePolicy::ReloadIgnoringLocalCacheData);
    assert_eq!(&data[..], b"y");
    assert_eq!(script.added.lock().len(), 2, "a reload has no conditions");
}

#[test]
fn an_empty_etag_is_never_sent() {
    let head = [("etag", ""), ("last-modified", "yesterday"), ("cache-control", "max-age=0")];
    let script = script([reply(200, &head, b"x"), reply(304, &[], b"")]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    assert_eq!(*script.added.lock(), ["if-modified-since: yesterday"]);
}

#[test]
fn a_confirmation_of_another_is_followed_by_a_load_without_conditions() {
    let of = |tag, body| reply(200, &[("etag", tag), ("cache-control", "max-age=0")], body);
    let script = script([of("\"1\"", b"x"), reply(304, &[("etag", "W/\"2\"")], b""), of("\"2\"", b"y")]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    assert_eq!(get(&layer, CachePolicy::UseProtocolCachePolicy).1, b"y");
    assert_eq!(script.added.lock().len(), 1);
}

#[test]
fn what_is_not_cached_is_not_loaded_if_the_policy_forbids_it() {
    let script = script([]);
    let mut request = UrlRequest::new("http://a/".parse().unwrap());
    request.set_cache_policy(CachePolicy::ReturnCacheDataDontLoad);
    let error = run_request(&layer(&script), request.clone()).0.err().unwrap();
    assert_eq!((error.code(), error.phase()), (UrlErrorCode::CannotLoadFromNetwork, Phase::Policy));
    request.set_value("Range", "bytes=0-").unwrap();
    assert!(run_request(&layer(&script), request).0.is_err());
}

#[test]
fn a_change_that_fails_keeps_what_is_kept() {
    let kept = || reply(200, &[("cache-control", "max-age=60")], b"x");
    let script = script([kept(), 500.into(), 204.into(), kept()]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    assert!(run(&layer, "POST", "http://a/").0.is_ok());
    assert!(get(&layer, CachePolicy::UseProtocolCachePolicy).2.is_hit());
    assert!(run(&layer, "POST", "http://a/").0.is_ok());
    assert!(!get(&layer, CachePolicy::UseProtocolCachePolicy).2.is_hit());
}

#[test]
fn a_whole_answer_that_may_not_be_kept_makes_the_kept_one_void() {
    let script = script([
        reply(200, &[("cache-control", "max-age=60")], b"x"),
        reply(200, &[("cache-control", "no-store")], b"y"),
        reply(200, &[], b"z"),
    ]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    let (_, _, decision) = get(&layer, CachePolicy::ReloadIgnoringLocalCacheData);
    assert_eq!(decision.storage, CacheStorage::Refused(NotStored::NoStore));
    assert_eq!(get(&layer, CachePolicy::ReturnCacheDataElseLoad).1, b"z");
}

#[test]
fn what_came_in_the_place_of_a_stale_answer_is_not_asked_for_anew() {
    let stale = [("cache-control", "max-age=0, stale-while-revalidate=60")];
    let script = script([reply(200, &stale, b"old"), reply(200, &[("cache-control", "max-age=60")], b"new")]);
    let layer = layer(&script);
    get(&layer, CachePolicy::UseProtocolCachePolicy);
    let cache = layer.0.config.url_cache.clone().unwrap();
    let Found::Entry(old) = cache.find_in_memory("http://a/", |_| true) else { panic!("it was not kept") };
    // Between the look at the old one and the decision to ask for it anew.
    get(&layer, CachePolicy::ReloadIgnoringLocalCacheData);
    let (context, activity, mut log, runtime) = (
        DetachedContext::default(),
        Activity::default(),
        TransactionLog::new(),
        RuntimeHandle::own().unwrap(),
    );
    let request = Arc::new(UrlRequest::new("http://a/".parse().unwrap()));
    let attempt = Attempt::new(request, &context, &activity, &mut log, &runtime, &SystemClock);
    layer.refresh(&cache, &old, &attempt);
    if let Err(end) = layer.0.on_expired_url.enter(&old.key) {
        crate::env::block_on(end);
    }
    assert_eq!(script.seen().len(), 2);
}
