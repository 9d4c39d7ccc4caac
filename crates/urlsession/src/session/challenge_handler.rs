//! `SessionChallengeHandler`: puts the questions of tasks to the session's delegate as such.

use std::sync::{Arc, Mutex, Weak};

use super::{Inner, SessionDelegate, UrlSession};
use crate::message::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use crate::task::{Decision, SessionChallenge, SessionShared};

pub(super) struct SessionChallengeHandler {
    session: Weak<Inner>,
    delegate: Arc<dyn SessionDelegate>,
}

impl SessionChallengeHandler {
    pub(super) fn new(session: &UrlSession, delegate: Arc<dyn SessionDelegate>) -> Self {
        Self { session: Arc::downgrade(&session.0), delegate }
    }

    /// The session. If the application has dropped it while tasks run, a handle like it: what tasks need lives on.
    fn session(&self, session: &Arc<SessionShared>) -> UrlSession {
        UrlSession(self.session.upgrade().unwrap_or_else(|| {
            Arc::new(Inner {
                session: session.clone(),
                delegate: Mutex::new(Some(self.delegate.clone())),
                description: Mutex::default(),
                is_shared: false,
            })
        }))
    }
}

impl SessionChallenge for SessionChallengeHandler {
    fn challenged(
        &self,
        session: &Arc<SessionShared>,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        SessionDelegate::did_receive_challenge(&*self.delegate, &self.session(session), challenge)
    }
}
