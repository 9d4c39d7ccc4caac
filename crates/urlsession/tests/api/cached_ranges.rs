//! Ranges and parts in the cache: what is served from what is stored, joined, and completed (RFC 9111 §3.3, §3.4).

use std::time::Duration;

use urlsession::cache::{CacheDecision, CacheLookup};
use urlsession::{CachePolicy, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply};

use crate::support::*;

const WHOLE: &str = "0123456789";

struct Cached<'a> {
    origin: &'a Origin,
    session: UrlSession,
    clock: HandClock,
}

/// Status, body, `Content-Range` and where it came from.
type Got = (u16, String, Option<String>, CacheDecision);

impl<'a> Cached<'a> {
    fn new(origin: &'a Origin) -> Self {
        let (configuration, clock) = with_hand_clock(origin);
        Self { origin, session: UrlSession::new(configuration), clock }
    }

    fn try_get(&self, path: &str, fields: &[(&'static str, &str)]) -> Result<Got, urlsession::UrlError> {
        let mut request = UrlRequest::new(self.origin.url(path).parse().unwrap());
        for (name, value) in fields {
            request.set_value(*name, value).unwrap();
        }
        let load = self.session.data(request);
        let task = load.task();
        let (data, response) = load.wait()?;
        let decision = task.metrics().unwrap().transaction_metrics.last().unwrap().cache_decision.unwrap();
        let http = response.http().unwrap();
        let range = http.value("content-range").map(str::to_owned);
        let length = http.value("content-length").map(str::to_owned);
        assert_eq!(length.unwrap_or(data.len().to_string()), data.len().to_string());
        Ok((http.status_code(), text(&data).to_owned(), range, decision))
    }

    fn get(&self, path: &str, fields: &[(&'static str, &str)]) -> Got {
        self.try_get(path, fields).unwrap()
    }

    fn range(&self, path: &str, range: &str) -> Got {
        self.get(path, &[("Range", range)])
    }

    fn count(&self) -> usize {
        self.origin.requests().len()
    }
}

fn whole() -> Reply {
    Reply::new(200).header("Cache-Control", "max-age=60").header("ETag", "\"1\"").body(WHOLE)
}

/// The bytes from `first` to `last`, with this entity tag.
fn part(first: usize, last: usize, etag: &str) -> Reply {
    Reply::new(206)
        .header("Cache-Control", "max-age=60")
        .header("ETag", etag)
        .header("Content-Range", format!("bytes {first}-{last}/10"))
        .body(&WHOLE.as_bytes()[first..=last])
}

#[test]
fn a_range_is_served_from_a_stored_whole() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", whole());
        cached.get("/x", &[]);
        cached.clock.advance(Duration::from_secs(7));
        for (range, body, content_range) in [
            ("bytes=0-1", "01", "bytes 0-1/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-1", "9", "bytes 9-9/10"),
            ("bytes=8-99", "89", "bytes 8-9/10"),
            ("bytes=0-", WHOLE, "bytes 0-9/10"),
        ] {
            let (status, data, stated, decision) = cached.range("/x", range);
            assert_eq!((status, &*data, stated.as_deref()), (206, body, Some(content_range)), "{range}");
            assert!(decision.is_hit(), "{range}: {decision}");
        }
        let load = cached.session.data({
            let mut request = UrlRequest::new(origin.url("/x").parse().unwrap());
            request.set_value("Range", "bytes=0-1").unwrap();
            request
        });
        let response = load.wait().unwrap().1.http().unwrap();
        assert_eq!((response.value("age"), response.value("etag")), (Some("7"), Some("\"1\"")));
        let same = [("Range", "bytes=2-3"), ("If-Range", "\"1\"")];
        assert_eq!(cached.get("/x", &same).1, "23");
        assert_eq!(cached.count(), 1);
    });
}

#[test]
fn a_range_that_the_store_cannot_serve_goes_to_the_server() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", whole());
        cached.get("/x", &[]);
        let asks: [&[(&'static str, &str)]; 5] = [
            &[("Range", "bytes=20-")],
            &[("Range", "bytes=0-1,3-4")],
            &[("Range", "lines=1-2")],
            &[("Range", "bytes=0-1"), ("If-Range", "\"2\"")],
            &[("Range", "bytes=0-1"), ("If-None-Match", "\"2\"")],
        ];
        for (number, fields) in asks.into_iter().enumerate() {
            origin.enqueue("/x", Reply::new(416).body("no"));
            assert_eq!(cached.get("/x", fields).1, "no", "{fields:?}");
            assert_eq!(cached.count(), number + 2);
        }
        cached.clock.advance(Duration::from_secs(61));
        origin.enqueue("/x", part(0, 1, "\"1\""));
        assert_eq!(cached.range("/x", "bytes=0-1").1, "01");
        assert_eq!(cached.count(), 7, "it is stale");
        // A coded body has other bytes.
        let coded = Reply::new(200).header("Cache-Control", "max-age=60").header("Content-Encoding", "x-own");
        origin.enqueue("/coded", coded.body("coded"));
        cached.get("/coded", &[]);
        origin.enqueue("/coded", part(0, 1, "\"1\""));
        assert_eq!(cached.range("/coded", "bytes=0-1").1, "01");
    });
}

