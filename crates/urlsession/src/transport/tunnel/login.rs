//! Authentication at a proxy that makes tunnels: the credential is chosen once and kept for the session.
//!
//! It comes from the configuration, else from the store or from the delegates, as for servers.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderValue, Method};
use urlsession_proto::auth::digest::{DigestExpectation, DigestRequest};

use crate::auth::{
    AuthAttempts, AuthOption, ChallengeHandler, Challenger, CredentialCache, Login, LoginCache, Preemption,
    Used, decide, http_options, is_same, ntlm_challenge, ntlm_proof, ntlm_start,
};
use crate::error::Result;
use crate::load::ConnectionChallengeHandler;
use crate::message::{
    AuthChallengeDisposition, HttpHead, UrlAuthenticationChallenge, UrlCredential, UrlResponse,
};

/// The user for whom a proxy has made a tunnel. A tunnel belongs to its login, with every scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum TunnelLogin {
    /// For nobody in particular, or as the configuration says.
    None,
    /// For a user whom the credential store knows, in this revision.
    Kept(u64),
    /// For a user whom a delegate named for once.
    ForOnce,
}

/// The login of one dial.
pub(super) struct ProxyAuth<'a> {
    challenger: Challenger<'a>,
    target: &'a str,
    credentials: CredentialCache<'a>,
    logins: &'a LoginCache,
    handler: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    /// Of the configuration.
    own: Option<&'a UrlCredential>,
    attempts: AuthAttempts,
    shown: SentProof,
}

/// The proof that the next request sends.
enum SentProof {
    Nothing,
    /// The proof that the session has used before.
    Known {
        preemption: Box<Preemption>,
        value: HeaderValue,
    },
    Login {
        used: Used,
        login: Login,
        value: Option<HeaderValue>,
        expectation: Option<DigestExpectation>,
    },
    NtlmStart(Used),
    NtlmProof(Used, Option<HeaderValue>),
}

impl<'a> ProxyAuth<'a> {
    pub(super) fn new(
        challenger: Challenger<'a>,
        target: &'a str,
        own: Option<&'a UrlCredential>,
        credentials: CredentialCache<'a>,
        logins: &'a LoginCache,
        handler: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    ) -> Self {
        let revision = credentials.storage.map(|storage| storage.revision());
        let known = revision
            .filter(|_| !logins.is_empty())
            .and_then(|revision| logins.authorize(challenger, connect_request(target), own, revision));
        let shown = known.map_or(SentProof::Nothing, |(value, preemption)| SentProof::Known {
            preemption: Box::new(preemption),
            value,
        });
        let attempts = AuthAttempts::new(own.cloned(), None);
        Self { challenger, target, credentials, logins, handler, own, attempts, shown }
    }

    /// The value of `Proxy-Authorization` for the next request.
    pub(super) fn value(&self) -> Option<HeaderValue> {
        match &self.shown {
            SentProof::Nothing => None,
            SentProof::NtlmStart(_) => ntlm_start(),
            SentProof::Known { value, .. } => Some(value.clone()),
            SentProof::NtlmProof(_, value) | SentProof::Login { value, .. } => value.clone(),
        }
    }

    /// The connection ended before the proxy answered: the next request, on another, proves the same. A handshake of NTLM
    /// begins anew, for it is about one connection (MS-NLMP §1.3).
    pub(super) fn lost(&mut self) {
        self.shown = match std::mem::replace(&mut self.shown, SentProof::Nothing) {
            SentProof::NtlmProof(used, _) => SentProof::NtlmStart(used),
            same => same,
        };
    }

