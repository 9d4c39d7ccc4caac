//! The parts of a certificate that webpki does not expose: its validity (RFC 5280 §4.1.2.5), and the names of hosts as they
//! are written (§4.2.1.6), including names that webpki refuses.
//!
//! It checks no signature.

use urlsession_proto::date;

/// In seconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// `None` if the certificate is not well-formed up to there.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut times = Der(from_validity(certificate)?.next_of(SEQUENCE)?);
    let (not_before, not_after) = (time(times.next()?)?, time(times.next()?)?);
    Some(Validity { not_before, not_after })
}

/// The names of hosts, among which `*.` may begin one; none if the certificate is not well-formed up to them.
pub(super) fn dns_names(certificate: &[u8]) -> Vec<&str> {
    alternative_names(certificate).unwrap_or_default()
}

fn alternative_names(certificate: &[u8]) -> Option<Vec<&str>> {
    let mut fields = from_validity(certificate)?;
    let mut extensions = loop {
        if let (EXTENSIONS, contents) = fields.next()? {
            break Der(Der(contents).next_of(SEQUENCE)?);
        }
    };
    let mut names = loop {
        let mut extension = Der(extensions.next_of(SEQUENCE)?);
        if extension.next_of(OBJECT_IDENTIFIER)? == SUBJECT_ALTERNATIVE_NAME {
            // The critical flag may come first.
            let value = match extension.next()? {
                (OCTET_STRING, value) => value,
                _ => extension.next_of(OCTET_STRING)?,
            };
            break Der(Der(value).next_of(SEQUENCE)?);
        }
    };
    let mut found = Vec::new();
    while let Some((tag, name)) = names.next() {
        if tag == DNS_NAME && name.is_ascii() {
            found.push(std::str::from_utf8(name).ok()?);
        }
    }
    Some(found)
}

/// The fields of the certificate from its validity on.
fn from_validity(certificate: &[u8]) -> Option<Der<'_>> {
    let mut fields = Der(Der(Der(certificate).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
    // The version may be left out.
    match fields.next()?.0 {
        VERSION => {
            fields.next_of(INTEGER)?;
        }
        INTEGER => {}
        _ => return None,
    }
    let (_signature, _issuer) = (fields.next_of(SEQUENCE)?, fields.next_of(SEQUENCE)?);
    Some(fields)
}

/// The rest of a DER value's contents (X.690 §8, §10).
pub(super) struct Der<'a>(pub(super) &'a [u8]);

impl<'a> Der<'a> {
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
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

    /// The same, and the whole of it with tag and length.
    pub(super) fn next_whole(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let before = self.0;
        let (tag, contents) = self.next()?;
        Some((tag, contents, &before[..before.len() - self.0.len()]))
    }

    /// The next with this tag; those before are passed over.
    pub(super) fn find(&mut self, expected: u8) -> Option<&'a [u8]> {
        std::iter::from_fn(|| self.next()).find_map(|(tag, contents)| (tag == expected).then_some(contents))
    }

    pub(super) fn next_of(&mut self, expected: u8) -> Option<&'a [u8]> {
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

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// Of the context, constructed, number 0.
const VERSION: u8 = 0xa0;
/// The same, number 3.
pub(super) const EXTENSIONS: u8 = 0xa3;
/// Of the context, number 2.
const DNS_NAME: u8 = 0x82;
/// 2.5.29.17.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
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
    }

    #[test]
    fn names_of_hosts_are_read_as_they_are_written() {
        let names = ["a.example", "*.b.example", "-c.example", "127.0.0.1", "d-.example"];
        let leaf = urlsession_testkit::TestAuthority::new().leaf(&names);
        let certificate = &leaf.chain_der()[0];
        let expected = ["a.example", "*.b.example", "-c.example", "d-.example"];
        assert_eq!(dns_names(certificate), expected);
        assert_eq!(dns_names(&urlsession_testkit::TestAuthority::new().der()), [""; 0]);
        for at in 0..certificate.len() {
            assert_eq!(dns_names(&certificate[..at]), [""; 0]);
            for bit in 0..8 {
                let mut damaged = certificate.clone();
                damaged[at] ^= 1 << bit;
                let _ = (validity(&damaged), dns_names(&damaged));
            }
        }
    }
}
