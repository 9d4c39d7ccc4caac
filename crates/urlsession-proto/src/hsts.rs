//! `Strict-Transport-Security` (RFC 6797 §6.1), and the domains that speak for a host (§8.2).

/// What a host demands of those who come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrictTransportSecurity {
    /// For how many seconds; 0 takes the demand back.
    pub max_age: u64,
    /// Whether it holds for every host below, too.
    pub includes_subdomains: bool,
}

/// Reads a field's value. `None` if it does not count: `max-age` is missing, a directive is given twice or badly
/// written, or there are more than anybody means.
pub fn parse(value: &[u8]) -> Option<StrictTransportSecurity> {
    if value.len() > LONGEST {
        return None;
    }
    let (mut max_age, mut includes_subdomains) = (None, false);
    let mut names: [&[u8]; MOST] = [&[]; MOST];
    let mut count = 0;
    let mut rest = value;
    loop {
        rest = skip_blanks(rest);
        let (name, after) = token(rest);
        rest = after;
        if !name.is_empty() {
            // §6.1 rule 2: each once, whether it is known or not.
            let known = names.get(..count)?;
            if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return None;
            }
            *names.get_mut(count)? = name;
            count += 1;
            let (argument, after) = argument(rest)?;
            rest = after;
            if name.eq_ignore_ascii_case(b"max-age") {
                max_age = Some(seconds(argument?)?);
            } else if name.eq_ignore_ascii_case(b"includesubdomains") {
                if argument.is_some() {
                    return None;
                }
                includes_subdomains = true;
            }
        }
        match skip_blanks(rest) {
            [] => break,
            [b';', after @ ..] => rest = after,
            _ => return None,
        }
    }
    Some(StrictTransportSecurity { max_age: max_age?, includes_subdomains })
}

/// The host itself, then each domain above it, the nearest first: `a.b.c`, `b.c`, `c`. Nothing for what is too long to
/// be a name of a host. The host is in lower case, as in URLs.
pub fn domains_of(host: &str) -> impl Iterator<Item = &str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    // RFC 1035 §2.3.4
    let first = (!host.is_empty() && host.len() <= 255).then_some(host);
    std::iter::successors(first, |name| name.split_once('.').map(|(_, above)| above))
        .filter(|name| !name.is_empty())
}

/// An optional `= value`, where quotation marks do not count. The outer `None` is bad grammar.
#[allow(clippy::type_complexity)] // a value and the rest
fn argument(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let [b'=', after @ ..] = skip_blanks(rest) else { return Some((None, rest)) };
    let after = skip_blanks(after);
    if let [b'"', quoted @ ..] = after {
        let mut at = 0;
        loop {
            match quoted.get(at)? {
                b'"' => return Some((Some(&quoted[..at]), &quoted[at + 1..])),
                b'\\' => at += 2,
                b'\t' | b' '..=b'~' | 0x80.. => at += 1,
                _ => return None,
            }
        }
    }
    let (value, after) = token(after);
    (!value.is_empty()).then_some((Some(value), after))
}

/// `delta-seconds`; more than can be counted is as long as can be.
fn seconds(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// The token at the front, perhaps empty, and what follows it (RFC 9110 §5.6.2).
fn token(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    bytes.split_at(bytes.iter().position(|b| !is_part(b)).unwrap_or(bytes.len()))
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b' ' | b'\t'));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Directives of a field; the RFC knows two, browsers three.
const MOST: usize = 16;
/// Bytes of a field's value.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(u64, bool)> {
        parse(value.as_bytes()).map(|found| (found.max_age, found.includes_subdomains))
    }

    #[test]
    fn directives_come_in_any_order_case_and_spacing_with_or_without_quotes() {
        for (value, found) in [
            ("max-age=31536000", (31_536_000, false)),
            ("max-age=15768000 ; includeSubDomains", (15_768_000, true)),
            ("max-age=\"31536000\"", (31_536_000, false)),
            ("max-age=0", (0, false)),
            ("max-age=0; includeSubDomains", (0, true)),
            ("INCLUDESUBDOMAINS;MAX-AGE = 5", (5, true)),
            (" ;; max-age=1 ;\t; ", (1, false)),
            ("max-age=99999999999999999999999", (u64::MAX, false)),
            ("max-age=1; preload; x=\"a;\\\" b\"; y=z", (1, false)),
        ] {
            assert_eq!(read(value), Some(found), "{value}");
        }
    }

    #[test]
    fn what_is_badly_written_does_not_count() {
        for value in [
            "",
            "includeSubDomains",
            "max-age",
            "max-age=",
            "max-age=\"\"",
            "max-age=-1",
            "max-age=1.5",
            "max-age=1s",
            "max-age=1; max-age=1",
            "max-age=1; Max-Age=2",
            "max-age=1; includeSubDomains; includesubdomains",
            "max-age=1; includeSubDomains=yes",
            "max-age=1; x; X=1",
            "max-age=1, max-age=2",
            "max-age=1 includeSubDomains",
            "max-age=\"1",
            "max-age=1; x=\"\\",
            "max-age=1; =2",
            "max-age=1; x=\"\u{1}\"",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn what_nobody_means_does_not_count() {
        let many: String = (0..16).map(|n| format!("; x{n}")).collect();
        assert_eq!(read(&format!("max-age=1{many}")), None);
        assert_eq!(read(&format!("max-age=1; x={}", "y".repeat(5000))), None);
    }

    #[test]
    fn the_domains_of_a_host_are_itself_and_those_above_it() {
        let domains = |host: &str| domains_of(host).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(domains("www.example.com."), ["www.example.com", "example.com", "com"]);
        assert_eq!(domains("a"), ["a"]);
        assert_eq!(domains("a..b"), ["a..b", ".b", "b"]);
        assert!(domains("").is_empty() && domains(".").is_empty());
        assert!(domains(&"a.".repeat(200)).is_empty());
    }
}
