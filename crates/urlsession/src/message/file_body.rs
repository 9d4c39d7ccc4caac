//! `FileBody`: a file to send, which must stay the file it was when the task was made.
//!
//! It says what to read; when and where it is read is the stream's business.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::env::{read_held_into, read_some};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

#[derive(Clone)]
pub(super) struct FileBody {
    path: PathBuf,
    /// Of the whole file.
    length: u64,
    /// What is sent of it begins here.
    start: u64,
    modified: Option<SystemTime>,
}

impl FileBody {
    /// The file as it is now.
    pub(super) fn of(path: &Path) -> Result<Self> {
        // Opened, not only looked at: whether it may be read is known now.
        let metadata = File::open(path).and_then(|file| file.metadata());
        let metadata = metadata.map_err(|error| unreadable(path, error))?;
        if metadata.is_dir() {
            let detail = format!("{} is a directory and cannot be sent", path.display());
            return Err(UrlError::new(UrlErrorCode::FileIsDirectory, Phase::Request, detail));
        }
        Ok(Self { path: path.into(), length: metadata.len(), start: 0, modified: metadata.modified().ok() })
    }

    /// Of what is sent.
    pub(super) fn length(&self) -> u64 {
        self.length - self.start
    }

    /// The same without its first `offset` bytes; `None` if it has fewer.
    pub(super) fn skipping(&self, offset: u64) -> Option<Self> {
        let start = self.start.checked_add(offset).filter(|start| *start <= self.length)?;
        Some(Self { start, ..self.clone() })
    }

    /// From the beginning of what is sent.
    pub(super) fn reader(&self) -> Reader {
        Reader { body: self.clone(), left: self.length(), file: None }
    }

    fn is_unchanged(&self, now: &Metadata) -> io::Result<()> {
        match now.len() == self.length && now.modified().ok() == self.modified {
            true => Ok(()),
            false => Err(io::Error::other("the file has changed since the task was made")),
        }
    }
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
        let room = usize::try_from(self.left.checked_sub(1)?).unwrap_or(usize::MAX).min(buf.len());
        let n = read_held_into(self.file.as_ref()?, self.body.length - self.left, &mut buf[..room])?;
        self.left -= n as u64;
        Some(n)
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = File::open(&self.body.path)?;
                self.body.is_unchanged(&file.metadata()?)?;
                self.file.insert(file)
            }
        };
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = read_some(file, &mut buf[..room], self.body.length - self.left)?;
        self.left -= n as u64;
        // Before the last bytes are handed over: without them the body is visibly incomplete.
        if n == 0 || self.left == 0 {
            self.body.is_unchanged(&fs::metadata(&self.body.path)?)?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
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
    fn the_rest_of_a_file_is_read_from_where_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        fs::write(&path, "some bytes").unwrap();
        let body = FileBody::of(&path).unwrap();
        let rest = body.skipping(3).unwrap().skipping(2).unwrap();
        assert_eq!((rest.length(), read(&rest).unwrap()), (5, b"bytes".to_vec()));
        let nothing = rest.skipping(5).unwrap();
        assert_eq!((nothing.length(), read(&nothing).unwrap()), (0, Vec::new()));
        assert!(nothing.skipping(1).is_none());
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
