//! Authentication: a 401 is answered with a credential, and the request sent again.
//!
//! RFC 9110 §11, and Apple's *Handling an authentication challenge*. Schemes are chosen from the strongest to the
//! weakest: Negotiate, NTLM, Digest with SHA-512/256, SHA-256 and MD5, Basic. Credentials come from the URL, then from the
//! store or whoever the task asks, and for Negotiate from the tickets of the machine's user. It does not judge whether a connection is safe enough for
//! them; where they are kept is the store's business.

mod known;
mod negotiate;
mod schemes;
mod spaces;
mod verdict;

use std::sync::Arc;

use url::Url;
use urlsession_proto::auth::base64;
use urlsession_proto::auth::ntlm::{self, NtlmUser};

pub(super) use self::known::Known;
use self::known::Preemption;
use self::negotiate::Ticket;
use self::schemes::{Login, unusable};
use self::spaces::{Offer, Scheme, offers};
use self::verdict::{Asked, Trial, Used};
use super::discard::discard;
use crate::env::{Gssapi, random};
use crate::error::{Result, UrlError};
use crate::load::{Attempt, Hold, Layer, Response};
use crate::message::{
    AuthChallengeDisposition, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace, UrlResponse,
};
use crate::store::UrlCredentialStorage;

pub(super) struct Auth<N> {
    storage: Option<UrlCredentialStorage>,
    gssapi: Arc<dyn Gssapi>,
    known: Arc<Known>,
    next: N,
}

impl<N> Auth<N> {
    pub(super) fn new(
        storage: Option<UrlCredentialStorage>,
        gssapi: Arc<dyn Gssapi>,
        known: Arc<Known>,
        next: N,
    ) -> Self {
        Self { storage, gssapi, known, next }
    }
}

impl<N: Layer> Layer for Auth<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let preemption = if self.known.is_empty() { None } else { self.preempt(attempt) };
        let response = self.next.load(attempt).await?;
        if preemption.is_none() && response.head.status_code() != Some(401) {
            return Ok(response);
        }
        // In a box of its own: other loads do not carry it.
        Box::pin(self.judge(attempt, response, preemption)).await
    }
}

impl<N: Layer> Auth<N> {
    /// Logs in before anybody asks, where the session has done so before (RFC 7617 §2.2, RFC 7616 §3.6).
    fn preempt(&self, attempt: &mut Attempt<'_>) -> Option<Box<Preemption>> {
        if has_own_credentials(attempt) {
            return None;
        }
        let revision = self.storage.as_ref()?.revision();
        let of_url = attempt.request.url().and_then(url_credential);
        let (value, preemption) = self.known.authorize(&attempt.request, of_url.as_ref(), revision)?;
        attempt.added.push((FIELD, value));
        Some(Box::new(preemption))
    }

    async fn judge(
        &self,
        attempt: &mut Attempt<'_>,
        mut response: Response,
        preemption: Option<Box<Preemption>>,
    ) -> Result<Response> {
        if let Some(preemption) = &preemption {
            self.known.heard(preemption, &response.head);
        }
        if response.head.status_code() != Some(401) || has_own_credentials(attempt) {
            return Ok(response);
        }
        let request = attempt.request.clone();
        let Some(url) = request.url() else { return Ok(response) };
        let mut trial = Trial::new(url_credential(url), preemption.map(|preemption| preemption.used));
        loop {
            let Some((offer, credential)) = self.decide(attempt, url, &mut trial, &response.head).await?
            else {
                return Ok(response);
            };
            response = match (&offer.scheme, credential) {
                (Scheme::Negotiate, credential) => {
                    // Before the response is given up: without a ticket there may be a weaker offer.
                    match Ticket::get(attempt, &self.gssapi, &offer.space, credential.as_ref()).await {
                        Ok(ticket) => {
                            discard(response.body, attempt).await;
                            self.show(attempt, ticket, &offer, credential, &mut trial).await?
                        }
                        Err(error) => {
                            tracing::debug!("Negotiate is skipped: {error}");
                            trial.skip(offer.space, credential.as_ref(), error);
                            continue;
                        }
                    }
                }
                (_, Some(credential)) => {
                    discard(response.body, attempt).await;
                    self.log_in(attempt, url, &offer, &credential, &mut trial).await?
                }
                (_, None) => return Ok(response),
            };
            if response.head.status_code() != Some(401) {
                return Ok(response);
            }
            self.known.forget(url, &offer.space);
        }
    }

