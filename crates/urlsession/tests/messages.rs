//! Requests and responses as values. Names are those of the peer's rows, see `docs/conformance.md`.

use std::hash::{DefaultHasher, Hash, Hasher};

use urlsession::cache::CachedUrlResponse;
use urlsession::{HttpUrlResponse, Url, UrlErrorCode, UrlRequest, UrlResponse, Version};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A POST with everything that copies are checked for.
fn filled() -> UrlRequest {
    let mut request = UrlRequest::new(url("http://github.com"));
    request.set_main_document_url(Some(url("http://swift.org")));
    request.set_http_method("POST").unwrap();
    request.set_value("Accept", "application/json").unwrap();
    request.set_http_body("here is body");
    request
}

/// Changes everything [`filled`] sets.
fn change(request: &mut UrlRequest) {
    request.set_main_document_url(Some(url("http://apple.com")));
    request.set_url(url("http://ibm.com"));
    request.set_http_method("HEAD").unwrap();
    request.add_value("Accept", "text/html").unwrap();
    request.set_http_body("another body");
}

fn assert_filled(request: &UrlRequest) {
    assert_eq!(request.main_document_url(), Some(&url("http://swift.org")));
    assert_eq!(request.url(), &url("http://github.com"));
    assert_eq!(request.http_method(), "POST");
    assert_eq!(request.value("Accept"), Some("application/json"));
    assert_eq!(request.http_body().map(|body| &body[..]), Some(&b"here is body"[..]));
}

fn assert_fresh(request: &UrlRequest) {
    assert_eq!(request.url(), &url("http://swift.org"));
    assert_eq!(request.http_method(), "GET");
    assert!(request.headers().is_empty());
    assert_eq!(request.main_document_url(), None);
}

fn assert_methods_normalized(request: &mut UrlRequest) {
    for (given, expected) in [
        ("get", "GET"),
        ("gEt", "GET"),
        ("hEAD", "HEAD"),
        ("pOST", "POST"),
        ("PUt", "PUT"),
        ("DeleTE", "DELETE"),
        ("cOnNeCt", "CONNECT"),
        ("OPTIONS", "OPTIONS"),
        ("options", "options"),
        ("trace", "trace"),
        ("patch", "patch"),
        ("foo", "foo"),
        ("BAR", "BAR"),
    ] {
        request.set_http_method(given).unwrap();
        assert_eq!(request.http_method(), expected);
    }
}

/// What could end its line and begin another is refused, and nothing changes.
fn assert_injections_refused(request: &mut UrlRequest) {
    for (i, value) in [
        "Bar\r\nevil: hello\r\n\r\nGET /other HTTP/1.1\r\nevil: hello",
        "Bar\0Buz",
        "Bar\rBuz",
        "Bar\r",
        "Bar\nBuz",
        "Bar\n",
        "Bar\r\nBuz",
        "Bar\r\n",
        "Bar\r\rBuz",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("Foo{i}");
        assert!(request.set_value(&name, value).is_err(), "{value:?}");
        assert_eq!(request.value(&name), None);
        assert!(request.add_value(&name, value).is_err(), "{value:?}");
        assert_eq!(request.value(&name), None);
    }
    assert!(request.headers().is_empty());
}

fn assert_folds_kept(request: &mut UrlRequest) {
    for (name, value) in [("FooTab", "Bar\r\n\tBuz"), ("FooSpace", "Bar\r\n Buz")] {
        request.set_value(name, value).unwrap();
        assert_eq!(request.value(name), Some(value));
    }
}

fn assert_accept_is(request: &UrlRequest, value: &str) {
    let fields: Vec<_> = request.all_http_header_fields().collect();
    assert_eq!(fields, [("Accept", value.as_bytes())]);
}

