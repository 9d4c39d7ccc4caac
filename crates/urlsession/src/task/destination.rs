//! `DownloadDestination`: where a download is to be, named before it begins; and the step that puts it there.
//!
//! The file is written beside its place, under a name of its own, and published whole: nobody ever sees half of it. What
//! is kept of it meanwhile, and how it is resumed, is the download's business.

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

/// Where a download is to be. A path is the file itself; by default it must not be there yet.
///
/// The file is complete and on disk (`fsync`, with its folder on Unix) before it appears under its name. Not of Apple's.
///
/// # Resuming
///
/// A download that stops before it is whole goes on where it was when the same URL is downloaded to the same destination
/// again: after a failure, a cancellation, and after the process was killed or the machine lost power. Until then two
/// files are beside the destination: `.NAME.urlsession-part`, what is already here, and `.NAME.urlsession-note`, what it
/// is resumed by, written at least about every second and never ahead of what is on disk. `NAME` is the name of the file;
/// in a folder it is a hash of the URL, or of the name that the download is [identified by](Self::identified_by). Both
/// go away when the file is whole, and when the server has something else now; an application that gives up removes
/// them, or downloads to that place [`without_resuming`](Self::without_resuming).
///
/// It is resumed only if it was a `GET` with an uncoded answer and a strong validator (RFC 9110 §13.1.5), and if the
/// partial file is still as it was left. Else it begins anew;
/// [`DownloadTask::resume_failure`](crate::DownloadTask::resume_failure) then says why. If the server refuses (403, 404,
/// 503 …), the task fails and what is here is kept, unless the application has another URL
/// ([`DownloadFuture::on_expired_url`](crate::DownloadFuture::on_expired_url)). While one task or process writes the partial file, others
/// that want the same file download it for themselves.
///
/// A disk that is full, after whatever byte, fails the task with
/// [`CannotWriteToFile`](UrlErrorCode::CannotWriteToFile), and what was written is kept; its last block is given up where
/// there would be no space for the note. A file system that takes what is written and says only later, when it is to be on
/// the disk or the file is closed, that it could not keep it, does not say what is lost: only what the note is sure of is
/// kept then. At the closing that is [`CannotCloseFile`](UrlErrorCode::CannotCloseFile).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadDestination {
    path: PathBuf,
    /// Whether the path is a folder, in which the response names the file.
    is_folder: bool,
    existing: Existing,
    resumes: bool,
    require_success_status: bool,
    /// What is downloaded, if its URL does not say.
    name: Option<String>,
}

/// What becomes of a file that is there. It is written in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Existing {
    Fail,
    Overwrite,
    UniqueName,
}

/// A destination as resume data has it.
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
    /// This file, in a folder that is there.
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

    /// Neither goes on with what an earlier download left nor leaves anything when it stops.
    #[must_use]
    pub fn without_resuming(mut self) -> Self {
        self.resumes = false;
        self
    }

    /// Takes only answers of the statuses 200 to 299: any other fails the task, and no file changes. By default whatever is
    /// answered is the file, as in Apple's downloads.
    #[must_use]
    pub fn require_success_status(mut self) -> Self {
        self.require_success_status = true;
        self
    }

    /// Says what is downloaded, in place of the URL: what an earlier download left is gone on with whatever its URL was, if
    /// that name is the same and the server says that it is still the same thing (`If-Range`). For URLs that are signed
    /// for a time, and for one file at several servers. By default the URL must be the same, but for its password and
    /// fragment.
    #[must_use]
    pub fn identified_by(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What the download of this request is told from others by.
    pub(super) fn identity(&self, request: &UrlRequest) -> String {
        match &self.name {
            // No download that is resumed has a URL like that.
            Some(name) => format!("name:{name}"),
            None => identity(request),
        }
    }

    /// Whether the application says what is the same, whatever URL it has.
    pub(super) fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// Whether an answer of this status is not to be the file.
    pub(super) fn refuses(&self, status: u16) -> bool {
        self.require_success_status && !(200..300).contains(&status)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether a file is on its way to the one beside where the other will be.
    pub(super) fn shares_place(&self, other: &Self) -> bool {
        (&self.path, self.is_folder) == (&other.path, other.is_folder)
    }

    pub(super) fn resumes(&self) -> bool {
        self.resumes
    }

    /// Fails if it can be known that publishing will.
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

    /// A file of a name of its own, beside the target.
    pub(super) fn draft(&self, suggested: &str) -> Result<(File, TempPath)> {
        let target = self.target(suggested);
        let folder = folder_of(&target);
        let file = published_drafts().tempfile_in(folder).map_err(|error| {
            let detail = format!("no file can be made in {}", folder.display());
            UrlError::new(UrlErrorCode::CannotCreateFile, Phase::Disk, detail).with_source(error)
        })?;
        Ok(file.into_parts())
    }

    /// A name beside the target for a file that has another one already.
    pub(super) fn second_name(&self, suggested: &str, path: &Path) -> io::Result<TempPath> {
        let named = drafts().make_in(folder_of(&self.target(suggested)), |name| fs::hard_link(path, name))?;
        Ok(named.into_temp_path())
    }

    /// Blocks until the file is on disk under its name. With the file if it cannot be.
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
        // Before anybody sees it. The file itself stays open: it is locked as long.
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
        // The name itself is in the folder. Where folders cannot be synchronised, there is nothing to be done.
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

    /// For resume data: where it is, and nothing of how it is asked for.
    pub(super) fn form(&self) -> DestinationForm {
        // A process may change its folder meanwhile.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        DestinationForm { path: PathForm::of(&path), is_folder: self.is_folder, existing: self.existing }
    }

    fn target(&self, suggested: &str) -> PathBuf {
        if !self.is_folder {
            return self.path.clone();
        }
        // Whatever a server suggests, it is one name in this folder.
        self.path.join(Path::new(suggested).file_name().unwrap_or(OsStr::new("Unknown")))
    }
}

/// Why a file did not get to its destination, and the file.
#[derive(Debug)]
pub(super) struct Unpublished {
    pub(super) error: UrlError,
    pub(super) path: TempPath,
    /// Something that had been written is lost, and nobody says what.
    pub(super) is_late: bool,
}

/// Closes another descriptor of the file. Without one for it there is nothing to hear, and what is on the disk is there.
fn another_closed(file: &File) -> io::Result<()> {
    file.try_clone().map_or(Ok(()), close)
}

/// A file that could not be closed.
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

/// What a download is told from others by: its URL without what is a secret or not sent, and the zone of its host.
pub(super) fn identity(request: &UrlRequest) -> String {
    let url = url_text(request.url());
    match request.effective_zone_id() {
        None => url,
        // No URL is like that.
        Some(zone) => format!("{url} in zone {zone}"),
    }
}

/// A URL without what is a secret or not sent.
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

/// What is published has the permissions of any other file (less the umask).
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

/// Names tried before giving up.
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
