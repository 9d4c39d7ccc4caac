//! The throughput: measured over the last seconds, as far back as earlier calls reach.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Speed {
    /// The bytes moved at each call; no entry but the first is older than [`WINDOW`].
    asked: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Bytes per second; `None` if no time has passed. No bytes had moved at `start`.
    pub(super) fn measure(&mut self, start: Instant, now: Instant, moved: u64) -> Option<u64> {
        match self.asked.back() {
            None => self.asked.push_back((start, 0)),
            // The count has started again from a lower value.
            Some((_, before)) if *before > moved => self.asked = [(now, moved)].into(),
            Some(_) => {}
        }
        while self.asked.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.asked.pop_front();
        }
        let (since, before) = *self.asked.front()?;
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if self.asked.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SPACING) {
            self.asked.push_back((now, moved));
        }
        (seconds > 0.0).then(|| (moved.saturating_sub(before) as f64 / seconds) as u64)
    }
}

/// The time over which speed is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// Calls that come more often are not recorded each time.
const SPACING: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_seconds_if_somebody_asks_now_and_then() {
        let start = Instant::now();
        let mut speed = Speed::default();
        let mut at = |millis, moved| speed.measure(start, start + Duration::from_millis(millis), moved);
        assert_eq!(at(0, 0), None);
        assert_eq!(at(2_000, 4_000), Some(2_000));
        assert_eq!(at(2_001, 4_002), Some(2_000));
        assert_eq!(at(4_000, 4_000), Some(1_000));
        assert_eq!(at(9_000, 9_000), Some(1_000), "of the five seconds before");
        assert_eq!(at(20_000, 9_000), Some(0), "it stands");
        assert_eq!((at(21_000, 0), at(22_000, 500)), (None, Some(500)), "it has begun anew");
    }

    #[test]
    fn who_asks_without_end_costs_no_memory() {
        let start = Instant::now();
        let mut speed = Speed::default();
        for millis in 0..60_000 {
            speed.measure(start, start + Duration::from_millis(millis), millis);
        }
        assert!(speed.asked.len() <= 52, "{}", speed.asked.len());
    }
}
