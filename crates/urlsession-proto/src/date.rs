//! Dates of HTTP fields (RFC 9110 §5.6.7): the three forms read, the preferred one written; and the calendar of all dates.
//! Knows no field and no clock.

/// The moment a date names, in seconds since 1970; `None` if it is none of the three forms or no such day exists. Names
/// of days and months and `GMT` are read in any case; no other zone is read, `UTC` neither.
///
/// `now` tells the century of a year of two digits: one that would be more than 50 years ahead is of the last century.
pub fn parse(text: &str, now: i64) -> Option<i64> {
    let text = text.trim_matches([' ', '\t']);
    if text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    match text.split_once(',') {
        Some((day, rest)) if is_one_of(&DAYS, day) => fixed_date(rest.strip_prefix(' ')?),
        Some((day, rest)) if is_one_of(&LONG_DAYS, day) => rfc850_date(rest.strip_prefix(' ')?, now),
        Some(_) => None,
        None => asctime_date(text),
    }
}

/// The moment as `Sun, 06 Nov 1994 08:49:37 GMT`; moments outside the years 0 to 9999 are cut to them.
pub fn format(seconds: i64) -> String {
    written(seconds.clamp(FIRST, LAST))
}

/// Year, month and day, for days since 1970-01-01 in the proleptic Gregorian calendar. Months and days begin with 1; the
/// year before 1 is 0.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = (march + 2) % 12 + 1;
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

/// Days since 1970-01-01; `None` if there is no such day.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    // A year here begins in March, so that the leap day is its last; 719468 days lie between 0000-03-01 and 1970.
    let counted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (counted.div_euclid(400), counted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (civil(days) == (year, month, day)).then_some(days)
}

/// As [`format`] writes it, whatever the year.
pub(crate) fn written(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let week_day = DAYS[(days + 4).rem_euclid(7) as usize];
    let month = MONTHS[month as usize - 1];
    format!(
        "{week_day}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

/// `06 Nov 1994 08:49:37 GMT`
fn fixed_date(text: &str) -> Option<i64> {
    let [day, month, year, time, zone] = words(text)?;
    seconds(digits(year, 4)?, month, digits(day, 2)?, time).filter(|_| is_gmt(zone))
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &str, now: i64) -> Option<i64> {
    let [date, time, zone] = words(text)?;
    let now = now.clamp(FIRST, LAST);
    let mut parts = date.splitn(3, '-');
    let (day, month, year) = (digits(parts.next()?, 2)?, parts.next()?, digits(parts.next()?, 2)?);
    let century = civil(now.div_euclid(DAY)).0.div_euclid(100) * 100;
    let ahead = |year| seconds(year, month, day, time);
    if !is_gmt(zone) {
        return None;
    }
    // RFC 9110 §5.6.7: more than 50 years in the future is the most recent year in the past with those digits.
    let at = ahead(century + year)?;
    if at > now.saturating_add(50 * 31_556_952) { ahead(century - 100 + year) } else { Some(at) }
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &str) -> Option<i64> {
    let (week_day, rest) = text.split_at_checked(3)?;
    let (month, rest) = rest.strip_prefix(' ')?.split_at_checked(3)?;
    let (day, rest) = rest.strip_prefix(' ')?.split_at_checked(2)?;
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    let day = day.strip_prefix(' ').map_or_else(|| digits(day, 2), |day| digits(day, 1))?;
    seconds(digits(year, 4)?, month, day, time).filter(|_| is_one_of(&DAYS, week_day))
}

fn is_gmt(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("GMT")
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn words<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut words = text.split(' ');
    let mut all = [""; N];
    for word in &mut all {
        *word = words.next()?;
    }
    words.next().is_none().then_some(all)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.bytes().fold(0, |number, b| number * 10 + i64::from(b - b'0')))
}

fn seconds(year: i64, month: &str, day: i64, time: &str) -> Option<i64> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as i64 + 1;
    let mut parts = time.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // A leap second is the last of its minute.
    let is_time = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    let days = days(year, month, day).filter(|_| is_time)?;
    Some(days * DAY + hour * 3600 + minute * 60 + second.min(59))
}

const DAY: i64 = 86_400;

/// The first second of the year 0 and the last of 9999.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `Wednesday, 09-Nov-94 08:49:37 GMT` and space for odd white space.
const LONGEST: usize = 40;

/// From the day of the week 1970 began on, three days earlier.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01
    const NOW: i64 = 1_767_225_600;

    #[test]
    fn the_three_forms_name_one_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
            "SUN, 06 nOV 1994 08:49:37 gmt",
            "sunday, 06-NOV-94 08:49:37 Gmt",
            "sun nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text, NOW), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-1);
        for at in 0..200_000 {
            let today = civil(at);
            let is_next = today == (before.0, before.1, before.2 + 1)
                || today == (before.0, before.1 + 1, 1)
                || today == (before.0 + 1, 1, 1);
            assert!(is_next && today.2 <= 31 && today.1 <= 12, "{before:?} then {today:?}");
            assert_eq!(days(today.0, today.1, today.2), Some(at));
            before = today;
        }
        assert_eq!(civil(199_999), (2517, 7, 31));
    }

    #[test]
    fn a_day_that_is_in_no_calendar_has_no_number() {
        for (year, month, day) in [(2100, 2, 29), (2024, 2, 30), (2024, 4, 31), (2024, 1, 0), (2024, 12, 32)]
        {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(days(2024, 2, 29), Some(19_782));
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for days in (-719_000..2_900_000).step_by(97) {
            let at = days * DAY + 3_723;
            assert_eq!(parse(&format(at), NOW), Some(at), "{}", format(at));
        }
        assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(i64::MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
        let year = |text: &str| civil(parse(text, NOW).unwrap().div_euclid(DAY)).0;
        assert_eq!(year("Friday, 01-Jan-70 00:00:00 GMT"), 2070);
        assert_eq!(year("Friday, 01-Jan-77 00:00:00 GMT"), 1977);
        assert_eq!(year("Friday, 01-Jan-25 00:00:00 GMT"), 2025);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov  1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 06 08:49 1994",
            "Sün, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, NOW), None, "{text:?}");
        }
    }
}
