//! `HstsStorage`: the hosts that are spoken to by TLS only (RFC 6797). It keeps, finds and forgets them.
//!
//! The memory is in `list`, the disk in `disk`, the hosts that are known without having been visited in `preload`.
//! Which responses are heeded and what is upgraded is decided by the security layer.

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

/// A store of the hosts that have asked to be spoken to by TLS only (`Strict-Transport-Security`, RFC 6797), beside
/// those that are known beforehand. A clone is the same store, and equal to it; usable from any thread. Not of Apple's, whose store
/// cannot be seen.
///
/// At most 10,000 hosts are kept, each for as long as it said; those that were not heard of for the longest time give
/// way. Known beforehand is a short list: domains whose registries demand TLS of all who are below them (`.dev`,
/// `.app`, `.bank` and others), and a few large sites.
///
/// A store with a file keeps its hosts across runs. The file is read when it is first needed and made when there is a
/// host to keep; what changes is written soon afterwards, beside the load: call [`flush`](Self::flush) before the
/// process ends. Processes that use the same file see each other's changes within a second. If the file cannot be used
/// there is one warning (`tracing`), and the hosts are kept in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct HstsStorage(Store<List>);

impl HstsStorage {
    /// The store of the application: that of [`Configuration::default`](crate::Configuration::default). Its file is
    /// below the user's data folder (`$XDG_DATA_HOME/urlsession/<application>/hsts.db` and its like), the application
    /// being named by `URLSESSION_APPLICATION_ID`, else by its executable.
    pub fn shared() -> Self {
        static SHARED: LazyLock<HstsStorage> =
            LazyLock::new(|| HstsStorage(OPENED.below(|folder| folder.join(FILE))));
        SHARED.clone()
    }

    /// A store in memory, of its own.
    pub fn ephemeral() -> Self {
        Self(Store::in_memory())
    }

    /// Whether the host (in lower case, as in URLs) is spoken to by TLS only, because it or a domain above it has asked for that,
    /// or beforehand. Never an IP address or `localhost`. May wait for the disk.
    pub fn is_known_host(&self, host: &str) -> bool {
        self.0.read();
        Host::parse(host).is_ok_and(|host| self.knows(&host, self.0.now()))
    }

    /// Completes when every change so far is on the disk, if there is one, and the changes of other processes are
    /// here. `UrlSession::flush` does this too.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Forgets every host that has asked; what is known beforehand stays.
    pub(crate) fn remove_all(&self) {
        self.0.change(StoreData::clear);
    }

    /// Whether the host can be known at all.
    pub(crate) fn may_know<S: AsRef<str>>(host: &Host<S>) -> bool {
        name(host).is_some()
    }

    /// Whether the host is to be spoken to over TLS only (§8.2), as far as is known in memory.
    pub(crate) fn knows<S: AsRef<str>>(&self, host: &Host<S>, now: SystemTime) -> bool {
        name(host).is_some_and(|host| {
            preload::knows(host) || (self.0.count() > 0 && self.0.contents().knows(host, now))
        })
    }

    /// Heeds what a host has said (§8.1).
    pub(crate) fn note<S: AsRef<str>>(&self, host: &Host<S>, said: StrictTransportSecurity, now: SystemTime) {
        if let Some(host) = name(host) {
            self.0.change(|list| list.note(host, said, now));
        }
    }

    /// A session uses the store: its clock is the store's, unless another session's is.
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
