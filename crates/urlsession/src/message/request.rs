//! `UrlRequest`: what to load and how. A value: a task works on the copy it was created with.
//!
//! Apple: *URLRequest*. Nothing here edits a request on the way to the server; layers add fields beside it.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::{Host, Url};

use super::cache_policy::CachePolicy;
use super::property::Properties;
use super::{BodyStream, HeaderFields, InvalidHeaderField};
use crate::error::{Phase, Result, UrlError, UrlErrorCode, without_password};

/// A URL load request: URL, method, header fields, body, and the policies of this one load.
///
/// Policies left unset fall back to the session's [`Configuration`](crate::Configuration).
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "URLRequest")]
#[doc(alias = "NSMutableURLRequest")]
#[doc(alias = "NSURLRequest")]
pub struct UrlRequest {
    url: Url,
    method: Method,
    fields: HeaderFields,
    body: HttpBody,
    timeout: Option<Duration>,
    #[doc(alias = "cachePolicy")]
    cache_policy: CachePolicy,
    main_document_url: Option<Box<Url>>,
    #[doc(alias = "networkServiceType")]
    network_service_type: NetworkServiceType,
    attribution: Attribution,
    #[doc(alias = "cookiePartitionIdentifier")]
    cookie_partition_identifier: Option<Box<str>>,
    zone_id: Option<Box<str>>,
    properties: Properties,
    flags: u16,
    /// The first field that a chain could not set.
    refused: Option<Box<InvalidHeaderField>>,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HttpBody {
    /// No body.
    #[default]
    None,
    /// Bytes in memory.
    Data(Bytes),
    /// Bytes produced while they are sent.
    Stream(BodyStream),
}

impl HttpBody {
    /// Length in bytes: 0 without a body, `None` for a stream of unknown length.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Data(data) => Some(data.len() as u64),
            Self::Stream(stream) => stream.length(),
        }
    }

    /// Nothing to send: an empty body is no body, as Apple treats it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Data(data) => data.is_empty(),
            Self::Stream(_) => false,
        }
    }
}

