//! Cookies as values, without a load: made of properties, read of fields, written into them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use urlsession::Url;
use urlsession::cookies::{HttpCookie, HttpCookiePropertyKey as Key};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn read(field: &str, of: &str) -> Vec<HttpCookie> {
    HttpCookie::cookies_with_response_header_fields([("header1", "value1"), ("Set-Cookie", field)], &url(of))
}

fn date(seconds: u64) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn test_basic_construction() {
    let base = [(Key::Name, "TestCookie"), (Key::Value, "Test value @#$%^$&*"), (Key::Path, "/")];
    let with = |more: &[(Key, &str)]| HttpCookie::new(base.iter().chain(more).copied());
    assert!(with(&[]).is_none());

    let cookie = with(&[(Key::Domain, "apple.com")]).unwrap();
    assert_eq!((cookie.name(), cookie.value()), ("TestCookie", "Test value @#$%^$&*"));
    assert_eq!((cookie.path(), cookie.domain()), ("/", "apple.com"));

    let cookie = with(&[(Key::OriginUrl, "https://apple.com")]).unwrap();
    assert_eq!(cookie.domain(), "apple.com");
    let cookie = with(&[(Key::OriginUrl, "https://apple.com"), (Key::Domain, "swift.org")]).unwrap();
    assert_eq!(cookie.domain(), "swift.org");

    let cookie = with(&[
        (Key::Domain, "apple.com"),
        (Key::Comment, "This is a comment"),
        (Key::CommentUrl, "https://apple.com"),
        (Key::Discard, "TRUE"),
        (Key::Expires, "Wed, 21 Sep 2016 05:33:00 GMT"),
        (Key::MaximumAge, "42"),
        (Key::Port, "443,8443"),
        (Key::Secure, "YES"),
    ])
    .unwrap();
    assert_eq!(cookie.version(), 0);
    assert_eq!(cookie.comment(), Some("This is a comment"));
    assert_eq!(cookie.comment_url(), Some("https://apple.com"));
    assert!(cookie.is_session_only() && cookie.expires_date().is_none());
    assert_eq!(cookie.port_list(), Some(&[443][..]));
    assert!(cookie.is_secure());
}

#[test]
fn test_request_header_fields() {
    assert!(!HttpCookie::request_header_fields_with(&[]).contains_key("Cookie"));
    let cookie = |name, value| {
        let properties =
            [(Key::Name, name), (Key::Value, value), (Key::Path, "/"), (Key::Domain, "apple.com")];
        HttpCookie::new(properties).unwrap()
    };
    let cookies = [cookie("TestCookie1", "testValue1"), cookie("TestCookie2", "testValue2")];
    let fields = HttpCookie::request_header_fields_with(&cookies);
    assert_eq!(fields["Cookie"], "TestCookie1=testValue1; TestCookie2=testValue2");
}

#[test]
fn test_cookies_with_response_header1cookie() {
    let field = "fr=anjd&232; Max-Age=7776000; path=/; domain=.example.com; secure; httponly";
    let cookies = read(field, "https://example.com");
    assert_eq!(cookies.len(), 1);
    assert_eq!((cookies[0].name(), cookies[0].value()), ("fr", "anjd&232"));
    assert!(cookies[0].is_secure() && cookies[0].is_http_only());
}

#[test]
fn test_cookies_with_response_header0cookies() {
    let fields = [("header1", "value1")];
    assert!(HttpCookie::cookies_with_response_header_fields(fields, &url("http://example.com")).is_empty());
}

#[test]
fn test_cookies_with_response_header2cookies() {
    let field = "fr=a&2@#; Max-Age=1186000; path=/; domain=.example.com; secure, \
                 xd=plm!@#;path=/;domain=.example2.com";
    let cookies = read(field, "https://example.com");
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].is_secure() && !cookies[1].is_secure());
    assert_eq!(cookies[1].domain(), ".example2.com");
}

#[test]
fn test_cookies_with_response_header_no_domain() {
    let field = "fr=anjd&232; expires=Wed, 21 Sep 2016 05:33:00 GMT; Path=/; Secure; HttpOnly";
    let cookies = read(field, "https://example.com");
    assert_eq!((cookies[0].version(), cookies[0].domain()), (0, "example.com"));
    assert_eq!(cookies[0].expires_date(), date(1_474_435_980));
}

#[test]
fn test_cookies_with_response_header_no_path_no_domain() {
    let cookies =
        read("fr=tx; expires=Wed, 21 Sep 2016 05:33:00 GMT; secure; httponly", "https://example.com");
    assert_eq!((cookies[0].domain(), cookies[0].path()), ("example.com", "/"));
}

#[test]
fn test_cookies_with_response_header_no_name_value() {
    assert!(read(";attr1=value1", "https://example.com").is_empty());
}

#[test]
fn test_cookies_with_response_header_no_name() {
    assert!(read("=value1;attr2=value2", "https://example.com").is_empty());
}

#[test]
fn test_cookies_with_response_header_empty_name() {
    assert!(read("   =value1;attr2=value2", "https://example.com").is_empty());
}

#[test]
fn test_cookies_with_response_header_no_value() {
    assert!(read("name;attr2=value2", "https://example.com").is_empty());
}

