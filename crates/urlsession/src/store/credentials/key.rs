//! The key of a vault: in a file beside it, for this user alone. It does not know what the key opens. All of it blocks.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::env::fs;
use crate::env::random;
use crate::store::database;

pub(super) type Key = Zeroizing<Vec<u8>>;

/// The key for the vault at `vault`, made by whoever comes first.
pub(super) fn read_or_make(vault: &Path) -> io::Result<Key> {
    // Two processes must not both make one.
    let _lock = database::lock(&vault.with_extension("lock"))?;
    let mut path = vault.as_os_str().to_owned();
    path.push(".key");
    let path = Path::new(&path);
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!("{} is no key; it is replaced and what it sealed is lost", path.display());
        }
        read => return read,
    }
    let key = new_key();
    write(path, &key)?;
    Ok(key)
}

fn read(path: &Path) -> io::Result<Key> {
    let mut key = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    fs::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut key)?;
    if key.len() == LENGTH { Ok(key) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn new_key() -> Key {
    let mut key = Zeroizing::new(vec![0; LENGTH]);
    random(&mut key);
    key
}

/// It appears whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let whole = PathBuf::from(name);
    // Left by a process of this number that did not get to its end.
    let _ = fs::remove_file(&whole);
    let mut options = fs::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&whole)?.write_all(bytes)?;
    fs::rename(&whole, path)
}

/// In bytes.
pub(super) const LENGTH: usize = 64;
