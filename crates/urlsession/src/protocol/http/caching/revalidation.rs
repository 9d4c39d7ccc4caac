//! Revalidation: the conditions of the request, the update by a 304, and invalidation after a change.

use bytes::Bytes;
use http::header::{AGE, CONTENT_LOCATION, ETAG, HeaderMap, LAST_MODIFIED, LOCATION};
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use urlsession_proto::caching::{Times, connection_fields, is_blank, merged, updates};
use urlsession_proto::field::raw_fields;

use crate::env::epoch_seconds;
use crate::load::Attempt;
use crate::message::{HttpHead, UrlRequest, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::key_of_url;

/// The head as it is stored: without the fields of the connection (RFC 9111 §3.1).
pub(super) fn stored_head(head: &HttpHead) -> HttpHead {
    let names = connection_fields(&head.fields);
    if names.is_empty() { head.clone() } else { head.without(|name| names.iter().any(|of| of == name)) }
}

/// The conditions that revalidate a stored response (RFC 9110 §13.1.2, §13.1.3).
pub(super) fn conditions(response: &UrlResponse) -> SmallVec<[(&'static str, HeaderValue); 2]> {
    let Some(head) = response.http_head() else { return SmallVec::new() };
    let pairs = [("if-none-match", ETAG), ("if-modified-since", LAST_MODIFIED)];
    pairs
        .into_iter()
        .filter_map(|(name, of)| Some((name, head.fields.get(of).filter(|value| !is_blank(value))?.clone())))
        .collect()
}

/// RFC 5861 §4
pub(super) fn is_failure(response: &UrlResponse) -> bool {
    matches!(response.status_code(), Some(500 | 502 | 503 | 504))
}

/// The stored head, updated by a 304; `None` if the 304 is about another response.
pub(super) fn confirmed(kept: &UrlResponse, answer: &UrlResponse) -> Option<UrlResponse> {
    let (kept_head, fresh) = (kept.http_head()?, &stored_head(answer.http_head()?));
    let tag = |fields: &HeaderMap| {
        let tag = fields.get(ETAG)?.as_bytes();
        Some(tag.strip_prefix(b"W/").unwrap_or(tag).to_vec())
    };
    if let (Some(ours), Some(theirs)) = (tag(&kept_head.fields), tag(&fresh.fields))
        && ours != theirs
    {
        return None;
    }
    let mut fields = merged(&kept_head.fields, &fresh.fields);
    if !fresh.fields.contains_key(AGE) {
        // The age of what was stored is not that of what has just been confirmed.
        fields.remove(AGE);
    }
    let raw = merged_raw(kept_head, fresh);
    let head = HttpHead { version: kept_head.version, status: kept_head.status, fields, raw };
    Some(UrlResponse::kept(kept.url().clone(), head))
}

/// The same for the head as it was spelled; empty if neither was.
pub(super) fn merged_raw(kept: &HttpHead, fresh: &HttpHead) -> Bytes {
    if kept.raw.is_empty() {
        return Bytes::new();
    }
    let end = kept.raw.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut raw = kept.raw[..end].to_vec();
    let mut line = |name: &str, value: &[u8]| {
        raw.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    let replaces = |name: &str| {
        HeaderName::from_bytes(name.as_bytes())
            .is_ok_and(|name| name == AGE || (updates(&name) && fresh.fields.contains_key(&name)))
    };
    raw_fields(&kept.raw).filter(|(name, _)| !replaces(name)).for_each(|(name, value)| line(name, value));
    if fresh.raw.is_empty() {
        let news = fresh.fields.iter().filter(|(name, _)| updates(name));
        news.for_each(|(name, value)| line(name.as_str(), value.as_bytes()));
    } else {
        raw_fields(&fresh.raw).filter(|(name, _)| replaces(name)).for_each(|(name, value)| line(name, value));
    }
    raw.extend_from_slice(b"\r\n");
    raw.into()
}

/// When the transaction in progress was sent and answered.
pub(super) fn times(attempt: &mut Attempt<'_>) -> Times {
    let received = epoch_seconds(attempt.clock.wall());
    let transaction = attempt.transaction();
    let waited = transaction.request_start.zip(transaction.response_start);
    let waited = waited.map_or(0, |(sent, came)| came.saturating_duration_since(sent).as_secs());
    Times { requested: received.saturating_sub_unsigned(waited), received }
}

/// A successful change invalidates the stored responses of its target, and of the URLs it names on the same host
/// (RFC 9111 §4.4).
pub(super) fn invalidate(cache: &UrlCache, request: &UrlRequest, response: &UrlResponse) {
    let (Some(head), Some(url)) = (response.http_head(), request.url_for_stores()) else { return };
    if !(head.status.is_success() || head.status.is_redirection()) {
        return;
    }
    key_of_url(url).into_iter().for_each(|key| cache.remove(key));
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = head.fields.get(name).and_then(|value| url.join(value.to_str().ok()?).ok());
        if let Some(named) = named.filter(|named| named.origin() == url.origin()) {
            key_of_url(&named).into_iter().for_each(|key| cache.remove(key));
        }
    }
}
