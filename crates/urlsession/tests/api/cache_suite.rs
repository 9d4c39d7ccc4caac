//! The cases of the public test suite for HTTP caches (`http-tests/cache-tests`, BSD-3-Clause, as a private cache),
//! restated as a table: what requests say, what responses say, and whether a response comes from the store.
//!
//! Each line is a word and its text. `case` and `may` begin a case that is required or optional; `>` is a request field,
//! `<` a response field (`@N` is the date N seconds from now), `status`, `body`, `method`, `query` and `policy` are of
//! the next exchange, `wait` moves the clock by three seconds before it. An exchange ends with what is expected:
//! `store`, `server`, `etag` and `date` (the server was asked whether that is still right), or `fails`. `has` and `not`
//! are about the fields of its response, `older` about its `Age`, `gives` about its body and `code` about its status.

use std::time::Duration;

use urlsession::environment::Clock;
use urlsession::{CachePolicy, UrlRequest, UrlSession};
use urlsession_proto::date;
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// What every required case comes to: how many there are, and which do not pass.
#[test]
fn every_required_case_of_the_public_suite_passes() {
    let failures = run(&all(), true);
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
    let count = all().lines().filter(|line| line.starts_with("case ")).count();
    assert!(count >= 134, "{count} cases");
}

#[test]
fn every_optional_case_of_the_public_suite_that_we_mean_to_pass_does() {
    let failures = run(&all(), false);
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
    let count = all().lines().filter(|line| line.starts_with("may ")).count();
    assert!(count > 57, "{count} cases");
}

fn run(cases: &str, required: bool) -> Vec<String> {
    let origin = Origin::start(Wire::H1);
    let word = if required { "case " } else { "may " };
    let mut failures = Vec::new();
    for case in cases.split("\n\n").map(str::trim).filter(|case| case.starts_with(word)) {
        let name = case.lines().next().unwrap().split_once(' ').unwrap().1;
        if let Err(why) = Run::new(&origin, name).case(case) {
            failures.push(format!("{name}: {why}"));
        }
    }
    failures
}

/// One case, with a session and a clock of its own.
struct Run<'a> {
    origin: &'a Origin,
    session: UrlSession,
    clock: HandClock,
    path: String,
    next: Exchange,
    last: Option<Received>,
}

/// What came: status, body and header fields.
type Received = (u16, Vec<u8>, Vec<(String, String)>);

#[derive(Default)]
struct Exchange {
    asks: Vec<(String, String)>,
    says: Vec<(String, String)>,
    status: u16,
    body: Option<String>,
    method: Option<String>,
    query: Option<String>,
    policy: CachePolicy,
}

impl<'a> Run<'a> {
    fn new(origin: &'a Origin, name: &str) -> Self {
        let (configuration, clock) = with_hand_clock(origin);
        let (session, path) = (UrlSession::new(configuration), format!("/{name}"));
        Self { origin, session, clock, path, next: Exchange::default(), last: None }
    }

