//! The head of a request, gathered from the request, the session's defaults and what the layers added.
//!
//! It is never built as one map: each wire writes it in its own form. Fields that frame the message belong to the
//! wire (RFC 9112 §6, RFC 9113 §8.2.2); other sources of them are ignored.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::MaxSizeReached;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::{Position, Url};
use urlsession_proto::field::{canonical_name, unfold as unfolded};
use urlsession_proto::http1;

use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::load::{Route, SentFields, SharedFields};
use crate::message::{HeaderFields, UrlRequest, is_of_origin};

/// The head of a request.
pub(crate) struct RequestHead<'a> {
    pub(crate) request: &'a UrlRequest,
    pub(crate) url: &'a Url,
    pub(crate) route: &'a Route,
    pub(crate) defaults: &'a DefaultFields,
    /// What the layers add or imply, as far as neither the request nor the configuration has a field of that name:
    /// [`beside`](Self::beside) is what is sent of it.
    pub(crate) added: &'a [(&'static str, HeaderValue)],
    /// The request asks the server first, and is not to: it has no body, or the server will have none of it.
    pub(crate) drops_expect: bool,
}

/// The fields of every request of a session, written out once.
pub(crate) struct DefaultFields {
    fields: SharedFields,
    /// How many of them, the first, are the configuration's own.
    configured: usize,
    /// Whether one of them is `TE`. It is for this connection only.
    has_te: bool,
    /// Written out for HTTP/1.1, with the options of the connection.
    block: Vec<u8>,
    /// Checked for HTTP/2; a clone of each costs no copy.
    checked: Vec<(HeaderName, HeaderValue)>,
}

impl DefaultFields {
    /// Those of the configuration, then what a client owes a server.
    pub(crate) fn new(
        of_configuration: Vec<(Cow<'static, str>, Bytes)>,
        owed: Vec<(Cow<'static, str>, Bytes)>,
    ) -> Self {
        let mut block = Vec::new();
        let mut fields = of_configuration;
        fields.retain(|(name, _)| !is_framing(name));
        let configured = fields.len();
        fields.extend(owed);
        for (name, value) in &fields {
            http1::write_field(&mut block, name.as_bytes(), &unfolded(value));
        }
        let has_te = fields.iter().any(|(name, _)| is_te(name));
        if has_te {
            http1::write_field(&mut block, b"Connection", b"TE");
        }
        let checked = fields.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            for_http2(name, http2_value(value)?)
        });
        let checked = checked.collect();
        Self { fields: fields.into(), configured, has_te, block, checked }
    }

    /// The fields themselves.
    pub(crate) fn shared(&self) -> SharedFields {
        self.fields.clone()
    }

    /// The value every request carries, unless it has one of its own.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// Whether the configuration has a field of this name.
    fn is_configured(&self, name: &str) -> bool {
        self.fields[..self.configured].iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}

impl RequestHead<'_> {
    /// The origin form of the target (RFC 9112 §3.2.1), for a proxy the absolute form (RFC 9112 §3.2.2). HTTP/2 is spoken
    /// with origins only.
    pub(crate) fn target(&self) -> Cow<'_, str> {
        match self.route.forward() {
            Some(_) => absolute_form(self.url).into(),
            None => self.url[Position::BeforePath..Position::AfterQuery].into(),
        }
    }

    /// Host and, unless it is the scheme's own, port.
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// True if the application requires that the connection closes after this exchange.
    pub(crate) fn wants_close(&self) -> bool {
        asks_close(self.request)
    }

    /// Writes line and fields for HTTP/1.1, but for the framing fields and the end.
    pub(crate) fn write_http1(&self, out: &mut Vec<u8>) {
        http1::write_request_line(out, self.request.http_method(), &self.target());
        if !self.request.fields().contains("host") {
            http1::write_field(out, b"Host", self.authority().as_bytes());
        }
        if self.request.fields().is_empty() {
            out.extend_from_slice(&self.defaults.block);
        } else {
            self.write_own_and_defaults(out);
        }
        for (name, value) in self.beside() {
            http1::write_field_in_title_case(out, name.as_bytes(), value.as_bytes());
        }
    }

    /// What is sent of what the layers added. A field has one value, of the first who has it: the request, the
    /// configuration, the layers.
    pub(crate) fn beside(&self) -> impl Iterator<Item = &(&'static str, HeaderValue)> {
        let own = self.request.fields();
        self.added.iter().filter(|(name, _)| !own.contains(name) && !self.defaults.is_configured(name))
    }

    /// The fields for HTTP/2: names in lower case, no framing fields. `Host` is the authority's.
    pub(crate) fn http2_fields(&self) -> Result<HeaderMap, MaxSizeReached> {
        let own = self.request.fields();
        let mut map =
            HeaderMap::try_with_capacity(own.len() + self.defaults.checked.len() + self.added.len() + 1)?;
        for (name, value) in own.iter().filter(|(name, _)| self.may_send(name)) {
            // Names and values were checked when they were set; what http refuses all the same is not sent.
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Some(value)) = (name, http2_value(value))
                && name != http::header::HOST
                && let Some((name, value)) = for_http2(name, value)
            {
                map.try_append(name, value)?;
            }
        }
        for (name, value) in self.defaults.checked.iter().filter(|(name, _)| !own.contains(name.as_str())) {
            map.try_append(name.clone(), value.clone())?;
        }
        for (name, value) in self.beside() {
            map.try_append(HeaderName::from_static(name), value.clone())?;
        }
        Ok(map)
    }

    /// The authority for HTTP/2: the application's `Host` wins.
    pub(crate) fn http2_authority(&self) -> &str {
        self.request.value("host").map_or_else(|| self.authority(), str::trim)
    }

    /// The request's own fields, then defaults it does not have, then the options of the connection.
    fn write_own_and_defaults(&self, out: &mut Vec<u8>) {
        let own = self.request.fields();
        let asks_upgrade = asks_upgrade(self.request);
        let is_upgrade = |name: &str| asks_upgrade && name.eq_ignore_ascii_case("upgrade");
        for (name, value) in own.iter().filter(|(name, _)| self.may_send(name) || is_upgrade(name)) {
            http1::write_field(out, name.as_bytes(), &unfolded(value));
        }
        for (name, value) in self.defaults.fields.iter().filter(|(name, _)| !own.contains(name)) {
            http1::write_field(out, name.as_bytes(), &unfolded(value));
        }
        if let Some(options) = connection_options(self.request, self.defaults.has_te) {
            http1::write_field(out, b"Connection", options.as_bytes());
        }
    }

    /// Fields for the proxy are not sent through its tunnel (RFC 9110 §11.7.2).
    fn may_send(&self, name: &str) -> bool {
        let is_for_proxy = || name.eq_ignore_ascii_case("proxy-authorization");
        let is_dropped = self.drops_expect && name.eq_ignore_ascii_case("expect");
        !(is_dropped || is_framing(name) || self.route.is_tunnel() && is_for_proxy())
    }
}

