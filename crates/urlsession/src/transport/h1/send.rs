//! Writing: head, then body, framed as announced.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Method;
use tokio::io::AsyncWrite;
use urlsession_proto::http1::{end_head, write_chunk_size, write_field_in_title_case, write_u64};

use crate::error::Result;
use crate::message::UrlRequest;
use crate::transport::head::RequestHead;
use crate::transport::outgoing::Outgoing;
use crate::transport::stream::Stream;

/// The half of a connection that writes.
pub(super) struct Sender {
    /// Bytes of head and framing to write, and how many are written.
    out: Vec<u8>,
    out_at: usize,
    /// A chunk of the request body to write after `out`.
    chunk: Bytes,
    pub(super) outgoing: Outgoing,
    is_chunked: bool,
    chunks_begun: bool,
    /// Body bytes written after the response had begun.
    pub(super) sent_late: u64,
    /// The server stopped reading.
    pub(super) error: Option<io::Error>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::new(),
            out_at: 0,
            chunk: Bytes::new(),
            outgoing: Outgoing::none(),
            is_chunked: false,
            chunks_begun: false,
            sent_late: 0,
            error: None,
        }
    }

    /// Takes a request. The length of its head.
    pub(super) fn begin(&mut self, head: &RequestHead<'_>, outgoing: Outgoing) -> usize {
        self.out.clear();
        self.out_at = 0;
        head.write_http1(&mut self.out);
        self.frame(head.request, &outgoing);
        end_head(&mut self.out);
        self.outgoing = outgoing;
        self.chunks_begun = false;
        self.sent_late = 0;
        self.error = None;
        self.out.len()
    }

    /// RFC 9112 §6.1, §6.2: one of the framing fields, and `Content-Length: 0` where a body is expected.
    fn frame(&mut self, request: &UrlRequest, outgoing: &Outgoing) {
        let method = request.http_method();
        // RFC 9112 §7.1.2: trailers follow chunks.
        let length = outgoing.announced_length();
        self.is_chunked = length.is_none();
        match length {
            Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {}
            Some(length) => {
                self.out.extend_from_slice(b"Content-Length: ");
                write_u64(&mut self.out, length);
                self.out.extend_from_slice(b"\r\n");
            }
            None => self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
    }

    /// The exchange is over: what the next one does not need is not kept.
    pub(super) fn rest(&mut self) {
        self.outgoing = Outgoing::none();
        if self.out.capacity() > MAX_KEPT_OUT {
            self.out = Vec::new();
            self.out_at = 0;
        }
    }

    /// Writes what there is to write; ready when the request is complete, or can no longer be written because
    /// the server stopped reading (it may still have responded).
    ///
    /// `moved` receives the number of bytes on the wire and, of those, of the body; it returns whether this poll may go on.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        mut moved: impl FnMut(usize, usize) -> bool,
    ) -> Poll<Result<()>> {
        while self.error.is_none() {
            if self.out_at == self.out.len() && self.chunk.is_empty() {
                match self.poll_next_chunk(cx)? {
                    Poll::Ready(true) => continue,
                    Poll::Ready(false) => break,
                    // Available bytes do not wait for the next chunk.
                    Poll::Pending => {
                        match Pin::new(&mut *stream).poll_flush(cx) {
                            Poll::Ready(Err(error)) => self.error = Some(error),
                            _ => return Poll::Pending,
                        }
                        break;
                    }
                }
            }
            match ready!(self.poll_write_some(stream, cx)) {
                Ok(0) => self.error = Some(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let head = n.min(self.out.len() - self.out_at);
                    self.out_at += head;
                    self.chunk.advance(n - head);
                    if !moved(n, n - head) {
                        return Poll::Pending;
                    }
                }
                Err(error) => self.error = Some(error),
            }
        }
        if self.error.is_none() {
            self.error = ready!(Pin::new(&mut *stream).poll_flush(cx)).err();
        }
        Poll::Ready(Ok(()))
    }

    /// The rest of the request, while the response is being read already.
    pub(super) fn poll_send_rest(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_all_sent() {
            return Poll::Ready(Ok(()));
        }
        let mut sent = 0;
        let poll = self.poll_send(stream, cx, |_, body| {
            sent += body as u64;
            true
        });
        self.sent_late += sent;
        poll
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.outgoing.is_complete() && self.chunk.is_empty() && self.out_at == self.out.len()
    }

    /// Loads the next piece of the body with its framing; false at its end.
    fn poll_next_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let was_done = self.outgoing.is_done();
        let next = ready!(self.outgoing.poll_chunk(cx)).transpose()?;
        if !self.is_chunked {
            return Poll::Ready(Ok(match next {
                Some(chunk) => {
                    self.chunk = chunk;
                    true
                }
                None => false,
            }));
        }
        if was_done {
            return Poll::Ready(Ok(false));
        }
        // RFC 9112 §7.1: size, data, CRLF; the CRLF of one chunk is written with the size of the next.
        self.out.clear();
        self.out_at = 0;
        if self.chunks_begun {
            self.out.extend_from_slice(b"\r\n");
        }
        match next {
            Some(chunk) => {
                self.chunks_begun = true;
                write_chunk_size(&mut self.out, chunk.len() as u64);
                self.chunk = chunk;
            }
            None => {
                self.out.extend_from_slice(b"0\r\n");
                if let Some(fields) = self.outgoing.finish_trailers()? {
                    for (name, value) in &fields {
                        write_field_in_title_case(&mut self.out, name.as_str().as_bytes(), value.as_bytes());
                    }
                }
                self.out.extend_from_slice(b"\r\n");
            }
        }
        Poll::Ready(Ok(true))
    }

    fn poll_write_some(&self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let head = &self.out[self.out_at..];
        if self.chunk.is_empty() {
            stream.poll_write(cx, head)
        } else if head.is_empty() {
            stream.poll_write(cx, &self.chunk)
        } else if stream.is_write_vectored() {
            stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(&self.chunk)])
        } else {
            stream.poll_write(cx, head)
        }
    }
}

/// A larger head buffer is not kept between exchanges.
const MAX_KEPT_OUT: usize = 16 * 1024;
