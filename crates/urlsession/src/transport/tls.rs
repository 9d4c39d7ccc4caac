//! TLS by rustls: whom to trust, what to offer, and which URL error a failed handshake is.
//!
//! Platform roots are loaded only when the configuration's own anchors do not already vouch for the server.

mod certificate;
mod fault;
mod handshake_gate;
mod identity;
mod in_place;
mod peer;
mod pins;
mod records;
mod stream;
mod tickets;
mod transparency;
mod trust;
mod unusual_name;
mod verify;

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ::aws_lc_rs::digest::{SHA256, digest};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion, version};

pub(super) use self::fault::late_refusal;
use self::fault::{failed, handshake_error, name_missing_identity};
use self::handshake_gate::{HandshakeGate, PresentedChain};
use self::identity::OfHandshake;
use self::peer::Server;
pub(super) use self::peer::{Peer, Protocols, TlsProfile};
pub(super) use self::stream::TlsStream;
use self::tickets::{Ends, Tickets};
use self::trust::Trust;
use self::verify::Verifier;
use super::reservation::Scope;
use super::stream::Stream;
use crate::configuration::{Configuration, TlsVersion};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ClientCertificate, ConnectionChallengeHandler, Decider, PeerRecord};
use crate::message::{HostId, ServerTrust, UrlCredential, UrlCredentialPersistence};
use crate::store::UrlCredentialStorage;

/// The TLS side of a session: built at its first secure connection, with its own store of session tickets.
#[derive(Default)]
pub(super) struct Tls {
    kinds: Mutex<Vec<(TlsVersion, Protocols, Result<Kind>)>>,
    /// The client's certificates by server, as delegates gave them for more than once.
    identities: Mutex<HashMap<Server, Identity>>,
    /// Servers that wanted a certificate of the client's and got none.
    unsatisfied: Mutex<HashSet<Server>>,
}

/// A certificate of the client's.
#[derive(Clone)]
pub(super) struct Identity {
    credential: UrlCredential,
    /// The revision of the credential store that it is from, if it is: it is not shown once the store has lost it.
    revision: Option<u64>,
}

/// What is offered and who judges, for one oldest version and what is to be spoken.
#[derive(Clone)]
struct Kind {
    /// For connections to `port` about which nobody is asked, and on which there is no certificate to show.
    config: Arc<ClientConfig>,
    port: u16,
    tickets: Arc<Tickets>,
    verifier: Arc<Verifier>,
}

/// How a handshake ended.
pub(super) enum HandshakeOutcome {
    Done(Stream, Outcome),
    /// The server wants this certificate, with which the handshake is to be begun again on a new connection: nothing
    /// but a ClientHello was sent on this one.
    WantsIdentity(Identity),
}

/// What a handshake says of the server, and for whom its connection is.
pub(super) struct Outcome {
    pub(super) peer: PeerRecord,
    pub(super) is_overridden: bool,
    pub(super) scope: Scope,
    /// The revision of the credential store that the client's certificate is from, if one was at hand.
    pub(super) revision: Option<u64>,
    pub(super) client_certificate: Option<ClientCertificate>,
}

/// Who is asked in a handshake.
pub(super) type Judge<'a> = (&'a Arc<dyn ConnectionChallengeHandler>, Decider);

