//! Where a load runs: the caller's tokio runtime if there is one, else the library's own.
//!
//! The own runtime is one I/O thread, started on first use and never stopped. It does not decide what is
//! spawned: loads are polled by their callers, only connections' drivers and resumed tasks live here.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// A reactor with an identity: connections belong to the place that made them and die with it.
#[derive(Clone, Debug)]
pub(crate) struct Place(Handle);

/// The identity of a place.
pub(crate) type PlaceId = runtime::Id;

impl Place {
    /// The tokio runtime this is called in, else the library's own.
    pub(crate) fn current() -> Self {
        Handle::try_current().map_or_else(|_| Self::own(), Self)
    }

    /// The library's own runtime.
    pub(crate) fn own() -> Self {
        static OWN: OnceLock<Handle> = OnceLock::new();
        Self(OWN.get_or_init(start).clone())
    }

    pub(crate) fn id(&self) -> PlaceId {
        self.0.id()
    }

    pub(crate) fn enter(&self) -> runtime::EnterGuard<'_> {
        self.0.enter()
    }

    pub(crate) fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(future);
    }

    /// Runs blocking work beside the reactor; `None` if the runtime is shutting down or the work panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.blocking_with((), work).await
    }

    /// The same. `held` is dropped when the work has been done, and after whoever waits was told.
    pub(crate) async fn blocking_with<T: Send + 'static>(
        &self,
        held: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, done) = oneshot::channel();
        self.0.spawn_blocking(move || {
            // It fails if nobody waits any more.
            let _ = sender.send(work());
            drop(held);
        });
        done.await.ok()
    }

    /// Runs work on a thread of its own.
    pub(crate) fn thread(name: &str, work: impl FnOnce() + Send + 'static) {
        thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .unwrap_or_else(|error| panic!("urlsession cannot start a thread: {error}"));
    }
}

/// One thread for sockets and timers: a wake-up across threads costs more than the load itself.
fn start() -> Handle {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("urlsession-blocking")
        .build()
        .unwrap_or_else(|error| panic!("urlsession cannot start its I/O runtime: {error}"));
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("urlsession-io".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .unwrap_or_else(|error| panic!("urlsession cannot start its I/O thread: {error}"));
    handle
}

/// Polls `future` on this thread until it is done, parking in between. Works inside any runtime too.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            // A wake between the poll and the park leaves a token, so that `park` returns at once.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Says so when it is woken, or dropped.
    struct Says(&'static str, Sender<&'static str>);

    impl Wake for Says {
        fn wake(self: Arc<Self>) {
            self.1.send(self.0).unwrap();
        }
    }

    struct Held(Says);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.1.send(self.0.0).unwrap();
        }
    }

    #[test]
    fn who_waits_for_work_is_told_before_what_was_held_is_let_go() {
        let (said, says) = channel();
        let (begin, begun) = channel();
        let waker = Waker::from(Arc::new(Says("told", said.clone())));
        let place = Place::own();
        let work = place.blocking_with(Held(Says("let go", said)), move || begun.recv().unwrap());
        let mut work = pin!(work);
        assert!(work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        begin.send(7).unwrap();
        assert_eq!([says.recv(), says.recv()], [Ok("told"), Ok("let go")]);
        assert_eq!(work.poll(&mut Context::from_waker(&waker)), Poll::Ready(Some(7)));
    }
}
