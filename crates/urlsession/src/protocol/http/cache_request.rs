//! What a request and its cache policy require of the session's cache and of caches on the way (RFC 9111 §5.2.1). It uses no
//! cache: it applies to sessions without one too.

use http::{HeaderMap, HeaderValue};
use urlsession_proto::caching::CacheControl;
use urlsession_proto::range::ByteRange;

use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, CacheBypass, CacheDecision, CacheLookup, CacheStorage, Layer, Response};
use crate::message::{CachePolicy, HeaderFields, UrlRequest};

/// What a request and its policy require.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheRequest {
    pub(super) control: CacheControl,
    /// Why the cache is not used, neither to serve nor to store.
    pub(super) bypass: Option<CacheBypass>,
    /// Whether what is stored may be used.
    pub(super) looks: bool,
    /// Whether it may be used whatever its age.
    pub(super) any_age: bool,
    /// Nothing may be sent.
    pub(super) only_from_cache: bool,
    /// Stored responses need revalidation.
    pub(super) revalidates: bool,
    /// Caches on the way must not serve the request either.
    pub(super) past_all_caches: bool,
    /// The one range that is requested.
    pub(super) range: Option<ByteRange>,
}

/// The cache directives of header fields.
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
    /// Of a session without a cache. `None` if its policy asks for nothing there: a load is plain then.
    ///
    /// # Errors
    /// If the request may only be answered from a cache.
    pub(super) fn without_cache(request: &UrlRequest, default: CachePolicy) -> Result<Option<Self>> {
        let is_plain = |policy| {
            matches!(policy, CachePolicy::UseProtocolCachePolicy | CachePolicy::ReturnCacheDataElseLoad)
        };
        if is_plain(request.cache_policy()) && is_plain(default) {
            return Ok(None);
        }
        let cache_request = Self::of(request, default, None);
        if cache_request.only_from_cache { Err(not_cached()) } else { Ok(Some(cache_request)) }
    }

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
        // An application that sends its own conditions handles the response itself. `If-Range` belongs to the range.
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

    /// Loads the request, with what is sent beside it.
    pub(super) async fn load(&self, next: &impl Layer, attempt: &mut Attempt<'_>) -> Result<Response> {
        let added = attempt.added.len();
        attempt.added.extend(self.fields());
        let response = next.load(attempt).await;
        attempt.added.truncate(added);
        response
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

pub(super) const NO_CACHE: CacheDecision = CacheDecision {
    lookup: CacheLookup::NotAsked(CacheBypass::NoCache),
    storage: CacheStorage::NotConsidered,
};

/// Apple: *NSURLErrorCannotLoadFromNetwork*, a request to load only from the cache could not be satisfied.
pub(super) fn not_cached() -> UrlError {
    let detail = "nothing is cached for it, and the cache policy forbids to load it";
    UrlError::new(UrlErrorCode::CannotLoadFromNetwork, Phase::Policy, detail)
}

const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since"];
