//! How old a stored response is, how long it is fresh, and whether it may be used without asking (RFC 9111 §4.2).

use http::header::{AGE, DATE, EXPIRES, HeaderMap, LAST_MODIFIED};
use http::{HeaderName, StatusCode};

use super::CacheControl;
use super::control::{LONGEST, seconds};
use super::storing::is_heuristic;
use crate::date;

/// When a response was asked for and when its head came, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The request was sent.
    pub requested: i64,
    /// The head came.
    pub received: i64,
}

/// What a response says about its age, worked out once when it is stored. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// For how long it is fresh; `None` if nothing tells.
    pub lifetime: Option<u64>,
    /// Whether the lifetime is a guess from `Last-Modified` (RFC 9111 §4.2.2).
    pub is_heuristic: bool,
    initial_age: u64,
    received: i64,
    control: CacheControl,
}

/// Whether a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It is fresh.
    Fresh,
    /// It is stale, and the request accepts that (`max-stale`).
    Accepted,
    /// It is stale; it may be used now, and is to be asked for anew behind (`stale-while-revalidate`).
    WhileRevalidate,
    /// Only if the server confirms it.
    Validate(Why),
}

/// Why a stored response must be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is older than its lifetime, or has none.
    Stale,
    /// The response says `no-cache`.
    NoCache,
    /// The request says `no-cache`.
    Requested,
    /// The request's `max-age` or `min-fresh` asks for a younger one.
    TooOld,
    /// The clock stands before the moment it was stored: its age is not known.
    ClockWentBack,
}

impl Freshness {
    /// Of a response with this head.
    pub fn of(status: StatusCode, fields: &HeaderMap, control: CacheControl, times: Times) -> Self {
        let now = times.received;
        let at = |name: HeaderName| {
            fields.get(name).map(|value| date::parse(value.to_str().unwrap_or_default(), now))
        };
        // RFC 9110 §6.6.1: without a usable Date it is the time of receipt. One in the future prolongs nothing.
        let made = at(DATE).flatten().unwrap_or(now);
        let since = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        let (lifetime, is_heuristic) = match (control.max_age, at(EXPIRES), at(LAST_MODIFIED).flatten()) {
            (Some(max_age), _, _) => (Some(max_age), false),
            // RFC 9111 §5.3: an invalid date, such as 0, is in the past.
            (None, Some(expires), _) => (Some(expires.map_or(0, |expires| since(made, expires))), false),
            (None, None, Some(changed)) if control.public || is_heuristic(status) => {
                (Some((since(changed, made.min(now)) / 10).min(LONGEST_GUESS)), true)
            }
            _ => (None, false),
        };
        // RFC 9111 §4.2.3; of several values of Age the first counts (§5.1).
        let age = fields.get(AGE).and_then(|age| age.to_str().ok());
        let age = age.and_then(|age| seconds(age.split(',').next()?.trim())).unwrap_or(0);
        let corrected = age.saturating_add(since(times.requested, now));
        let initial_age = since(made, now).max(corrected).min(LONGEST);
        let lifetime = lifetime.map(|lifetime| lifetime.min(LONGEST));
        Self { lifetime, is_heuristic, initial_age, received: now, control }
    }

    /// The age at `now`; `None` if the clock went back since the response was stored, but for a small correction.
    pub fn age(&self, now: i64) -> Option<u64> {
        let resident = now.saturating_sub(self.received);
        if resident < -SMALL_CORRECTION {
            return None;
        }
        Some(self.initial_age.saturating_add(u64::try_from(resident).unwrap_or(0)))
    }

    /// Whether it may be used at `now` for a request with these directives. `revalidates` is a reload, which only what is
    /// immutable withstands.
    pub fn reuse(&self, request: &CacheControl, revalidates: bool, now: i64) -> Reuse {
        let Some(age) = self.age(now) else { return Reuse::Validate(Why::ClockWentBack) };
        let lifetime = self.lifetime.unwrap_or(0);
        let is_fresh = lifetime > age;
        if request.no_cache {
            return Reuse::Validate(Why::Requested);
        }
        if self.control.no_cache {
            return Reuse::Validate(Why::NoCache);
        }
        // RFC 8246 §2: not asked for anew while it is fresh.
        if is_fresh && self.control.immutable && request.min_fresh.is_none() {
            return Reuse::Fresh;
        }
        if revalidates {
            return Reuse::Validate(Why::Requested);
        }
        // RFC 9111 §5.2.1.1, §5.2.1.3
        let left = lifetime.saturating_sub(age);
        let is_young = request.max_age.is_none_or(|most| age <= most)
            && request.min_fresh.is_none_or(|least| left >= least);
        if is_fresh {
            return if is_young { Reuse::Fresh } else { Reuse::Validate(Why::TooOld) };
        }
        let staleness = age - lifetime;
        // RFC 9111 §4.2.4: must-revalidate forbids every stale use.
        if self.control.must_revalidate || !is_young {
            return Reuse::Validate(Why::Stale);
        }
        if request.max_stale.is_some_and(|most| staleness <= most) {
            return Reuse::Accepted;
        }
        match self.control.stale_while_revalidate {
            // RFC 5861 §3
            Some(most) if self.lifetime.is_some() && staleness < most => Reuse::WhileRevalidate,
            _ => Reuse::Validate(Why::Stale),
        }
    }