    fn case(mut self, case: &str) -> Result<(), String> {
        for line in case.lines().skip(1) {
            let (word, text) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                ">" => self.next.asks.push(self.field(text)),
                "<" => self.next.says.push(self.field(text)),
                "status" => self.next.status = text.parse().unwrap(),
                "body" => self.next.body = Some(text.to_owned()),
                "method" => self.next.method = Some(text.to_owned()),
                "query" => self.next.query = Some(text.to_owned()),
                "policy" => self.next.policy = CachePolicy::ReloadRevalidatingCacheData,
                "wait" => self.clock.advance(Duration::from_secs(3)),
                "has" => self.has(text)?,
                "not" => self.not(text)?,
                "older" => self.older(text.parse().unwrap())?,
                "code" => self.expect(self.last().0.to_string(), text)?,
                "gives" => self.expect(String::from_utf8_lossy(&self.last().1).into_owned(), text)?,
                _ => self.exchange(word).map_err(|why| format!("{line}: {why}"))?,
            }
        }
        Ok(())
    }

    fn field(&self, text: &str) -> (String, String) {
        let (name, value) = text.split_once(':').unwrap();
        let value = value.trim();
        let value = match value.strip_prefix('@') {
            None => value.to_owned(),
            Some(seconds) => {
                let now = self.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
                date::format(now + seconds.parse::<i64>().unwrap())
            }
        };
        (name.to_owned(), value)
    }

    fn exchange(&mut self, expected: &str) -> Result<(), String> {
        let exchange = std::mem::take(&mut self.next);
        let before = self.origin.requests().len();
        let status = if exchange.status == 0 { 200 } else { exchange.status };
        let body = exchange.body.unwrap_or_else(|| format!("body{before}"));
        let reply = match expected {
            "fails" => Reply::drop_connection(),
            _ => {
                let confirms = matches!(expected, "etag" | "date");
                let reply = Reply::new(if confirms { 304 } else { status });
                let reply = match confirms || status == 204 {
                    true => reply,
                    false if exchange.says.iter().any(|(name, _)| name == "Transfer-Encoding") => {
                        reply.chunked([body])
                    }
                    false => reply.body(body),
                };
                exchange.says.iter().fold(reply, |reply, (name, value)| reply.header(&**name, &**value))
            }
        };
        let target =
            exchange.query.map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path));
        // A connection that is dropped may be tried again.
        for _ in 0..if expected == "fails" { 8 } else { usize::from(expected != "store") } {
            self.origin.enqueue(&self.path, reply.clone());
        }
        let mut request = UrlRequest::new(self.origin.url(&target).parse().unwrap());
        request.set_cache_policy(exchange.policy);
        if let Some(method) = &exchange.method {
            request.set_http_method(method.as_str()).unwrap();
            request.set_http_body(b"abc".to_vec());
        }
        for (name, value) in &exchange.asks {
            request.add_value(name, value).unwrap();
        }
        let load = self.session.data(request);
        let task = load.task();
        let result = load.wait();
        let seen = self.origin.requests();
        if expected == "fails" {
            return if result.is_err() { Ok(()) } else { Err("it is served".into()) };
        }
        let (data, response) = result.map_err(|error| error.to_string())?;
        let http = response.http().unwrap();
        self.last = Some((http.status_code(), data.to_vec(), http.all_header_fields()));
        let is_hit =
            task.metrics().unwrap().transaction_metrics.last().unwrap().cache_decision.unwrap().is_hit();
        let asked = |name| seen.last().is_some_and(|seen| seen.header(name).is_some());
        match expected {
            "store" if !is_hit => Err("it does not come from the store".into()),
            "server" | "etag" | "date" if is_hit || seen.len() == before => {
                Err("it comes from the store".into())
            }
            "etag" if !asked("if-none-match") => Err("no If-None-Match".into()),
            "date" if !asked("if-modified-since") => Err("no If-Modified-Since".into()),
            "server" if http.status_code() != status => Err(format!("status {}", http.status_code())),
            "store" | "server" | "etag" | "date" => Ok(()),
            _ => panic!("{expected}?"),
        }
    }

    fn last(&self) -> &(u16, Vec<u8>, Vec<(String, String)>) {
        self.last.as_ref().unwrap()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let field = self.last().2.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.map(|(_, value)| &**value)
    }

    fn has(&self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once(':').unwrap();
        let value = value.trim();
        self.expect(self.value(name).unwrap_or("nothing").to_owned(), value)
            .map_err(|why| format!("{name}: {why}"))
    }

    fn not(&self, name: &str) -> Result<(), String> {
        self.value(name).map_or(Ok(()), |value| Err(format!("{name} is {value:?}")))
    }

    fn older(&self, than: u64) -> Result<(), String> {
        match self.value("age").and_then(|age| age.parse::<u64>().ok()) {
            Some(age) if age > than => Ok(()),
            age => Err(format!("Age is {age:?}, not above {than}")),
        }
    }

    fn expect(&self, got: String, expected: &str) -> Result<(), String> {
        if got == expected { Ok(()) } else { Err(format!("{got:?} and not {expected:?}")) }
    }
}

