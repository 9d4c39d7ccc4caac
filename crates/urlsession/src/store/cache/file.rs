//! A body in a file: written to a temporary name and renamed when it is whole, checked before it is read, and read
//! where it is wanted if the kernel has it in memory, else beside the reactor.
//!
//! A checksum that was right is not worked out again while length and time of change stay the same. What a disk spoils
//! without a write, after that and in the life of this process, is therefore not noticed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crc32fast::Hasher as Crc;

use crate::body::{Body, BodySource, ReadTarget};
use crate::env::fs::{self, File};
use crate::env::{RuntimeHandle, read_at, read_held};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::BoxFuture;

/// A body on disk, open: it stays readable when it is removed.
pub(crate) struct BodyFile {
    file: File,
    pub(super) length: u64,
    crc: u32,
    /// When it was last written.
    written: Option<SystemTime>,
    /// Whether its checksum has been found right since then.
    is_verified: Arc<AtomicBool>,
}

impl BodyFile {
    pub(super) fn new(
        file: File,
        length: u64,
        crc: u32,
        written: Option<SystemTime>,
        is_verified: Arc<AtomicBool>,
    ) -> Self {
        Self { file, length, crc, written, is_verified }
    }

    /// All of it, if that takes no time: it is short, in the kernel's memory, and known to be as it was written.
    pub(crate) fn held(&self) -> Option<Bytes> {
        if self.length > WHOLE || !self.is_verified.load(Relaxed) {
            return None;
        }
        let data = read_held(&self.file, 0, usize::try_from(self.length).ok()?)?;
        // Looked at afterwards: whoever had begun to write before would be seen.
        self.is_unchanged().then(|| data.into())
    }

    /// The body, checked; `None` if it is damaged. A long one is read as it is pulled.
    pub(crate) async fn body(self: &Arc<Self>, runtime: &RuntimeHandle) -> Option<Body> {
        let file = self.clone();
        if self.length <= WHOLE {
            return runtime.blocking(move || file.read()).await.ok()?.map(|data| Body::whole(data, 0));
        }
        if !self.is_verified.load(Relaxed) || !self.is_unchanged() {
            let is_right = runtime.blocking(move || {
                let is_right = file.checksum().is_ok_and(|crc| crc == file.crc);
                file.settle(is_right);
                is_right
            });
            is_right.await.ok().filter(|is_right| *is_right)?;
        }
        Some(Body::flow(Box::new(FileFlow {
            runtime: runtime.clone(),
            file: self.clone(),
            at: 0,
            reading: None,
        })))
    }

    /// All of it, on this thread; `None` if it is damaged.
    pub(super) fn read(&self) -> Option<Bytes> {
        if self.file.metadata().ok()?.len() != self.length {
            return None;
        }
        let length = usize::try_from(self.length).ok()?;
        let data = match read_held(&self.file, 0, length) {
            Some(data) => data,
            None => read_at(&self.file, 0, length).ok()?,
        };
        if !self.is_verified.load(Relaxed) || !self.is_unchanged() {
            let is_right = checksum_of(&data) == self.crc;
            self.settle(is_right);
            if !is_right {
                return None;
            }
        }
        Some(data.into())
    }

    /// Whether its checksum was found right.
    pub(super) fn is_verified(&self) -> bool {
        self.is_verified.load(Relaxed)
    }

    /// Takes note of a checksum. What was written a moment ago may be written again at the same time, as far as the
    /// file system can tell.
    fn settle(&self, is_right: bool) {
        let is_old = self.written.is_some_and(is_past);
        self.is_verified.store(is_right && is_old && self.is_unchanged(), Relaxed);
    }

    fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| {
            metadata.len() == self.length
                && self.written.is_some()
                && metadata.modified().ok() == self.written
        })
    }

    fn checksum(&self) -> io::Result<u32> {
        if self.file.metadata()?.len() != self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut crc, mut at) = (Crc::new(), 0);
        while at < self.length {
            let piece = self.piece(at)?;
            crc.update(&piece);
            at += piece.len() as u64;
        }
        Ok(crc.finalize())
    }

    fn piece_length(&self, at: u64) -> usize {
        (self.length - at).min(PIECE) as usize
    }

    fn piece(&self, at: u64) -> io::Result<Vec<u8>> {
        read_at(&self.file, at, self.piece_length(at))
    }
}

/// True if no later change can have this time of change.
pub(super) fn is_past(written: SystemTime) -> bool {
    // A time in whole seconds is of a file system that knows no better.
    let is_exact = written.duration_since(UNIX_EPOCH).is_ok_and(|since| since.subsec_nanos() != 0);
    fs::age(written).is_some_and(|age| age > if is_exact { TICK } else { COARSE_TICK })
}

/// True if somebody is writing this body, as far as can be told.
pub(super) fn is_being_written(path: &Path) -> bool {
    let file = fs::options().write(true).open(path);
    file.is_ok_and(|file| file.try_lock().is_err())
}

pub(super) fn checksum_of(data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(data);
    crc.finalize()
}

struct FileFlow {
    runtime: RuntimeHandle,
    file: Arc<BodyFile>,
    at: u64,
    reading: Option<BoxFuture<'static, io::Result<Vec<u8>>>>,
}

impl BodySource for FileFlow {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        if self.at >= self.file.length {
            return Poll::Ready(None);
        }
        let piece = match &mut self.reading {
            Some(reading) => ready!(reading.as_mut().poll(cx)),
            None => match read_held(&self.file.file, self.at, self.file.piece_length(self.at)) {
                Some(piece) => Ok(piece),
                None => {
                    let reading = self.reading.insert(begin(&self.runtime, &self.file, self.at));
                    ready!(reading.as_mut().poll(cx))
                }
            },
        };
        let was_waited_for = self.reading.take().is_some();
        Poll::Ready(Some(match piece {
            Ok(piece) => {
                self.at += piece.len() as u64;
                // Where the disk is waited for, the next piece is read while this one is used.
                if was_waited_for && self.at < self.file.length {
                    let mut ahead = begin(&self.runtime, &self.file, self.at);
                    self.reading = Some(match ahead.as_mut().poll(cx) {
                        Poll::Ready(done) => Box::pin(std::future::ready(done)),
                        Poll::Pending => ahead,
                    });
                }
                Ok(target.put(piece.into()))
            }
            Err(error) => {
                self.at = self.file.length;
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

/// Reads the piece at `at` beside the reactor.
fn begin(runtime: &RuntimeHandle, file: &Arc<BodyFile>, at: u64) -> BoxFuture<'static, io::Result<Vec<u8>>> {
    let (runtime, file) = (runtime.clone(), file.clone());
    Box::pin(async move { runtime.blocking(move || file.piece(at)).await.flatten() })
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
            let mut options = fs::options();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(folder.join(format!("{name}.part"))) {
                Ok(file) => {
                    // Tells others that it is not left by a killed process; where there are no locks its age does.
                    let _ = file.try_lock();
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
        Ok((std::mem::take(&mut self.name), self.length, self.crc.clone().finalize()))
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

/// Longer bodies are read piece by piece.
pub(super) const WHOLE: u64 = 2 * 1024 * 1024;

/// How much is read at a time.
const PIECE: u64 = 256 * 1024;

/// Within this a file may change twice at the same time: two ticks of the slowest kernel.
const TICK: Duration = Duration::from_millis(20);
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Names are random: two of a kind do not happen twice.
const TRIES: usize = 4;
