//! Which file of this machine a file is, whatever its name: device and inode, or on Windows the serial number of the
//! volume and the index of the file in it.

use std::io;
use std::path::Path;

use super::fs::{self, File, Metadata};

/// Two files that are there at the same time differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    /// Of an open file, whose metadata these are.
    #[cfg(unix)]
    pub(crate) fn of(_: &File, metadata: &Metadata) -> io::Result<Self> {
        Ok(Self::from_metadata(metadata))
    }

    /// Of what the name leads to, with its metadata.
    #[cfg(unix)]
    pub(crate) fn at(path: &Path) -> io::Result<(Self, Metadata)> {
        let metadata = fs::metadata(path)?;
        Ok((Self::from_metadata(&metadata), metadata))
    }

    /// Of what has the name: a link is not followed.
    #[cfg(unix)]
    pub(crate) fn at_itself(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&fs::symlink_metadata(path)?))
    }

    #[cfg(unix)]
    fn from_metadata(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of an open file (`GetFileInformationByHandle`).
    #[cfg(windows)]
    pub(crate) fn of(file: &File, _: &Metadata) -> io::Result<Self> {
        let information = winapi_util::file::information(file)?;
        Ok(Self { device: information.volume_serial_number(), inode: information.file_index() })
    }

    /// Of what the name leads to, with its metadata.
    #[cfg(windows)]
    pub(crate) fn at(path: &Path) -> io::Result<(Self, Metadata)> {
        let file = looked_at(path, BACKUP_SEMANTICS)?;
        let metadata = file.metadata()?;
        Ok((Self::of(&file, &metadata)?, metadata))
    }

    /// Of what has the name: a link is not followed.
    #[cfg(windows)]
    pub(crate) fn at_itself(path: &Path) -> io::Result<Self> {
        let file = looked_at(path, BACKUP_SEMANTICS | OPEN_REPARSE_POINT)?;
        let metadata = file.metadata()?;
        Self::of(&file, &metadata)
    }
}

/// A file opened neither to be read nor to be written: who else has it open is not in the way.
#[cfg(windows)]
fn looked_at(path: &Path, flags: u32) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    fs::options().access_mode(0).custom_flags(flags).open(path)
}

/// `FILE_FLAG_BACKUP_SEMANTICS`: a folder may be opened too.
#[cfg(windows)]
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// `FILE_FLAG_OPEN_REPARSE_POINT`.
#[cfg(windows)]
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_every_name_and_another_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, link) = (folder.path().join("1"), folder.path().join("2"), folder.path().join("3"));
        std::fs::write(&one, "x").unwrap();
        std::fs::write(&two, "x").unwrap();
        std::fs::hard_link(&one, &link).unwrap();
        let file = File::open(&one).unwrap();
        let of_one = FileId::of(&file, &file.metadata().unwrap()).unwrap();
        assert_eq!(FileId::at(&one).unwrap().0, of_one);
        assert_eq!(FileId::at_itself(&link).unwrap(), of_one);
        assert_ne!(FileId::at(&two).unwrap().0, of_one);
        assert_eq!(FileId::at(&two).unwrap().1.len(), 1);
        std::fs::rename(&one, folder.path().join("4")).unwrap();
        assert_eq!(FileId::at(&folder.path().join("4")).unwrap().0, of_one);
        assert!(FileId::at(&one).is_err() && FileId::at_itself(folder.path()).is_ok());
    }
}
