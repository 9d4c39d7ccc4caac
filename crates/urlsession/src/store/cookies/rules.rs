//! Which cookies are accepted, and which hosts, sites and first parties belong together (RFC 6265bis §5.2, §5.7). Pure:
//! nothing is kept here.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use url::{Host, Url};
use urlsession_proto::cookie::{domain_matches, prefix_allows};
use urlsession_proto::scheme::Scheme;

use crate::message::{HttpCookie, HttpCookieAcceptPolicy as Policy, LONGEST};

/// A request, as far as cookies are concerned.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) url: &'a Url,
    /// `None`: the URL itself is the first party.
    pub(crate) main_document_url: Option<&'a Url>,
    pub(crate) partition: Option<&'a str>,
}

impl Visit<'_> {
    pub(super) fn is_secure(&self) -> bool {
        is_secure(self.url)
    }

    /// Whether it is of the main document's site. As in HTML, a site has a scheme.
    pub(super) fn is_same_site(&self) -> bool {
        self.main_document_url.is_none_or(|main| is_secure(main) == self.is_secure() && self.is_first_party())
    }

    /// Whether its host belongs to the main document's site, whatever the scheme.
    fn is_first_party(&self) -> bool {
        let Some(main) = self.main_document_url else { return true };
        match (self.url.host_str(), main.host_str()) {
            (Some(host), Some(main)) => site(host) == site(main),
            _ => false,
        }
    }
}

/// The cookie as it is to be kept, if it may be.
pub(super) fn admitted(
    mut cookie: HttpCookie,
    visit: &Visit<'_>,
    policy: Policy,
    now: SystemTime,
) -> Option<HttpCookie> {
    match policy {
        Policy::Never => return None,
        Policy::OnlyFromMainDocumentDomain if !visit.is_first_party() => return None,
        _ => {}
    }
    let host = visit.url.host_str()?;
    if !cookie.is_host_only() && is_public_suffix(cookie.host()) {
        // §5.7: nobody sets a cookie for a whole registry, but a registry may have a page of its own.
        if cookie.host() != host {
            return None;
        }
        cookie = cookie.host_only();
    }
    let is_its_host = match cookie.is_host_only() {
        true => cookie.host() == host,
        false => domain_matches(host, cookie.host()),
    };
    let keeps_promise = prefix_allows(
        cookie.name_bytes(),
        cookie.value_bytes(),
        cookie.is_secure(),
        cookie.is_host_only(),
        cookie.path(),
    );
    // §5.7: a cookie for secure protocols comes over one.
    let is_safe = !cookie.is_secure() || visit.is_secure();
    // §5.7: what is not sent to requests of other sites is not taken from their answers.
    let is_its_site = cookie.same_site_policy().is_none() || visit.is_same_site();
    // Partitioned cookies are secure, or none.
    let is_partitionable = !cookie.is_partitioned() || cookie.is_secure();
    let is_right = is_its_host && keeps_promise && is_safe && is_its_site && is_partitionable;
    is_right.then(|| cookie.expiring_by(now + LONGEST))
}

/// A cookie of a file as it is to be kept, if it may be: the rules of `admitted` that need no response.
pub(super) fn imported(cookie: HttpCookie) -> Option<HttpCookie> {
    let host = Host::parse(cookie.host()).ok()?.to_string();
    // Of internationalised names only the ASCII form is compared with hosts.
    if host != cookie.host() {
        return None;
    }
    let keeps_promise = prefix_allows(
        cookie.name_bytes(),
        cookie.value_bytes(),
        cookie.is_secure(),
        cookie.is_host_only(),
        cookie.path(),
    );
    // §5.7: no cookie is for a whole registry.
    let is_for_registry = !cookie.is_host_only() && is_registry(&host);
    if !keeps_promise || is_for_registry {
        return None;
    }
    // A name of one label that is no registry, such as `localhost`, has no hosts below that belong to it.
    let is_alone = !cookie.is_host_only() && (is_public_suffix(&host) || is_address(&host));
    Some(if is_alone { cookie.host_only() } else { cookie })
}

