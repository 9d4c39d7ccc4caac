//! The trust decision about a server: by the delegate, as far as App Transport Security allows; else by the platform.
//!
//! Apple: *Performing manual server trust authentication*.

use std::sync::Arc;

use url::Host;

use super::peer::Peer;
use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ConnectionChallengeHandler, DecidedBy, Decider};
use crate::message::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod, ServerTrust, UrlAuthenticationChallenge,
    UrlCredential, UrlProtectionSpace, UrlProtectionSpaceProtocol,
};
use crate::transport::reservation::Scope;

/// How the trust in a server came about.
#[derive(Clone, Copy)]
pub(in crate::transport) enum Trust {
    /// Its certificates are good by themselves.
    Good,
    /// Only the delegate trusts it.
    Overridden(DecidedBy),
}

impl Trust {
    /// The reservation of a connection to the server.
    pub(super) fn scope(self, decider: Decider) -> Scope {
        match self {
            Self::Good => Scope::Everyone,
            Self::Overridden(decided_by) => Scope::of(decided_by, decider),
        }
    }
}

/// An error unless the server may be talked to.
pub(super) async fn judge(
    config: &Configuration,
    peer: Peer<'_>,
    trust: &ServerTrust,
    challenger: &Arc<dyn ConnectionChallengeHandler>,
) -> Result<Trust> {
    let space = space(peer, AuthenticationMethod::ServerTrust).with_server_trust(trust.clone());
    let challenge = UrlAuthenticationChallenge::new(space, None, 0, None, None);
    let (disposition, decided_by) = challenger.clone().challenge(challenge).await;
    let verdict = match disposition {
        // Trust in another server does not apply to this one.
        Disposition::UseCredential(Some(credential)) if credential.server_trust() == Some(trust) => {
            match trust.evaluate() {
                Ok(()) => Ok(Trust::Good),
                Err(error) => match refusal(config, peer) {
                    None => Ok(Trust::Overridden(decided_by)),
                    Some(why) => {
                        let detail = format!("{}; the delegate trusts it, but {why}", error.detail());
                        Err(UrlError::new(error.code(), Phase::Tls, detail).with_source(error))
                    }
                },
            }
        }
        Disposition::CancelAuthenticationChallenge => Err(UrlError::cancelled()),
        Disposition::RejectProtectionSpace => {
            let detail = "the delegate does not trust the server's certificate";
            Err(UrlError::new(UrlErrorCode::ServerCertificateUntrusted, Phase::Tls, detail))
        }
        // Without a credential of trust there is nothing to use but the default.
        _ => trust.evaluate().map(|()| Trust::Good),
    };
    verdict.map_err(|error| error.with_peer_trust(trust.clone()))
}

/// Why a delegate may not trust a server that the system does not. Apple: it may where cleartext would be allowed too.
fn refusal(config: &Configuration, peer: Peer<'_>) -> Option<&'static str> {
    let is_allowed = |host: &Host| config.app_transport_security.allows_insecure(host).is_ok();
    let Some(host) = Host::parse(peer.host.name).ok().filter(is_allowed) else {
        return Some(
            "App Transport Security lets a delegate do so only on the local network and where \
             allows_insecure_http_loads (exception_domains) or allows_arbitrary_loads is set",
        );
    };
    // RFC 6797 §8.4: no delegate may override the failure.
    let now = config.environment.clock.wall();
    let is_strict = config.hsts_storage.as_ref().is_some_and(|hosts| hosts.knows(&host, now));
    is_strict.then_some("the host has asked by Strict-Transport-Security that nobody may")
}

/// The client's certificate for a server that wants one, and who decided; `None` to go on without. Default handling is to
/// show the one that is stored.
pub(super) async fn identity(
    peer: Peer<'_>,
    issuers: Vec<Vec<u8>>,
    stored: Option<UrlCredential>,
    challenger: &Arc<dyn ConnectionChallengeHandler>,
) -> Result<(Option<UrlCredential>, DecidedBy)> {
    let space = identity_space(peer).with_distinguished_names(issuers);
    let challenge = UrlAuthenticationChallenge::new(space, stored.clone(), 0, None, None);
    let (disposition, decided_by) = challenger.clone().challenge(challenge).await;
    let identity = match disposition {
        Disposition::UseCredential(credential) => {
            credential.filter(|credential| credential.identity().is_some())
        }
        Disposition::CancelAuthenticationChallenge => return Err(UrlError::cancelled()),
        Disposition::RejectProtectionSpace => None,
        _ => return Ok((stored, DecidedBy::Default)),
    };
    Ok((identity, decided_by))
}

/// Where certificates for this server are stored.
pub(super) fn identity_space(peer: Peer<'_>) -> UrlProtectionSpace {
    space(peer, AuthenticationMethod::ClientCertificate)
}

fn space(peer: Peer<'_>, method: AuthenticationMethod) -> UrlProtectionSpace {
    UrlProtectionSpace::new(&peer.host.text(), peer.port, UrlProtectionSpaceProtocol::Https, None, method)
}
