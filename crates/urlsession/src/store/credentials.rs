//! `UrlCredentialStorage`: credentials by protection space, in memory and, if they are permanent, on disk.
//!
//! Apple: *URLCredentialStorage*. This module decides nothing about the use of credentials. `vault` encrypts the
//! credentials on disk; passwords may be in the platform's `keyring`.

mod backend;
#[cfg(feature = "persistent-stores")]
mod disk;
#[cfg(not(feature = "persistent-stores"))]
#[path = "credentials/no_disk.rs"]
mod disk;
mod keeper;
#[cfg(feature = "persistent-stores")]
mod keyring;
#[cfg(feature = "persistent-stores")]
mod record;
#[cfg(feature = "persistent-stores")]
mod vault;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::backend::Application;
pub use self::backend::{KeptCredential, UrlCredentialBackend};
use self::keeper::{Keeper, StoredCredential};
use crate::message::{UrlCredential, UrlCredentialPersistence, UrlProtectionSpace};

/// A storage of credentials by protection space. A clone is the same storage. The storage is usable from any thread.
///
/// A space may have credentials of several users; one of them is its default, at first the one that was set first.
/// Credentials with the persistence `ForSession` are in memory as long as the storage exists. Permanent credentials are on
/// disk, encrypted with a key in a file beside them; only the current user can read the two files. Certificates are never
/// written to disk, and trust in a server is never stored. If a file cannot be written or read, the credentials are in
/// memory only, and a warning is logged.
///
/// With the cargo feature `keyring` the passwords of the [shared](Self::shared) storage are in the platform's keyring (the
/// Secret Service of desktops, the Keychain, the Credential Manager), one item for each password, which the user can view
/// and remove there; the file contains the space and user of each password. Passwords that were written while the keyring
/// was not available are moved to the keyring when it is available. While the keyring is locked or not available, or in a
/// program without the feature, the passwords in the keyring are not used, and new passwords are encrypted in the file.
///
/// Methods of a storage with a file read or write the file and may block for some milliseconds; with the keyring, until the
/// user unlocks it.
#[derive(Clone)]
#[doc(alias = "URLCredentialStorage")]
pub struct UrlCredentialStorage(Arc<CredentialStorageInner>);

struct CredentialStorageInner {
    memory: Mutex<Spaces>,
    kept: Option<Box<dyn Keeper>>,
    /// Raised when a credential that sessions may remember is removed or replaced.
    revision: AtomicU64,
}

type Spaces = HashMap<UrlProtectionSpace, Vec<StoredCredential>>;

impl UrlCredentialStorage {
    /// Creates a storage that writes nothing to disk: permanent credentials are lost with the storage. Extension: no
    /// counterpart in Apple's API.
    pub fn ephemeral() -> Self {
        Self::with(None)
    }

    /// Creates a storage with an application's own store for permanent credentials: see [`UrlCredentialBackend`].
    /// Credentials of the session, and certificates, stay in memory. Extension: no counterpart in Apple's API.
    pub fn with_backend(backend: impl UrlCredentialBackend) -> Self {
        Self::with(Some(Box::new(Application::new(backend))))
    }

    fn with(kept: Option<Box<dyn Keeper>>) -> Self {
        Self(Arc::new(CredentialStorageInner { memory: Mutex::default(), kept, revision: AtomicU64::new(0) }))
    }

    /// The credentials of a space, one for each user; empty if there are none.
    #[doc(alias = "credentials(for:)")]
    pub fn credentials(&self, space: &UrlProtectionSpace) -> Vec<UrlCredential> {
        self.entries(space).into_iter().map(|entry| entry.credential).collect()
    }

    /// The credentials of every space.
    #[doc(alias = "allCredentials")]
    pub fn all_credentials(&self) -> HashMap<UrlProtectionSpace, Vec<UrlCredential>> {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        let kept = self.0.kept.as_ref().map(|kept| kept.all()).unwrap_or_default();
        let in_memory = self.lock();
        let in_memory =
            in_memory.iter().flat_map(|(space, entries)| entries.iter().map(move |entry| (space, entry)));
        for (space, entry) in kept.iter().map(|(space, entry)| (space, entry)).chain(in_memory) {
            all.entry(space.clone()).or_default().push(entry.credential.clone());
        }
        all
    }

    /// Stores a credential and replaces the one with the same user. The first credential of a space becomes its default. A
    /// credential without persistence, and trust in a server, are not stored.
    #[doc(alias = "set(_:for:)")]
    pub fn set(&self, credential: &UrlCredential, space: &UrlProtectionSpace) {
        self.put(credential, space, false);
    }

    /// Stores a credential, like [`set`](Self::set), and makes it the default of its space.
    #[doc(alias = "setDefaultCredential(_:for:)")]
    pub fn set_default_credential(&self, credential: &UrlCredential, space: &UrlProtectionSpace) {
        self.put(credential, space, true);
    }

    /// The same. Returns the revision that the store has by this: another says that something was lost or replaced meanwhile.
    pub(crate) fn keep(&self, credential: &UrlCredential, space: &UrlProtectionSpace) -> u64 {
        self.put(credential, space, true)
    }

    /// The default credential of a space, which is tried first.
    #[doc(alias = "defaultCredential(for:)")]
    pub fn default_credential(&self, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        self.entries(space).into_iter().find(|entry| entry.is_default).map(|entry| entry.credential)
    }

    /// Removes the credential of this user, in memory and on disk. Without effect if there is none, or if its persistence
    /// is [`Synchronizable`](UrlCredentialPersistence::Synchronizable).
    #[doc(alias = "remove(_:for:)")]
    pub fn remove(&self, credential: &UrlCredential, space: &UrlProtectionSpace) {
        self.remove_with_options(credential, space, false);
    }

