//! The request body on its way out, whatever the wire: chunk by chunk, its length held to what was announced.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::Chunks;

/// A request body, pulled by the wire.
pub(crate) struct Outgoing {
    source: Source,
    left: Option<u64>,
}

enum Source {
    Done,
    Data(Bytes),
    Stream(Chunks),
}

impl Outgoing {
    pub(crate) fn none() -> Self {
        Self { source: Source::Done, left: Some(0) }
    }

    pub(crate) fn data(data: Bytes) -> Self {
        let left = Some(data.len() as u64);
        Self { source: if data.is_empty() { Source::Done } else { Source::Data(data) }, left }
    }

    /// A stream of `length` bytes, or of any number of them.
    pub(crate) fn stream(chunks: Chunks, length: Option<u64>) -> Self {
        Self { source: Source::Stream(chunks), left: length }
    }

    /// The number of bytes to come; `None` if it is not known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.left
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// Has everything been given that the wire was promised? A stream of known length may not have said yet that it
    /// has no more.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_done() || self.left == Some(0)
    }

    /// The next bytes, never empty. A stream that ends before its length, or goes past it, is an error: sending
    /// on would make the rest of the connection part of the body.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let chunk = match &mut self.source {
                Source::Done => return Poll::Ready(None),
                Source::Data(data) => {
                    let data = std::mem::take(data);
                    self.source = Source::Done;
                    return Poll::Ready(Some(Ok(data)));
                }
                Source::Stream(chunks) => match chunks.as_mut().poll_next(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(chunk) => chunk,
                },
            };
            let result = match (chunk, self.left) {
                (Some(Ok(chunk)), _) if chunk.is_empty() => continue,
                (Some(Ok(chunk)), Some(left)) if chunk.len() as u64 > left => {
                    Some(Err(failure("the body stream gave more bytes than its announced length")))
                }
                (Some(Ok(chunk)), left) => {
                    self.left = left.map(|left| left - chunk.len() as u64);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                (Some(Err(error)), _) => Some(Err(failure("the body stream failed").with_source(error))),
                (None, Some(left)) if left > 0 => {
                    Some(Err(failure("the body stream ended before its announced length")))
                }
                (None, _) => None,
            };
            self.source = Source::Done;
            return Poll::Ready(result);
        }
    }
}

fn failure(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail)
}
