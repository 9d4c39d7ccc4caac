//! HSTS (RFC 6797), which upgrades `http` URLs of known hosts to TLS; then App Transport Security, which decides whether a
//! URL may be loaded.
//!
//! The store holds the HSTS hosts; the layer `hsts` below reads `Strict-Transport-Security` of every response.
//! `transport::tls` enforces TLS versions, trust and pinned keys in the handshake. Apple:
//! *NSAppTransportSecurity*.

use std::sync::Arc;

use url::Url;
use urlsession_proto::scheme::Scheme;

use crate::configuration::{AppTransportSecurity, Configuration};
use crate::error::Result;
use crate::load::{Attempt, Layer, Response};
use crate::store::HstsStorage;

pub(super) struct Security<N> {
    config: Arc<Configuration>,
    next: N,
}

impl<N> Security<N> {
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        Self { config, next }
    }
}

impl<N: Layer> Layer for Security<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        if let Some(hosts) = &self.config.hsts_storage
            && wants_tls(hosts, attempt).await
        {
            upgrade(attempt);
        }
        verdict(attempt.request.url(), &self.config.app_transport_security)?;
        self.next.load(attempt).await
    }
}

/// Whether this is a cleartext URL of a known HSTS host.
async fn wants_tls(hosts: &HstsStorage, attempt: &Attempt<'_>) -> bool {
    let url = Some(attempt.request.url()).filter(|url| Scheme::of(url) == Scheme::Http);
    let Some(host) = url.and_then(Url::host).filter(HstsStorage::may_know) else { return false };
    if hosts.is_stale(attempt.clock) {
        // In a box of its own: most loads do not carry it.
        Box::pin(hosts.refresh(attempt.runtime)).await;
    }
    hosts.knows(&host, attempt.clock.wall())
}

/// Replaces the URL by that of the same host over TLS, without a redirect.
fn upgrade(attempt: &mut Attempt<'_>) {
    let Some(url) = upgraded(attempt.request.url()) else { return };
    let mut request = (*attempt.request).clone();
    request.set_url(url);
    attempt.request = Arc::new(request);
    attempt.transaction().request = attempt.request.clone();
    attempt.context.requesting(&attempt.request);
}

/// RFC 6797 §8.3 step 5: port 80, which is never explicit here, becomes 443; any other port stays.
fn upgraded(url: &Url) -> Option<Url> {
    let mut upgraded = url.clone();
    upgraded.set_scheme(Scheme::of(url).upgraded()?).ok()?;
    Some(upgraded)
}

/// Refuses a URL that may not be loaded.
fn verdict(url: &Url, rules: &AppTransportSecurity) -> Result<()> {
    match url.host() {
        Some(host) if !Scheme::of(url).is_secure() => rules.allows_insecure(&host),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Reply, Script, run};
    use super::*;
    use crate::configuration::ExceptionDomain;
    use crate::env::{Clock, SystemClock};
    use urlsession_proto::hsts::StrictTransportSecurity;

    fn allowed(url: &str, rules: &AppTransportSecurity) -> bool {
        match verdict(&url.parse().unwrap(), rules) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code().number(), -1022);
                false
            }
        }
    }

    #[test]
    fn cleartext_is_refused_but_to_this_machine_and_the_local_network() {
        let rules = AppTransportSecurity::default();
        for url in ["http://example.com/", "http://8.8.8.8/", "http://a.localhost.example/"] {
            assert!(!allowed(url, &rules), "{url}");
        }
        for url in [
            "https://example.com/",
            "http://localhost/",
            "http://a.localhost/",
            "http://127.9.9.9/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://printer/",
            "http://printer.local/",
            "http://192.168.1.1/",
        ] {
            assert!(allowed(url, &rules), "{url}");
        }
    }

    #[test]
    fn local_networking_closes_the_local_network_and_opens_nothing_else() {
        let open = AppTransportSecurity { allows_local_networking: Some(true), ..Default::default() };
        assert!(allowed("http://192.168.1.1/", &open) && allowed("http://[fd00::1]/", &open));
        assert!(!allowed("http://8.8.8.8/", &open));
        let closed = AppTransportSecurity { allows_local_networking: Some(false), ..Default::default() };
        assert!(!allowed("http://printer.local/", &closed) && !allowed("http://192.168.1.1/", &closed));
        assert!(allowed("http://127.0.0.1/", &closed));
    }

    #[test]
    fn a_domain_with_a_rule_is_not_subject_to_the_general_ones() {
        let rule = |domain: &str, sub, allows| ExceptionDomain {
            includes_subdomains: sub,
            allows_insecure_http_loads: allows,
            ..ExceptionDomain::new(domain)
        };
        let rules = AppTransportSecurity {
            allows_arbitrary_loads: true,
            exception_domains: vec![rule("bank.example", true, false), rule("old.example", false, true)],
            ..Default::default()
        };
        assert!(!allowed("http://bank.example/", &rules));
        assert!(!allowed("http://www.bank.example/", &rules));
        assert!(allowed("http://notbank.example/", &rules));
        let strict = AppTransportSecurity { allows_arbitrary_loads: false, ..rules };
        assert!(allowed("http://old.example/", &strict));
        assert!(!allowed("http://www.old.example/", &strict));
    }

    #[test]
    fn a_url_is_upgraded_with_its_port_unless_that_is_80() {
        for (url, upgrade) in [
            ("http://a.example/b?c#d", "https://a.example/b?c#d"),
            ("http://a.example:80/", "https://a.example/"),
            ("http://a.example:8080/", "https://a.example:8080/"),
            ("http://a.example:443/", "https://a.example/"),
            ("http://u:p@a.example/", "https://u:p@a.example/"),
        ] {
            assert_eq!(upgraded(&url.parse().unwrap()).unwrap().as_str(), upgrade);
        }
    }

    /// What the layer below is asked for.
    fn asked(config: &Configuration, url: &str) -> Vec<String> {
        let script = Script::new([Ok(Reply::from(200))]);
        let (result, log) = run(&Security::new(Arc::new(config.clone()), &script), "GET", url);
        if result.is_ok() && url.starts_with("http:") && !script.seen()[0].starts_with("GET http:") {
            assert_eq!(*log[0].request, *script.requests.lock()[0], "metrics show what is loaded");
        }
        script.seen()
    }

    #[test]
    fn a_known_host_is_upgraded_before_cleartext_is_judged() {
        let config = Configuration::ephemeral();
        assert_eq!(asked(&config, "http://a.dev/x"), ["GET https://a.dev/x"]);
        assert_eq!(asked(&config, "http://known.example/"), [""; 0], "refused");
        let said = StrictTransportSecurity { max_age: 60, includes_subdomains: false };
        let hosts = config.hsts_storage.clone().unwrap();
        hosts.note(&url::Host::Domain("known.example"), said, SystemClock.wall());
        assert_eq!(asked(&config, "http://known.example:81/"), ["GET https://known.example:81/"]);
        assert_eq!(asked(&config, "http://127.0.0.1/"), ["GET http://127.0.0.1/"]);
        let without = Configuration { hsts_storage: None, ..config };
        assert_eq!(asked(&without, "http://a.dev/x"), [""; 0], "nobody is known");
    }

    #[test]
    fn a_refusal_says_which_setting_would_allow_it() {
        let error =
            verdict(&"http://example.com/".parse().unwrap(), &AppTransportSecurity::default()).unwrap_err();
        assert!(error.to_string().contains("allows_arbitrary_loads"), "{error}");
    }
}
