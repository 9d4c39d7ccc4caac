//! When a certificate is valid (RFC 5280 §4.1.2.5), which webpki does not show.

use urlsession_proto::date;

/// In seconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// `None` if the certificate is not well-formed up to there.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut fields = Der(Der(Der(certificate).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
    // The version may be left out.
    let (tag, _) = fields.next()?;
    if tag == VERSION {
        fields.next_of(INTEGER)?;
    } else if tag != INTEGER {
        return None;
    }
    let (_signature, _issuer) = (fields.next_of(SEQUENCE)?, fields.next_of(SEQUENCE)?);
    let mut times = Der(fields.next_of(SEQUENCE)?);
    let (not_before, not_after) = (time(times.next()?)?, time(times.next()?)?);
    Some(Validity { not_before, not_after })
}

/// What is left of a DER value's contents (X.690 §8, §10).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first & 0x7f {
            short if first & 0x80 == 0 => (usize::from(short), rest),
            bytes @ 1..=4 => {
                let (length, rest) = rest.split_at_checked(bytes.into())?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, contents))
    }

    fn next_of(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, contents)| contents)
    }
}

/// `YYMMDDHHMMSSZ` from 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let mut pairs = rest.chunks(2).map(number);
    let days = date::days(year, pairs.next()?, pairs.next()?)?;
    let (hour, minute, second) = (pairs.next()?, pairs.next()?, pairs.next()?);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// Of the context, constructed, number 0.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "500101000000Z", -631_152_000),
            (UTC_TIME, "240229123456Z", 1_709_210_096),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(time((tag, text.as_bytes())), Some(seconds), "{text}");
        }
        for (tag, text) in [
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "700101000000"),
            (UTC_TIME, "701301000000Z"),
            (GENERALIZED_TIME, "700101000000Z"),
            (GENERALIZED_TIME, "2050010100000aZ"),
            (INTEGER, "700101000000Z"),
        ] {
            assert_eq!(time((tag, text.as_bytes())), None, "{text}");
        }
    }

    #[test]
    fn a_certificate_shows_when_it_is_valid_and_damage_is_none() {
        let certificate = urlsession_testkit::TestAuthority::new().der();
        let found = validity(&certificate).unwrap();
        assert_eq!(found.not_after - found.not_before, 3652 * 24 * 60 * 60);
        for length in 0..certificate.len() {
            assert_eq!(validity(&certificate[..length]), None);
        }
        for at in 0..100 {
            let mut damaged = certificate.clone();
            damaged[at] ^= 0x80;
            let _ = validity(&damaged);
        }
    }
}