const FRESH: &str = "< Expires: @100000\n< Cache-Control: max-age=100000\n< Last-Modified: @0\n< Date: @0\n";
const STALE: &str = "< Expires: @-5000\n< Last-Modified: @-100000\n< Date: @0\n";

/// The table, with what the suite makes in loops.
fn all() -> String {
    let mut all = CASES.to_owned();
    let mut add = |kind: &str, name: &str, lines: &str| all.push_str(&format!("\n\n{kind} {name}\n{lines}"));
    for (kind, name, control, expected) in [
        ("may", "freshness-max-age", "max-age=3600", "store"),
        ("case", "freshness-max-age-stale", "max-age=2", "server"),
        ("case", "freshness-max-age-0", "max-age=0", "server"),
        ("may", "freshness-max-age-max-minus-1", "max-age=2147483647", "store"),
        ("may", "freshness-max-age-max", "max-age=2147483648", "store"),
        ("may", "freshness-max-age-max-plus-1", "max-age=2147483649", "store"),
        ("may", "freshness-max-age-max-plus", "max-age=99999999999", "store"),
        ("may", "freshness-max-age-extension", "foobar, max-age=3600", "store"),
        ("may", "freshness-max-age-case-insensitive", "MaX-aGe=3600", "store"),
        ("case", "freshness-max-age-negative", "max-age=-3600", "server"),
        ("case", "freshness-max-age-s-maxage-private", "s-maxage=3600, max-age=1", "server"),
        ("case", "freshness-max-age-ignore-quoted", "extension=\"max-age=3600\", max-age=1", "server"),
        ("case", "freshness-max-age-ignore-quoted-rev", "max-age=1, extension=\"max-age=3600\"", "server"),
        ("case", "freshness-max-age-leading-zero", "max-age=003600", "store"),
        ("case", "freshness-max-age-single-quoted", "max-age='3600'", "server"),
        ("may", "cc-resp-private-private", "private, max-age=3600", "store"),
        ("case", "cc-resp-no-store", "no-store", "server"),
        ("case", "cc-resp-no-store-case-insensitive", "No-StOrE", "server"),
        ("case", "cc-resp-no-store-fresh", "max-age=10000, no-store", "server"),
        ("case", "cc-resp-no-cache", "max-age=10000, no-cache", "server"),
        ("case", "cc-resp-no-cache-case-insensitive", "max-age=10000, No-CaChE", "server"),
        ("may", "cc-resp-must-revalidate-fresh", "max-age=10000, must-revalidate", "store"),
        ("may", "status-200-must-understand", "max-age=3600, no-store, must-understand", "store"),
    ] {
        add(kind, name, &format!("< Cache-Control: {control}\nserver\nwait\n{expected}"));
    }
    for (name, lines, expected) in [
        ("nonnumeric", "< Age: abc", "store"),
        ("negative", "< Age: -7200", "store"),
        ("float", "< Age: 7200.0", "store"),
        ("large-minus-one", "< Age: 2147483647", "server"),
        ("large", "< Age: 2147483648", "server"),
        ("larger", "< Age: 2147483649", "server"),
        ("suffix", "< Age: 7200, 0", "server"),
        ("prefix", "< Age: 0, 7200", "store"),
        ("suffix-twoline", "< Age: 7200\n< Age: 0", "server"),
        ("prefix-twoline", "< Age: 0\n< Age: 7200", "store"),
        ("dup-0", "< Age: 0, 0", "store"),
        ("dup-0-twoline", "< Age: 0\n< Age: 0", "store"),
        ("dup-old", "< Age: 1800\n< Age: 1800", "store"),
    ] {
        let lines = format!("< Date: @0\n< Cache-Control: max-age=3600\n{lines}\nserver\nwait\n{expected}");
        add("case", &format!("age-parse-{name}"), &lines);
    }
    for (kind, name, value, expected) in [
        ("may", "32bit", "Tue, 19 Jan 2038 14:14:08 GMT", "store"),
        ("may", "far-future", "Sun, 21 Nov 2286 04:46:39 GMT", "store"),
        ("may", "rfc850", "Thursday, 18-Aug-50 02:01:18 GMT", "store"),
        ("may", "ansi-c", "Thu Aug  8 02:01:18 2050", "store"),
        ("may", "wrong-case-weekday", "THU, 18 Aug 2050 02:01:18 GMT", "store"),
        ("may", "wrong-case-month", "Thu, 18 AUG 2050 02:01:18 GMT", "store"),
        ("may", "wrong-case-tz", "Thu, 18 Aug 2050 02:01:18 gMT", "store"),
        ("case", "invalid-utc", "Thu, 18 Aug 2050 02:01:18 UTC", "server"),
        ("case", "invalid-aest", "Thu, 18 Aug 2050 02:01:18 AEST", "server"),
        ("case", "invalid-2-digit-year", "Thu, 18 Aug 50 02:01:18 GMT", "server"),
        ("case", "invalid-no-comma", "Thu 18 Aug 2050 02:01:18 GMT", "server"),
        ("case", "invalid-multiple-spaces", "Thu, 18  Aug  2050 02:01:18 GMT", "server"),
        ("case", "invalid-date-dashes", "Thu, 18-Aug-2050 02:01:18 GMT", "server"),
        ("case", "invalid-time-periods", "Thu, 18 Aug 2050 02.01.18 GMT", "server"),
        ("case", "invalid-1-digit-hour", "Thu, 18 Aug 2050 2:01:18 GMT", "server"),
        ("case", "invalid", "0", "server"),
    ] {
        let lines = format!("< Expires: {value}\n< Date: @0\nserver\nwait\n{expected}");
        add(kind, &format!("freshness-expires-{name}"), &lines);
    }
    for status in [200, 203, 204, 299, 400, 404, 410, 499, 500, 502, 503, 504, 599] {
        let same = if status == 204 { "" } else { "body same\n" };
        let gives = if status == 204 { "" } else { "\ngives same" };
        let lines = format!("{FRESH}status {status}\n{same}server\nwait\nstore\ncode {status}{gives}");
        add("may", &format!("status-{status}-fresh"), &lines);
        add("case", &format!("status-{status}-stale"), &format!("{STALE}status {status}\nserver\nserver"));
    }
    for (kind, status, more, expected) in [
        ("may", 200, "", "store"),
        ("case", 201, "", "server"),
        ("case", 202, "", "server"),
        ("may", 203, "", "store"),
        ("may", 204, "", "store"),
        ("case", 403, "", "server"),
        ("may", 404, "", "store"),
        ("may", 405, "", "store"),
        ("may", 410, "", "store"),
        ("may", 414, "", "store"),
        ("may", 501, "", "store"),
        ("case", 502, "", "server"),
        ("case", 503, "", "server"),
        ("case", 504, "", "server"),
        ("case", 599, "", "server"),
        ("may", 599, "< Cache-Control: public\n", "store"),
    ] {
        let lines =
            format!("< Last-Modified: @-86400\n< Date: @0\n{more}status {status}\nserver\n{expected}");
        add(kind, &format!("heuristic-{status}-{expected}"), &lines);
    }
    for (name, vary) in [
        ("star", "< Vary: *"),
        ("star-star", "< Vary: *, *"),
        ("star-star-lines", "< Vary: *\n< Vary: *"),
        ("empty-star", "< Vary: , *"),
        ("empty-star-lines", "< Vary:\n< Vary: *"),
        ("star-foo", "< Vary: *, Foo"),
        ("foo-star", "< Vary: Foo, *"),
    ] {
        let asks = "> Foo: 1\n> Baz: 789\n";
        let says = "< Cache-Control: max-age=5000\n< Last-Modified: @-3000\n< Date: @0\n";
        add("case", &format!("vary-syntax-{name}"), &format!("{asks}{says}{vary}\nserver\n{asks}server"));
    }
    for method in ["POST", "PUT", "DELETE", "M-SEARCH"] {
        let changes = format!("{FRESH}server\nwait\nmethod {method}\n");
        add("case", &format!("invalidate-{method}"), &format!("{changes}server\nserver"));
        add("may", &format!("invalidate-{method}-failed"), &format!("{changes}status 500\nserver\nstore"));
    }
    for (name, one, other) in STORED {
        let control = if *name == "Cache-Control" { "" } else { "< Cache-Control: max-age=3600\n" };
        let lines = format!(
            "< Date: @0\n{control}< {name}: {other}\nbody 0123456789\nserver\nwait\nstore\nhas {name}: {other}"
        );
        add("case", &format!("headers-store-{name}"), &lines);
        let is_required = ["Test-Header", "X-Test-Header", "Content-Foo", "X-Content-Foo", "Cache-Control"];
        if !is_required.contains(name) {
            continue;
        }
        let control = if *name == "Cache-Control" { "" } else { "< Cache-Control: max-age=2\n" };
        let head = |value| format!("< Date: @0\n{control}< {name}: {value}\n< ETag: \"1\"\n");
        let lines = format!(
            "{}server\nwait\n{}etag\nhas {name}: {other}\nstore\nhas {name}: {other}",
            head(one),
            head(other)
        );
        add("case", &format!("304-etag-update-response-{name}"), &lines);
    }
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        // Of this field any other value is an error (RFC 9112 §6.1).
        let value = if name == "Transfer-Encoding" { "chunked" } else { "x-value" };
        let lines = format!(
            "< Date: @0\n< Cache-Control: max-age=3600\n< {name}: {value}\nserver\nhas {name}: {value}\nwait\nstore\nnot {name}"
        );
        add("case", &format!("headers-store-{name}"), &lines);
    }
    all
}