#[test]
fn test_cookies_with_response_header_attribute_without_name_is_ignored() {
    let cookies = read("name=value;Comment=value1;   =value2;CommentURL=value3", "https://example.com");
    assert_eq!(cookies.len(), 1);
    assert_eq!((cookies[0].name(), cookies[0].value()), ("name", "value"));
    assert_eq!((cookies[0].comment(), cookies[0].comment_url()), (Some("value1"), Some("value3")));
}

#[test]
fn test_cookies_with_response_header_valueless_attributes() {
    let cookies = read("name=value;Secure;Comment;Discard;CommentURL;HttpOnly", "https://example.com");
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].is_secure() && cookies[0].is_session_only() && cookies[0].is_http_only());
    assert_eq!((cookies[0].comment(), cookies[0].comment_url()), (None, None));
}

/// RFC 6265bis §5.6.5: a flag is set whatever its value; anything else would send in cleartext what must not be.
#[test]
fn test_cookies_with_response_header_valued_attributes() {
    let cookies = read("name=value;Secure=1;Discard=TRUE;HttpOnly=Yes", "https://example.com");
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].is_secure() && cookies[0].is_session_only() && cookies[0].is_http_only());
}

#[test]
fn test_cookies_with_response_header_invalid_path() {
    let cookies = read("name=value; Path=This/is/not/a/valid/path", "https://example.com");
    assert_eq!(cookies[0].path(), "/");
}

#[test]
fn test_cookies_with_response_header_with_equals_in_value() {
    let cookies = read("name=v=a=l=u=e; Path=/", "https://example.com");
    assert_eq!((cookies[0].name(), cookies[0].value()), ("name", "v=a=l=u=e"));
}

#[test]
fn test_cookies_with_response_header_second_cookie_invalid_token() {
    let field = "n=v; Comment=real value, tok@en=second; CommentURL=https://example.com/second";
    let cookies = read(field, "https://example.com");
    assert_eq!(cookies.len(), 1);
    assert_eq!(cookies[0].comment(), Some("real value, tok@en=second"));
    assert_eq!(cookies[0].comment_url(), Some("https://example.com/second"));
}

#[test]
fn test_cookies_with_expires_as_last_attribute() {
    let field =
        "AAA=111; path=/; domain=.example.com; expires=Sun, 16-Aug-2025 22:39:54 GMT, BBB=222; path=/";
    let cookies = read(field, "http://www.example.com/");
    let pairs: Vec<_> = cookies.iter().map(|cookie| (cookie.name(), cookie.value())).collect();
    assert_eq!(pairs, [("AAA", "111"), ("BBB", "222")]);
}

#[test]
fn test_cookies_with_response_header_trims_names() {
    for field in ["AAA =1; path=/; domain=.example.com, BBB=2", " AAA=1; path=/, BBB=2 "] {
        let cookies = read(field, "http://www.example.com/");
        let pairs: Vec<_> = cookies.iter().map(|cookie| (cookie.name(), cookie.value())).collect();
        assert_eq!(pairs, [("AAA", "1"), ("BBB", "2")], "{field}");
    }
}

#[test]
fn test_cookie_domain_canonicalization() {
    for (domain, of, expected) in [
        ("; domain=eXample.com", "http://eXample.com", ".example.com"),
        ("; domain=.eXample.com", "http://eXample.com", ".example.com"),
        ("; domain=a.eXample.com", "http://a.eXample.com", ".a.example.com"),
        ("", "http://a.eXample.com", "a.example.com"),
        ("; domain=1.2.3.4", "http://1.2.3.4", "1.2.3.4"),
        ("", "http://1.2.3.4", "1.2.3.4"),
    ] {
        assert_eq!(read(&format!("key=value{domain}"), of)[0].domain(), expected, "{domain} {of}");
    }
}

#[test]
fn test_cookie_expires_date_formats() {
    let field = "format1=true; expires=Wed, 01 Jan 2020 12:30:00 GMT; path=/; domain=swift.org; secure; httponly,\n\
                 format2=true; expires=Wed Jan 1 12:30:00 2020; path=/; domain=swift.org; secure; httponly,\n\
                 format3=true; expires=Wed, 01-Jan-2020 12:30:00 GMT; path=/; domain=swift.org; secure; httponly";
    let cookies = read(field, "https://swift.org");
    assert_eq!(cookies.len(), 3);
    for cookie in cookies {
        assert_eq!(cookie.expires_date(), date(1_577_881_800));
        assert_eq!((cookie.domain(), cookie.path()), (".swift.org", "/"));
    }
}

#[test]
fn test_http_cookie_with_substring() {
    let name = "davesy";
    let properties =
        [(Key::Name, &name[..5]), (Key::Value, "Jonesy".trim()), (Key::Path, "/"), (Key::Domain, ".")];
    let cookie = HttpCookie::new(properties).unwrap();
    assert_eq!((cookie.name(), cookie.domain()), ("daves", "."));
}

#[test]
fn the_fields_of_a_response_are_read_as_they_are_given() {
    let fields =
        [("Set-Cookie", "a=1; Expires=Wed, 01 Jan 2020 12:30:00 GMT"), ("set-cookie", "b=2; Path=/x")];
    let response = urlsession::HttpUrlResponse::new(
        url("https://example.com/"),
        200,
        urlsession::Version::HTTP_11,
        fields,
    );
    let joined = response.unwrap().all_header_fields();
    let cookies = HttpCookie::cookies_with_response_header_fields(joined, &url("https://example.com/"));
    assert_eq!(cookies.iter().map(HttpCookie::path).collect::<Vec<_>>(), ["/", "/x"]);
}
