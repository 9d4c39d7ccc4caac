//! The short way: requests in one expression, what a loaded body says, the types of the crate `http`.

use std::time::Duration;

use urlsession::{
    Bytes, DataResponse, HttpBody, Method, StatusCode, UrlError, UrlErrorCode, UrlRequest, UrlResponse,
    UrlSession, Version,
};
use urlsession_testkit::Reply;

use crate::support::*;

#[test]
fn a_request_is_made_in_one_expression_and_sent_as_it_says() {
    on_every_wire(|origin| {
        let request = UrlRequest::put(format!("{}?a=1#there", origin.url("/upload")))
            .unwrap()
            .query("q", "a b&c")
            .query_pairs([("x", "ü"), ("y", "")])
            .header("X-Many", "1")
            .header(String::from("x-many"), b"2")
            .bearer_auth("first")
            .basic_auth("ann", "pä:ss")
            .timeout(Duration::from_secs(9))
            .body("text");
        assert_eq!(request.timeout_interval(), Some(Duration::from_secs(9)));
        assert_eq!(request.value("X-Many"), Some("1, 2"));
        assert_eq!(request.url().fragment(), Some("there"));
        load(&session(origin), request).unwrap();
        let sent = origin.requests().pop().unwrap();
        assert_eq!((&*sent.method, sent.body_len), ("PUT", 4));
        assert!(sent.target.ends_with("?a=1&q=a+b%26c&x=%C3%BC&y="), "{}", sent.target);
        assert_eq!(sent.header_all("x-many"), ["1", "2"]);
        assert_eq!(sent.header_all("authorization"), ["Basic YW5uOnDDpDpzcw=="]);
    });
}

#[test]
fn every_constructor_has_its_method_and_refuses_what_is_no_url() {
    let url = "https://a.example/";
    let made = [
        (UrlRequest::get(url), "GET"),
        (UrlRequest::post(url), "POST"),
        (UrlRequest::put(url), "PUT"),
        (UrlRequest::patch(url), "PATCH"),
        (UrlRequest::delete(url), "DELETE"),
        (UrlRequest::head(url), "HEAD"),
    ];
    for (request, method) in made {
        assert_eq!(request.unwrap().http_method(), method);
    }
    assert_eq!(UrlRequest::post("no url").unwrap_err().code(), UrlErrorCode::BadUrl);
    let mut request = UrlRequest::get(url).unwrap();
    request.set_http_method(Method::PATCH).unwrap();
    assert_eq!(request.http_method(), Method::PATCH);
}

#[test]
fn a_field_that_cannot_be_sent_is_the_error_of_the_load() {
    on_every_wire(|origin| {
        let request = UrlRequest::get(origin.url("/Peru"))
            .unwrap()
            .header("X-Fine", "1")
            .header("no token", "s3cret")
            .header("X-Broken", "a\r\nb");
        assert_eq!(request.value("X-Fine"), Some("1"));
        let error = session(origin).data(request).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadUrl);
        assert!(error.to_string().contains("\"no token\""), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(origin.requests().is_empty());
    });
}

#[cfg(feature = "serde")]
#[test]
fn values_are_sent_as_json_and_forms_and_read_back_from_json() {
    on_every_wire(|origin| {
        let session = session(origin);
        let url = origin.url("/echo");
        let numbers = UrlRequest::post(&url).unwrap().json(&[1, 2, 3]).unwrap();
        let answer = session.data(numbers).wait().unwrap();
        assert_eq!(answer.json::<Vec<u8>>().unwrap(), [1, 2, 3]);
        let error = answer.json::<String>().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotParseResponse);
        let form = UrlRequest::post(&url).unwrap().form(&[("a", "1 2"), ("b", "&")]).unwrap();
        assert_eq!(session.data(form).wait().unwrap().text(), "a=1+2&b=%26");
        let own = UrlRequest::post(&url).unwrap().header("Content-Type", "a/b").json("x").unwrap();
        session.data(own).wait().unwrap();
        let seen = origin.requests();
        let kinds: Vec<_> = seen.iter().map(|seen| seen.header("content-type").unwrap()).collect();
        assert_eq!(kinds, ["application/json", "application/x-www-form-urlencoded", "a/b"]);
        assert!(UrlRequest::post(&url).unwrap().form(&1).is_err());
    });
}