impl UrlRequest {
    /// A GET request for `url`.
    #[doc(alias = "init(url:cachePolicy:timeoutInterval:)")]
    #[doc(alias = "init(url:)")]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            method: Method::GET,
            fields: HeaderFields::new(),
            body: HttpBody::None,
            timeout: None,
            cache_policy: CachePolicy::default(),
            main_document_url: None,
            network_service_type: NetworkServiceType::default(),
            attribution: Attribution::default(),
            cookie_partition_identifier: None,
            zone_id: None,
            properties: Properties::default(),
            flags: HANDLES_COOKIES | CELLULAR | EXPENSIVE | CONSTRAINED | ULTRA_CONSTRAINED,
            refused: None,
        }
    }

    /// The URL. Text that is not a URL cannot become a request: see [`IntoUrlRequest`](crate::IntoUrlRequest).
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Changes the URL. The [zone](Self::zone_id) is kept only if the host stays the same.
    #[doc(alias = "url")]
    pub fn set_url(&mut self, url: Url) {
        if self.zone_id.is_some() && url.host() != self.url.host() {
            self.zone_id = None;
        }
        self.url = url;
    }

    /// The zone in which the URL's IPv6 address is meant: the name or the number of an interface of this machine, such
    /// as `eth0`. Link-local addresses (`fe80::/10`) need one. Default: `None`.
    ///
    /// A [`Url`] cannot hold a zone; in text the zone follows the address, as in `http://[fe80::1%25eth0]/` (RFC 6874 §2), and
    /// is read from there. The zone says where to connect to, and is not sent. Extension: no counterpart in Apple's API.
    ///
    /// One address in two zones is two hosts, which share no connection, TLS session, certificate, login or decision.
    /// [Protection spaces](crate::authentication::UrlProtectionSpace::host) name the zone: `[fe80::1%eth0]`. The machine that
    /// has the address differs with the network, so no store keeps anything for it: loads of a request with a zone neither read
    /// nor change cookies, the cache, stored credentials and what is known of servers for uploads. A password is requested for
    /// every load, whatever its persistence, TLS sessions are not resumed, and an upload is not recorded for a later run.
    /// [`ResumeData`](crate::ResumeData) names the zone.
    ///
    /// A redirect to the same address stays in the zone; any other host has no zone.
    pub fn zone_id(&self) -> Option<&str> {
        self.zone_id.as_deref()
    }

    /// Changes the [zone](Self::zone_id). It has no effect unless the host of the URL is an IPv6 address.
    pub fn set_zone_id(&mut self, zone: Option<&str>) {
        self.zone_id = zone.filter(|zone| !zone.is_empty()).map(Into::into);
    }

    /// The zone that counts.
    pub(crate) fn effective_zone_id(&self) -> Option<&str> {
        let zone = self.zone_id.as_deref()?;
        matches!(self.url.host(), Some(Host::Ipv6(_))).then_some(zone)
    }

    /// The URL, if it names the same host on every network: stores are used for no other URL. A host in a zone is any machine
    /// that has its address on the present network.
    pub(crate) fn url_for_stores(&self) -> Option<&Url> {
        Some(&self.url).filter(|_| self.effective_zone_id().is_none())
    }

    /// The method. Default: `GET`.
    #[doc(alias = "httpMethod")]
    pub fn http_method(&self) -> &Method {
        &self.method
    }

    /// Changes the method: a [`Method`] or text. `GET`, `HEAD`, `POST`, `PUT`, `DELETE` and `CONNECT` are upper-cased, others
    /// are sent as spelled (RFC 9110 §9.1: methods are case-sensitive). Fails, changing nothing, if it is not a token.
    pub fn set_http_method<M>(&mut self, method: M) -> Result<()>
    where
        M: TryInto<Method, Error: std::error::Error + Send + Sync + 'static>,
    {
        let detail = "the HTTP method is not a token (RFC 9110 §9.1)";
        let refused = || UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail);
        let method = method.try_into().map_err(|error| refused().with_source(error))?;
        let normalized = urlsession_proto::method::normalize(method.as_str());
        self.method = normalized.map_err(|error| refused().with_source(error))?;
        Ok(())
    }

    /// The body.
    pub fn content(&self) -> &HttpBody {
        &self.body
    }

    /// The body, if it is in memory.
    #[doc(alias = "httpBody")]
    pub fn http_body(&self) -> Option<&Bytes> {
        match &self.body {
            HttpBody::Data(data) => Some(data),
            _ => None,
        }
    }

    /// Sends `data` as the body, with its length; replaces a body stream.
    pub fn set_http_body(&mut self, data: impl Into<Bytes>) {
        self.body = HttpBody::Data(data.into());
    }

    /// The body, if it is a stream.
    #[doc(alias = "httpBodyStream")]
    pub fn http_body_stream(&self) -> Option<&BodyStream> {
        match &self.body {
            HttpBody::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Sends a stream as the body; replaces a body in memory.
    pub fn set_http_body_stream(&mut self, stream: BodyStream) {
        self.body = HttpBody::Stream(stream);
    }

    /// Sends no body.
    pub fn remove_http_body(&mut self) {
        self.body = HttpBody::None;
    }

    /// Name and value of every header field line set on this request, in order, names spelled as they were set.
    #[doc(alias = "allHTTPHeaderFields")]
    pub fn all_http_header_fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }

    /// The header fields set on this request, with lower-case names and every value. The map is built on first use. It leaves
    /// out values with a control character, which [`HeaderMap`] cannot hold.
    pub fn headers(&self) -> &HeaderMap {
        self.fields.map()
    }

    /// Replaces all header fields. Several values of one name are sent as field lines of their own; HTTP/1.1 names are sent
    /// with every word capitalised (`Content-Type`).
    #[doc(alias = "allHTTPHeaderFields")]
    pub fn set_headers(&mut self, headers: &HeaderMap) {
        self.fields = HeaderFields::of_map(headers);
    }

    /// The value of a header field, if it is UTF-8; names compare without case. Several values are one list, joined by `, `
    /// (RFC 9110 §5.3).
    #[doc(alias = "valueForHTTPHeaderField")]
    #[doc(alias = "value(forHTTPHeaderField:)")]
    pub fn value(&self, name: impl AsRef<str>) -> Option<&str> {
        self.fields.value(name.as_ref())
    }

    /// Replaces all values of a header field. On error nothing changes.
    #[doc(alias = "setValue:forHTTPHeaderField:")]
    #[doc(alias = "setValue(_:forHTTPHeaderField:)")]
    pub fn set_value(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeaderField> {
        self.fields.set(name.as_ref().to_owned(), Bytes::copy_from_slice(value.as_ref()))
    }

    /// Appends to the value of a header field, separated by a comma, or sets it. On error nothing changes.
    #[doc(alias = "addValue:forHTTPHeaderField:")]
    #[doc(alias = "addValue(_:forHTTPHeaderField:)")]
    pub fn add_value(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeaderField> {
        self.fields.add(name.as_ref().to_owned(), Bytes::copy_from_slice(value.as_ref()))
    }

    /// Removes a header field; true if it was there.
    pub fn remove_value(&mut self, name: impl AsRef<str>) -> bool {
        self.fields.remove(name.as_ref())
    }

    pub(super) fn append_value(&mut self, name: &str, value: &[u8]) {
        if let Err(error) = self.fields.append(name.to_owned(), Bytes::copy_from_slice(value)) {
            self.refuse(error);
        }
    }

    /// Keeps the first error of a field; every load of the request fails with it.
    pub(super) fn refuse(&mut self, error: InvalidHeaderField) {
        self.refused.get_or_insert_with(|| Box::new(error));
    }

    /// Fails if a field of the request could not be set.
    pub(crate) fn check_fields(&self) -> Result<()> {
        match &self.refused {
            None => Ok(()),
            Some(refused) => Err(UrlError::from((**refused).clone())),
        }
    }

    pub(super) fn url_mut(&mut self) -> &mut Url {
        &mut self.url
    }

    pub(super) fn set_content(&mut self, body: HttpBody) {
        self.body = body;
    }

    pub(crate) fn fields(&self) -> &HeaderFields {
        &self.fields
    }

    pub(crate) fn fields_mut(&mut self) -> &mut HeaderFields {
        &mut self.fields
    }

    /// The longest time without a byte in either direction before the load fails with [`TimedOut`](UrlErrorCode::TimedOut).
    /// Default: `None`, which is the configuration's `timeout_interval_for_request`. Fractions of a second count; zero fails at
    /// the first wait.
    #[doc(alias = "timeoutInterval")]
    pub fn timeout_interval(&self) -> Option<Duration> {
        self.timeout
    }

    /// Changes [`timeout_interval`](Self::timeout_interval).
    pub fn set_timeout_interval(&mut self, timeout: impl Into<Option<Duration>>) {
        self.timeout = timeout.into();
    }

    /// How the load uses the cache. Default: [`UseProtocolCachePolicy`](CachePolicy::UseProtocolCachePolicy), which is the
    /// configuration's `request_cache_policy`.
    pub fn cache_policy(&self) -> CachePolicy {
        self.cache_policy
    }

    /// Changes [`cache_policy`](Self::cache_policy).
    #[doc(alias = "cachePolicy")]
    pub fn set_cache_policy(&mut self, policy: CachePolicy) {
        self.cache_policy = policy;
    }

    /// The first party, for cookie policies: the document that the user sees and that this request is loaded for. Default:
    /// `None`, which is the URL itself, also after a redirect.
    #[doc(alias = "mainDocumentURL")]
    pub fn main_document_url(&self) -> Option<&Url> {
        self.main_document_url.as_deref()
    }

    /// Changes [`main_document_url`](Self::main_document_url).
    pub fn set_main_document_url(&mut self, url: Option<Url>) {
        self.main_document_url = url.map(Box::new);
    }

    /// The service type of the traffic, a hint to the network. Default: that of the configuration. See
    /// [`Configuration::network_service_type`](field@crate::Configuration::network_service_type).
    pub fn network_service_type(&self) -> NetworkServiceType {
        self.network_service_type
    }

    /// Changes [`network_service_type`](Self::network_service_type).
    #[doc(alias = "networkServiceType")]
    pub fn set_network_service_type(&mut self, kind: NetworkServiceType) {
        self.network_service_type = kind;
    }

    /// Who caused the load. Default: the developer's code. Stored only: it is for the application's own records. Apple's
    /// systems show it in their privacy reports, which the systems here do not have, and do not send it either.
    pub fn attribution(&self) -> Attribution {
        self.attribution
    }

    /// Changes [`attribution`](Self::attribution).
    #[doc(alias = "attribution")]
    pub fn set_attribution(&mut self, attribution: Attribution) {
        self.attribution = attribution;
    }

    /// The partition of the cookie store, a site such as `https://example.com`. Default: none. The load sends and keeps only
    /// the cookies of this partition.
    pub fn cookie_partition_identifier(&self) -> Option<&str> {
        self.cookie_partition_identifier.as_deref()
    }

    /// Changes [`cookie_partition_identifier`](Self::cookie_partition_identifier).
    #[doc(alias = "cookiePartitionIdentifier")]
    pub fn set_cookie_partition_identifier(&mut self, partition: Option<&str>) {
        self.cookie_partition_identifier = partition.map(Into::into);
    }

    /// The value that a custom protocol has attached to the request under this name, if it is a `T`.
    #[doc(alias = "property(forKey:in:)")]
    pub fn property<T: Any>(&self, key: &str) -> Option<&T> {
        self.properties.get(key)
    }

    /// Attaches a value to the request, for custom protocols. The value is not sent; the requests of redirects keep it.
    #[doc(alias = "setProperty(_:forKey:in:)")]
    pub fn set_property(&mut self, key: &str, value: impl Any + Send + Sync) {
        self.properties.set(key, Arc::new(value));
    }

    /// Removes an attached value; true if it was there.
    #[doc(alias = "removeProperty(forKey:in:)")]
    pub fn remove_property(&mut self, key: &str) -> bool {
        self.properties.remove(key)
    }

    /// Whether the request is for a part of the representation (RFC 9110 §14.2).
    pub(crate) fn asks_for_range(&self) -> bool {
        self.fields.contains("range")
    }

    pub(crate) fn allows_all_networks(&self) -> bool {
        const ALL: u16 = CELLULAR | EXPENSIVE | CONSTRAINED | ULTRA_CONSTRAINED;
        self.flags & ALL == ALL
    }

    pub(crate) fn set_method(&mut self, method: Method) {
        self.method = method;
    }
}

macro_rules! flags {
    ($($bit:ident, $get:ident, $set:ident, $alias:literal: $doc:literal;)*) => {
        impl UrlRequest {
            $(
                #[doc = $doc]
                #[doc(alias = $alias)]
                pub fn $get(&self) -> bool {
                    self.flags & $bit != 0
                }

                #[doc = concat!("Changes [`", stringify!($get), "`](Self::", stringify!($get), ").")]
                pub fn $set(&mut self, value: bool) {
                    self.flags = if value { self.flags | $bit } else { self.flags & !$bit };
                }
            )*
        }
    };
}

const HANDLES_COOKIES: u16 = 1;
const PIPELINING: u16 = 1 << 1;
const CELLULAR: u16 = 1 << 2;
const EXPENSIVE: u16 = 1 << 3;
const CONSTRAINED: u16 = 1 << 4;
const ULTRA_CONSTRAINED: u16 = 1 << 5;
const HTTP3: u16 = 1 << 6;
const DNSSEC: u16 = 1 << 7;
const PERSISTENT_DNS: u16 = 1 << 8;

flags! {
    HANDLES_COOKIES, http_should_handle_cookies, set_http_should_handle_cookies, "httpShouldHandleCookies":
        "Whether cookies of the store are sent with this load, and those of its response kept. Default: `true`. Without effect if the configuration has no store. A `Cookie` field of the request is sent either way.";
    PIPELINING, http_should_use_pipelining, set_http_should_use_pipelining, "httpShouldUsePipelining":
        "Stored only. Default: `false`. Requests are never pipelined, as [`Configuration::http_should_use_pipelining`](crate::Configuration::http_should_use_pipelining) explains.";
    CELLULAR, allows_cellular_access, set_allows_cellular_access, "allowsCellularAccess":
        "Whether cellular interfaces may be used. Default: `true`. The stricter of this and [`Configuration::allows_cellular_access`](crate::Configuration::allows_cellular_access) applies, whose documentation describes the effects.";
    EXPENSIVE, allows_expensive_network_access, set_allows_expensive_network_access, "allowsExpensiveNetworkAccess":
        "Whether metered interfaces may be used. Default: `true`. The stricter of this and [`Configuration::allows_expensive_network_access`](crate::Configuration::allows_expensive_network_access) applies.";
    CONSTRAINED, allows_constrained_network_access, set_allows_constrained_network_access, "allowsConstrainedNetworkAccess":
        "Whether interfaces in a mode that saves data may be used. Default: `true`. The stricter of this and [`Configuration::allows_constrained_network_access`](crate::Configuration::allows_constrained_network_access) applies.";
    ULTRA_CONSTRAINED, allows_ultra_constrained_network_access, set_allows_ultra_constrained_network_access, "allowsUltraConstrainedNetworkAccess":
        "Whether interfaces as slow as a satellite may be used. Default: `true`. The stricter of this and [`Configuration::allows_ultra_constrained_network_access`](crate::Configuration::allows_ultra_constrained_network_access) applies.";
    HTTP3, assumes_http3_capable, set_assumes_http3_capable, "assumesHTTP3Capable":
        "Whether the server is expected to support HTTP/3. Default: `false`. Stored only until this library supports HTTP/3.";
    DNSSEC, requires_dnssec_validation, set_requires_dnssec_validation, "requiresDNSSECValidation":
        "Whether host names must be validated by DNSSEC. Default: `false`. The configuration may require it too; see [`Configuration::requires_dnssec_validation`](crate::Configuration::requires_dnssec_validation).";
    PERSISTENT_DNS, allows_persistent_dns, set_allows_persistent_dns, "allowsPersistentDNS":
        "Whether names may be resolved from records of earlier runs. Default: `false`. Stored only: names are never cached.";
}

impl Hash for UrlRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.url.hash(state);
        self.method.hash(state);
        self.main_document_url.hash(state);
        self.http_body_stream().hash(state);
    }
}

