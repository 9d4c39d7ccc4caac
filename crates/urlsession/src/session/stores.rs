//! What a session does with its stores as a whole (cookies, cache, credentials, the hosts that want TLS and what is known of
//! upload servers), and with what its downloads have got so far. Each keeps itself; which load uses it is a policy's business.

use std::sync::Arc;

use super::url_session::SessionInner;
use crate::env::{RuntimeHandle, block_on};
use crate::task::flushing;

impl SessionInner {
    /// From here on the stores go by the session's clock.
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

    /// Sees that what downloads have got so far is on the disk, then does the same with the stores.
    pub(super) async fn flush(&self) {
        for task in self.session.all() {
            if let Some(work) = flushing(&task) {
                beside(work).await;
            }
        }
        self.flush_stores().await;
    }

    /// Writes to disk what is only in memory, which credentials never are, and sees that nothing of what was removed is
    /// left there.
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

    /// The same once they are empty.
    pub(super) fn reset_then(self: Arc<Self>, handler: impl FnOnce() + Send + 'static) {
        spawn(async move {
            self.reset().await;
            self.flush().await;
            self.session.queue.add(handler);
        });
    }
}

/// Work on the disk, beside the reactor; without a runtime here, as it was asked for.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) {
    let done = match RuntimeHandle::own() {
        Ok(runtime) => runtime.blocking(work).await.map(drop),
        Err(_) => {
            work();
            Ok(())
        }
    };
    if let Err(error) = done {
        tracing::warn!("the disk is written to later: {error}");
    }
}

/// The same of work that waits.
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    match RuntimeHandle::own() {
        Ok(runtime) => runtime.spawn(work),
        Err(_) => block_on(work),
    }
}
