//! `Retry-After` (RFC 9110 §10.2.3): how long a server asks to wait.

use std::time::Duration;

use crate::date;

/// The time to wait: seconds, or until a date. `None` if the value is neither. `now` is in seconds since 1970.
pub fn parse(text: &str, now: i64) -> Option<Duration> {
    let seconds = match text.trim().parse() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(date::parse(text, now)?.saturating_sub(now)).unwrap_or_default(),
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_to_come_back_in_seconds_or_by_a_date() {
        let now = 784_111_777;
        for (text, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
