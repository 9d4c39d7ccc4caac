//! `DownloadDestination`: where the file of a download is to be, set before the download begins; and the step that moves
//! the file there.
//!
//! The file is written beside its destination, under a temporary name, and published whole: no reader ever sees a part of
//! it. `kinds::download` decides what is kept of it until then, and how it is resumed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempPath;
use url::Url;

use super::downloaded_file::DownloadedFile;
use crate::env::close;
use crate::env::fs::{self, File};
use crate::error::{Phase, Result, UrlError, UrlErrorCode, without_password};
use crate::message::{PathForm, UrlRequest};

/// The destination of a download. A path names the file itself; by default the file must not exist yet.
///
/// The file is complete and on disk (`fsync`, with its folder on Unix) before it appears under its name. Extension: no
/// counterpart in Apple's API.
///
/// # Resuming
///
/// A download that stops before its end resumes when the same URL is downloaded to the same destination again: after a
/// failure, after a cancellation, and after the process was killed or the machine lost power. Until then two files are
/// beside the destination: `.NAME.urlsession-part`, the partial file, and `.NAME.urlsession-note`, the note with the resume
/// information, which is written at least about once a second and never describes more than what is on disk. `NAME` is
/// the name of the file; for a folder it is a hash of the URL, or of the name that the download is
/// [identified by](Self::identified_by). Both files are removed when the download is complete, and when the server has a
/// different version now. An application that gives up removes them, or downloads to that destination
/// [`without_resuming`](Self::without_resuming).
///
/// A download resumes only if it was a `GET` with an uncoded response and a strong validator (RFC 9110 §13.1.5), and if the
/// partial file is unchanged. Otherwise it starts from the beginning;
/// [`DownloadTask::resume_failure`](crate::DownloadTask::resume_failure) then gives the reason. If the server refuses (403,
/// 404, 503 …), the task fails and the partial file is kept, unless the application supplies another URL
/// ([`DownloadFuture::on_expired_url`](crate::DownloadFuture::on_expired_url)). While one task or process writes the
/// partial file, other tasks for the same file download it separately.
///
/// A full disk fails the task with [`CannotWriteToFile`](UrlErrorCode::CannotWriteToFile), and the bytes that were written
/// are kept. If there is no space left for the note, the last block of the partial file is given up for it. Some file
/// systems accept bytes and report only later, at `fsync` or when the file is closed, that they could not store them, and
/// do not say which bytes are lost: then only the bytes that the note confirms are kept. If the failure is reported when
/// the file is closed, the error is [`CannotCloseFile`](UrlErrorCode::CannotCloseFile).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadDestination {
    path: PathBuf,
    /// Whether the path is a folder. The response then names the file.
    is_folder: bool,
    existing: Existing,
    resumes: bool,
    require_success_status: bool,
    /// The name that identifies the download, if its URL does not.
    name: Option<String>,
}

/// What happens to an existing file. Serialized in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Existing {
    Fail,
    Overwrite,
    UniqueName,
}

/// A destination in the form that resume data holds.
#[derive(Serialize, Deserialize)]
pub(super) struct DestinationForm {
    path: PathForm,
    is_folder: bool,
    existing: Existing,
}

impl From<DestinationForm> for DownloadDestination {
    fn from(form: DestinationForm) -> Self {
        let path = PathBuf::from(form.path);
        Self { is_folder: form.is_folder, existing: form.existing, ..Self::file(path) }
    }
}