    /// Whether it may be used at `now` in place of an error (RFC 5861 §4).
    pub fn outlives_error(&self, request: &CacheControl, now: i64) -> bool {
        if self.control.must_revalidate || self.control.no_cache || request.no_cache {
            return false;
        }
        let Some(age) = self.age(now) else { return false };
        let staleness = age.saturating_sub(self.lifetime.unwrap_or(0));
        let most = [self.control.stale_if_error, request.stale_if_error].into_iter().flatten().max();
        most.is_some_and(|most| staleness <= most)
    }
}

/// A guess from `Last-Modified` is at most a week.
const LONGEST_GUESS: u64 = 7 * 86_400;

/// A clock that is set back by less, as time servers do, has gone on.
const SMALL_CORRECTION: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const NOW: i64 = 1_000_000_000;
    type Head<'a> = &'a [(&'a str, &'a str)];

    const AT_ONCE: Times = Times { requested: NOW, received: NOW };

    fn head(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    fn freshness(fields: &[(&str, &str)], times: Times) -> Freshness {
        let fields = head(fields);
        Freshness::of(StatusCode::OK, &fields, CacheControl::of(&fields), times)
    }

    fn request(value: &str) -> CacheControl {
        CacheControl::of_values([value.as_bytes()])
    }

    fn reuse(fields: &[(&str, &str)], asked: &str, after: i64) -> Reuse {
        freshness(fields, AT_ONCE).reuse(&request(asked), false, NOW + after)
    }

    #[test]
    fn the_lifetime_is_of_max_age_then_expires_then_a_tenth_of_the_time_since_the_last_change() {
        let day = 86_400;
        let (date, later, before) = (date::format(NOW), date::format(NOW + 90), date::format(NOW - 10 * day));
        let cases: [(Head<'_>, Option<u64>, bool); 11] = [
            (&[("cache-control", "max-age=60"), ("expires", &later)], Some(60), false),
            (&[("cache-control", "s-maxage=5")], None, false),
            (&[("expires", &later), ("date", &date)], Some(90), false),
            (&[("expires", &later), ("last-modified", &before)], Some(90), false),
            (&[("expires", "0")], Some(0), false),
            (&[("expires", &before)], Some(0), false),
            (&[("last-modified", &before), ("date", &date)], Some(day as u64), true),
            (&[("last-modified", &before), ("date", &later)], Some(day as u64), true),
            (&[("last-modified", &date::format(0))], Some(LONGEST_GUESS), true),
            (&[("last-modified", &later)], Some(0), true),
            (&[("etag", "\"x\""), ("cache-control", "public")], None, false),
        ];
        for (fields, lifetime, is_heuristic) in cases {
            let freshness = freshness(fields, AT_ONCE);
            assert_eq!((freshness.lifetime, freshness.is_heuristic), (lifetime, is_heuristic), "{fields:?}");
        }
    }

    #[test]
    fn a_status_that_is_no_final_answer_of_itself_is_not_guessed_about() {
        let fields = head(&[("last-modified", &date::format(NOW - 864_000))]);
        let of = |status, control| {
            Freshness::of(StatusCode::from_u16(status).unwrap(), &fields, request(control), AT_ONCE).lifetime
        };
        assert_eq!((of(302, ""), of(302, "public"), of(404, "")), (None, Some(86_400), Some(86_400)));
    }

    #[test]
    fn the_age_counts_the_way_the_waiting_and_the_keeping() {
        let way = date::format(NOW - 30);
        let cases: [(Head<'_>, i64, u64); 7] = [
            (&[], 0, 0),
            (&[("date", &way)], 0, 30),
            (&[("age", "40")], 5, 45),
            (&[("age", "40"), ("date", &way)], 0, 40),
            (&[("age", "x")], 0, 0),
            (&[("age", "7, 100")], 0, 7),
            (&[("date", &date::format(NOW + 500))], 0, 0),
        ];
        for (fields, delay, age) in cases {
            let times = Times { requested: NOW - delay, received: NOW };
            assert_eq!(freshness(fields, times).age(NOW), Some(age), "{fields:?}");
            assert_eq!(freshness(fields, times).age(NOW + 100), Some(age + 100), "{fields:?}");
        }
        assert_eq!(freshness(&[("age", "99999999999999999999")], AT_ONCE).age(NOW), Some(LONGEST));
    }

    #[test]
    fn fresh_is_younger_than_the_lifetime() {
        let fields = &[("cache-control", "max-age=60")];
        assert_eq!(reuse(fields, "", 59), Reuse::Fresh);
        assert_eq!(reuse(fields, "", 60), Reuse::Validate(Why::Stale));
        assert_eq!(reuse(&[], "", 0), Reuse::Validate(Why::Stale));
        assert_eq!(reuse(&[("cache-control", "max-age=60, no-cache")], "", 0), Reuse::Validate(Why::NoCache));
    }

    #[test]
    fn a_request_may_want_it_younger_or_accept_it_older() {
        let fields = &[("cache-control", "max-age=60")];
        for (asked, after, expected) in [
            ("max-age=10", 10, Reuse::Fresh),
            ("max-age=10", 11, Reuse::Validate(Why::TooOld)),
            ("min-fresh=20", 40, Reuse::Fresh),
            ("min-fresh=20", 41, Reuse::Validate(Why::TooOld)),
            ("no-cache", 0, Reuse::Validate(Why::Requested)),
            ("max-stale=5", 65, Reuse::Accepted),
            ("max-stale=5", 66, Reuse::Validate(Why::Stale)),
            ("max-stale", 1_000_000, Reuse::Accepted),
            ("max-stale, max-age=0", 65, Reuse::Validate(Why::Stale)),
        ] {
            assert_eq!(reuse(fields, asked, after), expected, "{asked} after {after}");
        }
        let strict = &[("cache-control", "max-age=60, must-revalidate")];
        assert_eq!(reuse(strict, "max-stale", 61), Reuse::Validate(Why::Stale));
    }

    #[test]
    fn stale_while_revalidate_and_if_error_end_where_they_say() {
        let fields = &[("cache-control", "max-age=60, stale-while-revalidate=30, stale-if-error=90")];
        assert_eq!(reuse(fields, "", 89), Reuse::WhileRevalidate);
        assert_eq!(reuse(fields, "", 90), Reuse::Validate(Why::Stale));
        let outlives =
            |fields, asked, after| freshness(fields, AT_ONCE).outlives_error(&request(asked), NOW + after);
        assert!(outlives(fields, "", 150) && !outlives(fields, "", 151));
        assert!(outlives(&[("cache-control", "max-age=60")], "stale-if-error=5", 65));
        assert!(!outlives(&[("cache-control", "max-age=60")], "", 61));
        let strict = &[("cache-control", "max-age=60, must-revalidate, stale-if-error=90")];
        assert!(!outlives(strict, "", 61));
    }

    #[test]
    fn what_is_immutable_is_not_asked_for_anew_while_it_is_fresh() {
        let fields = &[("cache-control", "max-age=60, immutable")];
        let reload = |after| freshness(fields, AT_ONCE).reuse(&request("max-age=0"), true, NOW + after);
        assert_eq!(reload(59), Reuse::Fresh);
        assert_eq!(reload(60), Reuse::Validate(Why::Requested));
        assert_eq!(reuse(fields, "no-cache", 0), Reuse::Validate(Why::Requested));
    }

    #[test]
    fn a_clock_that_went_back_leaves_the_age_unknown_but_a_correction_does_not() {
        let fields = &[("cache-control", "max-age=60, stale-if-error=100")];
        assert_eq!(reuse(fields, "", -SMALL_CORRECTION), Reuse::Fresh);
        assert_eq!(reuse(fields, "max-stale", -SMALL_CORRECTION - 1), Reuse::Validate(Why::ClockWentBack));
        assert!(!freshness(fields, AT_ONCE).outlives_error(&request(""), NOW - 3600));
        assert_eq!(freshness(fields, AT_ONCE).age(i64::MIN), None);
    }
}
