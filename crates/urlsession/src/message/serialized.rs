//! Requests and cookies as serde writes and reads them (feature `serde`). It owns the written form; what a field means is
//! the business of the types.
//!
//! All members are written, so that formats without names can be used; of formats with names, members may be missing
//! and have their defaults then, and unknown ones are ignored. What is read passes the checks of the setters.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;
use urlsession_proto::auth::base64;

use super::cache_policy::CachePolicy;
use super::request::{Attribution, HttpBody, NetworkServiceType, UrlRequest};
use super::{BodyStream, HttpCookie, HttpCookieStringPolicy};

#[derive(Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a request")]
struct RequestForm {
    url: Option<String>,
    zone_id: Option<String>,
    http_method: String,
    all_http_header_fields: Vec<(String, Octets)>,
    body: BodyForm,
    timeout_interval: Option<Duration>,
    cache_policy: CachePolicy,
    main_document_url: Option<String>,
    network_service_type: NetworkServiceType,
    attribution: Attribution,
    cookie_partition_identifier: Option<String>,
    http_should_handle_cookies: bool,
    http_should_use_pipelining: bool,
    allows_cellular_access: bool,
    allows_expensive_network_access: bool,
    allows_constrained_network_access: bool,
    allows_ultra_constrained_network_access: bool,
    assumes_http3_capable: bool,
    requires_dnssec_validation: bool,
    allows_persistent_dns: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BodyForm {
    #[default]
    None,
    Data(Data),
    File(PathBuf),
}

impl Default for RequestForm {
    fn default() -> Self {
        let any = Url::parse("data:,").expect("a URL");
        Self { url: None, ..Self::of(&UrlRequest::new(any), BodyForm::None) }
    }
}

impl RequestForm {
    fn of(request: &UrlRequest, body: BodyForm) -> Self {
        Self {
            url: Some(request.url().to_string()),
            zone_id: request.zone_id().map(Into::into),
            http_method: request.http_method().as_str().into(),
            all_http_header_fields: request
                .fields()
                .iter()
                .map(|(name, value)| (name.into(), Octets(Bytes::copy_from_slice(value))))
                .collect(),
            body,
            timeout_interval: request.timeout_interval(),
            cache_policy: request.cache_policy(),
            main_document_url: request.main_document_url().map(Url::to_string),
            network_service_type: request.network_service_type(),
            attribution: request.attribution(),
            cookie_partition_identifier: request.cookie_partition_identifier().map(Into::into),
            http_should_handle_cookies: request.http_should_handle_cookies(),
            http_should_use_pipelining: request.http_should_use_pipelining(),
            allows_cellular_access: request.allows_cellular_access(),
            allows_expensive_network_access: request.allows_expensive_network_access(),
            allows_constrained_network_access: request.allows_constrained_network_access(),
            allows_ultra_constrained_network_access: request.allows_ultra_constrained_network_access(),
            assumes_http3_capable: request.assumes_http3_capable(),
            requires_dnssec_validation: request.requires_dnssec_validation(),
            allows_persistent_dns: request.allows_persistent_dns(),
        }
    }