impl DownloadDestination {
    /// This file, in an existing folder.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            is_folder: false,
            existing: Existing::Fail,
            resumes: true,
            require_success_status: false,
            name: None,
        }
    }

    /// A file in this folder, with the name that the response suggests
    /// ([`suggested_filename`](crate::UrlResponse::suggested_filename), which never leads out of the folder).
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            is_folder: true,
            existing: Existing::Fail,
            resumes: true,
            require_success_status: false,
            name: None,
        }
    }

    /// Replaces an existing file, in one step and with the whole file.
    #[must_use]
    pub fn overwriting(mut self) -> Self {
        self.existing = Existing::Overwrite;
        self
    }

    /// If the file exists, uses the first free name after it: `name (2).txt` for `name.txt`.
    #[must_use]
    pub fn with_unique_name(mut self) -> Self {
        self.existing = Existing::UniqueName;
        self
    }

    /// Does not resume an earlier download, and keeps no partial file when it stops.
    #[must_use]
    pub fn without_resuming(mut self) -> Self {
        self.resumes = false;
        self
    }

    /// Accepts only responses with a status of 200 to 299. Any other status fails the task, and no file changes. By default
    /// the body of any response becomes the file, as in Apple's downloads.
    #[must_use]
    pub fn require_success_status(mut self) -> Self {
        self.require_success_status = true;
        self
    }

    /// Identifies the download by this name instead of by its URL. A partial file of an earlier download with the same name
    /// is resumed whatever its URL was, if the server confirms that the file is unchanged (`If-Range`). For signed URLs
    /// that expire, and for one file on several servers. By default the URL must be the same, except for its password and
    /// fragment.
    #[must_use]
    pub fn identified_by(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The text that distinguishes this download from others.
    pub(super) fn identity(&self, request: &UrlRequest) -> String {
        match &self.name {
            // No resumable download has a URL of this form.
            Some(name) => format!("name:{name}"),
            None => identity(request),
        }
    }

    /// Whether the application identifies the download by a name, whatever its URL is.
    pub(super) fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// Whether a response of this status must not become the file.
    pub(super) fn refuses(&self, status: u16) -> bool {
        self.require_success_status && !(200..300).contains(&status)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether both destinations have the same path, so that an unfinished file for one is beside the other.
    pub(super) fn shares_place(&self, other: &Self) -> bool {
        (&self.path, self.is_folder) == (&other.path, other.is_folder)
    }

    pub(super) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Fails if it is already certain that publishing will fail.
    pub(super) fn check(&self, suggested: &str) -> Result<()> {
        let target = self.target(suggested);
        if fs::is_dir(&target) {
            let detail = format!("{} is a directory; name a file in it, or use in_folder", target.display());
            return Err(UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail));
        }
        if self.existing == Existing::Fail && fs::symlink_metadata(&target).is_ok() {
            return Err(is_there(&target));
        }
        Ok(())
    }

    /// A file with a temporary name, beside the target.
    pub(super) fn draft(&self, suggested: &str) -> Result<(File, TempPath)> {
        let target = self.target(suggested);
        let folder = folder_of(&target);
        let file = published_drafts().tempfile_in(folder).map_err(|error| {
            let detail = format!("no file can be made in {}", folder.display());
            UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail).with_source(error)
        })?;
        Ok(file.into_parts())
    }

    /// A second name beside the target for a file that already has a name.
    pub(super) fn second_name(&self, suggested: &str, path: &Path) -> io::Result<TempPath> {
        let named = drafts().make_in(folder_of(&self.target(suggested)), |name| fs::hard_link(path, name))?;
        Ok(named.into_temp_path())
    }

    /// Blocks until the file is on disk under its name. The error contains the file.
    pub(super) fn publish(
        &self,
        suggested: &str,
        file: &File,
        path: TempPath,
        length: u64,
    ) -> Result<DownloadedFile, Unpublished> {
        let target = self.target(suggested);
        if let Err(error) = file.sync_all() {
            let detail = "the downloaded file could not be written to disk";
            let error =
                UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail).with_source(error);
            return Err(Unpublished { error, path, is_late: true });
        }
        // Before the file is visible. The file itself stays open, so that it stays locked.
        if let Err(error) = another_closed(file) {
            return Err(Unpublished { error: unclosed(&path, error), path, is_late: true });
        }
        let target = self.persist(target, path).map_err(|(target, error, path)| {
            let error = match error.kind() {
                io::ErrorKind::AlreadyExists => is_there(&target),
                _ => {
                    let detail = format!("the downloaded file could not be moved to {}", target.display());
                    UrlError::new(UrlErrorCode::CannotMoveFile, Phase::Disk, detail).with_source(error)
                }
            };
            Unpublished { error, path, is_late: false }
        })?;
        // The name itself is in the folder. Where folders cannot be synchronised, nothing can be done.
        #[cfg(unix)]
        let _ = fs::open(folder_of(&target)).and_then(|folder| folder.sync_all());
        Ok(DownloadedFile::published(target, length))
    }

    fn persist(&self, target: PathBuf, path: TempPath) -> Result<PathBuf, (PathBuf, io::Error, TempPath)> {
        let persisted = match self.existing {
            Existing::Overwrite => path.persist(&target),
            Existing::Fail => path.persist_noclobber(&target),
            Existing::UniqueName => {
                let mut path = path;
                for name in (1..=MOST_NAMES).map(|number| numbered(&target, number)) {
                    match path.persist_noclobber(&name) {
                        Ok(()) => return Ok(name),
                        Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => {
                            path = failure.path;
                        }
                        Err(failure) => return Err((name, failure.error, failure.path)),
                    }
                }
                return Err((target, io::ErrorKind::AlreadyExists.into(), path));
            }
        };
        match persisted {
            Ok(()) => Ok(target),
            Err(failure) => Err((target, failure.error, failure.path)),
        }
    }

    /// For resume data: the destination only, without what identifies the download.
    pub(super) fn form(&self) -> DestinationForm {
        // The process may change its current folder later.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        DestinationForm { path: PathForm::of(&path), is_folder: self.is_folder, existing: self.existing }
    }

    fn target(&self, suggested: &str) -> PathBuf {
        if !self.is_folder {
            return self.path.clone();
        }
        // Whatever name a server suggests, it is one name in this folder.
        self.path.join(Path::new(suggested).file_name().unwrap_or(OsStr::new("Unknown")))
    }
}