/// Whether the application requests an upgrade of the connection (RFC 9110 §7.8). HTTP/2 has no upgrades.
pub(crate) fn asks_upgrade(request: &UrlRequest) -> bool {
    request.fields().bytes("upgrade").is_some_and(|value| !value.trim_ascii().is_empty())
}

fn asks_close(request: &UrlRequest) -> bool {
    let connection = request.value("connection");
    connection.is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")))
}

/// RFC 9110 §7.6.1: what is for this connection only is named. §7.8 demands it of Upgrade, §10.1.4 of TE,
/// which may be among the session's defaults.
fn connection_options(request: &UrlRequest, has_default_te: bool) -> Option<String> {
    let has_te = has_default_te || request.fields().contains("te");
    let options = [("upgrade", asks_upgrade(request)), ("TE", has_te), ("close", asks_close(request))];
    let mut options = options.iter().filter(|(_, applies)| *applies).map(|(option, _)| *option);
    let first = options.next()?;
    Some(options.fold(first.to_owned(), |value, option| value + ", " + option))
}

fn is_te(name: &str) -> bool {
    name.eq_ignore_ascii_case("te")
}

/// The value as HTTP/2 may carry it, without spaces and tabs at its ends: with them the field is malformed (RFC 9113 §8.2.1).
pub(super) fn http2_value(value: &[u8]) -> Option<HeaderValue> {
    let value = unfolded(value);
    let is_inner = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_inner).unwrap_or(value.len());
    let end = value.iter().rposition(is_inner).map_or(start, |last| last + 1);
    HeaderValue::from_bytes(&value[start..end]).ok()
}

/// The field as HTTP/2 may carry it: of `TE` nothing but `trailers` (RFC 9113 §8.2.2).
fn for_http2(name: HeaderName, value: HeaderValue) -> Option<(HeaderName, HeaderValue)> {
    if name != http::header::TE {
        return Some((name, value));
    }
    let mut codings = value.as_bytes().split(|b| *b == b',');
    let has_trailers = codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    has_trailers.then(|| (name, HeaderValue::from_static("trailers")))
}

/// Which fields are shown of those that were sent beside a request's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All. Secrets, which are not kept, have `[redacted]` as value.
    All,
    /// Those that are right for any other load too: what is shown may be loaded again, also from another URL.
    Lasting,
}

/// The request with the fields that were sent over `protocol`, an ALPN name.
pub(crate) fn as_sent(request: &UrlRequest, sent: &SentFields, protocol: &str, which: Shown) -> UrlRequest {
    let mut shown = request.clone();
    *shown.fields_mut() = sent_fields(request, sent, protocol, which);
    shown
}

