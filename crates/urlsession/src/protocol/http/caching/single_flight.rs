//! Single flight: one running load for each key, and others that wait for its end.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The running loads, by key.
#[derive(Clone, Default)]
pub(super) struct SingleFlight(Arc<Mutex<HashMap<Box<str>, Arc<Notify>>>>);

/// The running load of a key. When it is dropped, the waiting loads continue.
pub(super) struct Flight {
    of: SingleFlight,
    key: Box<str>,
}

impl SingleFlight {
    /// Starts the load of the key, or returns the load to wait for.
    pub(super) fn enter(&self, key: &str) -> Result<Flight, OwnedNotified> {
        let mut all = self.0.lock();
        if let Some(ahead) = all.get(key) {
            return Err(ahead.clone().notified_owned());
        }
        all.insert(key.into(), Arc::default());
        Ok(Flight { of: self.clone(), key: key.into() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let landed = self.of.0.lock().remove(&self.key);
        if let Some(landed) = landed {
            landed.notify_waiters();
        }
    }
}
