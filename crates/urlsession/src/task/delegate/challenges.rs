//! The order in which delegates receive a challenge.
//!
//! Apple: *URLSession(_:didReceive:)* of both delegates, as the documentation distinguishes them. The layers below act on
//! the decision.

use std::sync::Arc;

use crate::error::Result;
use crate::load::{BoxFuture, ConnectionChallengeHandler, DecidedBy, events};
use crate::message::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use crate::task::core::Core;

impl ConnectionChallengeHandler for Core {
    fn challenge(
        self: Arc<Self>,
        challenge: UrlAuthenticationChallenge,
    ) -> BoxFuture<'static, (AuthChallengeDisposition, DecidedBy)> {
        Box::pin(async move {
            // The time of the delegate does not count for the server's timeout.
            let _pause = self.activity.pause_idle();
            match self.decide_challenge(&challenge).await {
                Ok(decision) => decision.unwrap_or((Default::default(), DecidedBy::Default)),
                // The connection may outlive the load: it needs a decision.
                Err(_) => (AuthChallengeDisposition::CancelAuthenticationChallenge, DecidedBy::Task),
            }
        })
    }

    fn task(&self) -> u64 {
        self.identifier()
    }

    fn is_of_task(&self) -> bool {
        self.live().delegate.is_some()
    }
}

impl Core {
    /// The decision of the delegate that handles the challenge; `None` if no delegate does.
    pub(in crate::task) async fn challenged(
        self: &Arc<Self>,
        challenge: &UrlAuthenticationChallenge,
    ) -> Result<Option<AuthChallengeDisposition>> {
        let decision = self.decide_challenge(challenge).await?;
        Ok(decision.map(|(disposition, _)| disposition))
    }

    /// The decision, and which delegate made it.
    async fn decide_challenge(
        self: &Arc<Self>,
        challenge: &UrlAuthenticationChallenge,
    ) -> Result<Option<(AuthChallengeDisposition, DecidedBy)>> {
        let decision = self.put_challenge(challenge).await?;
        events::challenged(&self.span, challenge, decision.as_ref().map(|(disposition, _)| disposition));
        Ok(decision)
    }

    /// Calls the delegates that may handle the challenge: first the task's own delegate, then, for a challenge about a
    /// connection, the session's delegate with its session method, then the session's delegate with its task method.
    async fn put_challenge(
        self: &Arc<Self>,
        challenge: &UrlAuthenticationChallenge,
    ) -> Result<Option<(AuthChallengeDisposition, DecidedBy)>> {
        let by = |decided_by| move |disposition| (disposition, decided_by);
        let Some(target) = self.target() else { return Ok(None) };
        if !challenge.is_session_level() {
            // An own delegate passes the challenge on itself.
            return Ok(self.ask_of(target, challenge).await?.map(by(DecidedBy::Task)));
        }
        if let Some(own) = self.passing_target() {
            let decision = self.ask_of(own, challenge).await?;
            if decision.is_some() {
                return Ok(decision.map(by(DecidedBy::Task)));
            }
        }
        let Some(session) = self.session_target() else { return Ok(None) };
        if let Some(challenge_handler) = self.session.challenge_handler() {
            let asked = challenge.clone();
            let answer = self.ask(session.clone(), "did_receive_challenge", move |_, _| {
                challenge_handler.challenged(&asked)
            });
            let decision = answer.await?;
            if decision.is_some() {
                return Ok(decision.map(by(DecidedBy::Session)));
            }
        }
        Ok(self.ask_of(session, challenge).await?.map(by(DecidedBy::Task)))
    }

    async fn ask_of(
        self: &Arc<Self>,
        target: super::dispatch::DelegateTarget,
        challenge: &UrlAuthenticationChallenge,
    ) -> Result<Option<AuthChallengeDisposition>> {
        let asked = challenge.clone();
        self.ask(target, "did_receive_challenge", move |delegate, task| {
            delegate.did_receive_challenge(task, &asked)
        })
        .await
    }
}
