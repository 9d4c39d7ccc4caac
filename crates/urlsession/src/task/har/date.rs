//! Dates as HAR writes them: ISO 8601, UTC, milliseconds.

use std::time::SystemTime;

use crate::env::epoch_millis;

/// Such as `2009-07-24T19:20:30.450Z`.
pub(super) fn iso8601(date: SystemTime) -> String {
    let millis = epoch_millis(date);
    let (days, of_day) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day, counted from 1970-01-01 in the Gregorian calendar. A year here begins in March, so that
/// the leap day is its last; 719468 days lie between 0000-03-01 and 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

const DAY: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_248_463_230_450, "2009-07-24T19:20:30.450Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso8601(UNIX_EPOCH + Duration::from_millis(millis)), date);
        }
        assert_eq!(iso8601(UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-1);
        for days in 0..200_000 {
            let today = civil(days);
            let is_next = today == (before.0, before.1, before.2 + 1)
                || today == (before.0, before.1 + 1, 1)
                || today == (before.0 + 1, 1, 1);
            assert!(is_next && today.2 <= 31 && today.1 <= 12, "{before:?} then {today:?}");
            before = today;
        }
        assert_eq!(civil(199_999), (2517, 7, 31));
    }
}
