//! Decides how a load uses the cache: the pure part of the layer.

use std::sync::Arc;
use std::time::Duration;

use urlsession_proto::caching::{Reuse, Why};

use super::super::cache_request::CacheRequest;
use crate::load::{CacheBypass, CacheDecision, CacheLookup, CacheStorage, RevalidationReason, StaleUse};
use crate::store::cache::{CacheEntry, Found};

/// The decision.
pub(super) enum Next {
    /// Use the stored response.
    Serve(Arc<CacheEntry>, CacheLookup),
    /// Revalidate the stored response.
    Revalidate(Arc<CacheEntry>, RevalidationReason),
    /// Load, and store the response if it may be stored.
    Load(Miss),
    Fail(Miss),
}

/// Why no stored response is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The policy ignores it.
    Ignored,
    OtherVariant,
    Nothing,
}

impl Miss {
    pub(super) fn lookup(self) -> CacheLookup {
        match self {
            Self::Ignored => CacheLookup::NotAsked(CacheBypass::Policy),
            Self::OtherVariant => CacheLookup::OtherVariant,
            Self::Nothing => CacheLookup::Miss,
        }
    }
}

/// Decides; `now` is in seconds since 1970.
pub(super) fn next(found: &Found, cache_request: &CacheRequest, now: impl FnOnce() -> i64) -> Next {
    let missing = match found {
        Found::Entry(entry) => return of_entry(entry, cache_request, now()),
        _ if !cache_request.looks => Miss::Ignored,
        Found::OtherVariant => Miss::OtherVariant,
        Found::Nothing => Miss::Nothing,
    };
    if cache_request.only_from_cache { Next::Fail(missing) } else { Next::Load(missing) }
}

fn of_entry(entry: &Arc<CacheEntry>, cache_request: &CacheRequest, now: i64) -> Next {
    let serve = |lookup| Next::Serve(entry.clone(), lookup);
    let Some(freshness) = &entry.freshness else { return serve(stale(entry, StaleUse::Policy, now)) };
    match freshness.reuse(&cache_request.control, cache_request.revalidates, now) {
        Reuse::Fresh => serve(CacheLookup::Fresh {
            age: Duration::from_secs(freshness.age(now).unwrap_or(0)),
            lifetime: Duration::from_secs(freshness.lifetime.unwrap_or(0)),
            is_heuristic: freshness.is_heuristic,
        }),
        _ if cache_request.any_age && !cache_request.control.no_cache => {
            serve(stale(entry, StaleUse::Policy, now))
        }
        Reuse::Accepted => serve(stale(entry, StaleUse::MaxStale, now)),
        Reuse::WhileRevalidate if !cache_request.only_from_cache => {
            serve(stale(entry, StaleUse::WhileRevalidate, now))
        }
        _ if cache_request.only_from_cache => Next::Fail(Miss::Nothing),
        Reuse::WhileRevalidate => Next::Revalidate(entry.clone(), RevalidationReason::Stale),
        Reuse::Validate(why) => Next::Revalidate(entry.clone(), asked(why)),
    }
}

/// The stale answer that may stand in for an error, if there is one.
pub(super) fn in_place_of_error(
    entry: &CacheEntry,
    cache_request: &CacheRequest,
    now: i64,
) -> Option<CacheLookup> {
    let outlives =
        entry.freshness.is_some_and(|freshness| freshness.outlives_error(&cache_request.control, now));
    (outlives && !cache_request.revalidates).then(|| stale(entry, StaleUse::IfError, now))
}

pub(super) fn not_asked(bypass: Option<CacheBypass>) -> CacheDecision {
    let why = bypass.unwrap_or(CacheBypass::Uncacheable);
    CacheDecision::new(CacheLookup::NotAsked(why), CacheStorage::NotConsidered)
}

pub(super) const UNCACHEABLE: CacheDecision = CacheDecision {
    lookup: CacheLookup::NotAsked(CacheBypass::Uncacheable),
    storage: CacheStorage::NotConsidered,
};

fn stale(entry: &CacheEntry, by: StaleUse, now: i64) -> CacheLookup {
    let age = entry.freshness.and_then(|freshness| freshness.age(now)).map(Duration::from_secs);
    let lifetime = entry.freshness.and_then(|freshness| freshness.lifetime).map(Duration::from_secs);
    CacheLookup::Stale { age, lifetime, by }
}

fn asked(why: Why) -> RevalidationReason {
    match why {
        Why::Stale => RevalidationReason::Stale,
        Why::NoCache => RevalidationReason::NoCache,
        Why::Requested => RevalidationReason::Requested,
        Why::TooOld => RevalidationReason::TooOld,
        Why::ClockWentBack => RevalidationReason::ClockWentBack,
    }
}
