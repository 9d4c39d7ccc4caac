//! `FileBody`: a file to send, which must stay the file it was when the task was made.
//!
//! This module determines what to read; the stream determines when and on which thread.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::env::fs::{self, File, Metadata};
use crate::env::{FileId, read_held_into, read_some};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::FileIdentity;

#[derive(Clone)]
pub(super) struct FileBody {
    path: PathBuf,
    /// Of which file the body is.
    file: FileIdentity,
    /// The part of it that is the body.
    start: u64,
    length: u64,
}

impl FileBody {
    /// The file as it is now.
    pub(super) fn of(path: &Path) -> Result<Self> {
        // Opened, not only looked at: whether it may be read is known now.
        let opened = fs::open(path).and_then(|file| {
            let metadata = file.metadata()?;
            Ok((FileId::of(&file, &metadata)?, metadata))
        });
        // Windows opens no folder as a file.
        let is_folder = opened.as_ref().map_or_else(|_| fs::is_dir(path), |(_, metadata)| metadata.is_dir());
        if is_folder {
            let detail = format!("{} is a directory and cannot be sent", path.display());
            return Err(UrlError::new(UrlErrorCode::FileIsDirectory, Phase::Request, detail));
        }
        let (id, metadata) = opened.map_err(|error| unreadable(path, error))?;
        let file = identity(id, &metadata);
        Ok(Self { path: path.into(), file, start: 0, length: file.length })
    }

    /// A part of it; `None` if it is not within it.
    pub(super) fn part(&self, start: u64, length: u64) -> Option<Self> {
        let is_within = start.checked_add(length).is_some_and(|end| end <= self.length);
        is_within.then(|| Self { start: self.start + start, length, ..self.clone() })
    }

    /// Where it is and which it is, if all of it is sent.
    pub(super) fn whole(&self) -> Option<(&Path, FileIdentity)> {
        (self.length == self.file.length).then_some((&*self.path, self.file))
    }

    /// Of what is sent.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The same without its first `offset` bytes; `None` if it has fewer.
    pub(super) fn skipping(&self, offset: u64) -> Option<Self> {
        self.part(offset, self.length.checked_sub(offset)?)
    }

    /// From the beginning of what is sent.
    pub(super) fn reader(&self) -> Reader {
        Reader { body: self.clone(), left: self.length, file: None }
    }

    fn is_unchanged(&self, (id, metadata): (FileId, Metadata)) -> io::Result<()> {
        match identity(id, &metadata) == self.file {
            true => Ok(()),
            false => {
                let detail = format!("the file {} changed since the task was made", self.path.display());
                Err(io::Error::other(detail))
            }
        }
    }
}

fn identity(id: FileId, metadata: &Metadata) -> FileIdentity {
    let modified = metadata.modified().ok();
    FileIdentity { place: (id.device, id.inode), length: metadata.len(), modified }
}

fn unreadable(path: &Path, error: io::Error) -> UrlError {
    let (code, what) = match error.kind() {
        io::ErrorKind::NotFound => (UrlErrorCode::FileDoesNotExist, "does not exist"),
        io::ErrorKind::PermissionDenied => (UrlErrorCode::NoPermissionsToReadFile, "may not be read"),
        _ => (UrlErrorCode::CannotOpenFile, "cannot be opened"),
    };
    UrlError::new(code, Phase::Request, format!("{} {what}", path.display())).with_source(error)
}

/// Opens the file with its first read, and looks at it again with its last.
pub(super) struct Reader {
    body: FileBody,
    left: u64,
    file: Option<File>,
}

impl Reader {
    /// What the kernel has in memory, without waiting; `None` if somebody should wait for it.
    pub(super) fn read_held(&mut self, buf: &mut [u8]) -> Option<usize> {
        // The last bytes are not handed over without another look at the file.
        let space = usize::try_from(self.left.checked_sub(1)?).unwrap_or(usize::MAX).min(buf.len());
        let n = read_held_into(self.file.as_ref()?, self.position(), &mut buf[..space])?;
        self.left -= n as u64;
        Some(n)
    }

    fn position(&self) -> u64 {
        self.body.start + (self.body.length - self.left)
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let position = self.position();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = fs::open(&self.body.path)?;
                let metadata = file.metadata()?;
                self.body.is_unchanged((FileId::of(&file, &metadata)?, metadata))?;
                self.file.insert(file)
            }
        };
        let space = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = read_some(file, &mut buf[..space], position)?;
        self.left -= n as u64;
        // Before the last bytes are handed over: without them the body is visibly incomplete.
        if n == 0 || self.left == 0 {
            self.body.is_unchanged(FileId::at(&self.body.path)?)?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;

    fn read(body: &FileBody) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        body.reader().read_to_end(&mut data).map(|_| data)
    }

    #[test]
    fn a_file_is_read_as_often_as_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "some bytes").unwrap();
        let body = FileBody::of(&path).unwrap();
        assert_eq!(body.length(), 10);
        assert_eq!(read(&body).unwrap(), b"some bytes");
        assert_eq!(read(&body).unwrap(), b"some bytes");
    }

    #[test]
    fn a_part_of_a_file_is_read_from_where_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "some bytes").unwrap();
        let body = FileBody::of(&path).unwrap();
        let part = body.part(5, 4).unwrap();
        assert_eq!((part.length(), read(&part).unwrap()), (4, b"byte".to_vec()));
        assert_eq!(read(&part.part(1, 2).unwrap()).unwrap(), b"yt");
        assert!(body.part(5, 6).is_none() && part.part(u64::MAX, 1).is_none());
        fs::write(&path, "same bytes").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(read(&part).is_err(), "another file");
    }

    #[test]
    fn a_file_that_changed_or_went_away_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "some bytes").unwrap();
        let body = FileBody::of(&path).unwrap();
        fs::write(&path, "fewer").unwrap();
        assert!(read(&body).is_err());
        fs::remove_file(&path).unwrap();
        assert!(read(&body).is_err());
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_fails_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "some bytes").unwrap();
        let body = FileBody::of(&path).unwrap();
        let mut reader = body.reader();
        let mut buf = [0; 9];
        assert_eq!(reader.read(&mut buf).unwrap(), 9);
        // Of the same length: only its time tells.
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(reader.read(&mut buf).is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let code = |path: &Path| FileBody::of(path).err().unwrap().code();
        assert_eq!(code(&folder.path().join("missing")), UrlErrorCode::FileDoesNotExist);
        assert_eq!(code(folder.path()), UrlErrorCode::FileIsDirectory);
    }
}
