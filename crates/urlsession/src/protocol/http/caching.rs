//! Caching: serves what the cache may serve, asks the server about what it may not, keeps what may be kept.
//!
//! RFC 9111 as a private cache, RFC 5861, RFC 8246, and Apple's cache policies. What is decided is in `plan`; the
//! grammar and the arithmetic are `urlsession_proto::caching`, the keeping is the store's. Bodies are kept as they
//! came: the room above decodes them.

mod flights;
mod identities;
mod keep;
mod plan;
mod ranges;
mod refresh;

use std::cell::OnceCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, StatusCode};
use urlsession_proto::method::is_safe;

use self::flights::Flights;
pub(super) use self::identities::ShownCertificates;
use self::plan::{Missing, Next, Sayings, Wish};
use super::defaults::defaults;
use super::discard::drain;
use crate::configuration::Configuration;
use crate::env::{Clock, epoch_seconds};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{
    Attempt, Body, CacheBypass, CacheDecision, CacheLookup, CacheStorage, Layer, Response, StaleUse, WhyAsked,
};
use crate::message::{UrlRequest, UrlResponse};
use crate::store::UrlCache;
use crate::store::cache::{Entry, Found, Known, Said, Variant, key};
use crate::transport::DefaultFields;

/// A clone is the same room.
pub(super) struct Caching<N>(Arc<Room<N>>);

struct Room<N> {
    config: Arc<Configuration>,
    defaults: Arc<DefaultFields>,
    /// What the configuration's fields say of caching.
    of_session: Option<Sayings>,
    certificates: Arc<ShownCertificates>,
    /// Loads whose answers may be kept.
    loading: Flights,
    /// Entries being asked for anew behind their users.
    refreshing: Flights,
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
        let of_session = Sayings::of_session(&config.http_additional_headers);
        let (loading, refreshing) = (Flights::default(), Flights::default());
        Self(Arc::new(Room { config, defaults, of_session, certificates, loading, refreshing, next }))
    }
}

impl<N: Layer + 'static> Layer for Caching<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let after = match self.begin(attempt) {
            Begin::Answer(result) => return result,
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
                After::Pass => {}
                After::Invalidate if attempt.is_server_untrusted() => {}
                After::Invalidate => keep::invalidate(cache, &attempt.request, &response.head),
                After::Keep(missing) => self.keep(cache, &mut response, missing.lookup(), None, attempt),
            }
        }
        Ok(response)
    }
}

/// How a load begins.
enum Begin {
    /// It is over.
    Answer(Result<Response>),
    /// With the server.
    Load(After),
    /// There may be something to wait for.
    Wait,
}

/// What the cache has to do with the server's answer.
#[derive(Clone, Copy)]
enum After {
    Pass,
    Invalidate,
    Keep(Missing),
}

