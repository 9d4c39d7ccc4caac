//! `UploadServerStorage`: how servers treat resumable uploads. The module stores, finds and removes this data; the memory
//! is in `bounded_map`, the disk in `disk`. The resumable-upload layer decides what to store and how to use it.

#[cfg(feature = "persistent-stores")]
mod disk;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use url::Url;
use urlsession_proto::resumable_upload::Dialect;

use super::bounded_map::{BoundedMap, Expiring};
use super::persistent::{Store, StoreData, StoreRegistry};
use crate::env::{Clock, RuntimeHandle, epoch_micros, is_loopback};

/// A store of the upload features of servers, as earlier uploads found them: whether the server supports resumable uploads
/// and in which version, whether interim responses arrive, and how many bytes one request may have. The next upload to the
/// server uses this data. A clone is the same store, and equal to it. The store is usable from any thread. Extension: no
/// counterpart in Apple's API, whose store is not public.
///
/// The store holds at most 1,000 origins, each for 30 days, or for one day if the server refused: a server may be updated,
/// or may refuse at one path only. Nothing of an upload is stored except its origin. Servers on this machine (`localhost`
/// and loopback addresses) change often, so they are stored in memory only.
///
/// A store with a file keeps its origins across runs. The file is read when it is first needed. Changes are written soon
/// afterwards, in the background: call [`flush`](Self::flush) before the process ends. Processes that use the same file see
/// each other's changes within a second. If the file cannot be used, there is one warning (`tracing`), and the origins are
/// in memory only.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadServerStorage(Store<Servers>);

/// How a server treats the fields of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerSupport {
    /// The server supports this dialect. `hears_interim`: its interim responses arrive. `most_at_once`: the most bytes that
    /// the server accepts in a request.
    Speaks { dialect: Dialect, hears_interim: bool, most_at_once: Option<u64> },
    /// The server refuses requests with these fields.
    Refuses,
    /// The server refuses some requests, with and without these fields.
    Indifferent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ServerEntry {
    support: ServerSupport,
    /// Microseconds since 1970.
    noted: i64,
    /// It is this machine's.
    is_local: bool,
}

/// By origin.
type Servers = BoundedMap<ServerEntry>;

impl Expiring for ServerEntry {
    const MOST: usize = MOST;

    fn expires(&self) -> i64 {
        let kept = match self.support {
            ServerSupport::Speaks { .. } => KEPT,
            ServerSupport::Refuses | ServerSupport::Indifferent => REFUSALS_KEPT,
        };
        self.noted.saturating_add(kept.as_micros() as i64)
    }

    fn noted(&self) -> i64 {
        self.noted
    }

    fn is_lasting(&self) -> bool {
        !self.is_local
    }
}

impl UploadServerStorage {
    /// The shared store of the application, which [`Configuration::default`](crate::Configuration::default) uses. Its file
    /// is below the user's data folder (on Linux `$XDG_DATA_HOME/urlsession/<application>/upload-servers.db`).
    pub fn shared() -> Self {
        static SHARED: LazyLock<UploadServerStorage> =
            LazyLock::new(|| UploadServerStorage(OPENED.below(|folder| folder.join(FILE))));
        SHARED.clone()
    }

    /// Creates a separate store in memory.
    pub fn ephemeral() -> Self {
        Self(Store::in_memory())
    }

    /// Completes when every change so far is on disk, if the store has a file, and the changes of other processes are read.
    /// `UrlSession::flush` does this too.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Removes every server.
    pub(crate) fn remove_all(&self) {
        self.0.change(StoreData::clear);
    }

    /// How the URL's origin treats uploads, as far as is known in memory.
    pub(crate) fn support(&self, url: &Url, now: SystemTime) -> Option<ServerSupport> {
        if self.0.count() == 0 {
            return None;
        }
        let servers = self.0.contents();
        let entry = servers.get(&url.origin().ascii_serialization())?;
        (entry.expires() > epoch_micros(now)).then_some(entry.support)
    }

    /// Keeps what was learned. What was known before is not kept longer for being seen again.
    pub(crate) fn note(&self, url: &Url, support: ServerSupport, now: SystemTime) {
        let origin = url.origin();
        let entry = ServerEntry {
            support,
            noted: epoch_micros(now),
            is_local: url.host().is_some_and(|host| is_loopback(&host)),
        };
        if !origin.is_tuple() {
            return;
        }
        let name = origin.ascii_serialization();
        self.0.change(|servers| {
            let known = servers.get(&name);
            let is_new = known.is_none_or(|known| known.support != support || known.expires() <= entry.noted);
            if is_new {
                servers.put(&name, entry, now);
            }
            is_new && entry.is_lasting()
        });
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

impl fmt::Debug for UploadServerStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe("UploadServerStorage", f)
    }
}

static OPENED: StoreRegistry<Servers> = StoreRegistry::none();

const FILE: &str = "upload-servers.db";

/// Origins kept.
const MOST: usize = 1000;

/// For how long what was learned is believed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const REFUSALS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(all(test, feature = "persistent-stores"))]
#[path = "upload_servers_tests.rs"]
mod tests;
