//! The cache through traffic: policies, freshness, validation, and what it leaves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use urlsession::cache::{
    CacheBypass, CacheDecision, CacheLookup, CacheStorage, NotStored, RevalidationReason, StaleUse, UrlCache,
};
use urlsession::metrics::ResourceFetchType;
use urlsession::{
    Bytes, CachePolicy, Configuration, Decision, IntoUrlRequest, UrlErrorCode, UrlRequest, UrlResponse,
    UrlSession,
};
use urlsession_proto::date;
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// A session with a cache of its own and a clock moved by hand.
struct CachingSession {
    session: UrlSession,
    cache: UrlCache,
    clock: HandClock,
}

impl CachingSession {
    fn new(origin: &Origin) -> Self {
        Self::with(origin, |_| {})
    }

    fn with(origin: &Origin, change: impl FnOnce(&mut Configuration)) -> Self {
        let (mut configuration, clock) = with_hand_clock(origin);
        change(&mut configuration);
        let cache = configuration.url_cache.clone().unwrap();
        Self { session: UrlSession::new(configuration), cache, clock }
    }

    /// Body and why it came from where it came.
    fn get(&self, request: impl IntoUrlRequest) -> (String, CacheDecision) {
        let (result, decision) = self.try_get(request);
        let (data, _) = result.unwrap();
        (text(&data).to_owned(), decision.unwrap())
    }

    #[allow(clippy::type_complexity)]
    fn try_get(
        &self,
        request: impl IntoUrlRequest,
    ) -> (Result<(Bytes, UrlResponse), urlsession::UrlError>, Option<CacheDecision>) {
        let load = self.session.data(request);
        let task = load.task();
        let result = load.wait();
        let metrics = task.metrics().unwrap();
        let last = metrics.transaction_metrics.last().unwrap();
        if let (Ok(_), Some(decision)) = (&result, last.cache_decision) {
            let from_cache = last.resource_fetch_type == ResourceFetchType::LocalCache;
            assert_eq!(from_cache, decision.is_hit());
        }
        (result, last.cache_decision)
    }

    /// Gets a body as `Reply::endless` gives it.
    fn get_length(&self, request: impl IntoUrlRequest, length: u64, is_hit: bool) {
        let (result, decision) = self.try_get(request);
        let (data, decision) = (result.unwrap().0, decision.unwrap());
        assert_eq!((data.len() as u64, decision.is_hit()), (length, is_hit), "{decision}");
        assert!(data.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    }

    /// Where it came from.
    fn lookup(&self, request: impl IntoUrlRequest) -> CacheLookup {
        self.get(request).1.lookup
    }
}

fn with_policy(url: &str, policy: CachePolicy) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_cache_policy(policy);
    request
}

fn with_field(url: &str, name: &'static str, value: &str) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_value(name, value).unwrap();
    request
}

