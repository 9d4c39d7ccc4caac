//! A request body that is produced while it is sent.
//!
//! A stream can be read once: who needs it again asks the delegate for a new one. A file is read again. Apple:
//! `httpBodyStream`.

use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::chunks::{Chunks, Joined, Part};
use super::file_body::{FileBody, FileIdentity, Reader};
use super::recycled::Recycled;
use super::{BodyTrailers, InvalidHeaderField, Trailers};
use crate::env::RuntimeHandle;
use crate::error::Result;

/// A body produced while it is sent, of known or unknown length. A clone is the same body.
///
/// Without a length the body is sent in chunks (RFC 9112 §7.1) or as HTTP/2 DATA without `Content-Length`.
#[derive(Clone)]
#[doc(alias = "InputStream")]
#[doc(alias = "httpBodyStream")]
pub struct BodyStream {
    source: Arc<Source>,
    length: Option<u64>,
    trailers: Option<Arc<Trailers>>,
}

enum Source {
    /// Whoever sends it asks the delegate.
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

impl Source {
    /// Whether `take` would give nothing.
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

    /// Whether the body can be taken as often as needed.
    fn is_repeatable(&self) -> bool {
        match self {
            Self::Delegate | Self::Stream(_) => false,
            Self::File(_) => true,
            Self::Pieces(pieces) => pieces.iter().all(|piece| match piece {
                Piece::Data(_) => true,
                Piece::Body(body) => body.source.is_repeatable(),
            }),
            Self::Part(whole, ..) => whole.is_repeatable(),
        }
    }

    /// To be read where one may wait; `None` of a stream that can be taken once, or is asked for.
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

    /// `None` if a stream was taken before, or whoever sends it asks the delegate.
    fn take(&self) -> Option<Chunks> {
        match self {
            Self::Delegate => None,
            Self::Stream(chunks) => chunks.lock().take(),
            Self::File(file) => Some(Box::pin(ReaderStream::new(file.reader()))),
            Self::Pieces(pieces) => {
                let mut joined = Joined::new();
                for piece in pieces {
                    match piece {
                        Piece::Data(data) => joined.data(data.clone()),
                        Piece::Body(body) => joined.chunks(body.source.take()?, body.length),
                    }
                }
                Some(Box::pin(joined))
            }
            Self::Part(whole, start, length) => Some(Box::pin(Part::new(whole.take()?, *start, *length))),
        }
    }
}

impl BodyStream {
    /// A body from a stream of chunks. An error of the stream fails the task and sends nothing further.
    pub fn from_stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let chunks: Chunks = Box::pin(stream);
        Self { source: Arc::new(Source::Stream(Mutex::new(Some(chunks)))), length: None, trailers: None }
    }

    /// A body read from a blocking reader, 64 KiB at first and up to 256 KiB at a time, on threads kept for blocking work.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::from_stream(ReaderStream::new(Waiting(reader)))
    }

    /// A body read from a file. It is as long as the file is now; a file that is another, or changes, before the
    /// body is sent to its end fails the task. It can be sent as often as needed.
    ///
    /// # Errors
    /// [`FileDoesNotExist`](crate::UrlErrorCode::FileDoesNotExist), [`FileIsDirectory`](crate::UrlErrorCode::FileIsDirectory),
    /// [`NoPermissionsToReadFile`](crate::UrlErrorCode::NoPermissionsToReadFile).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let file = FileBody::of(path.as_ref())?;
        let length = Some(file.length());
        Ok(Self { source: Arc::new(Source::File(file)), length, trailers: None })
    }

    /// Whether it is of files and data, so that it can be sent from anywhere as often as needed.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.source.is_repeatable()
    }

    /// All of it, to be read where one may wait; `None` if it can be read only once, or not from here.
    pub(crate) fn reader(&self) -> Option<Box<dyn Read + Send>> {
        self.source.reader()
    }

    /// If it is a file: where that is, and which it was when the body was made.
    pub(crate) fn file(&self) -> Option<(&Path, FileIdentity)> {
        match &*self.source {
            Source::File(file) => file.whole(),
            _ => None,
        }
    }

    /// So many bytes from `start` on, without trailers; `None` if a file has fewer.
    pub(crate) fn part(&self, start: u64, length: u64) -> Option<Self> {
        let source = match &*self.source {
            Source::File(file) => Source::File(file.part(start, length)?),
            _ => Source::Part(self.source.clone(), start, length),
        };
        Some(Self { source: Arc::new(source), length: Some(length), trailers: None })
    }

    /// A body the delegate is asked for when it is needed.
    pub(crate) fn of_delegate() -> Self {
        Self { source: Arc::new(Source::Delegate), length: None, trailers: None }
    }

    /// Whether the chunks of a stream were taken before.
    pub(crate) fn is_spent(&self) -> bool {
        self.source.is_spent()
    }

    /// A body of these, one after the other. It can be sent as often as all of them can.
    pub(super) fn of_pieces(pieces: Vec<Piece>) -> Self {
        let length = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.length()?));
        Self { source: Arc::new(Source::Pieces(pieces)), length, trailers: None }
    }

    pub(crate) fn is_of_delegate(&self) -> bool {
        matches!(*self.source, Source::Delegate)
    }

    /// Says how many bytes the stream has: they are sent with `Content-Length`, and a stream that turns out
    /// shorter or longer fails the task.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// The length in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The same body without its first `bytes` bytes, for an answer to
    /// [`need_new_body_stream_from`](crate::TaskDelegate::need_new_body_stream_from). A file is read from there on;
    /// what a stream gives is thrown away up to there. If there is less than that, sending it fails the task.
    ///
    /// It is the same stream still: taken once, from either.
    #[must_use]
    pub fn skipping(self, bytes: u64) -> Self {
        if bytes == 0 {
            return self;
        }
        let length = self.length.map(|length| length.saturating_sub(bytes));
        let file = match &*self.source {
            Source::File(file) => file.skipping(bytes),
            _ => None,
        };
        let source = file.map_or(Source::Part(self.source, bytes, u64::MAX), Source::File);
        Self { source: Arc::new(source), length, trailers: self.trailers }
    }

    /// Sends fields of these names after the body, made from what is sent each time that it is: after the last chunk on
    /// HTTP/1.1, which then sends in chunks whatever is known of the length, in a HEADERS frame on HTTP/2. The names are
    /// announced in `Trailer`, unless the request has such a field of its own. Other protocols, and forms, do not send
    /// them.
    ///
    /// # Errors
    /// If a field of one of these names may not stand after a body (RFC 9110 §6.5.1), or a name is none.
    pub fn with_trailers<N: Into<Cow<'static, str>>, T: BodyTrailers>(
        mut self,
        names: impl IntoIterator<Item = N>,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Self, InvalidHeaderField> {
        let names = names.into_iter().map(Into::into).collect();
        self.trailers = Some(Arc::new(Trailers::new(names, Box::new(move || Box::new(make())))?));
        Ok(self)
    }

    pub(crate) fn trailers(&self) -> Option<&Arc<Trailers>> {
        self.trailers.as_ref()
    }

    /// The chunks, for a custom protocol that sends them; `None` if those of a stream were taken before.
    pub fn take(&self) -> Option<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>> {
        self.source.take()
    }
}