/// The registrable domain of a host; the host itself if it is an address, a registry or of one label.
pub(super) fn site(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    if is_address(host) {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

fn is_public_suffix(domain: &str) -> bool {
    psl::suffix_str(domain).is_some_and(|suffix| suffix == domain)
}

/// Whether the domain is a public suffix that is on the list. By the list's last rule every unknown name of one label is one
/// too; that does not count here.
fn is_registry(domain: &str) -> bool {
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == domain)
}

fn is_address(host: &str) -> bool {
    host.ends_with(']') || host.parse::<Ipv4Addr>().is_ok()
}

fn is_secure(url: &Url) -> bool {
    Scheme::of(url).is_secure()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use urlsession_proto::cookie;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn kept(field: &str, url: &str, main: Option<&str>, policy: Policy) -> Option<HttpCookie> {
        let (url, main): (Url, Option<Url>) = (url.parse().unwrap(), main.map(|main| main.parse().unwrap()));
        let visit = Visit { url: &url, main_document_url: main.as_ref(), partition: None };
        let cookie = HttpCookie::from_set_cookie(&cookie::parse(field).unwrap(), &url, now()).unwrap();
        admitted(cookie, &visit, policy, now())
    }

    #[test]
    fn a_host_sets_cookies_for_itself_and_its_parents_but_no_registry() {
        for (domain, url, expected) in [
            ("", "https://www.example.com/", Some("www.example.com")),
            ("example.com", "https://www.example.com/", Some(".example.com")),
            ("www.example.com", "https://www.example.com/", Some(".www.example.com")),
            ("a.www.example.com", "https://www.example.com/", None),
            ("other.com", "https://www.example.com/", None),
            ("com", "https://www.example.com/", None),
            ("co.uk", "https://www.example.co.uk/", None),
            ("github.io", "https://me.github.io/", None),
            ("github.io", "https://github.io/", Some("github.io")),
            ("localhost", "http://localhost/", Some("localhost")),
            ("127.0.0.1", "http://127.0.0.1/", Some("127.0.0.1")),
            ("0.0.1", "http://127.0.0.1/", None),
            ("[::1]", "http://[::1]/", Some("[::1]")),
        ] {
            let cookie = kept(&format!("a=b; Domain={domain}"), url, None, Policy::Always);
            assert_eq!(cookie.as_ref().map(HttpCookie::domain), expected, "{domain} {url}");
        }
    }

    #[test]
    fn cleartext_sets_no_secure_cookie() {
        assert!(kept("a=b; Secure", "https://example.com/", None, Policy::Always).is_some());
        assert!(kept("a=b; Secure", "http://example.com/", None, Policy::Always).is_none());
        assert!(kept("__Secure-a=b", "https://example.com/", None, Policy::Always).is_none());
        assert!(
            kept("__Host-a=b; Secure; Path=/", "https://example.com/x/y", None, Policy::Always).is_some()
        );
        assert!(kept("__Host-a=b; Secure", "https://example.com/x/y", None, Policy::Always).is_none());
        let wide = "__Host-a=b; Secure; Path=/; Domain=example.com";
        assert!(kept(wide, "https://example.com/", None, Policy::Always).is_none());
        assert!(kept("a=b; Partitioned", "https://example.com/", None, Policy::Always).is_none());
        assert!(kept("a=b; Partitioned; Secure", "https://example.com/", None, Policy::Always).is_some());
    }

    #[test]
    fn the_policy_looks_at_the_main_document() {
        let url = "https://api.example.co.uk/";
        for (main, policy, is_kept) in [
            (None, Policy::Always, true),
            (None, Policy::Never, false),
            (None, Policy::OnlyFromMainDocumentDomain, true),
            (Some("https://www.example.co.uk/"), Policy::OnlyFromMainDocumentDomain, true),
            (Some("http://example.co.uk/"), Policy::OnlyFromMainDocumentDomain, true),
            (Some("https://other.co.uk/"), Policy::OnlyFromMainDocumentDomain, false),
            (Some("data:,x"), Policy::OnlyFromMainDocumentDomain, false),
            (Some("https://other.co.uk/"), Policy::Always, true),
        ] {
            assert_eq!(kept("a=b", url, main, policy).is_some(), is_kept, "{main:?} {policy:?}");
        }
    }

    #[test]
    fn another_site_sets_no_cookie_that_is_not_sent_to_it() {
        let url = "https://example.com/";
        for (field, main, is_kept) in [
            ("a=b; SameSite=Strict", "https://www.example.com/", true),
            ("a=b; SameSite=Strict", "http://www.example.com/", false),
            ("a=b; SameSite=Lax", "https://other.com/", false),
            ("a=b; SameSite=None", "https://other.com/", true),
            ("a=b", "https://other.com/", true),
        ] {
            assert_eq!(kept(field, url, Some(main), Policy::Always).is_some(), is_kept, "{field} {main}");
        }
    }

    #[test]
    fn no_cookie_is_kept_longer_than_400_days() {
        let field = "a=b; Expires=Fri, 01 Jan 2100 00:00:00 GMT";
        let cookie = kept(field, "https://example.com/", None, Policy::Always).unwrap();
        assert_eq!(cookie.expires_date(), Some(now() + LONGEST));
    }

    #[test]
    fn a_site_is_what_somebody_registered() {
        for (host, expected) in [
            ("www.example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("me.github.io", "me.github.io"),
            ("github.io", "github.io"),
            ("localhost", "localhost"),
            ("ci.internal", "ci.internal"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00::1]", "[fd00::1]"),
            ("example.com.", "example.com"),
        ] {
            assert_eq!(site(host), expected, "{host}");
        }
    }
}
