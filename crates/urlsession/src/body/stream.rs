//! What request bodies are made of that are produced while they are sent: streams, readers, files, several of them one after
//! the other, and parts of them.
//!
//! A stream can be read once; to send it again, the task requests a new stream from the delegate. A file is read again.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::chunks::{Joined, Part};
use super::file::FileBody;
use super::reader::ReaderStream;
use crate::error::Result;
use crate::message::{BodyStream, Chunks, FileIdentity, StreamSource};

enum Source {
    /// The sender requests the stream from the delegate.
    Delegate,
    Stream(Mutex<Option<Chunks>>),
    File(FileBody),
    /// One after the other.
    Pieces(Vec<Piece>),
    /// From this byte on, and no more bytes than these.
    Part(Arc<Self>, u64, u64),
}

/// A piece of a body.
pub(super) enum Piece {
    Data(Bytes),
    Body(BodyStream),
}

impl Piece {
    fn length(&self) -> Option<u64> {
        match self {
            Self::Data(data) => Some(data.len() as u64),
            Self::Body(body) => body.length(),
        }
    }
}

impl StreamSource for Source {
    fn is_spent(&self) -> bool {
        match self {
            Self::Delegate => true,
            Self::Stream(chunks) => chunks.lock().is_none(),
            Self::File(_) => false,
            Self::Pieces(pieces) => pieces.iter().any(|piece| match piece {
                Piece::Data(_) => false,
                Piece::Body(body) => body.is_spent(),
            }),
            Self::Part(whole, ..) => whole.is_spent(),
        }
    }

    fn is_repeatable(&self) -> bool {
        match self {
            Self::Delegate | Self::Stream(_) => false,
            Self::File(_) => true,
            Self::Pieces(pieces) => pieces.iter().all(|piece| match piece {
                Piece::Data(_) => true,
                Piece::Body(body) => body.is_repeatable(),
            }),
            Self::Part(whole, ..) => whole.is_repeatable(),
        }
    }

    fn is_of_delegate(&self) -> bool {
        matches!(self, Self::Delegate)
    }

    fn reader(&self) -> Option<Box<dyn Read + Send>> {
        match self {
            Self::Delegate | Self::Stream(_) => None,
            Self::File(file) => Some(Box::new(file.reader())),
            Self::Pieces(pieces) => {
                let reader = |piece: &Piece| match piece {
                    Piece::Data(data) => {
                        Some(Box::new(io::Cursor::new(data.clone())) as Box<dyn Read + Send>)
                    }
                    Piece::Body(body) => body.reader(),
                };
                let readers: VecDeque<_> = pieces.iter().map(reader).collect::<Option<_>>()?;
                Some(Box::new(Sequence(readers)))
            }
            Self::Part(whole, start, length) => {
                Some(Box::new(After { reader: whole.reader()?, skips: *start }.take(*length)))
            }
        }
    }

    fn file(&self) -> Option<(&Path, FileIdentity)> {
        match self {
            Self::File(file) => file.whole(),
            _ => None,
        }
    }

    fn part(self: Arc<Self>, start: u64, length: u64) -> Option<Arc<dyn StreamSource>> {
        Some(Arc::new(match &*self {
            Self::File(file) => Self::File(file.part(start, length)?),
            _ => Self::Part(self, start, length),
        }))
    }

    fn skipping(self: Arc<Self>, bytes: u64) -> Arc<dyn StreamSource> {
        let file = match &*self {
            Self::File(file) => file.skipping(bytes),
            _ => None,
        };
        Arc::new(file.map_or_else(|| Self::Part(self, bytes, u64::MAX), Self::File))
    }

    fn take(&self) -> Option<Chunks> {
        match self {
            Self::Delegate => None,
            Self::Stream(chunks) => chunks.lock().take(),
            Self::File(file) => Some(Box::pin(ReaderStream::of_file(file.reader()))),
            Self::Pieces(pieces) => {
                let mut joined = Joined::new();
                for piece in pieces {
                    match piece {
                        Piece::Data(data) => joined.data(data.clone()),
                        Piece::Body(body) => joined.chunks(body.take()?, body.length()),
                    }
                }
                Some(Box::pin(joined))
            }
            Self::Part(whole, start, length) => Some(Box::pin(Part::new(whole.take()?, *start, *length))),
        }
    }
}