impl<N: Layer + 'static> Caching<N> {
    fn wish(&self, request: &UrlRequest) -> Wish {
        Wish::of(request, self.0.config.request_cache_policy, self.0.of_session.as_ref())
    }

    /// All that needs no waiting, and leaves next to nothing behind while the server answers.
    fn begin(&self, attempt: &mut Attempt<'_>) -> Begin {
        let config = &self.0.config;
        let Some(cache) = &config.url_cache else {
            attempt.stamps().cache = Some(plan::NO_CACHE);
            return Begin::Load(After::Pass);
        };
        if !is_safe(attempt.request.http_method()) {
            attempt.stamps().cache = Some(plan::UNCACHEABLE);
            return Begin::Load(After::Invalidate);
        }
        let mut wish = self.wish(&attempt.request);
        if wish.range.is_some() && attempt.ask.goes_to_file() {
            // A download goes on with what it has itself.
            wish.bypass = Some(CacheBypass::Conditional);
        }
        let Some(key) = key(&attempt.request).filter(|_| wish.bypass.is_none()) else {
            attempt.stamps().cache = Some(plan::not_asked(wish.bypass));
            return match wish.only_from_cache {
                true => Begin::Answer(Err(not_cached())),
                false => Begin::Load(After::Pass),
            };
        };
        if wish.range.is_some() {
            return Begin::Wait;
        }
        let found = match wish.looks {
            true => self.find_at_once(cache, key, attempt),
            false => Some(Found::Nothing),
        };
        let Some(found) = found.filter(|found| part(found).is_none()) else { return Begin::Wait };
        if config.shares_cacheable_loads && wish.may_share() && !matches!(found, Found::Entry(_)) {
            return Begin::Wait;
        }
        match plan::next(&found, &wish, || seconds(attempt.clock)) {
            Next::Serve(entry, lookup) => match entry.content.at_once() {
                Some(body) => Begin::Answer(Ok(self.answer(cache, &entry, lookup, body, attempt))),
                None => Begin::Wait,
            },
            Next::Fail(missing) => Begin::Answer(Err(self.fail(missing, attempt))),
            Next::Load(missing) if !wish.is_sent() => Begin::Load(After::Keep(missing)),
            Next::Load(_) | Next::Ask(..) => Begin::Wait,
        }
    }

    /// From the beginning, for a load that may have to wait: for the disk, for another load, for what the server says of
    /// what is kept.
    async fn consider(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let request = attempt.request.clone();
        let (Some(cache), Some(key)) = (&self.0.config.url_cache, key(&request)) else {
            return self.0.next.load(attempt).await;
        };
        let wish = self.wish(&request);
        if let Some(range) = wish.range {
            return Box::pin(self.load_range(cache, key, range, &wish, attempt)).await;
        }
        let mut found = match wish.looks {
            true => self.find(cache, key, attempt).await,
            false => Found::Nothing,
        };
        let mut flight = None;
        if self.0.config.shares_cacheable_loads && wish.may_share() && !matches!(found, Found::Entry(_)) {
            (found, flight) = self.share(cache, key, attempt).await;
        }
        if let Some(entry) = part(&found) {
            return Box::pin(self.complete(cache, entry.clone(), &wish, attempt)).await;
        }
        match plan::next(&found, &wish, || seconds(attempt.clock)) {
            Next::Serve(entry, lookup) => self.serve(cache, entry, lookup, attempt).await,
            Next::Ask(entry, why) => Box::pin(self.ask(cache, entry, why, &wish, attempt)).await,
            Next::Fail(missing) => Err(self.fail(missing, attempt)),
            Next::Load(missing) => {
                let added = attempt.added.len();
                attempt.added.extend(wish.fields());
                let response = self.0.next.load(attempt).await;
                attempt.added.truncate(added);
                let mut response = response?;
                self.keep(cache, &mut response, missing.lookup(), flight, attempt);
                Ok(response)
            }
        }
    }

    /// What is kept, as far as can be said without waiting.
    fn find_at_once(&self, cache: &UrlCache, key: &str, attempt: &Attempt<'_>) -> Option<Found> {
        let defaults = &*self.0.defaults;
        // Mostly nothing is kept that could be for somebody else.
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
            Known::Nothing => Some(found),
            Known::Entry(entry) => Some(Found::Entry(entry)),
            Known::Unknown => None,
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

    fn expected_identity(&self, attempt: &Attempt<'_>) -> Option<String> {
        self.0.certificates.expected(attempt, self.0.config.url_credential_storage.as_ref())
    }

    fn fail(&self, missing: Missing, attempt: &mut Attempt<'_>) -> UrlError {
        attempt.stamps().cache = Some(CacheDecision::new(missing.lookup(), CacheStorage::NotConsidered));
        not_cached()
    }

    /// Answers from the cache.
    async fn serve(
        &self,
        cache: &UrlCache,
        entry: Arc<Entry>,
        lookup: CacheLookup,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        match entry.content.body(attempt.place).await {
            Some(body) => Ok(self.answer(cache, &entry, lookup, body, attempt)),
            None => self.load_instead(cache, &entry, attempt).await,
        }
    }

    fn answer(
        &self,
        cache: &UrlCache,
        entry: &Arc<Entry>,
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

    /// Answers with what was made of something stored.
    fn answer_with(
        &self,
        head: UrlResponse,
        lookup: CacheLookup,
        body: Body,
        attempt: &mut Attempt<'_>,
    ) -> Response {
        let now = attempt.clock.now();
        let stamps = attempt.stamps();
        stamps.cache = Some(CacheDecision::new(lookup, CacheStorage::NotConsidered));
        stamps.response_start = Some(now);
        stamps.response = Some(head.clone());
        Response { head, body }
    }

    /// The body turned out to be damaged: as if it had never been there.
    async fn load_instead(
        &self,
        cache: &UrlCache,
        entry: &Arc<Entry>,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        tracing::warn!("a damaged body of the cache is removed");
        cache.remove_entry(entry);
        let wish = self.wish(&attempt.request);
        if wish.only_from_cache {
            return Err(not_cached());
        }
        let mut response = self.0.next.load(attempt).await?;
        self.keep(cache, &mut response, CacheLookup::Nothing, None, attempt);
        Ok(response)
    }

    /// Asks the server whether what is kept may be used (RFC 9111 §4.3).
    async fn ask(
        &self,
        cache: &UrlCache,
        entry: Arc<Entry>,
        why: WhyAsked,
        wish: &Wish,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        let conditions = keep::conditions(&entry.response);
        let is_conditional = !conditions.is_empty();
        let added = attempt.added.len();
        attempt.added.extend(conditions);
        attempt.added.extend(wish.fields());
        let answer = self.0.next.load(attempt).await;
        attempt.added.truncate(added);
        let failed = match &answer {
            Ok(response) => keep::is_failure(&response.head),
            // Where no network may be used there is none.
            Err(error) if error.network_unavailable_reason().is_some() => true,
            Err(error) => matches!(error.phase(), Phase::Dns | Phase::Connect | Phase::Send | Phase::Head),
        };
        if failed && let Some(lookup) = plan::in_place_of_error(&entry, wish, seconds(attempt.clock)) {
            let error = answer.err();
            let failed = attempt.stamps();
            failed.error = error;
            attempt.begin_transaction();
            return self.serve(cache, entry, lookup, attempt).await;
        }
        let mut response = answer?;
        let is_confirmed =
            is_conditional && response.head.status_code() == Some(StatusCode::NOT_MODIFIED.as_u16());
        if !is_confirmed {
            self.keep(cache, &mut response, CacheLookup::Changed(why), None, attempt);
            return Ok(response);
        }
        drain(&mut response.body, attempt.meter, attempt.clock, attempt.place).await;
        let times = keep::times(attempt);
        // What only a delegate trusts confirms nothing, and makes nothing void.
        let is_untrusted = attempt.is_server_untrusted();
        let confirmed = keep::confirmed(&entry.response, &response.head).filter(|_| !is_untrusted);
        let Some(head) = confirmed else {
            if !is_untrusted {
                // RFC 9111 §4.3.4: it confirms another than ours, which is of no use then.
                cache.remove_entry(&entry);
            }
            attempt.begin_transaction();
            let mut response = self.0.next.load(attempt).await?;
            self.keep(cache, &mut response, CacheLookup::Changed(why), None, attempt);
            return Ok(response);
        };
        let entry = Arc::new(entry.confirmed(head, times));
        cache.confirm(&entry);
        attempt.stamps().cache =
            Some(CacheDecision::new(CacheLookup::Confirmed(why), CacheStorage::NotConsidered));
        match entry.content.body(attempt.place).await {
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

/// What is found, if it is only a part.
fn part(found: &Found) -> Option<&Arc<Entry>> {
    match found {
        Found::Entry(entry) if entry.is_part() => Some(entry),
        _ => None,
    }
}

/// Completes with the first of the two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await;
}

/// What the request will say in a field when it is sent, and its connection in what is none.
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
    let own = request.all_http_header_fields().bytes(name);
    let of_room = || added.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes());
    own.or_else(|| defaults.value(name)).or_else(of_room).map_or(Said::Nothing, Said::Value)
}

/// Apple: *NSURLErrorCannotLoadFromNetwork*, a request to load only from the cache could not be satisfied.
fn not_cached() -> UrlError {
    let detail = "nothing is cached for it, and the cache policy forbids to load it";
    UrlError::new(UrlErrorCode::CannotLoadFromNetwork, Phase::Policy, detail)
}

/// What the clock says, in seconds since 1970.
fn seconds(clock: &dyn Clock) -> i64 {
    epoch_seconds(clock.wall())
}

#[cfg(test)]
#[path = "caching_tests.rs"]
mod tests;
