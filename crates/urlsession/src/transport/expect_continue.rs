//! `ExpectContinue`: a body that waits until the server says that it wants it (RFC 9110 §10.1.1), or has had its time to say so.
//! Whether a request asks is for the layers to say; what becomes of the connection is the wire's business.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;

use crate::env::Timer;
use crate::load::Attempt;

/// What a body waits for.
#[derive(Default)]
pub(super) enum ExpectContinue {
    /// Nothing: it is given, or was not asked for.
    #[default]
    Given,
    /// The head that asks for it, and then for the answer, as long as this.
    Wanted(Duration),
    /// The answer to the head.
    Awaited(Pin<Box<Timer>>),
}

impl ExpectContinue {
    /// The head is about to be sent.
    pub(super) fn ask(&mut self, attempt: &Attempt<'_>) {
        if let Self::Wanted(patience) = *self {
            // Who would wait for longer than there are instants waits for the idle timeout.
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
        // A server need not know of expectations: it gets the body all the same.
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

    /// The final response has come. True if the body is not wanted.
    pub(super) fn end(&mut self, status: StatusCode) -> bool {
        let was_given = matches!(std::mem::take(self), Self::Given);
        !was_given && !status.is_success() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}
