//! Where a cookie goes: hosts, paths and names with a promise (RFC 6265bis §5.1.3, §5.1.4, §5.7).

use std::net::Ipv4Addr;

/// Whether a cookie of `domain` goes to `host` (§5.1.3). Both in lower case, without a leading dot, internationalised names
/// in their ASCII form.
pub fn domain_matches(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1);
    below && !domain.is_empty() && !host.ends_with(']') && host.parse::<Ipv4Addr>().is_err()
}

/// The path of a cookie that names none, from the path of the URL that set it (§5.1.4).
pub fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(last) if last > 0 && path.starts_with('/') => &path[..last],
        _ => "/",
    }
}

/// Whether a cookie of `cookie` goes to a URL with the path `path` (§5.1.4).
pub fn path_matches(path: &str, cookie: &str) -> bool {
    match path.strip_prefix(cookie) {
        Some(rest) => rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'),
        // An empty path is that of the root.
        None => path.is_empty() && cookie == "/",
    }
}

/// Whether the cookie keeps what its name promises (§4.1.3, §5.7). A cookie without a name promises by its value.
pub fn prefix_allows(
    name: impl AsRef<[u8]>,
    value: impl AsRef<[u8]>,
    is_secure: bool,
    is_host_only: bool,
    path: &str,
) -> bool {
    let (name, value) = (name.as_ref(), value.as_ref());
    let promises = |prefix: &str| {
        let shown = if name.is_empty() { value } else { name };
        shown.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let (secure, host) = (promises("__Secure-"), promises("__Host-"));
    if name.is_empty() {
        return !secure && !host;
    }
    (!secure || is_secure) && (!host || (is_secure && is_host_only && path == "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_matches_itself_and_what_is_below() {
        for (host, domain, matches) in [
            ("example.com", "example.com", true),
            ("www.example.com", "example.com", true),
            ("a.b.example.com", "example.com", true),
            ("superexample.com", "example.com", false),
            ("example.com", "www.example.com", false),
            ("com", "example.com", false),
            (".example.com", "example.com", false),
            ("1.2.3.4", "1.2.3.4", true),
            ("1.2.3.4", "3.4", false),
            ("[::1]", "[::1]", true),
            ("example.com", "", false),
            ("example.", "", false),
        ] {
            assert_eq!(domain_matches(host, domain), matches, "{host} {domain}");
        }
    }

    #[test]
    fn the_default_path_is_the_folder() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/a", "/"),
            ("/a/", "/a"),
            ("/a/b", "/a"),
            ("/a/b/c?", "/a/b"),
            ("a/b", "/"),
        ] {
            assert_eq!(default_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_matches_itself_and_what_is_below() {
        for (path, cookie, matches) in [
            ("/", "/", true),
            ("", "/", true),
            ("/a", "/", true),
            ("/a", "/a", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/a", "/a/", false),
            ("/ab", "/a", false),
            ("/A", "/a", false),
            ("/", "/a", false),
        ] {
            assert_eq!(path_matches(path, cookie), matches, "{path} {cookie}");
        }
    }

    #[test]
    fn a_name_with_a_promise_keeps_it() {
        for (name, is_secure, is_host_only, path, allowed) in [
            ("plain", false, false, "/x", true),
            ("__Secure-a", true, false, "/x", true),
            ("__Secure-a", false, true, "/", false),
            ("__sEcUrE-a", false, true, "/", false),
            ("__Host-a", true, true, "/", true),
            ("__Host-a", false, true, "/", false),
            ("__Host-a", true, false, "/", false),
            ("__HOST-a", true, true, "/x", false),
            ("__Hos", false, false, "/x", true),
            ("_é_Host-", false, false, "/x", true),
        ] {
            assert_eq!(prefix_allows(name, "v", is_secure, is_host_only, path), allowed, "{name}");
        }
        assert!(!prefix_allows("", "__Host-a=b", true, true, "/"));
        assert!(!prefix_allows("", "__secure-a", true, true, "/"));
        assert!(prefix_allows("", "value", false, false, "/x"));
    }
}
