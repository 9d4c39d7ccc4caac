//! In the place of `disk` without the feature `persistent-stores`: no storage has a file.

use std::sync::LazyLock;

use super::UrlCredentialStorage;

impl UrlCredentialStorage {
    /// The storage of the process, in memory: permanent credentials last as long as the process.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlCredentialStorage> = LazyLock::new(UrlCredentialStorage::ephemeral);
        SHARED.clone()
    }
}
