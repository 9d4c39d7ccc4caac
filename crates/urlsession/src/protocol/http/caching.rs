//! Caching: serves stored responses that may be used, revalidates others, and stores responses that may be stored.
//!
//! RFC 9111 as a private cache, RFC 5861, RFC 8246, and Apple's cache policies. `plan` decides; the
//! grammar and the arithmetic are in `urlsession_proto::caching`, the storage is in the store. Bodies are stored in their
//! coded form: the layer above decodes them.

mod identities;
mod keep;
mod plan;
mod ranges;
mod refresh;
mod revalidation;
mod single_flight;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use urlsession_proto::method::is_safe;

pub(super) use self::identities::ShownCertificates;
use self::plan::{Miss, Next};
use self::single_flight::{Flight, SingleFlight};
use super::cache_request::{CacheRequest, NO_CACHE, RequestDirectives, not_cached};
use super::defaults::defaults;
use super::discard::drain;
use crate::body::Body;
use crate::configuration::Configuration;
use crate::env::{Clock, Timer, epoch_seconds};
use crate::error::{Phase, Result, UrlError};
use crate::load::{
    Attempt, CacheBypass, CacheDecision, CacheLookup, CacheStorage, Layer, Response, RevalidationReason,
    StaleUse,
};
use crate::message::{UrlRequest, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::{CacheEntry, DiskLookup, Found, Said, Variant, key};
use crate::transport::DefaultFields;

/// A clone is the same policy.
pub(super) struct Caching<N>(Arc<Policy<N>>);

struct Policy<N> {
    config: Arc<Configuration>,
    defaults: Arc<DefaultFields>,
    /// The cache directives of the configuration's fields.
    of_session: Option<RequestDirectives>,
    certificates: Arc<ShownCertificates>,
    /// Loads whose responses may be stored.
    loading: SingleFlight,
    /// Background revalidations of entries.
    on_expired_url: SingleFlight,
    next: N,
}

impl<N> Clone for Caching<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N> Caching<N> {
    pub(super) fn new(config: Arc<Configuration>, certificates: Arc<ShownCertificates>, next: N) -> Self {
        let defaults = Arc::new(defaults(&config));
        let of_session = RequestDirectives::of_session(&config.http_additional_headers);
        let (loading, on_expired_url) = (SingleFlight::default(), SingleFlight::default());
        Self(Arc::new(Policy { config, defaults, of_session, certificates, loading, on_expired_url, next }))
    }
}

impl<N: Layer + 'static> Layer for Caching<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let after = match self.begin(attempt) {
            Begin::Decision(result) => return result,
            Begin::Load(after) => Some(after),
            Begin::Wait => None,
        };
        let Some(after) = after else {
            // In a box of its own: what most loads do not need, they do not carry.
            return Box::pin(self.consider(attempt)).await;
        };
        let mut response = self.0.next.load(attempt).await?;
        if let Some(cache) = &self.0.config.url_cache {
            match after {
                StoreAction::Pass => {}
                StoreAction::Invalidate if attempt.is_server_untrusted() => {}
                StoreAction::Invalidate => revalidation::invalidate(cache, &attempt.request, &response.head),
                StoreAction::Keep(missing) => {
                    self.keep(cache, &mut response, missing.lookup(), None, attempt)
                }
            }
        }
        Ok(response)
    }
}

/// How a load begins.
enum Begin {
    /// It is over.
    Decision(Result<Response>),
    /// The request goes to the server.
    Load(StoreAction),
    /// The load may have to wait.
    Wait,
}

/// What the cache does with the server's response.
#[derive(Clone, Copy)]
enum StoreAction {
    Pass,
    Invalidate,
    Keep(Miss),
}

