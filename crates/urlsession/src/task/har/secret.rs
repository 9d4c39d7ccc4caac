//! What a log never holds: credentials in header fields, and the userinfo of URLs wherever they stand.

use url::{Position, Url};

use crate::message::is_secret;

/// In the place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The value of a field.
pub(super) fn value(name: &str, value: &[u8]) -> String {
    if is_secret(name) || name.eq_ignore_ascii_case("set-cookie") {
        return REDACTED.into();
    }
    text(&String::from_utf8_lossy(value))
}

/// The URL without its userinfo.
pub(super) fn url(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().into();
    }
    format!("{}{REDACTED}@{}", &url[..Position::BeforeUsername], &url[Position::BeforeHost..])
}

/// Text in which URLs may stand: what is between `//` and an `@` of the same authority is userinfo. Browsers take
/// a backslash for a slash.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.as_bytes().windows(2).position(|pair| pair.iter().all(|b| is_slash(*b))) {
        let slashes = rest.as_bytes()[at..].iter().take_while(|b| is_slash(**b)).count();
        let (before, after) = rest.split_at(at + slashes);
        shown.push_str(before);
        let ends = |c: char| "/\\?#\"<>".contains(c) || c.is_whitespace();
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        let userinfo = authority.rfind('@').unwrap_or(0);
        if userinfo > 0 {
            shown.push_str(REDACTED);
        }
        rest = &after[userinfo..];
    }
    shown + rest
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_redacted_in_either_direction_however_they_are_spelled() {
        for name in ["Authorization", "COOKIE", "set-cookie", "Proxy-Authorization"] {
            assert_eq!(value(name, b"s3cret"), REDACTED);
        }
        assert_eq!(value("X-Cookie", b"crumbs"), "crumbs");
        assert_eq!(value("Location", b"https://me:s3cret@a/b"), "https://[redacted]@a/b");
    }

    #[test]
    fn a_url_has_no_userinfo_and_is_still_one() {
        for (given, shown) in [
            ("https://me:s3cret@a:1/b?c@d", "https://[redacted]@a:1/b?c@d"),
            ("https://s3cret@a/", "https://[redacted]@a/"),
            ("https://:s3cret@a/", "https://[redacted]@a/"),
            ("https://a//b@c", "https://a//b@c"),
        ] {
            assert_eq!(url(&given.parse().unwrap()), shown);
            assert!(Url::parse(shown).is_ok());
        }
    }

    #[test]
    fn urls_in_text_have_no_userinfo_either() {
        for (given, shown) in [
            ("//s3cret:x@a/b", "//[redacted]@a/b"),
            (r"http:\\s3cret@a\b", r"http:\\[redacted]@a\b"),
            ("http:///s3cret@a", "http:///[redacted]@a"),
            ("<http://s3@cret@a/>; rel=x, <//s3cret@b>", "<http://[redacted]@a/>; rel=x, <//[redacted]@b>"),
            ("http://a/?mail=b@c //", "http://a/?mail=b@c //"),
            ("http://ä@b ü", "http://[redacted]@b ü"),
            ("me@a", "me@a"),
            ("", ""),
        ] {
            assert_eq!(text(given), shown);
        }
    }
}
