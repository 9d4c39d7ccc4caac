//! `ExpectContinue`: a body that waits for the server's 100 (Continue) (RFC 9110 §10.1.1), or for a timeout.
//! The layers decide whether a request has the expectation; the wire decides whether the connection stays usable.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;

use crate::env::Timer;
use crate::load::Attempt;

/// The state of a body's wait.
#[derive(Default)]
pub(super) enum ExpectContinue {
    /// No wait: the consent was given, or is not required.
    #[default]
    Given,
    /// The body waits for the head to be sent, then for the interim response, up to this time.
    Wanted(Duration),
    /// The body waits for the interim response.
    Awaited(Pin<Box<Timer>>),
}

impl ExpectContinue {
    /// The head is about to be sent.
    pub(super) fn ask(&mut self, attempt: &Attempt<'_>) {
        if let Self::Wanted(patience) = *self {
            // A wait beyond the range of `Instant` lasts until the idle timeout.
            let end = attempt.clock.now().checked_add(patience);
            if let Some(end) = end {
                *self = Self::Awaited(Box::pin(Timer::at(attempt.clock, attempt.runtime, end)));
            }
        }
    }

    /// Ready when the body may go out.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Given => return Poll::Ready(()),
            Self::Wanted(_) => return Poll::Pending,
            Self::Awaited(timer) => std::task::ready!(timer.as_mut().poll(cx)),
        }
        // A server may not support expectations: it gets the body after the timeout.
        *self = Self::Given;
        Poll::Ready(())
    }

    /// An informational response has come.
    pub(super) fn on_informational(&mut self, status: StatusCode) {
        // 104: a server that resumes uploads takes this one (draft-ietf-httpbis-resumable-upload).
        if matches!(status.as_u16(), 100 | 104) {
            *self = Self::Given;
        }
    }

    /// The final response has come. True if the body is not required.
    pub(super) fn end(&mut self, status: StatusCode) -> bool {
        let was_given = matches!(std::mem::take(self), Self::Given);
        !was_given && !status.is_success() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}
