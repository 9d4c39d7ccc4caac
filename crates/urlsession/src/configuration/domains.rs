//! Domains in lists of a configuration, and the hosts they cover.

use std::net::IpAddr;

/// Whether the host, as URLs spell it, is the domain itself or a name below it. An address is covered by itself only.
pub(crate) fn covers(domain: &str, host: &str) -> bool {
    if let Some(address) = address(host) {
        return self::address(domain) == Some(address);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let domain = domain.trim_start_matches("*.").trim_start_matches('.');
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let Some(start) = host.len().checked_sub(domain.len()) else { return false };
    let (before, tail) = host.as_bytes().split_at(start);
    !domain.is_empty()
        && tail.eq_ignore_ascii_case(domain.as_bytes())
        && matches!(before.last(), None | Some(b'.'))
}

/// An IPv6 address may be in brackets.
fn address(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_covers_itself_and_what_is_below_it() {
        for (domain, host, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "WWW.Example.com", true),
            ("example.com", "example.com.", true),
            ("example.com.", "example.com", true),
            ("*.example.com", "example.com", true),
            (".example.com", "a.b.example.com", true),
            ("example.com", "anexample.com", false),
            ("example.com", "example.com.evil.test", false),
            ("www.example.com", "example.com", false),
            ("localhost", "localhost", true),
            ("", "example.com", false),
            (".", "example.com", false),
            ("*", "example.com", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("0.0.1", "127.0.0.1", false),
            ("1", "127.0.0.1", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("::2", "[::1]", false),
            ("127.0.0.1", "x.127.0.0.1.test", false),
        ] {
            assert_eq!(covers(domain, host), expected, "{domain} {host}");
        }
    }
}
