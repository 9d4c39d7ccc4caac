//! Time: the current time, and timers.
//!
//! Owns the only calls of the system's clocks. A test's clock stands still until it is moved.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the one place

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use pin_project_lite::pin_project;

use super::RuntimeHandle;

/// A source of time.
pub trait Clock: Send + Sync {
    /// Monotonic time.
    fn now(&self) -> Instant;

    /// Wall-clock time, for dates that are shown to users or sent to servers.
    fn wall(&self) -> SystemTime;

    /// Completes when `now()` has reached `deadline`. With `None` the system's timers are used.
    fn sleep_until(&self, deadline: Instant) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        C::now(self)
    }

    fn wall(&self) -> SystemTime {
        C::wall(self)
    }

    fn sleep_until(&self, deadline: Instant) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        C::sleep_until(self, deadline)
    }
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, _: Instant) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}

/// The system's wall-clock time, for values that are made outside a session and have no injected clock.
pub(crate) fn system_wall() -> SystemTime {
    SystemClock.wall()
}

/// The clock of a store. A store may serve several sessions, and is there before them: until the first session uses it,
/// its clock is the system's, from then on that session's.
#[derive(Clone, Default)]
pub(crate) struct StoreClock(Arc<OnceLock<Arc<dyn Clock>>>);

impl StoreClock {
    /// A session uses the store. Without effect if another one did before.
    pub(crate) fn set(&self, clock: &Arc<dyn Clock>) {
        self.0.get_or_init(|| clock.clone());
    }

    pub(crate) fn wall(&self) -> SystemTime {
        self.0.get().map_or_else(|| SystemClock.wall(), |clock| clock.wall())
    }
}

pin_project! {
    /// A timer of a clock, on the reactor of a place.
    #[project = TimerProjection]
    pub(crate) enum Timer {
        System { #[pin] sleep: tokio::time::Sleep },
        Custom { sleep: Pin<Box<dyn Future<Output = ()> + Send>> },
    }
}

impl Timer {
    pub(crate) fn at(clock: &dyn Clock, runtime: &RuntimeHandle, deadline: Instant) -> Self {
        match clock.sleep_until(deadline) {
            Some(sleep) => Self::Custom { sleep },
            None => {
                let _context = runtime.enter();
                // tokio rounds to milliseconds; a deadline is never reported before it has passed.
                let deadline = deadline + Duration::from_millis(1);
                Self::System { sleep: tokio::time::sleep_until(deadline.into()) }
            }
        }
    }

    /// What `work` gives; `None` if the time is over before.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        let (mut timer, mut work) = (pin!(self), pin!(work));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
            Poll::Ready(done) => Poll::Ready(Some(done)),
        })
        .await
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            TimerProjection::System { sleep } => sleep.poll(cx),
            TimerProjection::Custom { sleep } => sleep.as_mut().poll(cx),
        }
    }
}
