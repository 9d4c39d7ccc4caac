//! How long it takes to find the cookies of a URL: in an empty store, in a full one, and in the largest site.
//!
//! A lookup must take less than 5 µs in a store of 3,000 domains.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use urlsession::Url;
use urlsession::cookies::{HttpCookie, HttpCookieStorage};
use urlsession_bench::loads::or_die;

const DOMAINS: usize = 3000;
const OF_SITE: usize = 180;
const LOOKUPS: u32 = 100_000;
const LIMIT: Duration = Duration::from_micros(5);

pub(super) fn main() -> ExitCode {
    let empty = HttpCookieStorage::ephemeral();
    let full = HttpCookieStorage::ephemeral();
    (0..DOMAINS).for_each(|number| set(&full, &format!("https://www.site{number}.co.uk/"), "id=1; Path=/"));
    let crowded = HttpCookieStorage::ephemeral();
    (0..OF_SITE)
        .for_each(|number| set(&crowded, "https://example.com/", &format!("c{number}=1; Path=/{number}")));
    let none = report("nothing in it", &empty, "https://www.example.com/a/b", 0);
    let hit = report("3,000 domains, one cookie", &full, "https://www.site1500.co.uk/a/b?c", 1);
    let miss = report("3,000 domains, no cookie", &full, "https://a.b.c.example.com/a/b?c", 0);
    report("180 cookies of the site, one cookie", &crowded, "https://example.com/90/x", 1);
    if none.max(hit).max(miss) < LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn set(storage: &HttpCookieStorage, url: &str, field: &str) {
    let url = or_die(Url::parse(url), "the URL");
    let cookies = HttpCookie::cookies_with_response_header_fields([("Set-Cookie", field)], &url);
    storage.set_cookies(cookies, &url, None);
}

/// The time of one lookup, the best of several runs.
fn report(what: &str, storage: &HttpCookieStorage, url: &str, found: usize) -> Duration {
    let url = or_die(Url::parse(url), "the URL");
    assert_eq!(storage.cookies_for(&url).len(), found, "{what}");
    let run = || {
        let start = Instant::now();
        (0..LOOKUPS).for_each(|_| drop(black_box(storage.cookies_for(black_box(&url)))));
        start.elapsed() / LOOKUPS
    };
    let best = (0..5).map(|_| run()).min().unwrap_or_default();
    println!("{what}: {} ns a lookup", best.as_nanos());
    best
}
