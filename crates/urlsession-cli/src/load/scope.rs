//! Which servers the secrets of the command line are for: `-u`, `-b name=value`, and the `Authorization` and `Cookie`
//! fields of `-H` belong to the origin of the URL that was given (scheme, host with its zone, and port).

use parking_lot::Mutex;
use std::borrow::Cow;

use urlsession::authentication::{UrlProtectionSpace, UrlProtectionSpaceProtocol};
use urlsession::cookies::{HttpCookie, HttpCookieStorage};
use urlsession::{Url, UrlRequest};

use super::cookies;

/// The servers that receive the secrets.
#[derive(Clone, Debug)]
pub(super) enum SecretScope {
    /// The first origin, also after an upgrade of `http` to `https`.
    Origin { is_https: bool, host: String, port: u16 },
    /// Every server that a redirect leads to (`--location-trusted`).
    EveryServer,
    /// None: the URL has no host.
    NoServer,
}

impl SecretScope {
    pub(super) fn new(request: &UrlRequest, is_location_trusted: bool) -> Self {
        if is_location_trusted {
            return Self::EveryServer;
        }
        match origin(request) {
            Some((is_https, host, port)) => Self::Origin { is_https, host: host.into_owned(), port },
            None => Self::NoServer,
        }
    }

    pub(super) fn includes_request(&self, request: &UrlRequest) -> bool {
        origin(request).is_some_and(|(is_https, host, port)| self.includes(is_https, &host, port))
    }

    /// Proxies are in no scope: their login is `--proxy-user`.
    pub(super) fn includes_space(&self, space: &UrlProtectionSpace) -> bool {
        let is_https = match space.protocol() {
            Some(UrlProtectionSpaceProtocol::Https) => true,
            Some(UrlProtectionSpaceProtocol::Http) => false,
            _ => return false,
        };
        self.includes(is_https, space.host(), space.port())
    }

    fn includes(&self, is_https: bool, host: &str, port: u16) -> bool {
        match self {
            Self::EveryServer => true,
            Self::NoServer => false,
            Self::Origin { is_https: first_is_https, host: first_host, port: first_port } => {
                let is_same_port = match (*first_is_https, is_https) {
                    (false, true) => port == upgraded_port(*first_port),
                    (first, now) => first == now && port == *first_port,
                };
                is_same_port && host.eq_ignore_ascii_case(first_host)
            }
        }
    }
}

/// RFC 6797 §8.3: port 80 becomes 443, and any other port stays.
fn upgraded_port(port: u16) -> u16 {
    if port == 80 { 443 } else { port }
}

/// Whether it is an `https` URL, the host as protection spaces name it, and the port; `None` for URLs of other schemes.
fn origin(request: &UrlRequest) -> Option<(bool, Cow<'_, str>, u16)> {
    let url = request.url();
    let is_https = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let host = url.host_str()?;
    let host = match (request.zone_id(), host.strip_suffix(']')) {
        (Some(zone), Some(address)) => Cow::Owned(format!("{address}%{zone}]")),
        _ => Cow::Borrowed(host),
    };
    Some((is_https, host, url.port_or_known_default()?))
}

/// The secrets that accompany requests from the first one on. The library takes `Authorization` and `Cookie` off a
/// request that is redirected to another origin; they are added again for a request in the scope.
pub(super) struct GivenSecrets {
    scope: SecretScope,
    fields: Vec<(String, String)>,
    cookies: GivenCookies,
}

impl GivenSecrets {
    /// `cookies` are those of `-b name=value`, which `storage` holds for the URL of the request.
    pub(super) fn new(
        scope: SecretScope,
        request: &UrlRequest,
        cookies: Vec<(String, String)>,
        storage: HttpCookieStorage,
    ) -> Self {
        let field = |name: &str| Some((name.to_owned(), request.value(name)?.to_owned()));
        let fields = ["Authorization", "Cookie"].into_iter().filter_map(field).collect();
        let url = Some(request.url().clone());
        Self { scope, fields, cookies: GivenCookies { storage, state: Mutex::new((cookies, url)) } }
    }

    /// Prepares the request that follows a redirect.
    pub(super) fn accompany(&self, request: &mut UrlRequest) {
        let target = self.scope.includes_request(request).then(|| request.url().clone());
        if target.is_some() {
            for (name, value) in &self.fields {
                if request.value(name).is_none() {
                    // It was accepted before.
                    let _ = request.set_value(name, value);
                }
            }
        }
        self.cookies.accompany(target);
    }
}

/// Names and values of `-b`, and the URL they are stored for; `None` while they are withdrawn.
type CookieState = (Vec<(String, String)>, Option<Url>);

