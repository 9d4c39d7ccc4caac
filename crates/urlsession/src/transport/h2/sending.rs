//! Sends a request body to its stream as flow control allows.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http::HeaderMap;

use crate::error::Result;
use crate::transport::head::http2_value;
use crate::transport::outgoing::Outgoing;

/// A request body on its way.
pub(super) struct Sending {
    pub(super) stream: SendStream<Bytes>,
    pub(super) outgoing: Outgoing,
    pub(super) chunk: Bytes,
    pub(super) done: bool,
}

impl Sending {
    /// Hands chunks to the connection as flow control allows. Ready when all is handed over, or the server wants
    /// no more of it (it may have answered all the same).
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut moved: impl FnMut(usize) -> bool,
    ) -> Poll<Result<()>> {
        while !self.done {
            if self.chunk.is_empty() {
                let next = ready!(self.outgoing.poll_chunk(cx)).transpose().inspect_err(|_| self.cancel())?;
                let Some(next) = next else {
                    let trailers = self.outgoing.finish_trailers().inspect_err(|_| self.cancel())?;
                    self.done = true;
                    // An error here is the stream's, which the response reports.
                    let _ = match trailers {
                        Some(fields) => self.stream.send_trailers(fit_for_http2(fields)),
                        None => self.stream.send_data(Bytes::new(), true),
                    };
                    break;
                };
                self.chunk = next;
                self.stream.reserve_capacity(self.chunk.len());
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(capacity)) => {
                    let part = self.chunk.split_to(capacity.min(self.chunk.len()));
                    let n = part.len();
                    let last = self.chunk.is_empty() && self.outgoing.is_done();
                    if self.stream.send_data(part, last).is_err() {
                        self.done = true;
                    }
                    self.done |= last;
                    let goes_on = moved(n);
                    if !self.chunk.is_empty() {
                        self.stream.reserve_capacity(self.chunk.len());
                    }
                    if !goes_on && !self.done {
                        return Poll::Pending;
                    }
                }
                // The stream is closed or reset; the response says why.
                Some(Err(_)) | None => self.done = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A body that cannot be completed must not look complete.
    fn cancel(&mut self) {
        self.done = true;
        self.stream.send_reset(h2::Reason::CANCEL);
    }
}

/// Without spaces at the ends of values, with which a field is malformed (RFC 9113 §8.2.1).
fn fit_for_http2(mut fields: HeaderMap) -> HeaderMap {
    for value in fields.values_mut() {
        if let Some(fit) = http2_value(value.as_bytes()) {
            *value = fit;
        }
    }
    fields
}
