//! `FuturesReader` and `BlockingReader`: a body for readers that use other traits than tokio's.

use std::future::poll_fn;
use std::io::{self, BufRead, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::async_bytes::AsyncBytes;
use crate::env::block_on;

impl AsyncBytes {
    /// The body as an `AsyncRead` of `futures-io`. The body itself implements tokio's `AsyncRead`.
    pub fn futures_reader(self) -> FuturesReader {
        FuturesReader(self)
    }

    /// The body as a [`Read`] and [`BufRead`], which block the calling thread; for bodies opened with
    /// [`BytesFuture::wait`](crate::BytesFuture::wait).
    ///
    /// ```no_run
    /// use std::io::BufRead;
    /// use urlsession::UrlSession;
    ///
    /// # fn load() -> Result<(), Box<dyn std::error::Error>> {
    /// let (bytes, _) = UrlSession::shared().bytes("https://example.com/log").wait()?;
    /// for line in bytes.blocking().lines() {
    ///     println!("{}", line?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocking(self) -> BlockingReader {
        BlockingReader { bytes: self, chunk: Bytes::new() }
    }
}

/// An [`AsyncBytes`] as an `AsyncRead` of `futures-io`.
#[derive(Debug)]
pub struct FuturesReader(AsyncBytes);

impl FuturesReader {
    /// The [`AsyncBytes`] that this reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.0
    }
}

/// Errors of a load become [`io::Error`]s; [`get_ref`](io::Error::get_ref) gives the original error.
impl futures_io::AsyncRead for FuturesReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut some = ready!(self.0.poll_some(cx, buf.len()))?;
        let n = some.len();
        some.copy_to_slice(&mut buf[..n]);
        Poll::Ready(Ok(n))
    }
}

/// An [`AsyncBytes`] as a [`Read`] and [`BufRead`].
pub struct BlockingReader {
    bytes: AsyncBytes,
    /// The rest of the last chunk, which has not been returned yet.
    chunk: Bytes,
}

impl BlockingReader {
    /// The [`AsyncBytes`] that this reads from. It does not contain bytes that were received and not returned yet.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.bytes
    }
}

/// Errors of a load become [`io::Error`]s; [`get_ref`](io::Error::get_ref) gives the original error.
impl Read for BlockingReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let n = self.fill_buf()?.len().min(buf.len());
        self.chunk.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

impl BufRead for BlockingReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = block_on(poll_fn(|cx| self.bytes.poll_some(cx, usize::MAX)))?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount.min(self.chunk.len()));
    }
}

impl std::fmt::Debug for BlockingReader {
    // The bytes themselves are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes.fmt(f)
    }
}
