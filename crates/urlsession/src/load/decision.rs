//! What the cache had to do with a transaction, and why: data for metrics, decided elsewhere.

use std::fmt;
use std::time::Duration;

/// Why a response came from the cache or not, and whether it is kept. Not of Apple's. [`Display`](fmt::Display) is
/// one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheDecision {
    /// Where the response came from.
    pub lookup: CacheLookup,
    /// What became of it.
    pub storage: CacheStorage,
}

/// Where a response came from. Times are in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheLookup {
    /// The cache was not asked.
    NotAsked(CacheBypass),
    /// Nothing was kept for the URL: from the server, or a failure if the policy forbids that.
    Miss,
    /// Only answers to other requests were kept, by the fields their `Vary` names.
    OtherVariant,
    /// From the cache: younger than its lifetime.
    Fresh {
        /// How old it is.
        age: Duration,
        /// For how long it is fresh.
        lifetime: Duration,
        /// Whether the lifetime is a guess from `Last-Modified`.
        is_heuristic: bool,
    },
    /// From the cache, though it is not fresh.
    Stale {
        /// How old it is; `None` if the clock went back.
        age: Option<Duration>,
        /// For how long it was fresh; `None` if nothing told.
        lifetime: Option<Duration>,
        /// What allows that.
        by: StaleUse,
    },
    /// From the cache: the server was asked and says that it has not changed.
    Revalidated(RevalidationReason),
    /// The server was asked and sent another.
    Replaced(RevalidationReason),
    /// The beginning was stored: the rest came from the server.
    Completed,
}

/// Why the cache was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheBypass {
    /// The session has none.
    NoCache,
    /// The method is not `GET`, or the URL holds a user's name.
    Uncacheable,
    /// The request is conditional, or asks for a range.
    Conditional,
    /// The request's cache policy says so.
    Policy,
    /// The request says `no-store`.
    NoStore,
}

/// What allows a stale answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleUse {
    /// The request's cache policy, which ignores age.
    Policy,
    /// The request's `max-stale`.
    MaxStale,
    /// The response's `stale-while-revalidate`: it is asked for anew behind.
    WhileRevalidate,
    /// `stale-if-error`: the server failed.
    IfError,
}

/// Why the server was asked about what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevalidationReason {
    /// It is older than its lifetime, or has none.
    Stale,
    /// Its head says `no-cache`.
    NoCache,
    /// The request or its policy demands it.
    Requested,
    /// The request wants a younger one.
    TooOld,
    /// The clock stands before the moment it was kept.
    ClockWentBack,
}

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheStorage {
    /// It is not the cache's business: it came from there, or the cache was not asked.
    NotConsidered,
    /// It is kept once it is read to its end (and the delegate agrees, if it is asked).
    Kept,
    /// It is not kept.
    Refused(NotStored),
}

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// Its head says nothing of caching and has no validator.
    SaysNothing,
    /// Its status is not kept, or only with a lifetime.
    Status,
    /// It is a part of a whole.
    Partial,
    /// `no-store`.
    NoStore,
    /// `Vary: *`.
    VariesByEverything,
    /// It is announced as larger than a twentieth of the cache.
    TooLarge,
    /// It is saved in a file: the application keeps it.
    Downloaded,
    /// Only a delegate trusts the server: whoever loads the URL later may not.
    UntrustedServer,
    /// The client's certificate was shown for this load only.
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
