//! HTTP/1.1 over one connection: one exchange at a time, driven by whoever awaits it.
//!
//! The connection is its own response body: reading the body to its end gives it back to the pool. Grammar is
//! `urlsession_proto::http1`'s; whether a failed request is sent again is for the retry layer to say.

mod fault;
mod receive;
mod send;
mod upgraded;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use urlsession_proto::http1::{
    BodyDecoder, CloseReason, Framing, HeadLimits, HeadScanner, KeepAlive, keep_alive, proxy_closes,
    response_framing,
};

use self::fault::framing_error;
use self::receive::Received;
use self::upgraded::Upgraded;
use super::head::{MAX_FIELDS, MAX_INFORMATIONAL, RequestHead, asks_upgrade};
use super::outgoing::Outgoing;
use super::pool::{PoolGuard, Reservation, Reserved};
use super::route::Route;
use super::stream::Stream;
use crate::env::SplicePipe;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, BodySource, ConnectionInfo, ConnectionPin, Draining, Duplex, Kept};
use crate::message::{HttpHead, UrlRequest, UrlResponse};

/// A connection to an origin that speaks HTTP/1.1.
pub(crate) struct Connection {
    stream: Stream,
    info: Arc<ConnectionInfo>,
    reservation: Reservation,
    /// The login of the connection was refused, or has lapsed.
    is_login_refused: bool,
    guard: PoolGuard,
    /// Exchanges begun.
    uses: u64,
    /// How long the server keeps it when unused, if it said so.
    server_keeps_for: Option<Duration>,
    /// Bytes of head and framing to write, and how many are written.
    out: Vec<u8>,
    out_at: usize,
    /// A chunk of the request body to write after `out`.
    chunk: Bytes,
    outgoing: Outgoing,
    is_chunked: bool,
    chunks_begun: bool,
    /// Body bytes written after the response had begun.
    sent_late: u64,
    write_error: Option<std::io::Error>,
    /// The connection ended by a reset.
    was_reset: bool,
    /// Bytes the wire had taken before this exchange.
    written_before: u64,
    /// Bytes read and not yet used.
    input: BytesMut,
    /// Where in a head that comes slowly the search for its end goes on.
    scanner: HeadScanner,
    read_size: usize,
    decoder: BodyDecoder,
    body_bytes: u64,
    may_persist: bool,
    /// The request asks for another protocol (RFC 9110 §7.8).
    wants_upgrade: bool,
    /// A proxy is asked for the URL of this exchange.
    is_forwarded: bool,
    /// The server agreed.
    has_switched: bool,
    /// Who wants it after this exchange, before the pool.
    hold: Option<ConnectionPin>,
    /// The answer asks for the next message of a login that belongs to the connection, which must be in step for it: what
    /// is missing of the request is sent.
    must_send: bool,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        info: Arc<ConnectionInfo>,
        reservation: Reservation,
        guard: PoolGuard,
    ) -> Self {
        Self {
            stream,
            info,
            reservation,
            is_login_refused: false,
            guard,
            uses: 0,
            server_keeps_for: None,
            out: Vec::new(),
            out_at: 0,
            chunk: Bytes::new(),
            outgoing: Outgoing::none(),
            is_chunked: false,
            chunks_begun: false,
            sent_late: 0,
            write_error: None,
            was_reset: false,
            written_before: 0,
            input: BytesMut::new(),
            scanner: HeadScanner::new(),
            read_size: FIRST_READ,
            decoder: BodyDecoder::new(Framing::Empty),
            body_bytes: 0,
            may_persist: true,
            wants_upgrade: false,
            is_forwarded: false,
            has_switched: false,
            hold: None,
            must_send: false,
        }
    }

    /// Has it carried an exchange before?
    pub(crate) fn is_reused(&self) -> bool {
        self.uses > 0
    }

    pub(super) fn server_keeps_for(&self) -> Option<Duration> {
        self.server_keeps_for
    }

    pub(super) fn guard(&self) -> &PoolGuard {
        &self.guard
    }

    pub(super) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.info
    }

    /// True if it may carry other exchanges now that the credential store has this revision.
    pub(super) fn may_be_kept(&self, revision: impl FnOnce() -> u64) -> bool {
        !self.is_login_refused && self.reservation.outlives_exchange(revision)
    }

    pub(super) fn guard_mut(&mut self) -> &mut PoolGuard {
        &mut self.guard
    }

    /// See [`Stream::is_alive`].
    pub(crate) fn is_alive(&mut self, certain: bool) -> bool {
        self.stream.is_alive(certain)
    }

    /// Sends the request it was given and reads up to the head of the final response. The body keeps sending what the
    /// server has not waited for.
    pub(crate) async fn exchange(
        mut self: Box<Self>,
        attempt: &mut Attempt<'_>,
    ) -> Result<(UrlResponse, Body)> {
        let reused = self.uses > 1;
        self.hold = attempt.hold.clone();
        if let Some(logins) = &attempt.logins {
            self.reservation.begin(logins);
        }
        let head_bytes = self.out.len();
        let start = attempt.clock.now();
        let transaction = attempt.transaction();
        transaction.connection = Some(self.info.clone());
        transaction.reused = reused;
        transaction.request_start = Some(start);
        transaction.request_head_bytes = u32::try_from(head_bytes).unwrap_or(u32::MAX);
        self.outgoing.ask_consent(attempt);
        let mut informational = 0;
        let (response, whole) = loop {
            let received = poll_fn(|cx| self.poll_exchange(cx, attempt)).await;
            match received.map_err(|error| self.judge(error, reused && informational == 0))? {
                Received::Informational(head) => {
                    informational += 1;
                    self.outgoing.on_informational(head.status);
                    if informational > MAX_INFORMATIONAL {
                        let detail = "the server sent more than 100 informational responses";
                        return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail));
                    }
                    if attempt.context.wants_informational() {
                        let response = UrlResponse::from_http(attempt.request.clone(), head);
                        attempt.context.informational(response);
                    }
                }
                Received::Final { head, whole } => break (self.answer(head, attempt), whole),
            }
        };
        if whole.is_some() && self.must_send && !self.is_all_sent() {
            Box::pin(self.send_all(attempt)).await?;
        }
        let body = match whole {
            Some(data) => {
                let bytes = data.len() as u64;
                self.finish(attempt.transaction().response_start);
                Body::whole(data, bytes)
            }
            None => Body::flow(self),
        };
        Ok((response, body))
    }

    /// Sends what can be sent, and reads a head.
    fn poll_exchange(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt<'_>) -> Poll<Result<Received>> {
        let (clock, activity, context) = (attempt.clock, attempt.activity, attempt.context);
        let transaction = attempt.transaction();
        // Written down as it happens: the load may be given up at any time.
        if transaction.request_end.is_none() {
            let moved = |wire, body| {
                activity.moved(wire);
                if body > 0 {
                    transaction.request_body_bytes += body as u64;
                    context.sent(body as u64);
                }
                !context.is_halted()
            };
            if self.poll_send(cx, moved)?.is_ready() {
                transaction.request_end = Some(clock.now());
            }
        }
        self.poll_head(cx, attempt.request.http_method(), attempt.activity)
    }

    /// What the head of the final response says of the connection and the rest of the request.
    fn answer(&mut self, head: HttpHead, attempt: &mut Attempt<'_>) -> UrlResponse {
        let status = head.status;
        self.is_login_refused = self.reservation.is_refused_by(status.as_u16(), attempt.logins.as_deref());
        self.must_send = self.hold.is_some() && matches!(status.as_u16(), 401 | 407);
        // RFC 9110 §10.1.1: a body that was announced is sent, or the connection is closed.
        if self.outgoing.on_final(status, self.must_send) {
            self.may_persist = false;
        }
        let now = attempt.clock.now();
        let head_bytes = head.raw.len();
        let response = UrlResponse::from_http(attempt.request.clone(), head);
        let transaction = attempt.transaction();
        transaction.request_end.get_or_insert(now);
        transaction.response_start = Some(now);
        transaction.response_head_bytes = u32::try_from(head_bytes).unwrap_or(u32::MAX);
        transaction.response = Some(response.clone());
        response
    }

    /// Sends what is missing of a request that is answered already.
    async fn send_all(&mut self, attempt: &mut Attempt<'_>) -> Result<()> {
        let (activity, context) = (attempt.activity, attempt.context);
        let mut late = 0;
        let moved = |late: &mut u64, wire, body: usize| {
            activity.moved(wire);
            *late += body as u64;
            !context.is_halted()
        };
        let sent = poll_fn(|cx| self.poll_send(cx, |wire, body| moved(&mut late, wire, body))).await;
        attempt.transaction().request_body_bytes += late;
        context.sent(late);
        sent
    }

    /// Takes a request, to be sent by `exchange`.
    pub(crate) fn begin(&mut self, head: &RequestHead<'_>, outgoing: Outgoing) {
        self.uses += 1;
        self.out.clear();
        self.out_at = 0;
        head.write_http1(&mut self.out);
        self.frame(head.request, &outgoing);
        urlsession_proto::http1::end_head(&mut self.out);
        self.outgoing = outgoing;
        self.chunks_begun = false;
        self.sent_late = 0;
        self.write_error = None;
        self.written_before = self.stream.wire().written();
        self.body_bytes = 0;
        self.may_persist = !head.wants_close();
        self.is_forwarded = head.route == Route::Forward;
        self.wants_upgrade = asks_upgrade(head.request);
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
                urlsession_proto::http1::write_u64(&mut self.out, length);
                self.out.extend_from_slice(b"\r\n");
            }
            None => self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
    }

    /// What a response head says about the body and the connection; `rest` is what came after it.
    fn begin_body(&mut self, mut head: HttpHead, method: &Method, rest: &[u8]) -> Result<Received> {
        if head.status.is_informational() {
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                if self.wants_upgrade {
                    self.has_switched = true;
                    self.may_persist = false;
                    self.input.extend_from_slice(rest);
                    // To who reads it as a body, what follows has no end but the connection's.
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

    /// Gives the connection back if it can carry another exchange.
    fn finish(mut self: Box<Self>, end: Option<Instant>) {
        // Bytes after the body belong to no exchange (RFC 9112 §6.3): the connection is out of step.
        let in_step = self.input.is_empty() && self.decoder.is_finished();
        if self.may_persist && in_step && self.is_all_sent() && self.write_error.is_none() {
            self.outgoing = Outgoing::none();
            self.input = BytesMut::new();
            self.read_size = FIRST_READ;
            if self.out.capacity() > MAX_KEPT_OUT {
                self.out = Vec::new();
                self.out_at = 0;
            }
            match self.hold.take() {
                Some(hold) => hold.put(self),
                None => PoolGuard::release(self, end),
            }
        }
    }
}

impl Reserved for Connection {
    fn reservation(&self) -> &Reservation {
        &self.reservation
    }
}

impl Kept for Connection {
    fn release(self: Box<Self>) {
        PoolGuard::release(self, None);
    }
}

impl BodySource for Connection {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.poll_body(cx)
    }

    fn suits_splice(&self) -> bool {
        let is_long = self.decoder.remaining().is_some_and(|left| left >= LONG);
        is_long && self.input.is_empty() && self.stream.as_plain_tcp().is_some() && self.is_all_sent()
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        splice_pipe: &mut SplicePipe,
        most: u64,
    ) -> Poll<Option<Result<usize>>> {
        self.poll_body_into(cx, splice_pipe, most)
    }

    fn poll_pieces(&mut self, cx: &mut Context<'_>, pieces: &mut Vec<Bytes>) -> Poll<Option<Result<usize>>> {
        self.poll_body_pieces(cx, pieces)
    }

    fn draining(&self, most: u64) -> Draining {
        // A chunked body does not announce its length.
        match self.may_persist && self.decoder.remaining().is_none_or(|left| left <= most) {
            true if self.must_send => Draining::Needed,
            true => Draining::Useful,
            false => Draining::Useless,
        }
    }

    fn wire_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn sent_late(&self) -> u64 {
        self.sent_late
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.decoder.take_trailers()
    }

    fn finish(self: Box<Self>) {
        Self::finish(self, None);
    }

    fn has_switched(&self) -> bool {
        self.has_switched
    }

    /// The pool hears that the connection is gone.
    fn into_connection(self: Box<Self>) -> Option<Box<dyn Duplex>> {
        Some(Box::new(Upgraded { stream: self.stream, input: self.input }))
    }
}

/// The first read of a body; later ones grow while the wire fills them.
const FIRST_READ: usize = 16 * 1024;

/// The largest read of a body.
const MAX_READ: usize = 1024 * 1024;

/// From this length on a body is worth a pipe of the kernel's.
const LONG: u64 = 1024 * 1024;

/// A larger head buffer is not kept between exchanges.
const MAX_KEPT_OUT: usize = 16 * 1024;

const LIMITS: HeadLimits = HeadLimits { bytes: 256 * 1024, fields: MAX_FIELDS };
