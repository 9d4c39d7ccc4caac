//! From offers to a credential: what the store has, and what whoever may decide makes of it.

use std::future::Future;

use super::schemes::unusable;
use super::spaces::{Asker, Offer};
use super::verdict::{Asked, Trial};
use crate::env::Place;
use crate::error::{Result, UrlError};
use crate::message::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
    UrlProtectionSpace, UrlResponse,
};
use crate::store::UrlCredentialStorage;

/// Who may decide.
pub(crate) trait Counsel: Sync {
    fn challenge(
        &self,
        challenge: UrlAuthenticationChallenge,
    ) -> impl Future<Output = AuthChallengeDisposition> + Send;
}

/// Where credentials are kept, as seen from a place that must not be blocked.
#[derive(Clone, Copy)]
pub(crate) struct Keeper<'a> {
    pub(crate) storage: Option<&'a UrlCredentialStorage>,
    pub(crate) place: &'a Place,
}

/// With which credential to try again, and how; `None` to leave it at that. An offer of Negotiate without a credential is
/// for the ticket of the machine's user. `body` is that of the request, if it is known.
pub(crate) async fn decide(
    trial: &mut Trial,
    asker: Asker<'_>,
    response: &UrlResponse,
    body: Option<&[u8]>,
    keeper: Keeper<'_>,
    counsel: &impl Counsel,
) -> Result<Option<(Offer, Option<UrlCredential>)>> {
    let Some(head) = response.http_head() else { return Ok(None) };
    let is_http1 = head.version < http::Version::HTTP_2;
    let is_usable =
        |offer: &Offer, credential: &UrlCredential| unusable(&offer.scheme, credential, body).is_none();
    let offers = match trial.asked(super::offers(asker, &head.fields, is_http1), is_usable) {
        Asked::Deliver => return Ok(None),
        Asked::Use(offer, credential) => return Ok(Some((*offer, Some(credential)))),
        Asked::Consider(offers) => offers,
    };
    let mut is_left_to_default = false;
    for offer in offers {
        while !trial.has_rejected(&offer.space) {
            let stored = trial.untried(keeper.stored(&offer.space).await);
            let disposition = if is_left_to_default {
                AuthChallengeDisposition::PerformDefaultHandling
            } else {
                counsel.challenge(trial.challenge(&offer.space, stored.as_ref(), response)).await
            };
            let credential = match disposition {
                AuthChallengeDisposition::UseCredential(Some(credential)) => credential,
                AuthChallengeDisposition::UseCredential(None) => {
                    let is_for_ticket = offer.is_negotiate() && trial.may_show_ticket();
                    return Ok(is_for_ticket.then_some((offer, None)));
                }
                AuthChallengeDisposition::PerformDefaultHandling => {
                    is_left_to_default = true;
                    match stored {
                        Some(credential) => credential,
                        None if offer.is_negotiate() && trial.may_show_ticket_by_default() => {
                            return Ok(Some((offer, None)));
                        }
                        // There may be one for a weaker offer.
                        None => break,
                    }
                }
                AuthChallengeDisposition::CancelAuthenticationChallenge => {
                    return Err(UrlError::cancelled());
                }
                AuthChallengeDisposition::RejectProtectionSpace => {
                    trial.reject(offer.space.clone());
                    break;
                }
            };
            match unusable(&offer.scheme, &credential, body) {
                None => return Ok(Some((offer, Some(credential)))),
                Some(error) => {
                    if !trial.could_not_use(credential, error) {
                        return Ok(None);
                    }
                }
            }
        }
    }
    Ok(None)
}

impl Keeper<'_> {
    async fn stored(self, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        let storage = self.storage?;
        if !storage.has_file() {
            return storage.default_credential(space);
        }
        let (storage, space) = (storage.clone(), space.clone());
        self.place.blocking(move || storage.default_credential(&space)).await.flatten()
    }

    /// A credential that worked. The revision of the store that vouches for it from now on; `None` if it is not kept.
    pub(crate) async fn keep(self, space: &UrlProtectionSpace, credential: &UrlCredential) -> Option<u64> {
        let storage = self.storage.filter(|_| credential.persistence() != UrlCredentialPersistence::None)?;
        if !storage.has_file() {
            return Some(storage.keep(credential, space));
        }
        let (storage, space, credential) = (storage.clone(), space.clone(), credential.clone());
        self.place.blocking(move || storage.keep(&credential, &space)).await
    }
}
