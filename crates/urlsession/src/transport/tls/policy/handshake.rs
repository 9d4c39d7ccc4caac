//! One handshake, over any transport: what it offers, who decides about the server's certificates, and which requests its
//! connection may serve.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, CommonState, HandshakeKind};

use super::fault::{failed, handshake_error, name_missing_identity};
use super::handshake_gate::{HandshakeGate, PresentedChain};
use super::offers::{Identity, OfferKind, Tls};
use super::peer::{Peer, TlsProfile};
use super::tickets::{Ends, TicketsOfConnection};
use super::trust::Trust;
use super::verify::Verifier;
use super::{identity, trust, unusual_name};
use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ClientCertificate, ConnectionChallengeHandler, Decider, PeerRecord};
use crate::message::{HostId, ServerTrust, UrlCredential, UrlCredentialPersistence};
use crate::store::UrlCredentialStorage;
use crate::transport::reservation::Scope;

/// Who decides in a handshake.
pub(in crate::transport) type Judge<'a> = (&'a Arc<dyn ConnectionChallengeHandler>, Decider);

/// The offers to a server, by the name that its certificate must have.
pub(in crate::transport::tls) struct Offer {
    pub(in crate::transport::tls) config: Arc<ClientConfig>,
    pub(in crate::transport::tls) name: ServerName<'static>,
}

/// A handshake, as far as it is judged.
pub(in crate::transport::tls) struct Handshake<'a> {
    tls: &'a Tls,
    config: &'a Configuration,
    peer: Peer<'a>,
    challenger: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    decider: Decider,
    gate: Arc<HandshakeGate>,
    verifier: Arc<Verifier>,
    name: ServerName<'static>,
    tickets: Option<Arc<TicketsOfConnection>>,
    /// The certificate of the client's that is shown.
    identity: Option<Identity>,
    /// The one that the credential store has for the server, and the store's revision.
    stored: Option<UrlCredential>,
    revision: Option<u64>,
    scope: Scope,
    judgement: Option<(ServerTrust, Trust)>,
}

/// The result of a handshake: the trust in the server, and the reservation of its connection.
pub(in crate::transport) struct Outcome {
    pub(in crate::transport) peer: PeerRecord,
    pub(in crate::transport) is_overridden: bool,
    pub(in crate::transport) scope: Scope,
    /// The revision of the credential store that the client's certificate is from, if one was at hand.
    pub(in crate::transport) revision: Option<u64>,
    pub(in crate::transport) client_certificate: Option<ClientCertificate>,
}

impl<'a> Handshake<'a> {
    /// `judge` decides about the server, and chooses the client's certificate unless `identity` is given; remembered
    /// decisions need no call. Without a delegate a server that requests a certificate gets a stored one.
    pub(in crate::transport::tls) fn begin(
        tls: &'a Tls,
        config: &'a Configuration,
        TlsProfile { peer, protocols }: TlsProfile<'a>,
        judge: Option<Judge<'a>>,
        identity: Option<Identity>,
    ) -> Result<(Offer, Self)> {
        let OfferKind { config: plain, port, tickets, verifier } = tls.kind(config, peer, protocols)?;
        let decider = judge.map_or(Decider::Platform, |(_, decider)| decider);
        let challenger = judge.map(|(challenger, _)| challenger);
        let scope = match identity.as_ref().filter(|identity| is_for_once(identity)) {
            Some(_) => Scope::for_once(decider),
            None => Scope::Everyone,
        };
        let was_asked_for_identity = identity.is_some();
        let storage = config.url_credential_storage.as_ref().filter(|_| peer.host.zone.is_none());
        // Before the store is read, so that a later removal is detected.
        let revision = storage.map(UrlCredentialStorage::revision);
        let stored = storage.and_then(|storage| storage.default_identity(&trust::identity_space(peer)));
        let identity = identity.or_else(|| tls.remembered(peer, revision)).or_else(|| {
            // A delegate, if there is one, decides first.
            let credential = stored.clone().filter(|_| challenger.is_none())?;
            Some(Identity { credential, revision })
        });
        // rustls finds tickets by the name in the certificate, which has no zone.
        let resumes = peer.host.zone.is_none();
        let tickets = resumes.then(|| {
            let ends = Ends::new(peer.port, identity.as_ref().map(|identity| &identity.credential));
            match challenger {
                None => tickets.unjudged(ends),
                Some(_) => {
                    let is_of_session = matches!(decider, Decider::Session(_));
                    tickets.judged(ends, is_of_session, !was_asked_for_identity)
                }
            }
        });
        let offered = if resumes && challenger.is_none() && identity.is_none() && peer.port == port {
            plain
        } else {
            let mut own = (*plain).clone();
            own.resumption = match &tickets {
                Some(tickets) => Resumption::store(tickets.clone()),
                None => Resumption::disabled(),
            };
            Arc::new(own)
        };
        let (name, offered) = match ServerName::try_from(peer.name().to_owned()) {
            Ok(name) => (name, offered),
            Err(_) if unusual_name::is_one(peer.name()) => {
                unusual_name::to_rustls(&offered, Arc::new(verifier.of_unusual_host(peer.name())))
            }
            Err(error) => {
                let detail = format!("{:?} cannot be the name in a certificate", peer.name());
                return Err(UrlError::new(UrlErrorCode::BadUrl, Phase::Tls, detail).with_source(error));
            }
        };
        let key =
            identity.as_ref().map(|identity| identity::certified_key(&identity.credential)).transpose()?;
        let gate = HandshakeGate::new(challenger.is_some(), key);
        let handshake = Self {
            tls,
            config,
            peer,
            challenger,
            decider,
            gate,
            verifier,
            name: name.clone(),
            tickets,
            identity,
            stored,
            revision,
            scope,
            judgement: None,
        };
        Ok((Offer { config: offered, name }, handshake))
    }

