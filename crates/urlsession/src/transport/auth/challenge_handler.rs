//! From offers to a credential: what the store has, and what whoever may decide makes of it.

use std::future::Future;

use super::schemes::unusable;
use super::spaces::{AuthOption, Challenger};
use super::verdict::{Asked, AuthAttempts};
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::message::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
    UrlProtectionSpace, UrlResponse,
};
use crate::store::UrlCredentialStorage;

/// Who may decide.
pub(crate) trait ChallengeHandler: Sync {
    fn challenge(
        &self,
        challenge: UrlAuthenticationChallenge,
    ) -> impl Future<Output = AuthChallengeDisposition> + Send;
}

/// Where credentials are kept, as seen from a place that must not be blocked.
#[derive(Clone, Copy)]
pub(crate) struct CredentialCache<'a> {
    pub(crate) storage: Option<&'a UrlCredentialStorage>,
    pub(crate) runtime: &'a RuntimeHandle,
}

/// With which credential to try again, and how; `None` to leave it at that. An offer of Negotiate without a credential is
/// for the ticket of the machine's user. `body` is that of the request, if it is known.
pub(crate) async fn decide(
    attempts: &mut AuthAttempts,
    challenger: Challenger<'_>,
    response: &UrlResponse,
    body: Option<&[u8]>,
    credentials: CredentialCache<'_>,
    challenge_handler: &impl ChallengeHandler,
) -> Result<Option<(AuthOption, Option<UrlCredential>)>> {
    let Some(head) = response.http_head() else { return Ok(None) };
    let is_http1 = head.version < http::Version::HTTP_2;
    let is_usable = |option: &AuthOption, credential: &UrlCredential| {
        unusable(&option.scheme, credential, body).is_none()
    };
    let options = match attempts.asked(super::options(challenger, &head.fields, is_http1), is_usable) {
        Asked::Deliver => return Ok(None),
        Asked::Use(option, credential) => return Ok(Some((*option, Some(credential)))),
        Asked::Consider(options) => options,
    };
    let mut is_left_to_default = false;
    for option in options {
        while !attempts.has_rejected(&option.space) {
            let stored = attempts.untried(credentials.stored(&option.space).await);
            let disposition = if is_left_to_default {
                AuthChallengeDisposition::PerformDefaultHandling
            } else {
                challenge_handler
                    .challenge(attempts.challenge(&option.space, stored.as_ref(), response))
                    .await
            };
            let credential = match disposition {
                AuthChallengeDisposition::UseCredential(Some(credential)) => credential,
                AuthChallengeDisposition::UseCredential(None) => {
                    let is_for_ticket = option.is_negotiate() && attempts.may_show_ticket();
                    return Ok(is_for_ticket.then_some((option, None)));
                }
                AuthChallengeDisposition::PerformDefaultHandling => {
                    is_left_to_default = true;
                    match stored {
                        Some(credential) => credential,
                        None if option.is_negotiate() && attempts.may_show_ticket_by_default() => {
                            return Ok(Some((option, None)));
                        }
                        // There may be one for a weaker offer.
                        None => break,
                    }
                }
                AuthChallengeDisposition::CancelAuthenticationChallenge => {
                    return Err(UrlError::cancelled());
                }
                AuthChallengeDisposition::RejectProtectionSpace => {
                    attempts.reject(option.space.clone());
                    break;
                }
            };
            match unusable(&option.scheme, &credential, body) {
                None => return Ok(Some((option, Some(credential)))),
                Some(error) => {
                    if !attempts.could_not_use(credential, error) {
                        return Ok(None);
                    }
                }
            }
        }
    }
    Ok(None)
}

impl CredentialCache<'_> {
    async fn stored(self, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        let storage = self.storage?;
        if !storage.has_file() {
            return storage.default_credential(space);
        }
        let (storage, space) = (storage.clone(), space.clone());
        self.runtime.blocking(move || storage.default_credential(&space)).await.flatten()
    }

    /// A credential that worked. The revision of the store that vouches for it from now on; `None` if it is not kept.
    pub(crate) async fn keep(self, space: &UrlProtectionSpace, credential: &UrlCredential) -> Option<u64> {
        let storage = self.storage.filter(|_| credential.persistence() != UrlCredentialPersistence::None)?;
        if !storage.has_file() {
            return Some(storage.keep(credential, space));
        }
        let (storage, space, credential) = (storage.clone(), space.clone(), credential.clone());
        self.runtime.blocking(move || storage.keep(&credential, &space)).await
    }
}
