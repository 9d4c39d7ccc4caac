//! Dates as numbers: whole seconds, milliseconds or microseconds since 1970, negative before that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn epoch_seconds(date: SystemTime) -> i64 {
    since_1970(date, |since| since.as_secs().into())
}

pub(crate) fn epoch_millis(date: SystemTime) -> i64 {
    since_1970(date, |since| since.as_millis())
}

pub(crate) fn epoch_micros(date: SystemTime) -> i64 {
    since_1970(date, |since| since.as_micros())
}

fn since_1970(date: SystemTime, whole: impl Fn(Duration) -> u128) -> i64 {
    // What does not fit is given as so far away that two of them can still be added.
    let count = |since| i64::try_from(whole(since)).unwrap_or(i64::MAX / 2);
    match date.duration_since(UNIX_EPOCH) {
        Ok(since) => count(since),
        Err(before) => -count(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_before_1970_are_negative_and_fractions_are_dropped() {
        let span = Duration::from_nanos(1_234_567_890);
        assert_eq!(epoch_seconds(UNIX_EPOCH + span), 1);
        assert_eq!(epoch_millis(UNIX_EPOCH + span), 1234);
        assert_eq!(epoch_micros(UNIX_EPOCH - span), -1_234_567);
    }

    #[test]
    fn what_is_too_far_away_for_a_number_is_far_away() {
        let Some(far) = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)) else { return };
        assert_eq!(epoch_micros(far), i64::MAX / 2);
    }
}
