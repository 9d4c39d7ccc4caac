//! `UrlAuthenticationChallenge`: a request for authentication, and the possible answers.
//!
//! Apple: *URLAuthenticationChallenge*, *URLSession.AuthChallengeDisposition*. The task decides which delegate receives it.

use super::{UrlCredential, UrlProtectionSpace, UrlResponse};
use crate::error::UrlError;

/// An authentication challenge of a server or a proxy, as a delegate receives it. Cheap to clone.
#[derive(Clone, Debug)]
#[doc(alias = "URLAuthenticationChallenge")]
pub struct UrlAuthenticationChallenge {
    protection_space: UrlProtectionSpace,
    proposed_credential: Option<UrlCredential>,
    previous_failure_count: usize,
    failure_response: Option<UrlResponse>,
    error: Option<UrlError>,
}

impl UrlAuthenticationChallenge {
    /// A challenge as a custom protocol or a test makes it.
    #[doc(
        alias = "init(protectionSpace:proposedCredential:previousFailureCount:failureResponse:error:sender:)"
    )]
    pub fn new(
        protection_space: UrlProtectionSpace,
        proposed_credential: Option<UrlCredential>,
        previous_failure_count: usize,
        failure_response: Option<UrlResponse>,
        error: Option<UrlError>,
    ) -> Self {
        Self { protection_space, proposed_credential, previous_failure_count, failure_response, error }
    }

    /// The server or proxy that issues the challenge, the protected part, and the authentication method.
    #[doc(alias = "protectionSpace")]
    pub fn protection_space(&self) -> &UrlProtectionSpace {
        &self.protection_space
    }

    /// The credential that default handling would use: one of the URL or of the store; after a failure the one that was
    /// refused.
    #[doc(alias = "proposedCredential")]
    pub fn proposed_credential(&self) -> Option<&UrlCredential> {
        self.proposed_credential.as_ref()
    }

    /// How many credentials have been refused for this request before, over all spaces; 0 the first time. A redirect resets the
    /// count.
    #[doc(alias = "previousFailureCount")]
    pub fn previous_failure_count(&self) -> usize {
        self.previous_failure_count
    }

    /// The response with the challenge: a 401 or a 407. `None` for challenges of TLS.
    #[doc(alias = "failureResponse")]
    pub fn failure_response(&self) -> Option<&UrlResponse> {
        self.failure_response.as_ref()
    }

    /// Whether the challenge is about a connection rather than a task.
    pub(crate) fn is_session_level(&self) -> bool {
        self.protection_space.authentication_method().is_session_level()
    }

    /// What went wrong with the last credential, if it was more than a refusal; or why there is no ticket for a stronger method
    /// that the same response offers.
    pub fn error(&self) -> Option<&UrlError> {
        self.error.as_ref()
    }
}

/// The decision about a [`UrlAuthenticationChallenge`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "URLSession.AuthChallengeDisposition")]
pub enum AuthChallengeDisposition {
    /// Use this credential. With `None` the load continues without one: the response with the challenge is then delivered. For
    /// [`Negotiate`](super::AuthenticationMethod::Negotiate) `None` means the ticket of the user who is logged in on this
    /// machine, which the server receives whatever its host is.
    #[doc(alias = "useCredential")]
    UseCredential(Option<UrlCredential>),
    /// As if there were no delegate: a credential of the URL or the store is used if there is one. For
    /// [`Negotiate`](super::AuthenticationMethod::Negotiate) the ticket of the user who is logged in on this machine is used,
    /// if the host is in [`Configuration::negotiate_domains`](field@crate::Configuration::negotiate_domains), which is empty by
    /// default.
    #[default]
    #[doc(alias = "performDefaultHandling")]
    PerformDefaultHandling,
    /// Cancel the load: it fails with [`Cancelled`](crate::UrlErrorCode::Cancelled).
    #[doc(alias = "cancelAuthenticationChallenge")]
    CancelAuthenticationChallenge,
    /// Do not authenticate by this method: the next method that the response offers is tried. If there is none, the response
    /// with the challenge is delivered.
    #[doc(alias = "rejectProtectionSpace")]
    RejectProtectionSpace,
}
