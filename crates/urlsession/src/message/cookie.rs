//! `HttpCookie`: one cookie, as a server or the application made it. A value: it cannot be changed.
//!
//! Stores and policies decide whether it is kept, and where it is sent. Apple: *HTTPCookie*.

pub(super) mod properties;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use url::{Host, Url};
use urlsession_proto::cookie::{self, SameSite, SetCookie};

use self::text::CookieText;
use crate::env::system_wall;

/// A cookie (RFC 6265bis). Cheap to clone; its value is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "HTTPCookie")]
pub struct HttpCookie(Arc<CookieInner>);

#[derive(Clone, PartialEq, Eq)]
struct CookieInner {
    name: CookieText,
    value: CookieText,
    /// The domain in lower case; with a leading dot if it includes the hosts below.
    domain: Box<str>,
    path: Box<str>,
    expires: Option<SystemTime>,
    is_secure: bool,
    is_http_only: bool,
    is_partitioned: bool,
    set_by_javascript: bool,
    version: u8,
    same_site: Option<HttpCookieStringPolicy>,
    /// Attributes that few cookies have.
    legacy: Option<Box<Legacy>>,
}

/// Of RFC 2965.
#[derive(Clone, Default, PartialEq, Eq)]
struct Legacy {
    comment: Option<Box<str>>,
    comment_url: Option<Box<str>>,
    ports: Option<Box<[u16]>>,
}

impl HttpCookie {
    /// The cookies that a response to a request for `url` sets: those of its `Set-Cookie` fields, several of which may be
    /// joined by commas in one. Names of fields are compared without case, other fields are ignored.
    ///
    /// Cookies from a wrong host are not refused here: a store refuses them. A cookie without a name is not returned, as in
    /// Apple's API, although loads keep it. `Max-Age` counts from the system's clock. [`HttpUrlResponse::all_header_fields`]
    /// gives such fields.
    ///
    /// [`HttpUrlResponse::all_header_fields`]: crate::HttpUrlResponse::all_header_fields
    #[doc(alias = "cookies(withResponseHeaderFields:for:)")]
    #[doc(alias = "cookiesWithResponseHeaderFields:forURL:")]
    pub fn cookies_with_response_header_fields<N: AsRef<str>, V: AsRef<str>>(
        fields: impl IntoIterator<Item = (N, V)>,
        url: &Url,
    ) -> Vec<Self> {
        let now = system_wall();
        let mut cookies = Vec::new();
        for (_, value) in
            fields.into_iter().filter(|(name, _)| name.as_ref().eq_ignore_ascii_case("set-cookie"))
        {
            // A line break in a field that was put together by hand is a space.
            let value = value.as_ref().replace(['\r', '\n'], " ");
            let set = cookie::unfolded(&value).filter_map(cookie::parse).filter(|set| !set.name.is_empty());
            cookies.extend(set.filter_map(|set| Self::from_set_cookie(&set, url, now)));
        }
        cookies
    }

    /// The field that sends these cookies, in their order: `Cookie`, or none if there is no cookie.
    #[doc(alias = "requestHeaderFields(with:)")]
    #[doc(alias = "requestHeaderFieldsWithCookies:")]
    pub fn request_header_fields_with(cookies: &[Self]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let mut value = Vec::new();
        cookies.iter().for_each(|cookie| cookie.write_pair(&mut value));
        if !value.is_empty() {
            // No cookie holds a control character: they are refused where cookies are made.
            fields.extend(HeaderValue::from_bytes(&value).ok().map(|value| (header::COOKIE, value)));
        }
        fields
    }

    /// The name; empty for the few cookies that servers set without one. A name that is not UTF-8 is read as ISO-8859-1;
    /// [`name_bytes`](Self::name_bytes) returns the bytes that are sent.
    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// The value; quotes are part of it. A value that is not UTF-8 is read as ISO-8859-1; [`value_bytes`](Self::value_bytes)
    /// returns the bytes that are sent.
    pub fn value(&self) -> &str {
        self.0.value.as_str()
    }

    /// The name as it is received and sent (RFC 6265bis §5.6: bytes of any encoding). Extension: no counterpart in
    /// Apple's API.
    pub fn name_bytes(&self) -> &[u8] {
        self.0.name.as_bytes()
    }