/// Fields that are stored, and two values of each.
const STORED: &[(&str, &str, &str)] = &[
    ("Test-Header", "one", "two"),
    ("X-Test-Header", "one", "two"),
    ("Content-Foo", "one", "two"),
    ("X-Content-Foo", "one", "two"),
    ("Cache-Control", "max-age=1", "max-age=3600"),
    ("Content-Encoding", "one", "two"),
    ("Content-Length", "5", "10"),
    ("Content-Location", "/foo", "/bar"),
    ("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="),
    ("Content-Range", "one", "two"),
    ("Content-Security-Policy", "default-src 'self'", "default-src 'self' cdn.example.com"),
    ("Content-Type", "text/plain", "text/plain;charset=utf-8"),
    ("Clear-Site-Data", "cache", "cookies"),
    ("ETag", "\"abcdef\"", "\"ghijkl\""),
    ("Expires", "Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT"),
    ("Public-Key-Pins", "one", "two"),
    ("Set-Cookie", "a=b", "a=c"),
    ("Set-Cookie2", "a=b", "a=c"),
    ("X-Frame-Options", "deny", "sameorigin"),
    ("X-XSS-Protection", "1", "1; mode=block"),
];

const CASES: &str = r#"
case freshness-max-age-age
< Date: @0
< Cache-Control: max-age=3600
< Age: 7200
server
wait
server

