//! `HstsStorage`: the hosts that are spoken to by TLS only (RFC 6797). It keeps, finds and forgets them.
//!
//! The memory is in `list`, the disk in `disk`, the hosts that are known without having been visited in `preload`.
//! Which responses are heeded and what is upgraded is decided by the security room.

mod disk;
mod list;
mod preload;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use url::Host;
use urlsession_proto::hsts::StrictTransportSecurity;

use self::list::{List, MOST};
use super::behind::{self, Disk, Opened};
use crate::env::{Clock, Place, SystemClock, data_folder};

/// A store of the hosts that have asked to be spoken to by TLS only (`Strict-Transport-Security`, RFC 6797), beside
/// those that are known beforehand. A clone is the same store; usable from any thread. Not of Apple's, whose store
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
#[derive(Clone)]
pub struct HstsStorage(Arc<Store>);

struct Store {
    /// How many hosts there are: all that a load looks at when there are none.
    count: AtomicUsize,
    list: Mutex<List>,
    disk: Option<Disk>,
}

impl HstsStorage {
    /// The store of the application: that of [`Configuration::default`](crate::Configuration::default). Its file is
    /// below the user's data folder (`$XDG_DATA_HOME/urlsession/<application>/hsts.db` and its like), the application
    /// being named by `URLSESSION_APPLICATION_ID`, else by its executable.
    pub fn shared() -> Self {
        static SHARED: LazyLock<HstsStorage> = LazyLock::new(|| match data_folder() {
            Some(folder) => HstsStorage::at(folder.join(FILE)),
            None => {
                tracing::warn!(
                    "this user has no data folder: hosts that want TLS are remembered in memory only"
                );
                HstsStorage::ephemeral()
            }
        });
        SHARED.clone()
    }

    /// A store in memory, of its own.
    pub fn ephemeral() -> Self {
        Self::make(None)
    }

    /// The store with this file. Its folder is made when it is needed. The same path gives the same store.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        static OPENED: Opened<Store> = Opened::none();
        Self(OPENED.at(path.into(), |path| Self::make(Some(path)).0))
    }

    /// Is the host (in lower case, as in URLs) spoken to by TLS only, because it or a domain above it has asked for that,
    /// or beforehand? Never an IP address or `localhost`. May wait for the disk.
    pub fn is_known_host(&self, host: &str) -> bool {
        behind::read(&*self.0);
        Host::parse(host).is_ok_and(|host| self.knows(&host, SystemClock.wall()))
    }

    /// Completes when every change so far is on the disk, if there is one, and the changes of other processes are
    /// here. `UrlSession::flush` does this too.
    pub async fn flush(&self) {
        behind::flush(&self.0).await;
    }

    /// Forgets every host that has asked; what is known beforehand stays.
    pub(crate) fn remove_all(&self) {
        self.change(List::clear);
    }

    /// Can the host be known at all?
    pub(crate) fn may_know<S: AsRef<str>>(host: &Host<S>) -> bool {
        name(host).is_some()
    }

    /// Is the host to be spoken to by TLS only (§8.2), as far as is known in memory?
    pub(crate) fn knows<S: AsRef<str>>(&self, host: &Host<S>, now: SystemTime) -> bool {
        name(host).is_some_and(|host| {
            preload::knows(host) || (self.0.count.load(Relaxed) > 0 && list::knows(&self.list(), host, now))
        })
    }

    /// Heeds what a host has said (§8.1).
    pub(crate) fn note<S: AsRef<str>>(&self, host: &Host<S>, said: StrictTransportSecurity, now: SystemTime) {
        if let Some(host) = name(host) {
            self.change(|list| list::note(list, host, said, now));
        }
    }

    /// Is it time to look for what other processes have written?
    pub(crate) fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.0.disk.as_ref().is_some_and(|disk| disk.is_due(clock.wall()))
    }

    /// Looks for what other processes have written, beside the reactor.
    pub(crate) async fn refresh(&self, place: &Place) {
        behind::refresh(&self.0, place).await;
    }

    fn make(file: Option<PathBuf>) -> Self {
        let list = if file.is_some() { List::kept(MOST) } else { List::in_memory(MOST) };
        let disk = file.map(Disk::new);
        Self(Arc::new(Store { count: AtomicUsize::new(0), list: Mutex::new(list), disk }))
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list()
    }

    /// Changes the list; if it says that it changed, that is written.
    fn change(&self, change: impl FnOnce(&mut List) -> bool) {
        if self.0.change(change) {
            behind::write_soon(&self.0);
        }
    }
}

impl Store {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut List) -> bool) -> bool {
        let mut list = self.list();
        let has_changed = change(&mut list);
        self.count.store(list.len(), Relaxed);
        has_changed
    }
}

/// Two handles are equal if they are of the same store.
impl PartialEq for HstsStorage {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for HstsStorage {}

impl fmt::Debug for HstsStorage {
    // Where somebody has been is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HstsStorage")
            .field("file", &self.0.disk.as_ref().map(Disk::path))
            .field("count", &self.0.count.load(Relaxed))
            .finish_non_exhaustive()
    }
}

/// A name that may be known: addresses are not (§8.1.1), and this machine is not reached over a network.
fn name<S: AsRef<str>>(host: &Host<S>) -> Option<&str> {
    let Host::Domain(name) = host else { return None };
    let name = name.as_ref();
    let name = name.strip_suffix('.').unwrap_or(name);
    // RFC 6761 §6.3
    (name != "localhost" && !name.ends_with(".localhost")).then_some(name)
}

const FILE: &str = "hsts.db";

#[cfg(test)]
#[path = "hsts_tests.rs"]
mod tests;
