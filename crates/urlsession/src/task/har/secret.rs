//! The secrets that a log never contains: credentials in header fields, and the userinfo of URLs in any position.

use url::{Position, Url};
use urlsession_proto::userinfo::{REDACTED, without_userinfo};

use crate::message::is_secret;

/// The value of a field.
pub(super) fn value(name: &str, value: &[u8]) -> String {
    if is_secret(name) || name.eq_ignore_ascii_case("set-cookie") {
        return REDACTED.into();
    }
    without_userinfo(&String::from_utf8_lossy(value))
}

/// The URL without its userinfo.
pub(super) fn url(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.as_str().into();
    }
    format!("{}{REDACTED}@{}", &url[..Position::BeforeUsername], &url[Position::BeforeHost..])
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
}
