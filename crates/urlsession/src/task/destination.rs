//! `DownloadDestination`: where a download is to be, named before it begins; and its way there.
//!
//! The file is written beside its place, under a name of its own, and published whole: nobody ever sees half of it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::downloaded_file::DownloadedFile;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// Where a download is to be. A path is the file itself; by default it must not be there yet.
///
/// The file is complete and on disk (`fsync`, with its folder on Unix) before it appears under its name. Not of Apple's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadDestination {
    path: PathBuf,
    /// Is the path a folder, in which the response names the file?
    is_folder: bool,
    existing: Existing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Fail,
    Overwrite,
    UniqueName,
}

impl DownloadDestination {
    /// This file, in a folder that is there.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_folder: false, existing: Existing::Fail }
    }

    /// A file in this folder, with the name that the response suggests
    /// ([`suggested_filename`](crate::UrlResponse::suggested_filename), which never leads out of the folder).
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), is_folder: true, existing: Existing::Fail }
    }

    /// Replaces a file that is there, at once and whole.
    #[must_use]
    pub fn overwriting(mut self) -> Self {
        self.existing = Existing::Overwrite;
        self
    }

    /// If a file is there, takes the first free name after it: `name (2).txt` for `name.txt`.
    #[must_use]
    pub fn with_unique_name(mut self) -> Self {
        self.existing = Existing::UniqueName;
        self
    }

    fn target(&self, suggested: &str) -> PathBuf {
        if !self.is_folder {
            return self.path.clone();
        }
        // Whatever a server suggests, it is one name in this folder.
        self.path.join(Path::new(suggested).file_name().unwrap_or(OsStr::new("Unknown")))
    }
}

impl<P: Into<PathBuf>> From<P> for DownloadDestination {
    fn from(path: P) -> Self {
        Self::file(path)
    }
}

/// A file on its way to its destination; removed when it is dropped before it is there.
pub(super) struct Draft {
    path: tempfile::TempPath,
    target: PathBuf,
    existing: Existing,
}

impl Draft {
    /// Blocks. What can be known to fail later fails now, before anything is loaded into it.
    pub(super) fn create(destination: &DownloadDestination, suggested: &str) -> Result<(Self, File)> {
        let (target, existing) = (destination.target(suggested), destination.existing);
        let folder = folder_of(&target);
        if target.is_dir() {
            let detail = format!("{} is a directory; name a file in it, or use in_folder", target.display());
            return Err(UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail));
        }
        if existing == Existing::Fail && target.symlink_metadata().is_ok() {
            return Err(is_there(&target));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".urlsession-").suffix(".part");
        // What is published has the permissions of any other file (less the umask).
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|error| {
            let detail = format!("no file can be made in {}", folder.display());
            UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail).with_source(error)
        })?;
        let (file, path) = file.into_parts();
        Ok((Self { path, target, existing }, file))
    }

    /// Blocks until the file is on disk under its name.
    pub(super) fn publish(self, file: &File, length: u64) -> Result<DownloadedFile> {
        let Self { path, target, existing } = self;
        let failed = |target: &Path, error: io::Error| {
            let detail = format!("the downloaded file could not be moved to {}", target.display());
            UrlError::new(UrlErrorCode::CannotMoveFile, Phase::Disk, detail).with_source(error)
        };
        file.sync_all().map_err(|error| {
            let detail = "the downloaded file could not be written to disk";
            UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail).with_source(error)
        })?;
        let target = match existing {
            Existing::Overwrite => {
                path.persist(&target).map_err(|failure| failed(&target, failure.error))?;
                target
            }
            Existing::Fail => {
                path.persist_noclobber(&target).map_err(|failure| match failure.error.kind() {
                    io::ErrorKind::AlreadyExists => is_there(&target),
                    _ => failed(&target, failure.error),
                })?;
                target
            }
            Existing::UniqueName => {
                let mut path = path;
                let mut names = (1..=MOST_NAMES).map(|number| numbered(&target, number));
                loop {
                    let Some(name) = names.next() else { return Err(is_there(&target)) };
                    match path.persist_noclobber(&name) {
                        Ok(()) => break name,
                        Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => {
                            path = failure.path;
                        }
                        Err(failure) => return Err(failed(&name, failure.error)),
                    }
                }
            }
        };
        // The name itself is in the folder. Where folders cannot be synchronised, there is nothing to be done.
        #[cfg(unix)]
        let _ = File::open(folder_of(&target)).and_then(|folder| folder.sync_all());
        Ok(DownloadedFile::published(target, length))
    }
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_there(target: &Path) -> UrlError {
    let detail = format!(
        "{} is there already; overwrite it, or take a unique name, by the destination",
        target.display()
    );
    UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail)
}

/// `name.txt`, `name (2).txt`, `name (3).txt`, …
fn numbered(target: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return target.to_owned();
    }
    let mut name = OsString::from(target.file_stem().unwrap_or_default());
    name.push(format!(" ({number})"));
    if let Some(extension) = target.extension() {
        name.push(OsStr::new("."));
        name.push(extension);
    }
    target.with_file_name(name)
}

/// Names tried before giving up.
const MOST_NAMES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn download(destination: &DownloadDestination, content: &str) -> Result<DownloadedFile> {
        let (draft, file) = Draft::create(destination, "suggested.txt")?;
        fs::write(&draft.path, content).unwrap();
        draft.publish(&file, content.len() as u64)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names = names.collect::<Vec<_>>();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_is_there_is_kept_replaced_or_stepped_around() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.gz");
        download(&path.clone().into(), "1").unwrap();
        let error = download(&path.clone().into(), "2").unwrap_err();
        assert!(
            error.code() == UrlErrorCode::CannotCreateFile && error.to_string().contains("a.tar.gz"),
            "{error}"
        );
        download(&DownloadDestination::file(&path).overwriting(), "3").unwrap();
        let unique = download(&DownloadDestination::file(&path).with_unique_name(), "4").unwrap();
        assert_eq!(unique.path(), folder.path().join("a.tar (2).gz"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "3");
        assert_eq!(names(folder.path()), ["a.tar (2).gz", "a.tar.gz"]);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (draft, file) = Draft::create(&path.clone().into(), "").unwrap();
        fs::write(&path, "somebody else's").unwrap();
        assert_eq!(draft.publish(&file, 0).unwrap_err().code(), UrlErrorCode::CannotCreateFile);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody else's");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_folder_is_no_file_but_may_hold_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = download(&folder.path().into(), "x").unwrap_err();
        assert!(error.to_string().contains("in_folder"), "{error}");
        let file = download(&DownloadDestination::in_folder(folder.path()), "x").unwrap();
        assert_eq!(file.path(), folder.path().join("suggested.txt"));
        let missing = download(&folder.path().join("no/such").into(), "x").unwrap_err();
        assert!(missing.to_string().contains("no file can be made"), "{missing}");
    }

    #[test]
    fn a_suggested_name_never_leads_out_of_its_folder() {
        let destination = DownloadDestination::in_folder("/downloads");
        for (suggested, target) in
            [("../../etc/passwd", "passwd"), ("/etc/passwd", "passwd"), ("..", "Unknown"), ("", "Unknown")]
        {
            assert_eq!(destination.target(suggested), Path::new("/downloads").join(target), "{suggested}");
        }
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::create(&folder.path().join("a").into(), "").unwrap());
        assert!(names(folder.path()).is_empty());
    }
}
