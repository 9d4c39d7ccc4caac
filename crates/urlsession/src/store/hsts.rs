//! `HstsStorage`: the hosts that are loaded over TLS only (RFC 6797). The module stores, finds and removes them.
//!
//! The memory is in `list`, the disk in `disk`, the hosts that are known without having been visited in `preload`. The
//! security layer decides which responses are stored and which URLs are upgraded.

#[cfg(feature = "persistent-stores")]
mod disk;
mod list;
mod preload;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use url::Host;
use urlsession_proto::hsts::StrictTransportSecurity;

use self::list::List;
use super::persistent::{Store, StoreData, StoreRegistry};
use crate::env::{Clock, RuntimeHandle, is_localhost};

/// A store of the hosts that are loaded over TLS only because they sent `Strict-Transport-Security` (RFC 6797), or because
/// they are on a preload list. A clone is the same store, and equal to it. The store is usable from any thread. Extension:
/// no counterpart in Apple's API, whose store is not public.
///
/// The store holds at most 10,000 hosts, each for its `max-age`; the hosts whose last field is the oldest are removed
/// first. The preload list is short: top-level domains whose registries require TLS (`.dev`, `.app`, `.bank` and others),
/// and a few large sites.
///
/// A store with a file keeps its hosts across runs. The file is read when it is first needed and created with the first
/// host to store. Changes are written soon afterwards, in the background: call [`flush`](Self::flush) before the process
/// ends. Processes that use the same file see each other's changes within a second. If the file cannot be used, there is
/// one warning (`tracing`), and the hosts are in memory only.
#[derive(Clone, PartialEq, Eq)]
pub struct HstsStorage(Store<List>);

impl HstsStorage {
    /// The shared store of the application, which [`Configuration::default`](crate::Configuration::default) uses. Its file
    /// is below the user's data folder (on Linux `$XDG_DATA_HOME/urlsession/<application>/hsts.db`). The environment
    /// variable `URLSESSION_APPLICATION_ID` names the application; without it, the name of the executable does.
    pub fn shared() -> Self {
        static SHARED: LazyLock<HstsStorage> =
            LazyLock::new(|| HstsStorage(OPENED.below(|folder| folder.join(FILE))));
        SHARED.clone()
    }

    /// Creates a separate store in memory.
    pub fn ephemeral() -> Self {
        Self(Store::in_memory())
    }

    /// Whether the host (in lower case, as in URLs) is loaded over TLS only, because the host or a parent domain sent the
    /// field or is on the preload list. Always false for IP addresses and `localhost`. May wait for the disk.
    pub fn is_known_host(&self, host: &str) -> bool {
        self.0.read();
        Host::parse(host).is_ok_and(|host| self.knows(&host, self.0.now()))
    }

    /// Completes when every change so far is on disk, if the store has a file, and the changes of other processes are read.
    /// `UrlSession::flush` does this too.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Removes every host that has sent the field; the preload list stays.
    pub(crate) fn remove_all(&self) {
        self.0.change(StoreData::clear);
    }

    /// Whether the host can be known at all.
    pub(crate) fn may_know<S: AsRef<str>>(host: &Host<S>) -> bool {
        name(host).is_some()
    }

    /// Whether the host is loaded over TLS only (§8.2), according to the memory.
    pub(crate) fn knows<S: AsRef<str>>(&self, host: &Host<S>, now: SystemTime) -> bool {
        name(host).is_some_and(|host| {
            preload::knows(host) || (self.0.count() > 0 && self.0.contents().knows(host, now))
        })
    }

    /// Stores the field that a host has sent (§8.1).
    pub(crate) fn note<S: AsRef<str>>(&self, host: &Host<S>, said: StrictTransportSecurity, now: SystemTime) {
        if let Some(host) = name(host) {
            self.0.change(|list| list.note(host, said, now));
        }
    }

    /// Sets the clock of the store to the session's, unless another session has set its clock.
    pub(crate) fn set_clock(&self, clock: &Arc<dyn Clock>) {
        self.0.clock().set(clock);
    }

    /// Whether it is time to look for what other processes have written.
    pub(crate) fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.0.is_stale(clock)
    }

    /// Looks for what other processes have written, beside the reactor.
    pub(crate) async fn refresh(&self, runtime: &RuntimeHandle) {
        self.0.refresh(runtime).await;
    }
}

impl fmt::Debug for HstsStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe("HstsStorage", f)
    }
}

/// A name that may be known: addresses are not (§8.1.1), and this machine is not reached over a network.
fn name<S: AsRef<str>>(host: &Host<S>) -> Option<&str> {
    let Host::Domain(name) = host else { return None };
    let name = name.as_ref();
    let name = name.strip_suffix('.').unwrap_or(name);
    (!is_localhost(name)).then_some(name)
}

static OPENED: StoreRegistry<List> = StoreRegistry::none();

const FILE: &str = "hsts.db";

#[cfg(all(test, feature = "persistent-stores"))]
#[path = "hsts_tests.rs"]
mod tests;
