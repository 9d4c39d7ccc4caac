//! `AuthDecision`: from what a challenger offers to the credential of the next try. Pure: no clock, no store, no delegate.
//!
//! The caller looks up credentials and issues challenges as the steps say. A decision needs no HTTP response.

use std::vec;

use super::attempts::{Asked, AuthAttempts};
use super::login::unusable;
use super::options::AuthOption;
use crate::message::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlProtectionSpace, UrlResponse,
};

/// A decision in progress about one refusal.
pub(super) struct AuthDecision<'a> {
    attempts: &'a mut AuthAttempts,
    response: Option<&'a UrlResponse>,
    is_body_known: bool,
    left: vec::IntoIter<AuthOption>,
    /// The option that is being decided about, and the stored credential for it.
    current: Option<(AuthOption, Option<UrlCredential>)>,
    is_left_to_default: bool,
}

/// What a decision needs next, or what it has come to.
#[derive(Debug)]
pub(super) enum AuthStep {
    /// The caller passes the stored credential for this space to [`AuthDecision::found`].
    LookUp(UrlProtectionSpace),
    /// The caller passes the answer to this challenge to [`AuthDecision::answered`].
    Challenge(Box<UrlAuthenticationChallenge>),
    /// Try again with this; Negotiate without a credential is for the ticket of the machine's user.
    Use(Box<AuthOption>, Option<UrlCredential>),
    /// The refusal is the answer of the load.
    Deliver,
    /// The delegate cancels the load.
    Cancel,
}

impl<'a> AuthDecision<'a> {
    /// `response` is shown with challenges. Without `is_body_known`, the body of the request is a stream.
    pub(super) fn begin(
        attempts: &'a mut AuthAttempts,
        options: Vec<AuthOption>,
        response: Option<&'a UrlResponse>,
        is_body_known: bool,
    ) -> (Self, AuthStep) {
        let is_usable = |option: &AuthOption, credential: &UrlCredential| {
            unusable(&option.scheme, credential, is_body_known).is_none()
        };
        let (left, step) = match attempts.asked(options, is_usable) {
            Asked::Deliver => (Vec::new(), Some(AuthStep::Deliver)),
            Asked::Use(option, credential) => (Vec::new(), Some(AuthStep::Use(option, Some(credential)))),
            Asked::Consider(options) => (options, None),
        };
        let left = left.into_iter();
        let mut decision =
            Self { attempts, response, is_body_known, left, current: None, is_left_to_default: false };
        let step = step.unwrap_or_else(|| decision.next_option());
        (decision, step)
    }

    pub(super) fn found(&mut self, stored: Option<UrlCredential>) -> AuthStep {
        let Some((option, current)) = &mut self.current else { return AuthStep::Deliver };
        *current = self.attempts.untried(stored);
        if self.is_left_to_default {
            return self.answered(AuthChallengeDisposition::PerformDefaultHandling);
        }
        let challenge = self.attempts.challenge(&option.space, current.as_ref(), self.response);
        AuthStep::Challenge(Box::new(challenge))
    }

    pub(super) fn answered(&mut self, disposition: AuthChallengeDisposition) -> AuthStep {
        let Some((option, stored)) = self.current.take() else { return AuthStep::Deliver };
        let credential = match disposition {
            AuthChallengeDisposition::UseCredential(Some(credential)) => credential,
            AuthChallengeDisposition::UseCredential(None) => {
                return match option.is_negotiate() && self.attempts.may_show_ticket() {
                    true => AuthStep::Use(Box::new(option), None),
                    false => AuthStep::Deliver,
                };
            }
            AuthChallengeDisposition::PerformDefaultHandling => {
                self.is_left_to_default = true;
                match stored {
                    Some(credential) => credential,
                    None if option.is_negotiate() && self.attempts.may_show_ticket_by_default() => {
                        return AuthStep::Use(Box::new(option), None);
                    }
                    // There may be one for a weaker offer.
                    None => return self.next_option(),
                }
            }
            AuthChallengeDisposition::CancelAuthenticationChallenge => return AuthStep::Cancel,
            AuthChallengeDisposition::RejectProtectionSpace => {
                self.attempts.reject(option.space);
                return self.next_option();
            }
        };
        let Some(error) = unusable(&option.scheme, &credential, self.is_body_known) else {
            return AuthStep::Use(Box::new(option), Some(credential));
        };
        match self.attempts.could_not_use(credential, error) {
            // The same space again, whose challenge says why.
            true => self.consider(option),
            false => AuthStep::Deliver,
        }
    }

    fn next_option(&mut self) -> AuthStep {
        let attempts = &*self.attempts;
        match self.left.find(|option| !attempts.has_rejected(&option.space)) {
            Some(option) => self.consider(option),
            None => AuthStep::Deliver,
        }
    }