#[test]
fn parts_are_stored_reused_and_joined_to_the_whole() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", part(2, 5, "\"1\""));
        assert_eq!(cached.range("/x", "bytes=2-5").1, "2345");
        for (range, body) in [("bytes=2-5", "2345"), ("bytes=3-4", "34")] {
            let (status, data, stated, decision) = cached.range("/x", range);
            assert_eq!((status, &*data), (206, body), "{range}");
            assert!(decision.is_hit() && stated.unwrap().ends_with("/10"), "{range}: {decision}");
        }
        // One that overlaps, one that follows, and the beginning.
        origin.enqueue("/x", part(4, 7, "\"1\""));
        assert_eq!(cached.range("/x", "bytes=4-7").1, "4567");
        assert_eq!(cached.range("/x", "bytes=2-7").1, "234567");
        origin.enqueue("/x", part(8, 9, "\"1\""));
        assert_eq!(cached.range("/x", "bytes=-2").1, "89");
        assert_eq!(cached.range("/x", "bytes=3-").1, "3456789");
        assert_eq!(cached.count(), 3);
        origin.enqueue("/x", part(0, 1, "\"1\""));
        assert_eq!(cached.range("/x", "bytes=0-1").1, "01");
        let (status, data, stated, decision) = cached.get("/x", &[]);
        assert_eq!((status, &*data, stated), (200, WHOLE, None));
        assert!(decision.is_hit(), "{decision}");
        assert_eq!(cached.count(), 4);
    });
}

#[test]
fn parts_of_different_states_are_not_joined() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", part(0, 4, "\"1\""));
        cached.range("/x", "bytes=0-4");
        origin.enqueue("/x", part(5, 9, "\"2\""));
        assert_eq!(cached.range("/x", "bytes=5-9").1, "56789");
        // The later is stored, the earlier is not any more.
        assert!(cached.range("/x", "bytes=5-9").3.is_hit());
        origin.enqueue("/x", part(0, 4, "\"2\""));
        assert_eq!(cached.range("/x", "bytes=0-4").1, "01234");
        assert_eq!(cached.count(), 3);
    });
}

#[test]
fn the_whole_is_completed_from_a_stored_beginning() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", part(0, 4, "\"1\"").header("A", "1"));
        cached.range("/x", "bytes=0-4");
        origin.enqueue("/x", part(5, 9, "\"1\"").header("A", "2"));
        let (status, data, stated, decision) = cached.get("/x", &[]);
        assert_eq!((status, &*data, stated), (200, WHOLE, None));
        assert_eq!(decision.lookup, CacheLookup::Completed);
        let seen = origin.requests();
        let asked = (seen[1].header("range"), seen[1].header("if-range"), seen[1].header("accept-encoding"));
        assert_eq!(asked, (Some("bytes=5-"), Some("\"1\""), None));
        let (_, data, _, decision) = cached.get("/x", &[]);
        assert!(&*data == WHOLE && decision.is_hit(), "{decision}");
        assert_eq!(cached.count(), 2);
    });
}

#[test]
fn what_has_changed_meanwhile_is_loaded_whole() {
    on_every_wire(|origin| {
        let changed =
            || Reply::new(200).header("ETag", "\"2\"").header("Cache-Control", "max-age=60").body("new");
        for (first, count) in [
            (changed(), 2),
            (Reply::new(416), 3),
            (part(5, 9, "\"2\""), 3),
            (part(6, 9, "\"1\""), 3),
            (part(5, 8, "\"1\""), 3),
            (part(5, 9, "\"1\"").header("Content-Encoding", "x-own"), 3),
        ] {
            let cached = Cached::new(origin);
            let before = cached.count();
            origin.enqueue("/x", part(0, 4, "\"1\""));
            cached.range("/x", "bytes=0-4");
            origin.enqueue("/x", first);
            if count == 3 {
                origin.enqueue("/x", changed());
            }
            assert_eq!(cached.get("/x", &[]).1, "new");
            assert_eq!(cached.count() - before, count);
            assert!(cached.get("/x", &[]).3.is_hit());
        }
    });
}

#[test]
fn a_rest_that_is_shorter_than_it_says_is_an_error_and_is_not_stored() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        origin.enqueue("/x", part(0, 4, "\"1\""));
        cached.range("/x", "bytes=0-4");
        origin.enqueue("/x", part(5, 9, "\"1\"").body("567"));
        assert!(cached.try_get("/x", &[]).is_err());
        origin.enqueue("/x", whole());
        let (_, data, _, decision) = cached.get("/x", &[]);
        assert!(&*data == WHOLE && !decision.is_hit());
    });
}

#[test]
fn a_part_without_a_strong_validator_or_of_a_wrong_length_is_not_stored() {
    on_every_wire(|origin| {
        let cached = Cached::new(origin);
        let bare =
            Reply::new(206).header("Cache-Control", "max-age=60").header("Content-Range", "bytes 0-1/10");
        for reply in [
            part(0, 1, "W/\"1\""),
            part(0, 1, ""),
            bare.body("01"),
            part(0, 1, "\"1\"").header("Cache-Control", "no-store"),
            part(0, 1, "\"1\"").header("Vary", "*"),
            part(0, 1, "\"1\"").body("0"),
            part(0, 1, "\"1\"").body("012"),
            part(0, 1, "\"1\"").header("Content-Encoding", "x-own"),
        ] {
            origin.enqueue("/x", reply);
            cached.range("/x", "bytes=0-1");
        }
        assert_eq!(cached.count(), 8);
        // One that is stored never answers for the whole, whatever the policy.
        origin.enqueue("/y", part(0, 4, "\"1\""));
        cached.range("/y", "bytes=0-4");
        let mut request = UrlRequest::new(origin.url("/y").parse().unwrap());
        request.set_cache_policy(CachePolicy::ReturnCacheDataDontLoad);
        assert!(cached.session.data(request).wait().is_err());
    });
}
