//! `Lines`: the text lines of a body as they come. The rules are `urlsession_proto::lines`'.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use urlsession_proto::lines::LineSplitter;

use super::bytes::AsyncBytes;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The lines of an [`AsyncBytes`].
#[doc(alias = "AsyncLineSequence")]
pub struct Lines {
    bytes: AsyncBytes,
    splitter: LineSplitter,
    is_done: bool,
}

impl Lines {
    pub(super) fn new(bytes: AsyncBytes) -> Self {
        Self { bytes, splitter: LineSplitter::new(LONGEST), is_done: false }
    }

    /// The bytes it reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.bytes
    }

    /// The next line, waited for on this thread.
    pub fn wait_line(&mut self) -> Option<Result<String>> {
        crate::env::block_on(std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)))
    }
}

impl Stream for Lines {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        let this = &mut *self;
        while !this.is_done {
            match this.splitter.next_line() {
                Ok(Some(line)) => return Poll::Ready(Some(Ok(line))),
                Ok(None) => {}
                Err(error) => {
                    this.is_done = true;
                    let detail = format!("a line of the body is longer than {LONGEST} bytes");
                    let long = UrlError::new(UrlErrorCode::DataLengthExceedsMaximum, Phase::Body, detail);
                    return Poll::Ready(Some(Err(long.with_source(error))));
                }
            }
            match ready!(this.bytes.poll_chunk(cx)) {
                Some(Ok(chunk)) => this.splitter.push(&chunk),
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.is_done = true;
                    if let Some(line) = this.splitter.finish() {
                        return Poll::Ready(Some(Ok(line)));
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

const LONGEST: usize = 1024 * 1024;
