//! `Decision`: what a delegate decides, at once or later.

use parking_lot::Mutex;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A delegate's decision. If its [`Responder`] is dropped without an answer, the decision is the documented default.
pub struct Decision<T>(DecisionKind<T>);

enum DecisionKind<T> {
    Default,
    Now(T),
    Later(Pin<Box<dyn Future<Output = Resolved<T>> + Send>>),
}

/// The decision, or `None` for the default.
type Resolved<T> = Result<Option<T>, Unwound>;

/// A panic dropped the responder: there is no decision, and the default does not replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwound;

impl<T: Send + 'static> Decision<T> {
    /// Decides at once.
    pub fn now(value: T) -> Self {
        Self(DecisionKind::Now(value))
    }

    /// Decides when the future is done. The task waits; this time does not count for its idle timeout.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(DecisionKind::Later(Box::pin(async move { Ok(Some(future.await)) })))
    }

    /// Decides when the responder is called, from any thread. A responder that is kept without an answer keeps the task
    /// waiting until its resource timeout. A responder that is dropped gives the default. A responder that a panic drops
    /// fails the task.
    pub fn deferred() -> (Self, Responder<T>) {
        let slot = Arc::new(Mutex::new(Slot { answer: None, is_open: true, is_unwound: false, waker: None }));
        let responder = Responder { slot: slot.clone() };
        let wait = poll_fn(move |cx| {
            let mut slot = slot.lock();
            if slot.answer.is_some() || !slot.is_open {
                return Poll::Ready(if slot.is_unwound { Err(Unwound) } else { Ok(slot.answer.take()) });
            }
            slot.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        (Self(DecisionKind::Later(Box::pin(wait))), responder)
    }

    /// The default that the documentation of the method states.
    pub fn default_handling() -> Self {
        Self(DecisionKind::Default)
    }

    /// The decision, or `None` for the default, if it is available without waiting.
    pub(crate) fn into_now(self) -> Result<Option<T>, Self> {
        match self.0 {
            DecisionKind::Default => Ok(None),
            DecisionKind::Now(value) => Ok(Some(value)),
            DecisionKind::Later(_) => Err(self),
        }
    }

    /// The decision, or `None` for the default.
    pub(crate) async fn resolve(self) -> Result<Option<T>, Unwound> {
        match self.0 {
            DecisionKind::Default => Ok(None),
            DecisionKind::Now(value) => Ok(Some(value)),
            DecisionKind::Later(future) => future.await,
        }
    }
}

impl<T: Send + 'static> From<T> for Decision<T> {
    fn from(value: T) -> Self {
        Self::now(value)
    }
}

impl<T> fmt::Debug for Decision<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            DecisionKind::Default => "Answer(default)",
            DecisionKind::Now(_) => "Answer(now)",
            DecisionKind::Later(_) => "Answer(later)",
        })
    }
}

struct Slot<T> {
    answer: Option<T>,
    is_open: bool,
    is_unwound: bool,
    waker: Option<Waker>,
}

/// Completes a deferred [`Decision`], once: a second answer does not compile.
///
/// ```compile_fail,E0382
/// let (_, responder) = urlsession::Decision::deferred();
/// responder.answer(1);
/// responder.answer(2);
/// ```
pub struct Responder<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Responder<T> {
    /// Completes the decision with `value`.
    pub fn answer(self, value: T) {
        self.slot.lock().answer = Some(value);
    }
}

impl<T> Drop for Responder<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.slot.lock();
            slot.is_open = false;
            slot.is_unwound = slot.answer.is_none() && std::thread::panicking();
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> fmt::Debug for Responder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::block_on;

    #[test]
    fn an_answer_comes_now_later_or_not_at_all() {
        assert_eq!(block_on(Decision::now(1).resolve()), Ok(Some(1)));
        assert_eq!(block_on(Decision::later(async { 2 }).resolve()), Ok(Some(2)));
        assert_eq!(block_on(Decision::<u8>::default_handling().resolve()), Ok(None));
    }

    #[test]
    fn a_responder_answers_from_another_thread() {
        let (answer, responder) = Decision::deferred();
        let thread = std::thread::spawn(move || responder.answer(3));
        assert_eq!(block_on(answer.resolve()), Ok(Some(3)));
        thread.join().unwrap();
    }

    #[test]
    fn a_dropped_responder_is_the_default() {
        let (answer, responder) = Decision::<u8>::deferred();
        drop(responder);
        assert_eq!(block_on(answer.resolve()), Ok(None));
    }

    #[test]
    fn a_responder_that_a_panic_drops_is_no_default() {
        let (answer, responder) = Decision::<u8>::deferred();
        let thread = std::thread::spawn(move || {
            let _responder = responder;
            std::panic::resume_unwind(Box::new("of the application"));
        });
        assert_eq!(block_on(answer.resolve()), Err(Unwound));
        thread.join().unwrap_err();
    }
}
