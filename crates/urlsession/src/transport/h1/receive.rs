//! Reading: the head into a buffer shared by all connections of a thread, the body into one of its own.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use super::fault::{body_error, head_error};
use super::{Connection, LIMITS, MAX_READ};
use crate::env::SplicePipe;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Activity;
use crate::message::HttpHead;
use crate::transport::stream::Stream;
use bytes::{Buf, Bytes};
use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// What came.
pub(super) enum Received {
    Informational(HttpHead),
    /// The final head, and the body if it came with it.
    Final {
        head: HttpHead,
        whole: Option<Bytes>,
    },
}

impl Connection {
    /// Reads up to the end of a head.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        activity: &Activity,
    ) -> Poll<Result<Received>> {
        if !self.input.is_empty() {
            let input = self.input.split();
            if let Some(received) = self.take_head(&input, method)? {
                return Poll::Ready(Ok(received));
            }
            self.input = input;
        }
        loop {
            ready!(self.stream.poll_read_ready(cx)).map_err(|error| self.lost(Some(error)))?;
            let outcome = with_scratch(|scratch| {
                let mut buf = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))
                    .map_err(|error| self.lost(Some(error)))?;
                let read = buf.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(self.lost(None)));
                }
                activity.moved(read.len());
                if self.input.is_empty() {
                    let received = self.take_head(read, method)?;
                    if received.is_none() {
                        self.input.extend_from_slice(read);
                    }
                    return Poll::Ready(Ok(received));
                }
                self.input.extend_from_slice(read);
                let input = self.input.split();
                let received = self.take_head(&input, method)?;
                if received.is_none() {
                    self.input = input;
                }
                Poll::Ready(Ok(received))
            });
            if let Some(received) = ready!(outcome)? {
                return Poll::Ready(Ok(received));
            }
        }
    }

    /// The head at the beginning of `buf`, if it is complete; what follows it is kept.
    fn take_head(&mut self, buf: &[u8], method: &Method) -> Result<Option<Received>> {
        let Some((head, consumed)) = self.scanner.parse(buf, &LIMITS).map_err(head_error)? else {
            return Ok(None);
        };
        let head =
            HttpHead { version: head.version, status: head.status, fields: head.headers, raw: head.raw };
        self.begin_body(head, method, &buf[consumed..]).map(Some)
    }

    /// The next bytes of the body.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        // Pending or broken, the request's rest must not keep the response from being read.
        let sending = self.poll_send_rest(cx);
        if let Poll::Ready(Err(error)) = sending {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            if self.decoder.is_finished() {
                return match sending {
                    Poll::Pending if self.must_send => Poll::Pending,
                    _ => Poll::Ready(None),
                };
            }
            if !self.input.is_empty() {
                let step = self.decoder.decode(&self.input).map_err(body_error)?;
                if step.consumed > 0 {
                    self.body_bytes += step.consumed as u64;
                    let mut taken = self.input.split_to(step.consumed);
                    taken.truncate(step.data.end);
                    taken.advance(step.data.start);
                    if !taken.is_empty() {
                        return Poll::Ready(Some(Ok(taken.freeze())));
                    }
                    continue;
                }
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => self.end_of_input()?,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(broken(error)))),
            }
        }
    }

    /// The next bytes of a body of known length, taken by the kernel.
    pub(super) fn poll_body_into(
        &mut self,
        cx: &mut Context<'_>,
        splice_pipe: &mut SplicePipe,
        most: u64,
    ) -> Poll<Option<Result<usize>>> {
        let left = self.decoder.remaining().unwrap_or(0).min(most);
        let Some(stream) = self.stream.as_plain_tcp() else { return Poll::Ready(None) };
        if left == 0 || !self.input.is_empty() || !self.is_all_sent() {
            return Poll::Ready(None);
        }
        match ready!(splice_pipe.poll_fill(stream, cx, left)) {
            // Not every kind of socket can.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Poll::Ready(None),
            read => Poll::Ready(self.passed(read)),
        }
    }

    /// The next bytes of a body of known length, where TLS has decrypted them.
    pub(super) fn poll_body_pieces(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut Vec<Bytes>,
    ) -> Poll<Option<Result<usize>>> {
        let left = usize::try_from(self.decoder.remaining().unwrap_or(0)).unwrap_or(usize::MAX);
        if left == 0 || !self.input.is_empty() || !self.is_all_sent() {
            return Poll::Ready(None);
        }
        let Stream::Tls(stream) = &mut self.stream else { return Poll::Ready(None) };
        let read = ready!(stream.poll_pieces(cx, left.min(MAX_READ), pieces));
        Poll::Ready(self.passed(read))
    }

    /// Bytes of a body of known length have gone another way than through `input`.
    fn passed(&mut self, read: io::Result<usize>) -> Option<Result<usize>> {
        match read {
            Ok(0) => self.end_of_input().err().map(Err),
            Ok(n) => {
                self.decoder.pass(n as u64);
                self.body_bytes += n as u64;
                Some(Ok(n))
            }
            Err(error) => Some(Err(broken(error))),
        }
    }

    fn end_of_input(&mut self) -> Result<()> {
        self.decoder.end_of_input().map_err(|error| {
            // Apple: a length that is not zero, and the connection ended in order without any data.
            let (code, detail) = match self.body_bytes == 0 && self.decoder.remaining().is_some() {
                true => (UrlErrorCode::ZeroByteResource, "the server announced a body and sent none of it"),
                false => {
                    let detail = "the server closed the connection before the body was complete";
                    (UrlErrorCode::NetworkConnectionLost, detail)
                }
            };
            UrlError::new(code, Phase::Body, detail).with_source(error)
        })
    }

    /// Reads once into `input`, with a buffer as large as the wire has lately filled.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        let wanted = match self.decoder.remaining() {
            Some(left) => usize::try_from(left).unwrap_or(MAX_READ).clamp(1, self.read_size),
            None => self.read_size,
        };
        // The rest of a buffer is used before another is taken.
        if self.input.capacity() - self.input.len() < wanted.min(SMALL_READ) {
            self.input.reserve(wanted);
        }
        let room = self.input.capacity() - self.input.len();
        let n = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if n == room && self.read_size < MAX_READ {
            self.read_size *= 2;
        }
        Poll::Ready(Ok(n))
    }
}

fn broken(error: io::Error) -> UrlError {
    let detail = "the connection broke before the body was complete";
    UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Body, detail).with_source(error)
}

thread_local! {
    /// Heads are parsed where they are read; only what must outlive the read is copied out.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice());
}

/// A socket of the application may itself be made of loads, polled within ours: those get a buffer of their own.
fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => read(&mut scratch),
        Err(_) => read(&mut vec![0; SCRATCH_SIZE]),
    })
}

/// Less room than this is not worth a read, if there is more to come.
const SMALL_READ: usize = 64 * 1024;

const SCRATCH_SIZE: usize = 32 * 1024;
