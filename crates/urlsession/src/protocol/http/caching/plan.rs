//! What a load wants of the cache, and what it gets: the pure half of the layer.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use urlsession_proto::caching::{CacheControl, Reuse, Why};
use urlsession_proto::range::ByteRange;

use crate::load::{CacheBypass, CacheDecision, CacheLookup, CacheStorage, RevalidationReason, StaleUse};
use crate::message::{CachePolicy, HeaderFields, UrlRequest};
use crate::store::cache::{CacheEntry, Found};

/// What a request and its policy want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheRequest {
    pub(super) control: CacheControl,
    /// Why the cache has no say, neither now nor afterwards.
    pub(super) bypass: Option<CacheBypass>,
    /// Whether what is stored may be used.
    pub(super) looks: bool,
    /// Whether it may be used whatever its age.
    pub(super) any_age: bool,
    /// Nothing is to be sent.
    pub(super) only_from_cache: bool,
    /// Only if the server confirms it.
    pub(super) revalidates: bool,
    /// Caches on the way must not answer either.
    pub(super) past_all_caches: bool,
    /// The one range that is asked for.
    pub(super) range: Option<ByteRange>,
}

/// What header fields say of caching.
#[derive(Clone, Copy, Default)]
pub(super) struct RequestDirectives {
    has_conditions: bool,
    has_if_range: bool,
    /// `Range`, and what it asks for, if that is one range of bytes.
    range: Option<Option<ByteRange>>,
    control: Option<CacheControl>,
    /// `Pragma`: whether it says `no-cache`.
    pragma: Option<bool>,
}

impl RequestDirectives {
    fn of(fields: &HeaderFields) -> Self {
        Self {
            has_conditions: CONDITIONS.iter().any(|name| fields.contains(name)),
            has_if_range: fields.contains("if-range"),
            range: fields.bytes("range").map(ByteRange::parse),
            control: fields.bytes("cache-control").map(|value| CacheControl::of_values([value])),
            pragma: fields.bytes("pragma").map(|value| CacheControl::of_values([value]).no_cache),
        }
    }

    /// What the configuration says for every request of the session; `None` for nearly all.
    pub(super) fn of_session(headers: &HeaderMap) -> Option<Self> {
        let mut names = CONDITIONS.iter().chain(&["range", "if-range", "cache-control", "pragma"]);
        let fields = HeaderFields::of_map(headers);
        names.any(|name| fields.contains(name)).then(|| Self::of(&fields))
    }

    /// The fields of both; of two with one name these.
    fn or(self, of_session: &Self) -> Self {
        Self {
            has_conditions: self.has_conditions || of_session.has_conditions,
            has_if_range: self.has_if_range || of_session.has_if_range,
            range: self.range.or(of_session.range),
            control: self.control.or(of_session.control),
            pragma: self.pragma.or(of_session.pragma),
        }
    }
}

impl CacheRequest {
    /// The request's own policy and fields win over the session's.
    pub(super) fn of(
        request: &UrlRequest,
        default: CachePolicy,
        of_session: Option<&RequestDirectives>,
    ) -> Self {
        let policy = match request.cache_policy() {
            CachePolicy::UseProtocolCachePolicy => default,
            policy => policy,
        };
        let mut cache_request = Self { looks: true, ..Self::default() };
        match policy {
            CachePolicy::UseProtocolCachePolicy => {}
            CachePolicy::ReloadIgnoringLocalCacheData => cache_request.looks = false,
            CachePolicy::ReturnCacheDataElseLoad => cache_request.any_age = true,
            CachePolicy::ReturnCacheDataDontLoad => {
                (cache_request.any_age, cache_request.only_from_cache) = (true, true)
            }
            CachePolicy::ReloadIgnoringLocalAndRemoteCacheData => {
                (cache_request.looks, cache_request.past_all_caches) = (false, true);
            }
            CachePolicy::ReloadRevalidatingCacheData => cache_request.revalidates = true,
        }
        let fields = request.fields();
        let said = match (fields.is_empty(), of_session) {
            (true, None) => return cache_request,
            (true, Some(of_session)) => *of_session,
            (false, None) => RequestDirectives::of(fields),
            (false, Some(of_session)) => RequestDirectives::of(fields).or(of_session),
        };
        // Who asks conditions of its own judges the answer itself. `If-Range` is one of the range.
        if said.has_conditions {
            cache_request.bypass = Some(CacheBypass::Conditional);
        } else if said.range.is_some() || said.has_if_range {
            cache_request.range = said.range.flatten();
            cache_request.bypass = cache_request.range.is_none().then_some(CacheBypass::Conditional);
        }
        cache_request.control = said.control.unwrap_or_default();
        // RFC 9111 §5.4
        cache_request.control.no_cache |= said.control.is_none() && said.pragma == Some(true);
        if cache_request.control.no_store {
            cache_request.bypass = cache_request.bypass.or(Some(CacheBypass::NoStore));
        }
        // RFC 9111 §5.2.1.7
        cache_request.only_from_cache |= cache_request.control.only_if_cached;
        cache_request
    }

    /// Whether anything is sent beside the request.
    pub(super) fn is_sent(&self) -> bool {
        self.past_all_caches || self.revalidates
    }

    /// What is sent beside the request.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, HeaderValue)> {
        let control = match (self.past_all_caches, self.revalidates) {
            (true, _) => Some("no-cache"),
            (_, true) => Some("max-age=0"),
            _ => None,
        };
        let control = control.map(|value| ("cache-control", HeaderValue::from_static(value)));
        let pragma = self.past_all_caches.then(|| ("pragma", HeaderValue::from_static("no-cache")));
        control.into_iter().chain(pragma)
    }

    /// Whether it may wait for another load of the same.
    pub(super) fn may_share(&self) -> bool {
        self.looks && !self.only_from_cache && !self.revalidates && !self.control.no_cache
    }
}

/// What to do.
pub(super) enum Next {
    /// Answer with what is kept.
    Serve(Arc<CacheEntry>, CacheLookup),
    /// Ask the server about what is kept.
    Revalidate(Arc<CacheEntry>, RevalidationReason),
    /// Load, and keep what may be kept.
    Load(Miss),
    Fail(Miss),
}

/// Why nothing that is kept is used.
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

pub(super) const NO_CACHE: CacheDecision = CacheDecision {
    lookup: CacheLookup::NotAsked(CacheBypass::NoCache),
    storage: CacheStorage::NotConsidered,
};

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

const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since"];
