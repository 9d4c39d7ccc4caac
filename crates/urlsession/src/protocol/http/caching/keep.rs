//! What is kept of a response, what a 304 makes of what is kept, and what a change makes void.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LOCATION, ETAG, HeaderMap, LAST_MODIFIED, LOCATION};
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use urlsession_proto::caching::{
    CacheControl, NotStorable, Times, Vary, connection_fields, is_blank, merged, says_something, storable,
    updates, vary,
};
use urlsession_proto::field::raw_fields;

use super::identities::IDENTITY;
use super::single_flight::Flight;
use super::{Caching, said, seconds};
use crate::load::{
    Attempt, BodyObserver, CacheDecision, CacheLookup, CacheStorage, Layer, NotStored, Response,
};
use crate::message::{CachedUrlResponse, HttpHead, UrlRequest, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::{CacheWriter, Content, Entry, Variant, key, key_of_url};

impl<N: Layer + 'static> Caching<N> {
    /// Keeps a response of the server while it is read, if it may be kept.
    pub(super) fn keep(
        &self,
        cache: &UrlCache,
        response: &mut Response,
        lookup: CacheLookup,
        flight: Option<Flight>,
        attempt: &mut Attempt<'_>,
    ) {
        let storage = match response.head.http_head() {
            Some(head) => match may_keep(cache, head) {
                Ok(_) if attempt.is_server_untrusted() => Err(NotStored::UntrustedServer),
                Ok(_) if attempt.is_certificate_for_once() => Err(NotStored::CertificateForOnce),
                Ok(_) if attempt.context.goes_to_file() => Err(NotStored::Downloaded),
                storage => storage,
            },
            None => Err(NotStored::Status),
        };
        let decided = storage.as_ref().map_or_else(|why| CacheStorage::Refused(*why), |_| CacheStorage::Kept);
        attempt.transaction().cache = Some(CacheDecision::new(lookup, decided));
        match storage {
            Ok(names) => self.tapped(cache, response, names, flight, attempt),
            Err(why) => {
                // A later whole answer makes an earlier one void, kept or not; an error of the server does not, nor
                // does a server that those who stored the earlier one need not trust.
                let is_void = !matches!(lookup, CacheLookup::Miss)
                    && !is_failure(&response.head)
                    && !attempt.is_server_untrusted();
                if is_void && !matches!(why, NotStored::Partial | NotStored::Status) {
                    key(&attempt.request).into_iter().for_each(|key| cache.remove(key));
                }
            }
        }
    }

    fn tapped(
        &self,
        cache: &UrlCache,
        response: &mut Response,
        mut names: Vec<HeaderName>,
        flight: Option<Flight>,
        attempt: &mut Attempt<'_>,
    ) {
        let request = attempt.request.clone();
        let (Some(url), Some(head)) = (request.url_for_stores(), response.head.http_head()) else { return };
        let Some(key) = key_of_url(url) else { return };
        let identity = self.0.certificates.shown(attempt);
        names.extend(identity.is_some().then_some(IDENTITY));
        let variant = Variant::of(names, |name| {
            said(name, &request, &self.0.defaults, &attempt.added, identity.as_deref())
        });
        // Without the fragment, and without the request, whose fields may be secrets.
        let mut url = url.clone();
        url.set_fragment(None);
        // Apple, *willCacheResponse*: of a success.
        let asks = head.status.is_success() && attempt.context.wants_will_cache();
        let cached = CachedUrlResponse::coded(UrlResponse::kept(url, stored_head(head)), Bytes::new());
        let content = Content::Memory(Bytes::new());
        let draft = Entry::new(Arc::from(key), variant, &cached, times(attempt), content);
        let intake = Some(CacheWriter::new(cache.clone(), draft, asks));
        let keeper = StoringObserver { intake, asks, is_whole: false, flight };
        response.body.tap(Box::new(keeper));
    }
}

/// The names it varies by, or why it is not kept. Costs no allocation for what says nothing of caching.
fn may_keep(cache: &UrlCache, head: &HttpHead) -> Result<Vec<HeaderName>, NotStored> {
    if !says_something(&head.fields) {
        return Err(NotStored::SaysNothing);
    }
    let control = CacheControl::of(&head.fields);
    storable(head.status, &head.fields, &control).map_err(|why| match why {
        NotStorable::SaysNothing => NotStored::SaysNothing,
        NotStorable::Status => NotStored::Status,
        NotStorable::Partial => NotStored::Partial,
        NotStorable::NoStore => NotStored::NoStore,
        NotStorable::VariesByEverything => NotStored::VariesByEverything,
    })?;
    let announced = head.fields.get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if announced.unwrap_or(0) > cache.most() || cache.most() == 0 {
        return Err(NotStored::TooLarge);
    }
    match vary(&head.fields) {
        Vary::Fields(names) => Ok(names),
        Vary::Everything => Err(NotStored::VariesByEverything),
    }
}

/// The head as it is stored: without the fields of the connection (RFC 9111 §3.1).
pub(super) fn stored_head(head: &HttpHead) -> HttpHead {
    let names = connection_fields(&head.fields);
    if names.is_empty() { head.clone() } else { head.without(|name| names.iter().any(|of| of == name)) }
}

/// Takes a body into the cache as it is read. What the delegate is to decide about is kept only by its decision: a load
/// that ends before that, or in the middle of it, keeps nothing.
struct StoringObserver {
    intake: Option<CacheWriter>,
    asks: bool,
    is_whole: bool,
    /// Others wait until this is dropped.
    flight: Option<Flight>,
}

impl BodyObserver for StoringObserver {
    fn chunk(&mut self, chunk: &Bytes) {
        if let Some(intake) = &mut self.intake {
            intake.chunk(chunk);
        }
    }

    fn end(&mut self) {
        self.is_whole = true;
        if !self.asks
            && let Some(intake) = self.intake.take()
        {
            intake.finish();
            self.flight = None;
        }
    }

    fn proposal(&mut self) -> Option<CachedUrlResponse> {
        self.intake.as_mut().filter(|_| self.is_whole)?.proposal()
    }

    fn decide(mut self: Box<Self>, decision: Option<CachedUrlResponse>) {
        if let (Some(mut intake), Some(decision)) = (self.intake.take(), decision)
            && let Some(proposal) = intake.proposal()
        {
            intake.keep(&decision.coded_like(&proposal));
        }
    }
}

/// The conditions that ask whether a response is still the server's (RFC 9110 §13.1.2, §13.1.3).
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

/// The kept head as a 304 makes it; `None` if that is about another response.
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
    Some(UrlResponse::kept(kept.url()?.clone(), head))
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
    let received = seconds(attempt.clock);
    let transaction = attempt.transaction();
    let waited = transaction.request_start.zip(transaction.response_start);
    let waited = waited.map_or(0, |(sent, came)| came.saturating_duration_since(sent).as_secs());
    Times { requested: received.saturating_sub_unsigned(waited), received }
}

/// A change that succeeded makes void what is kept of its target, and of what it names on the same host
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
