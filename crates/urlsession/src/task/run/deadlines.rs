//! The two timeouts of a task: idle and total. Pure; the clock is passed in.
//!
//! Apple: *timeoutIntervalForRequest*, *timeoutIntervalForResource*.

use std::time::{Duration, Instant};

use crate::error::{Phase, UrlError, UrlErrorCode};

/// The deadlines of one task. The idle time starts again whenever bytes have moved or a pause has ended.
#[derive(Debug)]
pub(in crate::task) struct Deadlines {
    idle: Duration,
    resource: Duration,
    idle_since: Instant,
    seen: u64,
    end: Option<Instant>,
}

/// What to do now.
#[derive(Debug)]
pub(in crate::task) enum Verdict {
    /// The time for the whole resource is over.
    TimedOut(UrlError),
    /// No byte has moved for too long.
    Idle(UrlError),
    WaitUntil(Instant),
}

impl Deadlines {
    pub(in crate::task) fn new(idle: Duration, resource: Duration, now: Instant) -> Self {
        Self { idle, resource, idle_since: now, seen: 0, end: now.checked_add(resource) }
    }

    /// Starts the idle time again.
    pub(in crate::task) fn restart(&mut self, now: Instant) {
        self.idle_since = now;
    }

    /// Whether anything has moved since the last call.
    pub(in crate::task) fn has_moved(&mut self, total: u64) -> bool {
        std::mem::replace(&mut self.seen, total) != total
    }

    /// `None`: the task waits without end.
    pub(in crate::task) fn verdict(&self, now: Instant, is_idle_paused: bool) -> Option<Verdict> {
        let idle_end = if is_idle_paused { None } else { self.idle_since.checked_add(self.idle) };
        if self.end.is_some_and(|end| end <= now) {
            let detail =
                format!("not complete after {}, the timeout for the whole resource", Seconds(self.resource));
            return Some(Verdict::TimedOut(UrlError::new(UrlErrorCode::TimedOut, Phase::Task, detail)));
        }
        if idle_end.is_some_and(|end| end <= now) {
            let detail = format!("no byte moved for {}, the timeout of the request", Seconds(self.idle));
            return Some(Verdict::Idle(UrlError::new(UrlErrorCode::TimedOut, Phase::Task, detail)));
        }
        [idle_end, self.end].into_iter().flatten().min().map(Verdict::WaitUntil)
    }
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn times_out(deadlines: &Deadlines, now: Instant, idle_pauses: bool) -> bool {
        matches!(deadlines.verdict(now, idle_pauses), Some(Verdict::TimedOut(error) | Verdict::Idle(error)) if error.code().number() == -1001)
    }

    #[test]
    fn the_idle_time_starts_anew_with_every_byte() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(SECOND, 100 * SECOND, start);
        assert!(!times_out(&deadlines, start + SECOND / 2, false));
        assert!(deadlines.has_moved(10));
        deadlines.restart(start + SECOND / 2);
        assert!(!times_out(&deadlines, start + SECOND, false));
        assert!(!deadlines.has_moved(10));
        assert!(times_out(&deadlines, start + SECOND * 3 / 2, false));
    }

    #[test]
    fn fractions_of_a_second_count_and_zero_is_at_once() {
        let start = Instant::now();
        let half = Deadlines::new(SECOND / 2, 100 * SECOND, start);
        assert!(!times_out(&half, start + Duration::from_millis(499), false));
        assert!(times_out(&half, start + Duration::from_millis(500), false));
        assert!(times_out(&Deadlines::new(Duration::ZERO, SECOND, start), start, false));
    }

    #[test]
    fn an_excuse_stops_the_idle_time_but_not_the_total() {
        let start = Instant::now();
        let deadlines = Deadlines::new(SECOND, 10 * SECOND, start);
        assert!(!times_out(&deadlines, start + 9 * SECOND, true));
        assert!(times_out(&deadlines, start + 10 * SECOND, true));
    }

    #[test]
    fn times_beyond_the_clock_never_come() {
        let start = Instant::now();
        assert!(Deadlines::new(Duration::MAX, Duration::MAX, start).verdict(start + SECOND, false).is_none());
    }
}
