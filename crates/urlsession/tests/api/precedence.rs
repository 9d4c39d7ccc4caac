//! Of header fields with one name one is sent: the request's own, else the configuration's, else what the library adds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use urlsession::cache::{CacheBypass, CacheDecision, CacheLookup, RevalidationReason, UrlCache};
use urlsession::metrics::HarLog;
use urlsession::{
    BodyStream, CachePolicy, Configuration, DownloadDestination, HeaderMap, UrlErrorCode, UrlRequest,
    UrlSession,
};
use urlsession_testkit::{Origin, Reply};

use crate::support::ranges::*;
use crate::support::*;

/// What is added to, or implied by, requests of one kind.
struct Added {
    request: fn(&str) -> UrlRequest,
    fields: &'static [&'static str],
}

const ADDED: [Added; 3] = [
    Added {
        request: |url| request(url, "POST", Some(b"a=1")),
        fields: &["Content-Type", "Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Priority"],
    },
    Added {
        request: |url| with_policy(url, CachePolicy::ReloadIgnoringLocalAndRemoteCacheData),
        fields: &["Cache-Control", "Pragma"],
    },
    Added {
        request: |url| with_policy(url, CachePolicy::ReloadRevalidatingCacheData),
        fields: &["Cache-Control"],
    },
];

fn with_policy(url: &str, policy: CachePolicy) -> UrlRequest {
    let mut request = request(url, "GET", None);
    request.set_cache_policy(policy);
    request
}

/// A session all of whose requests have this field.
fn session_with(origin: &Origin, cache: Option<&UrlCache>, (name, value): (&str, &str)) -> UrlSession {
    let mut configuration = configuration(origin);
    set_for_all(&mut configuration, name, value);
    configuration.url_cache = cache.or(configuration.url_cache.as_ref()).cloned();
    UrlSession::new(configuration)
}

/// Body, and what the cache had to do with it.
fn get(session: &UrlSession, request: UrlRequest) -> (Result<String, UrlErrorCode>, CacheDecision) {
    let (task, result) = load_with_task(session, request);
    let metrics = task.metrics().unwrap();
    let result = result.map(|(data, _)| text(&data).to_owned()).map_err(|error| error.code());
    (result, metrics.transaction_metrics.last().unwrap().cache_decision.unwrap())
}

fn with_field(url: &str, name: &'static str, value: &str) -> UrlRequest {
    let mut request = request(url, "GET", None);
    request.set_value(name, value).unwrap();
    request
}

/// Loads before all others, and what the log says of it.
fn log_of_urgent(session: &UrlSession, request: UrlRequest) -> serde_json::Value {
    let load = session.data(request);
    let task = load.task();
    task.set_priority(1.0);
    load.wait().unwrap();
    let log: HarLog = task.metrics().unwrap().har_entries().into_iter().collect();
    json(log.to_json().as_bytes())
}

#[test]
fn of_one_name_the_request_s_field_is_sent_or_the_configuration_s_or_the_library_s() {
    on_every_wire(|origin| {
        let url = origin.url("/echo");
        for Added { request, fields } in ADDED {
            for name in fields {
                for own in [None, Some("own/own")] {
                    let session = session_with(origin, None, (&name.to_ascii_lowercase(), "all/all"));
                    let mut request = request(&url);
                    set_optional(&mut request, name, own);
                    let log = log_of_urgent(&session, request);
                    let expected = own.unwrap_or("all/all");
                    let sent = origin.requests().pop().unwrap();
                    assert_eq!(sent.header_all(name), [expected], "{name}");
                    let shown = &log["log"]["entries"][0]["request"];
                    let values = shown["headers"].as_array().unwrap().iter();
                    let values = values.filter(|field| {
                        field["name"].as_str().is_some_and(|shown| shown.eq_ignore_ascii_case(name))
                    });
                    let values = values.map(|field| field["value"].as_str().unwrap()).collect::<Vec<_>>();
                    assert_eq!(values, [expected], "{name}");
                    if *name == "Content-Type" {
                        assert_eq!(shown["postData"]["mimeType"], expected);
                    }
                }
            }
        }
    });
}

