//! Reading: the head into a buffer shared by all connections of a thread, the body into one of its own.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use urlsession_proto::http1::{
    BodyDecoder, CloseReason, Framing, HeadLimits, HeadScanner, KeepAlive, keep_alive, proxy_closes,
    response_framing,
};

use super::fault::{body_error, broken, framing_error, head_error};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Activity;
use crate::message::HttpHead;
use crate::transport::connection::Received;
use crate::transport::head::{MAX_FIELDS, RequestHead, asks_upgrade};
use crate::transport::stream::Stream;

/// Why no head was received.
pub(in crate::transport) enum NoHead {
    /// The connection ended, or broke.
    Lost(Option<io::Error>),
    Bad(UrlError),
}

impl From<UrlError> for NoHead {
    fn from(error: UrlError) -> Self {
        Self::Bad(error)
    }
}

/// The half of a connection that reads.
pub(super) struct Receiver {
    /// Bytes read and not yet used.
    input: BytesMut,
    /// Where in a head that comes slowly the search for its end goes on.
    scanner: HeadScanner,
    read_size: usize,
    decoder: BodyDecoder,
    /// Bytes read for this body.
    pub(super) body_bytes: u64,
    /// Neither side has said that the connection ends with this exchange.
    pub(super) may_persist: bool,
    /// How long the server keeps the connection when unused, if it said so.
    pub(super) server_keeps_for: Option<Duration>,
    /// The request asks for another protocol (RFC 9110 §7.8).
    wants_upgrade: bool,
    /// A forward proxy serves the URL of this exchange.
    is_forwarded: bool,
    /// The server agreed.
    pub(super) has_switched: bool,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            input: BytesMut::new(),
            scanner: HeadScanner::new(),
            read_size: FIRST_READ,
            decoder: BodyDecoder::new(Framing::Empty),
            body_bytes: 0,
            may_persist: true,
            server_keeps_for: None,
            wants_upgrade: false,
            is_forwarded: false,
            has_switched: false,
        }
    }

    /// The response to this request is what comes next.
    pub(super) fn begin(&mut self, head: &RequestHead<'_>) {
        self.body_bytes = 0;
        self.may_persist = !head.wants_close();
        self.is_forwarded = head.route.forward().is_some();
        self.wants_upgrade = asks_upgrade(head.request);
    }

    /// The exchange is over: what the next one does not need is not kept.
    pub(super) fn rest(&mut self) {
        self.input = BytesMut::new();
        self.read_size = FIRST_READ;
    }

    /// True if something has come that is not yet used.
    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Bytes after the body belong to no exchange (RFC 9112 §6.3): the connection is out of step then.
    pub(super) fn is_in_step(&self) -> bool {
        self.input.is_empty() && self.decoder.is_finished()
    }

    /// What is left of the body; `None` if its length is not announced.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.decoder.take_trailers()
    }

    /// What came and is not yet used.
    pub(super) fn into_input(self) -> BytesMut {
        self.input
    }

    /// Reads up to the end of a head.
    pub(super) fn poll_head(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        method: &Method,
        activity: &Activity,
    ) -> Poll<Result<Received, NoHead>> {
        if !self.input.is_empty() {
            let input = self.input.split();
            if let Some(received) = self.take_head(&input, method)? {
                return Poll::Ready(Ok(received));
            }
            self.input = input;
        }
        loop {
            // A plain socket reports that there is no data, and needs no buffer for that.
            if let Stream::Tls(stream) = &*stream {
                ready!(stream.poll_read_ready(cx)).map_err(|error| NoHead::Lost(Some(error)))?;
            }
            let outcome = with_scratch(|scratch| {
                let mut buf = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))
                    .map_err(|error| NoHead::Lost(Some(error)))?;
                let read = buf.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(NoHead::Lost(None)));
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

    /// The properties of body and connection in a response head; `rest` has the bytes after it.
    fn begin_body(&mut self, mut head: HttpHead, method: &Method, rest: &[u8]) -> Result<Received> {
        if head.status.is_informational() {
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                if self.wants_upgrade {
                    self.has_switched = true;
                    self.may_persist = false;
                    self.input.extend_from_slice(rest);
                    // Read as a body, the following bytes end only with the connection.
                    self.decoder = BodyDecoder::new(Framing::UntilClose);
                    return Ok(Received::Final { head, whole: None });
                }
                let detail = "the server switched protocols without being asked (RFC 9110 §15.2.2)";
                return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail));
            }
            self.input.extend_from_slice(rest);
            return Ok(Received::Informational(head));
        }
        let framing =
            response_framing(method, head.status, head.version, &head.fields).map_err(framing_error)?;
        match keep_alive(head.version, &head.fields, &framing) {
            KeepAlive::Persist { timeout, .. } => self.server_keeps_for = timeout,
            KeepAlive::Close(reason) => {
                self.may_persist = false;
                // RFC 9112 §6.3 rule 3: chunks override the length, which says nothing then.
                if reason == CloseReason::ChunkedAndLength {
                    head.fields.remove(http::header::CONTENT_LENGTH);
                }
            }
        }
        if self.is_forwarded && proxy_closes(&head.fields) {
            self.may_persist = false;
        }
        // Most small responses come whole: their body is copied out once and the connection needs no buffer.
        let whole = match framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => usize::try_from(length).ok().filter(|&length| length <= rest.len()),
            Framing::Chunked | Framing::UntilClose => None,
        };
        self.decoder = BodyDecoder::new(framing);
        let (body, after) = rest.split_at(whole.unwrap_or(0));
        self.input.extend_from_slice(after);
        if whole.is_some() {
            self.decoder = BodyDecoder::new(Framing::Empty);
        }
        let whole = whole.map(|_| if body.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(body) });
        Ok(Received::Final { head, whole })
    }

    /// The next bytes of the body.
    pub(super) fn poll_body(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        loop {
            if self.decoder.is_finished() {
                return Poll::Ready(None);
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
            match ready!(self.poll_fill(stream, cx)) {
                Ok(0) => self.end_of_input()?,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(broken(error)))),
            }
        }
    }

    /// How many bytes of the body are next on the stream, as far as its length is known.
    pub(super) fn left_on_stream(&self) -> u64 {
        if self.has_input() { 0 } else { self.decoder.remaining().unwrap_or(0) }
    }

    /// Bytes of a body of known length have gone another way than through `input`.
    pub(super) fn passed(&mut self, read: io::Result<usize>) -> Option<Result<usize>> {
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
    fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(stream.poll_read_ready(cx))?;
        let wanted = match self.decoder.remaining() {
            Some(left) => usize::try_from(left).unwrap_or(MAX_READ).clamp(1, self.read_size),
            None => self.read_size,
        };
        // The rest of a buffer is used before another is taken.
        if self.input.capacity() - self.input.len() < wanted.min(SMALL_READ) {
            self.input.reserve(wanted);
        }
        let space = self.input.capacity() - self.input.len();
        let n = ready!(pin!(stream.read_buf(&mut self.input)).poll(cx))?;
        if n == space && self.read_size < MAX_READ {
            self.read_size *= 2;
        }
        Poll::Ready(Ok(n))
    }
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

/// Less space than this is not worth a read, if there is more to come.
const SMALL_READ: usize = 64 * 1024;

const SCRATCH_SIZE: usize = 32 * 1024;

/// The first read of a body; later ones grow while the wire fills them.
const FIRST_READ: usize = 16 * 1024;

/// The largest read of a body.
const MAX_READ: usize = 1024 * 1024;

const LIMITS: HeadLimits = HeadLimits { bytes: 256 * 1024, fields: MAX_FIELDS };
