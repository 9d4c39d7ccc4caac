//! Caching: serves what the cache may serve, asks the server about what it may not, keeps what may be kept.
//!
//! RFC 9111 as a private cache, RFC 5861, RFC 8246, and Apple's cache policies. What is decided is in `plan`; the
//! grammar and the arithmetic are `urlsession_proto::caching`, the keeping is the store's. Bodies are kept as they
//! came: the room above decodes them.

mod flights;
mod keep;
mod plan;
mod refresh;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderValue, StatusCode};
use smallvec::SmallVec;
use urlsession_proto::method::is_safe;

use self::flights::Flights;
use self::plan::{Next, Wish};
use super::defaults::defaults;
use crate::configuration::Configuration;
use crate::env::Clock;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{
    Attempt, Body, CacheDecision, CacheLookup, CacheStorage, Layer, Response, StaleUse, WhyAsked,
};
use crate::message::UrlRequest;
use crate::store::UrlCache;
use crate::store::cache::{Content, Entry, Found, Known, Said, Variant, key};
use crate::transport::DefaultFields;

/// A clone is the same room.
pub(super) struct Caching<N>(Arc<Room<N>>);

struct Room<N> {
    config: Arc<Configuration>,
    defaults: Arc<DefaultFields>,
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
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        let defaults = Arc::new(defaults(&config));
        let (loading, refreshing) = (Flights::default(), Flights::default());
        Self(Arc::new(Room { config, defaults, loading, refreshing, next }))
    }
}

impl<N: Layer + 'static> Layer for Caching<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let Some(cache) = &self.0.config.url_cache else {
            attempt.stamps().cache = Some(plan::NO_CACHE);
            return self.0.next.load(attempt).await;
        };
        if !is_safe(attempt.request.http_method()) {
            attempt.stamps().cache = Some(plan::UNCACHEABLE);
            let response = self.0.next.load(attempt).await?;
            keep::invalidate(cache, &attempt.request, &response.head);
            return Ok(response);
        }
        let request = attempt.request.clone();
        let wish = Wish::of(&request, self.0.config.request_cache_policy);
        let Some(key) = key(&request).filter(|_| wish.bypass.is_none()) else {
            attempt.stamps().cache = Some(plan::not_asked(wish.bypass));
            return match wish.only_from_cache {
                true => Err(not_cached()),
                false => self.0.next.load(attempt).await,
            };
        };
        let mut found = match wish.looks {
            true => self.find(cache, key, &request, attempt).await,
            false => Found::Nothing,
        };
        let mut flight = None;
        if self.0.config.shares_cacheable_loads && wish.may_share() && !matches!(found, Found::Entry(_)) {
            // In a box of its own, as everything that most loads do not need.
            (found, flight) = Box::pin(self.share(cache, key, &request, attempt)).await;
        }
        match plan::next(&found, &wish, || seconds(attempt.clock)) {
            Next::Serve(entry, lookup) => self.serve(cache, entry, lookup, attempt).await,
            Next::Ask(entry, why) => Box::pin(self.ask(cache, entry, why, &wish, attempt)).await,
            Next::Fail(lookup) => {
                attempt.stamps().cache = Some(CacheDecision::new(lookup, CacheStorage::NotConsidered));
                Err(not_cached())
            }
            Next::Load(lookup) => {
                if !wish.is_sent() {
                    let response = self.0.next.load(attempt).await?;
                    return Ok(self.keep(cache, response, lookup, flight, attempt));
                }
                let added = attempt.added.len();
                attempt.added.extend(wish.fields());
                let response = Box::pin(self.0.next.load(attempt)).await;
                attempt.added.truncate(added);
                Ok(self.keep(cache, response?, lookup, flight, attempt))
            }
        }
    }
}