/// Every change makes the request another one, and some of them give another hash.
fn assert_distinguished(changes: impl IntoIterator<Item = impl FnOnce(&mut UrlRequest)>) {
    let reference = UrlRequest::new(url("https://swift.org"));
    let mut hashes = Vec::new();
    for change in changes {
        let mut copy = reference.clone();
        assert_eq!((&copy, hash(&copy)), (&reference, hash(&reference)));
        change(&mut copy);
        assert_ne!(copy, reference);
        hashes.push(hash(&copy));
    }
    assert!(hashes.iter().any(|changed| *changed != hash(&reference)), "it does not contribute to the hash");
}

fn assert_hashed() {
    let request = || UrlRequest::new(url("https://swift.org"));
    assert_eq!((request(), hash(&request())), (request(), hash(&request())));

    let page = |i| url(&format!("https://example.org/{i}"));
    assert_distinguished((0..20).map(|i| move |it: &mut UrlRequest| it.set_url(page(i))));
    assert_distinguished((0..20).map(|i| move |it: &mut UrlRequest| it.set_main_document_url(Some(page(i)))));
    let methods = ["HEAD", "POST", "PUT", "DELETE", "CONNECT", "PATCH", "TWIZZLE", "BUY", "UNDO"];
    assert_distinguished(
        methods.map(|method| move |it: &mut UrlRequest| it.set_http_method(method).unwrap()),
    );
    assert_distinguished((0..20u8).map(|i| {
        move |it: &mut UrlRequest| {
            it.set_http_body_stream(urlsession::BodyStream::from(urlsession::Bytes::from(vec![i])));
        }
    }));
}

#[test]
fn a_request_is_parsed_from_text_zone_included() {
    let text = "http://[fe80::1%25eth0]/x";
    for request in [text.parse::<UrlRequest>(), UrlRequest::try_from(text), text.to_owned().try_into()] {
        let request = request.unwrap();
        assert_eq!((request.url().path(), request.zone_id()), ("/x", Some("eth0")));
    }
    assert_eq!(UrlRequest::from(url("http://a/b")).url(), &url("http://a/b"));
}

#[test]
fn text_that_is_no_url_is_named_in_the_error_of_a_constructor_or_the_first_load() {
    let text = "example.com";
    let session = urlsession::UrlSession::new(urlsession::Configuration::ephemeral());
    for error in [
        text.parse::<UrlRequest>().unwrap_err(),
        UrlRequest::try_from(text).unwrap_err(),
        UrlRequest::post(text).unwrap_err(),
        session.data(text).wait().unwrap_err(),
    ] {
        assert_eq!(error.code(), UrlErrorCode::BadUrl);
        assert!(error.to_string().contains("\"example.com\" is not a URL: it has no scheme"), "{error}");
    }
}

/// `UrlRequest` as an owned value: Apple's *URLRequest*.
mod url_request {
    use super::*;

    #[test]
    fn test_construction() {
        assert_fresh(&UrlRequest::new(url("http://swift.org")));
    }

    #[test]
    fn test_mutable_construction() {
        let mut request = UrlRequest::new(url("http://swift.org"));
        assert_fresh(&request);
        request.set_main_document_url(Some(url("http://swift.org")));
        request.set_http_method("POST").unwrap();
        request.set_url(url("http://github.com"));
        assert_eq!(request.main_document_url(), Some(&url("http://swift.org")));
        assert_eq!(request.http_method(), "POST");
        assert_eq!(request.url(), &url("http://github.com"));
    }

    #[test]
    fn test_header_fields() {
        let mut request = UrlRequest::new(url("http://swift.org"));
        request.set_value("Accept", "application/json").unwrap();
        assert_accept_is(&request, "application/json");
        request.set_value("accept", "application/xml").unwrap();
        assert_accept_is(&request, "application/xml");
        request.add_value("Accept", "text/html").unwrap();
        assert_accept_is(&request, "application/xml,text/html");
    }

    #[test]
    fn test_copy() {
        let mut request = filled();
        let copy = request.clone();
        assert_filled(&request);
        assert_filled(&copy);
        change(&mut request);
        assert_filled(&copy);
        let copy_of_copy = copy.clone();
        drop(copy);
        assert_filled(&copy_of_copy);
    }

