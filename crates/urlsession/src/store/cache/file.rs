//! A body in a file: written to a temporary name and renamed when it is whole, checked before it is read, and read
//! piece by piece beside the reactor.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::Crc;

use crate::env::Place;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BoxFuture, Flow};

/// A body that is too large to be held in memory, open: it stays readable when it is removed.
pub(crate) struct BodyFile {
    file: Mutex<Option<File>>,
    pub(super) length: u64,
    pub(super) crc: u32,
    /// Has its checksum been found right since it was last written?
    pub(super) is_verified: Arc<AtomicBool>,
}

impl BodyFile {
    pub(super) fn new(file: File, length: u64, crc: u32, is_verified: Arc<AtomicBool>) -> Self {
        Self { file: Mutex::new(Some(file)), length, crc, is_verified }
    }

    /// Is every byte of it as it was written? Reads it all, the first time.
    pub(crate) async fn is_whole(&self, place: &Place) -> bool {
        if self.is_verified.load(Relaxed) {
            return true;
        }
        let Some(mut file) = self.take() else { return false };
        let (length, crc) = (self.length, self.crc);
        let checked = place.blocking(move || {
            let is_right = checksum(&mut file, length).is_ok_and(|found| found == crc);
            (is_right && file.rewind().is_ok(), file)
        });
        let Some((is_right, file)) = checked.await else { return false };
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        self.is_verified.store(is_right, Relaxed);
        is_right
    }

    /// The body, read as it is pulled; once.
    pub(crate) fn flow(&self, place: &Place) -> Option<Box<dyn Flow>> {
        let file = self.take()?;
        Some(Box::new(FileFlow { place: place.clone(), file: Some(file), reading: None, left: self.length }))
    }

    /// All of it, on this thread.
    pub(super) fn read(&self) -> Option<Bytes> {
        let mut file = self.take()?;
        file.rewind().ok()?;
        read_whole(&mut file, self.length, self.crc)
    }

    fn take(&self) -> Option<File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The whole of a file, if it has this length and checksum.
pub(super) fn read_whole(file: &mut File, length: u64, crc: u32) -> Option<Bytes> {
    if file.metadata().ok()?.len() != length {
        return None;
    }
    let mut data = Vec::with_capacity(usize::try_from(length).ok()?);
    file.take(length).read_to_end(&mut data).ok()?;
    (data.len() as u64 == length && checksum_of(&data) == crc).then(|| data.into())
}

pub(super) fn checksum_of(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.sum()
}

fn checksum(file: &mut File, length: u64) -> io::Result<u32> {
    let (mut crc, mut read, mut buffer) = (Crc::new(), 0, vec![0; PIECE]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                crc.update(&buffer[..n]);
                read += n as u64;
            }
        }
    }
    if read == length { Ok(crc.sum()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

struct FileFlow {
    place: Place,
    file: Option<File>,
    reading: Option<BoxFuture<'static, (io::Result<Bytes>, Option<File>)>>,
    left: u64,
}

impl FileFlow {
    fn begin(&mut self) {
        if let Some(mut file) = self.file.take().filter(|_| self.left > 0) {
            let (place, wanted) = (self.place.clone(), self.left.min(PIECE as u64));
            self.reading = Some(Box::pin(async move {
                let read = place.blocking(move || (read_piece(&mut file, wanted), Some(file)));
                read.await.unwrap_or_else(|| (Err(io::Error::other("the runtime is shutting down")), None))
            }));
        }
    }
}

impl Flow for FileFlow {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.reading.is_none() {
            self.begin();
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let (piece, file) = ready!(reading.as_mut().poll(cx));
        (self.reading, self.file) = (None, file);
        Poll::Ready(Some(match piece {
            Ok(piece) => {
                self.left -= piece.len() as u64;
                // The next piece is read while this one is used.
                self.begin();
                if let Some(ahead) = &mut self.reading
                    && let Poll::Ready(done) = ahead.as_mut().poll(cx)
                {
                    self.reading = Some(Box::pin(std::future::ready(done)));
                }
                Ok(piece)
            }
            Err(error) => {
                (self.left, self.file) = (0, None);
                let detail = "the cached body could not be read any more";
                Err(UrlError::new(UrlErrorCode::ResourceUnavailable, Phase::Disk, detail).with_source(error))
            }
        }))
    }

    fn wire_bytes(&self) -> u64 {
        0
    }

    fn sent_late(&self) -> u64 {
        0
    }

    fn finish(self: Box<Self>) {}
}

fn read_piece(file: &mut File, wanted: u64) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(wanted as usize);
    file.take(wanted).read_to_end(&mut piece)?;
    if piece.len() as u64 == wanted { Ok(piece.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A body file being written. Dropped before it is finished, it is removed.
pub(super) struct BodyWriter {
    folder: PathBuf,
    name: String,
    file: File,
    length: u64,
    crc: Crc,
    is_finished: bool,
}

impl BodyWriter {
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let name = format!("{:016x}", RandomState::new().build_hasher().finish());
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(folder.join(format!("{name}.part"))) {
                Ok(file) => {
                    let folder = folder.to_owned();
                    return Ok(Self { folder, name, file, length: 0, crc: Crc::new(), is_finished: false });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.crc.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    /// Gives it its name, which nobody knows before. Name, length and checksum.
    pub(super) fn finish(mut self) -> io::Result<(String, u64, u32)> {
        fs::rename(self.temporary(), self.folder.join(&self.name))?;
        self.is_finished = true;
        Ok((std::mem::take(&mut self.name), self.length, self.crc.sum()))
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join(format!("{}.part", self.name))
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // Not being there any more is as good.
            let _ = fs::remove_file(self.temporary());
        }
    }
}

/// How much is read at a time.
const PIECE: usize = 256 * 1024;

/// Names are random: two of a kind do not happen twice.
const TRIES: usize = 4;
