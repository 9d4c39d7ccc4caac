//! The storages that have a file.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::UrlCredentialStorage;
use super::keeper::Keeper;
use super::keyring;
use super::vault::Vault;
use crate::env::data_folder;

impl UrlCredentialStorage {
    /// The storage of the process, with its file in the folder of this application's data (`credentials.db` below
    /// `$XDG_DATA_HOME` or `~/.local/share`, `%LOCALAPPDATA%`, `~/Library/Application Support`), which is opened on first use.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlCredentialStorage> =
            LazyLock::new(|| UrlCredentialStorage::with(keeper()));
        SHARED.clone()
    }

    /// A storage with its file at `path`, which is opened on first use and made if it is missing. The key is beside it,
    /// with `.key` after its name.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self::with(Some(Box::new(Vault::new(path.into()))))
    }
}

/// `None` if the user has no home.
fn keeper() -> Option<Box<dyn Keeper>> {
    let vault = Vault::new(data_folder()?.join("credentials.db"));
    Some(Box::new(vault.with_keyring(keyring::platform())))
}