/// The fields of a request as they were sent, in their order.
fn sent_fields(request: &UrlRequest, sent: &SentFields, protocol: &str, which: Shown) -> HeaderFields {
    let own = request.fields();
    let is_http1 = protocol == "http/1.1";
    let mut fields = HeaderFields::new();
    // What is no field was not sent.
    let mut add = |name: &str, value: &[u8]| {
        let name = if is_http1 { name.to_owned() } else { name.to_ascii_lowercase() };
        let value = if is_http1 { value } else { value.trim_ascii() };
        let _ = fields.append(name, Bytes::copy_from_slice(value));
    };
    let is_shown = |name: &str| which == Shown::All || !is_for_once(name);
    if is_http1 && is_shown("host") && !own.contains("host") {
        add("Host", request.url()[Position::BeforeHost..Position::AfterPort].as_bytes());
    }
    let is_upgrade = |name: &str| is_http1 && asks_upgrade(request) && name.eq_ignore_ascii_case("upgrade");
    let is_dropped = |name: &str| {
        is_framing(name) && !is_upgrade(name)
            || !is_http1 && is_te(name)
            || sent.drops_expect && name.eq_ignore_ascii_case("expect")
            || sent.is_tunnelled && name.eq_ignore_ascii_case("proxy-authorization")
            || !is_http1 && name.eq_ignore_ascii_case("host")
    };
    own.iter().filter(|(name, _)| !is_dropped(name)).for_each(|(name, value)| add(name, value));
    let defaults = sent.defaults.iter();
    let default_te = sent.defaults.iter().find(|(name, _)| is_te(name));
    defaults
        .filter(|(name, _)| !own.contains(name) && (is_http1 || !is_te(name)))
        .for_each(|(name, value)| add(name, value));
    if let Some(te) = own.bytes("te").or(default_te.map(|(_, value)| &**value)).filter(|_| !is_http1)
        && let Some(value) = http2_value(te)
        && let Some((_, value)) = for_http2(http::header::TE, value)
    {
        add("te", value.as_bytes());
    }
    if let Some(options) = connection_options(request, default_te.is_some()).filter(|_| is_http1) {
        add("Connection", options.as_bytes());
    }
    for (name, value) in sent.added.iter().filter(|(name, _)| is_shown(name)) {
        add(&canonical_name(name), value.as_bytes());
    }
    let expects_body = matches!(*request.http_method(), Method::POST | Method::PUT | Method::PATCH);
    match sent.length {
        Some(0) if !expects_body => {}
        Some(length) => add("Content-Length", length.to_string().as_bytes()),
        None if is_http1 => add("Transfer-Encoding", b"chunked"),
        None => {}
    }
    fields
}

/// Whether the field `name`, if it is not the request's own, is for one exchange: it is worked out anew for every other.
fn is_for_once(name: &str) -> bool {
    const ONCE: [&str; 16] = [
        "cache-control",
        "content-digest",
        "expect",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "incremental",
        "pragma",
        "priority",
        "range",
        "trailer",
        "upload-complete",
        "upload-draft-interop-version",
        "upload-incomplete",
        "upload-length",
        "upload-offset",
    ];
    is_of_origin(name) || ONCE.iter().any(|once| once.eq_ignore_ascii_case(name))
}

/// The URL without the parts for the client only: user, password and fragment.
#[allow(clippy::disallowed_methods)] // it is sent
pub(crate) fn absolute_form(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterQuery])
}

/// The value of `User-Agent`, unless the application has one.
pub(crate) const USER_AGENT: &str = concat!("urlsession/", env!("CARGO_PKG_VERSION"));

/// The most fields of a response head or trailer section, on every wire.
pub(super) const MAX_FIELDS: usize = 256;

/// The most 1xx responses before a final one, on every wire.
pub(super) const MAX_INFORMATIONAL: usize = 100;

pub(super) fn too_many_informational() -> UrlError {
    let detail = "the server sent more than 100 informational responses";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail)
}

/// Fields only the wire may write.
pub(crate) fn is_framing(name: &str) -> bool {
    const FRAMING: [&str; 6] =
        ["connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_fields_than_http_2_can_carry_are_an_error_of_the_request() {
        let fields = |count: usize| {
            let fields = (0..count).map(|n| (Cow::Owned(format!("x-{n}")), Bytes::from_static(b"y")));
            DefaultFields::new(fields.collect(), Vec::new())
        };
        let url: Url = "https://a/".parse().unwrap();
        let request = UrlRequest::new(url.clone());
        for (count, is_ok) in [(0, true), (1_000, true), (30_000, false)] {
            let defaults = fields(count);
            let head = RequestHead {
                request: &request,
                url: &url,
                route: &Route::Direct,
                defaults: &defaults,
                added: &[],
                drops_expect: false,
            };
            assert_eq!(head.http2_fields().is_ok(), is_ok, "{count}");
        }
    }
}
