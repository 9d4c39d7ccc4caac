//! What is never shown: credentials in header fields and in URLs.

use urlsession::Url;
use urlsession_proto::userinfo::{REDACTED, without_userinfo};

/// The value of a field as it may be shown.
pub(super) fn value(name: &str, value: &[u8]) -> String {
    if SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name)) {
        return REDACTED.to_owned();
    }
    without_userinfo(&String::from_utf8_lossy(value))
}

/// The URL without its password.
pub(crate) fn url(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for URLs that cannot have a password, which then have none.
        let _ = url.set_password(None);
    }
    url.into()
}

const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_however_their_names_are_spelled() {
        for name in ["Authorization", "COOKIE", "set-cookie", "Proxy-Authorization"] {
            assert_eq!(value(name, b"s3cret"), REDACTED);
        }
        assert_eq!(value("X-Cookie", b"crumbs"), "crumbs");
        assert_eq!(value("Location", b"https://me:s3cret@a/b"), "https://[redacted]@a/b");
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(Url::parse("https://me:s3cret@a/b").map(|it| url(&it)), Ok("https://me@a/b".into()));
    }
}
