//! Responses: `UrlResponse` of any scheme, `HttpUrlResponse` with status and header fields.
//!
//! What is derived from the head (MIME type, suggested file name, …) is derived when it is read.
//! Apple: *URLResponse*, *HTTPURLResponse*.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use url::Url;
use urlsession_proto::field::text_of;
use urlsession_proto::{disposition, field, http1, mime};

use super::UrlRequest;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The response to a request, without its body. Cheap to clone.
#[derive(Clone)]
#[doc(alias = "URLResponse")]
pub struct UrlResponse(Arc<ResponseInner>);

struct ResponseInner {
    url: Source,
    kind: ResponseKind,
    /// Computed on first use.
    joined: OnceLock<Joined>,
}

/// The URL of a response is that of the request it answers; sharing it saves a copy for each load.
enum Source {
    Request(Arc<UrlRequest>),
    Url(Url),
}

enum ResponseKind {
    Plain {
        mime_type: Option<String>,
        expected_content_length: Option<u64>,
        text_encoding_name: Option<String>,
    },
    Http(HttpHead),
}

/// The head of an HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct HttpHead {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// The head as it came on the wire, for the spelling of names; empty where names have no case (HTTP/2).
    pub(crate) raw: Bytes,
}

/// The values that are not simply the bytes of one field: those of repeated fields, joined, and those in ISO-8859-1.
type Joined = Box<[(HeaderName, String)]>;

impl UrlResponse {
    /// A response of a protocol without header fields.
    #[doc(alias = "init(url:mimeType:expectedContentLength:textEncodingName:)")]
    pub fn new(
        url: Url,
        mime_type: Option<&str>,
        expected_content_length: Option<u64>,
        text_encoding_name: Option<&str>,
    ) -> Self {
        let kind = ResponseKind::Plain {
            mime_type: mime_type.map(Into::into),
            expected_content_length,
            text_encoding_name: text_encoding_name.map(Into::into),
        };
        Self(Arc::new(ResponseInner { url: Source::Url(url), kind, joined: OnceLock::new() }))
    }

    pub(crate) fn from_http(request: Arc<UrlRequest>, head: HttpHead) -> Self {
        Self(Arc::new(ResponseInner {
            url: Source::Request(request),
            kind: ResponseKind::Http(head),
            joined: OnceLock::new(),
        }))
    }

    /// As `from_http`, for a response that outlives its request.
    pub(crate) fn kept(url: Url, head: HttpHead) -> Self {
        Self(Arc::new(ResponseInner {
            url: Source::Url(url),
            kind: ResponseKind::Http(head),
            joined: OnceLock::new(),
        }))
    }

    /// This response as the answer to `request`, whose URL may have a fragment of its own.
    pub(crate) fn answering(&self, request: &Arc<UrlRequest>) -> Self {
        match &self.0.kind {
            ResponseKind::Http(head) if self.url() != request.url() => {
                Self::from_http(request.clone(), head.clone())
            }
            _ => self.clone(),
        }
    }

    /// This response from a cache, as the answer to `request`, with its age in seconds (RFC 9111 §5.1).
    pub(crate) fn stored_for(&self, request: &Arc<UrlRequest>, age: Option<u64>) -> Self {
        match (&self.0.kind, age) {
            (ResponseKind::Http(head), Some(age)) => {
                Self::from_http(request.clone(), head.with(header::AGE, "Age", age.into()))
            }
            _ => self.answering(request),
        }
    }