#[test]
fn what_the_library_adds_beside_other_fields_of_the_configuration_is_sent() {
    on_every_wire(|origin| {
        for Added { request, fields } in ADDED {
            let session = session_with(origin, None, ("X-Other", "all"));
            log_of_urgent(&session, request(&origin.url("/echo")));
            let sent = origin.requests().pop().unwrap();
            assert_eq!(sent.header("x-other"), Some("all"));
            for name in fields.iter().filter(|name| **name != "Accept-Language") {
                assert_eq!(sent.header_all(name).len(), 1, "{name}");
            }
        }
    });
}

#[test]
fn trailers_are_announced_once_by_the_request_or_the_configuration_or_the_library() {
    on_every_wire(|origin| {
        for (of_all, own, expected) in [
            (("X-Free", "x"), None, "X-After"),
            (("trailer", "X-All"), None, "X-All"),
            (("trailer", "X-All"), Some("X-Own"), "X-Own"),
        ] {
            let session = session_with(origin, None, of_all);
            let mut request = request(&origin.url("/echo"), "POST", None);
            let body = BodyStream::from_reader(&b"body"[..]);
            request.set_http_body_stream(body.with_trailers(["X-After"], || HeaderMap::new).unwrap());
            set_optional(&mut request, "Trailer", own);
            let (task, result) = load_with_task(&session, request);
            result.unwrap();
            assert_eq!(origin.requests().pop().unwrap().header_all("trailer"), [expected]);
            let metrics = task.metrics().unwrap();
            let shown = &metrics.transaction_metrics[0].request;
            assert_eq!(shown.value("trailer"), Some(expected));
        }
    });
}

#[test]
fn no_coding_is_asked_for_beside_a_range_of_the_session() {
    on_every_wire(|origin| {
        let session = session_with(origin, None, ("Range", "bytes=0-3"));
        origin.enqueue("/part", Reply::new(206).header("Content-Range", "bytes 0-3/100").body("four"));
        assert_eq!(text(&load(&session, origin.url("/part")).unwrap().0), "four");
        let sent = origin.requests().pop().unwrap();
        assert_eq!((sent.header("range"), sent.header("accept-encoding")), (Some("bytes=0-3"), None));
    });
}

#[test]
fn a_download_of_a_session_that_asks_for_a_range_is_not_resumed() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        let file = || DownloadDestination::file(folder.path().join("file")).overwriting();
        let session = session_with(&ranges.origin, None, ("Range", "bytes=0-"));
        let cut = |reply: Reply| reply.truncate_at(1000);
        for reply in [whole(), part(0, LENGTH)] {
            ranges.then(move |_| cut(reply.clone()));
            let error = session.download(ranges.url()).wait().unwrap_err();
            assert!(error.resume_data().is_none(), "{error}");
        }
        // Nor is what another session left.
        ranges.then(move |_| cut(whole()));
        ranges.download().to(file()).wait().unwrap_err();
        ranges.then(|_| whole());
        session.download(ranges.url()).to(file()).wait().unwrap();
        let sent = ranges.origin.requests().pop().unwrap();
        assert_eq!((sent.header_all("range"), sent.header("if-range")), (vec!["bytes=0-"], None));
        assert!(std::fs::read(folder.path().join("file")).unwrap() == content());
    });
}

