//! Requests and cookies as serde writes and reads them for an application (feature `serde`). It owns the impls, and the form
//! of cookies; that of requests, which the codec writes too, is in `forms`.
//!
//! In formats with names, missing members have their defaults, and unknown members are ignored.

use std::path::PathBuf;

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cache_policy::CachePolicy;
use super::forms::{
    AttributionForm, CachePolicyForm, Data, Date, NetworkServiceTypeForm, Octets, PathForm, RequestForm,
    UNWRITABLE,
};
use super::request::{Attribution, HttpBody, NetworkServiceType, UrlRequest};
use super::{BodyStream, HttpCookie, HttpCookieStringPolicy};

/// A file is written as its path alone. The reader determines which file that is.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BodyForm {
    #[default]
    None,
    Data(Data),
    File(PathForm),
}

/// A body in memory is written. For a body that is one whole file its path is written, which must name a readable file when the
/// request is read. Any other stream is an error, and so are trailers: they cannot be written. Values of
/// [`set_property`](Self::set_property) are left out. Members have Apple's names in camel case (`httpMethod`); missing members
/// have their defaults when the request is read, and unknown members are ignored.
///
/// The written form contains all secrets of the request: `Authorization` and `Cookie` fields, the password of the URL, the
/// body.
impl Serialize for UrlRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check_fields().map_err(S::Error::custom)?;
        let body = match self.content() {
            HttpBody::None => BodyForm::None,
            HttpBody::Data(data) => BodyForm::Data(Data(data.clone())),
            HttpBody::Stream(stream) => match stream.file() {
                Some((path, _)) if stream.trailers().is_none() => BodyForm::File(PathForm::of(path)),
                _ => return Err(S::Error::custom(UNWRITABLE)),
            },
        };
        RequestForm::of(self, body).serialize(serializer)
    }
}

/// Fails with the errors of the setters, and if the file of the body cannot be read. Errors do not repeat what was read, except
/// for errors of the format itself.
impl<'de> Deserialize<'de> for UrlRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = read::<RequestForm<BodyForm>, D>(deserializer)?;
        let (mut request, body) = form.into_parts().map_err(D::Error::custom)?;
        match body {
            BodyForm::None => {}
            BodyForm::Data(Data(data)) => request.set_http_body(data),
            BodyForm::File(path) => {
                let file = BodyStream::from_file(PathBuf::from(path)).map_err(D::Error::custom)?;
                request.set_http_body_stream(file);
            }
        }
        Ok(request)
    }
}

/// Reads a form. serde's errors contain what was found, which may be a secret in the wrong place.
fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|error| {
        let text = error.to_string();
        // What is wanted comes last, and is not the reader's.
        let Some((found, wanted)) = text.rsplit_once(", expected ") else { return error };
        let what = found.split([':', '`', '"']).next().unwrap_or_default().trim_end();
        D::Error::custom(format_args!("{what}, expected {wanted}"))
    })
}

macro_rules! serialized_as {
    ($($name:ident: $form:ident;)*) => {
        $(
            /// By its name in camel case.
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    $form::serialize(self, serializer)
                }
            }

            /// By its name in camel case.
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    $form::deserialize(deserializer)
                }
            }
        )*
    };
}

serialized_as! {
    CachePolicy: CachePolicyForm;
    NetworkServiceType: NetworkServiceTypeForm;
    Attribution: AttributionForm;
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

/// The written form contains the value.
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

/// Fails for a cookie that could not be sent, as [`new`](Self::new) does. Errors do not repeat what was read, except for errors
/// of the format itself.
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

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::Write;
    use std::time::{Duration, UNIX_EPOCH};

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