    fn request(self) -> Result<UrlRequest, String> {
        let text = self.url.ok_or("the url of the request is missing")?;
        let mut request = UrlRequest::new(url(&text, "url")?);
        request.set_zone_id(self.zone_id.as_deref());
        request.set_http_method(self.http_method.as_str()).map_err(|error| error.to_string())?;
        for (name, Octets(value)) in self.all_http_header_fields {
            request.fields_mut().append(name, value).map_err(|error| error.to_string())?;
        }
        match self.body {
            BodyForm::None => {}
            BodyForm::Data(Data(data)) => request.set_http_body(data),
            BodyForm::File(path) => {
                let file = BodyStream::from_file(path).map_err(|error| error.to_string())?;
                request.set_http_body_stream(file);
            }
        }
        request.set_timeout_interval(self.timeout_interval);
        request.set_cache_policy(self.cache_policy);
        let main_document = self.main_document_url.map(|text| url(&text, "mainDocumentUrl"));
        request.set_main_document_url(main_document.transpose()?);
        request.set_network_service_type(self.network_service_type);
        request.set_attribution(self.attribution);
        request.set_cookie_partition_identifier(self.cookie_partition_identifier.as_deref());
        request.set_http_should_handle_cookies(self.http_should_handle_cookies);
        request.set_http_should_use_pipelining(self.http_should_use_pipelining);
        request.set_allows_cellular_access(self.allows_cellular_access);
        request.set_allows_expensive_network_access(self.allows_expensive_network_access);
        request.set_allows_constrained_network_access(self.allows_constrained_network_access);
        request.set_allows_ultra_constrained_network_access(self.allows_ultra_constrained_network_access);
        request.set_assumes_http3_capable(self.assumes_http3_capable);
        request.set_requires_dnssec_validation(self.requires_dnssec_validation);
        request.set_allows_persistent_dns(self.allows_persistent_dns);
        Ok(request)
    }
}

/// The text may hold a password, and is not repeated in the error.
fn url(text: &str, member: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{member} is not a URL: {error}"))
}

/// A body in memory is written, and of a body that is one whole file its path, which must name a readable file when it
/// is read. Any other stream is an error, and so are trailers: they cannot be written. What
/// [`set_property`](Self::set_property) noted is left out. Members have Apple's names in camel case (`httpMethod`); missing
/// ones have their defaults when it is read, and unknown ones are ignored.
///
/// All secrets of the request are in what is written: `Authorization` and `Cookie` fields, the password of the URL, the
/// body.
impl Serialize for UrlRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = match self.content() {
            HttpBody::None => BodyForm::None,
            HttpBody::Data(data) => BodyForm::Data(Data(data.clone())),
            HttpBody::Stream(stream) => match stream.file() {
                Some((path, _)) if stream.trailers().is_none() => BodyForm::File(path.into()),
                _ => {
                    let what =
                        "a body stream cannot be serialized, unless it is one whole file without trailers";
                    return Err(S::Error::custom(what));
                }
            },
        };
        RequestForm::of(self, body).serialize(serializer)
    }
}

/// Fails with what the setters refuse, and if the file of the body cannot be read. Errors do not repeat what was read, as far
/// as they are not the format's own.
impl<'de> Deserialize<'de> for UrlRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<RequestForm, D>(deserializer)?.request().map_err(D::Error::custom)
    }
}

/// Reads a form. serde tells what it found in the place of what it wants, which may be a secret in the wrong place.
fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|error| {
        let text = error.to_string();
        // What is wanted comes last, and is not the reader's.
        let Some((found, wanted)) = text.rsplit_once(", expected ") else { return error };
        let what = found.split([':', '`', '"']).next().unwrap_or_default().trim_end();
        D::Error::custom(format_args!("{what}, expected {wanted}"))
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a cookie")]
struct CookieForm {
    name: Octets,
    value: Octets,
    domain: String,
    path: String,
    #[serde(default)]
    expires_date: Option<Date>,
    #[serde(default)]
    is_secure: bool,
    #[serde(default)]
    is_http_only: bool,
    #[serde(default)]
    is_partitioned: bool,
    #[serde(default)]
    is_set_by_javascript: bool,
    #[serde(default)]
    version: u8,
    #[serde(default)]
    same_site_policy: Option<HttpCookieStringPolicy>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    comment_url: Option<String>,
    #[serde(default)]
    port_list: Option<Vec<u16>>,
}

/// The value is in what is written.
impl Serialize for HttpCookie {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = CookieForm {
            name: Octets(Bytes::copy_from_slice(self.name_bytes())),
            value: Octets(Bytes::copy_from_slice(self.value_bytes())),
            domain: self.domain().into(),
            path: self.path().into(),
            expires_date: self.expires_date().map(Date::of),
            is_secure: self.is_secure(),
            is_http_only: self.is_http_only(),
            is_partitioned: self.is_partitioned(),
            is_set_by_javascript: self.is_set_by_javascript(),
            version: self.version(),
            same_site_policy: self.same_site_policy(),
            comment: self.comment().map(Into::into),
            comment_url: self.comment_url().map(Into::into),
            port_list: self.port_list().map(Into::into),
        };
        form.serialize(serializer)
    }
}

