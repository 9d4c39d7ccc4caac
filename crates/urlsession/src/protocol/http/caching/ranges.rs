//! Ranges and parts: a range is served from what is stored; a part is stored, joined with what is there, and completed
//! when the whole is asked for (RFC 9111 §3.3, §3.4; RFC 9110 §14, §15.3.7).
//!
//! A part is stored as an entry with the status 206 and its `Content-Range`. Only parts with a strong validator are
//! stored: nothing else proves that two parts belong to one representation. Coded bodies, several ranges in one response,
//! and loads whose delegate decides about storing use the network only.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderValue, StatusCode};
use urlsession_proto::caching::{CacheControl, Vary, merged, vary};
use urlsession_proto::range::{ByteRange, ContentRange, Validators, from};

use super::super::cache_request::{CacheRequest, not_cached};
use super::super::discard::drain;
use super::identities::IDENTITY;
use super::plan::{self, Miss, Next};
use super::revalidation::{merged_raw, stored_head, times};
use super::{Caching, said, seconds};
use crate::body::{Body, BodyObserver, BodySource, ReadTarget};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, CacheDecision, CacheLookup, CacheStorage, Layer, NotStored, Response, StaleUse};
use crate::message::{CachedUrlResponse, HttpHead, UrlRequest, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::{CacheEntry, Content, Found, Variant};

impl<N: Layer + 'static> Caching<N> {
    /// A load of one range.
    pub(super) async fn load_range(
        &self,
        cache: &UrlCache,
        key: &str,
        range: ByteRange,
        cache_request: &CacheRequest,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        let found = if cache_request.looks { self.find(cache, key, attempt).await } else { Found::Nothing };
        if let Next::Serve(entry, lookup) = plan::next(&found, cache_request, || seconds(attempt.clock))
            && !matches!(lookup, CacheLookup::Stale { by: StaleUse::WhileRevalidate, .. })
            && let Some(stored) = Stored::of(&entry)
            && stored.suits_if_range(self.if_range(&attempt.request), seconds(attempt.clock))
            && let Some((first, last)) = stored.covers(range)
            && let Some(body) = entry.content.body(attempt.runtime).await
        {
            let body = slice(body, first - stored.first, last - first + 1);
            let mut head = stored.head.part(first, last, stored.complete);
            if let Some(age) = entry.freshness.and_then(|freshness| freshness.age(seconds(attempt.clock))) {
                head = head.with(AGE, "Age", age.into());
            }
            let head = UrlResponse::from_http(attempt.request.clone(), head);
            return Ok(self.answer_with(head, lookup, body, attempt));
        }
        if cache_request.only_from_cache {
            attempt.transaction().cache =
                Some(CacheDecision::new(CacheLookup::Miss, CacheStorage::NotConsidered));
            return Err(not_cached());
        }
        let added = attempt.added.len();
        attempt.added.extend(cache_request.fields());
        let response = self.0.next.load(attempt).await;
        attempt.added.truncate(added);
        let mut response = response?;
        let lookup = if cache_request.looks { CacheLookup::Miss } else { Miss::Ignored.lookup() };
        if response.head.status_code() == Some(StatusCode::PARTIAL_CONTENT.as_u16()) {
            let kept = match found {
                Found::Entry(entry) => Some(entry),
                _ => None,
            };
            let storage = self.keep_part(cache, key, kept, &mut response, attempt);
            attempt.transaction().cache = Some(CacheDecision::new(lookup, storage));
        } else if response.head.status_code() == Some(StatusCode::OK.as_u16()) {
            // The server ignored the range, as it may: this is the whole.
            self.keep(cache, &mut response, lookup, None, attempt);
        } else {
            attempt.transaction().cache =
                Some(CacheDecision::new(lookup, CacheStorage::Refused(NotStored::Status)));
        }
        Ok(response)
    }

    fn if_range<'a>(&'a self, request: &'a UrlRequest) -> Option<&'a [u8]> {
        let own = request.fields().bytes("if-range");
        own.or_else(|| self.0.defaults.value("if-range"))
    }

    /// A load of the whole, of which a part is stored: requests the rest, if the part is its beginning.
    pub(super) async fn complete(
        &self,
        cache: &UrlCache,
        entry: Arc<CacheEntry>,
        cache_request: &CacheRequest,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        if cache_request.only_from_cache {
            return Err(self.fail(Miss::Nothing, attempt));
        }
        let added = attempt.added.clone();
        let stored = Stored::of(&entry).filter(|stored| stored.first == 0 && cache_request.looks);
        let beginning = match &entry.content {
            Content::Memory(data) => Some(data.clone()),
            Content::File(_) => None,
        };
        let asked = stored.zip(beginning).and_then(|(stored, data)| {
            let validators = Validators::of(&stored.head.fields, seconds(attempt.clock));
            let condition = HeaderValue::try_from(validators.if_range(false)?.0).ok()?;
            Some((stored, data, condition))
        });
        if let Some((_, data, condition)) = &asked {
            // A range counts the bytes of one coding.
            attempt.added.retain(|(name, _)| *name != "accept-encoding");
            let range = HeaderValue::try_from(from(data.len() as u64));
            attempt.added.extend(range.ok().map(|range| ("range", range)));
            attempt.added.push(("if-range", condition.clone()));
        }
        attempt.added.extend(cache_request.fields());
        let response = self.0.next.load(attempt).await;
        attempt.added = added;
        let mut response = response?;
        let is_part = response.head.status_code() == Some(StatusCode::PARTIAL_CONTENT.as_u16());
        let is_refused = response.head.status_code() == Some(StatusCode::RANGE_NOT_SATISFIABLE.as_u16());
        if asked.is_none() || !(is_part || is_refused) {
            self.keep(cache, &mut response, CacheLookup::Miss, None, attempt);
            return Ok(response);
        }
        // Data from a server that only a delegate trusts is not joined with stored data of others.
        let is_untrusted = attempt.is_server_untrusted();
        let joined = asked.filter(|_| !is_untrusted).and_then(|(stored, data, _)| {
            let head = stored.joined_with(response.head.http_head()?, seconds(attempt.clock))?;
            Some((head, data, stored.complete?))
        });
        let Some((head, data, complete)) = joined else {
            // Of another representation, or not what was asked for.
            drain(&mut response.body, attempt.activity, attempt.clock, attempt.runtime).await;
            if !is_untrusted {
                cache.remove_entry(&entry);
            }
            attempt.begin_transaction();
            let mut response = self.0.next.load(attempt).await?;
            self.keep(cache, &mut response, CacheLookup::Miss, None, attempt);
            return Ok(response);
        };
        let left = complete - data.len() as u64;
        let body = Body::flow(Box::new(Joined { beginning: Some(data), rest: response.body, left }));
        let mut response = Response { head: UrlResponse::from_http(attempt.request.clone(), head), body };
        self.keep(cache, &mut response, CacheLookup::Completed, None, attempt);
        Ok(response)
    }

    /// Stores a part while it is read, if it may be.
    fn keep_part(
        &self,
        cache: &UrlCache,
        key: &str,
        kept: Option<Arc<CacheEntry>>,
        response: &mut Response,
        attempt: &mut Attempt<'_>,
    ) -> CacheStorage {
        let refused = CacheStorage::Refused(NotStored::Partial);
        let Some(head) = response.head.http_head() else { return refused };
        let control = CacheControl::of(&head.fields);
        if control.no_store {
            return CacheStorage::Refused(NotStored::NoStore);
        }
        let head = stored_head(head);
        let Some(stored) =
            Stored::of_part(head).filter(|stored| stored.length() <= cache.most().min(LARGEST))
        else {
            return refused;
        };
        let validators = Validators::of(&stored.head.fields, seconds(attempt.clock));
        let Vary::Fields(mut names) = vary(&stored.head.fields) else {
            return CacheStorage::Refused(NotStored::VariesByEverything);
        };
        if attempt.is_server_untrusted() {
            return CacheStorage::Refused(NotStored::UntrustedServer);
        }
        if attempt.is_certificate_for_once() {
            return CacheStorage::Refused(NotStored::CertificateForOnce);
        }
        if validators.is_empty() || attempt.context.wants_will_cache() {
            return refused;
        }
        let kept = kept.filter(|kept| is_of(&validators, kept, seconds(attempt.clock)));
        if kept.as_ref().is_some_and(|kept| !kept.is_part()) {
            // The whole is stored already.
            return refused;
        }
        let mut url = attempt.request.url().clone();
        url.set_fragment(None);
        let identity = self.0.certificates.shown(attempt);
        names.extend(identity.is_some().then_some(IDENTITY));
        let variant = Variant::of(names, |name| {
            said(name, &attempt.request, &self.0.defaults, &attempt.added, identity.as_deref())
        });
        let cached = CachedUrlResponse::coded(UrlResponse::kept(url, stored.head.clone()), Bytes::new());
        let draft =
            CacheEntry::new(key.into(), variant, &cached, times(attempt), Content::Memory(Bytes::new()));
        let observer =
            PartStoringObserver { cache: cache.clone(), draft, stored, kept, data: BytesMut::new() };
        response.body.observe(Box::new(observer));
        CacheStorage::Kept
    }
}