    /// The response of one part of this one: its URL, status and fields, with the part's own fields in place of those
    /// of the same name and of all that describe the body (`Content-*`).
    pub(crate) fn of_part(&self, part: HeaderMap, lines: &[u8]) -> Self {
        let url = match &self.0.url {
            Source::Request(request) => Source::Request(request.clone()),
            Source::Url(url) => Source::Url(url.clone()),
        };
        let ResponseKind::Http(whole) = &self.0.kind else { return self.clone() };
        let is_kept = |name: &str| {
            let describes = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
            !describes && !name.eq_ignore_ascii_case("transfer-encoding") && !part.contains_key(name)
        };
        // The first line is the status line's place.
        let mut raw = b"\r\n".to_vec();
        let mut keep =
            |name: &[u8], value: &[u8]| raw.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
        let mut fields = whole.fields.clone();
        if whole.raw.is_empty() {
            let kept = whole.fields.iter().filter(|(name, _)| is_kept(name.as_str()));
            kept.for_each(|(name, value)| keep(name.as_str().as_bytes(), value.as_bytes()));
        } else {
            let kept = field::raw_fields(&whole.raw).filter(|(name, _)| is_kept(name));
            kept.for_each(|(name, value)| keep(name.as_bytes(), value));
        }
        raw.extend_from_slice(lines);
        raw.extend_from_slice(b"\r\n");
        for name in whole.fields.keys().filter(|name| !is_kept(name.as_str())) {
            fields.remove(name);
        }
        fields.extend(part);
        let head = HttpHead { version: whole.version, status: whole.status, fields, raw: raw.into() };
        Self(Arc::new(ResponseInner { url, kind: ResponseKind::Http(head), joined: OnceLock::new() }))
    }

    /// The URL that was loaded; after redirects the last one. Every response has a URL.
    pub fn url(&self) -> &Url {
        match &self.0.url {
            Source::Request(request) => request.url(),
            Source::Url(url) => url,
        }
    }

    /// The media type without parameters; lower case for HTTP. `None` if the server does not name it.
    #[doc(alias = "MIMEType")]
    #[doc(alias = "mimeType")]
    pub fn mime_type(&self) -> Option<Cow<'_, str>> {
        match &self.0.kind {
            ResponseKind::Plain { mime_type, .. } => mime_type.as_deref().map(Cow::Borrowed),
            ResponseKind::Http(head) => content_type(head).map(|kind| Cow::Owned(kind.mime)),
        }
    }

    /// The name of the character encoding, lower case for HTTP, from the media type's `charset`.
    #[doc(alias = "textEncodingName")]
    pub fn text_encoding_name(&self) -> Option<Cow<'_, str>> {
        match &self.0.kind {
            ResponseKind::Plain { text_encoding_name, .. } => {
                text_encoding_name.as_deref().map(Cow::Borrowed)
            }
            ResponseKind::Http(head) => content_type(head).and_then(|kind| kind.charset).map(Cow::Owned),
        }
    }

    /// The length that the server announced, in bytes (`Content-Length`, before any decoding); `None` if it announced none.
    #[doc(alias = "expectedContentLength")]
    pub fn expected_content_length(&self) -> Option<u64> {
        match &self.0.kind {
            ResponseKind::Plain { expected_content_length, .. } => *expected_content_length,
            ResponseKind::Http(head) => http1::announced_length(&head.fields),
        }
    }

    /// A safe file name for the body, in Apple's order: from `Content-Disposition`, else the last part of the URL's path (with
    /// an extension for the MIME type if it has none), else the host with that extension, else `Unknown`, with that extension
    /// if there is one. A host without an extension for the type is not used, because its last label would look like an
    /// extension: without a type the name is `Unknown`, as in Apple's open library. The name never contains a path separator, a
    /// control character or a mark of writing direction. A name begins with `_` if it would begin with a dot, be a device on
    /// Windows, or be one that the library uses for partial downloads.
    #[doc(alias = "suggestedFilename")]
    pub fn suggested_filename(&self) -> String {
        if let ResponseKind::Http(head) = &self.0.kind {
            let field = head.fields.get(header::CONTENT_DISPOSITION);
            let name = field.and_then(|value| disposition::file_name(&text_of(value.as_bytes())));
            if let Some(name) = name {
                return name;
            }
        }
        if let Some(name) = self.name_from_path() {
            return name;
        }
        let Some(extension) = self.extension() else { return UNKNOWN.into() };
        let host = self.url().host_str().and_then(disposition::file_name_of_segment);
        format!("{}.{extension}", host.as_deref().unwrap_or(UNKNOWN))
    }

    /// The HTTP side of the response, if it has one.
    pub fn http(&self) -> Option<HttpUrlResponse> {
        matches!(self.0.kind, ResponseKind::Http(_)).then(|| HttpUrlResponse(self.clone()))
    }

    /// The status code. For a response of another protocol than HTTP (`file:`, `data:`, custom protocols) it is
    /// [`OK`](StatusCode::OK), because failures there are errors.
    pub fn status(&self) -> StatusCode {
        self.http_head().map_or(StatusCode::OK, |head| head.status)
    }

    /// The response, if its status is not an error.
    ///
    /// # Errors
    /// [`BadServerResponse`](UrlErrorCode::BadServerResponse) for 400 to 599; the error contains the status.
    pub fn error_for_status(self) -> Result<Self> {
        let status = self.status();
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(self);
        }
        let detail = format!("the server answered with status {status}");
        Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail).with_url(self.url()))
    }

    /// The status code as a number; `None` if the response is not of HTTP. 404 and 500 are responses, not errors.
    pub fn status_code(&self) -> Option<u16> {
        self.http_head().map(|head| head.status.as_u16())
    }

    pub(crate) fn http_head(&self) -> Option<&HttpHead> {
        match &self.0.kind {
            ResponseKind::Http(head) => Some(head),
            ResponseKind::Plain { .. } => None,
        }
    }

    fn name_from_path(&self) -> Option<String> {
        let segment = self.url().path_segments()?.next_back().filter(|name| !name.is_empty())?;
        let name = disposition::file_name_of_segment(segment)?;
        if name.contains('.') {
            return Some(name);
        }
        match self.extension() {
            Some(extension) => Some(format!("{name}.{extension}")),
            None => Some(name),
        }
    }

    fn extension(&self) -> Option<&'static str> {
        self.mime_type().and_then(|mime| mime::extension_for(&mime))
    }
}