/// Fails for a cookie that could not be sent, as [`new`](Self::new) does. Errors do not repeat what was read, as far as they
/// are not the format's own.
impl<'de> Deserialize<'de> for HttpCookie {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = read::<CookieForm, D>(deserializer)?;
        let texts = [&*form.path, &*form.domain];
        if !Self::is_sendable(&form.name.0, &form.value.0, texts) {
            return Err(D::Error::custom("the cookie could not be sent: see HttpCookie::new"));
        }
        let ports = form.port_list.map(|ports| super::ports_text(&ports));
        let legacy = [form.comment.as_deref(), form.comment_url.as_deref(), ports.as_deref()];
        let expires = form.expires_date.map(Date::date).transpose().map_err(D::Error::custom)?;
        Ok(Self::imported(&form.name.0, &form.value.0, &form.domain, &form.path)
            .with(expires, form.is_secure, form.is_http_only)
            .with_rest(
                form.same_site_policy,
                form.is_partitioned,
                form.is_set_by_javascript,
                form.version,
                legacy,
            ))
    }
}

/// Bytes that nearly always are text. Others are U+0001 and then one character (ISO-8859-1) for each byte.
struct Octets(Bytes);

const NOT_UTF8: char = '\u{1}';

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with(NOT_UTF8) => serializer.serialize_str(text),
            _ => {
                let latin1 = self.0.iter().copied().map(char::from);
                serializer.collect_str(&std::iter::once(NOT_UTF8).chain(latin1).collect::<String>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(latin1) = text.strip_prefix(NOT_UTF8) else { return Ok(Self(text.into())) };
        let bytes: Result<Vec<u8>, _> = latin1.chars().map(u8::try_from).collect();
        bytes
            .map(|bytes| Self(bytes.into()))
            .map_err(|_| D::Error::custom("a character above U+00FF in bytes"))
    }
}

/// Bytes of any kind: base64 in formats that people read.
struct Data(Bytes);

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.serialize_str(&base64::encode(&self.0)),
            false => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return deserializer.deserialize_byte_buf(Buffer).map(|bytes| Self(bytes.into()));
        }
        let text = String::deserialize(deserializer)?;
        let bytes = base64::decode(&text).ok_or_else(|| D::Error::custom("the body is not base64"))?;
        Ok(Self(bytes.into()))
    }
}

struct Buffer;

impl<'de> Visitor<'de> for Buffer {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Since 1970. serde's own form of a date has none before.
#[derive(Serialize, Deserialize)]
struct Date {
    seconds: i64,
    nanoseconds: u32,
}

impl Date {
    fn of(date: SystemTime) -> Self {
        let whole = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX - 1);
        match date.duration_since(UNIX_EPOCH) {
            Ok(since) => Self { seconds: whole(since), nanoseconds: since.subsec_nanos() },
            Err(before) => match before.duration().subsec_nanos() {
                0 => Self { seconds: -whole(before.duration()), nanoseconds: 0 },
                // The fraction counts on from the second before.
                rest => {
                    Self { seconds: -whole(before.duration()) - 1, nanoseconds: NANOS_IN_A_SECOND - rest }
                }
            },
        }
    }

    fn date(self) -> Result<SystemTime, &'static str> {
        let since = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds < 0 {
            true => UNIX_EPOCH.checked_sub(since),
            false => UNIX_EPOCH.checked_add(since),
        };
        let rest = Duration::from_nanos(self.nanoseconds.into());
        second.and_then(|date| date.checked_add(rest)).ok_or("a date that this platform does not know")
    }
}