    #[test]
    fn test_mutable_copy_1() {
        let mut original = filled();
        let copy = original.clone();
        change(&mut original);
        assert_filled(&copy);
    }

    #[test]
    fn test_mutable_copy_2() {
        let original = filled();
        let mut copy = original.clone();
        change(&mut copy);
        assert_filled(&original);
    }

    #[test]
    fn test_mutable_copy_3() {
        let original = UrlRequest::new(url("http://swift.org"));
        let mut copy = original.clone();
        change(&mut copy);
        assert_fresh(&original);
    }

    #[test]
    fn test_hash() {
        assert_hashed();
    }

    #[test]
    fn test_method_normalization() {
        assert_methods_normalized(&mut UrlRequest::new(url("http://swift.org")));
    }

    /// The URL reads as `Url` spells it: with the `/` of an empty path.
    #[test]
    fn test_description() {
        let mut request = UrlRequest::new(url("http://swift.org"));
        assert_eq!(request.to_string(), "http://swift.org/");
        request.set_url(url("http://u:secret@swift.org/a"));
        assert_eq!(request.to_string(), "http://u@swift.org/a");
    }

    /// A `Url` is absolute; there is no other kind that a request could keep.
    #[test]
    fn test_relative_url() {
        assert!("/get".parse::<Url>().is_err());
        let joined = url("http://httpbin.org").join("/get").unwrap();
        let mut request = UrlRequest::new(joined.clone());
        assert_eq!(request.url().as_str(), "http://httpbin.org/get");
        request.set_url(joined);
        assert_eq!(request.url().as_str(), "http://httpbin.org/get");
    }

    #[test]
    fn test_invalid_header_values() {
        assert_injections_refused(&mut UrlRequest::new(url("http://swift.org")));
    }

    #[test]
    fn test_valid_line_folded_header_values() {
        assert_folds_kept(&mut UrlRequest::new(url("http://swift.org")));
    }
}

/// `UrlRequest` shared, as tasks hand it out, and copied to be changed: Apple's *NSURLRequest* and
/// *NSMutableURLRequest*.
mod ns_url_request {
    use std::sync::Arc;

    use super::*;

    fn fresh() -> Arc<UrlRequest> {
        Arc::new(UrlRequest::new(url("http://swift.org")))
    }

    #[test]
    fn test_construction() {
        assert_fresh(&fresh());
        assert_fresh(&Arc::unwrap_or_clone(fresh()));
    }

    #[test]
    fn test_mutable_construction() {
        let mut request = fresh();
        let mutable = Arc::make_mut(&mut request);
        mutable.set_main_document_url(Some(url("http://swift.org")));
        mutable.set_http_method("POST").unwrap();
        mutable.set_url(url("http://github.com"));
        assert_eq!(request.main_document_url(), Some(&url("http://swift.org")));
        assert_eq!(request.http_method(), "POST");
        assert_eq!(request.url(), &url("http://github.com"));
    }

    #[test]
    fn test_header_fields() {
        let mut request = fresh();
        let mutable = Arc::make_mut(&mut request);
        mutable.set_value("Accept", "application/json").unwrap();
        mutable.set_value("accept", "application/xml").unwrap();
        mutable.add_value("Accept", "text/html").unwrap();
        assert_accept_is(&request, "application/xml,text/html");
    }

    #[test]
    fn test_copy() {
        let mut request = Arc::new(filled());
        let copy = request.clone();
        change(Arc::make_mut(&mut request));
        assert_filled(&copy);
        assert_ne!(request, copy);
        let copy_of_copy = copy.clone();
        drop(copy);
        assert_filled(&copy_of_copy);
    }

    #[test]
    fn test_mutable_copy_1() {
        let mut original = filled();
        let copy = Arc::new(original.clone());
        change(&mut original);
        assert_filled(&copy);
    }

    #[test]
    fn test_mutable_copy_2() {
        let original = Arc::new(filled());
        let mut copy = UrlRequest::clone(&original);
        change(&mut copy);
        assert_filled(&original);
    }