    /// Holds the handshake back until the trust of the server is decided.
    pub(in crate::transport::tls) fn gate(&self) -> &Arc<HandshakeGate> {
        &self.gate
    }

    /// Lets the delegates decide about the server's certificates, then continues the handshake. If the server requests a
    /// certificate, the handshake must begin again with it instead.
    pub(in crate::transport::tls) async fn judge(
        &mut self,
        shown: PresentedChain,
    ) -> Result<Option<Identity>> {
        let Some(challenger) = self.challenger else { return Ok(None) };
        let (peer, decider) = (self.peer, self.decider);
        let trust = shown.trust(peer);
        let standing = trust::judge(self.config, peer, &trust, challenger).await?;
        self.scope = self.scope.and(standing.scope(decider));
        self.judgement = Some((trust, standing));
        if let Some(issuers) = self.gate.unanswered_issuers() {
            let (credential, decided_by) =
                trust::identity(peer, issuers, self.stored.clone(), challenger).await?;
            if let Some(credential) = credential {
                let is_stored = self.stored.as_ref() == Some(&credential);
                let identity = Identity { credential, revision: self.revision.filter(|_| is_stored) };
                self.tls.remember(peer, &identity);
                return Ok(Some(identity));
            }
            // To go on without is a decision too.
            self.scope = self.scope.and(Scope::of(decided_by, decider)).and(Scope::alike(decider));
        }
        if let Some(tickets) = &self.tickets {
            tickets.judged(self.scope);
        }
        self.gate.release();
        Ok(None)
    }

    /// The error of a handshake that has failed.
    pub(in crate::transport::tls) fn failed(&self, error: std::io::Error) -> UrlError {
        let error = handshake_error(name_missing_identity(error, self.gate.lacks_identity()));
        match self.gate.take_shown() {
            Some(shown) => error.with_peer_trust(shown.trust(self.peer)),
            None => error,
        }
    }

    /// The handshake is over.
    pub(in crate::transport::tls) async fn conclude(self, session: &CommonState) -> Result<Outcome> {
        let Self { config, peer, challenger, decider, gate, identity, mut scope, .. } = self;
        let (trust, standing) = match (self.judgement, challenger) {
            (Some(judgement), _) => judgement,
            // A resumed session shows no certificates: those of its first handshake are judged again.
            (None, Some(challenger)) => {
                let trust = shown_before(session, &self.verifier, &self.name).trust(peer);
                let standing = trust::judge(config, peer, &trust, challenger).await?;
                scope = scope.and(standing.scope(decider));
                (trust, standing)
            }
            (None, None) => (trusted(session, peer), Trust::Good),
        };
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        // Other tasks may have a certificate for this server: their delegates decide in another handshake.
        if identity.is_none() && self.tls.is_unsatisfied(peer, gate.was_asked_for_identity(), is_resumed) {
            scope = scope.and(Scope::alike(decider));
        }
        if let Some(tickets) = &self.tickets {
            tickets.judged(scope);
        }
        let is_overridden = matches!(standing, Trust::Overridden(_));
        let peer = PeerRecord::new(trust, decider);
        let revision = identity.as_ref().and_then(|identity| identity.revision);
        // In a resumed session the server has the certificate from the first handshake.
        let shown = identity.filter(|_| is_resumed || gate.was_asked_for_identity());
        let client_certificate = shown.and_then(|identity| {
            let certificate = identity.credential.certificates().first()?;
            let digest = digest(&SHA256, certificate).as_ref().try_into().ok()?;
            Some(ClientCertificate { digest, revision, is_for_once: is_for_once(&identity) })
        });
        Ok(Outcome { peer, is_overridden, scope, revision, client_certificate })
    }
}

fn is_for_once(identity: &Identity) -> bool {
    identity.credential.persistence() == UrlCredentialPersistence::None
}

/// Lets delegates decide about the server of a valid connection that other loads have made.
pub(in crate::transport) async fn judge_again(
    config: &Configuration,
    (host, port): (HostId<'_>, u16),
    trust: &ServerTrust,
    challenger: &Arc<dyn ConnectionChallengeHandler>,
) -> Result<()> {
    trust::judge(config, Peer { host, port }, trust, challenger).await.map(|_| ())
}

impl PresentedChain {
    fn trust(self, peer: Peer<'_>) -> ServerTrust {
        ServerTrust::new(peer.name(), self.chain, self.verdict)
    }
}

/// The certificates of the server, which rustls accepted.
fn trusted(session: &CommonState, peer: Peer<'_>) -> ServerTrust {
    let chain = session.peer_certificates().unwrap_or_default();
    ServerTrust::new(peer.name(), chain.iter().map(|der| der.to_vec()).collect(), Ok(()))
}

fn shown_before(session: &CommonState, verifier: &Verifier, name: &ServerName<'_>) -> PresentedChain {
    let chain = session.peer_certificates().unwrap_or_default();
    let verdict = match chain.split_first() {
        Some((end_entity, intermediates)) => {
            verifier.judge(end_entity, intermediates, name, &[], UnixTime::now()).map(|_| ()).map_err(failed)
        }
        None => Err(failed(rustls::Error::NoCertificatesPresented)),
    };
    PresentedChain { chain: chain.iter().map(|der| der.to_vec()).collect(), verdict }
}
