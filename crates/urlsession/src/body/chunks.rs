//! Streams of chunks made of other streams of chunks: a part of one, and one after the other.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;

use crate::message::Chunks;

/// What is left of a stream without its beginning, or some of that.
pub(super) struct Part {
    chunks: Chunks,
    /// Bytes to throw away before it begins.
    before: u64,
    left: u64,
}

impl Part {
    /// From the byte `start` on at most `length` bytes.
    pub(super) fn new(chunks: Chunks, start: u64, length: u64) -> Self {
        Self { chunks, before: start, left: length }
    }
}

impl Stream for Part {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while self.left > 0 {
            let Some(mut chunk) = ready!(self.chunks.as_mut().poll_next(cx)).transpose()? else {
                if std::mem::take(&mut self.before) == 0 {
                    break;
                }
                let detail = "the body stream is shorter than what was sent of it before";
                return Poll::Ready(Some(Err(io::Error::other(detail))));
            };
            if self.before >= chunk.len() as u64 && self.before > 0 {
                self.before -= chunk.len() as u64;
                continue;
            }
            chunk.advance(std::mem::take(&mut self.before) as usize);
            chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= chunk.len() as u64;
            return Poll::Ready(Some(Ok(chunk)));
        }
        Poll::Ready(None)
    }
}

/// Streams one after the other, each held to its length if that is known.
pub(super) struct Joined(VecDeque<(Source, Option<u64>)>);

enum Source {
    Data(Bytes),
    Chunks(Chunks),
}

impl Joined {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn data(&mut self, data: Bytes) {
        self.0.push_back((Source::Data(data), None));
    }

    pub(super) fn chunks(&mut self, chunks: Chunks, length: Option<u64>) {
        self.0.push_back((Source::Chunks(chunks), length));
    }

    /// Gives the error, and nothing after it.
    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.0.clear();
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Joined {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some((source, left)) = self.0.front_mut() else { return Poll::Ready(None) };
            let chunk = match source {
                Source::Data(data) => {
                    let data = std::mem::take(data);
                    self.0.pop_front();
                    return Poll::Ready(Some(Ok(data)));
                }
                Source::Chunks(chunks) => ready!(chunks.as_mut().poll_next(cx)),
            };
            match chunk {
                Some(Ok(chunk)) => {
                    if let Some(left) = left {
                        let Some(less) = left.checked_sub(chunk.len() as u64) else {
                            return self.fail(io::Error::other(
                                "a part of the body is longer than its announced length",
                            ));
                        };
                        *left = less;
                    }
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Err(error)) => return self.fail(error),
                None if left.is_some_and(|left| left > 0) => {
                    return self
                        .fail(io::Error::other("a part of the body ended before its announced length"));
                }
                None => drop(self.0.pop_front()),
            }
        }
    }
}