    #[test]
    fn test_mutable_copy_3() {
        let original = fresh();
        let mut copy = UrlRequest::clone(&original);
        change(&mut copy);
        assert_fresh(&original);
    }

    #[test]
    fn test_hash() {
        assert_eq!(hash(&fresh()), hash(&*fresh()));
        assert_hashed();
    }

    #[test]
    fn test_method_normalization() {
        assert_methods_normalized(Arc::make_mut(&mut fresh()));
    }

    #[test]
    fn test_description() {
        assert!(fresh().to_string().contains("http://swift.org"));
    }

    #[test]
    fn test_invalid_header_values() {
        assert_injections_refused(Arc::make_mut(&mut fresh()));
    }

    #[test]
    fn test_valid_line_folded_header_values() {
        assert_folds_kept(Arc::make_mut(&mut fresh()));
    }
}

/// Apple's *URLResponse*.
mod url_response {
    use super::*;

    fn response(mime: Option<&str>, length: Option<u64>, encoding: Option<&str>) -> UrlResponse {
        UrlResponse::new(url("http://example.com/"), mime, length, encoding)
    }

    fn named_by(address: &str) -> String {
        UrlResponse::new(url(address), Some("txt"), Some(0), None).suggested_filename()
    }

    fn assert_different(one: &UrlResponse, other: &UrlResponse, same_as_one: &UrlResponse) {
        for (left, right) in [(one, other), (other, one)] {
            assert_ne!(left, right);
        }
        for (left, right) in [(one, same_as_one), (same_as_one, one)] {
            assert_eq!(left, right);
        }
    }

    #[test]
    fn test_url() {
        let response = UrlResponse::new(url("http://a/test/path"), Some("txt"), Some(0), None);
        assert_eq!(response.url(), &url("http://a/test/path"));
    }

    #[test]
    fn test_mime_type() {
        for mime in [Some("text/plain"), Some("APPlication/wordperFECT"), None] {
            assert_eq!(response(mime, Some(0), None).mime_type().as_deref(), mime);
        }
    }

    #[test]
    fn test_expected_content_length() {
        for length in [Some(100), Some(0), None] {
            assert_eq!(response(None, length, None).expected_content_length(), length);
        }
    }

    #[test]
    fn test_text_encoding_name() {
        for encoding in [Some("utf8"), None] {
            assert_eq!(response(None, Some(0), encoding).text_encoding_name().as_deref(), encoding);
        }
    }

    #[test]
    fn test_suggested_filename_1() {
        assert_eq!(named_by("http://a/test/name.extension"), "name.extension");
    }

    #[test]
    fn test_suggested_filename_2() {
        assert_eq!(named_by("http://a/test/name.extension?foo=bar"), "name.extension");
    }

    #[test]
    fn test_suggested_filename_3() {
        assert_eq!(named_by("a://bar"), "Unknown");
    }

    #[test]
    fn a_name_is_of_the_path_then_of_the_host_then_unknown_with_the_extension_of_the_type() {
        for (address, mime, name) in [
            ("https://a.example/x/report", Some("text/html"), "report.html"),
            ("https://a.example/", Some("text/html"), "a.example.html"),
            ("https://a.example", Some("image/png"), "a.example.png"),
            ("https://a.example/folder/", Some("text/html"), "a.example.html"),
            ("https://[::1]/", Some("text/html"), "[__1].html"),
            ("data:,x", Some("text/plain"), "Unknown.txt"),
            ("https://a.example/", None, "Unknown"),
            ("https://a.example/", Some("made/up"), "Unknown"),
        ] {
            let response = UrlResponse::new(url(address), mime, None, None);
            assert_eq!(response.suggested_filename(), name, "{address} {mime:?}");
        }
    }

    #[test]
    fn test_copy_with_zone() {
        let response = response(Some("txt"), Some(0), None);
        assert_eq!(response.clone(), response);
    }

