//! The interface of a keyring, and the keyring of the platform: the Secret Service of a desktop (GNOME, KDE), the Keychain
//! of macOS, the Credential Manager of Windows. This module does not interpret what it stores. All of it blocks: the system
//! may ask the user to unlock the keyring.

use std::io;

use zeroize::Zeroizing;

/// An error means that the keyring cannot be reached, cannot be opened, or does not take the item.
pub(super) trait Keyring: Send + Sync {
    /// `None` if it has no such item.
    fn password(&self, item: Item<'_>) -> io::Result<Option<Zeroizing<String>>>;

    fn set_password(&self, item: Item<'_>, password: &str) -> io::Result<()>;

    /// Nothing happens if it has no such item.
    fn remove(&self, item: Item<'_>) -> io::Result<()>;
}

/// An item as users see it in their keyring.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "keyring"),
    allow(dead_code, reason = "only the platform's keyring reads all of it")
)]
pub(super) struct Item<'a> {
    /// Whose it is: items of other stores have the same names.
    pub(super) service: &'a str,
    pub(super) name: &'a str,
}

/// The platform's, in a build that can speak to it.
#[cfg(feature = "keyring")]
pub(super) fn platform() -> Option<Box<dyn Keyring>> {
    Some(Box::new(platform::PlatformKeyring))
}

#[cfg(not(feature = "keyring"))]
pub(super) fn platform() -> Option<Box<dyn Keyring>> {
    None
}

#[cfg(feature = "keyring")]
mod platform {
    use std::io;

    use keyring::v1::{Entry, Error};
    use zeroize::Zeroizing;

    use super::{Item, Keyring};

    pub(super) struct PlatformKeyring;

    impl Keyring for PlatformKeyring {
        fn password(&self, item: Item<'_>) -> io::Result<Option<Zeroizing<String>>> {
            match entry(item)?.get_password() {
                Ok(password) => Ok(Some(Zeroizing::new(password))),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(io::Error::other(error)),
            }
        }

        fn set_password(&self, item: Item<'_>, password: &str) -> io::Result<()> {
            entry(item)?.set_password(password).map_err(io::Error::other)
        }

        fn remove(&self, item: Item<'_>) -> io::Result<()> {
            match entry(item)?.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => Ok(()),
                Err(error) => Err(io::Error::other(error)),
            }
        }
    }

    fn entry(item: Item<'_>) -> io::Result<Entry> {
        // Why there is no keyring is known here only.
        if let Err(error) = Entry::store_status() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, error.to_string()));
        }
        Entry::new(item.service, item.name).map_err(io::Error::other)
    }
}
