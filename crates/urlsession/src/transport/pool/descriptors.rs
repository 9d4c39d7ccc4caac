//! When the process has no descriptor left for a connection, idle connections of all sessions are closed, and the attempt is
//! repeated.

use parking_lot::{Mutex, MutexGuard};
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Weak;
use std::task::Poll;
use std::time::Duration;

use slab::Slab;

use super::super::connection::End;
use crate::env::{Clock, RuntimeHandle, Timer, is_out_of_descriptors};
use crate::error::{Result, UrlError};

/// An owner of idle connections.
pub(super) trait HasIdle: Send + Sync {
    /// Closes what is idle. True if anything was; what takes time to close is put into `closing`.
    fn close_idle(&self, closing: &mut Vec<End>) -> bool;
}

/// The pools of this process that have connections.
static POOLS: Mutex<Slab<Weak<dyn HasIdle>>> = Mutex::new(Slab::new());

/// A pool's place among those of this process.
pub(super) struct Registration(usize);

impl Registration {
    pub(super) fn new(pool: Weak<dyn HasIdle>) -> Self {
        Self(pools().insert(pool))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        pools().try_remove(self.0);
    }
}

fn pools() -> MutexGuard<'static, Slab<Weak<dyn HasIdle>>> {
    POOLS.lock()
}

/// Whether the failure is for lack of descriptors.
pub(super) fn are_lacking(error: &UrlError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(is_out_of_descriptors) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Closes what is idle and connects again, as often as that may help. `error` is what the lack of descriptors has failed
/// with.
pub(super) async fn connect_with_fewer<T, F: Future<Output = Result<T>>>(
    error: UrlError,
    clock: &dyn Clock,
    runtime: &RuntimeHandle,
    connect: impl Fn() -> F,
) -> Result<T> {
    let mut result = Err(error);
    for attempt in 1..=ATTEMPTS {
        let has_closed = close_idle_of_all(clock, runtime).await;
        // The first time others may have closed something meanwhile.
        if !has_closed && attempt > 1 {
            break;
        }
        result = connect().await;
        if !matches!(&result, Err(error) if are_lacking(error)) {
            break;
        }
    }
    result
}

/// Closes the idle connections of all sessions, and waits until their descriptors are free. True if there were any.
async fn close_idle_of_all(clock: &dyn Clock, runtime: &RuntimeHandle) -> bool {
    let (mut has_closed, mut closing) = (false, Vec::new());
    // A pool that ends here, with its last owner, is removed from the registry: that must not be locked then.
    let all: Vec<_> = pools().iter().filter_map(|(_, pool)| pool.upgrade()).collect();
    for pool in all {
        has_closed |= pool.close_idle(&mut closing);
    }
    if closing.is_empty() {
        return has_closed;
    }
    // A runtime that is not driven does not close its connections.
    let mut patience = pin!(Timer::at(clock, runtime, clock.now() + PATIENCE));
    for end in closing {
        let mut end = pin!(end.wait());
        let has_ended = poll_fn(|cx| match end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| false),
        });
        if !has_ended.await {
            break;
        }
    }
    has_closed
}

/// How often a connection is tried again. Others take descriptors too.
const ATTEMPTS: usize = 4;

/// How long connections may take to close.
const PATIENCE: Duration = Duration::from_secs(1);