/// What is stored of a representation: all of it, or a part.
struct Stored {
    head: HttpHead,
    /// Where the first byte of it belongs, and the last.
    first: u64,
    last: u64,
    /// The length of the whole representation, if it is known.
    complete: Option<u64>,
}

impl Stored {
    /// `None` if its ranges cannot be determined: it is coded, empty, of another status, or inconsistent.
    fn of(entry: &CacheEntry) -> Option<Self> {
        let head = entry.response.http_head()?.clone();
        let length = entry.content.length();
        if entry.is_part() {
            return Self::of_part(head).filter(|stored| stored.length() == length);
        }
        let is_plain = head.status == StatusCode::OK && !head.fields.contains_key(CONTENT_ENCODING);
        let last = length.checked_sub(1).filter(|_| is_plain)?;
        Some(Self { head, first: 0, last, complete: Some(length) })
    }

    fn of_part(head: HttpHead) -> Option<Self> {
        if head.fields.contains_key(CONTENT_ENCODING)
            || head.fields.get_all(CONTENT_RANGE).iter().count() != 1
        {
            return None;
        }
        let ContentRange { range, complete } =
            ContentRange::parse(head.fields.get(CONTENT_RANGE)?.to_str().ok()?)?;
        let (first, last) = range?;
        Some(Self { head, first, last, complete })
    }

    fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The first and the last byte of the range, if all of it is here.
    fn covers(&self, range: ByteRange) -> Option<(u64, u64)> {
        let (first, last) = range.within(self.complete)?;
        (self.first <= first && last <= self.last).then_some((first, last))
    }

    /// Whether the representation matches this `If-Range`, if there is one (RFC 9110 §13.1.5).
    fn suits_if_range(&self, condition: Option<&[u8]>, now: i64) -> bool {
        let Some(condition) = condition else { return true };
        let Validators { etag, date } = Validators::of(&self.head.fields, now);
        [etag, date].iter().flatten().any(|own| own.as_bytes() == condition.trim_ascii())
    }

    /// The head of the whole, if `rest` begins where this ends, ends where the whole does, and is of the same.
    fn joined_with(&self, rest: &HttpHead, now: i64) -> Option<HttpHead> {
        let following = Self::of_part(stored_head(rest))?;
        let is_same = Validators::of(&self.head.fields, now) == Validators::of(&rest.fields, now);
        let is_rest = following.first == self.last + 1
            && following.complete.is_some_and(|complete| following.last + 1 == complete)
            && self.complete.is_none_or(|complete| following.complete == Some(complete));
        (is_same && is_rest).then(|| self.head.updated_by(&following.head).whole(following.complete))
    }
}

/// Whether the entry is of the representation that has these strong validators.
fn is_of(validators: &Validators, entry: &CacheEntry, now: i64) -> bool {
    let head = entry.response.http_head();
    head.is_some_and(|head| Validators::of(&head.fields, now) == *validators)
}

impl HttpHead {
    /// The head of a part of what this is the head of (RFC 9110 §15.3.7).
    fn part(&self, first: u64, last: u64, complete: Option<u64>) -> Self {
        let complete = complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string());
        let range = HeaderValue::try_from(format!("bytes {first}-{last}/{complete}"));
        let head = self.with_status(StatusCode::PARTIAL_CONTENT);
        let head = head.with(CONTENT_LENGTH, "Content-Length", (last - first + 1).into());
        match range {
            Ok(range) => head.with(CONTENT_RANGE, "Content-Range", range),
            // Digits are always a value.
            Err(_) => head,
        }
    }

    /// The head of the whole of what this is the head of a part of.
    fn whole(&self, complete: Option<u64>) -> Self {
        let head = self.without(|name| name == CONTENT_RANGE.as_str()).with_status(StatusCode::OK);
        match complete {
            Some(complete) => head.with(CONTENT_LENGTH, "Content-Length", complete.into()),
            None => head,
        }
    }

    /// The same with the fields of a later response (RFC 9111 §3.4).
    fn updated_by(&self, fresh: &Self) -> Self {
        Self { fields: merged(&self.fields, &fresh.fields), raw: merged_raw(self, fresh), ..*self }
    }
}

/// Takes a part into the cache as it is read, joined with what is stored of the same.
struct PartStoringObserver {
    cache: UrlCache,
    /// With an empty body.
    draft: CacheEntry,
    stored: Stored,
    /// A part of the same.
    kept: Option<Arc<CacheEntry>>,
    data: BytesMut,
}