/// The name of a body that has no other name.
const UNKNOWN: &str = "Unknown";

fn joined(fields: &HeaderMap) -> Joined {
    let value = |name: &HeaderName| {
        let mut values = fields.get_all(name).iter().map(|value| text_of(value.as_bytes()));
        let first = values.next()?;
        let mut rest = values.peekable();
        if rest.peek().is_none() && matches!(first, Cow::Borrowed(_)) {
            return None;
        }
        Some((name.clone(), rest.fold(first.into_owned(), |all, next| all + ", " + &next)))
    };
    fields.keys().filter_map(value).collect()
}

fn content_type(head: &HttpHead) -> Option<mime::ContentType> {
    mime::parse(head.fields.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

impl PartialEq for UrlResponse {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        self.url() == other.url()
            && match (&self.0.kind, &other.0.kind) {
                (ResponseKind::Http(a), ResponseKind::Http(b)) => {
                    (a.status, a.version, &a.fields) == (b.status, b.version, &b.fields)
                }
                (ResponseKind::Plain { .. }, ResponseKind::Plain { .. }) => {
                    self.mime_type() == other.mime_type()
                        && self.expected_content_length() == other.expected_content_length()
                        && self.text_encoding_name() == other.text_encoding_name()
                }
                _ => false,
            }
    }
}

impl Eq for UrlResponse {}

impl std::hash::Hash for UrlResponse {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.url().hash(state);
        self.status_code().hash(state);
    }
}

/// Field values may be secrets (`Set-Cookie`): only their names are shown.
impl fmt::Debug for UrlResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UrlResponse");
        debug.field("host", &self.url().host_str()).field("path", &self.url().path());
        if let Some(head) = self.http_head() {
            debug.field("status", &head.status).field("fields", &head.fields.keys().collect::<Vec<_>>());
        }
        debug.finish_non_exhaustive()
    }
}

/// A response of HTTP: status code and header fields beside what every [`UrlResponse`] has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "HTTPURLResponse")]
pub struct HttpUrlResponse(UrlResponse);

