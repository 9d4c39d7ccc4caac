//! The redirect layer over a scripted layer.

use super::super::test_support::{Reply, Script, run, run_request};
use super::*;
use bytes::Bytes;

fn to(status: u16, location: &'static str) -> Reply {
    Reply { status, fields: vec![("location", location)], body: b"moved" }
}

fn ok() -> Reply {
    200.into()
}

fn follow(method: &str, url: &str, replies: impl IntoIterator<Item = Reply>) -> Vec<String> {
    let script = Script::new(replies.into_iter().map(Ok));
    let (result, log) = run(&Redirect::new(&script), method, url);
    assert!(result.is_ok(), "{:?} {:?}", script.seen(), result.err());
    let seen = script.seen();
    assert_eq!(log.len(), seen.len(), "one transaction a hop");
    seen
}

#[test]
fn post_becomes_get_on_301_302_303_and_stays_on_305_to_308() {
    for status in [301, 302, 303] {
        assert_eq!(follow("POST", "http://a/x", [to(status, "/y"), ok()])[1], "GET http://a/y", "{status}");
    }
    for status in [305, 306, 307, 308] {
        assert_eq!(follow("POST", "http://a/x", [to(status, "/y"), ok()])[1], "POST http://a/y", "{status}");
    }
}

#[test]
fn other_methods_stay_but_on_303() {
    for method in ["PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "BREW"] {
        for status in [301, 302, 305, 306, 307, 308] {
            let seen = follow(method, "http://a/x", [to(status, "/y"), ok()]);
            assert_eq!(seen[1], format!("{method} http://a/y"), "{status}");
        }
        let after = if method == "HEAD" { "HEAD" } else { "GET" };
        assert_eq!(follow(method, "http://a/x", [to(303, "/y"), ok()])[1], format!("{after} http://a/y"));
    }
}

#[test]
fn a_redirect_with_an_empty_location_is_the_answer() {
    for status in [301, 302, 303, 307, 308] {
        for location in ["", " ", "\t "] {
            assert_eq!(
                follow("POST", "http://a/x", [to(status, location)]).len(),
                1,
                "{status} {location:?}"
            );
        }
    }
}

#[test]
fn bytes_of_location_that_are_not_utf_8_are_escaped() {
    for (location, expected) in [
        (&b"/caf\xe9"[..], "http://a/caf%E9"),
        (b"/\xc3\xa9\xe9", "http://a/%C3%A9%E9"),
        (b"/p?q=\xe9#\xff", "http://a/p?q=%E9#%FF"),
        (b"caf\xc3\xa9", "http://a/x/caf%C3%A9"),
        (b"//b/\xe9", "http://b/%E9"),
    ] {
        let base = "http://a/x/y".parse().unwrap();
        assert_eq!(resolve(&base, location).unwrap().as_str(), expected, "{}", location.escape_ascii());
    }
    let error = resolve(&"http://a/".parse().unwrap(), b"http://caf\xe9/").unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::RedirectToNonExistentLocation);
}

#[test]
fn answers_300_and_304_and_redirects_without_location_are_final() {
    for reply in [to(300, "/y"), to(304, "/y"), 302.into()] {
        assert_eq!(follow("GET", "http://a/x", [reply]).len(), 1);
    }
}

#[test]
fn location_is_resolved_by_rfc_3986() {
    let cases = [
        ("../echo/rel", "http://a/rel/echo/rel"),
        ("echo", "http://a/rel/a/echo"),
        ("?q=1", "http://a/rel/a/b?q=1"),
        ("//b/c", "http://b/c"),
        ("///b/c", "http://b/c"),
        ("////b/c", "http://b/c"),
        ("http:///b/c", "http://b/c"),
        ("http:/c", "http://a/c"),
        ("http:c", "http://a/rel/a/c"),
        ("https:/c/d", "https://c/d"),
        ("HTTP://B/c", "http://b/c"),
        ("/a b", "http://a/a%20b"),
        (" /c ", "http://a/c"),
        ("/c\td", "http://a/cd"),
        // Shown without its password.
        ("http://u:p@b/c", "http://u@b/c"),
        ("\\\\b\\c", "http://b/c"),
        ("./", "http://a/rel/a/"),
        ("/../../c", "http://a/c"),
        ("https://c", "https://c/"),
        ("echo-query?param=foo%20bar", "http://a/rel/a/echo-query?param=foo%20bar"),
    ];
    for (location, expected) in cases {
        assert_eq!(
            follow("GET", "http://a/rel/a/b", [to(302, location), ok()])[1],
            format!("GET {expected}")
        );
    }
}

#[test]
fn the_fragment_is_carried_unless_location_has_one() {
    assert_eq!(follow("GET", "http://a/x#top", [to(302, "/y"), ok()])[1], "GET http://a/y#top");
    assert_eq!(follow("GET", "http://a/x#top", [to(302, "/y#end"), ok()])[1], "GET http://a/y#end");
}

fn with_secrets(url: &str) -> UrlRequest {
    let mut request = UrlRequest::new(url.parse().unwrap());
    for name in ["Authorization", "Cookie", "Proxy-Authorization", "X-Mine"] {
        request.set_value(name, "secret").unwrap();
    }
    request
}

#[test]
fn credentials_stay_within_the_origin() {
    let cases =
        [("http://a/y", true), ("http://b/y", false), ("https://a/y", false), ("http://a:8080/y", false)];
    for (location, kept) in cases {
        let script = Script::new([Ok(to(302, location)), Ok(ok())]);
        assert!(run_request(&Redirect::new(&script), with_secrets("http://a/x")).0.is_ok());
        let next = script.requests.lock()[1].clone();
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(next.value(name).is_some(), kept, "{name} to {location}");
        }
        assert!(next.value("x-mine").is_some());
    }
}

#[test]
fn the_body_and_its_fields_go_with_307_and_are_dropped_with_303() {
    for (status, kept) in [(307, true), (308, true), (303, false), (302, false)] {
        let script = Script::new([Ok(to(status, "/y")), Ok(ok())]);
        let mut request = UrlRequest::new("http://a/x".parse().unwrap());
        request.set_http_method("POST").unwrap();
        request.set_http_body(Bytes::from_static(b"body"));
        request.set_value("Content-Type", "text/plain").unwrap();
        assert!(run_request(&Redirect::new(&script), request).0.is_ok());
        let next = script.requests.lock()[1].clone();
        assert_eq!(next.http_body().is_some(), kept, "{status}");
        assert_eq!(next.value("content-type").is_some(), kept, "{status}");
    }
}

#[test]
fn the_seventeenth_redirect_fails_with_the_url_that_gave_it() {
    let script = Script::new((0..20).map(|_| Ok(to(302, "/again"))));
    let error = run(&Redirect::new(&script), "GET", "http://a/x").0.err().unwrap();
    assert_eq!(error.code(), UrlErrorCode::HttpTooManyRedirects);
    assert_eq!(script.seen().len(), 17);
    assert_eq!(error.failing_url().unwrap().as_str(), "http://a/again");
}

#[test]
fn a_location_that_is_no_http_url_fails_and_is_not_loaded() {
    for (location, code) in [
        ("file:///etc/passwd", UrlErrorCode::UnsupportedUrl),
        ("data:,x", UrlErrorCode::UnsupportedUrl),
        ("http://[bad", UrlErrorCode::RedirectToNonExistentLocation),
    ] {
        let script = Script::new([Ok(to(302, location))]);
        let error = run(&Redirect::new(&script), "GET", "http://a/x").0.err().unwrap();
        assert_eq!(error.code(), code, "{location}");
        assert_eq!(script.seen().len(), 1);
    }
}