/// A reply with these fields.
fn reply(body: &str, fields: &[(&str, &str)]) -> Reply {
    fields.iter().fold(Reply::new(200).body(body), |reply, (name, value)| reply.header(*name, *value))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_hit(lookup: CacheLookup) -> bool {
    matches!(lookup, CacheLookup::Fresh { .. } | CacheLookup::Stale { .. })
}

#[test]
fn every_policy_serves_what_darwin_serves() {
    use CachePolicy::*;
    let matrix = [
        ("max-age=3600", [Some(true), Some(false), Some(true), Some(true)]),
        ("public", [Some(false), Some(false), Some(true), Some(true)]),
        ("private", [Some(false), Some(false), Some(true), Some(true)]),
        ("max-age=0", [Some(false), Some(false), Some(true), Some(true)]),
        ("no-cache", [Some(false), Some(false), Some(true), Some(true)]),
        // The last fails.
        ("no-store", [Some(false), Some(false), Some(false), None]),
    ];
    let policies = [
        UseProtocolCachePolicy,
        ReloadIgnoringLocalCacheData,
        ReturnCacheDataElseLoad,
        ReturnCacheDataDontLoad,
    ];
    on_every_wire(|origin| {
        for (control, served) in matrix {
            for (policy, served) in policies.into_iter().zip(served) {
                let caching = CachingSession::new(origin);
                let path = format!("/{control}/{policy:?}");
                origin.enqueue(&path, reply("first", &[("Cache-Control", control)]));
                origin.enqueue(&path, reply("second", &[("Cache-Control", control)]));
                assert_eq!(caching.get(origin.url(&path)).0, "first");
                let (result, _) = caching.try_get(with_policy(&origin.url(&path), policy));
                let got = match &result {
                    Ok((data, _)) => Some(text(data) == "first"),
                    Err(error) => {
                        assert_eq!(error.code(), UrlErrorCode::CannotLoadFromNetwork);
                        None
                    }
                };
                assert_eq!(got, served, "{control}, {policy:?}");
            }
        }
    });
}

#[test]
fn the_session_s_policy_is_that_of_requests_without_one() {
    on(Wire::H1, |origin| {
        let policy = CachePolicy::ReturnCacheDataDontLoad;
        let caching =
            CachingSession::with(origin, |configuration| configuration.request_cache_policy = policy);
        let error = caching.try_get(origin.url("/x")).0.unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotLoadFromNetwork);
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=0")]));
        caching.get(with_policy(&origin.url("/x"), CachePolicy::ReturnCacheDataElseLoad));
        assert_eq!(caching.get(origin.url("/x")).0, "x");
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn the_policies_that_reload_tell_the_caches_on_the_way() {
    use CachePolicy::*;
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        for (policy, control, pragma) in [
            (UseProtocolCachePolicy, None, None),
            (ReloadIgnoringLocalCacheData, None, None),
            (ReloadIgnoringLocalAndRemoteCacheData, Some("no-cache"), Some("no-cache")),
            (ReloadRevalidatingCacheData, Some("max-age=0"), None),
        ] {
            origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")]));
            caching.session.data(with_policy(&origin.url("/x"), policy)).wait().unwrap();
            let sent = origin.requests().pop().unwrap();
            assert_eq!(
                (sent.header("cache-control"), sent.header("pragma")),
                (control, pragma),
                "{policy:?}"
            );
            let is_conditional = sent.header("if-none-match").is_some();
            assert_eq!(is_conditional, policy == ReloadRevalidatingCacheData, "{policy:?}");
        }
    });
}

#[test]
fn a_fresh_answer_is_served_until_it_is_stale_and_says_its_age() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        for body in ["one", "two"] {
            origin.enqueue("/x", reply(body, &[("Cache-Control", "max-age=60"), ("Age", "10")]));
        }
        let (body, decision) = caching.get(origin.url("/x"));
        assert_eq!(
            (&*body, decision.lookup, decision.storage),
            ("one", CacheLookup::Miss, CacheStorage::Kept)
        );
        caching.clock.advance(seconds(49));
        let (body, decision) = caching.get(origin.url("/x#fragment"));
        let fresh = CacheLookup::Fresh { age: seconds(59), lifetime: seconds(60), is_heuristic: false };
        assert_eq!((&*body, decision.lookup), ("one", fresh));
        caching.clock.advance(seconds(1));
        let (body, decision) = caching.get(origin.url("/x"));
        assert_eq!((&*body, decision.lookup), ("two", CacheLookup::Replaced(RevalidationReason::Stale)));
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn the_response_of_a_hit_is_that_of_its_request() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let fields = [("Cache-Control", "max-age=60"), ("x-oDD", "kept"), ("Content-Type", "text/plain")];
        origin.enqueue("/x", reply("x", &fields));
        let first = caching.session.data(origin.url("/x")).wait().unwrap().1;
        let second = caching.session.data(origin.url("/x#there")).wait().unwrap().1;
        assert_eq!(second.url().fragment(), Some("there"));
        let (first, second) = (first.http().unwrap(), second.http().unwrap());
        let mut headers = second.headers().clone();
        assert_eq!(headers.remove("age").unwrap(), "0");
        assert_eq!(*first.headers(), headers);
        let mut fields = second.all_header_fields();
        assert_eq!(fields.pop(), Some(("Age".to_owned(), "0".to_owned())));
        assert_eq!(first.all_header_fields(), fields);
        assert_eq!(first.version(), second.version());
        assert_eq!(first.reason_phrase(), second.reason_phrase());
    });
}

#[test]
fn a_lifetime_is_guessed_only_from_a_date_of_change() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let changed = date::format(now - 1000);
        origin.enqueue("/changed", reply("x", &[("Last-Modified", &changed)]));
        origin.enqueue("/tagged", reply("x", &[("ETag", "\"a\"")]));
        for path in ["/changed", "/tagged"] {
            caching.get(origin.url(path));
        }
        caching.clock.advance(seconds(90));
        let CacheLookup::Fresh { is_heuristic: true, lifetime, .. } = caching.lookup(origin.url("/changed"))
        else {
            panic!("not guessed")
        };
        assert!((99..=101).contains(&lifetime.as_secs()), "{lifetime:?}");
        origin.enqueue("/tagged", reply("y", &[]));
        assert_eq!(caching.lookup(origin.url("/tagged")), CacheLookup::Replaced(RevalidationReason::Stale));
        origin.enqueue("/changed", Reply::new(304));
        caching.clock.advance(seconds(20));
        assert_eq!(
            caching.lookup(origin.url("/changed")),
            CacheLookup::Revalidated(RevalidationReason::Stale)
        );
        assert_eq!(origin.requests().last().unwrap().header("if-modified-since"), Some(&*changed));
    });
}

#[test]
fn what_the_server_confirms_is_served_with_its_new_head_and_is_fresh_again() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let head = [("Cache-Control", "max-age=10"), ("ETag", "\"a\""), ("X-Old", "1"), ("X-Both", "old")];
        origin.enqueue("/x", reply("body", &head));
        let confirmed = Reply::new(304)
            .header("ETag", "\"a\"")
            .header("Cache-Control", "max-age=100")
            .header("X-Both", "new");
        origin.enqueue("/x", confirmed);
        caching.get(origin.url("/x"));
        caching.clock.advance(seconds(50));
        let (data, response) = caching.session.data(origin.url("/x")).wait().unwrap();
        assert_eq!((text(&data), response.status_code()), ("body", Some(200)));
        let response = response.http().unwrap();
        assert_eq!((response.value("x-old"), response.value("x-both")), (Some("1"), Some("new")));
        let all = response.all_header_fields();
        assert_eq!(all.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-both")).count(), 1, "{all:?}");
        let sent = origin.requests().pop().unwrap();
        assert_eq!(sent.header("if-none-match"), Some("\"a\""));
        caching.clock.advance(seconds(99));
        let (body, decision) = caching.get(origin.url("/x"));
        assert!(body == "body" && decision.is_hit(), "{decision}");
    });
}

