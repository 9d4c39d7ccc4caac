//! App Transport Security: which URLs may be loaded at all.
//!
//! Today its cleartext rule; HSTS and pinning belong here too. TLS versions and trust are enforced where the
//! handshake is (`transport::tls`). Apple: *NSAppTransportSecurity*.

use std::sync::Arc;

use url::Url;

use crate::configuration::{AppTransportSecurity, Configuration};
use crate::error::Result;
use crate::load::{Attempt, Layer, Response};

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
        if let Some(url) = attempt.request.url() {
            verdict(url, &self.config.app_transport_security)?;
        }
        self.next.load(attempt).await
    }
}

/// May this URL be loaded?
fn verdict(url: &Url, rules: &AppTransportSecurity) -> Result<()> {
    match url.host() {
        Some(host) if url.scheme() != "https" => rules.allows_insecure(&host),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::ExceptionDomain;

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
        for url in
            ["http://example.com/", "http://8.8.8.8/", "http://192.168.1.1/", "http://a.localhost.example/"]
        {
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
        ] {
            assert!(allowed(url, &rules), "{url}");
        }
    }

    #[test]
    fn local_networking_opens_private_addresses_or_closes_local_names() {
        let open = AppTransportSecurity { allows_local_networking: Some(true), ..Default::default() };
        assert!(allowed("http://192.168.1.1/", &open) && allowed("http://[fd00::1]/", &open));
        assert!(!allowed("http://8.8.8.8/", &open));
        let closed = AppTransportSecurity { allows_local_networking: Some(false), ..Default::default() };
        assert!(!allowed("http://printer.local/", &closed));
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
    fn a_refusal_says_which_setting_would_allow_it() {
        let error =
            verdict(&"http://example.com/".parse().unwrap(), &AppTransportSecurity::default()).unwrap_err();
        assert!(error.to_string().contains("allows_arbitrary_loads"), "{error}");
    }
}