may freshness-max-age-expires
< Cache-Control: max-age=3600
< Expires: @-7200
< Date: @0
server
wait
store

may freshness-max-age-expires-invalid
< Cache-Control: max-age=3600
< Expires: 0
< Date: @0
server
wait
store

case freshness-max-age-0-expires
< Expires: @3600
< Cache-Control: max-age=0
< Date: @0
server
wait
server

case freshness-max-age-s-maxage-private-multiple
< Cache-Control: s-maxage=3600
< Cache-Control: max-age=1
server
wait
server

may freshness-expires-future
< Expires: @2592000
< Date: @0
server
wait
store

case freshness-expires-past
< Expires: @-2592000
< Date: @0
server
wait
server

case freshness-expires-present
< Expires: @0
< Date: @0
server
server

case freshness-expires-old-date
< Expires: @300
< Date: @400
server
wait
server

may freshness-expires-invalid-date
< Date: foo
< Expires: @10
server
store

case freshness-expires-age-slow-date
< Date: @-10
< Expires: @10
< Age: 25
server
server

case freshness-expires-age-fast-date
< Date: @10
< Expires: @20
< Age: 15
server
server

case freshness-expires-invalid-multiple-lines
< Expires: Thu, 18 Aug 2050 2:01:18 GMT
< Expires: Thu, 18 Aug 2050 2:01:19 GMT
< Date: @0
server
server