#[test]
fn a_confirmation_of_another_response_is_not_believed() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/x", reply("old", &[("Cache-Control", "max-age=0"), ("ETag", "\"a\"")]));
        origin.enqueue("/x", Reply::new(304).header("ETag", "\"b\""));
        origin.enqueue("/x", reply("new", &[("ETag", "\"b\"")]));
        caching.get(origin.url("/x"));
        assert_eq!(caching.get(origin.url("/x")).0, "new");
        assert_eq!(origin.requests().last().unwrap().header("if-none-match"), None);
    });
}

#[test]
fn requests_with_conditions_or_ranges_of_their_own_pass_untouched() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/x", reply("whole", &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")]));
        caching.get(origin.url("/x"));
        origin.enqueue("/x", Reply::new(304).header("ETag", "\"a\""));
        let own = with_field(&origin.url("/x"), "If-None-Match", "\"a\"");
        let (result, decision) = caching.try_get(own);
        assert_eq!(result.unwrap().1.status_code(), Some(304));
        assert_eq!(decision.unwrap().lookup, CacheLookup::NotAsked(CacheBypass::Conditional));
        let part = Reply::new(206)
            .header("Content-Range", "bytes 0-1/5")
            .header("Cache-Control", "max-age=60")
            .body("wh");
        origin.enqueue("/x", part.clone());
        let ranged = || with_field(&origin.url("/x"), "Range", "bytes=0-1");
        assert_eq!(caching.get(ranged()).0, "wh");
        let (body, decision) = caching.get(origin.url("/x"));
        assert!(body == "whole" && decision.is_hit());
        // Nor is a part kept that nobody asked for, which fails its load.
        origin.enqueue("/y", part);
        let (result, decision) = caching.try_get(origin.url("/y"));
        assert_eq!(result.unwrap_err().code(), UrlErrorCode::BadServerResponse);
        assert_eq!(decision.unwrap().storage, CacheStorage::Refused(NotStored::Partial));
    });
}

#[test]
fn an_answer_is_for_requests_that_say_the_same() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let get = |language: &str| caching.get(with_field(&origin.url("/x"), "Accept-Language", language));
        let fields = [("Cache-Control", "max-age=60"), ("Vary", "accept-language")];
        origin.enqueue("/x", reply("de", &fields));
        origin.enqueue("/x", reply("en", &fields));
        assert_eq!(get("de").0, "de");
        assert_eq!(get("en").1.lookup, CacheLookup::OtherVariant);
        for language in ["de", "en", " de "] {
            let (body, decision) = get(language);
            assert!(body == language.trim() && decision.is_hit(), "{language}: {decision}");
        }
        origin.enqueue("/any", reply("x", &[("Cache-Control", "max-age=60"), ("Vary", "*")]));
        let any = caching.get(origin.url("/any")).1;
        assert_eq!(any.storage, CacheStorage::Refused(NotStored::VariesByEverything));
    });
}

#[test]
fn one_user_s_answer_is_not_another_s() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        for body in ["of a", "of b", "of nobody"] {
            origin.enqueue("/x", reply(body, &[("Cache-Control", "private, max-age=60")]));
        }
        let of = |user| caching.get(with_field(&origin.url("/x"), "Authorization", user)).0;
        assert_eq!((&*of("Bearer a"), &*of("Bearer b")), ("of a", "of b"));
        assert_eq!(caching.get(origin.url("/x")).0, "of nobody");
        assert_eq!((&*of("Bearer a"), &*of("Bearer b")), ("of a", "of b"));
        assert_eq!(origin.requests().len(), 3);
    });
}

#[test]
fn a_stale_answer_is_served_while_it_is_asked_for_anew() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let fields = [("Cache-Control", "max-age=10, stale-while-revalidate=30"), ("ETag", "\"a\"")];
        origin.enqueue("/x", reply("old", &fields));
        caching.get(origin.url("/x"));
        caching.clock.advance(seconds(20));
        let gate = origin.hold();
        origin.enqueue("/x", reply("new", &fields).after(gate.clone()));
        for _ in 0..2 {
            let (body, decision) = caching.get(origin.url("/x"));
            let CacheLookup::Stale { by: StaleUse::WhileRevalidate, age, lifetime } = decision.lookup else {
                panic!("{decision}")
            };
            assert_eq!((&*body, age, lifetime), ("old", Some(seconds(20)), Some(seconds(10))));
        }
        gate.release();
        // One request, however many were served.
        assert!(origin.wait_for(|journal| journal.requests.len() == 2, PATIENCE));
        let start = std::time::Instant::now();
        while caching.get(origin.url("/x")).0 != "new" {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        assert_eq!(origin.requests().len(), 2);
        assert_eq!(origin.requests()[1].header("if-none-match"), Some("\"a\""));
    });
}

