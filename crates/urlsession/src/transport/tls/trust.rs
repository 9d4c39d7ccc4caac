//! The judgement of a server: the delegate's, within what App Transport Security lets it loosen; else the platform's.
//!
//! Apple: *Performing manual server trust authentication*.

use std::sync::Arc;

use super::Peer;
use super::hold::Shown;
use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Challenger;
use crate::message::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod, ServerTrust, UrlAuthenticationChallenge,
    UrlCredential, UrlProtectionSpace, UrlProtectionSpaceProtocol,
};

/// May the server be talked to?
pub(super) async fn judge(
    config: &Configuration,
    peer: Peer<'_>,
    shown: Shown,
    challenger: &Arc<dyn Challenger>,
) -> Result<()> {
    let trust = ServerTrust::new(peer.name(), shown.chain, shown.verdict.clone());
    let space = space(peer, AuthenticationMethod::ServerTrust).with_server_trust(trust.clone());
    let challenge = UrlAuthenticationChallenge::new(space, None, 0, None, None);
    let verdict = match challenger.clone().challenge(challenge).await {
        Disposition::UseCredential(Some(credential)) if credential.server_trust().is_some() => {
            match shown.verdict {
                Ok(()) => Ok(()),
                Err(error) => match may_loosen(config, peer) {
                    true => Ok(()),
                    false => {
                        let detail = format!(
                            "{}; the delegate trusts it, but App Transport Security lets a delegate do so only \
                             where allows_insecure_http_loads (exception_domains) or allows_arbitrary_loads is set",
                            error.detail()
                        );
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
        _ => shown.verdict,
    };
    verdict.map_err(|error| error.with_peer_trust(trust))
}

/// Apple: a delegate may trust a server that the system does not where cleartext would be allowed too.
fn may_loosen(config: &Configuration, peer: Peer<'_>) -> bool {
    let host = url::Host::parse(peer.host);
    host.is_ok_and(|host| config.app_transport_security.allows_insecure(&host).is_ok())
}

/// The client's certificate for a server that wants one; `None` to go on without. Default handling is to show the one
/// that is stored.
pub(super) async fn identity(
    peer: Peer<'_>,
    issuers: Vec<Vec<u8>>,
    stored: Option<UrlCredential>,
    challenger: &Arc<dyn Challenger>,
) -> Result<Option<UrlCredential>> {
    let space = identity_space(peer).with_distinguished_names(issuers);
    let challenge = UrlAuthenticationChallenge::new(space, stored.clone(), 0, None, None);
    match challenger.clone().challenge(challenge).await {
        Disposition::UseCredential(credential) => {
            Ok(credential.filter(|credential| credential.identity().is_some()))
        }
        Disposition::CancelAuthenticationChallenge => Err(UrlError::cancelled()),
        Disposition::RejectProtectionSpace => Ok(None),
        _ => Ok(stored),
    }
}

/// Where certificates for this server are stored.
pub(super) fn identity_space(peer: Peer<'_>) -> UrlProtectionSpace {
    space(peer, AuthenticationMethod::ClientCertificate)
}

fn space(peer: Peer<'_>, method: AuthenticationMethod) -> UrlProtectionSpace {
    UrlProtectionSpace::new(peer.host, peer.port, UrlProtectionSpaceProtocol::Https, None, method)
}
