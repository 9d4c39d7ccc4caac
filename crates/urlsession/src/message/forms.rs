//! Requests as they are written: one form for the codec and for the feature `serde`, and the parts it is made of.
//!
//! It owns the written form; the types define the meaning of the members. All members are written, so that formats without
//! names can be used. Values that are read pass the checks of the setters.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;
use urlsession_proto::auth::base64;

use super::cache_policy::CachePolicy;
use super::is_secret;
use super::request::{Attribution, NetworkServiceType, UrlRequest};
use crate::error::without_password;

/// A request with its body in the form `B`. Values of [`UrlRequest::set_property`] are left out.
#[derive(Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a request")]
pub(crate) struct RequestForm<B> {
    url: Option<String>,
    zone_id: Option<String>,
    http_method: String,
    #[serde(deserialize_with = "as_long_as_it_is")]
    all_http_header_fields: Vec<(String, Octets)>,
    body: B,
    timeout_interval: Option<Duration>,
    #[serde(with = "CachePolicyForm")]
    cache_policy: CachePolicy,
    main_document_url: Option<String>,
    #[serde(with = "NetworkServiceTypeForm")]
    network_service_type: NetworkServiceType,
    #[serde(with = "AttributionForm")]
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

impl<B: Default> Default for RequestForm<B> {
    fn default() -> Self {
        let any = Url::parse("data:,").expect("a URL");
        Self { url: None, ..Self::of(&UrlRequest::new(any), B::default()) }
    }
}

impl<B> RequestForm<B> {
    /// The request, with this in place of its body.
    pub(crate) fn of(request: &UrlRequest, body: B) -> Self {
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

    /// As `of`, without what resume data leaves out: secret fields and the passwords of URLs.
    pub(crate) fn without_secrets(request: &UrlRequest, body: B) -> Self {
        let mut form = Self::of(request, body);
        form.all_http_header_fields.retain(|(name, _)| !is_secret(name));
        form.url = Some(without_password(request.url()).into());
        form.main_document_url = request.main_document_url().map(|url| without_password(url).into());
        form
    }

    /// As `without_secrets`, with no field at all.
    pub(crate) fn without_fields(request: &UrlRequest, body: B) -> Self {
        let mut form = Self::without_secrets(request, body);
        form.all_http_header_fields.clear();
        form
    }

    /// The request without a body, and the body. Errors do not repeat what was read.
    pub(crate) fn into_parts(self) -> Result<(UrlRequest, B), String> {
        let text = self.url.ok_or("the url of the request is missing")?;
        let mut request = UrlRequest::new(url(&text, "url")?);
        request.set_zone_id(self.zone_id.as_deref());
        request.set_http_method(self.http_method.as_str()).map_err(|error| error.to_string())?;
        for (name, Octets(value)) in self.all_http_header_fields {
            request.fields_mut().append(name, value).map_err(|error| error.to_string())?;
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
        Ok((request, self.body))
    }
}

/// The text may hold a password, and is not repeated in the error.
fn url(text: &str, member: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("{member} is not a URL: {error}"))
}

/// Why a body cannot be written.
pub(crate) const UNWRITABLE: &str =
    "a body stream cannot be serialized, unless it is one whole file without trailers";

#[derive(Serialize, Deserialize)]
#[serde(remote = "CachePolicy", rename_all = "camelCase")]
pub(super) enum CachePolicyForm {
    UseProtocolCachePolicy,
    ReloadIgnoringLocalCacheData,
    ReturnCacheDataElseLoad,
    ReturnCacheDataDontLoad,
    ReloadIgnoringLocalAndRemoteCacheData,
    ReloadRevalidatingCacheData,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NetworkServiceType", rename_all = "camelCase")]
pub(super) enum NetworkServiceTypeForm {
    Default,
    Video,
    Background,
    Voice,
    ResponsiveData,
    AvStreaming,
    ResponsiveAv,
    CallSignaling,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Attribution", rename_all = "camelCase")]
pub(super) enum AttributionForm {
    Developer,
    User,
}

/// Bytes that nearly always are text. Others are U+0001 and then one character (ISO-8859-1) for each byte.
pub(crate) struct Octets(pub(crate) Bytes);

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
pub(crate) struct Data(pub(crate) Bytes);

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

/// Time since 1970. serde's own form of a date cannot hold earlier dates.
#[derive(Serialize, Deserialize)]
pub(crate) struct Date {
    seconds: i64,
    nanoseconds: u32,
}

impl Date {
    pub(crate) fn of(date: SystemTime) -> Self {
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

    pub(crate) fn date(self) -> Result<SystemTime, &'static str> {
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

/// A path: its bytes on Unix. Elsewhere a path that is not Unicode is written with replacements, and names no file.
#[derive(Serialize, Deserialize)]
pub(crate) struct PathForm(Octets);

impl PathForm {
    pub(crate) fn of(path: &Path) -> Self {
        #[cfg(unix)]
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        #[cfg(not(unix))]
        let text = path.to_string_lossy();
        #[cfg(not(unix))]
        let bytes = text.as_bytes();
        Self(Octets(Bytes::copy_from_slice(bytes)))
    }
}

impl From<PathForm> for PathBuf {
    fn from(PathForm(Octets(bytes)): PathForm) -> Self {
        #[cfg(unix)]
        return <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes.into()).into();
        #[cfg(not(unix))]
        return String::from_utf8_lossy(&bytes).into_owned().into();
    }
}

/// A list of any length. Nothing is allocated for items before they are present.
fn as_long_as_it_is<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Items<T>(Vec<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Vec<T>, A::Error> {
            while let Some(item) = items.next_element()? {
                self.0.push(item);
            }
            Ok(self.0)
        }
    }

    deserializer.deserialize_seq(Items(Vec::new()))
}