may cc-resp-no-cache-revalidate
< Cache-Control: no-cache
< ETag: "abcd"
server
etag

may cc-resp-no-cache-revalidate-fresh
< Cache-Control: max-age=10000, no-cache
< ETag: "abcd"
server
etag

case cc-resp-must-revalidate-stale
< Cache-Control: max-age=2, must-revalidate
< ETag: "abcd"
server
store
wait
etag

may cc-resp-immutable-fresh
< Cache-Control: max-age=10000, immutable
< ETag: "abcd"
server
wait
policy
store

case cc-resp-immutable-stale
< Cache-Control: max-age=2, immutable
< ETag: "abcd"
server
wait
policy
etag

case status-599-must-understand
< Cache-Control: max-age=3600, no-store, must-understand
status 599
server
server

may vary-match
> Foo: 1
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 1
store

case vary-no-match
> Foo: 1
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 2
server

case vary-omit-stored
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 1
server

case vary-omit
> Foo: 1
< Cache-Control: max-age=5000
< Vary: Foo
server
server

may vary-invalidate
> Foo: 1
< Cache-Control: max-age=5000
< Vary: Foo
body foo_1
server
> Foo: 2
< Cache-Control: max-age=5000
< Vary: Foo
body foo_2
server
> Foo: 1
store
gives foo_1

may vary-cache-key
> Foo: 1
> Other: 2
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 1
> Other: 3
store

may vary-2-match
> Foo: 1
> Bar: abc
< Cache-Control: max-age=5000
< Vary: Foo, Bar
server
> Foo: 1
> Bar: abc
store

case vary-2-no-match
> Foo: 1
> Bar: abc
< Cache-Control: max-age=5000
< Vary: Foo, Bar
server
> Foo: 2
> Bar: abc
server

case vary-2-match-omit
> Foo: 1
> Bar: abc
< Cache-Control: max-age=5000
< Vary: Foo, Bar
server
server

may vary-3-match
> Foo: 1
> Bar: abc
> Baz: 789
< Cache-Control: max-age=5000
< Vary: Foo, Bar, Baz
server
> Foo: 1
> Bar: abc
> Baz: 789
store

case vary-3-no-match
> Foo: 1
> Bar: abc
> Baz: 789
< Cache-Control: max-age=5000
< Vary: Foo, Bar, Baz
server
> Foo: 2
> Bar: abc
> Baz: 789
server

case vary-3-order
> Foo: 1
> Bar: abc
> Baz: 789
< Cache-Control: max-age=5000
< Vary: Foo, Bar, Baz
server
> Foo: 1
> Baz: 789
> Bar: abcde
server

may vary-3-omit
> Foo: 1
> Baz: 789
< Cache-Control: max-age=5000
< Vary: Foo, Bar, Baz
server
> Foo: 1
> Baz: 789
store

case vary-star
> Foo: 1
< Cache-Control: max-age=5000
< Vary: *
server
> Foo: 1
server

may vary-normalise-combine
> Foo: 1, 2
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 1
> Foo: 2
store

may vary-normalise-lang-case
> Accept-Language: en, de
< Cache-Control: max-age=5000
< Vary: Accept-Language
server
> Accept-Language: eN, De
store

