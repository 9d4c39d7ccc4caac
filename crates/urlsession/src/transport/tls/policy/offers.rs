//! What a session offers in its handshakes and remembers of servers: versions, cipher suites, tickets, the client's
//! certificates. It does not depend on the transport of a handshake.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, SupportedProtocolVersion, version};

use super::identity::OfHandshake;
use super::peer::{Peer, Protocols, Server};
use super::tickets::{Ends, Tickets};
use super::verify::Verifier;
use crate::configuration::{Configuration, TlsVersion};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{UrlCredential, UrlCredentialPersistence};
use crate::transport::fast_path::cipher_suites;

/// The TLS side of a session: built at its first secure connection, with its own store of session tickets.
#[derive(Default)]
pub(in crate::transport) struct Tls {
    kinds: Mutex<Vec<(TlsVersion, Protocols, Result<OfferKind>)>>,
    /// The client's certificates by server, as delegates gave them for more than once.
    identities: Mutex<HashMap<Server, Identity>>,
    /// Servers that wanted a certificate of the client's and got none.
    unsatisfied: Mutex<HashSet<Server>>,
}

/// A certificate of the client's.
#[derive(Clone)]
pub(in crate::transport) struct Identity {
    pub(super) credential: UrlCredential,
    /// The revision of the credential store that it is from, if it is: it is not shown once the store has lost it.
    pub(super) revision: Option<u64>,
}

/// What is offered and who judges, for one oldest version and what is to be spoken.
#[derive(Clone)]
pub(super) struct OfferKind {
    /// For connections to `port` without delegates that decide, and without a client certificate.
    pub(super) config: Arc<ClientConfig>,
    pub(super) port: u16,
    pub(super) tickets: Arc<Tickets>,
    pub(super) verifier: Arc<Verifier>,
}

impl Tls {
    /// The next handshake with any server is a full one, and no certificate of the client's is remembered.
    pub(in crate::transport) fn forget_sessions(&self) {
        self.kinds.lock().clear();
        self.identities().clear();
    }

    pub(super) fn kind(
        &self,
        config: &Configuration,
        peer: Peer<'_>,
        protocols: Protocols,
    ) -> Result<OfferKind> {
        let rule = config.app_transport_security.minimum_tls_version(peer.name());
        let configured = config.tls_minimum_supported_protocol_version;
        let oldest = rule.map_or(configured, |rule| rule.max(configured));
        let mut kinds = self.kinds.lock();
        let wanted = (oldest, protocols);
        if let Some((_, _, kind)) =
            kinds.iter().find(|(oldest, protocols, _)| (*oldest, *protocols) == wanted)
        {
            return kind.clone();
        }
        let kind = client_config(config, oldest, peer, protocols);
        kinds.push((oldest, protocols, kind.clone()));
        kind
    }

    pub(super) fn remember(&self, peer: Peer<'_>, identity: &Identity) {
        if identity.credential.persistence() != UrlCredentialPersistence::None {
            self.identities().insert(peer.server(), identity.clone());
        }
    }

    /// The certificate that a delegate gave for this server, unless it is from another revision of the credential store.
    pub(super) fn remembered(&self, peer: Peer<'_>, revision: Option<u64>) -> Option<Identity> {
        let mut identities = self.identities();
        let identity = identities.get(&peer.server())?;
        if identity.revision.is_none() || identity.revision == revision {
            return Some(identity.clone());
        }
        identities.remove(&peer.server());
        None
    }

    /// True if the server requests a certificate, or requested one when the resumed session began.
    pub(super) fn is_unsatisfied(&self, peer: Peer<'_>, was_asked: bool, is_resumed: bool) -> bool {
        if !was_asked && !is_resumed {
            return false;
        }
        let mut servers = self.unsatisfied.lock();
        if was_asked && servers.len() < MOST_UNSATISFIED {
            servers.insert(peer.server());
        }
        was_asked || servers.len() >= MOST_UNSATISFIED || servers.contains(&peer.server())
    }

    fn identities(&self) -> MutexGuard<'_, HashMap<Server, Identity>> {
        self.identities.lock()
    }
}

/// If there are more of them, every server whose session is resumed counts as one.
const MOST_UNSATISFIED: usize = 256;

fn client_config(
    config: &Configuration,
    oldest: TlsVersion,
    peer: Peer<'_>,
    protocols: Protocols,
) -> Result<OfferKind> {
    let bad = |detail: &'static str| UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail);
    let mut provider = aws_lc_rs::default_provider();
    let all = cipher_suites(config.environment.has_fast_paths);
    provider.cipher_suites = match &config.tls_cipher_suites[..] {
        [] => all.to_vec(),
        numbers => {
            let named = |number: &u16| all.iter().find(|suite| u16::from(suite.suite()) == *number).copied();
            numbers.iter().filter_map(named).collect()
        }
    };
    let provider = Arc::new(provider);
    let verifier = Arc::new(Verifier::new(config, provider.clone())?);
    let newest = config.tls_maximum_supported_protocol_version;
    let versions: Vec<&'static SupportedProtocolVersion> =
        [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)]
            .into_iter()
            .filter(|(version, _)| (oldest..=newest).contains(version))
            .map(|(_, version)| version)
            .collect();
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| {
            bad("the configuration's TLS versions and cipher suites leave nothing to offer: the oldest TLS version may not be \
                 newer than the newest, and tls_cipher_suites, if there are any, must have one of these versions")
            .with_source(error)
        })?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_client_cert_resolver(Arc::new(OfHandshake));
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let tickets = Arc::<Tickets>::default();
    tls.resumption = Resumption::store(tickets.unjudged(Ends::new(peer.port, None)));
    Ok(OfferKind { config: Arc::new(tls), port: peer.port, tickets, verifier })
}
