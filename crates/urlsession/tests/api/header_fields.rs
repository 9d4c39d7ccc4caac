//! Header fields of requests and configurations as an application gives them: by name, and as a map.

use urlsession::{HeaderMap, HeaderName, HeaderValue, UrlRequest, UrlSession};

use crate::support::*;

#[test]
fn every_value_of_a_map_is_sent_and_each_is_a_field_line_of_its_own() {
    on_every_wire(|origin| {
        let mut map = headers(&[("accept", "a/b"), ("x-many", "1"), ("cookie", "a=1")]);
        map.append("x-many", HeaderValue::from_static("2, 3"));
        let mut request = request(&origin.url("/Peru"), "GET", None);
        request.set_value("X-Gone", "one").unwrap();
        request.set_headers(&map);
        assert_eq!(request.headers(), &map);
        let mut configuration = configuration(origin);
        configuration.http_additional_headers = headers(&[("x-all", "1"), ("accept", "c/d")]);
        configuration.http_additional_headers.append("x-all", HeaderValue::from_static("2"));
        load(&UrlSession::new(configuration), request).unwrap();
        let sent = origin.requests().pop().unwrap();
        assert_eq!(sent.header_all("x-many"), ["1", "2, 3"]);
        assert_eq!(sent.header_all("x-all"), ["1", "2"]);
        assert_eq!((sent.header_all("accept"), sent.header("x-gone")), (vec!["a/b"], None));
        assert_eq!(sent.header("cookie"), Some("a=1"));
    });
}

#[test]
fn names_and_values_are_given_as_whatever_is_at_hand() {
    let mut request: UrlRequest = "https://a.example/".parse().unwrap();
    let (name, value) = (String::from("X-Text"), format!("{}", 1));
    request.set_value(&name, &value).unwrap();
    request.set_value(HeaderName::from_static("x-typed"), HeaderValue::from_static("2")).unwrap();
    request.set_value("X-Bytes", b"caf\xe9").unwrap();
    request.add_value(name, b"3").unwrap();
    assert_eq!(request.value(HeaderName::from_static("x-text")), Some("1,3"));
    assert_eq!(request.value(String::from("X-TYPED")), Some("2"));
    assert_eq!((request.value("x-bytes"), request.headers()["x-bytes"].as_bytes()), (None, &b"caf\xe9"[..]));
    let lines: Vec<_> = request.all_http_header_fields().map(|(name, _)| name).collect();
    assert_eq!(lines, ["X-Text", "x-typed", "X-Bytes"]);
    assert!(request.remove_value("X-TYPED") && !request.remove_value("x-typed"));
    request.set_headers(&HeaderMap::new());
    assert!(request.headers().is_empty());
}
