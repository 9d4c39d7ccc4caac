//! Single flight: one load on its way for a key, and others that wait for its end.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What is on its way, by key.
#[derive(Clone, Default)]
pub(super) struct SingleFlight(Arc<Mutex<HashMap<Box<str>, Arc<Notify>>>>);

/// The one that goes. Dropped, the others go on.
pub(super) struct Flight {
    of: SingleFlight,
    key: Box<str>,
}

impl SingleFlight {
    /// Goes, or says for what to wait.
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