struct GivenCookies {
    storage: HttpCookieStorage,
    state: Mutex<CookieState>,
}

impl GivenCookies {
    /// Stores the cookies for the host of `target`, and for no other host. One that a server has replaced or deleted
    /// meanwhile is the server's and stays as it is.
    fn accompany(&self, target: Option<Url>) {
        let mut state = self.state.lock();
        let (pairs, stored_for) = &mut *state;
        if pairs.is_empty() || audience(stored_for.as_ref()) == audience(target.as_ref()) {
            return;
        }
        if let Some(url) = stored_for.take() {
            let stored = self.storage.cookies();
            pairs.retain(|(name, value)| {
                let Ok(cookie) = cookies::cookie(name, value, &url) else { return false };
                let is_ours = stored.iter().any(|stored| is_same(stored, &cookie));
                if is_ours {
                    self.storage.delete_cookie(&cookie);
                }
                is_ours
            });
        }
        if let Some(url) = target {
            for cookie in pairs.iter().filter_map(|(name, value)| cookies::cookie(name, value, &url).ok()) {
                self.storage.set_cookie(cookie);
            }
            *stored_for = Some(url);
        }
    }
}

/// What decides who receives a cookie that is stored for a URL.
fn audience(url: Option<&Url>) -> Option<(bool, &str)> {
    let url = url?;
    Some((url.scheme() == "https", url.host_str()?))
}

fn is_same(one: &HttpCookie, other: &HttpCookie) -> bool {
    (one.name(), one.value(), one.domain(), one.path())
        == (other.name(), other.value(), other.domain(), other.path())
}

#[cfg(test)]
mod tests {
    use urlsession::IntoUrlRequest;
    use urlsession::authentication::{AuthenticationMethod, UrlProtectionSpaceProxyType};

    use super::*;

    fn scope(url: &str) -> SecretScope {
        SecretScope::new(&url.into_url_request().unwrap(), false)
    }

    #[test]
    fn a_scope_is_one_origin_and_its_upgrade_to_https() {
        for (first, url, is_included) in [
            ("http://a/", "http://a/b?c", true),
            ("http://a/", "http://A:80/", true),
            ("http://a/", "https://a/", true),
            ("http://a:8080/", "https://a:8080/", true),
            ("http://a:80/", "https://a:80/", false),
            ("http://a:8080/", "https://a/", false),
            ("http://a/", "https://a:8443/", false),
            ("http://a/", "http://a:8080/", false),
            ("https://a/", "http://a/", false),
            ("https://a/", "http://a:443/", false),
            ("https://a/", "https://a:444/", false),
            ("https://a/", "https://b.a/", false),
            ("https://a/", "https://a./", false),
            ("http://[::1]:1/", "http://[::1]:1/x", true),
            ("http://[::1]:1/", "http://[::2]:1/", false),
            ("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/x", true),
            ("http://[fe80::1%25eth0]/", "http://[fe80::1%25eth1]/", false),
            ("http://[fe80::1%25eth0]/", "http://[fe80::1]/", false),
            ("data:,x", "http://a/", false),
            ("file:///a", "file:///a", false),
        ] {
            let request = url.into_url_request().unwrap();
            assert_eq!(scope(first).includes_request(&request), is_included, "{first} {url}");
        }
    }

    #[test]
    fn a_protection_space_is_compared_like_a_url_and_a_proxy_is_no_server() {
        let space = |port| {
            let protocol = UrlProtectionSpaceProtocol::Https;
            UrlProtectionSpace::new("a", port, protocol, None, AuthenticationMethod::HttpBasic)
        };
        assert!(
            scope("http://a/").includes_space(&space(443)) && !scope("http://a/").includes_space(&space(80))
        );
        let in_zone = |zone| {
            let (host, protocol) = (format!("[fe80::1%{zone}]"), UrlProtectionSpaceProtocol::Http);
            UrlProtectionSpace::new(&host, 80, protocol, None, AuthenticationMethod::HttpBasic)
        };
        let zoned = scope("http://[fe80::1%25eth0]/");
        assert!(zoned.includes_space(&in_zone("eth0")) && !zoned.includes_space(&in_zone("eth1")));
        let proxy_type = UrlProtectionSpaceProxyType::Https;
        let proxy = UrlProtectionSpace::proxy("a", 443, proxy_type, None, AuthenticationMethod::HttpBasic);
        assert!(!scope("https://a/").includes_space(&proxy));
        assert!(!SecretScope::EveryServer.includes_space(&proxy));
        assert!(SecretScope::EveryServer.includes_space(&space(1)));
    }
}