    /// The value as it is received and sent (RFC 6265bis §5.6: bytes of any encoding). Extension: no counterpart in
    /// Apple's API.
    pub fn value_bytes(&self) -> &[u8] {
        self.0.value.as_bytes()
    }

    /// Name and value as text of which no two are the same for different bytes, for a store.
    pub(crate) fn stored_pair(&self) -> [Cow<'_, str>; 2] {
        [self.0.name.stored(), self.0.value.stored()]
    }

    /// The host that the cookie is sent to, in lower case. With a leading dot it is sent to the hosts below too.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// The path that the cookie is sent to, with all paths below. Default: `/`.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// When the cookie expires; `None` for a cookie of the session. A store keeps a cookie for 400 days at most.
    #[doc(alias = "expiresDate")]
    pub fn expires_date(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// Whether the cookie has no expiry date, and so ends with the process.
    #[doc(alias = "isSessionOnly")]
    pub fn is_session_only(&self) -> bool {
        self.0.expires.is_none()
    }

    /// Whether the cookie is sent over `https` only. Default: `false`.
    #[doc(alias = "isSecure")]
    pub fn is_secure(&self) -> bool {
        self.0.is_secure
    }

    /// Whether the cookie is hidden from scripts. Default: `false`. Only servers set this.
    #[doc(alias = "isHTTPOnly")]
    pub fn is_http_only(&self) -> bool {
        self.0.is_http_only
    }

    /// Whether the cookie is kept separately for each site that embeds its server. Default: `false`. Partitions are those of
    /// [`UrlRequest::cookie_partition_identifier`](crate::UrlRequest::cookie_partition_identifier); without a partition this
    /// has no effect. Extension: no counterpart in Apple's API.
    pub fn is_partitioned(&self) -> bool {
        self.0.is_partitioned
    }

    /// Whether a script made the cookie. Default: `false`. For the application's own records.
    pub fn is_set_by_javascript(&self) -> bool {
        self.0.set_by_javascript
    }

    /// When the cookie is withheld from requests of other sites. Default: `None`, never.
    #[doc(alias = "sameSitePolicy")]
    pub fn same_site_policy(&self) -> Option<HttpCookieStringPolicy> {
        self.0.same_site
    }

    /// The version: 0 for cookies as they are today, 1 for those of RFC 2965.
    pub fn version(&self) -> u8 {
        self.0.version
    }

    /// The comment: what the cookie is for.
    pub fn comment(&self) -> Option<&str> {
        self.0.legacy.as_ref()?.comment.as_deref()
    }

    /// The URL of an explanation, as the server spelled it: it may be relative.
    #[doc(alias = "commentURL")]
    pub fn comment_url(&self) -> Option<&str> {
        self.0.legacy.as_ref()?.comment_url.as_deref()
    }

    /// The ports that the cookie is sent to; `None` is any port. One at most, unless the version is 1.
    #[doc(alias = "portList")]
    pub fn port_list(&self) -> Option<&[u16]> {
        self.0.legacy.as_ref()?.ports.as_deref()
    }

    /// The cookie that a server set, read at `now`; `None` if its domain is not valid.
    pub(crate) fn from_set_cookie(set: &SetCookie<'_>, url: &Url, now: SystemTime) -> Option<Self> {
        let domain: Box<str> = match &set.domain {
            None => url.host_str()?.into(),
            Some(domain) => match Host::parse(domain).ok()? {
                Host::Domain(name) => format!(".{name}").into(),
                address => address.to_string().into(),
            },
        };
        // RFC 6265bis §5.7: Max-Age takes precedence over Expires.
        let expires = match (set.discard, set.max_age, set.expires) {
            (true, ..) | (false, None, None) => None,
            (false, Some(age), _) => Some(after(now, age)),
            (false, None, Some(date)) => Some(date_of(date)),
        };
        let legacy = Legacy {
            comment: set.comment.map(Into::into),
            comment_url: set.comment_url.map(Into::into),
            ports: set.port.and_then(|ports| self::ports(ports, set.version)),
        };
        Some(Self(Arc::new(CookieInner {
            name: CookieText::of(set.name),
            value: CookieText::of(set.value),
            domain,
            path: set.path.as_deref().unwrap_or_else(|| cookie::default_path(url.path())).into(),
            expires,
            is_secure: set.secure,
            is_http_only: set.http_only,
            is_partitioned: set.partitioned,
            set_by_javascript: false,
            version: set.version,
            same_site: set.same_site.map(Into::into),
            legacy: (legacy != Legacy::default()).then(|| legacy.into()),
        })))
    }

    /// A cookie out of a store, with the texts of `stored_pair`. `domain` says whether it includes the hosts below.
    pub(crate) fn kept(name: &str, value: &str, domain: &str, path: &str) -> Self {
        Self::of_texts(CookieText::from_stored(name), CookieText::from_stored(value), domain, path)
    }

    /// A cookie out of a file.
    pub(crate) fn imported(name: &[u8], value: &[u8], domain: &str, path: &str) -> Self {
        Self::of_texts(CookieText::of(name), CookieText::of(value), domain, path)
    }

    fn of_texts(name: CookieText, value: CookieText, domain: &str, path: &str) -> Self {
        Self(Arc::new(CookieInner {
            name,
            value,
            domain: domain.to_ascii_lowercase().into(),
            path: path.into(),
            expires: None,
            is_secure: false,
            is_http_only: false,
            is_partitioned: false,
            set_by_javascript: false,
            version: 0,
            same_site: None,
            legacy: None,
        }))
    }

    /// The same with these properties.
    pub(crate) fn with(mut self, expires: Option<SystemTime>, secure: bool, http_only: bool) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        (inner.expires, inner.is_secure, inner.is_http_only) = (expires, secure, http_only);
        self
    }

