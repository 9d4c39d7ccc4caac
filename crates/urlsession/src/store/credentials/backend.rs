//! `UrlCredentialBackend`: an application's own store for permanent credentials. This module does not decide which
//! credentials are used.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::message::{UrlCredential, UrlCredentialPersistence, UrlProtectionSpace};
use crate::store::application::{BackendResult, guarded};

/// An application's own store for permanent credentials, for
/// [`UrlCredentialStorage::with_backend`](crate::authentication::UrlCredentialStorage::with_backend). It replaces the
/// sealed file, for example by a keyring or a service. Extension: no counterpart in Apple's API, where an application
/// subclasses *URLCredentialStorage*.
///
/// The backend only stores credentials; the storage decides about their use. The backend receives only credentials with a
/// user, a password and the persistence `Permanent` or `Synchronizable`; credentials of the session stay in memory. The
/// methods are called on a thread that may block, while a challenge waits for the result. After an error or a panic there
/// is one warning (`tracing`), the backend is not called any more, and its credentials are not found any more.
///
/// ```
/// use std::sync::Mutex;
/// use urlsession::authentication::{
///     BackendResult, KeptCredential, UrlCredentialBackend, UrlCredentialStorage, UrlProtectionSpace,
/// };
///
/// #[derive(Default)]
/// struct Safe(Mutex<Vec<KeptCredential>>);
///
/// impl UrlCredentialBackend for Safe {
///     fn load(&self, space: Option<&UrlProtectionSpace>) -> BackendResult<Vec<KeptCredential>> {
///         let all = self.0.lock().unwrap();
///         Ok(all.iter().filter(|kept| space.is_none_or(|space| kept.space == *space)).cloned().collect())
///     }
///
///     fn set(&self, kept: &KeptCredential) -> BackendResult<()> {
///         let mut all = self.0.lock().unwrap();
///         match all.iter_mut().find(|old| old.space == kept.space && old.credential.user() == kept.credential.user()) {
///             Some(old) => *old = kept.clone(),
///             None => all.push(kept.clone()),
///         }
///         Ok(())
///     }
///
///     fn remove(&self, space: &UrlProtectionSpace, user: &str) -> BackendResult<()> {
///         self.0.lock().unwrap().retain(|kept| kept.space != *space || kept.credential.user() != Some(user));
///         Ok(())
///     }
/// }
///
/// let storage = UrlCredentialStorage::with_backend(Safe::default());
/// assert!(storage.all_credentials().is_empty());
/// ```
pub trait UrlCredentialBackend: Send + Sync + 'static {
    /// Returns the credentials of a space, or of all spaces if `space` is `None`, in the order in which they were set.
    ///
    /// # Errors
    /// Any: see above.
    fn load(&self, space: Option<&UrlProtectionSpace>) -> BackendResult<Vec<KeptCredential>>;

    /// Stores a credential and replaces the one with the same space and user. If an application or a delegate supplies the
    /// credential, the old one is [removed](Self::remove) first; if the credential is only no longer the default of its
    /// space, `remove` is not called.
    ///
    /// # Errors
    /// Any: see above.
    fn set(&self, kept: &KeptCredential) -> BackendResult<()>;

    /// Removes the credential of a user, if there is one.
    ///
    /// # Errors
    /// Any: see above.
    fn remove(&self, space: &UrlProtectionSpace, user: &str) -> BackendResult<()>;
}

/// A credential as a [backend](UrlCredentialBackend) stores it. Extension: no counterpart in Apple's API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCredential {
    /// The protection space of the credential.
    pub space: UrlProtectionSpace,
    /// The credential, with a user and a password.
    pub credential: UrlCredential,
    /// Whether this is the default credential of its space, which is tried first. A space has one default at most.
    pub is_default: bool,
}

impl KeptCredential {
    /// Creates a credential that is not the default of its space.
    pub fn new(space: UrlProtectionSpace, credential: UrlCredential) -> Self {
        Self { space, credential, is_default: false }
    }
}

/// A backend that is not called again after a failure.
pub(super) struct Application {
    backend: Box<dyn UrlCredentialBackend>,
    is_broken: AtomicBool,
}

impl Application {
    pub(super) fn new(backend: impl UrlCredentialBackend) -> Self {
        Self { backend: Box::new(backend), is_broken: AtomicBool::new(false) }
    }

    /// What is kept for a space, or at all, as far as it is what this is for.
    pub(super) fn load(&self, space: Option<&UrlProtectionSpace>) -> Vec<KeptCredential> {
        let mut all = self.call(|backend| backend.load(space)).unwrap_or_default();
        // Another space's would be shown to the wrong server.
        all.retain(|kept| space.is_none_or(|space| kept.space == *space) && is_permanent(&kept.credential));
        all
    }

    /// False if it could not be kept.
    pub(super) fn set(&self, kept: &KeptCredential) -> bool {
        is_permanent(&kept.credential) && self.call(|backend| backend.set(kept)).is_some()
    }

    pub(super) fn remove(&self, space: &UrlProtectionSpace, user: &str) {
        self.call(|backend| backend.remove(space, user));
    }

    pub(super) fn demote(&self, space: &UrlProtectionSpace) {
        for kept in self.load(Some(space)).into_iter().filter(|kept| kept.is_default) {
            self.set(&KeptCredential { is_default: false, ..kept });
        }
    }

    pub(super) fn empty(&self) {
        for KeptCredential { space, credential, .. } in self.load(None) {
            if let Some(user) = credential.user() {
                self.remove(&space, user);
            }
        }
    }

    fn call<T>(&self, call: impl FnOnce(&dyn UrlCredentialBackend) -> BackendResult<T>) -> Option<T> {
        if self.is_broken.load(Relaxed) {
            return None;
        }
        match guarded(|| call(&*self.backend)) {
            Ok(done) => Some(done),
            Err(error) => {
                if !self.is_broken.swap(true, Relaxed) {
                    tracing::warn!(
                        store = "credential",
                        "the application's backend failed and is not used any more; credentials are in memory only: {error}"
                    );
                }
                None
            }
        }
    }
}

fn is_permanent(credential: &UrlCredential) -> bool {
    use UrlCredentialPersistence as P;
    let is_lasting = matches!(credential.persistence(), P::Permanent | P::Synchronizable);
    is_lasting && credential.user().is_some() && credential.has_password()
}

setters! {
    impl KeptCredential {
        space: value UrlProtectionSpace,
        credential: value UrlCredential,
        is_default: value bool,
    }
}
