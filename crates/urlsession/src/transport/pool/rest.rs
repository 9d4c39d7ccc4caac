//! How long a connection that nobody uses is kept. Pure.

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

/// How long before the server's own idle limit a connection is given up.
const MARGIN: Duration = Duration::from_secs(1);

/// What an idle timeout beyond the clock's reach comes to.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