impl<N: Layer + 'static> Caching<N> {
    async fn find(
        &self,
        cache: &UrlCache,
        key: &str,
        request: &Arc<UrlRequest>,
        attempt: &Attempt<'_>,
    ) -> Found {
        let defaults = &*self.0.defaults;
        let wanted =
            |variant: &Variant| variant.matches(|name| said(name, request, defaults, &attempt.added));
        let found = cache.find_in_memory(key, wanted);
        if matches!(found, Found::Entry(_)) {
            return found;
        }
        match cache.known_on_disk(key, wanted, || seconds(attempt.clock)) {
            Known::Nothing => return found,
            Known::Entry(entry) => return Found::Entry(entry),
            Known::Unknown => {}
        }
        let (request, defaults, added) = (request.clone(), self.0.defaults.clone(), attempt.added.clone());
        let wanted = move |variant: &_| matches_owned(variant, &request, &defaults, &added);
        match Box::pin(cache.find_on_disk(key, wanted)).await {
            Found::Nothing => found,
            found => found,
        }
    }

    /// Answers from the cache.
    async fn serve(
        &self,
        cache: &UrlCache,
        entry: Arc<Entry>,
        lookup: CacheLookup,
        attempt: &mut Attempt<'_>,
    ) -> Result<Response> {
        if matches!(lookup, CacheLookup::Stale { by: StaleUse::WhileRevalidate, .. }) {
            self.refresh(cache, &entry, attempt);
        }
        let body = match &entry.content {
            Content::Memory(data) => Body::whole(data.clone(), 0),
            Content::File(file) => match file.held() {
                Some(data) => Body::whole(data, 0),
                None => match Box::pin(file.body(attempt.place)).await {
                    Some(body) => body,
                    None => return Box::pin(self.load_instead(cache, &entry, attempt)).await,
                },
            },
        };
        let head = entry.response.answering(&attempt.request);
        let now = attempt.clock.now();
        let stamps = attempt.stamps();
        stamps.cache = Some(CacheDecision::new(lookup, CacheStorage::NotConsidered));
        stamps.response_start = Some(now);
        stamps.response = Some(head.clone());
        Ok(Response { head, body: if entry.is_coded { body } else { body.plain() } })
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
        let wish = Wish::of(&attempt.request, self.0.config.request_cache_policy);
        if wish.only_from_cache {
            return Err(not_cached());
        }
        let response = self.0.next.load(attempt).await?;
        Ok(self.keep(cache, response, CacheLookup::Nothing, None, attempt))
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
            Err(error) => matches!(error.phase(), Phase::Dns | Phase::Connect | Phase::Send | Phase::Head),
        };
        if failed && let Some(lookup) = plan::in_place_of_error(&entry, wish, seconds(attempt.clock)) {
            let error = answer.err();
            let failed = attempt.stamps();
            failed.error = error;
            attempt.begin_transaction();
            return self.serve(cache, entry, lookup, attempt).await;
        }
        let response = answer?;
        let is_confirmed =
            is_conditional && response.head.status_code() == Some(StatusCode::NOT_MODIFIED.as_u16());
        if !is_confirmed {
            return Ok(self.keep(cache, response, CacheLookup::Changed(why), None, attempt));
        }
        discard(response.body).await;
        let times = keep::times(attempt);
        let Some(head) = keep::confirmed(&entry.response, &response.head) else {
            // RFC 9111 §4.3.4: it confirms another than ours, which is of no use then.
            cache.remove_entry(&entry);
            attempt.begin_transaction();
            let response = self.0.next.load(attempt).await?;
            return Ok(self.keep(cache, response, CacheLookup::Changed(why), None, attempt));
        };
        let entry = Arc::new(entry.confirmed(head, times));
        cache.confirm(&entry);
        attempt.stamps().cache =
            Some(CacheDecision::new(CacheLookup::Confirmed(why), CacheStorage::NotConsidered));
        let body = match &entry.content {
            Content::Memory(data) => Some(Body::whole(data.clone(), 0)),
            Content::File(file) => file.body(attempt.place).await,
        };
        match body {
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

/// Completes with the first of the two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await;
}

/// Reads a body that has nothing to say, so that its connection can be used again.
async fn discard(mut body: Body) {
    while let Some(Ok(_)) = poll_fn(|cx| body.poll_chunk(cx)).await {}
}

/// What the request will say in a field when it is sent.
fn said<'a>(
    name: &str,
    request: &'a UrlRequest,
    defaults: &'a DefaultFields,
    added: &'a [(&'static str, HeaderValue)],
) -> Said<'a> {
    let own = request.all_http_header_fields().bytes(name);
    let of_room = || added.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes());
    own.or_else(|| defaults.value(name)).or_else(of_room).map_or(Said::Nothing, Said::Value)
}

fn matches_owned(
    variant: &Variant,
    request: &UrlRequest,
    defaults: &DefaultFields,
    added: &SmallVec<[(&'static str, HeaderValue); 2]>,
) -> bool {
    variant.matches(|name| said(name, request, defaults, added))
}

/// Apple documents `CannotLoadFromNetwork` (-2000); its systems give this one.
fn not_cached() -> UrlError {
    let detail = "nothing is cached for it, and the cache policy forbids to load it";
    UrlError::new(UrlErrorCode::ResourceUnavailable, Phase::Policy, detail)
}

/// Seconds since 1970.
fn seconds(clock: &dyn Clock) -> i64 {
    let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    clock.wall().duration_since(UNIX_EPOCH).map_or_else(|before| -whole(before.duration()), whole)
}

#[cfg(test)]
#[path = "caching_tests.rs"]
mod tests;
