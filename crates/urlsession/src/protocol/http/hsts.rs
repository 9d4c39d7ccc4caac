//! HSTS, the reading part (RFC 6797 §8.1): reads `Strict-Transport-Security` of every response of the network, 401s and
//! 407s included. It is below the cache, because a stored field has been read before. The layer `security` above upgrades
//! URLs.

use http::header::STRICT_TRANSPORT_SECURITY;
use urlsession_proto::field::has;
use urlsession_proto::hsts::{self, StrictTransportSecurity};
use urlsession_proto::scheme::Scheme;

use crate::error::Result;
use crate::load::{Attempt, Layer, Response};
use crate::store::HstsStorage;

pub(super) struct Hsts<N> {
    storage: Option<HstsStorage>,
    next: N,
}

impl<N> Hsts<N> {
    pub(super) fn new(storage: Option<HstsStorage>, next: N) -> Self {
        Self { storage, next }
    }
}

impl<N: Layer> Layer for Hsts<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let response = self.next.load(attempt).await?;
        if let Some(hosts) = &self.storage
            && let Some(said) = said(attempt, &response)
            && let Some(host) = attempt.request.url().host()
        {
            hosts.note(&host, said, attempt.clock.wall());
        }
        Ok(response)
    }
}

/// The HSTS policy of the host in this response, if it came over TLS that is valid without a delegate.
fn said(attempt: &mut Attempt<'_>, response: &Response) -> Option<StrictTransportSecurity> {
    // Only the first field counts.
    let fields = &response.head.http_head()?.fields;
    if !has(fields, &STRICT_TRANSPORT_SECURITY) {
        return None;
    }
    // The connection to a proxy may use TLS for a URL that does not.
    let is_https = Scheme::of(attempt.request.url()).is_secure();
    let transaction = attempt.transaction();
    let info = transaction.connection.as_ref()?;
    let is_safe = is_https && info.made.secure.is_some() && !info.is_overridden;
    if !is_safe {
        return None;
    }
    hsts::parse(fields.get(STRICT_TRANSPORT_SECURITY)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Reply, Script, run};
    use super::*;

    #[test]
    fn what_did_not_come_over_tls_is_not_heeded() {
        let hosts = HstsStorage::ephemeral();
        let fields = vec![("strict-transport-security", "max-age=60")];
        // The layer below has no connection.
        let script = Script::new([Ok(Reply { fields, ..Reply::from(200) })]);
        run(&Hsts::new(Some(hosts.clone()), &script), "GET", "https://a.example/").0.unwrap();
        assert!(!hosts.is_known_host("a.example"));
    }
}