#[test]
fn a_stale_answer_is_asked_for_anew_also_where_no_request_ever_times_out() {
    on_every_wire(|origin| {
        let (mut configuration, clock) = with_hand_clock(origin);
        configuration.timeout_interval_for_request = Duration::MAX;
        let session = UrlSession::new(configuration);
        let fields = [("Cache-Control", "max-age=10, stale-while-revalidate=30")];
        ["old", "new"].iter().for_each(|body| origin.enqueue("/x", reply(body, &fields)));
        load(&session, origin.url("/x")).unwrap();
        clock.advance(seconds(20));
        assert_eq!(text(&load(&session, origin.url("/x")).unwrap().0), "old");
        assert!(origin.wait_for(|journal| journal.requests.len() == 2, PATIENCE));
    });
}

#[test]
fn a_stale_answer_stands_in_for_a_server_that_fails_for_as_long_as_it_says() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/x", reply("old", &[("Cache-Control", "max-age=10, stale-if-error=60")]));
        caching.get(origin.url("/x"));
        caching.clock.advance(seconds(70));
        origin.enqueue("/x", Reply::new(503));
        let (body, decision) = caching.get(origin.url("/x"));
        assert!(matches!(decision.lookup, CacheLookup::Stale { by: StaleUse::IfError, .. }), "{decision}");
        assert_eq!(body, "old");
        for _ in 0..4 {
            origin.enqueue("/x", Reply::drop_connection());
        }
        assert_eq!(caching.get(origin.url("/x")).0, "old");
        caching.clock.advance(seconds(1));
        // What is left of the script fails too, one way or the other.
        (0..4).for_each(|_| origin.enqueue("/x", Reply::new(503)));
        let (result, _) = caching.try_get(origin.url("/x"));
        assert!(!matches!(result, Ok((data, _)) if text(&data) == "old"));
    });
}

#[test]
fn what_is_immutable_is_not_asked_for_by_a_reload() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60, immutable"), ("ETag", "\"a\"")]));
        caching.get(origin.url("/x"));
        let reload = || with_policy(&origin.url("/x"), CachePolicy::ReloadRevalidatingCacheData);
        assert!(caching.get(reload()).1.is_hit());
        caching.clock.advance(seconds(60));
        origin.enqueue("/x", Reply::new(304));
        assert_eq!(caching.lookup(reload()), CacheLookup::Revalidated(RevalidationReason::Requested));
    });
}

#[test]
fn a_request_s_own_cache_control_is_obeyed() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let get = |value| caching.try_get(with_field(&origin.url("/x"), "Cache-Control", value));
        let error = get("only-if-cached").0.unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotLoadFromNetwork);
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")]));
        assert_eq!(get("no-store").1.unwrap().lookup, CacheLookup::NotAsked(CacheBypass::NoStore));
        assert!(get("only-if-cached").0.is_err(), "no-store keeps nothing");
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60"), ("ETag", "\"a\"")]));
        caching.get(origin.url("/x"));
        assert!(is_hit(get("only-if-cached").1.unwrap().lookup));
        caching.clock.advance(seconds(30));
        origin.enqueue("/x", Reply::new(304));
        assert_eq!(get("max-age=20").1.unwrap().lookup, CacheLookup::Revalidated(RevalidationReason::TooOld));
        caching.clock.advance(seconds(65));
        let stale = get("max-stale=10").1.unwrap().lookup;
        assert!(matches!(stale, CacheLookup::Stale { by: StaleUse::MaxStale, .. }), "{stale:?}");
        origin.enqueue("/x", Reply::new(304));
        assert_eq!(
            get("no-cache").1.unwrap().lookup,
            CacheLookup::Revalidated(RevalidationReason::Requested)
        );
    });
}

#[test]
fn a_change_makes_void_what_was_kept_of_its_target_and_of_what_it_names() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let paths = ["/a", "/b", "/c", "/d"];
        let fill = || {
            for path in paths {
                origin.enqueue(path, reply(path, &[("Cache-Control", "max-age=60")]));
                caching.get(with_policy(&origin.url(path), CachePolicy::ReloadIgnoringLocalCacheData));
            }
        };
        let kept = || {
            paths.map(|path| {
                caching.cache.cached_response(&UrlRequest::new(origin.url(path).parse().unwrap())).is_some()
            })
        };
        for method in ["POST", "PUT", "DELETE", "PATCH", "PURGE"] {
            fill();
            assert_eq!(kept(), [true; 4]);
            let changed = Reply::new(201)
                .header("Location", "/b")
                .header("Content-Location", origin.url("/c"))
                .header("Link", "</d>");
            origin.enqueue("/a", changed);
            load(&caching.session, request(&origin.url("/a"), method, None)).unwrap();
            assert_eq!(kept(), [false, false, false, true], "{method}");
        }
        fill();
        origin.enqueue("/a", Reply::new(500));
        load(&caching.session, request(&origin.url("/a"), "POST", None)).unwrap();
        origin.enqueue("/a", Reply::new(201).header("Location", "http://elsewhere.example/b"));
        load(&caching.session, request(&origin.url("/c"), "HEAD", None)).unwrap();
        assert_eq!(kept(), [true; 4]);
    });
}

