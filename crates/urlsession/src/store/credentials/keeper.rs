//! `Keeper`: the store of permanent credentials, a file or an application's backend.

use crate::message::{UrlCredential, UrlProtectionSpace};

/// Who keeps permanent credentials. All of it may block.
pub(super) trait Keeper: Send + Sync {
    fn of(&self, space: &UrlProtectionSpace) -> Vec<StoredCredential>;

    fn all(&self) -> Vec<(UrlProtectionSpace, StoredCredential)>;

    /// False if it could not be kept.
    fn put(&self, space: &UrlProtectionSpace, entry: &StoredCredential) -> bool;

    fn remove(&self, space: &UrlProtectionSpace, user: &str);

    /// No credential of the space is its default any more.
    fn demote(&self, space: &UrlProtectionSpace);

    fn empty(&self);

    /// Removes what remains of what is gone.
    fn settle(&self);
}

/// A credential as it is kept for its space.
#[derive(Clone)]
pub(super) struct StoredCredential {
    pub(super) credential: UrlCredential,
    pub(super) is_default: bool,
}

impl StoredCredential {
    /// Whether it is the same user's, or the same certificate's.
    pub(super) fn is_of(&self, credential: &UrlCredential) -> bool {
        self.credential.user() == credential.user() && self.credential.identity() == credential.identity()
    }
}
