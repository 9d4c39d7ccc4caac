//! The identity that a server derives from the connection alone: from a login of the connection, or from the client's
//! certificate. Stored responses of the server are for the same user, whom no field of the request names.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderName;
use url::Url;

use crate::load::{Attempt, ClientCertificate, ConnectionLogin, LoginUses};
use crate::store::UrlCredentialStorage;

/// Responses vary by it as by a field of the request. No request has a field of this name.
pub(super) const IDENTITY: HeaderName = HeaderName::from_static("connection-identity");

/// The certificates that a session has shown to servers, as far as it shows them again.
#[derive(Default)]
pub(in crate::protocol::http) struct ShownCertificates {
    has_any: AtomicBool,
    by_server: Mutex<HashMap<(Box<str>, u16), ClientCertificate>>,
}

impl ShownCertificates {
    pub(in crate::protocol::http) fn clear(&self) {
        self.has_any.store(false, Relaxed);
        self.lock().clear();
    }

    /// The identity of the client at the server of the request, as far as it is known before the request.
    pub(super) fn expected(
        &self,
        attempt: &Attempt<'_>,
        storage: Option<&UrlCredentialStorage>,
    ) -> Option<String> {
        let certificate = self.of(attempt.request.url(), || storage.map(UrlCredentialStorage::revision));
        identity(attempt.logins.as_deref(), certificate.as_ref())
    }

    /// The identity of the client at the server that has just responded.
    pub(super) fn shown(&self, attempt: &Attempt<'_>) -> Option<String> {
        let certificate = attempt.client_certificate();
        if let Some(certificate) = certificate
            && !certificate.is_for_once
        {
            self.note(attempt.request.url(), certificate);
        }
        identity(attempt.logins.as_deref(), certificate)
    }

    fn note(&self, url: &Url, certificate: &ClientCertificate) {
        let Some((host, port)) = server(url) else { return };
        let mut all = self.lock();
        if all.len() >= MOST_SERVERS {
            all.clear();
        }
        all.insert((host.into(), port), certificate.clone());
        self.has_any.store(true, Relaxed);
    }

    /// The certificate for the server of this URL, if it requests one; `revision` is that of the credential store.
    fn of(&self, url: &Url, revision: impl FnOnce() -> Option<u64>) -> Option<ClientCertificate> {
        if !self.has_any.load(Relaxed) {
            return None;
        }
        let (host, port) = server(url)?;
        let certificate = self.lock().get(&(host.into(), port)).cloned()?;
        (certificate.revision.is_none() || certificate.revision == revision()).then_some(certificate)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Box<str>, u16), ClientCertificate>> {
        self.by_server.lock()
    }
}

fn server(url: &Url) -> Option<(&str, u16)> {
    url.host_str().zip(url.port_or_known_default())
}

fn identity(logins: Option<&LoginUses>, certificate: Option<&ClientCertificate>) -> Option<String> {
    let login = logins.and_then(|logins| logins.server.login());
    if login.is_none() && certificate.is_none() {
        return None;
    }
    let mut all = Context::new(&SHA256);
    all.update(certificate.map_or(&[][..], |certificate| &certificate.digest));
    for part in login.map(ConnectionLogin::names).into_iter().flatten() {
        all.update(&(part.len() as u64).to_be_bytes());
        all.update(part.as_bytes());
    }
    Some(all.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

const MOST_SERVERS: usize = 256;