#[test]
fn a_coded_body_is_kept_coded_and_decoded_at_every_use() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let coded = Reply::new(200)
            .header("Content-Encoding", "gzip")
            .header("Cache-Control", "max-age=60")
            .header("Vary", "Accept-Encoding")
            .body(gzip(b"hello"));
        origin.enqueue("/x", coded);
        for _ in 0..3 {
            assert_eq!(caching.get(origin.url("/x")).0, "hello");
        }
        assert_eq!(origin.requests().len(), 1);
        let request = UrlRequest::new(origin.url("/x").parse().unwrap());
        let kept = caching.cache.cached_response(&request).unwrap();
        assert_eq!(&kept.data()[..], gzip(b"hello"));
        // What an application keeps is content, whatever the head says.
        caching.cache.store_cached_response(
            &urlsession::cache::CachedUrlResponse::new(kept.response().clone(), "plain"),
            &request,
        );
        caching.cache.remove_cached_response(&UrlRequest::new(origin.url("/other").parse().unwrap()));
        let only = with_policy(&origin.url("/x"), CachePolicy::ReturnCacheDataDontLoad);
        assert!(["plain", "hello"].contains(&&*caching.get(only).0));
    });
}

#[test]
fn a_body_that_is_not_read_to_its_end_is_not_kept() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let path = |name: &str| origin.url(name);
        origin.enqueue(
            "/cut",
            Reply::new(200).header("Cache-Control", "max-age=60").endless(50_000).truncate_at(10_000),
        );
        assert!(caching.session.data(path("/cut")).wait().is_err());
        let (body, _) = caching.session.bytes(path("/left")).wait().map_err(|_| ()).unwrap_or_else(|()| {
            origin.enqueue("/left", Reply::new(200).header("Cache-Control", "max-age=60").endless(5_000_000));
            caching.session.bytes(path("/left")).wait().unwrap()
        });
        drop(body);
        for name in ["/cut", "/left"] {
            let kept = caching.cache.cached_response(&UrlRequest::new(path(name).parse().unwrap()));
            assert!(kept.is_none(), "{name}");
        }
    });
}

#[test]
fn what_says_nothing_of_caching_is_not_kept() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/silent", reply("x", &[]));
        assert_eq!(
            caching.get(origin.url("/silent")).1.storage,
            CacheStorage::Refused(NotStored::SaysNothing)
        );
        origin.enqueue("/error", reply("x", &[("ETag", "\"a\"")]).status(500));
        assert_eq!(caching.get(origin.url("/error")).1.storage, CacheStorage::Refused(NotStored::Status));
        let (_, decision) = caching.try_get(request(&origin.url("/post"), "POST", None));
        assert_eq!(decision.unwrap().lookup, CacheLookup::NotAsked(CacheBypass::Uncacheable));
        let without = CachingSession::with(origin, |_| {});
        let mut configuration = without.session.configuration();
        configuration.url_cache = None;
        let none = CachingSession { session: UrlSession::new(configuration), ..without };
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60")]));
        assert_eq!(none.lookup(origin.url("/x")), CacheLookup::NotAsked(CacheBypass::NoCache));
        assert_eq!(none.cache.current_memory_usage(), 0);
    });
}

#[test]
fn hostile_cache_control_costs_a_miss_at_most() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let long = "max-age=".to_owned() + &"9".repeat(4000);
        let many = "x,".repeat(2000);
        for (at, control) in [
            "max-age=-1",
            "max-age=1e9",
            "max-age=\"",
            "=,;\"\\",
            "max-age=60, max-age=0",
            "private=\"no-store",
            &long,
            &many,
        ]
        .into_iter()
        .enumerate()
        {
            let path = format!("/{at}");
            for body in ["one", "two"] {
                let dates = [("Expires", "Never"), ("Date", "x"), ("Age", "-5"), ("Vary", ",,")];
                origin.enqueue(&path, reply(body, &dates).header("Cache-Control", control));
            }
            assert_eq!(caching.get(origin.url(&path)).0, "one");
            let (body, _) = caching.get(origin.url(&path));
            assert_eq!(body == "one", control == long, "{control:.40}");
        }
    });
}