impl Tls {
    /// Secures a stream of bytes, whatever is spoken on it. `judge` is asked about the server, and for the client's certificate unless `identity` is
    /// it; nobody is asked about what was remembered. Without anybody to ask a stored certificate is shown to a server
    /// that wants one.
    pub(super) async fn secure(
        &self,
        config: &Configuration,
        stream: Stream,
        TlsProfile { peer, protocols }: TlsProfile<'_>,
        judge: Option<Judge<'_>>,
        identity: Option<Identity>,
    ) -> Result<HandshakeOutcome> {
        let Kind { config: plain, port, tickets, verifier } = self.kind(config, peer, protocols)?;
        let decider = judge.map_or(Decider::Platform, |(_, decider)| decider);
        let challenger = judge.map(|(challenger, _)| challenger);
        let is_for_once =
            |identity: &Identity| identity.credential.persistence() == UrlCredentialPersistence::None;
        let mut scope = match identity.as_ref().filter(|identity| is_for_once(identity)) {
            Some(_) => Scope::for_once(decider),
            None => Scope::Everyone,
        };
        let was_asked_for_identity = identity.is_some();
        let storage = config.url_credential_storage.as_ref().filter(|_| peer.host.zone.is_none());
        // Before the store is looked at: what it loses then is noticed.
        let revision = storage.map(UrlCredentialStorage::revision);
        let stored = storage.and_then(|storage| storage.default_identity(&trust::identity_space(peer)));
        let identity = identity.or_else(|| self.remembered(peer, revision)).or_else(|| {
            // A delegate that is there is asked before.
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
        let tls = if resumes && challenger.is_none() && identity.is_none() && peer.port == port {
            plain
        } else {
            let mut own = (*plain).clone();
            own.resumption = match &tickets {
                Some(tickets) => Resumption::store(tickets.clone()),
                None => Resumption::disabled(),
            };
            Arc::new(own)
        };
        let (name, tls) = match ServerName::try_from(peer.name().to_owned()) {
            Ok(name) => (name, tls),
            Err(_) if unusual_name::is_one(peer.name()) => {
                unusual_name::to_rustls(&tls, Arc::new(verifier.of_unusual_host(peer.name())))
            }
            Err(error) => {
                let detail = format!("{:?} cannot be the name in a certificate", peer.name());
                return Err(UrlError::new(UrlErrorCode::BadUrl, Phase::Tls, detail).with_source(error));
            }
        };
        let key =
            identity.as_ref().map(|identity| identity::certified_key(&identity.credential)).transpose()?;
        let handshake_gate = HandshakeGate::new(challenger.is_some(), key);
        let mut stream = Box::new(
            TlsStream::new(tls, name.clone(), stream.into_wire(), handshake_gate.clone()).map_err(failed)?,
        );
        let mut judgement = None;
        loop {
            let step = poll_fn(|cx| {
                if let Poll::Ready(result) = handshake_gate.during(|| stream.poll_handshake(cx)) {
                    return Poll::Ready(Step::Done(result));
                }
                handshake_gate.take_shown().map_or(Poll::Pending, |shown| Poll::Ready(Step::Judge(shown)))
            });
            match step.await {
                Step::Done(result) => {
                    result.map_err(|error| {
                        let error =
                            handshake_error(name_missing_identity(error, handshake_gate.lacks_identity()));
                        match handshake_gate.take_shown() {
                            Some(shown) => error.with_peer_trust(shown.trust(peer)),
                            None => error,
                        }
                    })?;
                    break;
                }
                Step::Judge(shown) => {
                    let Some(challenger) = challenger else { continue };
                    let trust = shown.trust(peer);
                    let standing = trust::judge(config, peer, &trust, challenger).await?;
                    scope = scope.and(standing.scope(decider));
                    judgement = Some((trust, standing));
                    if let Some(issuers) = handshake_gate.unanswered_issuers() {
                        let (credential, decided_by) =
                            trust::identity(peer, issuers, stored.clone(), challenger).await?;
                        if let Some(credential) = credential {
                            let is_stored = stored.as_ref() == Some(&credential);
                            let identity = Identity { credential, revision: revision.filter(|_| is_stored) };
                            self.remember(peer, &identity);
                            return Ok(HandshakeOutcome::WantsIdentity(identity));
                        }
                        // To go on without is a decision too.
                        scope = scope.and(Scope::of(decided_by, decider)).and(Scope::alike(decider));
                    }
                    if let Some(tickets) = &tickets {
                        tickets.judged(scope);
                    }
                    handshake_gate.release();
                }
            }
        }
        let (trust, standing) = match (judgement, challenger) {
            (Some(judgement), _) => judgement,
            // A resumed session shows no certificates: those of its first handshake are judged again.
            (None, Some(challenger)) => {
                let trust = shown_before(stream.session(), &verifier, &name).trust(peer);
                let standing = trust::judge(config, peer, &trust, challenger).await?;
                scope = scope.and(standing.scope(decider));
                (trust, standing)
            }
            (None, None) => (trusted(stream.session(), peer), Trust::Good),
        };
        let is_resumed = stream.session().handshake_kind() == Some(HandshakeKind::Resumed);
        // Others may have a certificate for this server: they are asked in a handshake of their own.
        if identity.is_none()
            && self.is_unsatisfied(peer, handshake_gate.was_asked_for_identity(), is_resumed)
        {
            scope = scope.and(Scope::alike(decider));
        }
        if let Some(tickets) = &tickets {
            tickets.judged(scope);
        }
        let is_overridden = matches!(standing, Trust::Overridden(_));
        let peer = PeerRecord::new(trust, decider);
        let revision = identity.as_ref().and_then(|identity| identity.revision);
        // In a resumed session the server knows it from the first handshake.
        let shown = identity.filter(|_| is_resumed || handshake_gate.was_asked_for_identity());
        let client_certificate = shown.and_then(|identity| {
            let certificate = identity.credential.certificates().first()?;
            let digest = digest(&SHA256, certificate).as_ref().try_into().ok()?;
            Some(ClientCertificate { digest, revision, is_for_once: is_for_once(&identity) })
        });
        let outcome = Outcome { peer, is_overridden, scope, revision, client_certificate };
        Ok(HandshakeOutcome::Done(Stream::Tls(stream), outcome))
    }

    /// The next handshake with any server is a full one, and no certificate of the client's is remembered.
    pub(super) fn forget_sessions(&self) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.identities().clear();
    }

    fn kind(&self, config: &Configuration, peer: Peer<'_>, protocols: Protocols) -> Result<Kind> {
        let rule = config.app_transport_security.minimum_tls_version(peer.name());
        let configured = config.tls_minimum_supported_protocol_version;
        let oldest = rule.map_or(configured, |rule| rule.max(configured));
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn remember(&self, peer: Peer<'_>, identity: &Identity) {
        if identity.credential.persistence() != UrlCredentialPersistence::None {
            self.identities().insert(peer.server(), identity.clone());
        }
    }

    /// The certificate that a delegate gave for this server, unless it is from another revision of the credential store.
    fn remembered(&self, peer: Peer<'_>, revision: Option<u64>) -> Option<Identity> {
        let mut identities = self.identities();
        let identity = identities.get(&peer.server())?;
        if identity.revision.is_none() || identity.revision == revision {
            return Some(identity.clone());
        }
        identities.remove(&peer.server());
        None
    }

    /// True if the server wants a certificate, or wanted one when the session that is resumed began.
    fn is_unsatisfied(&self, peer: Peer<'_>, was_asked: bool, is_resumed: bool) -> bool {
        if !was_asked && !is_resumed {
            return false;
        }
        let mut servers = self.unsatisfied.lock().unwrap_or_else(PoisonError::into_inner);
        if was_asked && servers.len() < MOST_UNSATISFIED {
            servers.insert(peer.server());
        }
        was_asked || servers.len() >= MOST_UNSATISFIED || servers.contains(&peer.server())
    }

    fn identities(&self) -> MutexGuard<'_, HashMap<Server, Identity>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// If there are more of them, every server whose session is resumed counts as one.
const MOST_UNSATISFIED: usize = 256;

/// Asks about the server of a connection that is good by itself, and that others have made.
pub(super) async fn judge_again(
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

enum Step {
    Done(std::io::Result<()>),
    Judge(PresentedChain),
}

/// What the server showed, which rustls found good.
fn trusted(session: &UnbufferedClientConnection, peer: Peer<'_>) -> ServerTrust {
    let chain = session.peer_certificates().unwrap_or_default();
    ServerTrust::new(peer.name(), chain.iter().map(|der| der.to_vec()).collect(), Ok(()))
}

fn shown_before(
    session: &UnbufferedClientConnection,
    verifier: &Verifier,
    name: &ServerName<'_>,
) -> PresentedChain {
    let chain = session.peer_certificates().unwrap_or_default();
    let verdict = match chain.split_first() {
        Some((end_entity, intermediates)) => {
            verifier.judge(end_entity, intermediates, name, &[], UnixTime::now()).map(|_| ()).map_err(failed)
        }
        None => Err(failed(rustls::Error::NoCertificatesPresented)),
    };
    PresentedChain { chain: chain.iter().map(|der| der.to_vec()).collect(), verdict }
}

fn client_config(
    config: &Configuration,
    oldest: TlsVersion,
    peer: Peer<'_>,
    protocols: Protocols,
) -> Result<Kind> {
    let bad = |detail: &'static str| UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail);
    let mut provider = aws_lc_rs::default_provider();
    let all = &*in_place::CIPHER_SUITES;
    provider.cipher_suites = match &config.tls_cipher_suites[..] {
        [] => all.clone(),
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
    Ok(Kind { config: Arc::new(tls), port: peer.port, tickets, verifier })
}