    /// With which credential to send the request again, and how; `None` delivers the response. An offer without a
    /// credential is for the ticket of the machine's user.
    async fn decide(
        &self,
        attempt: &mut Attempt<'_>,
        url: &Url,
        trial: &mut Trial,
        response: &UrlResponse,
    ) -> Result<Option<(Offer, Option<UrlCredential>)>> {
        let Some(head) = response.http_head() else { return Ok(None) };
        let is_http1 = head.version < http::Version::HTTP_2;
        let is_usable = |offer: &Offer, credential: &UrlCredential| {
            unusable(&offer.scheme, credential, &attempt.request).is_none()
        };
        let mut offers = offers(url, &head.fields, is_http1);
        if offers.iter().any(Offer::is_negotiate)
            && let Err(error) = negotiate::find(attempt, &self.gssapi).await
        {
            offers.retain(|offer| !offer.is_negotiate());
            trial.note(error);
        }
        let offers = match trial.asked(offers, is_usable) {
            Asked::Deliver => return Ok(None),
            Asked::Use(offer, credential) => return Ok(Some((*offer, Some(credential)))),
            Asked::Consider(offers) => offers,
        };
        let mut is_left_to_default = false;
        for offer in offers {
            while !trial.has_rejected(&offer.space) {
                let stored = trial.untried(self.stored(attempt, &offer.space).await);
                let disposition = if is_left_to_default {
                    AuthChallengeDisposition::PerformDefaultHandling
                } else {
                    let challenge = trial.challenge(&offer.space, stored.as_ref(), response);
                    let _excuse = attempt.meter.excuse();
                    attempt.ask.challenge(&challenge).await
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
                            None if offer.is_negotiate() && trial.may_show_ticket() => {
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
                match unusable(&offer.scheme, &credential, &attempt.request) {
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

    /// Sends the request with the credential, and keeps one that worked.
    async fn log_in(
        &self,
        attempt: &mut Attempt<'_>,
        url: &Url,
        offer: &Offer,
        credential: &UrlCredential,
        trial: &mut Trial,
    ) -> Result<Response> {
        let Some(mut login) = Login::begin(&offer.scheme, credential) else {
            let response = self.shake_hands(attempt, credential).await?;
            trial.use_up(Used { space: offer.space.clone(), credential: credential.clone(), nonce: None });
            if is_success(response.head.status_code()) {
                self.keep(attempt, &offer.space, credential).await;
            }
            return Ok(response);
        };
        let authorization = login.authorization(&attempt.request, url);
        let (value, expectation) = authorization.unzip();
        repeat(attempt, value);
        let response = self.next.load(attempt).await?;
        trial.use_up(Used {
            space: offer.space.clone(),
            credential: credential.clone(),
            nonce: login.nonce().map(Into::into),
        });
        if is_success(response.head.status_code()) {
            self.keep(attempt, &offer.space, credential).await;
            if let Some(storage) = &self.storage
                && credential.persistence() != UrlCredentialPersistence::None
                && login.heard(&response.head, expectation.flatten().as_ref(), &offer.space)
            {
                self.known.learn(url, offer.space.clone(), credential.clone(), login, storage.revision());
            }
        }
        Ok(response)
    }

    /// NTLM: two exchanges over one connection, which is then logged in for all that follow.
    async fn shake_hands(&self, attempt: &mut Attempt<'_>, credential: &UrlCredential) -> Result<Response> {
        let mut tries = 0;
        loop {
            tries += 1;
            let hold = Hold::default();
            attempt.hold = Some(hold.clone());
            repeat(attempt, ntlm_value(&ntlm::negotiate()));
            let response = self.next.load(attempt).await;
            attempt.hold = None;
            let response = response?;
            let challenge = response.head.http_head().and_then(|head| spaces::ntlm_challenge(&head.fields));
            let (Some(challenge), Some(401)) = (challenge, response.head.status_code()) else {
                return Ok(response);
            };
            let first = attempt.stamps().connection.clone();
            discard(response.body, attempt).await;
            attempt.hold = Some(hold);
            let mut nonce = [0; 8];
            random(&mut nonce);
            let user = NtlmUser::parse(
                credential.user().unwrap_or_default(),
                credential.password().unwrap_or_default(),
            );
            let proof = ntlm::authenticate(&challenge, user, nonce, file_time(attempt.clock.wall()));
            repeat(attempt, ntlm_value(&proof));
            let response = self.next.load(attempt).await;
            attempt.hold = None;
            let response = response?;
            let second = attempt.stamps().connection.clone();
            let is_same = first.zip(second).is_some_and(|(first, second)| Arc::ptr_eq(&first, &second));
            // A proof on another connection proves nothing: the first was closed.
            if is_same || response.head.status_code() != Some(401) || tries == 2 {
                return Ok(response);
            }
            discard(response.body, attempt).await;
        }
    }

    async fn stored(&self, attempt: &Attempt<'_>, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        let storage = self.storage.as_ref()?;
        if !storage.has_file() {
            return storage.default_credential(space);
        }
        let (storage, space) = (storage.clone(), space.clone());
        attempt.place.blocking(move || storage.default_credential(&space)).await.flatten()
    }

    async fn keep(&self, attempt: &Attempt<'_>, space: &UrlProtectionSpace, credential: &UrlCredential) {
        let Some(storage) = &self.storage else { return };
        if !storage.has_file() {
            return storage.set_default_credential(credential, space);
        }
        let (storage, space, credential) = (storage.clone(), space.clone(), credential.clone());
        attempt.place.blocking(move || storage.set_default_credential(&credential, &space)).await;
    }
}

/// A credential of the request's own is nobody else's business.
fn has_own_credentials(attempt: &Attempt<'_>) -> bool {
    attempt.request.all_http_header_fields().contains(FIELD)
}

/// Prepares the request to be sent again: a transaction of its own, with this field in place of what was added before.
fn repeat(attempt: &mut Attempt<'_>, value: Option<http::HeaderValue>) {
    attempt.begin_transaction();
    // The rooms below add theirs again.
    attempt.added.clear();
    attempt.added.extend(value.map(|value| (FIELD, value)));
}

/// Was the credential accepted? A server that fails may not have looked at it.
fn is_success(status: Option<u16>) -> bool {
    status.is_some_and(|status| status < 500 && !matches!(status, 401 | 407))
}

/// The user and password of a URL.
fn url_credential(url: &Url) -> Option<UrlCredential> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let password = decoded(url.password().unwrap_or_default());
    Some(UrlCredential::new(&decoded(url.username()), &password, UrlCredentialPersistence::ForSession))
}

fn ntlm_value(message: &[u8]) -> Option<http::HeaderValue> {
    schemes::secret(&format!("NTLM {}", base64::encode(message)))
}

/// In 100 ns since 1601 (MS-DTYP §2.3.3).
fn file_time(time: std::time::SystemTime) -> u64 {
    const SECONDS_TO_1970: u64 = 11_644_473_600;
    let since_1970 = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (since_1970.as_secs() + SECONDS_TO_1970) * 10_000_000 + u64::from(since_1970.subsec_nanos()) / 100
}

const FIELD: &str = "authorization";

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
