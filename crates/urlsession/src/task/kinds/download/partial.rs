//! Partial files: their names, the locks of their writers, and whether they are unchanged. `partial_file` reads and writes
//! a partial file.
//!
//! A download to a destination is written to `.NAME.urlsession-part` beside it; the resume information is in
//! `.NAME.urlsession-note`. In a folder where the response names the file, `NAME` is a hash of the text that distinguishes
//! the download from others, usually its URL. The writer holds a lock on the partial file, which is released when its
//! process is killed.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::resume_info::{PartialLocation, ResumeRecord};
use crate::env::FileId;
use crate::env::fs::{self, File, OpenOptions, TryLockError};
use crate::message::{ResumeData, ResumeFailure};
use crate::task::destination::DownloadDestination;

/// Where the unfinished file of a download to a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) part: PathBuf,
    pub(super) note: PathBuf,
}

impl Names {
    /// `None` if the destination does not permit resuming.
    pub(super) fn of(destination: &DownloadDestination, identity: &str) -> Option<Self> {
        if destination.resumes() { Self::beside(destination, identity) } else { None }
    }

    /// Also for a destination that does not permit resuming.
    pub(super) fn beside(destination: &DownloadDestination, identity: &str) -> Option<Self> {
        // The process may change its current folder later.
        let path = std::path::absolute(destination.path()).ok()?;
        let (folder, name) = match destination.is_folder() {
            true => (&*path, hashed(identity.as_bytes())),
            false => {
                let name = path.file_name()?;
                // File systems allow 255 bytes.
                let is_long = name.len() > MOST_NAME;
                let name = if is_long { hashed(name.as_encoded_bytes()) } else { name.to_owned() };
                (path.parent()?, name)
            }
        };
        let named = |suffix: &str| {
            let mut all = OsString::from(".");
            all.push(&name);
            all.push(suffix);
            folder.join(all)
        };
        Some(Self { part: named(PART), note: named(NOTE) })
    }

    /// The content of the note; `None` if there is no note, or no readable one.
    pub(super) fn noted(&self) -> Option<ResumeRecord> {
        let mut bytes = Vec::new();
        let file = open(&self.note, fs::options().read(true)).ok()?;
        if !is_ours(&file, &self.note) {
            return None;
        }
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST_NOTE), &mut bytes).ok()?;
        ResumeRecord::open(&ResumeData::try_from(bytes).ok()?).ok()
    }

    /// Writes the note in one step. The bytes that it describes must be on disk before.
    pub(super) fn write(&self, data: &ResumeData) -> io::Result<()> {
        // The lock on the partial file protects this name, too. The name is always the same, so that a killed process
        // leaves at most one such file. Anything that has this name, also a link or a pipe, is removed and never opened.
        let mut new = self.note.clone().into_os_string();
        new.push(".new");
        let _ = fs::remove_file(&new);
        let mut options = fs::options();
        // A URL may contain a secret.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = open(Path::new(&new), options.write(true).create_new(true))?;
        let written = file
            .write_all(data.as_bytes())
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(&new, &self.note));
        if written.is_err() {
            let _ = fs::remove_file(new);
        }
        written
    }

    pub(super) fn forget(&self) {
        let _ = fs::remove_file(&self.note);
    }

    /// The partial file, empty and locked; `None` if another writer has it.
    pub(super) fn take(&self) -> io::Result<Option<File>> {
        for _ in 0..TRIES {
            let mut options = fs::options();
            let new = open(&self.part, options.read(true).write(true).create_new(true));
            let file = match new {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let file = match open(&self.part, fs::options().read(true).write(true)) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        file => file?,
                    };
                    if !is_ours(&file, &self.part) {
                        return Ok(None);
                    }
                    file
                }
                new => new?,
            };
            if !lock(&file)? {
                return Ok(None);
            }
            // The previous writer may have moved it to its destination.
            if is_at(&file, &self.part) {
                self.forget();
                file.set_len(0)?;
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Removes what an earlier download left, unless another writer has it.
    pub(super) fn remove(&self) {
        let Ok(file) = open(&self.part, fs::options().read(true).write(true)) else { return };
        if lock(&file).unwrap_or(false) && is_at(&file, &self.part) {
            self.forget();
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The noted partial file, locked.
pub(super) fn reopen(noted: &ResumeRecord) -> Result<(PathBuf, Option<Names>, File), ResumeFailure> {
    let (path, names) = match &noted.place {
        PartialLocation::Temporary(name) => (temporary(name).ok_or(ResumeFailure::PartialMissing)?, None),
        PartialLocation::Destined(destination) => {
            let names =
                Names::of(destination, &noted.resume_info.identity).ok_or(ResumeFailure::NotResumable)?;
            (names.part.clone(), Some(names))
        }
    };
    let file = open(&path, fs::options().read(true).write(true)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ResumeFailure::PartialMissing,
        _ => ResumeFailure::PartialDamaged,
    })?;
    if !lock(&file).unwrap_or(false) {
        return Err(ResumeFailure::PartialInUse);
    }
    if !is_at(&file, &path) {
        return Err(ResumeFailure::PartialMissing);
    }
    match noted.stamp.fits(&file) {
        Ok(true) if is_ours(&file, &path) => Ok((path, names, file)),
        _ => Err(ResumeFailure::PartialDamaged),
    }
}

/// The path of a temporary file of this library by its name, which never leads to another folder.
fn temporary(name: &str) -> Option<PathBuf> {
    let is_ours = name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1);
    let is_name = Path::new(name).file_name() == Some(OsStr::new(name));
    (is_ours && is_name).then(|| std::env::temp_dir().join(name))
}

/// Opens the file of this name itself, not the target of a link. Anything but a regular file is an error, and opening it
/// does not block.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe would block, and a terminal would become that of the process.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the partial file is not a regular file"));
    }
    Ok(file)
}