    /// Removes the credential of this user. A synchronizable credential is removed only if `removes_synchronizable` is
    /// true.
    #[doc(alias = "remove(_:for:options:)")]
    #[doc(alias = "NSURLCredentialStorageRemoveSynchronizableCredentials")]
    pub fn remove_with_options(
        &self,
        credential: &UrlCredential,
        space: &UrlProtectionSpace,
        removes_synchronizable: bool,
    ) {
        let Some(known) = self.entries(space).into_iter().find(|entry| entry.is_of(credential)) else {
            return;
        };
        if known.credential.persistence() == UrlCredentialPersistence::Synchronizable
            && !removes_synchronizable
        {
            return;
        }
        self.take(credential, space);
        self.0.revision.fetch_add(1, Relaxed);
    }

    /// The certificate to try first, found without the disk, where certificates never are.
    pub(crate) fn default_identity(&self, space: &UrlProtectionSpace) -> Option<UrlCredential> {
        let spaces = self.lock();
        let entry = spaces.get(space)?.iter().find(|entry| entry.is_default)?;
        Some(entry.credential.clone()).filter(|credential| credential.identity().is_some())
    }

    /// Removes everything.
    pub(crate) fn empty(&self) {
        self.lock().clear();
        if let Some(kept) = &self.0.kept {
            kept.empty();
        }
        self.0.revision.fetch_add(1, Relaxed);
    }

    /// Waits until removed credentials are erased from the file. Blocks.
    pub(crate) fn settle(&self) {
        if let Some(kept) = &self.0.kept {
            kept.settle();
        }
    }

    /// Whether its methods may block.
    pub(crate) fn has_file(&self) -> bool {
        self.0.kept.is_some()
    }

    /// The revision; it changes when a credential is removed or replaced.
    pub(crate) fn revision(&self) -> u64 {
        self.0.revision.load(Relaxed)
    }

    fn entries(&self, space: &UrlProtectionSpace) -> Vec<StoredCredential> {
        let mut entries = self.0.kept.as_ref().map(|kept| kept.of(space)).unwrap_or_default();
        entries.extend(self.lock().get(space).into_iter().flatten().cloned());
        entries
    }

    fn put(&self, credential: &UrlCredential, space: &UrlProtectionSpace, is_default: bool) -> u64 {
        use UrlCredentialPersistence as P;
        // Before the entries: what is lost from now on is of a later one.
        let mut revision = self.revision();
        if credential.persistence() == P::None || credential.server_trust().is_some() {
            return revision;
        }
        let entries = self.entries(space);
        let known = entries.iter().find(|entry| entry.is_of(credential));
        let entry = StoredCredential {
            credential: credential.clone(),
            is_default: is_default || entries.is_empty() || known.is_some_and(|known| known.is_default),
        };
        if known.is_some_and(|known| known.credential == *credential && known.is_default == entry.is_default)
        {
            return revision;
        }
        if known.is_some_and(|known| known.credential.password() != credential.password()) {
            revision = self.0.revision.fetch_add(1, Relaxed) + 1;
        }
        self.take(credential, space);
        if entry.is_default {
            self.demote(space);
        }
        let is_permanent = matches!(credential.persistence(), P::Permanent | P::Synchronizable);
        let is_written = is_permanent
            && credential.has_password()
            && self.0.kept.as_ref().is_some_and(|kept| kept.put(space, &entry));
        if !is_written {
            self.lock().entry(space.clone()).or_default().push(entry);
        }
        revision
    }

    /// No credential of the space is its default any more.
    fn demote(&self, space: &UrlProtectionSpace) {
        for entry in self.lock().get_mut(space).into_iter().flatten() {
            entry.is_default = false;
        }
        if let Some(kept) = &self.0.kept {
            kept.demote(space);
        }
    }

    fn take(&self, credential: &UrlCredential, space: &UrlProtectionSpace) {
        let mut spaces = self.lock();
        if let Some(entries) = spaces.get_mut(space) {
            entries.retain(|entry| !entry.is_of(credential));
            if entries.is_empty() {
                spaces.remove(space);
            }
        }
        drop(spaces);
        if let Some((kept, user)) = self.0.kept.as_ref().zip(credential.user()) {
            kept.remove(space, user);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spaces> {
        self.0.memory.lock()
    }
}

impl Keeper for Application {
    fn of(&self, space: &UrlProtectionSpace) -> Vec<StoredCredential> {
        self.load(Some(space)).into_iter().map(|kept| entry(kept).1).collect()
    }

    fn all(&self) -> Vec<(UrlProtectionSpace, StoredCredential)> {
        self.load(None).into_iter().map(entry).collect()
    }

    fn put(&self, space: &UrlProtectionSpace, entry: &StoredCredential) -> bool {
        let StoredCredential { credential, is_default } = entry.clone();
        self.set(&KeptCredential { space: space.clone(), credential, is_default })
    }

    fn remove(&self, space: &UrlProtectionSpace, user: &str) {
        Self::remove(self, space, user);
    }

    fn demote(&self, space: &UrlProtectionSpace) {
        Self::demote(self, space);
    }

    fn empty(&self) {
        Self::empty(self);
    }

    fn settle(&self) {}
}

fn entry(kept: KeptCredential) -> (UrlProtectionSpace, StoredCredential) {
    let KeptCredential { space, credential, is_default } = kept;
    (space, StoredCredential { credential, is_default })
}

/// The contents are not shown.
impl fmt::Debug for UrlCredentialStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlCredentialStorage").field("has_file", &self.has_file()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "persistent-stores"))]
#[path = "credentials_tests.rs"]
mod tests;