/// Why a file was not moved to its destination, and the file.
#[derive(Debug)]
pub(super) struct Unpublished {
    pub(super) error: UrlError,
    pub(super) path: TempPath,
    /// Bytes that had been written are lost, and the system does not say which.
    pub(super) is_late: bool,
}

/// Closes a second descriptor of the file, to receive a late write error. If there is no descriptor left, no error can be
/// received, and what is on disk is there.
fn another_closed(file: &File) -> io::Result<()> {
    file.try_clone().map_or(Ok(()), close)
}

/// The error for a file that could not be closed.
pub(super) fn unclosed(path: &Path, error: io::Error) -> UrlError {
    let detail = format!(
        "{}: the file system could not keep what was written; see whether there is space, or download to a local disk",
        path.display()
    );
    UrlError::new(UrlErrorCode::CannotCloseFile, Phase::Disk, detail).with_source(error)
}

impl<P: Into<PathBuf>> From<P> for DownloadDestination {
    fn from(path: P) -> Self {
        Self::file(path)
    }
}

/// The text that distinguishes a download from others: its URL without secrets and without the parts that are not sent, and
/// the zone of its host.
pub(super) fn identity(request: &UrlRequest) -> String {
    let url = url_text(request.url());
    match request.effective_zone_id() {
        None => url,
        // No URL has this form.
        Some(zone) => format!("{url} in zone {zone}"),
    }
}

/// A URL without secrets and without the parts that are not sent.
pub(super) fn url_text(url: &Url) -> String {
    let mut url = without_password(url);
    url.set_fragment(None);
    url.into()
}

fn drafts() -> tempfile::Builder<'static, 'static> {
    let mut builder = fs::temporary();
    builder.prefix(".urlsession-").suffix(".part");
    builder
}

/// A published file has the permissions of any other file (less the umask).
#[cfg(unix)]
fn published_drafts() -> tempfile::Builder<'static, 'static> {
    let mut builder = drafts();
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn published_drafts() -> tempfile::Builder<'static, 'static> {
    drafts()
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_there(target: &Path) -> UrlError {
    let detail = format!(
        "{} is there already; the destination can overwrite it, or take a unique name",
        target.display()
    );
    let source = io::Error::from(io::ErrorKind::AlreadyExists);
    UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail).with_source(source)
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

/// How many names are tried before the download fails.
const MOST_NAMES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::message::codec;

    fn download(destination: &DownloadDestination, content: &str) -> Result<DownloadedFile> {
        destination.check("suggested.txt")?;
        let (file, path) = destination.draft("suggested.txt")?;
        fs::write(&path, content).unwrap();
        let published = destination.publish("suggested.txt", &file, path, content.len() as u64);
        published.map_err(|failure| failure.error)
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
        let destination = DownloadDestination::file(&path);
        let (file, draft) = destination.draft("").unwrap();
        fs::write(&path, "somebody else's").unwrap();
        let Unpublished { error, path: draft, .. } = destination.publish("", &file, draft, 0).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotCreateFile);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody else's");
        assert!(draft.exists());
        // Before Windows 10 a name stays as long as the file is open.
        drop((draft, file));
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
    fn a_destination_is_read_as_it_was_written() {
        // On Windows an absolute path begins with a drive.
        let absolute = |path| std::path::absolute(path).unwrap();
        for destination in [
            DownloadDestination::file(absolute("/a/b")),
            DownloadDestination::in_folder(absolute("/a/b")).overwriting(),
            DownloadDestination::file(absolute("/a/ü")).with_unique_name(),
        ] {
            let written = codec::write(&destination.form());
            let read: DestinationForm = codec::read(&written).unwrap();
            assert_eq!(DownloadDestination::from(read), destination);
        }
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(DownloadDestination::file(folder.path().join("a")).draft("").unwrap());
        assert!(names(folder.path()).is_empty());
    }
}
