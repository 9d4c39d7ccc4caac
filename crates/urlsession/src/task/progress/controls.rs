//! What an application sets on a progress: the handlers of its controls, whether the user interface offers them, and the
//! throughput; and the measured throughput of a task.

use parking_lot::{Mutex, MutexGuard};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::speed::Speed;

pub(super) type Handler = Arc<dyn Fn() + Send + Sync>;

/// One of the three controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Cancel,
    Pause,
    Resume,
}

/// The settings of one progress.
#[derive(Default)]
pub(in crate::task) struct Controls(Mutex<Settings>);

#[derive(Default)]
struct Settings {
    handlers: [Option<Handler>; 3],
    is_not_cancellable: bool,
    is_not_pausable: bool,
    throughput: Option<u64>,
    time_remaining: Option<Duration>,
    speed: Speed,
}

impl Controls {
    pub(super) fn set_handler(&self, act: Act, handler: Option<Handler>) {
        let old = std::mem::replace(&mut self.settings().handlers[act as usize], handler);
        // The old value may belong to the application: it is dropped outside the lock.
        drop(old);
    }

    /// Calls the handler, if there is one. The cancellation handler is called only once.
    pub(super) fn call(&self, act: Act) {
        let handler = match act {
            Act::Cancel => self.settings().handlers[act as usize].take(),
            Act::Pause | Act::Resume => self.settings().handlers[act as usize].clone(),
        };
        if let Some(handler) = handler {
            handler();
        }
    }

    /// Calls the handler, then `next`. If the handler panics, `next` is called too, and then the panic continues.
    pub(super) fn call_before(&self, act: Act, next: impl FnOnce()) {
        let called = catch_unwind(AssertUnwindSafe(|| self.call(act)));
        next();
        if let Err(panic) = called {
            resume_unwind(panic);
        }
    }

    /// Drops the handlers: they may hold their own task.
    pub(in crate::task) fn clear(&self) {
        let handlers = std::mem::take(&mut self.settings().handlers);
        drop(handlers);
    }

    pub(super) fn is_cancellable(&self) -> bool {
        !self.settings().is_not_cancellable
    }

    pub(super) fn set_cancellable(&self, is_cancellable: bool) {
        self.settings().is_not_cancellable = !is_cancellable;
    }

    pub(super) fn is_pausable(&self) -> bool {
        !self.settings().is_not_pausable
    }

    pub(super) fn set_pausable(&self, is_pausable: bool) {
        self.settings().is_not_pausable = !is_pausable;
    }

    pub(super) fn throughput(&self) -> Option<u64> {
        self.settings().throughput
    }

    pub(super) fn set_throughput(&self, throughput: Option<u64>) {
        self.settings().throughput = throughput;
    }

    pub(super) fn time_remaining(&self) -> Option<Duration> {
        self.settings().time_remaining
    }

    pub(super) fn set_time_remaining(&self, time: Option<Duration>) {
        self.settings().time_remaining = time;
    }

    /// See [`Speed::measure`].
    pub(super) fn measure(&self, start: Instant, now: Instant, moved: u64) -> Option<u64> {
        self.settings().speed.measure(start, now, moved)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock()
    }
}