/// The URL, without a password and with its zone.
impl fmt::Display for UrlRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = without_password(&self.url);
        match self.effective_zone_id() {
            None => url.fmt(f),
            // RFC 6874 §2
            Some(zone) => {
                let (before, after) = url.as_str().split_once(']').unwrap_or((url.as_str(), ""));
                write!(f, "{before}%25{}]{after}", urlsession_proto::zone::encode(zone))
            }
        }
    }
}

impl fmt::Debug for UrlRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlRequest")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("zone_id", &self.zone_id)
            .field("path", &self.url.path())
            .field("fields", &self.fields)
            .field("body_length", &self.body.length())
            .finish_non_exhaustive()
    }
}

/// The service type of traffic. Numbers are Apple's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLRequest.NetworkServiceType")]
#[doc(alias = "NSURLRequest.NetworkServiceType")]
pub enum NetworkServiceType {
    /// Ordinary traffic.
    #[default]
    #[doc(alias = "default")]
    Default = 0,
    /// Interactive video.
    #[doc(alias = "video")]
    Video = 2,
    /// Not urgent.
    #[doc(alias = "background")]
    Background = 3,
    /// Interactive voice.
    #[doc(alias = "voice")]
    Voice = 4,
    /// The user waits for it.
    #[doc(alias = "responsiveData")]
    ResponsiveData = 6,
    /// Buffered audio or video.
    #[doc(alias = "avStreaming")]
    AvStreaming = 8,
    /// Interactive audio or video that adapts to the network.
    #[doc(alias = "responsiveAV")]
    ResponsiveAv = 9,
    /// Call set-up.
    #[doc(alias = "callSignaling")]
    CallSignaling = 11,
}

/// Who caused a load. Both values are stored only: nothing is sent, and no load differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLRequest.Attribution")]
#[doc(alias = "NSURLRequest.Attribution")]
pub enum Attribution {
    /// The developer's code. Stored only, for the application's records.
    #[default]
    #[doc(alias = "developer")]
    Developer,
    /// The user typed or chose the URL. Stored only, for the application's records.
    #[doc(alias = "user")]
    User,
}
