//! The key of a store: in a file beside the store's, for this user alone. The module does not use the key itself. All of it
//! blocks.

use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::env::fs;
use crate::env::random;
use crate::store::database;

pub(crate) type Key = Zeroizing<Vec<u8>>;

/// The key of the store at `store`. The first process creates it.
pub(crate) fn read_or_make(store: &Path) -> io::Result<Key> {
    // Two processes must not both make one.
    let _lock = database::lock(&store.with_extension("lock"))?;
    let path = &database::beside(store, SUFFIX);
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(
                "{} is not a valid key; it is replaced, and data protected by the old key is lost",
                path.display()
            );
        }
        read => return read,
    }
    let key = new_key();
    write(path, &key)?;
    Ok(key)
}

/// The key of the store at `store`, if there is one.
pub(crate) fn read_existing(store: &Path) -> io::Result<Key> {
    read(&database::beside(store, SUFFIX))
}

/// Another key for the store at `store`; the one before is lost.
pub(crate) fn renew(store: &Path) -> io::Result<Key> {
    let _lock = database::lock(&store.with_extension("lock"))?;
    let key = new_key();
    write(&database::beside(store, SUFFIX), &key)?;
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
    let whole = database::beside(path, &format!(".{}", std::process::id()));
    // Left by a process of this number that did not get to its end.
    let _ = fs::remove_file(&whole);
    let mut options = fs::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&whole)?.write_all(bytes)?;
    fs::rename(&whole, path)
}

const SUFFIX: &str = ".key";

/// In bytes.
pub(crate) const LENGTH: usize = 64;