    fn consider(&mut self, option: AuthOption) -> AuthStep {
        let space = option.space.clone();
        self.current = Some((option, None));
        AuthStep::LookUp(space)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempts::Used;
    use super::super::options::AuthScheme;
    use super::*;
    use crate::message::{AuthenticationMethod, UrlCredentialPersistence, UrlProtectionSpaceProtocol};

    type Disposition = AuthChallengeDisposition;

    fn option(scheme: AuthScheme, method: AuthenticationMethod, realm: &str) -> AuthOption {
        let protocol = UrlProtectionSpaceProtocol::Ftp;
        AuthOption { space: UrlProtectionSpace::new("a", 21, protocol, Some(realm), method), scheme }
    }

    fn basic(realm: &str) -> AuthOption {
        option(AuthScheme::Basic, AuthenticationMethod::HttpBasic, realm)
    }

    fn credential(user: &str) -> UrlCredential {
        UrlCredential::new(user, "p", UrlCredentialPersistence::ForSession)
    }

    fn realm(space: &UrlProtectionSpace) -> &str {
        space.realm().unwrap_or_default()
    }

    #[test]
    fn each_option_is_looked_up_and_challenged_in_turn_without_any_response() {
        let mut attempts = AuthAttempts::new(None, None);
        let options = vec![basic("one"), basic("two")];
        let (mut decision, step) = AuthDecision::begin(&mut attempts, options, None, true);
        assert!(matches!(&step, AuthStep::LookUp(space) if realm(space) == "one"));
        let AuthStep::Challenge(challenge) = decision.found(None) else { panic!("no challenge") };
        assert_eq!(realm(challenge.protection_space()), "one");
        assert!(challenge.failure_response().is_none());
        let step = decision.answered(Disposition::RejectProtectionSpace);
        assert!(matches!(&step, AuthStep::LookUp(space) if realm(space) == "two"));
        let AuthStep::Challenge(challenge) = decision.found(Some(credential("kept"))) else {
            panic!("no challenge")
        };
        assert_eq!(challenge.proposed_credential().and_then(|proposed| proposed.user()), Some("kept"));
        let step = decision.answered(Disposition::UseCredential(Some(credential("given"))));
        let AuthStep::Use(option, Some(used)) = step else { panic!("{step:?}") };
        assert_eq!((realm(&option.space), used.user()), ("two", Some("given")));
    }

    #[test]
    fn what_is_left_to_the_default_once_is_not_asked_about_again() {
        let mut attempts = AuthAttempts::new(None, None);
        let options = vec![basic("one"), basic("two")];
        let (mut decision, _) = AuthDecision::begin(&mut attempts, options, None, true);
        assert!(matches!(decision.found(None), AuthStep::Challenge(_)));
        let step = decision.answered(Disposition::PerformDefaultHandling);
        assert!(matches!(&step, AuthStep::LookUp(space) if realm(space) == "two"));
        let step = decision.found(Some(credential("kept")));
        assert!(matches!(step, AuthStep::Use(_, Some(_))), "{step:?}");
    }

    #[test]
    fn a_credential_that_cannot_be_sent_is_challenged_again_and_nothing_goes_on_for_ever() {
        let mut attempts = AuthAttempts::new(None, None);
        let (mut decision, mut step) = AuthDecision::begin(&mut attempts, vec![basic("one")], None, true);
        let mut failures = Vec::new();
        loop {
            step = match step {
                AuthStep::LookUp(_) => decision.found(None),
                AuthStep::Challenge(challenge) => {
                    failures.push(challenge.previous_failure_count());
                    decision.answered(Disposition::UseCredential(Some(credential("with:colon"))))
                }
                AuthStep::Deliver => break,
                step => panic!("{step:?}"),
            };
        }
        assert_eq!(failures, (0..super::super::LIMIT).collect::<Vec<_>>());
    }

    #[test]
    fn a_load_is_cancelled_or_its_refusal_delivered_as_the_delegate_says() {
        let answer = |disposition| {
            let mut attempts = AuthAttempts::new(None, None);
            let (mut decision, _) = AuthDecision::begin(&mut attempts, vec![basic("one")], None, true);
            let _ = decision.found(None);
            decision.answered(disposition)
        };
        assert!(matches!(answer(Disposition::CancelAuthenticationChallenge), AuthStep::Cancel));
        assert!(matches!(answer(Disposition::RejectProtectionSpace), AuthStep::Deliver));
        assert!(matches!(answer(Disposition::PerformDefaultHandling), AuthStep::Deliver));
        assert!(matches!(answer(Disposition::UseCredential(None)), AuthStep::Deliver));
    }

    #[test]
    fn what_was_refused_is_not_proposed_from_the_store_as_new() {
        let used = Used { space: basic("one").space, credential: credential("kept"), nonce: None };
        let mut attempts = AuthAttempts::new(None, Some(used));
        let (mut decision, _) = AuthDecision::begin(&mut attempts, vec![basic("one")], None, true);
        let AuthStep::Challenge(challenge) = decision.found(Some(credential("kept"))) else {
            panic!("no challenge")
        };
        assert_eq!(challenge.previous_failure_count(), 1);
        assert!(matches!(decision.answered(Disposition::PerformDefaultHandling), AuthStep::Deliver));
    }
}
