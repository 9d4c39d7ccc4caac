//! Proves the default routes, as the tests of other implementations expect them, and the origin's own life.

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;

use common::{Raw, field};
use serde_json::Value;
use urlsession_testkit::{Origin, OriginBuilder, Reply, Wire, pattern};

fn get(target: &str) -> (String, Vec<u8>) {
    let origin = Origin::start(Wire::H1);
    Raw::connect(&origin).exchange("GET", target)
}

fn text(target: &str) -> String {
    String::from_utf8(get(target).1).expect("text")
}

#[test]
fn capitals_and_texts() {
    for (country, capital) in [
        ("/Nepal", "Kathmandu"),
        ("/Peru", "Lima"),
        ("/Italy", "Rome"),
        ("/USA", "Washington, D.C."),
        ("/UK", "London"),
        ("/echo-query?param=foo", "param=foo"),
        ("/response-header-without-whitespace", "Hello, world!"),
    ] {
        assert_eq!(text(country), capital);
    }
    assert_eq!(get("/country.txt").1.len(), 93);
    let (head, body) = get("/nowhere");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n") && body.is_empty());
}

#[test]
fn json_tells_the_request() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    raw.send("POST /post HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 6\r\n\r\nfoobar");
    let head = raw.head();
    let body = raw.bytes(field(&head, "content-length").expect("a length").parse().expect("a number"));
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(json["uri"], "POST /post HTTP/1.1");
    assert_eq!((&json["X-A"], &json["Host"]), (&Value::from("1, 2"), &Value::from("h")));
    assert_eq!(json["x-base64-body"], "Zm9vYmFy");
    for (method, target, status) in [
        ("GET", "/get", 200),
        ("PUT", "/put", 200),
        ("DELETE", "/delete", 200),
        ("GET", "/post", 405),
        ("GET", "/404", 404),
        ("GET", "/503", 503),
        ("GET", "/401", 401),
        ("GET", "/auth/basic", 401),
        ("GET", "/unauthorized", 401),
    ] {
        let (head, _) = raw.exchange(method, target);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}");
        let challenged = matches!(target, "/401" | "/auth/basic");
        assert_eq!(field(&head, "www-authenticate").is_some(), challenged, "{target}");
    }
    raw.send("GET /auth/basic HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dXNlcjpwYXNzd2Q=\r\n\r\n");
    assert!(raw.head().starts_with("HTTP/1.1 200 "));
    raw.bytes(37);
}