impl<N: Layer + 'static> Caching<N> {
    fn cache_request(&self, request: &UrlRequest) -> CacheRequest {
        CacheRequest::of(request, self.0.config.request_cache_policy, self.0.of_session.as_ref())
    }

    /// Everything that needs no waiting. It keeps almost no memory while the server responds.
    fn begin(&self, attempt: &mut Attempt<'_>) -> Begin {
        let config = &self.0.config;
        let Some(cache) = &config.url_cache else {
            attempt.transaction().cache = Some(NO_CACHE);
            return match CacheRequest::without_cache(&attempt.request, config.request_cache_policy) {
                Ok(None) => Begin::Load(StoreAction::Pass),
                Ok(Some(cache_request)) if cache_request.is_sent() => Begin::Wait,
                Ok(Some(_)) => Begin::Load(StoreAction::Pass),
                Err(error) => Begin::Decision(Err(error)),
            };
        };
        if !is_safe(attempt.request.http_method()) {
            attempt.transaction().cache = Some(plan::UNCACHEABLE);
            return Begin::Load(StoreAction::Invalidate);
        }
        let mut cache_request = self.cache_request(&attempt.request);
        if cache_request.range.is_some() && attempt.context.goes_to_file() {
            // A download continues with its own partial file.
            cache_request.bypass = Some(CacheBypass::Conditional);
        }
        let Some(key) = key(&attempt.request).filter(|_| cache_request.bypass.is_none()) else {
            attempt.transaction().cache = Some(plan::not_asked(cache_request.bypass));
            return match cache_request.only_from_cache {
                true => Begin::Decision(Err(not_cached())),
                false => Begin::Load(StoreAction::Pass),
            };
        };
        if cache_request.range.is_some() {
            return Begin::Wait;
        }
        let found = match cache_request.looks {
            true => self.find_at_once(cache, key, attempt),
            false => Some(Found::Nothing),
        };
        let Some(found) = found.filter(|found| part(found).is_none()) else { return Begin::Wait };
        if config.shares_cacheable_loads && cache_request.may_share() && !matches!(found, Found::Entry(_)) {
            return Begin::Wait;
        }
        match plan::next(&found, &cache_request, || seconds(attempt.clock)) {
            Next::Serve(entry, lookup) => match entry.content.at_once() {
                Some(body) => Begin::Decision(Ok(self.answer(cache, &entry, lookup, body, attempt))),
                None => Begin::Wait,
            },
            Next::Fail(missing) => Begin::Decision(Err(self.fail(missing, attempt))),
            Next::Load(missing) if !cache_request.is_sent() => Begin::Load(StoreAction::Keep(missing)),
            Next::Load(_) | Next::Revalidate(..) => Begin::Wait,
        }
    }

    /// The whole procedure, for a load that may have to wait: for the disk, for another load, for the server's
    /// revalidation.
    async fn consider(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let request = attempt.request.clone();
        let cache_request = self.cache_request(&request);
        let (Some(cache), Some(key)) = (&self.0.config.url_cache, key(&request)) else {
            return cache_request.load(&self.0.next, attempt).await;
        };
        if let Some(range) = cache_request.range {
            return Box::pin(self.load_range(cache, key, range, &cache_request, attempt)).await;
        }
        let mut found = match cache_request.looks {
            true => self.find(cache, key, attempt).await,
            false => Found::Nothing,
        };
        let mut flight = None;
        if self.0.config.shares_cacheable_loads
            && cache_request.may_share()
            && !matches!(found, Found::Entry(_))
        {
            (found, flight) = self.share(cache, key, attempt).await;
        }
        if let Some(entry) = part(&found) {
            return Box::pin(self.complete(cache, entry.clone(), &cache_request, attempt)).await;
        }
        match plan::next(&found, &cache_request, || seconds(attempt.clock)) {
            Next::Serve(entry, lookup) => self.serve(cache, entry, lookup, attempt).await,
            Next::Revalidate(entry, why) => {
                Box::pin(self.ask(cache, entry, why, &cache_request, attempt)).await
            }
            Next::Fail(missing) => Err(self.fail(missing, attempt)),
            Next::Load(missing) => {
                let mut response = cache_request.load(&self.0.next, attempt).await?;
                self.keep(cache, &mut response, missing.lookup(), flight, attempt);
                Ok(response)
            }
        }
    }

    /// The stored response, as far as it is known without waiting.
    fn find_at_once(&self, cache: &UrlCache, key: &str, attempt: &Attempt<'_>) -> Option<Found> {
        let defaults = &*self.0.defaults;
        // Mostly nothing is stored that could belong to another user.
        let identity = OnceCell::new();
        let wanted = |variant: &Variant| {
            let identity = identity.get_or_init(|| self.expected_identity(attempt));
            variant
                .matches(|name| said(name, &attempt.request, defaults, &attempt.added, identity.as_deref()))
        };
        let found = cache.find_in_memory(key, wanted);
        if matches!(found, Found::Entry(_)) {
            return Some(found);
        }
        match cache.known_on_disk(key, wanted, || seconds(attempt.clock)) {
            DiskLookup::Nothing => Some(found),
            DiskLookup::Entry(entry) => Some(Found::Entry(entry)),
            DiskLookup::Unknown => None,
        }
    }

    async fn find(&self, cache: &UrlCache, key: &str, attempt: &Attempt<'_>) -> Found {
        if let Some(found) = self.find_at_once(cache, key, attempt) {
            return found;
        }
        let (request, defaults) = (attempt.request.clone(), self.0.defaults.clone());
        let added = attempt.added.clone();
        let identity = self.expected_identity(attempt);
        let wanted = move |variant: &Variant| {
            variant.matches(|name| said(name, &request, &defaults, &added, identity.as_deref()))
        };
        match cache.find_on_disk(key, wanted).await {
            // It may be in memory, for others.
            Found::Nothing => cache.find_in_memory(key, |_| false),
            found => found,
        }
    }

    /// Waits for the running load of the same key and looks again, or becomes the load that others wait for.
    async fn share(&self, cache: &UrlCache, key: &str, attempt: &Attempt<'_>) -> (Found, Option<Flight>) {
        let landed = match self.0.loading.enter(key) {
            Ok(flight) => return (self.find(cache, key, attempt).await, Some(flight)),
            Err(landed) => landed,
        };
        {
            let _pause = attempt.activity.pause_idle();
            let end = attempt.clock.now() + PATIENCE;
            Timer::at(attempt.clock, attempt.runtime, end).limit(landed).await;
        }
        // Once: a response that is not stored must not make the others load one by one.
        (self.find(cache, key, attempt).await, None)
    }

    fn expected_identity(&self, attempt: &Attempt<'_>) -> Option<String> {
        self.0.certificates.expected(attempt, self.0.config.url_credential_storage.as_ref())
    }

    fn fail(&self, missing: Miss, attempt: &mut Attempt<'_>) -> UrlError {
        attempt.transaction().cache = Some(CacheDecision::new(missing.lookup(), CacheStorage::NotConsidered));
        not_cached()
    }

    /// Answers from the cache.
    async fn serve(
        &self,
        cache: &UrlCache,
        entry: Arc<CacheEntry>,
        lookup: CacheLookup,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        match entry.content.body(attempt.runtime).await {
            Some(body) => Ok(self.answer(cache, &entry, lookup, body, attempt)),
            None => self.load_instead(cache, &entry, attempt).await,
        }
    }

    fn answer(
        &self,
        cache: &UrlCache,
        entry: &Arc<CacheEntry>,
        lookup: CacheLookup,
        body: Body,
        attempt: &mut Attempt<'_>,
    ) -> Response {
        if matches!(lookup, CacheLookup::Stale { by: StaleUse::WhileRevalidate, .. }) {
            self.refresh(cache, entry, attempt);
        }
        let age = entry.freshness.and_then(|freshness| freshness.age(seconds(attempt.clock)));
        // RFC 9111 §5.1
        let head = entry.response.stored_for(&attempt.request, age);
        let body = if entry.is_coded { body } else { body.plain() };
        self.answer_with(head, lookup, body, attempt)
    }

    /// Responds with a response that was made from a stored one.
    fn answer_with(
        &self,
        head: UrlResponse,
        lookup: CacheLookup,
        body: Body,
        attempt: &mut Attempt<'_>,
    ) -> Response {
        let now = attempt.clock.now();
        let transaction = attempt.transaction();
        transaction.cache = Some(CacheDecision::new(lookup, CacheStorage::NotConsidered));
        transaction.response_start = Some(now);
        transaction.response = Some(head.clone());
        Response { head, body }
    }

    /// The body is damaged: treats the entry as a miss.
    async fn load_instead(
        &self,
        cache: &UrlCache,
        entry: &Arc<CacheEntry>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        tracing::warn!("a damaged body of the cache is removed");
        cache.remove_entry(entry);
        let cache_request = self.cache_request(&attempt.request);
        if cache_request.only_from_cache {
            return Err(not_cached());
        }
        let mut response = self.0.next.load(attempt).await?;
        self.keep(cache, &mut response, CacheLookup::Miss, None, attempt);
        Ok(response)
    }

    /// Revalidates the stored response at the server (RFC 9111 §4.3).
    async fn ask(
        &self,
        cache: &UrlCache,
        entry: Arc<CacheEntry>,
        why: RevalidationReason,
        cache_request: &CacheRequest,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        let conditions = revalidation::conditions(&entry.response);
        let is_conditional = !conditions.is_empty();
        let added = attempt.added.len();
        attempt.added.extend(conditions);
        attempt.added.extend(cache_request.fields());
        let answer = self.0.next.load(attempt).await;
        attempt.added.truncate(added);
        let failed = match &answer {
            Ok(response) => revalidation::is_failure(&response.head),
            // Where no network may be used there is none.
            Err(error) if error.network_unavailable_reason().is_some() => true,
            Err(error) => matches!(error.phase(), Phase::Dns | Phase::Connect | Phase::Send | Phase::Head),
        };
        if failed && let Some(lookup) = plan::in_place_of_error(&entry, cache_request, seconds(attempt.clock))
        {
            let error = answer.err();
            let failed = attempt.transaction();
            failed.error = error;
            attempt.begin_transaction();
            return self.serve(cache, entry, lookup, attempt).await;
        }
        let mut response = answer?;
        let is_confirmed =
            is_conditional && response.head.status_code() == Some(StatusCode::NOT_MODIFIED.as_u16());
        if !is_confirmed {
            self.keep(cache, &mut response, CacheLookup::Replaced(why), None, attempt);
            return Ok(response);
        }
        drain(&mut response.body, attempt.activity, attempt.clock, attempt.runtime).await;
        let times = revalidation::times(attempt);
        // A server that only a delegate trusts revalidates nothing, and invalidates nothing.
        let is_untrusted = attempt.is_server_untrusted();
        let confirmed = revalidation::confirmed(&entry.response, &response.head).filter(|_| !is_untrusted);
        let Some(head) = confirmed else {
            if !is_untrusted {
                // RFC 9111 §4.3.4: it confirms another response, so the stored one cannot be used.
                cache.remove_entry(&entry);
            }
            attempt.begin_transaction();
            let mut response = self.0.next.load(attempt).await?;
            self.keep(cache, &mut response, CacheLookup::Replaced(why), None, attempt);
            return Ok(response);
        };
        let entry = Arc::new(entry.confirmed(head, times));
        cache.confirm(&entry);
        attempt.transaction().cache =
            Some(CacheDecision::new(CacheLookup::Revalidated(why), CacheStorage::NotConsidered));
        match entry.content.body(attempt.runtime).await {
            Some(body) => {
                let head = entry.response.answering(&attempt.request);
                Ok(Response { head, body: if entry.is_coded { body } else { body.plain() } })
            }
            None => {
                attempt.begin_transaction();
                self.load_instead(cache, &entry, attempt).await
            }
        }
    }
}

/// The entry found, if it is only a part.
fn part(found: &Found) -> Option<&Arc<CacheEntry>> {
    match found {
        Found::Entry(entry) if entry.is_part() => Some(entry),
        _ => None,
    }
}

/// The values a response may vary by: the fields of the request when it is sent, and the identity of its connection.
fn said<'a>(
    name: &str,
    request: &'a UrlRequest,
    defaults: &'a DefaultFields,
    added: &'a [(&'static str, HeaderValue)],
    identity: Option<&'a str>,
) -> Said<'a> {
    if name == identities::IDENTITY {
        return identity.map_or(Said::Nothing, |identity| Said::Value(identity.as_bytes()));
    }
    let own = request.fields().bytes(name);
    let of_layer = || added.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes());
    own.or_else(|| defaults.value(name)).or_else(of_layer).map_or(Said::Nothing, Said::Value)
}

/// The time of the clock, in seconds since 1970.
fn seconds(clock: &dyn Clock) -> i64 {
    epoch_seconds(clock.wall())
}

/// How long a load waits for the response of another load.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "caching_tests.rs"]
mod tests;
