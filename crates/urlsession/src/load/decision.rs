//! What the cache did for a transaction, and why: data for metrics. The caching layer makes the decisions.

use std::fmt;
use std::time::Duration;

/// Why a response came from the cache or not, and whether it is stored. [`Display`](fmt::Display) writes one line.
/// Extension: no counterpart in Apple's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheDecision {
    /// Where the response came from.
    pub lookup: CacheLookup,
    /// Whether the response is stored.
    pub storage: CacheStorage,
}

/// Where a response came from. Times are in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheLookup {
    /// The cache was not searched.
    NotAsked(CacheBypass),
    /// No response was stored for the URL. The response came from the server, or the load failed if the policy forbids a
    /// network load.
    Miss,
    /// Only responses to other requests were stored, which differ in a field that `Vary` names.
    OtherVariant,
    /// From the cache: the age of the response was below its lifetime.
    Fresh {
        /// The age of the response.
        age: Duration,
        /// The lifetime: how long the response is fresh.
        lifetime: Duration,
        /// Whether the lifetime is a heuristic from `Last-Modified` (RFC 9111 §4.2.2).
        is_heuristic: bool,
    },
    /// From the cache, although the response was not fresh.
    Stale {
        /// The age of the response; `None` if the clock was set back.
        age: Option<Duration>,
        /// The lifetime: how long the response was fresh; `None` if it is not known.
        lifetime: Option<Duration>,
        /// What allows the use of a stale response.
        by: StaleUse,
    },
    /// From the cache: a conditional request was sent, and the server answered that the response has not changed.
    Revalidated(RevalidationReason),
    /// A conditional request was sent, and the server sent another response.
    Replaced(RevalidationReason),
    /// The beginning came from the cache, the rest from the server.
    Completed,
}

/// Why the cache was not searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheBypass {
    /// The session has no cache.
    NoCache,
    /// The method is not `GET`, or the URL contains a user name.
    Uncacheable,
    /// The request is conditional, or asks for a range.
    Conditional,
    /// The request's cache policy ignores the cache.
    Policy,
    /// The request says `no-store`.
    NoStore,
}

/// What allows the use of a stale response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleUse {
    /// The request's cache policy, which ignores age.
    Policy,
    /// The request's `max-stale`.
    MaxStale,
    /// The response's `stale-while-revalidate`: it is revalidated in the background.
    WhileRevalidate,
    /// `stale-if-error`: the server failed.
    IfError,
}

/// Why a stored response was revalidated with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevalidationReason {
    /// The response is older than its lifetime, or has no lifetime.
    Stale,
    /// The response contains `no-cache`.
    NoCache,
    /// The request or its policy demands it.
    Requested,
    /// The response is older than the request allows.
    TooOld,
    /// The clock is before the time at which the response was stored.
    ClockWentBack,
}

/// Whether a response is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheStorage {
    /// Storing was not considered: the response came from the cache, or the cache was not searched.
    NotConsidered,
    /// The response is stored once it is read to its end, if the delegate, if any, agrees.
    Kept,
    /// The response is not stored.
    Refused(NotStored),
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// The header fields say nothing about caching and contain no validator.
    SaysNothing,
    /// Responses with this status are not stored, or only with an explicit lifetime.
    Status,
    /// The response is partial.
    Partial,
    /// `no-store`.
    NoStore,
    /// `Vary: *`.
    VariesByEverything,
    /// The announced length is larger than a twentieth of the cache.
    TooLarge,
    /// The response is a download: it is saved in a file for the application.
    Downloaded,
    /// Only a delegate trusts the server; a later load of the URL may not trust it.
    UntrustedServer,
    /// The client certificate was used for this load only.
    CertificateForOnce,
}

impl CacheDecision {
    pub(crate) fn new(lookup: CacheLookup, storage: CacheStorage) -> Self {
        Self { lookup, storage }
    }

    /// Whether the response came from the cache, without the network.
    pub fn is_hit(&self) -> bool {
        matches!(self.lookup, CacheLookup::Fresh { .. } | CacheLookup::Stale { .. })
    }
}

impl fmt::Display for CacheDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lookup.fmt(f)?;
        match self.storage {
            CacheStorage::NotConsidered => Ok(()),
            CacheStorage::Kept => f.write_str("; kept"),
            CacheStorage::Refused(why) => write!(f, "; not kept: {why}"),
        }
    }
}

impl fmt::Display for CacheLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked(why) => write!(f, "not asked: {why}"),
            Self::Miss => f.write_str("nothing kept"),
            Self::OtherVariant => f.write_str("kept for other requests only (Vary)"),
            Self::Fresh { age, lifetime, is_heuristic } => {
                let guess = if *is_heuristic { " (a guess)" } else { "" };
                write!(f, "fresh, {} s old of {} s{guess}", age.as_secs(), lifetime.as_secs())
            }
            Self::Stale { age, lifetime, by } => {
                f.write_str("stale")?;
                if let Some(age) = age {
                    write!(f, ", {} s old", age.as_secs())?;
                    if let Some(lifetime) = lifetime {
                        write!(f, " of {} s", lifetime.as_secs())?;
                    }
                }
                write!(f, ", used by {by}")
            }
            Self::Revalidated(why) => write!(f, "confirmed by the server, asked since {why}"),
            Self::Replaced(why) => write!(f, "changed on the server, asked since {why}"),
            Self::Completed => f.write_str("the beginning kept, the rest from the server"),
        }
    }
}

macro_rules! reasons {
    ($($kind:ident { $($name:ident: $text:literal,)* })*) => {
        $(impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        })*
    };
}

reasons! {
    CacheBypass {
        NoCache: "the session has no cache",
        Uncacheable: "such requests are not cached",
        Conditional: "the request is conditional or for a range",
        Policy: "the cache policy ignores it",
        NoStore: "the request says no-store",
    }
    StaleUse {
        Policy: "the cache policy",
        MaxStale: "max-stale",
        WhileRevalidate: "stale-while-revalidate",
        IfError: "stale-if-error",
    }
    RevalidationReason {
        Stale: "it was stale",
        NoCache: "it says no-cache",
        Requested: "the request wants that",
        TooOld: "the request wants a younger one",
        ClockWentBack: "the clock went back",
    }
    NotStored {
        SaysNothing: "it says nothing of caching",
        Status: "its status",
        Partial: "it is a part",
        NoStore: "no-store",
        VariesByEverything: "Vary: *",
        TooLarge: "it is too large",
        Downloaded: "it is saved in a file",
        UntrustedServer: "only a delegate trusts the server",
        CertificateForOnce: "the client's certificate was shown for this load only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_one_line_that_says_why() {
        let (age, lifetime) = (Duration::from_secs(12), Duration::from_secs(3600));
        let fresh = CacheLookup::Fresh { age, lifetime, is_heuristic: false };
        let fresh = CacheDecision::new(fresh, CacheStorage::NotConsidered);
        assert_eq!(fresh.to_string(), "fresh, 12 s old of 3600 s");
        let refused = CacheStorage::Refused(NotStored::NoStore);
        let missed = CacheDecision::new(CacheLookup::Miss, refused);
        assert_eq!(missed.to_string(), "nothing kept; not kept: no-store");
        let stale = CacheLookup::Stale { age: None, lifetime: None, by: StaleUse::IfError };
        assert_eq!(stale.to_string(), "stale, used by stale-if-error");
        assert!(fresh.is_hit() && !missed.is_hit());
    }
}