#[test]
fn text_is_read_by_its_mark_then_by_the_charset_of_the_response_then_as_utf_8() {
    let response = |charset| UrlResponse::new("data:,".parse().unwrap(), Some("text/plain"), None, charset);
    for (charset, data, expected) in [
        (None, &b"gr\xc3\xbcn"[..], "grün"),
        (Some("iso-8859-1"), b"gr\xfcn", "grün"),
        (Some("Shift_JIS"), b"\x93\xfa\x96{", "日本"),
        (Some("unheard-of"), b"gr\xc3\xbcn", "grün"),
        (Some("iso-8859-1"), b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
        (None, b"gr\xfcn", "gr\u{fffd}n"),
    ] {
        assert_eq!(response(charset).text(data), expected, "{charset:?}");
    }
}

#[test]
fn a_status_of_an_error_becomes_one_when_it_is_asked_for() {
    on_every_wire(|origin| {
        for (status, is_error) in [(200, false), (304, false), (404, true), (503, true)] {
            origin.enqueue("/asked", Reply::new(status));
            let (data, response) = session(origin).data(origin.url("/asked")).wait().unwrap();
            assert_eq!(response.status().as_u16(), status);
            let result = (data, response).error_for_status();
            assert_eq!(result.is_err(), is_error, "{status}");
            if let Err(error) = result {
                assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
                assert!(error.to_string().contains(&status.to_string()), "{error}");
            }
        }
    });
    let (_, response) = UrlSession::shared().data("data:,x").wait().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.error_for_status().is_ok());
}

#[test]
fn requests_and_responses_of_the_crate_http_are_taken_and_given() {
    on_every_wire(|origin| {
        let asked = http::Request::post(origin.url("/echo"))
            .header("x-many", "1")
            .header("x-many", "2")
            .body("text")
            .unwrap();
        let answer = session(origin).data(asked).wait().unwrap().into_http();
        assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"text"[..]));
        assert_eq!(answer.version() == Version::HTTP_2, origin.requests()[0].stream.is_some());
        assert_eq!(origin.requests()[0].header_all("x-many"), ["1", "2"]);
    });
    let request = UrlRequest::post("https://a.example/b?c#d").unwrap().header("X-A", "1").body(vec![1, 2]);
    let given = http::Request::<HttpBody>::try_from(request).unwrap();
    assert_eq!((given.method(), &*given.uri().to_string()), (&Method::POST, "https://a.example/b?c"));
    assert_eq!(
        (&given.headers()["x-a"] == "1", given.body()),
        (true, &HttpBody::Data(Bytes::from_static(&[1, 2])))
    );
    assert!(UrlRequest::try_from(http::Request::get("/path").body(()).unwrap()).is_err());
    assert!(http::Request::<HttpBody>::try_from(UrlRequest::get("data:,x").unwrap()).is_err());
}

#[test]
fn a_body_is_read_chunk_by_chunk_to_its_end() {
    on_every_wire(|origin| {
        let session = session(origin);
        let read = in_tokio(async {
            let (mut bytes, _) = session.bytes(origin.url("/Peru")).await?;
            let mut read = Vec::new();
            while let Some(chunk) = bytes.chunk().await? {
                read.extend_from_slice(&chunk);
            }
            Ok::<_, UrlError>(read)
        });
        assert_eq!(read.unwrap(), b"Lima");
    });
}

#[test]
fn a_user_that_basic_authentication_cannot_send_is_the_error_of_the_load() {
    on_every_wire(|origin| {
        for (user, password) in [("a:b", "s3cret"), ("a\n", "s3cret"), ("a", "s3cret\0")] {
            let request = UrlRequest::get(origin.url("/Peru")).unwrap().basic_auth(user, password);
            let error = session(origin).data(request).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::BadUrl);
            let text = error.to_string();
            assert!(text.contains("Authorization") && !text.contains("s3cret"), "{text}");
        }
        assert!(origin.requests().is_empty());
    });
}
