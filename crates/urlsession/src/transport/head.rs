//! The head of a request, gathered from the request, the session's defaults and what the layers added.
//!
//! It is never built as one map: each wire writes it in its own form. Fields that frame the message are the
//! wire's own (RFC 9112 §6, RFC 9113 §8.2.2) and taken from nobody else.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};
use urlsession_proto::field::unfold as unfolded;
use urlsession_proto::http1;

use super::route::Route;
use crate::message::UrlRequest;

/// What goes before the body.
pub(crate) struct RequestHead<'a> {
    pub(crate) request: &'a UrlRequest,
    pub(crate) url: &'a Url,
    pub(crate) route: Route,
    pub(crate) defaults: &'a DefaultFields,
    pub(crate) added: &'a [(&'static str, HeaderValue)],
    /// The media type of a POST body that has none.
    pub(crate) content_type: Option<&'static str>,
    /// The request asks the server first, and is not to: it has no body, or the server will have none of it.
    pub(crate) drops_expect: bool,
}

/// The fields of every request of a session, written out once.
pub(crate) struct DefaultFields {
    fields: Vec<(Cow<'static, str>, Bytes)>,
    /// Written out for HTTP/1.1.
    block: Vec<u8>,
    /// Checked for HTTP/2; a clone of each costs no copy.
    checked: Vec<(HeaderName, HeaderValue)>,
}

impl DefaultFields {
    pub(crate) fn new(fields: Vec<(Cow<'static, str>, Bytes)>) -> Self {
        let mut block = Vec::new();
        for (name, value) in &fields {
            http1::write_field(&mut block, name.as_bytes(), &unfolded(value));
        }
        let checked = fields.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_maybe_shared(Bytes::from(unfolded(value).into_owned())).ok()?))
        });
        let checked = checked.collect();
        Self { fields, block, checked }
    }

    /// The value every request carries, unless it has one of its own.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

impl RequestHead<'_> {
    /// The origin form of the target (RFC 9112 §3.2.1), for a proxy the absolute form (RFC 9112 §3.2.2). HTTP/2 is spoken
    /// with origins only.
    pub(crate) fn target(&self) -> Cow<'_, str> {
        match self.route {
            Route::Forward => absolute_form(self.url).into(),
            Route::Direct | Route::Tunnel(_) => self.url[Position::BeforePath..Position::AfterQuery].into(),
        }
    }

    /// Host and, unless it is the scheme's own, port.
    pub(crate) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Does the application ask that the connection be closed after this exchange?
    pub(crate) fn wants_close(&self) -> bool {
        let connection = self.request.value("connection");
        connection
            .is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")))
    }

    /// Writes line and fields for HTTP/1.1, but for the framing fields and the end.
    pub(crate) fn write_http1(&self, out: &mut Vec<u8>) {
        http1::write_request_line(out, self.request.http_method(), &self.target());
        if !self.request.all_http_header_fields().contains("host") {
            http1::write_field(out, b"Host", self.authority().as_bytes());
        }
        if self.request.all_http_header_fields().is_empty() {
            out.extend_from_slice(&self.defaults.block);
            for (name, value) in self.added {
                http1::write_field(out, name.as_bytes(), value.as_bytes());
            }
        } else {
            self.each(|name, value| http1::write_field(out, name.as_bytes(), &unfolded(value)));
        }
        if self.wants_close() {
            http1::write_field(out, b"Connection", b"close");
        }
        self.implied(|name, value| http1::write_field(out, name.as_bytes(), value.as_bytes()));
    }

    /// The fields for HTTP/2: names in lower case, no framing fields. `Host` is the authority's.
    pub(crate) fn http2_fields(&self) -> HeaderMap {
        let own = self.request.all_http_header_fields();
        let mut map =
            HeaderMap::with_capacity(own.len() + self.defaults.checked.len() + self.added.len() + 2);
        for (name, value) in own.iter().filter(|(name, _)| self.may_send(name)) {
            // Names and values were checked when they were set; what http refuses all the same is not sent.
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&unfolded(value)))
                && name != http::header::HOST
            {
                map.append(name, value);
            }
        }
        for (name, value) in self.defaults.checked.iter().filter(|(name, _)| !own.contains(name.as_str())) {
            map.append(name.clone(), value.clone());
        }
        for (name, value) in self.added.iter().filter(|(name, _)| !own.contains(name)) {
            map.append(HeaderName::from_static(name), value.clone());
        }
        self.implied(|_, value| {
            if let Ok(value) = HeaderValue::from_str(value) {
                map.append(http::header::CONTENT_TYPE, value);
            }
        });
        map
    }

    /// The authority for HTTP/2: the application's `Host` wins.
    pub(crate) fn http2_authority(&self) -> &str {
        self.request.value("host").unwrap_or_else(|| self.authority())
    }

    /// Every field but the implied ones: the request's own, then defaults, then added ones it does not have.
    fn each(&self, mut field: impl FnMut(&str, &[u8])) {
        let own = self.request.all_http_header_fields();
        for (name, value) in own.iter().filter(|(name, _)| self.may_send(name)) {
            field(name, value);
        }
        for (name, value) in self.defaults.fields.iter().filter(|(name, _)| !own.contains(name)) {
            field(name, value);
        }
        for (name, value) in self.added.iter().filter(|(name, _)| !own.contains(name)) {
            field(name, value.as_bytes());
        }
    }

    /// What is for the proxy is not sent through its tunnel (RFC 9110 §11.7.2).
    fn may_send(&self, name: &str) -> bool {
        let is_for_proxy = || name.eq_ignore_ascii_case("proxy-authorization");
        let is_dropped = self.drops_expect && name.eq_ignore_ascii_case("expect");
        !(is_dropped || is_framing(name) || matches!(self.route, Route::Tunnel(_)) && is_for_proxy())
    }

    fn implied(&self, mut field: impl FnMut(&str, &str)) {
        if let Some(kind) =
            self.content_type.filter(|_| !self.request.all_http_header_fields().contains("content-type"))
        {
            field("Content-Type", kind);
        }
    }
}

/// The URL without what is for the client only: user, password and fragment.
pub(crate) fn absolute_form(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterQuery])
}

/// The value of `User-Agent`, unless the application has one.
pub(crate) const USER_AGENT: &str = concat!("urlsession/", env!("CARGO_PKG_VERSION"));

/// Fields only the wire may write.
fn is_framing(name: &str) -> bool {
    const FRAMING: [&str; 6] =
        ["connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}
