//! `SessionDelegate`: what a session tells its application beside the events of its tasks.
//!
//! Apple: *URLSessionDelegate*.

use super::UrlSession;
use crate::error::UrlError;
use crate::message::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use crate::task::{Decision, TaskDelegate};

/// The delegate of a session: hears of every task, and of the session's own end.
#[doc(alias = "URLSessionDelegate")]
pub trait SessionDelegate: TaskDelegate {
    /// A server or a proxy asks who one is, or whether it is trusted, for a connection that many tasks may use: NTLM,
    /// Negotiate, client certificates and trust in a server. Default: the delegate is asked for the task, by
    /// [`TaskDelegate::did_receive_challenge`]; that is what
    /// [`Decision::default_handling`] and a responder that is dropped do too.
    #[doc(alias = "urlSession(_:didReceive:completionHandler:)")]
    #[doc(alias = "urlSession(_:didReceive:)")]
    fn did_receive_challenge(
        &self,
        session: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        let _ = (session, challenge);
        Decision::default_handling()
    }

    /// The session has become invalid: the last call it makes. `error` is `None` if the application asked for it.
    #[doc(alias = "urlSession(_:didBecomeInvalidWithError:)")]
    fn did_become_invalid(&self, session: &UrlSession, error: Option<&UrlError>) {
        let _ = (session, error);
    }
}