const NANOS_IN_A_SECOND: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::Write;

    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;
    use crate::message::HttpCookiePropertyKey as Key;

    /// Through a format with names that people read, and one without names.
    fn through<T: Serialize + DeserializeOwned>(value: &T) -> [T; 2] {
        let text = serde_json::to_string(value).unwrap();
        let bytes = postcard::to_allocvec(value).unwrap();
        [serde_json::from_str(&text).unwrap(), postcard::from_bytes(&bytes).unwrap()]
    }

    fn request(url: &str) -> UrlRequest {
        UrlRequest::new(url.parse().unwrap())
    }

    fn error_of<T: DeserializeOwned>(value: serde_json::Value) -> String {
        match serde_json::from_value::<T>(value) {
            Ok(_) => panic!("it was read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_request_comes_back_with_all_that_was_set() -> Result<(), Box<dyn Error>> {
        let mut all = request("https://ann:secret@example.com/a?b#c");
        all.set_http_method("PATCH")?;
        all.set_value("X-Text", "Grüße")?;
        all.set_value("X-Latin-1", b"caf\xe9")?;
        all.set_value("X-Marked", b"\x01a")?;
        all.set_http_body(&b"\0\xff body"[..]);
        all.set_timeout_interval(Duration::from_millis(1500));
        all.set_cache_policy(CachePolicy::ReturnCacheDataElseLoad);
        all.set_main_document_url(Some("https://example.org/".parse()?));
        all.set_network_service_type(NetworkServiceType::Video);
        all.set_attribution(Attribution::User);
        all.set_cookie_partition_identifier(Some("https://example.org"));
        let mut flags = request("http://[fe80::1]/");
        flags.set_zone_id(Some("eth0"));
        flags.set_http_should_handle_cookies(false);
        flags.set_http_should_use_pipelining(true);
        flags.set_allows_cellular_access(false);
        flags.set_allows_expensive_network_access(false);
        flags.set_allows_constrained_network_access(false);
        flags.set_allows_ultra_constrained_network_access(false);
        flags.set_assumes_http3_capable(true);
        flags.set_requires_dnssec_validation(true);
        flags.set_allows_persistent_dns(true);
        for request in [all, flags, request("data:,x")] {
            for read in through(&request) {
                // Bodies and fields are compared by `==`, zones and flags too.
                assert!(read == request, "{read:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_body_that_is_a_file_is_its_path_and_any_other_stream_an_error() -> Result<(), Box<dyn Error>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(b"from the file")?;
        let mut request = request("http://example.com/");
        request.set_http_body_stream(BodyStream::from_file(file.path())?);
        for read in through(&request) {
            let stream = read.http_body_stream().unwrap();
            assert_eq!((stream.length(), stream.file().unwrap().0), (Some(13), file.path()));
        }
        let text = serde_json::to_string(&request)?;
        drop(file);
        let error = serde_json::from_str::<UrlRequest>(&text).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");

        request.set_http_body_stream(BodyStream::from_reader(std::io::empty()));
        let error = serde_json::to_string(&request).unwrap_err().to_string();
        assert!(error.contains("a body stream cannot be serialized"), "{error}");
        Ok(())
    }

    #[test]
    fn what_is_missing_is_as_in_a_new_request_and_what_is_unknown_is_ignored() {
        let read: UrlRequest =
            serde_json::from_value(json!({ "url": "http://example.com/", "sinceVersion9": 1 })).unwrap();
        assert!(read == request("http://example.com/"));
    }

    #[test]
    fn what_the_setters_refuse_is_refused_without_its_secret() {
        for (member, value) in [
            ("url", json!("http://ann:secret@exa mple/")),
            ("httpMethod", json!("G T")),
            ("allHttpHeaderFields", json!([["X", "secret\r\nHost: b"]])),
            ("allHttpHeaderFields", json!([["X Y", "secret"]])),
            ("allHttpHeaderFields", json!([["X", "\u{1}secret\u{100}"]])),
            ("body", json!({ "data": "sec ret" })),
            ("body", json!({ "file": "/does/not/exist" })),
            ("cachePolicy", json!("whenever")),
        ] {
            let error = error_of::<UrlRequest>(json!({ member: value }));
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_refused_without_what_it_is() {
        for (read, wanted) in [
            (json!("http://ann:secret@example.com/"), "a request"),
            (json!({ "url": ["secret"] }), "a string"),
            (json!({ "body": "secret" }), "one of `none`, `data`, `file`"),
            (json!({ "body": { "secret, expected `": 1 } }), "one of `none`, `data`, `file`"),
            (json!({ "allHttpHeaderFields": "Authorization: secret" }), "a sequence"),
            (json!({ "allHttpHeaderFields": ["\"secret\""] }), "a tuple of size 2"),
            (json!({ "timeoutInterval": "secret" }), "struct Duration"),
        ] {
            let text = read.to_string();
            let error = serde_json::from_str::<UrlRequest>(&text).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(&format!(", expected {wanted}")) && !said.contains("secret"), "{said}");
            assert_eq!(error.line(), 1, "{said}");
        }
        for number in [json!(1729), json!(-1729), json!(true)] {
            let cookie = json!({ "name": "a", "value": number, "domain": "example.com", "path": "/" });
            assert_eq!(error_of::<HttpCookie>(cookie), "invalid type, expected a string");
        }
        let missing = error_of::<HttpCookie>(json!({ "name": "a" }));
        assert_eq!(missing, "missing field `value`");
    }

    #[test]
    fn a_cookie_comes_back_with_all_that_it_has() {
        let made = HttpCookie::new([
            (Key::Name, "name"),
            (Key::Value, "väl ue"),
            (Key::Domain, ".example.com"),
            (Key::Path, "/a"),
            (Key::Version, "1"),
            (Key::Discard, "FALSE"),
            (Key::Expires, "Wed, 01 Jan 2020 12:30:00 GMT"),
            (Key::Secure, "TRUE"),
            (Key::SameSitePolicy, "lax"),
            (Key::SetByJavaScript, "TRUE"),
            (Key::Comment, "why"),
            (Key::CommentUrl, "/why"),
            (Key::Port, "80,443"),
        ]);
        let url = "https://example.com/".parse().unwrap();
        let fields = [("Set-Cookie", "a=b; Partitioned; Secure; HttpOnly; Max-Age=60; SameSite=Strict")];
        let set = HttpCookie::cookies_with_response_header_fields(fields, &url);
        let bytes = HttpCookie::imported(b"n\xe9", b"\xff", "example.com", "/");
        let old = UNIX_EPOCH - Duration::from_nanos(1_500_000_000);
        let old = [old, UNIX_EPOCH - Duration::from_secs(7)]
            .map(|date| bytes.clone().with(Some(date), false, false));
        for cookie in made.into_iter().chain(set).chain(old).chain([bytes]) {
            for read in through(&cookie) {
                assert!(read == cookie, "{read:?} {cookie:?}");
            }
        }
    }

    #[test]
    fn a_cookie_that_could_not_be_sent_is_refused_without_its_value() {
        for (name, value, path) in [
            ("a=b", "secret", "/"),
            ("a;b", "secret", "/"),
            ("a", "secret\r\nX: y", "/"),
            ("a", "secret;", "/"),
            ("a", "secret", "x"),
            ("a", &"secret".repeat(1000), "/"),
        ] {
            let cookie = json!({ "name": name, "value": value, "domain": "example.com", "path": path });
            let error = error_of::<HttpCookie>(cookie);
            assert!(error.contains("could not be sent") && !error.contains("secret"), "{error}");
        }
    }
}