    /// The same with the values that a store keeps beside the cookie.
    pub(crate) fn with_rest(
        mut self,
        same_site: Option<HttpCookieStringPolicy>,
        is_partitioned: bool,
        set_by_javascript: bool,
        version: u8,
        legacy: [Option<&str>; 3],
    ) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        (inner.same_site, inner.is_partitioned) = (same_site, is_partitioned);
        (inner.set_by_javascript, inner.version) = (set_by_javascript, version);
        let [comment, comment_url, ports] = legacy;
        if legacy.iter().any(Option::is_some) {
            inner.legacy = Some(Box::new(Legacy {
                comment: comment.map(Into::into),
                comment_url: comment_url.map(Into::into),
                ports: ports.and_then(|ports| self::ports(ports, 1)),
            }));
        }
        self
    }

    /// The same, forgotten at `limit` at the latest.
    pub(crate) fn expiring_by(mut self, limit: SystemTime) -> Self {
        if self.0.expires.is_some_and(|expires| expires > limit) {
            Arc::make_mut(&mut self.0).expires = Some(limit);
        }
        self
    }

    /// The same, for its host alone.
    pub(crate) fn host_only(mut self) -> Self {
        if !self.is_host_only() {
            let host: Box<str> = self.host().into();
            Arc::make_mut(&mut self.0).domain = host;
        }
        self
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.0.expires.is_some_and(|expires| expires <= now)
    }

    /// The domain without a leading dot.
    pub(crate) fn host(&self) -> &str {
        self.0.domain.strip_prefix('.').unwrap_or(&self.0.domain)
    }

    pub(crate) fn is_host_only(&self) -> bool {
        !self.0.domain.starts_with('.')
    }

    /// Whether it is the same cookie, perhaps with another value (RFC 6265bis §5.7; Apple: name, domain and path).
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.name == other.0.name && self.0.path == other.0.path && self.0.domain == other.0.domain
    }

    /// Appends `name=value` to the value of a `Cookie` field (RFC 6265bis §5.8.3).
    pub(crate) fn write_pair(&self, field: &mut Vec<u8>) {
        if !field.is_empty() {
            field.extend_from_slice(b"; ");
        }
        if !self.name_bytes().is_empty() {
            field.extend_from_slice(self.name_bytes());
            field.push(b'=');
        }
        field.extend_from_slice(self.value_bytes());
    }
}

/// Values may be secrets: they are not shown.
impl fmt::Debug for HttpCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCookie")
            .field("name", &self.name())
            .field("domain", &self.0.domain)
            .field("path", &self.0.path)
            .field("expires", &self.0.expires)
            .field("is_secure", &self.0.is_secure)
            .finish_non_exhaustive()
    }
}

