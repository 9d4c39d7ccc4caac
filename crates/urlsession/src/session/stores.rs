//! What a session does with all its stores (cookies, cache, credentials, hosts that are loaded over TLS only, and what is known
//! of upload servers), and with the partial files of its downloads. Each store persists itself; a policy decides which load
//! uses it.

use std::sync::Arc;

use super::url_session::SessionInner;
use crate::env::{RuntimeHandle, block_on};
use crate::task::flushing;

impl SessionInner {
    /// From this call on the stores use the session's clock.
    pub(super) fn set_clock_of_stores(&self) {
        let config = &self.session.config;
        let clock = &config.environment.clock;
        if let Some(cookies) = &config.http_cookie_storage {
            cookies.set_clock(clock);
        }
        if let Some(cache) = &config.url_cache {
            cache.set_clock(clock);
        }
        if let Some(hosts) = &config.hsts_storage {
            hosts.set_clock(clock);
        }
        if let Some(servers) = &config.upload_server_storage {
            servers.set_clock(clock);
        }
    }

    /// Empties the stores and forgets the servers.
    pub(super) async fn reset(&self) {
        self.session.protocols.reset();
        let config = &self.session.config;
        if let Some(cookies) = &config.http_cookie_storage {
            cookies.remove_all();
        }
        if let Some(cache) = &config.url_cache {
            cache.remove_all_cached_responses();
        }
        if let Some(hosts) = &config.hsts_storage {
            hosts.remove_all();
        }
        if let Some(servers) = &config.upload_server_storage {
            servers.remove_all();
        }
        if let Some(credentials) = config.url_credential_storage.clone() {
            beside(move || credentials.empty()).await;
        }
    }

    /// Makes sure that the partial files of downloads are on the disk, then does the same with the stores.
    pub(super) async fn flush(&self) {
        for task in self.session.all() {
            if let Some(work) = flushing(&task) {
                beside(work).await;
            }
        }
        self.flush_stores().await;
    }

    /// Writes to disk what is only in memory, except credentials, and makes sure that nothing of what was removed is left
    /// there.
    async fn flush_stores(&self) {
        let config = &self.session.config;
        if let Some(cookies) = &config.http_cookie_storage {
            cookies.flush().await;
        }
        if let Some(cache) = &config.url_cache {
            cache.flush().await;
        }
        if let Some(hosts) = &config.hsts_storage {
            hosts.flush().await;
        }
        if let Some(servers) = &config.upload_server_storage {
            servers.flush().await;
        }
        if let Some(credentials) = config.url_credential_storage.clone().filter(|storage| storage.has_file())
        {
            beside(move || credentials.settle()).await;
        }
    }

    /// Calls `handler` on the delegate queue when all is flushed.
    pub(super) fn then(self: Arc<Self>, handler: impl FnOnce() + Send + 'static) {
        spawn(async move {
            self.flush().await;
            self.session.queue.add(handler);
        });
    }

    /// Calls `handler` on the delegate queue when the stores are empty.
    pub(super) fn reset_then(self: Arc<Self>, handler: impl FnOnce() + Send + 'static) {
        spawn(async move {
            self.reset().await;
            self.flush().await;
            self.session.queue.add(handler);
        });
    }
}

/// Runs work on the disk off the reactor; without a runtime, on the calling thread.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) {
    let done = match RuntimeHandle::own() {
        Ok(runtime) => runtime.blocking(work).await.map(drop),
        Err(_) => {
            work();
            Ok(())
        }
    };
    if let Err(error) = done {
        tracing::warn!("the stores could not be written to disk now; they are written later: {error}");
    }
}

/// As `beside`, for asynchronous work.
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    match RuntimeHandle::own() {
        Ok(runtime) => runtime.spawn(work),
        Err(_) => block_on(work),
    }
}
