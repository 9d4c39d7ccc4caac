//! HSTS, the reading half (RFC 6797 §8.1): what a host asks for the future, of every response of the network, those
//! that want a login included. It is below the cache: a stored field says nothing anew. Whose URLs are then upgraded is
//! decided above (`security`).

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

/// What the host wants for the future: told over TLS that was good by itself, in this very response.
fn said(attempt: &mut Attempt<'_>, response: &Response) -> Option<StrictTransportSecurity> {
    // Only the first field counts.
    let fields = &response.head.http_head()?.fields;
    if !has(fields, &STRICT_TRANSPORT_SECURITY) {
        return None;
    }
    // A proxy may be spoken to over TLS about what is not.
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
