//! `Answer`: what a delegate says when it is asked, now or later.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// A delegate's decision. One that never comes because its [`Responder`] was dropped is the documented default.
pub struct Answer<T>(Kind<T>);

enum Kind<T> {
    Default,
    Now(T),
    Later(Pin<Box<dyn Future<Output = Option<T>> + Send>>),
}

impl<T: Send + 'static> Answer<T> {
    /// Decided.
    pub fn now(value: T) -> Self {
        Self(Kind::Now(value))
    }

    /// Decided when the future is done. The task waits; the time does not count for its idle timeout.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Kind::Later(Box::pin(async move { Some(future.await) })))
    }

    /// Decided when somebody calls the responder, from any thread. A responder that is kept for ever without an
    /// answer keeps the task waiting, until its resource timeout; one that is dropped gives the default.
    pub fn deferred() -> (Self, Responder<T>) {
        let slot = Arc::new(Mutex::new(Slot { answer: None, is_open: true, waker: None }));
        let responder = Responder { slot: slot.clone() };
        let wait = poll_fn(move |cx| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.answer.is_some() || !slot.is_open {
                return Poll::Ready(slot.answer.take());
            }
            slot.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        (Self(Kind::Later(Box::pin(wait))), responder)
    }

    /// What the documentation of the method gives as its default.
    pub fn default_handling() -> Self {
        Self(Kind::Default)
    }

    /// The decision, or `None` for the default.
    pub(crate) async fn resolve(self) -> Option<T> {
        match self.0 {
            Kind::Default => None,
            Kind::Now(value) => Some(value),
            Kind::Later(future) => future.await,
        }
    }
}

impl<T: Send + 'static> From<T> for Answer<T> {
    fn from(value: T) -> Self {
        Self::now(value)
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Default => "Answer(default)",
            Kind::Now(_) => "Answer(now)",
            Kind::Later(_) => "Answer(later)",
        })
    }
}

struct Slot<T> {
    answer: Option<T>,
    is_open: bool,
    waker: Option<Waker>,
}

/// Gives a deferred [`Answer`], once: a second answer does not compile.
///
/// ```compile_fail,E0382
/// let (_, responder) = urlsession::Answer::deferred();
/// responder.answer(1);
/// responder.answer(2);
/// ```
pub struct Responder<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Responder<T> {
    /// Answers.
    pub fn answer(self, value: T) {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).answer = Some(value);
    }
}

impl<T> Drop for Responder<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.is_open = false;
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
        assert_eq!(block_on(Answer::now(1).resolve()), Some(1));
        assert_eq!(block_on(Answer::later(async { 2 }).resolve()), Some(2));
        assert_eq!(block_on(Answer::<u8>::default_handling().resolve()), None);
    }

    #[test]
    fn a_responder_answers_from_another_thread() {
        let (answer, responder) = Answer::deferred();
        let thread = std::thread::spawn(move || responder.answer(3));
        assert_eq!(block_on(answer.resolve()), Some(3));
        thread.join().unwrap();
    }

    #[test]
    fn a_dropped_responder_is_the_default() {
        let (answer, responder) = Answer::<u8>::deferred();
        drop(responder);
        assert_eq!(block_on(answer.resolve()), None);
    }
}