/// False if another writer has it. An error where files cannot be locked, because then no other writer can be excluded.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether this file is the one of that name.
fn is_at(file: &File, path: &Path) -> bool {
    let open = file.metadata().and_then(|metadata| FileId::of(file, &metadata));
    matches!((open, FileId::at_itself(path)), (Ok(open), Ok(there)) if open == there)
}

/// Whether the file belongs to this user. In a folder where others may write, another user could place a partial file with
/// a matching note there, which would become the beginning of a trusted file.
#[cfg(unix)]
fn is_ours(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of a new file in the same folder is this user.
    let ours = path.parent().and_then(|folder| fs::unnamed_in(folder).ok());
    let owner = |file: &File| file.metadata().ok().map(|metadata| metadata.uid());
    ours.as_ref().and_then(owner).is_some_and(|us| owner(file) == Some(us))
}

#[cfg(not(unix))]
fn is_ours(_: &File, _: &Path) -> bool {
    true
}

fn hashed(bytes: &[u8]) -> OsString {
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}

/// Prefix and suffix of temporary files of downloads.
pub(super) const TEMPORARY: (&str, &str) = ("urlsession-", ".tmp");
const PART: &str = ".urlsession-part";
const NOTE: &str = ".urlsession-note";
const MOST_NAME: usize = 200;
/// A longer note was not written by this library.
const LONGEST_NOTE: u64 = 1024 * 1024;
/// How often a file may vanish between being opened and being locked.
const TRIES: usize = 8;

#[cfg(test)]
mod tests {
    use std::fs;

    #[cfg(unix)]
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn names(folder: &Path) -> Names {
        Names::of(&folder.join("a.iso").into(), "http://a/").unwrap()
    }