impl BodyStream {
    /// Creates a body from a stream of chunks. If the stream returns an error, the task fails and nothing more is sent.
    pub fn from_stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let chunks: Chunks = Box::pin(stream);
        Self::of(Arc::new(Source::Stream(Mutex::new(Some(chunks)))), None)
    }

    /// Creates a body from a blocking reader. The reader is called on threads for blocking work, with 64 KiB at first and
    /// up to 256 KiB at a time.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::from_stream(ReaderStream::of(reader))
    }

    /// Creates a body from a file. The length of the body is the current length of the file. If the file is replaced or
    /// changed before the body is completely sent, the task fails. The body can be sent repeatedly.
    ///
    /// # Errors
    /// [`FileDoesNotExist`](crate::UrlErrorCode::FileDoesNotExist), [`FileIsDirectory`](crate::UrlErrorCode::FileIsDirectory),
    /// [`NoPermissionsToReadFile`](crate::UrlErrorCode::NoPermissionsToReadFile).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let file = FileBody::of(path.as_ref())?;
        let length = Some(file.length());
        Ok(Self::of(Arc::new(Source::File(file)), length))
    }

    /// A body the delegate is asked for when it is needed.
    pub(crate) fn of_delegate() -> Self {
        Self::of(Arc::new(Source::Delegate), None)
    }
}

/// A body of these, one after the other. It can be sent as often as all of them can.
pub(super) fn of_pieces(pieces: Vec<Piece>) -> BodyStream {
    let length = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.length()?));
    BodyStream::of(Arc::new(Source::Pieces(pieces)), length)
}

/// One reader after the other.
struct Sequence(VecDeque<Box<dyn Read + Send>>);

impl Read for Sequence {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = self.0.front_mut() {
            let n = first.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

/// What comes after so many bytes.
struct After<R> {
    reader: R,
    skips: u64,
}

impl<R: Read> Read for After<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.skips > 0 {
            io::copy(&mut self.reader.by_ref().take(std::mem::take(&mut self.skips)), &mut io::sink())?;
        }
        self.reader.read(buf)
    }
}

/// One chunk of data as a stream: what a [`BodyStream`] of known bytes is made of.
struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl From<Bytes> for BodyStream {
    fn from(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::from_stream(Once(Some(bytes))).with_length(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::block_on;

    fn collect(stream: &BodyStream) -> io::Result<Vec<u8>> {
        let mut chunks = stream.take().unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = block_on(std::future::poll_fn(|cx| chunks.as_mut().poll_next(cx))) {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    #[test]
    fn a_reader_is_read_to_its_end() {
        let data = (0..200_000u32).map(|i| i as u8).collect::<Vec<_>>();
        assert_eq!(collect(&BodyStream::from_reader(io::Cursor::new(data.clone()))).unwrap(), data);
    }

    #[test]
    fn a_stream_is_taken_once() {
        let stream = BodyStream::from(Bytes::from_static(b"x"));
        assert!(stream.clone().take().is_some());
        assert!(stream.take().is_none());
    }

    #[test]
    fn the_beginning_of_a_body_is_skipped_whatever_it_is_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        let data = (0..150_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        std::fs::write(&path, &data).unwrap();
        for offset in [0, 1, 65_536, 70_000, 149_999, 150_000] {
            let rest = &data[offset as usize..];
            let file = BodyStream::from_file(&path).unwrap().skipping(offset);
            assert_eq!((file.length(), collect(&file).unwrap()), (Some(rest.len() as u64), rest.to_vec()));
            assert_eq!(collect(&file).unwrap(), rest, "a file is read again");
            let stream = BodyStream::from_reader(io::Cursor::new(data.clone())).skipping(offset);
            assert_eq!((stream.length(), collect(&stream).unwrap()), (None, rest.to_vec()));
            let known = BodyStream::from(Bytes::from(data.clone())).skipping(offset);
            assert_eq!((known.length(), collect(&known).unwrap()), (Some(rest.len() as u64), rest.to_vec()));
        }
        assert!(collect(&BodyStream::from_file(&path).unwrap().skipping(150_001)).is_err());
        assert!(collect(&BodyStream::from_reader(&b"abc"[..]).skipping(4)).is_err());
    }

    #[test]
    fn a_reader_that_fails_gives_its_error() {
        struct Bad;
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("worn out"))
            }
        }
        assert_eq!(collect(&BodyStream::from_reader(Bad)).unwrap_err().to_string(), "worn out");
    }
}
