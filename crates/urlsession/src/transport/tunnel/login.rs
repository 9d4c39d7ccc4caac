//! Logging in to a proxy that makes tunnels: who one is there, asked once and remembered for the session.
//!
//! A credential is the configuration's, else the store's or that of whoever is asked, as for servers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderValue, Method};
use urlsession_proto::auth::digest::{DigestExpectation, DigestRequest};

use super::super::auth::{
    AuthAttempts, AuthOption, ChallengeHandler, Challenger, CredentialCache, Login, Used, decide, is_same,
    ntlm_challenge, ntlm_proof, ntlm_start,
};
use crate::error::Result;
use crate::load::ConnectionChallengeHandler;
use crate::message::{
    AuthChallengeDisposition, HttpHead, UrlAuthenticationChallenge, UrlCredential, UrlResponse,
};

/// The logins of a session with the proxies of its tunnels.
#[derive(Default)]
pub(in crate::transport) struct ProxyAuthCache(Mutex<Vec<Known>>);

/// For whom a proxy has made a tunnel. A tunnel belongs to who is logged in, whatever the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum TunnelLogin {
    /// For nobody in particular, or as the configuration says.
    None,
    /// For a user whom the credential store knows, in this revision.
    Kept(u64),
    /// For a user whom a delegate named for once.
    ForOnce,
}

struct Known {
    used: Used,
    login: Login,
    revision: u64,
}

/// The login of one dial.
pub(super) struct ProxyAuth<'a> {
    challenger: Challenger<'a>,
    target: &'a str,
    credentials: CredentialCache<'a>,
    logins: &'a ProxyAuthCache,
    handler: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    /// Of the configuration.
    own: Option<&'a UrlCredential>,
    attempts: AuthAttempts,
    shown: SentProof,
}

/// What the next request proves.
enum SentProof {
    Nothing,
    Login { used: Used, login: Login, value: Option<HeaderValue>, expectation: Option<DigestExpectation> },
    NtlmStart(Used),
    NtlmProof(Used, Option<HeaderValue>),
}

impl ProxyAuthCache {
    /// Nobody is logged in any more.
    pub(in crate::transport) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> ProxyAuth<'a> {
    pub(super) fn new(
        challenger: Challenger<'a>,
        target: &'a str,
        own: Option<&'a UrlCredential>,
        credentials: CredentialCache<'a>,
        logins: &'a ProxyAuthCache,
        handler: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    ) -> Self {
        let known = credentials.storage.and_then(|storage| {
            let mut logins = logins.lock();
            logins.retain(|known| known.revision == storage.revision());
            let is_here = |known: &&mut Known| {
                let is_own = own.is_none_or(|own| is_same(own, &known.used.credential));
                challenger.is_of(&known.used.space) && is_own
            };
            // Under the lock: no two dials show the same count of a nonce.
            let known = logins.iter_mut().find(is_here)?;
            let nonce = known.login.nonce().map(Into::into);
            Some(SentProof::login(Used { nonce, ..known.used.clone() }, &mut known.login, target))
        });
        let attempts = AuthAttempts::new(own.cloned(), None);
        Self {
            challenger,
            target,
            credentials,
            logins,
            handler,
            own,
            attempts,
            shown: known.unwrap_or(SentProof::Nothing),
        }
    }

    /// The value of `Proxy-Authorization` for the next request.
    pub(super) fn value(&self) -> Option<HeaderValue> {
        match &self.shown {
            SentProof::Nothing => None,
            SentProof::NtlmStart(_) => ntlm_start(),
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

    /// The proxy has made the tunnel: what was shown is good.
    pub(super) async fn accepted(&mut self, head: &HttpHead) -> TunnelLogin {
        let (used, mut login, expectation) = match std::mem::replace(&mut self.shown, SentProof::Nothing) {
            SentProof::Nothing => return TunnelLogin::None,
            SentProof::NtlmStart(used) | SentProof::NtlmProof(used, _) => {
                let revision = self.credentials.keep(&used.space, &used.credential).await;
                return self.login_of(&used, revision);
            }
            SentProof::Login { used, login, expectation, .. } => (used, login, expectation),
        };
        {
            let mut logins = self.logins.lock();
            let is_it = |known: &Known| {
                known.used.space == used.space
                    && known.login.nonce() == login.nonce()
                    && is_same(&known.used.credential, &used.credential)
            };
            if let Some(at) = logins.iter().position(is_it) {
                let revision = logins[at].revision;
                if !logins[at].login.heard(head, expectation.as_ref(), self.challenger) {
                    logins.remove(at);
                }
                return self.login_of(&used, Some(revision));
            }
        }
        let kept = self.credentials.keep(&used.space, &used.credential).await;
        if let Some(revision) = kept
            && login.heard(head, expectation.as_ref(), self.challenger)
        {
            let mut logins = self.logins.lock();
            logins.retain(|known| known.used.space != used.space);
            logins.truncate(MOST_LOGINS - 1);
            logins.push(Known { used: used.clone(), login, revision });
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

    /// The proxy asks. True if there is anything left to show. `is_same_connection` is true if the next request can go over the
    /// connection of the last.
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
            SentProof::Login { used, .. } => {
                self.logins.lock().retain(|known| known.used.space != used.space);
                self.attempts.use_up(used);
            }
        }
        let challenge_handler = OfConnection(self.handler);
        let decided = decide(
            &mut self.attempts,
            self.challenger,
            response,
            Some(&[]),
            self.credentials,
            &challenge_handler,
        )
        .await?;
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
        // RFC 9112 §3.2.3: the target is the authority.
        let request = DigestRequest { method: Method::CONNECT.as_str(), uri: target, body: Some(&[]) };
        let (value, expectation) = login.authorization(request).unzip();
        Self::Login { used, login: login.clone(), value, expectation: expectation.flatten() }
    }
}

/// Whoever answers for the connection decides; nobody leaves it to the default.
struct OfConnection<'a>(Option<&'a Arc<dyn ConnectionChallengeHandler>>);

impl ChallengeHandler for OfConnection<'_> {
    async fn challenge(&self, challenge: UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        match self.0 {
            Some(handler) => handler.clone().challenge(challenge).await.0,
            None => AuthChallengeDisposition::PerformDefaultHandling,
        }
    }
}

const MOST_LOGINS: usize = 64;
