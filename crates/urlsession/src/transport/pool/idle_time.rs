//! How long an unused connection is kept. Pure.

use std::time::{Duration, Instant};

/// What has rested since `now` is closed then, by the session's own limit.
pub(super) fn until(now: Instant, limit: Duration) -> Instant {
    now.checked_add(limit).unwrap_or_else(|| now + LONGEST)
}

/// The same, or a moment before the server closes it, if it said how long it keeps it.
pub(super) fn until_either(now: Instant, ours: Instant, server_keeps_for: Option<Duration>) -> Instant {
    let theirs = server_keeps_for.and_then(|time| now.checked_add(time.saturating_sub(MARGIN)));
    theirs.map_or(ours, |theirs| theirs.min(ours))
}

/// True if a connection that was given back at `released` is used again before anything is likely to have come on it.
pub(super) fn is_over_at_once(released: Option<Instant>, now: Instant) -> bool {
    released.is_some_and(|at| now.saturating_duration_since(at) < HANDOVER)
}

/// From the end of one exchange to the next in the loop of an application that loads one thing after another. What comes
/// on the connection in this time could as well come between a look at it and the request.
const HANDOVER: Duration = Duration::from_micros(100);

/// How long before the server's own idle limit a connection is given up.
const MARGIN: Duration = Duration::from_secs(1);

/// What an idle timeout beyond the clock's reach comes to.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
