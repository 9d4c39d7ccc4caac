//! The platform's keyring: the Secret Service of a desktop (GNOME, KDE), the Keychain of macOS, the Credential Manager of
//! Windows. It knows nothing of what it keeps. All of it blocks: a user may be asked to unlock it.

use std::io;

use keyring::v1::{Entry, Error};
use zeroize::Zeroizing;

use super::key::{Key, Keyring};

pub(super) struct PlatformKeyring;

impl Keyring for PlatformKeyring {
    fn key(&self, name: &str) -> io::Result<Option<Key>> {
        match entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn set_key(&self, name: &str, key: &[u8]) -> io::Result<()> {
        entry(name)?.set_secret(key).map_err(io::Error::other)
    }
}

fn entry(name: &str) -> io::Result<Entry> {
    // Why there is no keyring is known here only.
    if let Err(error) = Entry::store_status() {
        return Err(io::Error::new(io::ErrorKind::NotConnected, error.to_string()));
    }
    Entry::new("urlsession", name).map_err(io::Error::other)
}
