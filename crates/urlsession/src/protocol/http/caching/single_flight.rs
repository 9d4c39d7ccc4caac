//! Single flight: one load on its way for a key, and others that wait for its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::{Caching, either};
use crate::env::Timer;
use crate::load::{Attempt, Layer};
use crate::store::UrlCache;
use crate::store::cache::Found;

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
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ahead) = all.get(key) {
            return Err(ahead.clone().notified_owned());
        }
        all.insert(key.into(), Arc::default());
        Ok(Flight { of: self.clone(), key: key.into() })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let landed = self.of.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        if let Some(landed) = landed {
            landed.notify_waiters();
        }
    }
}

impl<N: Layer + 'static> Caching<N> {
    /// Waits for the load that is on its way and looks again, or becomes the one others wait for.
    pub(super) async fn share(
        &self,
        cache: &UrlCache,
        key: &str,
        attempt: &Attempt<'_>,
    ) -> (Found, Option<Flight>) {
        let landed = match self.0.loading.enter(key) {
            Ok(flight) => return (self.find(cache, key, attempt).await, Some(flight)),
            Err(landed) => landed,
        };
        {
            let _excuse = attempt.activity.pause_idle();
            let end = attempt.clock.now() + PATIENCE;
            either(landed, Timer::at(attempt.clock, attempt.runtime, end)).await;
        }
        // Once: an answer that is not kept must not make the others go one by one.
        (self.find(cache, key, attempt).await, None)
    }
}

/// How long a load waits for another's answer.
const PATIENCE: Duration = Duration::from_secs(10);