    #[test]
    fn names_are_stable_and_short_enough() {
        let part = |destination: &DownloadDestination| {
            Names::of(destination, "https://example.com/x").map(|names| names.part)
        };
        // On Windows an absolute path begins with a drive.
        let absolute = |path| std::path::absolute(path).unwrap();
        assert_eq!(part(&"/d/a.iso".into()), Some(absolute("/d/.a.iso.urlsession-part")));
        assert_eq!(part(&DownloadDestination::file("/d/a.iso").without_resuming()), None);
        let long = part(&format!("/d/{}", "x".repeat(255)).into()).unwrap();
        assert!(long.file_name().unwrap().len() < 100);
        let folder = part(&DownloadDestination::in_folder("/d")).unwrap();
        assert_eq!(folder.parent(), Some(&*absolute("/d")));
        assert_eq!(part(&DownloadDestination::in_folder("/d")), Some(folder));
        assert!(part(&"/".into()).is_none());
    }

    #[test]
    fn a_partial_file_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let names = names(folder.path());
        let mut first = names.take().unwrap().unwrap();
        assert!(names.take().unwrap().is_none());
        first.write_all(b"kept").unwrap();
        names.remove();
        assert!(names.part.exists());
        fs::rename(&names.part, folder.path().join("a.iso")).unwrap();
        let second = names.take().unwrap().unwrap();
        assert_eq!(second.metadata().unwrap().len(), 0);
        drop((first, second));
        names.remove();
        assert_eq!(fs::read(folder.path().join("a.iso")).unwrap(), b"kept");
        assert!(!names.part.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_a_partial_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let names = names(folder.path());
        fs::write(folder.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("precious"), &names.part).unwrap();
        assert!(names.take().is_err());
        assert_eq!(fs::read(folder.path().join("precious")).unwrap(), b"x");
    }

    #[cfg(unix)]
    fn make_pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.is_ok_and(|status| status.success()));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_a_socket_or_a_folder_in_place_of_a_sidecar_is_not_waited_for() {
        let make: [fn(&Path); 3] = [
            make_pipe,
            |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            |path| fs::create_dir(path).unwrap(),
        ];
        for make in make {
            let folder = tempfile::tempdir().unwrap();
            let names = names(folder.path());
            make(&names.part);
            make(&names.note);
            assert!(names.take().is_err() && names.noted().is_none());
            names.remove();
            assert!(names.part.exists());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_note_replaces_a_link_or_a_pipe_and_follows_neither() {
        use crate::message::codec::{RecordKind, tests::sealed};
        let data = ResumeData::try_from(sealed(RecordKind::Download, 1, b"")).unwrap();
        for is_pipe in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (names, precious) = (names(folder.path()), folder.path().join("precious"));
            fs::write(&precious, "x").unwrap();
            let new = folder.path().join(".a.iso.urlsession-note.new");
            for path in [&names.note, &new] {
                match is_pipe {
                    true => make_pipe(path),
                    false => std::os::unix::fs::symlink(&precious, path).unwrap(),
                }
            }
            names.write(&data).unwrap();
            let metadata = fs::symlink_metadata(&names.note).unwrap();
            assert!(metadata.is_file() && metadata.mode() & 0o777 == 0o600);
            assert_eq!(fs::read(&names.note).unwrap(), data.as_bytes());
            assert_eq!(fs::read(&precious).unwrap(), b"x");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_partial_file_of_another_user_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let names = names(folder.path());
        fs::write(&names.part, "planted").unwrap();
        if std::os::unix::fs::chown(&names.part, Some(12_345), None).is_err() {
            eprintln!("skipped: no right to give a file away");
            return;
        }
        assert!(names.take().unwrap().is_none());
        assert_eq!(fs::read(&names.part).unwrap(), b"planted");
        std::os::unix::fs::chown(&names.part, Some(fs::metadata(folder.path()).unwrap().uid()), None)
            .unwrap();
        assert!(names.take().unwrap().is_some());
    }

    #[test]
    fn a_temporary_name_leads_nowhere_else() {
        assert!(temporary("urlsession-x.tmp").is_some());
        for name in ["/etc/passwd", "urlsession-/../x.tmp", "urlsession-", "x.tmp", "..", ""] {
            assert!(temporary(name).is_none(), "{name}");
        }
    }
}