    #[test]
    fn test_equal_with_the_same_instance() {
        let response = response(None, None, None);
        assert_eq!(&response, &response);
    }

    #[test]
    fn test_equal_checking_url() {
        let other = UrlResponse::new(url("http://example.com/second"), None, None, None);
        assert_different(&response(None, None, None), &other, &response(None, None, None));
    }

    #[test]
    fn test_equal_checking_mime_type() {
        let of = |mime| response(Some(mime), None, None);
        assert_different(&of("mimeType1"), &of("mimeType2"), &of("mimeType1"));
    }

    #[test]
    fn test_equal_checking_expected_content_length() {
        let of = |length| response(None, Some(length), None);
        assert_different(&of(100), &of(200), &of(100));
    }

    #[test]
    fn test_equal_checking_text_encoding_name() {
        let of = |encoding| response(None, None, Some(encoding));
        assert_different(&of("encoding1"), &of("encoding2"), &of("encoding1"));
    }

    #[test]
    fn test_hash() {
        let of = || response(Some("mimeType1"), Some(100), Some("encoding1"));
        let second = url("http://example.com/second");
        let other = UrlResponse::new(second, Some("mimeType3"), Some(200), Some("encoding3"));
        assert_eq!(hash(&of()), hash(&of()));
        assert_ne!(hash(&of()), hash(&other));
    }
}

/// Apple's *HTTPURLResponse*.
mod http_url_response {
    use super::*;

    fn response(fields: &[(&str, &str)]) -> HttpUrlResponse {
        HttpUrlResponse::new(url("https://www.swift.org"), 200, Version::HTTP_11, fields.iter().copied())
            .unwrap()
    }

    fn assert_length_is_997(fields: &[(&str, &str)]) {
        let fields = [&[("Content-Length", "997")], fields].concat();
        assert_eq!(response(&fields).expected_content_length(), Some(997));
    }

    fn named_by(disposition: &str) -> String {
        response(&[("Content-Disposition", disposition)]).suggested_filename()
    }

    fn assert_type_is(fields: &[(&str, &str)], mime: Option<&str>, encoding: Option<&str>) {
        let response = response(fields);
        assert_eq!(response.mime_type().as_deref(), mime);
        assert_eq!(response.text_encoding_name().as_deref(), encoding);
    }

    #[test]
    fn test_url_and_status_1() {
        let response = response(&[("Content-Length", "5299")]);
        assert_eq!(response.url(), &url("https://www.swift.org"));
        assert_eq!(response.status_code(), 200);
    }

    #[test]
    fn test_url_and_status_2() {
        let address = url("http://www.apple.com");
        let fields = [("Content-Length", "5299")];
        let response = HttpUrlResponse::new(address.clone(), 302, Version::HTTP_11, fields).unwrap();
        assert_eq!(response.url(), &address);
        assert_eq!(response.status_code(), 302);
    }

    #[test]
    fn test_header_fields_1() {
        assert!(response(Default::default()).all_header_fields().is_empty());
    }

    #[test]
    fn test_header_fields_2() {
        assert!(response(&[]).all_header_fields().is_empty());
    }

    #[test]
    fn test_header_fields_3() {
        let response = response(&[("A", "1"), ("B", "2")]);
        assert_eq!(response.all_header_fields().len(), 2);
        assert_eq!((response.value("A"), response.value("B")), (Some("1"), Some("2")));
    }

    #[test]
    fn test_content_length_available_1() {
        assert_length_is_997(&[]);
    }

    #[test]
    fn test_content_length_available_2() {
        assert_length_is_997(&[("Transfer-Encoding", "identity")]);
    }

    #[test]
    fn test_content_length_available_3() {
        assert_length_is_997(&[("Content-Encoding", "identity")]);
    }

    #[test]
    fn test_content_length_available_4() {
        assert_length_is_997(&[("Content-Encoding", "identity"), ("Transfer-Encoding", "identity")]);
    }

    #[test]
    fn test_content_length_not_available() {
        assert_eq!(response(&[("Server", "Apache")]).expected_content_length(), None);
    }

