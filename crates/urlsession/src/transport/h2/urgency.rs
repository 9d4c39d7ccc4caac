//! Tells the server that a response has become more or less urgent (RFC 9218 §7.1), which the `h2` crate cannot: the
//! frames are sent between its own. The priority of a task sets the urgency.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::task::Waker;

use urlsession_proto::priority::Urgency;

use crate::load::Priority;

/// The urgency of one response, for as long as it is awaited or read.
pub(super) struct Urgent {
    source: Arc<dyn Priority>,
    told: Urgency,
    stream: u32,
    updates: Arc<Updates>,
}

impl Urgent {
    pub(super) fn new(source: Arc<dyn Priority>, told: Urgency, stream: u32, updates: Arc<Updates>) -> Self {
        Self { source, told, stream, updates }
    }

    /// To be called whenever the load is polled.
    pub(super) fn tell_changes(&mut self) {
        let urgency = Urgency::of_priority(self.source.priority());
        if urgency != self.told {
            self.told = urgency;
            self.updates.push(self.stream, urgency);
        }
    }
}

/// The updates that a connection has still to send.
#[derive(Default)]
pub(super) struct Updates {
    any: AtomicBool,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// At most one a stream: the last.
    urgencies: Vec<(u32, Urgency)>,
    driver: Option<Waker>,
}

impl Updates {
    /// Wakes this when there is something to write.
    pub(super) fn watch(&self, driver: &Waker) {
        let mut pending = self.lock();
        match &mut pending.driver {
            Some(known) => known.clone_from(driver),
            None => pending.driver = Some(driver.clone()),
        }
    }

    fn push(&self, stream: u32, urgency: Urgency) {
        let mut pending = self.lock();
        match pending.urgencies.iter_mut().find(|(other, _)| *other == stream) {
            Some((_, known)) => *known = urgency,
            None => pending.urgencies.push((stream, urgency)),
        }
        self.any.store(true, Release);
        drop(pending);
        self.wake_driver();
    }

    /// Has the connection polled.
    pub(super) fn wake_driver(&self) {
        let driver = self.lock().driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The frames to write, most often none.
    pub(super) fn take(&self) -> Vec<u8> {
        if !self.any.load(Acquire) || !self.any.swap(false, AcqRel) {
            return Vec::new();
        }
        let urgencies = std::mem::take(&mut self.lock().urgencies);
        urgencies.into_iter().flat_map(|(stream, urgency)| urgency.update_frame(stream)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }
}