#[test]
fn a_redirect_is_followed_from_the_cache() {
    on_every_wire(|origin| {
        let caching = CachingSession::new(origin);
        let moved = Reply::new(301).header("Location", "/there").header("Cache-Control", "max-age=60");
        origin.enqueue("/here", moved);
        origin.enqueue("/there", reply("there", &[("Cache-Control", "max-age=60")]));
        for _ in 0..2 {
            assert_eq!(caching.get(origin.url("/here")).0, "there");
        }
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn one_load_serves_those_that_ask_for_the_same_meanwhile() {
    on_every_wire(|origin| {
        for shares in [true, false] {
            let caching =
                CachingSession::with(origin, |configuration| configuration.shares_cacheable_loads = shares);
            let gate = origin.hold();
            let path = format!("/{shares}");
            for _ in 0..5 {
                let answer = reply("shared", &[("Cache-Control", "max-age=60")]).after(gate.clone());
                origin.enqueue(&path, answer);
            }
            let before = origin.requests().len();
            let done = Arc::new(AtomicUsize::new(0));
            let tasks = (0..5).map(|_| {
                let done = done.clone();
                let task = caching.session.data_task_with_handler(origin.url(&path), move |result| {
                    assert_eq!(text(&result.unwrap().0), "shared");
                    done.fetch_add(1, SeqCst);
                });
                task.resume();
                task
            });
            let _tasks = tasks.collect::<Vec<_>>();
            let expected = if shares { 1 } else { 5 };
            assert!(origin.wait_for(|journal| journal.requests.len() == before + expected, PATIENCE));
            gate.release();
            let start = std::time::Instant::now();
            while done.load(SeqCst) < 5 {
                assert!(start.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
            assert_eq!(origin.requests().len(), before + expected);
        }
    });
}

/// How long a load waits for the answer to another.
const LONGEST_WAIT_FOR_ANOTHER: Duration = Duration::from_secs(10);

#[test]
fn answers_that_are_not_kept_are_not_waited_for_one_by_one() {
    on(Wire::H1, |origin| {
        let caching =
            CachingSession::with(origin, |configuration| configuration.shares_cacheable_loads = true);
        let first = origin.hold();
        let others = origin.hold();
        origin.enqueue("/x", reply("x", &[]).after(first.clone()));
        for _ in 0..3 {
            origin.enqueue("/x", reply("x", &[]).after(others.clone()));
        }
        let tasks = (0..4).map(|_| caching.session.data_task(origin.url("/x"))).collect::<Vec<_>>();
        tasks.iter().for_each(|task| task.resume());
        assert!(first.wait_reached(PATIENCE));
        // One that came later would be waited for as the first was.
        caching.clock.wait_for_sleepers(3, LONGEST_WAIT_FOR_ANOTHER);
        first.release();
        // All three are with the server at the same time.
        assert!(origin.wait_for(|journal| journal.requests.len() == 4, PATIENCE));
        others.release();
    });
}

#[test]
fn a_reset_empties_the_cache() {
    on(Wire::H1, |origin| {
        let caching = CachingSession::new(origin);
        origin.enqueue("/x", reply("x", &[("Cache-Control", "max-age=60")]));
        caching.get(origin.url("/x"));
        assert!(caching.cache.current_memory_usage() > 0);
        in_tokio(caching.session.reset());
        assert_eq!(caching.cache.current_memory_usage(), 0);
    });
}

/// A session with a cache on disk and a recording delegate.
fn asking(
    origin: &Origin,
    recorder: Recorder,
    disk: u64,
) -> (UrlSession, Recorder, UrlCache, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let cache = UrlCache::new(4 << 20, disk, Some(folder.path().to_owned()));
    let mut configuration = configuration(origin);
    configuration.url_cache = Some(cache.clone());
    let (session, recorder) = with_recorder(configuration, recorder);
    (session, recorder, cache, folder)
}

#[test]
fn a_delegate_is_asked_after_the_data_and_what_it_keeps_is_kept() {
    on_every_wire(|origin| {
        let (session, recorder, cache, _folder) = asking(origin, Recorder::new(), 20 << 20);
        origin.enqueue("/x", reply("body", &[("Cache-Control", "max-age=60")]));
        for round in 1..=2 {
            session.data_task(origin.url("/x")).resume();
            let log = recorder.completed(round);
            assert_eq!(log.data, b"body".repeat(round));
        }
        let log = recorder.log();
        let first = ["didReceiveResponse", "didReceiveData", "willCacheResponse", "didComplete"];
        // From the cache it is not asked again.
        assert_eq!(
            log.calls,
            [&first[..], &["didReceiveResponse", "didReceiveData", "didComplete"]].concat()
        );
        assert_eq!(&log.proposed[0].data()[..], b"body");
        assert_eq!(log.proposed[0].response().status_code(), Some(200));
        let kept = cache.cached_response(&UrlRequest::new(origin.url("/x").parse().unwrap())).unwrap();
        assert_eq!(kept, log.proposed[0]);
    });
}

#[test]
fn a_delegate_may_change_what_is_kept_or_keep_nothing() {
    use urlsession::Decision;
    use urlsession::cache::{CachedUrlResponse, StoragePolicy};
    on_every_wire(|origin| {
        let recorder = Recorder::new().caching(|proposed| {
            let path = proposed.response().url().path().to_owned();
            let notes = std::collections::BTreeMap::from([("seen".to_owned(), "yes".to_owned())]);
            match &*path {
                "/drop" => Decision::now(None),
                "/change" => Decision::later(async move {
                    Some(CachedUrlResponse::new(proposed.response().clone(), "changed").with_user_info(notes))
                }),
                "/note" => {
                    let same = CachedUrlResponse::new(proposed.response().clone(), proposed.data().clone());
                    Decision::now(Some(same.with_user_info(notes)))
                }
                "/memory" => {
                    Decision::now(Some(proposed.with_storage_policy(StoragePolicy::AllowedInMemoryOnly)))
                }
                _ => Decision::default_handling(),
            }
        });
        let (session, recorder, cache, _folder) = asking(origin, recorder, 20 << 20);
        let paths = ["/drop", "/change", "/note", "/memory"];
        for (round, path) in paths.into_iter().enumerate() {
            origin.enqueue(path, reply("body", &[("Cache-Control", "max-age=60")]));
            session.data_task(origin.url(path)).resume();
            recorder.completed(round + 1);
        }
        let request = |path: &str| UrlRequest::new(origin.url(path).parse().unwrap());
        let kept = paths.map(|path| cache.cached_response(&request(path)));
        assert!(kept[0].is_none());
        let changed = kept[1].as_ref().unwrap();
        assert_eq!(
            (&changed.data()[..], changed.user_info().unwrap()["seen"].as_str()),
            (&b"changed"[..], "yes")
        );
        assert_eq!(&kept[2].as_ref().unwrap().data()[..], b"body");
        cache.set_memory_capacity(0);
        let on_disk = paths.map(|path| cache.cached_response(&request(path)).is_some());
        assert_eq!(on_disk, [false, true, true, false]);
        assert_eq!(text(&session.data(origin.url("/change")).wait().unwrap().0), "changed");
    });
}

#[test]
fn a_coded_answer_that_only_gets_a_note_stays_coded() {
    use urlsession::Decision;
    use urlsession::cache::CachedUrlResponse;
    on_every_wire(|origin| {
        let recorder = Recorder::new().caching(|proposed| {
            let (response, data) = (proposed.response().clone(), proposed.data().clone());
            Decision::now(Some(CachedUrlResponse::new(response, data)))
        });
        let (session, recorder, _cache, _folder) = asking(origin, recorder, 20 << 20);
        let fields = [("Cache-Control", "max-age=60"), ("Content-Encoding", "gzip")];
        origin.enqueue("/x", reply("", &fields).body(gzip(b"hello")));
        session.data_task(origin.url("/x")).resume();
        recorder.completed(1);
        assert_eq!(text(&session.data(origin.url("/x")).wait().unwrap().0), "hello");
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn a_delegate_is_asked_only_as_documented() {
    on(Wire::H1, |origin| {
        let (session, recorder, cache, _folder) = asking(origin, Recorder::new(), 1 << 20);
        let mut ended = 0;
        let mut run = |path: &str, answer: Reply| {
            origin.enqueue(path, answer);
            session.data_task(origin.url(path)).resume();
            ended += 1;
            recorder.completed(ended).proposed.len()
        };
        let kept = |reply: Reply| reply.header("Cache-Control", "max-age=60");
        assert_eq!(run("/silent", Reply::new(200).body("x")), 0);
        assert_eq!(run("/no-store", Reply::new(200).header("Cache-Control", "no-store").body("x")), 0);
        assert_eq!(run("/missing", kept(Reply::new(404).body("x"))), 0);
        // A twentieth of the larger capacity, memory's.
        let limit = (4u64 << 20) / 20;
        assert_eq!(run("/large", kept(Reply::new(200).endless(limit + 1))), 0);
        assert_eq!(
            run("/large-chunked", kept(Reply::new(200).chunked([vec![b'x'; 200_000], vec![b'x'; 200_000]]))),
            0
        );
        assert_eq!(run("/fits", kept(Reply::new(200).endless(limit))), 1);
        // Handlers and async calls are not asked, and are cached.
        origin.enqueue("/handler", kept(Reply::new(200).body("x")));
        load(&session, origin.url("/handler")).unwrap();
        origin.enqueue("/async", kept(Reply::new(200).body("x")));
        session.data(origin.url("/async")).wait().unwrap();
        assert_eq!(recorder.log().proposed.len(), 1);
        for path in ["/handler", "/async", "/fits", "/missing"] {
            assert!(
                cache.cached_response(&UrlRequest::new(origin.url(path).parse().unwrap())).is_some(),
                "{path}"
            );
        }
        for path in ["/large", "/large-chunked", "/silent", "/no-store"] {
            assert!(
                cache.cached_response(&UrlRequest::new(origin.url(path).parse().unwrap())).is_none(),
                "{path}"
            );
        }
    });
}

#[test]
fn the_delegate_of_an_ephemeral_session_decides_what_its_cache_keeps_if_it_has_one() {
    on_every_wire(|origin| {
        let asked = |cache: Option<UrlCache>, keeps: bool| {
            let recorder = Recorder::new().caching(move |proposed| Decision::now(keeps.then_some(proposed)));
            let configuration = configuration(origin).url_cache(cache);
            let (session, recorder) = with_recorder(configuration, recorder);
            origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=60").body("x"));
            session.data_task(origin.url("/x")).resume();
            let asked = recorder.completed(1).proposed.len();
            let cache = session.configuration().url_cache;
            let request = UrlRequest::new(origin.url("/x").parse().unwrap());
            (asked, cache.is_some_and(|cache| cache.cached_response(&request).is_some()))
        };
        let own = || configuration(origin).url_cache;
        assert!(own().is_some());
        assert_eq!(asked(own(), true), (1, true));
        assert_eq!(asked(own(), false), (1, false));
        assert_eq!(asked(Some(UrlCache::new(1 << 20, 0, None)), false), (1, false));
        assert_eq!(asked(None, true), (0, false));
    });
}

#[test]
fn a_large_body_goes_to_disk_as_it_comes_and_is_read_from_there_in_pieces() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let cache = UrlCache::new(1 << 20, 1 << 30, Some(folder.path().to_owned()));
        let caching = CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache));
        // As much may wait for a disk that is slower than the network: it is kept, however slow that is.
        const LENGTH: usize = 16 << 20;
        origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=60").endless(LENGTH as u64));
        for from_disk in [false, true, true] {
            let (mut bytes, _) = caching.session.bytes(origin.url("/x")).wait().unwrap();
            let (mut read, mut largest) = (0, 0);
            while let Some(chunk) = bytes.wait_chunk() {
                let chunk = chunk.unwrap();
                assert!(chunk.iter().enumerate().all(|(at, byte)| usize::from(*byte) == (read + at) % 251));
                read += chunk.len();
                largest = largest.max(chunk.len());
            }
            assert_eq!(read, LENGTH);
            let metrics = bytes.task().metrics().unwrap();
            let decision = metrics.transaction_metrics[0].cache_decision.unwrap();
            assert_eq!(decision.is_hit(), from_disk, "{decision}");
            assert!(!from_disk || largest <= 256 * 1024, "{largest}");
        }
        assert_eq!(caching.cache.current_memory_usage(), 0);
        // Damaged, it is loaded again.
        let body = std::fs::read_dir(folder.path().join("bodies")).unwrap().next().unwrap().unwrap().path();
        let mut data = std::fs::read(&body).unwrap();
        data[LENGTH / 2] ^= 1;
        std::fs::write(&body, data).unwrap();
        origin.enqueue("/x", reply("again", &[("Cache-Control", "max-age=60")]));
        assert_eq!(caching.get(origin.url("/x")).0, "again");
    });
}

#[test]
fn a_body_that_was_found_before_is_checked_again_once_it_changes_and_missed_once_it_is_gone() {
    type Change = fn(&std::path::Path, &UrlCache, &UrlRequest);
    let flip: Change = |body, _, _| {
        let mut data = std::fs::read(body).unwrap();
        let middle = data.len() / 2;
        data[middle] ^= 1;
        std::fs::write(body, data).unwrap();
    };
    let truncate: Change = |body, _, _| {
        let data = std::fs::read(body).unwrap();
        std::fs::write(body, &data[1..]).unwrap();
    };
    let remove: Change = |_, cache, request| cache.remove_cached_response(request);
    let remove_everything: Change = |_, cache, _| cache.remove_all_cached_responses();
    let remove_from_outside: Change = |body, _, request| {
        let folder = body.parent().unwrap().parent().unwrap();
        let other = UrlCache::new(0, 200 << 20, Some(folder.to_owned()));
        other.remove_cached_response(request);
        assert_eq!(other.current_disk_usage(), 0);
    };
    on(Wire::H1, |origin| {
        for (length, path) in [(100_000, "/short"), (3 << 20, "/long")] {
            for change in [flip, truncate, remove, remove_everything, remove_from_outside] {
                let folder = tempfile::tempdir().unwrap();
                let cache = UrlCache::new(0, 200 << 20, Some(folder.path().to_owned()));
                let caching =
                    CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache));
                origin.enqueue(path, Reply::new(200).header("Cache-Control", "max-age=60").endless(length));
                caching.get_length(origin.url(path), length, false);
                in_tokio(caching.session.flush());
                let body = std::fs::read_dir(folder.path().join("bodies")).unwrap().next().unwrap().unwrap();
                // As if it had not been written just now.
                let long_ago = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
                let file = std::fs::File::options().write(true).open(body.path()).unwrap();
                file.set_modified(long_ago).unwrap();
                for _ in 0..3 {
                    caching.get_length(origin.url(path), length, true);
                }
                change(&body.path(), &caching.cache, &UrlRequest::new(origin.url(path).parse().unwrap()));
                origin.enqueue(path, reply("again", &[("Cache-Control", "max-age=60")]));
                let (body, decision) = caching.get(origin.url(path));
                assert_eq!((&*body, decision.is_hit()), ("again", false), "{decision}");
            }
        }
    });
}

#[test]
fn what_a_session_kept_another_finds_on_disk() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..2 {
            let cache = UrlCache::new(0, 20 << 20, Some(folder.path().to_owned()));
            let caching = CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache));
            if round == 0 {
                let fields = [("Cache-Control", "max-age=60"), ("Vary", "Accept-Language"), ("X-oDD", "1")];
                origin.enqueue("/x", reply("kept", &fields));
            }
            let (data, response) = caching.session.data(origin.url("/x")).wait().unwrap();
            assert_eq!((text(&data), response.http().unwrap().value("x-odd")), ("kept", Some("1")));
            in_tokio(caching.session.flush());
        }
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn a_clock_that_went_back_asks_the_server() {
    on(Wire::H1, |origin| {
        let cache = UrlCache::new(1 << 20, 0, None);
        let late =
            CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache.clone()));
        late.clock.advance(seconds(3600));
        for body in ["old", "new"] {
            origin.enqueue("/x", reply(body, &[("Cache-Control", "max-age=60")]));
        }
        late.get(origin.url("/x"));
        let early = CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache));
        let (body, decision) = early.get(origin.url("/x"));
        assert_eq!(
            (&*body, decision.lookup),
            ("new", CacheLookup::Replaced(RevalidationReason::ClockWentBack))
        );
    });
}

#[test]
fn bodies_of_every_size_come_from_disk_as_they_were() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let cache = UrlCache::new(0, 200 << 20, Some(folder.path().to_owned()));
        let caching = CachingSession::with(origin, |configuration| configuration.url_cache = Some(cache));
        for length in [1, 16 * 1024, 100_000, 256 * 1024 + 1, 1 << 20, 2 << 20, 3 << 20] {
            let path = format!("/{length}");
            origin.enqueue(&path, Reply::new(200).header("Cache-Control", "max-age=60").endless(length));
            for is_hit in [false, true, true] {
                let (result, decision) = caching.try_get(origin.url(&path));
                let (data, decision) = (result.unwrap().0, decision.unwrap());
                assert_eq!(decision.is_hit(), is_hit, "{length}: {decision}");
                assert_eq!(data.len() as u64, length);
                assert!(data.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
            }
        }
    });
}
