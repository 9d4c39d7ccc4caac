//! Zone identifiers of IPv6 addresses in URLs (RFC 6874 §2), which the URL standard does not know.

use std::{fmt, str};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The URL without its zone, and the zone: `http://[fe80::1%25eth0]/` is `http://[fe80::1]/` in zone `eth0`. `None` for a
/// URL without a zone, or with one that is not well-formed. A zone is introduced by `%25`, or by the bare `%` that people
/// type (RFC 6874 §3).
pub fn split(url: &str) -> Option<(String, String)> {
    let start = url.find("://")? + 3;
    let authority = start + url[start..].find(['/', '?', '#', '\\']).unwrap_or(url.len() - start);
    let open = url[start..authority].rfind('@').map_or(start, |at| start + at + 1);
    let inside = url[open..authority].strip_prefix('[')?;
    let inside = &inside[..inside.find(']')?];
    let (address, zone) = inside.split_once('%')?;
    let zone = decode(zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone))?;
    let rest = open + 1 + inside.len();
    Some((format!("{}{address}{}", &url[..=open], &url[rest..]), zone))
}

/// The zone as it stands in a URL: what is not unreserved is percent-encoded.
pub fn encode(zone: &str) -> impl fmt::Display {
    utf8_percent_encode(zone, ENCODED)
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `1*( unreserved / pct-encoded )`.
fn decode(zone: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = zone.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'-' | b'.' | b'_' | b'~' => byte,
            _ if byte.is_ascii_alphanumeric() => byte,
            _ => return None,
        });
    }
    let is_plain = !decoded.is_empty() && decoded.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'%');
    is_plain.then(|| String::from_utf8(decoded).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_taken_out_of_the_address_it_stands_behind() {
        for (url, without, zone) in [
            ("http://[fe80::1%25eth0]/", "http://[fe80::1]/", "eth0"),
            ("http://[fe80::1%eth0]:8080/a%25b?c", "http://[fe80::1]:8080/a%25b?c", "eth0"),
            ("https://me:p%40w@[fe80::1%2512]", "https://me:p%40w@[fe80::1]", "12"),
            ("http://[fe80::1%25en%2d1.5]/", "http://[fe80::1]/", "en-1.5"),
            ("http://[fe80::1%25]/", "http://[fe80::1]/", "25"),
        ] {
            assert_eq!(split(url), Some((without.into(), zone.into())), "{url}");
            let again = without.replacen(']', &format!("%25{}]", encode(zone)), 1);
            assert_eq!(split(&again), Some((without.into(), zone.into())), "{again}");
        }
        for url in [
            "http://[fe80::1]/",
            "http://[fe80::1%]/",
            "http://[fe80::1%25a b]/",
            "http://[fe80::1%25a%00]/",
            "http://[fe80::1%25a%2]/",
            "http://host/[fe80::1%25eth0]",
            "http://host%25eth0/",
            "http://[fe80::1%25eth0",
            "data:,[fe80::1%25eth0]",
            "",
        ] {
            assert_eq!(split(url), None, "{url}");
        }
    }
}
