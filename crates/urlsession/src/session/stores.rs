//! What a session does with its stores as a whole: cookies and cache. Each keeps itself; which load uses it is a
//! policy's business.

use std::sync::Arc;

use super::Inner;
use crate::env::Place;

impl Inner {
    /// Empties the stores and forgets the servers.
    pub(super) fn reset(&self) {
        self.roster.protocols.reset();
        let config = &self.roster.config;
        if let Some(cookies) = &config.http_cookie_storage {
            cookies.remove_all();
        }
        if let Some(cache) = &config.url_cache {
            cache.remove_all_cached_responses();
        }
    }

    /// Writes to disk what is only in memory.
    pub(super) async fn flush_stores(&self) {
        let config = &self.roster.config;
        if let Some(cookies) = &config.http_cookie_storage {
            cookies.flush().await;
        }
        if let Some(cache) = &config.url_cache {
            cache.flush().await;
        }
    }

    /// Calls `handler` on the delegate queue when the stores are flushed.
    pub(super) fn then(self: Arc<Self>, handler: impl FnOnce() + Send + 'static) {
        Place::own().spawn(async move {
            self.flush_stores().await;
            self.roster.queue.add(handler);
        });
    }
}