/// When a cookie is withheld from requests that another site caused.
///
/// The site of a request is that of its [`main_document_url`](crate::UrlRequest::main_document_url).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
#[doc(alias = "HTTPCookieStringPolicy")]
pub enum HttpCookieStringPolicy {
    /// From all requests but those that navigate. No load of this library navigates, so it works as `SameSiteStrict`.
    #[doc(alias = "sameSiteLax")]
    SameSiteLax,
    /// From all requests of other sites.
    #[doc(alias = "sameSiteStrict")]
    SameSiteStrict,
}

impl HttpCookieStringPolicy {
    /// `lax` or `strict`, as in the properties of a cookie.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameSiteLax => "lax",
            Self::SameSiteStrict => "strict",
        }
    }
}

impl From<SameSite> for HttpCookieStringPolicy {
    fn from(policy: SameSite) -> Self {
        match policy {
            SameSite::Lax => Self::SameSiteLax,
            SameSite::Strict => Self::SameSiteStrict,
        }
    }
}

/// Which cookies are kept. Numbers are Apple's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "HTTPCookie.AcceptPolicy")]
#[doc(alias = "NSHTTPCookieAcceptPolicy")]
pub enum HttpCookieAcceptPolicy {
    /// All cookies.
    #[default]
    #[doc(alias = "always")]
    Always = 0,
    /// No cookies. Cookies that were kept before are still sent.
    #[doc(alias = "never")]
    Never = 1,
    /// Cookies whose host belongs to the site of the main document: both have the same registrable domain, as
    /// `www.example.co.uk` and `api.example.co.uk`. Without a main document all cookies.
    #[doc(alias = "onlyFromMainDocumentDomain")]
    OnlyFromMainDocumentDomain = 2,
}

/// The longest time a cookie is kept (RFC 6265bis §5.5): 400 days.
pub(crate) const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The numbers of a list; `None` if it has none.
fn ports(text: &str, version: u8) -> Option<Box<[u16]>> {
    let most = if version == 1 { MAX_PORTS } else { 1 };
    let ports: Box<[u16]> = text.split(',').filter_map(|port| port.trim().parse().ok()).take(most).collect();
    (!ports.is_empty()).then_some(ports)
}

/// Numbers between commas.
pub(crate) fn ports_text(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

/// `seconds` from `now`, as far as a cookie may live.
fn after(now: SystemTime, seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => now + Duration::from_secs(seconds).min(LONGEST),
        // RFC 6265bis §5.6.2: the earliest date there is.
        _ => UNIX_EPOCH,
    }
}

/// The date of seconds since 1970.
fn date_of(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(seconds.unsigned_abs());
    let date = if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    // What the platform cannot say was long ago: years have four digits.
    date.unwrap_or(UNIX_EPOCH)
}

const MAX_PORTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(field: &str) -> HttpCookie {
        let url = "https://www.example.com/folder/page".parse().unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        HttpCookie::from_set_cookie(&cookie::parse(field).unwrap(), &url, now).unwrap()
    }

    #[test]
    fn what_the_server_leaves_out_is_taken_from_the_url() {
        let cookie = set("a=b");
        assert_eq!((cookie.domain(), cookie.path()), ("www.example.com", "/folder"));
        assert!(cookie.is_host_only() && cookie.is_session_only());
        let cookie = set("a=b; Domain=EXAMPLE.com; Path=/x");
        assert_eq!((cookie.domain(), cookie.host(), cookie.path()), (".example.com", "example.com", "/x"));
        assert_eq!(set("a=b; Domain=bücher.example").domain(), ".xn--bcher-kva.example");
    }

    #[test]
    fn an_age_wins_over_a_date_and_ends_after_400_days() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let date = "Expires=Wed, 01 Jan 2020 12:30:00 GMT";
        for (attributes, expires) in [
            (format!("Max-Age=60; {date}"), Some(now + Duration::from_secs(60))),
            (date.to_owned(), Some(UNIX_EPOCH + Duration::from_secs(1_577_881_800))),
            ("Max-Age=99999999999999999999".to_owned(), Some(now + LONGEST)),
            ("Max-Age=0".to_owned(), Some(UNIX_EPOCH)),
            ("Max-Age=-5".to_owned(), Some(UNIX_EPOCH)),
            (format!("Discard; {date}"), None),
        ] {
            assert_eq!(set(&format!("a=b; {attributes}")).expires_date(), expires, "{attributes}");
        }
    }

    #[test]
    fn a_value_is_not_shown() {
        assert!(!format!("{:?}", set("id=s3cret")).contains("s3cret"));
    }
}
