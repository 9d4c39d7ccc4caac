//! The URL of the command line: what has no scheme is an `https` URL, as in the address bar of a browser.

/// The URL that is meant. `name:` is a scheme unless a port, or a user with a password, follows it.
pub(super) fn with_scheme(text: &str) -> String {
    let text = text.trim();
    if has_scheme(text) || is_path(text) {
        return text.to_owned();
    }
    match text.starts_with("//") {
        true => format!("https:{text}"),
        false => format!("https://{text}"),
    }
}

fn has_scheme(text: &str) -> bool {
    // RFC 3986 §3.1
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut characters = scheme.chars();
    let is_scheme = characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme {
        return false;
    }
    if rest.starts_with("//") || KNOWN.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return true;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_port = authority.bytes().all(|byte| byte.is_ascii_digit());
    let is_password = authority.contains('@');
    // No registered scheme has a dot, and every domain of the Internet does.
    let is_host = scheme.contains('.') || scheme.eq_ignore_ascii_case("localhost");
    !(is_port || is_password || is_host)
}

/// A path of this machine is no URL; the library says so.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//")
}

/// Schemes that are never the name of a host.
const KNOWN: [&str; 15] = [
    "about",
    "blob",
    "data",
    "file",
    "ftp",
    "ftps",
    "http",
    "https",
    "javascript",
    "mailto",
    "sftp",
    "tel",
    "urn",
    "ws",
    "wss",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_scheme_is_an_https_one() {
        for (given, meant) in [
            ("example.com", "https://example.com"),
            ("localhost:8080/x", "https://localhost:8080/x"),
            ("localhost:8080?x", "https://localhost:8080?x"),
            ("localhost:8080#x", "https://localhost:8080#x"),
            ("localhost:", "https://localhost:"),
            ("printer:631", "https://printer:631"),
            ("example.com:x", "https://example.com:x"),
            ("example.com/?to=http://other", "https://example.com/?to=http://other"),
            ("example.com/a:b", "https://example.com/a:b"),
            ("user:pw@host", "https://user:pw@host"),
            ("user:80@host/x", "https://user:80@host/x"),
            ("user@host:80", "https://user@host:80"),
            ("[::1]:80", "https://[::1]:80"),
            ("127.0.0.1:80", "https://127.0.0.1:80"),
            ("//host/x", "https://host/x"),
            (" example.com ", "https://example.com"),
        ] {
            assert_eq!(with_scheme(given), meant, "{given}");
        }
    }

    #[test]
    fn a_url_with_a_scheme_is_what_it_says() {
        for given in [
            "http://example.com",
            "HTTP://X",
            "ftp://example.com",
            "custom.x+y-z://a",
            "data:,x",
            "DATA:,x",
            "file:/x",
            "http:/x",
            "http:8080",
            "mailto:",
            "mailto:ann@example.com",
            "about:blank",
            "custom:x",
            "/etc/hosts",
        ] {
            assert_eq!(with_scheme(given), given, "{given}");
        }
    }
}