#[test]
fn the_cache_hears_what_the_session_says_as_if_the_request_said_it() {
    on_every_wire(|origin| {
        let cache = configuration(origin).url_cache.unwrap();
        let (kept, other) = (origin.url("/kept"), origin.url("/other"));
        let reply = || {
            let reply = Reply::new(200).header("Cache-Control", "max-age=60").header("ETag", "\"1\"");
            reply.body("kept")
        };
        let with = |name, value| session_with(origin, Some(&cache), (name, value));
        let of = |url: &str| UrlRequest::new(url.parse().unwrap());
        let count = || origin.requests().len();
        origin.enqueue("/kept", reply());
        get(&with("X-Other", "all"), of(&kept)).0.unwrap();
        assert!(get(&with("X-Other", "all"), of(&kept)).1.is_hit());

        // `no-store`: it is neither asked, nor does it keep anything.
        origin.enqueue("/other", reply());
        let silent = with("cache-control", "no-store");
        let bypassed = CacheLookup::NotAsked(CacheBypass::NoStore);
        assert_eq!(get(&silent, of(&other)).1.lookup, bypassed);
        let only = |url: &str| get(&with("Cache-Control", "only-if-cached"), of(url)).0;
        let before = count();
        assert_eq!(only(&other), Err(UrlErrorCode::CannotLoadFromNetwork));
        assert_eq!(only(&kept), Ok("kept".into()));
        assert_eq!(count(), before);

        // `no-cache`: the server is asked.
        for (name, value, why) in [
            ("Cache-Control", "no-cache", RevalidationReason::Requested),
            ("Pragma", "no-cache", RevalidationReason::Requested),
            ("Cache-Control", "min-fresh=61", RevalidationReason::TooOld),
        ] {
            origin.enqueue("/kept", Reply::new(304));
            assert_eq!(get(&with(name, value), of(&kept)).1.lookup, CacheLookup::Revalidated(why), "{value}");
        }

        // The request's own wins, also over a `Pragma`; other fields of it do not count.
        for (name, value) in [("Cache-Control", "no-store"), ("Pragma", "no-cache")] {
            let own = with_field(&kept, "Cache-Control", "max-age=60");
            assert!(get(&with(name, value), own).1.is_hit(), "{name}");
        }
        assert_eq!(get(&silent, with_field(&kept, "X-Own", "1")).1.lookup, bypassed);

        // Conditions are the application's, and a range is served.
        let before = count();
        origin.enqueue("/kept", Reply::new(304));
        let decision = get(&with("If-None-Match", "\"0\""), of(&kept)).1;
        assert_eq!(decision.lookup, CacheLookup::NotAsked(CacheBypass::Conditional));
        assert_eq!(origin.requests().pop().unwrap().header_all("if-none-match"), ["\"0\""]);
        let ranges = with("Range", "bytes=1-2");
        let (data, decision) = get(&ranges, of(&kept));
        assert_eq!((data.as_deref(), decision.is_hit(), count()), (Ok("ep"), true, before + 1));
        let (data, _) = get(&ranges, with_field(&kept, "Range", "bytes=0-0"));
        assert_eq!((data.as_deref(), count()), (Ok("k"), before + 1));
        let mut configuration = configuration(origin);
        configuration.url_cache = Some(cache.clone());
        for (name, value) in [("Range", "bytes=1-2"), ("If-Range", "\"0\"")] {
            set_for_all(&mut configuration, name, value);
        }
        origin.enqueue("/kept", Reply::new(200).body("new"));
        let (data, _) = get(&UrlSession::new(configuration), of(&kept));
        assert_eq!((data.as_deref(), count()), (Ok("new"), before + 2), "of another representation");
    });
}

/// Counts warnings about fields of a configuration.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().ends_with("http::defaults")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_session_warns_once_of_the_reserved_fields_of_its_configuration() {
    // All threads of the process are heard.
    alone(|| {
        let warnings = Warnings::default();
        tracing::subscriber::set_global_default(warnings.clone()).unwrap();
        let origin = Origin::start(urlsession_testkit::Wire::H1);
        for (names, count) in
            [(&[][..], 0), (&["X-Free"], 0), (&["authorization", "Host"], 1), (&["Upgrade"], 1)]
        {
            let mut configuration: Configuration = configuration(&origin);
            for name in names {
                set_for_all(&mut configuration, name, "x");
            }
            let session = UrlSession::new(configuration);
            for _ in 0..2 {
                load(&session, origin.url("/Peru")).unwrap();
                assert_eq!(origin.requests().pop().unwrap().header("authorization"), None);
            }
            assert_eq!(warnings.0.swap(0, SeqCst), count, "{names:?}");
        }
    });
}
