//! `ReaderStream`: the chunks of a blocking reader or a file, read on threads kept for blocking work.
//!
//! The buffers of one body are used again when the wire has done with what was in them: a fresh one for each chunk would
//! have to be zeroed and faulted in each time.

use parking_lot::Mutex;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::file::Reader;
use crate::env::RuntimeHandle;

/// Reads on threads that may wait, unless there is no need to.
pub(super) struct ReaderStream {
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
type Reading = Pin<Box<dyn Future<Output = io::Result<(Puller, io::Result<Bytes>)>> + Send>>;

enum ReaderState {
    Idle(Puller),
    Reading(Reading),
    Done,
}

impl ReaderStream {
    /// A reader of which nothing is known.
    pub(super) fn of(reader: impl Read + Send + 'static) -> Self {
        Self::new(Waiting(reader))
    }

    /// A file, or a part of it.
    pub(super) fn of_file(file: Reader) -> Self {
        Self::new(file)
    }

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
                    let runtime = match RuntimeHandle::own() {
                        Ok(runtime) => runtime,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    self.state = ReaderState::Reading(Box::pin(async move { runtime.blocking(read).await }));
                }
                ReaderState::Reading(mut reading) => {
                    let Poll::Ready(done) = reading.as_mut().poll(cx) else {
                        self.state = ReaderState::Reading(reading);
                        return Poll::Pending;
                    };
                    let (reader, result) = match done {
                        Ok(done) => done,
                        Err(error) => return Poll::Ready(Some(Err(error))),
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

/// The buffers of one body. The first has [`FIRST`] bytes, in which most bodies end; later ones twice as many as the one
/// before, up to [`MOST`].
#[derive(Clone, Default)]
struct Recycled(Arc<Mutex<Free>>);

#[derive(Default)]
struct Free {
    buffers: Vec<Box<[u8]>>,
    /// Bytes of the last one that was made.
    size: usize,
}

impl Recycled {
    fn take(&self) -> Box<[u8]> {
        let mut free = self.0.lock();
        if free.size == MOST
            && let Some(buffer) = free.buffers.pop()
        {
            return buffer;
        }
        free.size = (2 * free.size).clamp(FIRST, MOST);
        vec![0; free.size].into_boxed_slice()
    }

    /// The first `length` bytes of a buffer, which comes back when they are dropped.
    fn chunk(&self, data: Box<[u8]>, length: usize) -> Bytes {
        Bytes::from_owner(Lent { data, length, home: self.clone() })
    }

    fn put(&self, data: Box<[u8]>) {
        let mut free = self.0.lock();
        if data.len() == MOST && free.buffers.len() < MAX_FREE {
            free.buffers.push(data);
        }
    }
}

struct Lent {
    data: Box<[u8]>,
    length: usize,
    home: Recycled,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.data[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.data));
    }
}

const FIRST: usize = 64 * 1024;

/// As many as one system call writes.
const MOST: usize = 256 * 1024;

/// As many as HTTP/2 has on their way.
const MAX_FREE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_chunk_is_dropped() {
        let recycled = Recycled::default();
        let sizes: Vec<_> = (0..2).map(|_| recycled.take().len()).collect();
        assert_eq!(sizes, [FIRST, 2 * FIRST]);
        let first = recycled.take();
        let place = first.as_ptr();
        assert_eq!(first.len(), MOST);
        let chunk = recycled.chunk(first, 5);
        assert_eq!(chunk.len(), 5);
        let part = chunk.slice(2..);
        drop(chunk);
        let other = recycled.take();
        assert_ne!(other.as_ptr(), place, "a part of it is still on its way");
        drop(part);
        let again = recycled.take();
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn small_buffers_are_not_used_again() {
        let recycled = Recycled::default();
        let small = recycled.take();
        drop(recycled.chunk(small, 5));
        let sizes: Vec<_> = (0..3).map(|_| recycled.take().len()).collect();
        assert_eq!(sizes, [2 * FIRST, MOST, MOST]);
    }
}