impl HttpUrlResponse {
    /// A response as a custom protocol or a test makes it; `None` if the status or a field is not valid. `headers` is a
    /// `&HeaderMap`, or names and values as text, whose spelling is kept.
    #[doc(alias = "init(url:statusCode:httpVersion:headerFields:)")]
    pub fn new<N: AsRef<str>, V: AsRef<[u8]>>(
        url: Url,
        status_code: u16,
        version: Version,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Option<Self> {
        let mut map = HeaderMap::new();
        let mut raw = b"\r\n".to_vec();
        for (name, value) in headers {
            let (name, value) = (name.as_ref(), value.as_ref());
            map.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?);
            raw.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        raw.extend_from_slice(b"\r\n");
        let status = StatusCode::from_u16(status_code).ok()?;
        let head = HttpHead { version, status, fields: map, raw: raw.into() };
        Some(Self(UrlResponse(Arc::new(ResponseInner {
            url: Source::Url(url),
            kind: ResponseKind::Http(head),
            joined: OnceLock::new(),
        }))))
    }

    /// The status code, 100 to 999.
    #[doc(alias = "statusCode")]
    pub fn status_code(&self) -> u16 {
        self.head().status.as_u16()
    }

    /// The protocol version of the response.
    pub fn version(&self) -> Version {
        self.head().version
    }

    /// The reason phrase as the server spelled it; `None` if it sent none, as HTTP/2 never does (RFC 9113 §8.3.2).
    pub fn reason_phrase(&self) -> Option<&str> {
        let reason = std::str::from_utf8(http1::reason(&self.head().raw)).ok()?;
        Some(reason).filter(|reason| !reason.is_empty())
    }

    /// The value of a header field; names compare without case. A repeated field is one value, joined by `, ` in the order
    /// received (RFC 9110 §5.3), `Set-Cookie` too. A value that is not UTF-8 is read as ISO-8859-1.
    #[doc(alias = "valueForHTTPHeaderField")]
    #[doc(alias = "value(forHTTPHeaderField:)")]
    pub fn value(&self, name: impl AsRef<str>) -> Option<&str> {
        let name = name.as_ref();
        let mut values = self.head().fields.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_none()
            && let Ok(value) = std::str::from_utf8(first.as_bytes())
        {
            return Some(value);
        }
        let joined = self.0.0.joined.get_or_init(|| joined(&self.head().fields));
        joined.iter().find(|(known, _)| known.as_str().eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The header fields with lower-case names and every value.
    pub fn headers(&self) -> &HeaderMap {
        &self.head().fields
    }

    /// The header fields with names in Apple's spelling (`Content-Type`; `x-…` as the server spelled them).
    /// Values of the same name are joined by commas, which is lossless except for `Set-Cookie`.
    #[doc(alias = "allHeaderFields")]
    pub fn all_header_fields(&self) -> Vec<(String, String)> {
        let head = self.head();
        let mut all: Vec<(String, String)> = Vec::with_capacity(head.fields.keys_len());
        let mut positions: HashMap<HeaderName, usize> = HashMap::with_capacity(head.fields.keys_len());
        let spelled: Box<dyn Iterator<Item = (&str, &[u8])>> = if head.raw.is_empty() {
            Box::new(head.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
        } else {
            Box::new(field::raw_fields(&head.raw))
        };
        for (name, value) in spelled {
            let Ok(key) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            // A length that the framing overrides stands in the head as it came, and is no field of the response.
            if !head.fields.contains_key(&key) {
                continue;
            }
            let value = text_of(value);
            match positions.entry(key) {
                Entry::Occupied(at) => {
                    let known = &mut all[*at.get()].1;
                    known.push_str(", ");
                    known.push_str(&value);
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(all.len());
                    all.push((field::canonical_name(name).into_owned(), value.into_owned()));
                }
            }
        }
        all
    }

    /// What a status code means, in English, lower case: 404 is `not found`.
    #[doc(alias = "localizedString(forStatusCode:)")]
    pub fn localized_string(status_code: u16) -> String {
        let reason = StatusCode::from_u16(status_code).ok().and_then(|status| status.canonical_reason());
        match (reason, status_code) {
            (_, 200) => "no error".into(),
            (Some(reason), _) => reason.to_ascii_lowercase(),
            (None, 100..=199) => "informational".into(),
            (None, 200..=299) => "success".into(),
            (None, 300..=399) => "redirected".into(),
            (None, 400..=499) => "client error".into(),
            (None, 500..=599) => "server error".into(),
            (None, _) => "unknown".into(),
        }
    }

    fn head(&self) -> &HttpHead {
        match &self.0.0.kind {
            ResponseKind::Http(head) => head,
            ResponseKind::Plain { .. } => unreachable!("an HttpUrlResponse is made of an HTTP head only"),
        }
    }
}

impl Deref for HttpUrlResponse {
    type Target = UrlResponse;

    fn deref(&self) -> &UrlResponse {
        &self.0
    }
}

impl From<HttpUrlResponse> for UrlResponse {
    fn from(response: HttpUrlResponse) -> Self {
        response.0
    }
}
