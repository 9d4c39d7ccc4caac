//! `SessionDelegate`: what a session tells its application beside the events of its tasks.
//!
//! Apple: *URLSessionDelegate*.

use super::UrlSession;
use crate::error::UrlError;
use crate::task::TaskDelegate;

/// The delegate of a session: hears of every task, and of the session's own end.
#[doc(alias = "URLSessionDelegate")]
pub trait SessionDelegate: TaskDelegate {
    /// The session has become invalid: the last call it makes. `error` is `None` if the application asked for it.
    #[doc(alias = "urlSession(_:didBecomeInvalidWithError:)")]
    fn did_become_invalid(&self, session: &UrlSession, error: Option<&UrlError>) {
        let _ = (session, error);
    }
}