#[test]
fn redirects() {
    let location = |target: &str| {
        let (head, _) = get(target);
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        (status, field(&head, "location").map(str::to_owned))
    };
    let expect = |status: &str, location: &str| (status.to_owned(), Some(location.to_owned()));
    assert_eq!(location("/302?location=jsonBody"), expect("302", "jsonBody"));
    assert_eq!(location("/307"), expect("307", "/get"));
    let encoded = "/303?location=echo-query%3Fparam%3Dfoo";
    assert_eq!(location(encoded), expect("303", "echo-query?param=foo"));
    assert_eq!(text("/302?location=jsonBody"), "Redirecting to GET jsonBody");
    assert_eq!(location("/redirect/4"), expect("302", "/redirect/3"));
    assert_eq!(location("/redirect/1"), expect("302", "/jsonBody"));
    assert_eq!(location("/UnitedKingdom"), expect("302", "UK"));
    assert_eq!(location("/redirectToEchoHeaders"), expect("302", "/echoHeaders"));
    let default_port = "http://127.0.0.1/redirected-with-default-port";
    assert_eq!(location("/redirect-with-default-port"), expect("302", default_port));
    assert_eq!(location("/304?location=x"), ("304".to_owned(), None));

    let origin = Origin::start(Wire::H1);
    let (head, _) = Raw::connect(&origin).exchange("GET", "/UnitedStates");
    let closed = format!("http://127.0.0.1:{}/USA", origin.closed_port());
    assert_eq!(field(&head, "location"), Some(closed.as_str()));
    let refused = TcpStream::connect(("127.0.0.1", origin.closed_port()));
    assert_eq!(refused.map(drop).map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn uploads_headers_and_cookies() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    let mut ask = |request: &str| {
        raw.send(request);
        let head = raw.head();
        let length = field(&head, "content-length").expect("a length").parse().expect("a number");
        (head, String::from_utf8(raw.bytes(length)).expect("text"))
    };
    let (_, body) = ask("PUT /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(body, "Upload completed!, Content-Length: 2");
    let (_, body) = ask("PUT /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(body, "Received Chunked request");
    assert!(ask("PUT /upload HTTP/1.1\r\nHost: h\r\n\r\n").0.starts_with("HTTP/1.1 400 "));
    let (_, body) = ask("POST /requestHeaders HTTP/1.1\r\nHost: h\r\nheader1: value1\r\n\r\n");
    assert_eq!(body, "Host: h,header1: value1");
    let (_, body) = ask("POST /echoHeaders HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n");
    assert_eq!(body, "Host: h\nCookie: a=b");
    let (_, body) = ask("GET /accept-encoding HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, br\r\n\r\n");
    assert_eq!(body, "gzip, br");
    let (head, _) = ask("POST /requestCookies HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(head.matches("Set-Cookie: ").count(), 2);
    assert!(ask("POST /emptyPost HTTP/1.1\r\nHost: h\r\n\r\n").0.starts_with("HTTP/1.1 200 "));
    let typed = "POST /emptyPost HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\n\r\n";
    assert!(ask(typed).0.starts_with("HTTP/1.1 404 "));
}

#[test]
fn codings_are_labelled() {
    for (target, coding, length) in [
        ("/gzipped-response", "gzip", 32),
        ("/brotli-response", "br", 16),
        ("/deflate-response", "deflate", 20),
        ("/raw-deflate-response", "deflate", 14),
        ("/zstd-response", "zstd", 21),
    ] {
        let (head, body) = get(target);
        assert_eq!((field(&head, "content-encoding"), body.len()), (Some(coding), length));
    }
}

#[test]
fn generated_streams() {
    let origin = Origin::start(Wire::H1);
    let mut raw = Raw::connect(&origin);
    raw.request("GET", "/stream/2?gap=1");
    assert!(raw.head().contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!(raw.bytes(29), b"7\r\nline 1\n\r\n7\r\nline 2\n\r\n0\r\n\r\n"[..].to_vec());
    raw.request("GET", "/chunked/20000");
    raw.head();
    assert_eq!(raw.bytes(6), b"4000\r\n");
    assert_eq!(raw.bytes(16384), pattern(0, 16384));
}

#[test]
fn lost_cities_close_the_connection() {
    let city = |name: &str| {
        let origin = Origin::start(Wire::H1);
        let mut raw = Raw::connect(&origin);
        raw.request("GET", &format!("/LandOfTheLostCities/{name}"));
        String::from_utf8_lossy(&raw.rest().expect("a close")).into_owned()
    };
    assert!(city("Pompeii").starts_with("\0\0\u{12}\u{4}\0"));
    assert!(!city("Sodom").contains('\r'));
    assert!(city("Kameiros").starts_with("HTTP/1.1 999 Wrong Code\r\n"));
    assert!(city("Myndus").starts_with("HTTP/1.1 200 OK\r\n\r\nthis"));
    assert_eq!(city("Gomorrah"), "HTTP/1.1\r\n\r\n\r\n");
    assert!(city("Dinavar").starts_with("HTTP/1.1 20 "));
    assert!(city("Kuhikugu").starts_with("HTTP/1.1 2000 "));
}

#[test]
fn an_origin_is_shared_and_ends_when_dropped() {
    fn shared<T: Send + Sync>() {}
    shared::<Origin>();
    shared::<Reply>();
    fn sent<T: Send>() {}
    sent::<OriginBuilder>();
    let origin = Origin::start(Wire::H1);
    assert_eq!(origin.url("a"), format!("http://{}/a", origin.addr()));
    let mut raw = Raw::connect(&origin);
    raw.exchange("GET", "/UK");
    let addr = origin.addr();
    drop(origin);
    assert!(raw.rest().is_ok_and(|rest| rest.is_empty()));
    assert!(TcpStream::connect(addr).is_err());
}