    /// The proxy has made the tunnel: the credential is valid.
    pub(super) async fn accepted(&mut self, head: &HttpHead) -> TunnelLogin {
        let (used, mut login, expectation) = match std::mem::replace(&mut self.shown, SentProof::Nothing) {
            SentProof::Nothing => return TunnelLogin::None,
            SentProof::Known { preemption, .. } => {
                self.logins.heard(&preemption, &head.fields, self.challenger);
                return self.login_of(&preemption.used, Some(preemption.revision));
            }
            SentProof::NtlmStart(used) | SentProof::NtlmProof(used, _) => {
                let revision = self.credentials.keep(&used.space, &used.credential).await;
                return self.login_of(&used, revision);
            }
            SentProof::Login { used, login, expectation, .. } => (used, login, expectation),
        };
        let kept = self.credentials.keep(&used.space, &used.credential).await;
        if let Some(revision) = kept
            && login.heard(&head.fields, expectation.as_ref(), self.challenger)
        {
            self.logins.learn(self.challenger, used.clone(), login, revision);
        }
        self.login_of(&used, kept)
    }

    /// `revision` is that of the store which vouches for what was used, if it does.
    fn login_of(&self, used: &Used, revision: Option<u64>) -> TunnelLogin {
        if self.own.is_some_and(|own| is_same(own, &used.credential)) {
            return TunnelLogin::None;
        }
        revision.map_or(TunnelLogin::ForOnce, TunnelLogin::Kept)
    }

    /// The proxy issues a challenge. True if there is a credential left to try. `is_same_connection` is true if the
    /// next request can use the connection of the last.
    pub(super) async fn refused(
        &mut self,
        response: &UrlResponse,
        is_same_connection: bool,
        now: SystemTime,
    ) -> Result<bool> {
        let Some(head) = response.http_head() else { return Ok(false) };
        match std::mem::replace(&mut self.shown, SentProof::Nothing) {
            SentProof::Nothing => {}
            SentProof::NtlmStart(used) if is_same_connection => {
                if let Some(challenge) = ntlm_challenge(self.challenger, &head.fields) {
                    let proof = ntlm_proof(&challenge, &used.credential, now);
                    self.shown = SentProof::NtlmProof(used, proof);
                    return Ok(true);
                }
                self.attempts.use_up(used);
            }
            SentProof::NtlmStart(used) | SentProof::NtlmProof(used, _) => self.attempts.use_up(used),
            SentProof::Login { used, .. } => self.attempts.use_up(used),
            SentProof::Known { preemption, .. } => {
                self.logins.forget(self.challenger, &preemption.used.space);
                self.attempts.use_up(preemption.used);
            }
        }
        let challenge_handler = OfConnection(self.handler);
        let options = http_options(self.challenger, head);
        let (shown, credentials) = (Some(response), self.credentials);
        let decided =
            decide(&mut self.attempts, options, shown, true, credentials, &challenge_handler).await?;
        let Some((AuthOption { space, scheme }, Some(credential))) = decided else { return Ok(false) };
        let login = Login::begin(&scheme, &credential);
        let nonce = login.as_ref().and_then(Login::nonce).map(Into::into);
        let used = Used { space, credential, nonce };
        self.shown = match login {
            Some(mut login) => SentProof::login(used, &mut login, self.target),
            None => SentProof::NtlmStart(used),
        };
        Ok(true)
    }
}

impl SentProof {
    fn login(used: Used, login: &mut Login, target: &str) -> Self {
        let (value, expectation) = login.authorization(connect_request(target)).unzip();
        Self::Login { used, login: login.clone(), value, expectation: expectation.flatten() }
    }
}

/// RFC 9112 §3.2.3: the target is the authority.
fn connect_request(target: &str) -> DigestRequest<'_> {
    DigestRequest { method: Method::CONNECT.as_str(), uri: target, body: Some(&[]) }
}

/// The task of the connection decides; there is no default.
struct OfConnection<'a>(Option<&'a Arc<dyn ConnectionChallengeHandler>>);

impl ChallengeHandler for OfConnection<'_> {
    async fn challenge(&self, challenge: UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        match self.0 {
            Some(handler) => handler.clone().challenge(challenge).await.0,
            None => AuthChallengeDisposition::PerformDefaultHandling,
        }
    }
}
