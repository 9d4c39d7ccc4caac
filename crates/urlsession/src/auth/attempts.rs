//! The credentials a request has tried, and those left to try. Pure: no clock, no store, no delegate.

use super::options::{AuthOption, AuthScheme};
use crate::error::UrlError;
use crate::message::{UrlAuthenticationChallenge, UrlCredential, UrlProtectionSpace, UrlResponse};

/// The tries of one request.
#[derive(Default)]
pub(crate) struct AuthAttempts {
    /// Of the URL, until it was used.
    of_url: Option<UrlCredential>,
    /// The same for as long as the request lasts.
    named: Option<UrlCredential>,
    used: Option<Used>,
    rejected: Vec<UrlProtectionSpace>,
    refused: Vec<UrlCredential>,
    failures: usize,
    tries: usize,
    error: Option<UrlError>,
    has_shown_ticket: bool,
    has_no_tickets: bool,
    /// Whether the ticket is shown to this server without a delegate's consent.
    shows_ticket_by_default: bool,
}

/// A credential that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) space: UrlProtectionSpace,
    pub(crate) credential: UrlCredential,
    /// Of Digest.
    pub(crate) nonce: Option<String>,
}

/// What to do about a response with a challenge.
#[derive(Debug)]
pub(super) enum Asked {
    /// Nothing: it is the answer.
    Deliver,
    /// Try this.
    Use(Box<AuthOption>, UrlCredential),
    /// One of these, if there is a credential for it.
    Consider(Vec<AuthOption>),
}

impl AuthAttempts {
    pub(crate) fn new(of_url: Option<UrlCredential>, used: Option<Used>) -> Self {
        let is_named = |credential: &UrlCredential| credential.user().is_some_and(|user| !user.is_empty());
        let named = of_url.clone().filter(is_named);
        Self { of_url, named, used, ..Self::default() }
    }

    /// A credential was sent.
    pub(crate) fn use_up(&mut self, used: Used) {
        self.used = Some(used);
    }

    /// The server sent a challenge, for the first time or again.
    pub(super) fn asked(
        &mut self,
        mut options: Vec<AuthOption>,
        is_usable: impl Fn(&AuthOption, &UrlCredential) -> bool,
    ) -> Asked {
        self.tries += 1;
        if self.tries > LIMIT {
            return Asked::Deliver;
        }
        if let Some(used) = self.used.take() {
            if let Some(at) = options.iter().position(|option| renews(option, &used)) {
                return Asked::Use(Box::new(options.swap_remove(at)), used.credential);
            }
            // Of another space than it was sent for, the credential says nothing.
            if options.iter().any(|option| option.space == used.space) {
                self.failures += 1;
                self.refused.push(used.credential);
            }
        }
        options.retain(|option| {
            let needs_ticket = self.has_no_tickets && option.is_negotiate();
            !needs_ticket && !self.has_rejected(&option.space)
        });
        if options.is_empty() {
            return Asked::Deliver;
        }
        match self.of_url.take().filter(|credential| is_usable(&options[0], credential)) {
            Some(credential) => Asked::Use(Box::new(options.swap_remove(0)), credential),
            None => Asked::Consider(options),
        }
    }

    /// A stored credential, unless it was refused already, or is another user's than the one the URL names.
    pub(super) fn untried(&self, stored: Option<UrlCredential>) -> Option<UrlCredential> {
        let named = self.named.as_ref();
        let stored = stored.filter(|stored| named.is_none_or(|named| named.user() == stored.user()));
        stored.filter(|stored| !self.refused.iter().any(|refused| is_same(refused, stored)))
    }

    /// The question as others see it.
    pub(super) fn challenge(
        &mut self,
        space: &UrlProtectionSpace,
        stored: Option<&UrlCredential>,
        response: Option<&UrlResponse>,
    ) -> UrlAuthenticationChallenge {
        let proposed = stored.or(self.refused.last()).cloned();
        UrlAuthenticationChallenge::new(
            space.clone(),
            proposed,
            self.failures,
            response.cloned(),
            self.error.take(),
        )
    }

    pub(super) fn reject(&mut self, space: UrlProtectionSpace) {
        self.rejected.push(space);
    }

    pub(super) fn has_rejected(&self, space: &UrlProtectionSpace) -> bool {
        self.rejected.contains(space)
    }

    /// There are no tickets on this machine, and why.
    pub(crate) fn without_tickets(&mut self, error: UrlError) {
        self.has_no_tickets = true;
        self.note(error);
    }

    /// True if the ticket of the machine's user may be shown: once, and not in place of somebody who was named.
    pub(super) fn may_show_ticket(&self) -> bool {
        !self.has_shown_ticket && self.named.is_none() && self.refused.is_empty()
    }

    /// The server is in a domain that the configuration trusts with tickets.
    pub(crate) fn show_ticket_by_default(&mut self) {
        self.shows_ticket_by_default = true;
    }

    /// As [`may_show_ticket`](Self::may_show_ticket), if whoever decides leaves it to the default.
    pub(super) fn may_show_ticket_by_default(&self) -> bool {
        self.shows_ticket_by_default && self.may_show_ticket()
    }

    /// The ticket of the machine's user was refused.
    pub(crate) fn ticket_was_refused(&mut self) {
        self.has_shown_ticket = true;
        self.failures += 1;
    }

    /// The last refusal was more than that.
    pub(crate) fn note(&mut self, error: UrlError) {
        self.error = Some(error);
    }

    /// There is no ticket for a space: nothing was sent, and what the URL says is good for a weaker offer.
    pub(crate) fn skip(
        &mut self,
        space: UrlProtectionSpace,
        credential: Option<&UrlCredential>,
        error: UrlError,
    ) {
        self.reject(space);
        self.note(error);
        let of_url = self.named.as_ref().filter(|named| credential.is_some_and(|used| is_same(named, used)));
        self.of_url = of_url.cloned();
    }

    /// A credential that cannot be sent counts as refused. False if there were too many.
    pub(super) fn could_not_use(&mut self, credential: UrlCredential, error: UrlError) -> bool {
        self.tries += 1;
        self.failures += 1;
        self.refused.push(credential);
        self.error = Some(error);
        self.tries <= LIMIT
    }
}

/// True if it is only the nonce that was too old (RFC 7616 §3.3).
fn renews(option: &AuthOption, used: &Used) -> bool {
    match &option.scheme {
        AuthScheme::Digest(digest) => {
            digest.is_stale() && option.space == used.space && used.nonce.as_deref() != Some(digest.nonce())
        }
        AuthScheme::Negotiate | AuthScheme::Ntlm | AuthScheme::Basic => false,
    }
}

/// The same user with the same password, however long it is to be kept.
pub(crate) fn is_same(one: &UrlCredential, other: &UrlCredential) -> bool {
    one.user() == other.user() && one.password() == other.password()
}

/// How often one request is tried again, even if credentials are left.
pub(crate) const LIMIT: usize = 20;
