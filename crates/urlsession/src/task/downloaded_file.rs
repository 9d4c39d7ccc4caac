//! `DownloadedFile`: a downloaded file, until it is kept or dropped. It does not depend on how the file was written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::env::close;
use crate::env::fs::{self, File};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// A file that was downloaded. Without a [destination](super::DownloadDestination) it is in the system's folder for
/// temporary files, readable only by this user, and is removed when this value is dropped, unless the file was
/// [persisted](Self::persist) or moved away before. A file at its destination stays.
pub struct DownloadedFile {
    place: FileLocation,
    length: u64,
}

enum FileLocation {
    Temporary(tempfile::TempPath),
    Published(PathBuf),
}

impl DownloadedFile {
    /// An empty file, removed when its path is dropped. Blocks.
    pub(super) fn create((prefix, suffix): (&str, &str)) -> Result<(File, tempfile::TempPath)> {
        let file = fs::temporary().prefix(prefix).suffix(suffix).tempfile();
        Ok(file.map_err(|error| failed(UrlErrorCode::CannotCreateFile, "created", error))?.into_parts())
    }

    pub(super) fn temporary(path: tempfile::TempPath, length: u64) -> Self {
        Self { place: FileLocation::Temporary(path), length }
    }

    pub(super) fn published(path: PathBuf, length: u64) -> Self {
        Self { place: FileLocation::Published(path), length }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        match &self.place {
            FileLocation::Temporary(path) => path,
            FileLocation::Published(path) => path,
        }
    }

    /// The length of the file, in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Moves the file to `path` and replaces an existing file there. To another file system the file is copied, which
    /// blocks the thread.
    ///
    /// # Errors
    /// If the file cannot be moved. The error contains the file, which still exists: nothing is lost.
    pub fn persist(self, path: impl AsRef<Path>) -> Result<(), PersistError> {
        let (to, length) = (path.as_ref(), self.length);
        let temporary = |path| Self { place: FileLocation::Temporary(path), length };
        let path = match self.place {
            FileLocation::Temporary(path) => path,
            FileLocation::Published(path) => {
                let moved = fs::rename(&path, to).or_else(|error| match error.kind() {
                    io::ErrorKind::CrossesDevices => copy(&path, to).and_then(|()| fs::remove_file(&path)),
                    _ => Err(error),
                });
                return moved.map_err(|error| PersistError {
                    error: failed(UrlErrorCode::CannotMoveFile, "moved", error),
                    file: Self::published(path, length),
                });
            }
        };
        match path.persist(to) {
            Ok(()) => Ok(()),
            Err(failure) if failure.error.kind() == io::ErrorKind::CrossesDevices => {
                // The copy is completed beside its destination, so that no reader sees a part of it.
                copy(&failure.path, to).map_err(|error| {
                    let error = failed(UrlErrorCode::CannotMoveFile, "copied", error);
                    PersistError { error, file: temporary(failure.path) }
                })
            }
            Err(failure) => {
                let error = failed(UrlErrorCode::CannotMoveFile, "moved", failure.error);
                Err(PersistError { error, file: temporary(failure.path) })
            }
        }
    }

    /// Keeps the file where it is, permanently.
    ///
    /// # Errors
    /// If the system cannot mark the file as kept.
    pub fn keep(self) -> Result<PathBuf> {
        match self.place {
            FileLocation::Temporary(path) => {
                path.keep().map_err(|failure| failed(UrlErrorCode::CannotMoveFile, "kept", failure.error))
            }
            FileLocation::Published(path) => Ok(path),
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (mut copy, beside) = fs::temporary().prefix(".urlsession-").tempfile_in(folder)?.into_parts();
    io::copy(&mut fs::open(from)?, &mut copy)?;
    copy.set_permissions(fs::metadata(from)?.permissions())?;
    close(copy)?;
    beside.persist(to).map_err(|failure| failure.error)
}

fn failed(code: UrlErrorCode, what: &str, error: io::Error) -> UrlError {
    UrlError::new(code, Phase::Disk, format!("the downloaded file could not be {what}")).with_source(error)
}

impl AsRef<Path> for DownloadedFile {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

impl fmt::Debug for DownloadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadedFile").field("path", &self.path()).field("len", &self.length).finish()
    }
}

/// Why a [`DownloadedFile`] could not be moved, and the file.
#[derive(Debug)]
pub struct PersistError {
    /// What failed.
    pub error: UrlError,
    /// The file, which still exists.
    pub file: DownloadedFile,
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for PersistError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<PersistError> for UrlError {
    fn from(error: PersistError) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(content: &str) -> DownloadedFile {
        let (_, path) = DownloadedFile::create(("urlsession-", ".tmp")).unwrap();
        fs::write(&path, content).unwrap();
        DownloadedFile::temporary(path, content.len() as u64)
    }

    #[test]
    fn it_is_removed_when_it_is_dropped() {
        let file = file("x");
        let path = file.path().to_owned();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn it_is_moved_over_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("kept");
        fs::write(&to, "old").unwrap();
        let file = file("new");
        let from = file.path().to_owned();
        file.persist(&to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert!(!from.exists());
    }

    #[test]
    fn a_move_that_fails_gives_the_file_back() {
        let folder = tempfile::tempdir().unwrap();
        let failure = file("safe").persist(folder.path().join("no/such/folder/file")).unwrap_err();
        assert_eq!(failure.error.code(), UrlErrorCode::CannotMoveFile);
        assert_eq!(fs::read_to_string(failure.file.path()).unwrap(), "safe");
        assert_eq!(failure.file.len(), 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_copied_to_another_file_system() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let to = folder.path().join("kept");
        file("far").persist(&to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "far");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
