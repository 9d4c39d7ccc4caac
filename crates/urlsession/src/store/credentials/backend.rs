//! `UrlCredentialBackend`: an application's own place for permanent credentials. Which are used, and when, is decided elsewhere.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::message::{UrlCredential, UrlCredentialPersistence, UrlProtectionSpace};
use crate::store::application::{BackendResult, guarded};

/// An application's own place for permanent credentials, for
/// [`UrlCredentialStorage::with_backend`](crate::authentication::UrlCredentialStorage::with_backend), in the place of a sealed file: a keyring,
/// a service of its own. Not of Apple's, where one subclasses *URLCredentialStorage*.
///
/// It keeps, and decides nothing. Only credentials with a user, a password and the persistence `Permanent` or `Synchronizable`
/// come to it; credentials of the session stay in memory. Its methods are called beside the loads, where a challenge waits for
/// them: they may block. After an error or a panic there is one warning (`tracing`), the backend is not called any more, and
/// what it had is not known.
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
    /// The credentials of a space, or of all of them, the first that was set first.
    ///
    /// # Errors
    /// Any: see above.
    fn load(&self, space: Option<&UrlProtectionSpace>) -> BackendResult<Vec<KeptCredential>>;

    /// Keeps a credential, in place of that of the same space and user. One that an application or a delegate gives is
    /// [removed](Self::remove) first; one that is no longer the default of its space is only set.
    ///
    /// # Errors
    /// Any: see above.
    fn set(&self, kept: &KeptCredential) -> BackendResult<()>;

    /// Forgets the credential of a user, if there is one.
    ///
    /// # Errors
    /// Any: see above.
    fn remove(&self, space: &UrlProtectionSpace, user: &str) -> BackendResult<()>;
}

/// A credential as a [backend](UrlCredentialBackend) keeps it. Not of Apple's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCredential {
    /// Whose it is.
    pub space: UrlProtectionSpace,
    /// It has a user and a password.
    pub credential: UrlCredential,
    /// Whether it is tried first; one of a space at most.
    pub is_default: bool,
}

impl KeptCredential {
    /// The credential of a user of the space, who is not its default.
    pub fn new(space: UrlProtectionSpace, credential: UrlCredential) -> Self {
        Self { space, credential, is_default: false }
    }
}

/// A backend that is not asked again once it has failed.
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
                        "the application's backend is not used any more, and credentials are kept in memory: {error}"
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
