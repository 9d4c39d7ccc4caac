//! The key of a vault: in a keyring if there is one, else in a file beside the vault, for this user alone.
//!
//! Where it is kept is decided when it is made, and again when a keyring appears. The file says so: a key that was once
//! in a keyring is never looked for, nor made again, in clear. It does not know what the key opens. All of it blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::env::random;
use crate::store::database;

pub(super) type Key = Zeroizing<Vec<u8>>;

/// Where secrets are kept better than in a file.
pub(super) trait Keyring: Send + Sync {
    /// `None` if it has none of this name. An error means that the keyring cannot be reached, or not be opened.
    fn key(&self, name: &str) -> io::Result<Option<Key>>;

    fn set_key(&self, name: &str, key: &[u8]) -> io::Result<()>;
}

/// The key for the vault at `vault`, made by whoever comes first.
pub(super) fn read_or_make(vault: &Path, keyring: Option<&dyn Keyring>) -> io::Result<Key> {
    // Two processes must not both make one, or both hand it over.
    let _lock = database::lock(&vault.with_extension("lock"))?;
    let mut path = vault.as_os_str().to_owned();
    path.push(".key");
    let path = Path::new(&path);
    let name = vault.to_string_lossy();
    match read(path) {
        Ok(Kept::Here(key)) => {
            if keyring.is_some_and(|keyring| hand_over(keyring, &name, &key)) {
                write(path, ELSEWHERE)?;
            }
            return Ok(key);
        }
        Ok(Kept::InKeyring) => {
            let keyring = keyring.ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotConnected, "the key is in a keyring, which is not used here")
            })?;
            if let Some(key) = keyring.key(&name)?.filter(|key| key.len() == LENGTH) {
                return Ok(key);
            }
            tracing::warn!("the key of {name} is not in the keyring any more; what it sealed is lost");
            let key = new_key();
            keyring.set_key(&name, &key)?;
            return Ok(key);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!("{} is no key; it is replaced and what it sealed is lost", path.display());
        }
        Err(error) => return Err(error),
    }
    let key = new_key();
    let is_in_keyring = keyring.is_some_and(|keyring| hand_over(keyring, &name, &key));
    write(path, if is_in_keyring { ELSEWHERE } else { &key })?;
    Ok(key)
}

enum Kept {
    Here(Key),
    InKeyring,
}

fn read(path: &Path) -> io::Result<Kept> {
    let mut key = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    File::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut key)?;
    match key.len() {
        LENGTH => Ok(Kept::Here(key)),
        _ if *key == ELSEWHERE => Ok(Kept::InKeyring),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn new_key() -> Key {
    let mut key = Zeroizing::new(vec![0; LENGTH]);
    random(&mut key);
    key
}

/// Is it in the keyring now, so that it can be read again?
fn hand_over(keyring: &dyn Keyring, name: &str, key: &Key) -> bool {
    let result = keyring.set_key(name, key).and_then(|()| keyring.key(name));
    if let Err(error) = &result {
        tracing::debug!("the key of {name} stays in its file: {error}");
    }
    result.is_ok_and(|kept| kept.as_ref() == Some(key))
}

/// It appears whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let whole = PathBuf::from(name);
    // Left by a process of this number that did not get to its end.
    let _ = fs::remove_file(&whole);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&whole)?.write_all(bytes)?;
    fs::rename(&whole, path)
}

/// In bytes.
pub(super) const LENGTH: usize = 64;

/// What stands in the file of a key that is in a keyring.
const ELSEWHERE: &[u8] = b"in the keyring\n";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;

    /// A keyring; locked, nothing can be read or written.
    #[derive(Default)]
    struct Ring {
        keys: Mutex<HashMap<String, Key>>,
        is_locked: bool,
    }

    impl Ring {
        fn open(&self) -> io::Result<std::sync::MutexGuard<'_, HashMap<String, Key>>> {
            if self.is_locked {
                Err(io::ErrorKind::PermissionDenied.into())
            } else {
                Ok(self.keys.lock().unwrap())
            }
        }
    }

    impl Keyring for Ring {
        fn key(&self, name: &str) -> io::Result<Option<Key>> {
            Ok(self.open()?.get(name).cloned())
        }

        fn set_key(&self, name: &str, key: &[u8]) -> io::Result<()> {
            self.open()?.insert(name.into(), Zeroizing::new(key.into()));
            Ok(())
        }
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn key(&self, ring: Option<&dyn Keyring>) -> io::Result<Key> {
            read_or_make(&self.0.path().join("a.db"), ring)
        }

        fn file(&self) -> Vec<u8> {
            fs::read(self.0.path().join("a.db.key")).unwrap()
        }
    }

    #[test]
    fn a_new_key_is_in_the_keyring_and_not_in_the_file() {
        let (folder, ring) = (Folder::new(), Ring::default());
        let key = folder.key(Some(&ring)).unwrap();
        assert_eq!(folder.file(), ELSEWHERE);
        assert_eq!(ring.keys.lock().unwrap().values().collect::<Vec<_>>(), [&key]);
        assert_eq!(folder.key(Some(&ring)).unwrap(), key);
    }

    #[test]
    fn where_the_keyring_cannot_be_reached_a_new_key_is_in_the_file() {
        let locked = Ring { is_locked: true, ..Ring::default() };
        for ring in [None, Some(&locked as &dyn Keyring)] {
            let folder = Folder::new();
            let key = folder.key(ring).unwrap();
            assert_eq!(folder.file(), *key);
            assert_eq!(folder.key(ring).unwrap(), key);
        }
    }

    #[test]
    fn a_key_in_a_file_is_handed_over_when_a_keyring_appears() {
        let (folder, ring) = (Folder::new(), Ring::default());
        let key = folder.key(None).unwrap();
        assert_eq!(folder.key(Some(&ring)).unwrap(), key);
        assert_eq!(folder.file(), ELSEWHERE);
        assert_eq!(folder.key(Some(&ring)).unwrap(), key);
    }

    #[test]
    fn a_key_of_a_keyring_that_cannot_be_reached_is_not_made_again_in_clear() {
        let (folder, mut ring) = (Folder::new(), Ring::default());
        let key = folder.key(Some(&ring)).unwrap();
        ring.is_locked = true;
        assert!(folder.key(Some(&ring)).is_err());
        assert!(folder.key(None).is_err());
        assert_eq!(folder.file(), ELSEWHERE);
        ring.is_locked = false;
        assert_eq!(folder.key(Some(&ring)).unwrap(), key);
    }

    #[test]
    fn a_key_that_was_removed_from_the_keyring_is_replaced_there() {
        let (folder, ring) = (Folder::new(), Ring::default());
        let key = folder.key(Some(&ring)).unwrap();
        ring.keys.lock().unwrap().clear();
        let other = folder.key(Some(&ring)).unwrap();
        assert_ne!(other, key);
        assert_eq!(folder.file(), ELSEWHERE);
        assert_eq!(folder.key(Some(&ring)).unwrap(), other);
    }
}