may vary-normalise-lang-space
> Accept-Language: en, de
< Cache-Control: max-age=5000
< Vary: Accept-Language
server
> Accept-Language: en ,   de
store

may vary-normalise-space
> Foo: 1,2
< Cache-Control: max-age=5000
< Vary: Foo
server
> Foo: 1, 2
store

case conditional-etag-vary-headers
> Abc: 123
< Expires: @1
< ETag: "abcdef"
< Date: @0
< Vary: Abc
server
wait
> Abc: 123
etag

may conditional-etag-strong-generate
< Cache-Control: max-age=2
< ETag: "abcdef"
server
wait
etag

may conditional-etag-weak-generate-weak
< Cache-Control: max-age=2
< ETag: W/"abcdef"
server
wait
etag

case headers-omit-headers-listed-in-Connection
< Expires: @100000
< Date: @0
< Connection: a, b
< a: 1
< b: 2
< c: 3
server
wait
store
has c: 3
not a
not b

case 304-lm-use-stored-Test-Header
< Cache-Control: max-age=2
< Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT
< Date: @0
< Test-Header: one
server
wait
< Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT
< Date: @0
date
has Test-Header: one

case 304-etag-update-response-Content-Length
< Cache-Control: max-age=2
< Date: @0
< ETag: "1"
< Content-Length: 5
body 01234
server
wait
< Cache-Control: max-age=2
< Date: @0
< ETag: "1"
< Content-Length: 10
etag
has Content-Length: 5
store
has Content-Length: 5

may stale-while-revalidate
< Cache-Control: max-age=1, stale-while-revalidate=3600
server
wait
store

case stale-while-revalidate-window
< Cache-Control: max-age=1, stale-while-revalidate=4
server
wait
wait
server

case stale-close-must-revalidate
< Cache-Control: max-age=2, must-revalidate
server
wait
fails

case stale-close-no-cache
< Cache-Control: max-age=2, no-cache
server
wait
fails

case other-age-gen
< Expires: @100000
< Cache-Control: max-age=100000
< Date: @0
server
wait
store
older 2

case other-age-update-expires
< Expires: @2592000
< Date: @0
< Age: 30
server
wait
store
older 32

case other-age-update-max-age
< Cache-Control: max-age=100000
< Age: 30
server
wait
store
older 32

case other-date-update
< Expires: @100000
< Date: Fri, 01 Jan 2038 01:01:01 GMT
< Cache-Control: max-age=100000
server
wait
store
has Date: Fri, 01 Jan 2038 01:01:01 GMT

case other-date-update-expires
< Expires: Mon, 11 Jan 2038 11:11:11 GMT
< Date: Fri, 01 Jan 2038 01:01:01 GMT
server
wait
store
has Date: Fri, 01 Jan 2038 01:01:01 GMT

case query-args-different
< Cache-Control: max-age=100000
query test=1
server
query test=2
server

may query-args-same
< Cache-Control: max-age=100000
query test=1
server
query test=1
store

may partial-store-complete-reuse-partial
< Cache-Control: max-age=3600
body 01234567890
server
> Range: bytes=0-1
store
code 206
gives 01

may partial-store-complete-reuse-partial-no-last
< Cache-Control: max-age=3600
body 01234567890
server
> Range: bytes=1-
store
code 206
gives 1234567890

may partial-store-complete-reuse-partial-suffix
< Cache-Control: max-age=3600
body 0123456789A
server
> Range: bytes=-1
store
code 206
gives A

case partial-use-headers
< Cache-Control: max-age=3600
< A: 1
body 01234567890
server
> Range: bytes=0-1
store
code 206
gives 01
not B

case partial-use-stored-headers
< Cache-Control: max-age=3600
< A: 1
body 01234567890
server
> Range: bytes=0-1
store
code 206
gives 01
has A: 1

may other-set-cookie
< Cache-Control: max-age=100000
< Set-Cookie: a=b
server
store

may other-cookie
< Cache-Control: max-age=100000
server
> Cookie: a=b
store
"#;
