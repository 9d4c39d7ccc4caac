//! `UnicodeScalars` and `Characters`: the text of a body as it comes. The rules are `urlsession_proto`'s `utf8` and
//! `clusters`.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use urlsession_proto::clusters::ClusterSplitter;
use urlsession_proto::utf8::Utf8Decoder;

use super::bytes::AsyncBytes;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The Unicode scalar values of an [`AsyncBytes`].
#[doc(alias = "AsyncUnicodeScalarSequence")]
pub struct UnicodeScalars {
    bytes: AsyncBytes,
    decoder: Utf8Decoder,
    /// Of one chunk, and how much of it has been taken.
    text: String,
    taken: usize,
    is_done: bool,
}

impl UnicodeScalars {
    pub(super) fn new(bytes: AsyncBytes) -> Self {
        Self { bytes, decoder: Utf8Decoder::new(), text: String::new(), taken: 0, is_done: false }
    }

    /// The bytes it reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.bytes
    }

    /// The next scalar, waited for on this thread.
    pub fn wait_scalar(&mut self) -> Option<Result<char>> {
        crate::env::block_on(std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)))
    }
}

impl Stream for UnicodeScalars {
    type Item = Result<char>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<char>>> {
        let this = &mut *self;
        loop {
            if let Some(scalar) = this.text[this.taken..].chars().next() {
                this.taken += scalar.len_utf8();
                return Poll::Ready(Some(Ok(scalar)));
            }
            if this.is_done {
                return Poll::Ready(None);
            }
            this.text.clear();
            this.taken = 0;
            match ready!(this.bytes.poll_chunk(cx)) {
                Some(Ok(chunk)) => this.decoder.push(&chunk, &mut this.text),
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.is_done = true;
                    this.decoder.finish(&mut this.text);
                }
            }
        }
    }
}

/// The characters of an [`AsyncBytes`] as a reader counts them: extended grapheme clusters (Unicode UAX #29).
#[doc(alias = "AsyncCharacterSequence")]
pub struct Characters {
    bytes: AsyncBytes,
    splitter: ClusterSplitter,
    has_ended: bool,
    is_done: bool,
}

impl Characters {
    pub(super) fn new(bytes: AsyncBytes) -> Self {
        Self { bytes, splitter: ClusterSplitter::new(LONGEST), has_ended: false, is_done: false }
    }

    /// The bytes it reads from.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.bytes
    }

    /// The next character, waited for on this thread.
    pub fn wait_character(&mut self) -> Option<Result<String>> {
        crate::env::block_on(std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)))
    }
}

impl Stream for Characters {
    type Item = Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<String>>> {
        let this = &mut *self;
        while !this.is_done {
            match this.splitter.next_cluster() {
                Ok(Some(cluster)) => return Poll::Ready(Some(Ok(cluster.to_owned()))),
                Ok(None) => {}
                Err(error) => {
                    this.is_done = true;
                    let detail = format!("a character of the body is longer than {LONGEST} bytes");
                    let long = UrlError::new(UrlErrorCode::DataLengthExceedsMaximum, Phase::Body, detail);
                    return Poll::Ready(Some(Err(long.with_source(error))));
                }
            }
            if this.has_ended {
                this.is_done = true;
                break;
            }
            match ready!(this.bytes.poll_chunk(cx)) {
                Some(Ok(chunk)) => this.splitter.push(&chunk),
                Some(Err(error)) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.has_ended = true;
                    this.splitter.end();
                }
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for UnicodeScalars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnicodeScalars").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Characters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Characters").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

const LONGEST: usize = 4 * 1024;
