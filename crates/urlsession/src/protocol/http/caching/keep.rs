//! Stores a response of the server while its body is read, or records why it is not stored.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use urlsession_proto::caching::{CacheControl, NotStorable, Vary, says_something, storable, vary};

use super::identities::IDENTITY;
use super::revalidation::{is_failure, stored_head, times};
use super::single_flight::Flight;
use super::{Caching, said};
use crate::body::BodyObserver;
use crate::load::{Attempt, CacheDecision, CacheLookup, CacheStorage, Layer, NotStored, Response};
use crate::message::{CachedUrlResponse, HttpHead, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::writer::CacheWriter;
use crate::store::cache::{CacheEntry, Content, Variant, key, key_of_url};

impl<N: Layer + 'static> Caching<N> {
    /// Stores a response of the server while it is read, if it may be stored.
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
            Ok(names) => self.store_while_read(cache, response, names, flight, attempt),
            Err(why) => {
                // A later complete response invalidates an earlier one, stored or not; an error of the server does not, nor
                // does a server that only a delegate trusts.
                let is_void = !matches!(lookup, CacheLookup::Miss)
                    && !is_failure(&response.head)
                    && !attempt.is_server_untrusted();
                if is_void && !matches!(why, NotStored::Partial | NotStored::Status) {
                    key(&attempt.request).into_iter().for_each(|key| cache.remove(key));
                }
            }
        }
    }

    fn store_while_read(
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
        let draft = CacheEntry::new(Arc::from(key), variant, &cached, times(attempt), content);
        let writer = Some(CacheWriter::new(cache.clone(), draft, asks));
        let observer = StoringObserver { writer, asks, is_whole: false, flight };
        response.body.observe(Box::new(observer));
    }
}

/// The names it varies by, or why it is not stored. Allocates nothing for a response without cache fields.
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

/// Takes a body into the cache as it is read. If the delegate decides, the body is stored only by its decision: a load
/// that ends before or during that decision stores nothing.
struct StoringObserver {
    writer: Option<CacheWriter>,
    asks: bool,
    is_whole: bool,
    /// Others wait until this is dropped.
    flight: Option<Flight>,
}

impl BodyObserver for StoringObserver {
    fn chunk(&mut self, chunk: &Bytes) {
        if let Some(writer) = &mut self.writer {
            writer.chunk(chunk);
        }
    }

    fn end(&mut self) {
        self.is_whole = true;
        if !self.asks
            && let Some(writer) = self.writer.take()
        {
            writer.finish();
            self.flight = None;
        }
    }

    fn proposal(&mut self) -> Option<CachedUrlResponse> {
        self.writer.as_mut().filter(|_| self.is_whole)?.proposal()
    }

    fn decide(mut self: Box<Self>, decision: Option<CachedUrlResponse>) {
        if let (Some(mut writer), Some(decision)) = (self.writer.take(), decision)
            && let Some(proposal) = writer.proposal()
        {
            writer.keep(&decision.coded_like(&proposal));
        }
    }
}