    #[test]
    fn test_content_length_with_transfer_encoding() {
        assert_length_is_997(&[("Transfer-Encoding", "chunked")]);
    }

    #[test]
    fn test_content_length_with_content_encoding() {
        assert_length_is_997(&[("Content-Encoding", "deflate")]);
    }

    #[test]
    fn test_content_length_with_content_encoding_and_transfer_encoding() {
        assert_length_is_997(&[("Content-Encoding", "deflate"), ("Transfer-Encoding", "identity")]);
    }

    #[test]
    fn test_content_length_with_content_encoding_and_transfer_encoding_2() {
        assert_length_is_997(&[("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")]);
    }

    #[test]
    fn test_suggested_filename_not_available_1() {
        assert_eq!(response(&[]).suggested_filename(), "Unknown");
    }

    #[test]
    fn test_suggested_filename_not_available_2() {
        assert_eq!(named_by("inline"), "Unknown");
    }

    #[test]
    fn test_suggested_filename_1() {
        assert_eq!(named_by(r#"attachment; filename="fname.ext""#), "fname.ext");
    }

    #[test]
    fn test_suggested_filename_2() {
        let disposition =
            r#"attachment; filename=genome.jpeg; modification-date="Wed, 12 Feb 1997 16:29:51 -0500";"#;
        assert_eq!(named_by(disposition), "genome.jpeg");
    }

    #[test]
    fn test_suggested_filename_3() {
        assert_eq!(named_by(r#"attachment; filename=";.ext""#), ";.ext");
    }

    #[test]
    fn test_suggested_filename_4() {
        let disposition = r#"attachment; aa=bb\; filename="wrong.ext"; filename="fname.ext"; cc=dd"#;
        assert_eq!(named_by(disposition), "fname.ext");
    }

    #[test]
    fn test_suggested_filename_remove_slashes_1() {
        assert_eq!(named_by(r#"attachment; filename="/a/b/name""#), "_a_b_name");
    }

    #[test]
    fn test_suggested_filename_remove_slashes_2() {
        assert_eq!(named_by(r#"attachment; filename="a/../b/name""#), "a_.._b_name");
    }

    #[test]
    fn test_mime_type_and_character_encoding_1() {
        assert_type_is(&[("Server", "Apache")], None, None);
    }

    #[test]
    fn test_mime_type_and_character_encoding_2() {
        assert_type_is(&[("Content-Type", "text/html")], Some("text/html"), None);
    }

    #[test]
    fn test_mime_type_and_character_encoding_3() {
        let fields = [("Content-Type", "text/HTML; charset=ISO-8859-4")];
        assert_type_is(&fields, Some("text/html"), Some("iso-8859-4"));
    }

    #[test]
    fn test_field_capitalisation() {
        let fields = [
            ("location", "/newLocation"),
            ("conTent-lenGTH", "123"),
            ("CONTENT-type", "text/plAIn; charset=ISO-8891-1"),
            ("x-extra-HEADER", "my Header"),
            ("X-UPPERCASE", "UPPERCASE"),
            ("x-lowercase", "lowercase"),
            ("X-mixedCASE", "MIXEDcase"),
        ];
        let response = response(&fields);
        assert_eq!(response.expected_content_length(), Some(123));
        assert_type_is(&fields, Some("text/plain"), Some("iso-8891-1"));
        for name in ["location", "LOcation", "locATIon"] {
            assert_eq!(response.value(name), Some("/newLocation"));
        }
        for name in ["x-extra-HEADER", "X-EXTRA-HEADER", "x-ExTrA-header"] {
            assert_eq!(response.value(name), Some("my Header"));
        }
        let all = response.all_header_fields();
        let all: Vec<_> = all.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(
            all,
            [
                ("Location", "/newLocation"),
                ("Content-Length", "123"),
                ("Content-Type", "text/plAIn; charset=ISO-8891-1"),
                ("x-extra-HEADER", "my Header"),
                ("X-UPPERCASE", "UPPERCASE"),
                ("x-lowercase", "lowercase"),
                ("X-mixedCASE", "MIXEDcase"),
            ]
        );
    }
}

#[test]
fn a_response_nobody_sent_has_no_reason_phrase() {
    let response = HttpUrlResponse::new(url("https://a/"), 404, Version::HTTP_11, [("A", "long enough")]);
    assert_eq!(response.unwrap().reason_phrase(), None);
}

#[test]
#[allow(clippy::disallowed_methods)]
fn all_header_fields_compares_no_name_with_every_other() {
    let names: Vec<_> = (0..10_000).map(|n| format!("field-{n:05}")).collect();
    let mut fields: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    fields.extend(names.iter().map(|name| (name.as_str(), "w")));
    let response = HttpUrlResponse::new(url("http://a/"), 200, Version::HTTP_11, fields).unwrap();
    let time = |work: &dyn Fn()| {
        let start = std::time::Instant::now();
        work();
        start.elapsed()
    };
    let gather = || {
        let all = response.all_header_fields();
        assert_eq!((all.len(), all[9_999].1.as_str()), (10_000, "v, w"));
    };
    let compare = || {
        let find = |name: &String| names.iter().position(|known| known.eq_ignore_ascii_case(name));
        assert!(names.iter().enumerate().all(|(at, name)| find(name) == Some(at)));
    };
    let gathering = (0..3).map(|_| time(&gather)).min().unwrap();
    let comparing = time(&compare);
    assert!(gathering < comparing, "{gathering:?} {comparing:?}");
}

#[test]
fn the_value_of_a_field_is_all_of_it_in_utf_8_or_latin_1() {
    let fields = [
        ("Via", "1.1 a"),
        ("X-Name", "na\u{ef}ve"),
        ("via", "1.1 b"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ];
    let response = HttpUrlResponse::new(url("https://a/"), 200, Version::HTTP_11, fields).unwrap();
    assert_eq!(response.value("VIA"), Some("1.1 a, 1.1 b"));
    assert_eq!(response.value("set-cookie"), Some("a=1, b=2"));
    assert_eq!(response.value("x-name"), Some("na\u{ef}ve"));
    assert_eq!((response.value("none"), response.value("no name")), (None, None));
}

/// A password is shown nowhere.
#[test]
fn no_value_shows_the_password_of_its_url() {
    let request = UrlRequest::new("https://me:s3cret@example.com/a?b".parse().unwrap());
    assert_eq!(request.to_string(), "https://me@example.com/a?b");
    let response = UrlResponse::new(request.url().clone(), None, None, None);
    let cached = CachedUrlResponse::new(response.clone(), "x");
    let task = urlsession::UrlSession::shared().data_task(request.clone());
    for shown in [
        format!("{request:?}"),
        format!("{response:?} {cached:?} {task:?}"),
        format!("{:?}", urlsession::UrlSession::shared().data(request.clone())),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn status_codes_have_a_text_and_unknown_ones_that_of_their_class() {
    for (status, text) in [
        (100, "continue"),
        (199, "informational"),
        (200, "no error"),
        (299, "success"),
        (302, "found"),
        (399, "redirected"),
        (404, "not found"),
        (499, "client error"),
        (503, "service unavailable"),
        (599, "server error"),
        (600, "unknown"),
        (0, "unknown"),
    ] {
        assert_eq!(HttpUrlResponse::localized_string(status), text, "{status}");
    }
}

#[test]
fn what_is_noted_on_a_request_is_found_by_its_type_and_removed_from_this_copy_only() {
    let mut request = UrlRequest::new(url("https://a/"));
    request.set_property("seen", 7_u8);
    let copy = request.clone();
    assert_eq!((request.property::<u8>("seen"), request.property::<u16>("seen")), (Some(&7), None));
    assert!(request.remove_property("seen"));
    assert!(!request.remove_property("seen"), "it is gone");
    assert_eq!((request.property::<u8>("seen"), copy.property::<u8>("seen")), (None, Some(&7)));
}