/// Streams are equal if they are the same.
impl PartialEq for BodyStream {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl Eq for BodyStream {}

impl Hash for BodyStream {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.source).hash(state);
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").field("length", &self.length).finish_non_exhaustive()
    }
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

/// Reads on threads that may wait, unless there is no need to.
struct ReaderStream {
    state: ReaderState,
    buffers: Recycled,
}

/// Where a [`ReaderStream`] reads.
trait Pull: Read + Send {
    /// What can be read without waiting.
    fn read_held(&mut self, buf: &mut [u8]) -> Option<usize>;
}

impl Pull for Reader {
    fn read_held(&mut self, buf: &mut [u8]) -> Option<usize> {
        Self::read_held(self, buf)
    }
}

/// A reader of which nothing is known.
struct Waiting<R>(R);

impl<R: Read> Read for Waiting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read + Send> Pull for Waiting<R> {
    fn read_held(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
}

type Puller = Box<dyn Pull>;
type Reading = Pin<Box<dyn Future<Output = Option<(Puller, io::Result<Bytes>)>> + Send>>;

enum ReaderState {
    Idle(Puller),
    Reading(Reading),
    Done,
}

impl ReaderStream {
    fn new(reader: impl Pull + 'static) -> Self {
        Self { state: ReaderState::Idle(Box::new(reader)), buffers: Recycled::default() }
    }
}

impl Stream for ReaderStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.state, ReaderState::Done) {
                ReaderState::Idle(mut reader) => {
                    let buffers = self.buffers.clone();
                    let mut buffer = buffers.take();
                    if let Some(n) = reader.read_held(&mut buffer) {
                        self.state = ReaderState::Idle(reader);
                        return Poll::Ready(Some(Ok(buffers.chunk(buffer, n))));
                    }
                    let read = move || {
                        let result = read_some(&mut *reader, &mut buffer);
                        (reader, result.map(|n| buffers.chunk(buffer, n)))
                    };
                    let runtime = RuntimeHandle::own();
                    self.state = ReaderState::Reading(Box::pin(async move { runtime.blocking(read).await }));
                }
                ReaderState::Reading(mut reading) => {
                    let Poll::Ready(done) = reading.as_mut().poll(cx) else {
                        self.state = ReaderState::Reading(reading);
                        return Poll::Pending;
                    };
                    let Some((reader, result)) = done else {
                        return Poll::Ready(Some(Err(io::Error::other("the body's reader panicked"))));
                    };
                    if matches!(&result, Ok(chunk) if chunk.is_empty()) {
                        return Poll::Ready(None);
                    }
                    if result.is_ok() {
                        self.state = ReaderState::Idle(reader);
                    }
                    return Poll::Ready(Some(result));
                }
                ReaderState::Done => return Poll::Ready(None),
            }
        }
    }
}

fn read_some(reader: &mut dyn Pull, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
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
