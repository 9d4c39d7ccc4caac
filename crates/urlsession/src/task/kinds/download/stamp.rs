//! `Stamp`: identifies a partial file and shows whether it is unchanged. It is serialized as it is.

use std::io;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::env::fs::{self, File};
use crate::env::{FileId, read_at};

/// Identifies a partial file and shows whether it is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// How many of its bytes count; these are on disk.
    pub(super) bytes: u64,
    /// SHA-256 of the last of them.
    pub(super) tail: [u8; 32],
    pub(super) device: u64,
    pub(super) inode: u64,
    /// When it was last changed, in seconds and nanoseconds; `None` if more was to be written.
    pub(super) changed: Option<(i64, i64)>,
}

impl Stamp {
    /// Of a file whose bytes are on the disk. `is_last`: nothing more will be written.
    pub(super) fn of(file: &File, bytes: u64, is_last: bool) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let FileId { device, inode } = FileId::of(file, &metadata)?;
        let changed = if is_last { changed(&metadata) } else { None };
        Ok(Self { bytes, tail: tail(file, bytes)?, device, inode, changed })
    }

    /// Whether this is the file, with its bytes unchanged.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        let was = FileId { device: self.device, inode: self.inode };
        if !metadata.is_file() || FileId::of(file, &metadata)? != was || metadata.len() < self.bytes {
            return Ok(false);
        }
        // What was written after the stamp is cut off; what was not written by us shows by its time.
        if metadata.len() == self.bytes && self.changed.is_some() && self.changed != changed(&metadata) {
            return Ok(false);
        }
        Ok(tail(file, self.bytes)? == self.tail)
    }
}

/// SHA-256 of the last bytes before `end`.
fn tail(file: &File, end: u64) -> io::Result<[u8; 32]> {
    let length = end.min(TAIL);
    let bytes = read_at(file, end - length, length as usize)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    Ok(hash)
}

/// When the file was last changed, in seconds and nanoseconds since 1970.
#[cfg(unix)]
fn changed(metadata: &fs::Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.mtime(), metadata.mtime_nsec()))
}

/// When the file was last changed, in seconds and nanoseconds since 1970.
#[cfg(not(unix))]
fn changed(metadata: &fs::Metadata) -> Option<(i64, i64)> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos().into()))
}

/// The number of bytes whose hash identifies a partial file.
const TAIL: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_stamp_knows_its_file_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let content = (0..200_000_u32).map(|i| i as u8).collect::<Vec<_>>();
        fs::write(&path, &content).unwrap();
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let last = Stamp::of(&open(), 200_000, true).unwrap();
        let middle = Stamp::of(&open(), 150_000, false).unwrap();
        assert!(last.fits(&open()).unwrap() && middle.fits(&open()).unwrap());
        // Longer: what was written since is cut off.
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert!(last.fits(&open()).unwrap());
        open().set_len(199_999).unwrap();
        assert!(!last.fits(&open()).unwrap() && middle.fits(&open()).unwrap());
        // Altered within the tail.
        fs::write(&path, [&content[..149_999], &[0xee], &content[150_000..]].concat()).unwrap();
        assert!(!middle.fits(&open()).unwrap());
        // Another file with the same content.
        fs::rename(&path, folder.path().join("other")).unwrap();
        fs::write(&path, &content).unwrap();
        assert!(!last.fits(&open()).unwrap());
    }
}
