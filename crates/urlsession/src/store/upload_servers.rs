//! `UploadServerStorage`: how servers treat resumable uploads. It keeps, finds and forgets them; the memory is in
//! `remembered`, the disk in `disk`. What is learned of a server, and what follows, is decided by the resumption room.

mod disk;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use url::{Host, Url};
use urlsession_proto::resumable_upload::Dialect;

use super::behind::{self, Disk, Opened, micros};
use super::remembered::{Dated, Remembered};
use crate::env::{Clock, Place, data_folder};

/// A store of what was learned of servers by uploading to them: whether resumable uploads are spoken there and in which
/// version, whether interim responses get through, how much is taken at once. The next upload begins better for it. A
/// clone is the same store; usable from any thread. Not of Apple's, whose store cannot be seen.
///
/// At most 1,000 origins are kept, each for 30 days from when that was learned, or for one if it refused: then it is learned
/// anew, since servers get better, and one that refuses may do so at one path only. Of an upload nothing is kept but the origin it went to. Servers of this machine (`localhost` and loopback
/// addresses), which are another one tomorrow, are known for no longer than the store is in use.
///
/// A store with a file keeps them across runs: read when it is first needed, written soon after something was learned,
/// beside the load; call [`flush`](Self::flush) before the process ends. Processes that use the same file see each
/// other's changes within a second. If the file cannot be used there is one warning (`tracing`), and what is learned is
/// kept in memory.
#[derive(Clone)]
pub struct UploadServerStorage(Arc<Store>);

struct Store {
    list: Mutex<Remembered<Entry>>,
    /// Of this machine: never written.
    local: Mutex<Remembered<Entry>>,
    disk: Option<Disk>,
}

/// How a server treats the fields of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadManner {
    /// It speaks this dialect; `hears_interim`: its interim responses get through; `most_at_once`: it said to take no more
    /// bytes than that in a request.
    Speaks { dialect: Dialect, hears_interim: bool, most_at_once: Option<u64> },
    /// It refuses requests with them.
    Refuses,
    /// It refuses some requests, with and without them.
    Indifferent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    manner: UploadManner,
    /// Microseconds since 1970.
    noted: i64,
}

impl Dated for Entry {
    fn expires(&self) -> i64 {
        let kept = match self.manner {
            UploadManner::Speaks { .. } => KEPT,
            UploadManner::Refuses | UploadManner::Indifferent => REFUSALS_KEPT,
        };
        self.noted.saturating_add(kept.as_micros() as i64)
    }

    fn noted(&self) -> i64 {
        self.noted
    }
}

impl UploadServerStorage {
    /// The store of the application: that of [`Configuration::default`](crate::Configuration::default). Its file is
    /// below the user's data folder (`$XDG_DATA_HOME/urlsession/<application>/upload-servers.db` and its like).
    pub fn shared() -> Self {
        static SHARED: LazyLock<UploadServerStorage> = LazyLock::new(|| match data_folder() {
            Some(folder) => UploadServerStorage::at(folder.join(FILE)),
            None => {
                tracing::warn!(
                    "this user has no data folder: what is learned of upload servers is kept in memory only"
                );
                UploadServerStorage::ephemeral()
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

    /// Completes when every change so far is on the disk, if there is one, and the changes of other processes are
    /// here. `UrlSession::flush` does this too.
    pub async fn flush(&self) {
        behind::flush(&self.0).await;
    }

    /// Forgets every server.
    pub(crate) fn remove_all(&self) {
        self.0.local().clear();
        if self.0.list().clear() {
            behind::write_soon(&self.0);
        }
    }

    /// How does the URL's origin treat uploads, as far as is known in memory?
    pub(crate) fn manner(&self, url: &Url, now: SystemTime) -> Option<UploadManner> {
        let list = if is_local(url) { self.0.local() } else { self.0.list() };
        if list.len() == 0 {
            return None;
        }
        let entry = list.get(&url.origin().ascii_serialization())?;
        (entry.expires() > micros(now)).then_some(entry.manner)
    }

    /// Keeps what was learned. What was known before is not kept longer for being seen again.
    pub(crate) fn note(&self, url: &Url, manner: UploadManner, now: SystemTime) {
        let (origin, entry) = (url.origin(), Entry { manner, noted: micros(now) });
        let name = origin.ascii_serialization();
        let is_known = |known: &Entry| known.manner == manner && known.expires() > entry.noted;
        let is_local = is_local(url);
        let mut list = if is_local { self.0.local() } else { self.0.list() };
        if !origin.is_tuple() || list.get(&name).is_some_and(is_known) {
            return;
        }
        list.put(&name, entry, now);
        drop(list);
        if !is_local {
            behind::write_soon(&self.0);
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
        let list = if file.is_some() { Remembered::kept(MOST) } else { Remembered::in_memory(MOST) };
        let local = Mutex::new(Remembered::in_memory(MOST));
        Self(Arc::new(Store { list: Mutex::new(list), local, disk: file.map(Disk::new) }))
    }
}

impl Store {
    fn list(&self) -> MutexGuard<'_, Remembered<Entry>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn local(&self) -> MutexGuard<'_, Remembered<Entry>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two handles are equal if they are of the same store.
impl PartialEq for UploadServerStorage {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for UploadServerStorage {}

impl fmt::Debug for UploadServerStorage {
    // To whom somebody has sent something is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadServerStorage")
            .field("file", &self.0.disk.as_ref().map(Disk::path))
            .field("count", &(self.0.list().len() + self.0.local().len()))
            .finish_non_exhaustive()
    }
}

/// Is it on this machine?
fn is_local(url: &Url) -> bool {
    match url.host() {
        // RFC 6761 §6.3
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

const FILE: &str = "upload-servers.db";

/// Origins kept.
const MOST: usize = 1000;

/// For how long what was learned is believed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const REFUSALS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
#[path = "upload_servers_tests.rs"]
mod tests;