impl BodyObserver for PartStoringObserver {
    fn chunk(&mut self, chunk: &Bytes) {
        // A part longer than announced is not stored: one byte too many shows that.
        let left = (self.stored.length() + 1).saturating_sub(self.data.len() as u64);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        self.data.extend_from_slice(&chunk[..length]);
    }

    fn end(&mut self) {
        if self.data.len() as u64 != self.stored.length() {
            return;
        }
        let data = std::mem::take(&mut self.data).freeze();
        let kept = self.kept.take().and_then(|kept| {
            let Content::Memory(before) = &kept.content else { return None };
            Some((Stored::of(&kept)?, before.clone()))
        });
        let joined = kept.and_then(|(kept, before)| join((&kept, before), (&self.stored, data.clone())));
        let (first, data, head) =
            joined.unwrap_or_else(|| (self.stored.first, data, self.stored.head.clone()));
        let length = data.len() as u64;
        let head = match self.stored.complete {
            Some(complete) if complete == length => head.whole(Some(complete)),
            complete => head.part(first, first + length - 1, complete),
        };
        let url = self.draft.response.url().clone();
        let cached = CachedUrlResponse::coded(UrlResponse::kept(url, head), data.clone());
        let CacheEntry { key, variant, times, .. } = &self.draft;
        self.cache.store(CacheEntry::new(
            key.clone(),
            variant.clone(),
            &cached,
            *times,
            Content::Memory(data),
        ));
    }

    fn proposal(&mut self) -> Option<CachedUrlResponse> {
        None
    }

    fn decide(self: Box<Self>, _: Option<CachedUrlResponse>) {}
}

/// Two parts as one, if they touch: where it begins, and the head of the later one over that of the earlier. Where both
/// have a byte, it is the same.
fn join((kept, before): (&Stored, Bytes), (new, data): (&Stored, Bytes)) -> Option<(u64, Bytes, HttpHead)> {
    let do_touch = new.first <= kept.last + 1 && kept.first <= new.last + 1;
    let is_large = before.len() as u64 + data.len() as u64 > LARGEST;
    if !do_touch || is_large || (kept.complete.is_some() && kept.complete != new.complete) {
        return None;
    }
    let (low, high) = match kept.first <= new.first {
        true => ((kept.first, before), (new.first, data)),
        false => ((new.first, data), (kept.first, before)),
    };
    let overlap = usize::try_from(low.0 + low.1.len() as u64 - high.0).ok()?.min(high.1.len());
    let all = [&low.1[..], &high.1[overlap..]].concat();
    Some((low.0, all.into(), kept.head.updated_by(&new.head)))
}

/// The bytes of a body from `skip` on, `length` of them.
fn slice(body: Body, skip: u64, length: u64) -> Body {
    Body::flow(Box::new(Slice { body, skip, left: length })).plain()
}

struct Slice {
    body: Body,
    skip: u64,
    left: u64,
}

impl BodySource for Slice {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        while self.left > 0 {
            let Some(chunk) = ready!(self.body.poll_chunk(cx)) else { break };
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
            chunk.advance(skipped);
            self.skip -= skipped as u64;
            chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= chunk.len() as u64;
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(target.put(chunk))));
            }
        }
        Poll::Ready(None)
    }

    fn wire_bytes(&self) -> u64 {
        0
    }

    fn sent_late(&self) -> u64 {
        0
    }

    fn finish(self: Box<Self>) {}
}

/// The stored beginning of a body, then its rest from the network, of which `left` bytes are to come.
struct Joined {
    beginning: Option<Bytes>,
    rest: Body,
    left: u64,
}

impl BodySource for Joined {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        if let Some(beginning) = self.beginning.take() {
            return Poll::Ready(Some(Ok(target.put(beginning))));
        }
        let chunk = ready!(self.rest.poll_chunk(cx));
        let is_right = match &chunk {
            Some(Ok(chunk)) => {
                let left = self.left.checked_sub(chunk.len() as u64);
                self.left = left.unwrap_or(0);
                left.is_some()
            }
            Some(Err(_)) => true,
            None => self.left == 0,
        };
        Poll::Ready(if is_right { target.take(chunk) } else { Some(Err(wrong_length())) })
    }

    fn wire_bytes(&self) -> u64 {
        self.rest.wire_bytes()
    }

    fn sent_late(&self) -> u64 {
        self.rest.sent_late()
    }

    fn finish(self: Box<Self>) {}
}

/// A part is in memory until it is complete; two parts that are joined are both in memory.
const LARGEST: u64 = 2 * 1024 * 1024;

fn wrong_length() -> UrlError {
    let detail = "the rest of a stored part differs in length from its Content-Range";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail)
}
