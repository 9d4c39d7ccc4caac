//! Carries a decision out: looks credentials up in the store, and has a delegate answer challenges.

use std::future::Future;

use super::attempts::AuthAttempts;
use super::decision::{AuthDecision, AuthStep};
use super::options::AuthOption;
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::message::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
    UrlProtectionSpace, UrlResponse,
};
use crate::store::UrlCredentialStorage;

/// Answers challenges.
pub(crate) trait ChallengeHandler: Sync {
    fn challenge(
        &self,
        challenge: UrlAuthenticationChallenge,
    ) -> impl Future<Output = AuthChallengeDisposition> + Send;
}

/// The credential store, used from where nothing may block.
#[derive(Clone, Copy)]
pub(crate) struct CredentialCache<'a> {
    pub(crate) storage: Option<&'a UrlCredentialStorage>,
    pub(crate) runtime: &'a RuntimeHandle,
}

/// The option and the credential of the next try; `None` if the refusal is the answer of the load. Negotiate without a
/// credential is for the ticket of the machine's user. `response` is shown with challenges.
pub(crate) async fn decide(
    attempts: &mut AuthAttempts,
    options: Vec<AuthOption>,
    response: Option<&UrlResponse>,
    is_body_known: bool,
    credentials: CredentialCache<'_>,
    handler: &impl ChallengeHandler,
) -> Result<Option<(AuthOption, Option<UrlCredential>)>> {
    let (mut decision, mut step) = AuthDecision::begin(attempts, options, response, is_body_known);
    loop {
        step = match step {
            AuthStep::LookUp(space) => decision.found(credentials.stored(&space).await),
            AuthStep::Challenge(challenge) => decision.answered(handler.challenge(*challenge).await),
            AuthStep::Use(option, credential) => return Ok(Some((*option, credential))),
            AuthStep::Deliver => return Ok(None),
            AuthStep::Cancel => return Err(UrlError::cancelled()),
        };
    }
}

impl CredentialCache<'_> {
    async fn stored(self, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        let storage = self.storage?;
        if !storage.has_file() {
            return storage.default_credential(space);
        }
        let (storage, space) = (storage.clone(), space.clone());
        self.runtime.blocking(move || storage.default_credential(&space)).await.ok().flatten()
    }

    /// A credential that worked. The revision of the store that vouches for it from now on; `None` if it is not kept.
    pub(crate) async fn keep(self, space: &UrlProtectionSpace, credential: &UrlCredential) -> Option<u64> {
        let storage = self.storage.filter(|_| credential.persistence() != UrlCredentialPersistence::None)?;
        if !storage.has_file() {
            return Some(storage.keep(credential, space));
        }
        let (storage, space, credential) = (storage.clone(), space.clone(), credential.clone());
        self.runtime.blocking(move || storage.keep(&credential, &space)).await.ok()
    }
}
