//! Dates of cookies (RFC 6265bis §5.1.1): read generously, written as RFC 9110 §5.6.7 wants it.

use crate::date::{MONTHS, days, written};

/// Seconds since 1970 of a cookie's date; `None` if it has no time, day, month or year, or is not in the calendar.
pub fn parse_date(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.as_bytes().split(|b| is_delimiter(*b)).filter(|token| !token.is_empty()) {
        // §5.1.1 step 2: each token is the first of these that is not found yet.
        if time.is_none() {
            time = time_of(token);
            if time.is_some() {
                continue;
            }
        }
        if day.is_none() {
            day = number(token, 1, 2);
            if day.is_some() {
                continue;
            }
        }
        if month.is_none() {
            month = month_of(token);
            if month.is_some() {
                continue;
            }
        }
        if year.is_none() {
            year = number(token, 2, 4);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    // Steps 3 and 4.
    let year = match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        _ => year,
    };
    // Steps 5 and 6.
    let is_right = year >= 1601 && hour <= 23 && minute <= 59 && second <= 59;
    let days = days(year, month, day).filter(|_| is_right)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Such as `Sun, 06 Nov 1994 08:49:37 GMT`, for seconds since 1970.
pub fn format_date(seconds: i64) -> String {
    written(seconds)
}

fn is_delimiter(b: u8) -> bool {
    matches!(b, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// The digits at the start of `token`, `least` to `most`, if no more follow.
fn number(token: &[u8], least: usize, most: usize) -> Option<i64> {
    let digits = token.iter().take_while(|b| b.is_ascii_digit()).count();
    (least..=most)
        .contains(&digits)
        .then(|| token[..digits].iter().fold(0, |number, b| number * 10 + i64::from(b - b'0')))
}

fn time_of(token: &[u8]) -> Option<(i64, i64, i64)> {
    let mut fields = token.splitn(3, |b| *b == b':');
    let mut whole = || {
        let field = fields.next()?;
        number(field, 1, 2).filter(|_| field.iter().all(u8::is_ascii_digit))
    };
    let (hour, minute) = (whole()?, whole()?);
    Some((hour, minute, number(fields.next()?, 1, 2)?))
}

fn month_of(token: &[u8]) -> Option<i64> {
    let start = token.get(..3)?;
    let at = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(start))?;
    Some(at as i64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_order_that_servers_write() {
        for (text, expected) in [
            ("Wed, 01 Jan 2020 12:30:00 GMT", 1_577_881_800),
            ("Wed Jan 1 12:30:00 2020", 1_577_881_800),
            ("Wed, 01-Jan-2020 12:30:00 GMT", 1_577_881_800),
            ("12:30:00 1 jAnuary 20", 1_577_881_800),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("6th Nov 1994 8:49:37pm", 784_111_777),
            ("29 Feb 2000 0:0:0", 951_782_400),
            ("01 Jan 1601 00:00:00", -11_644_473_600),
        ] {
            assert_eq!(parse_date(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_calendar_is_no_date() {
        for text in [
            "",
            "soon",
            "0",
            "Wed, 01 Jan 2020",
            "01 Jan 12:30:00",
            "2020 12:30:00 Jan",
            "31 Apr 2020 00:00:00",
            "29 Feb 2100 00:00:00",
            "00 Jan 2020 00:00:00",
            "32 Jan 2020 00:00:00",
            "01 Jan 1600 00:00:00",
            "01 Jan 2020 24:00:00",
            "01 Jan 2020 00:60:00",
            "01 Jan 2020 00:00:60",
            "01 Jan 2020 00:00",
            "01 Jan 2020 000:00:00",
            "01 Jan 20201 00:00:00",
            "01 Ja 2020 00:00:00",
            "01 Jän 2020 00:00:00",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(format_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        let mut seconds = -11_644_473_600;
        while seconds < 253_402_300_800 {
            assert_eq!(parse_date(&format_date(seconds)), Some(seconds));
            seconds += 86_400 * 11 + 3601;
        }
    }
}
