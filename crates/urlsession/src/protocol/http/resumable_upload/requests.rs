//! The requests of an upload: the fields of each, and the source of parts of the body.

use http::{HeaderMap, Method, header};
use url::Url;
use urlsession_proto::resumable_upload::Part;
use urlsession_proto::scheme::Scheme;

use crate::message::{BodyStream, HttpBody, UrlRequest, is_of_origin};

/// A request about the upload at `url`, without content. It has the fields of the request to the target, except those that
/// describe content or make a request conditional; credentials are sent to the target's origin only.
pub(super) fn about(target: &UrlRequest, url: &Url, method: Method) -> UrlRequest {
    let mut request = target.clone();
    request.set_url(url.clone());
    request.set_method(method);
    request.remove_http_body();
    let is_foreign = !is_same_place(target.url(), url);
    request.fields_mut().retain(|name| {
        let is_content = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
        let is_condition = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("if-"));
        let is_unfit = UNFIT.iter().any(|known| known.eq_ignore_ascii_case(name));
        !(is_content || is_condition || is_unfit || is_foreign && is_of_origin(name))
    });
    request
}

/// Whether the request creates an upload at all. `GET` and `HEAD` carry no content, and an application that sends
/// upload fields itself handles uploads itself.
pub(super) fn may_create(request: &UrlRequest, of_session: &HeaderMap) -> bool {
    let fields = request.fields();
    !matches!(*request.http_method(), Method::GET | Method::HEAD | Method::CONNECT)
        && !request.content().is_empty()
        && !has_trailers(request.content())
        && !OWN.iter().any(|name| fields.contains(name) || of_session.contains_key(*name))
}

/// The length of the body, if known: `Content-Length` may announce that of a stream (Apple: *httpBodyStream*).
pub(super) fn length(request: &UrlRequest) -> Option<u64> {
    request.content().length().or_else(|| request.value("content-length")?.trim().parse().ok())
}

/// Trailers describe a whole body, so a part has none.
fn has_trailers(body: &HttpBody) -> bool {
    matches!(body, HttpBody::Stream(stream) if stream.trailers().is_some())
}

/// Whether any part of the body can be sent again.
pub(super) fn is_rewindable(body: &HttpBody) -> bool {
    match body {
        HttpBody::None | HttpBody::Data(_) => true,
        HttpBody::Stream(stream) => stream.is_repeatable(),
    }
}

/// A part of the body, which begins at `base` of the whole; `None` if it is not available.
pub(super) fn part(body: &HttpBody, base: u64, at: u64, part: Part) -> Option<HttpBody> {
    let start = at.checked_sub(base)?;
    if part.length == Some(0) {
        return Some(HttpBody::None);
    }
    match body {
        HttpBody::None => None,
        HttpBody::Data(data) => {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(part.length?).ok()?)?;
            (end <= data.len()).then(|| HttpBody::Data(data.slice(start..end)))
        }
        HttpBody::Stream(stream) if stream.is_repeatable() => {
            Some(HttpBody::Stream(stream.part(start, part.length?)?))
        }
        // Nothing was sent of it yet.
        HttpBody::Stream(stream) if at == base && part.is_last && !stream.is_spent() => Some(body.clone()),
        // The sender requests the body from that offset.
        HttpBody::Stream(_) => {
            let rest = BodyStream::of_delegate();
            Some(HttpBody::Stream(match part.length {
                Some(length) => rest.with_length(length),
                None => rest,
            }))
        }
    }
}

/// Whether it is the same origin, or the same host over TLS, as HSTS may have upgraded it (RFC 6797 §8.3).
pub(super) fn is_same_place(target: &Url, url: &Url) -> bool {
    let ports = (target.port_or_known_default(), url.port_or_known_default());
    let (from, to) = (Scheme::of(target), Scheme::of(url));
    let is_upgraded = (from, to) == (Scheme::Http, Scheme::Https)
        && target.host() == url.host()
        && (ports.0 == ports.1 || ports == (from.default_port(), to.default_port()));
    is_upgraded || target.origin() == url.origin()
}

/// The URL in `Location`, if it is one of HTTP.
pub(super) fn location(base: &Url, fields: &HeaderMap) -> Option<Url> {
    let text = fields.get(header::LOCATION)?.to_str().ok()?;
    base.join(text).ok().filter(|url| Scheme::of(url).is_http())
}

/// Fields that belong to one message, beside those of content and conditions.
const UNFIT: [&str; 5] = ["expect", "range", "repr-digest", "transfer-encoding", "trailer"];

/// Fields by which applications handle uploads themselves.
const OWN: [&str; 5] = [
    "upload-complete",
    "upload-incomplete",
    "upload-offset",
    "upload-draft-interop-version",
    "tus-resumable",
];
