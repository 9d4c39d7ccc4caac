//! HTTP/1.1 over one connection: one exchange at a time, driven by whoever awaits it.
//!
//! The connection is its own response body: reading the body to its end gives it back to the pool. Grammar is
//! `urlsession_proto::http1`'s; whether a failed request is sent again is for the retry layer to say.

mod fault;
mod receive;
mod send;
mod upgraded;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use self::fault::nothing_reached_the_server;
use self::receive::{NoHead, Received, Receiver};
use self::send::Sender;
use self::upgraded::Upgraded;
use super::connection::ExclusiveGuard;
use super::head::{MAX_INFORMATIONAL, RequestHead};
use super::outgoing::Outgoing;
use super::reservation::{Reservation, Reserved};
use super::stream::Stream;
use crate::env::SplicePipe;
use crate::error::{Phase, Replay, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, BodySource, ConnectionInfo, ConnectionPin, Draining, Duplex, Kept};
use crate::message::{HttpHead, UrlResponse};

/// A connection to an origin that speaks HTTP/1.1.
pub(crate) struct Connection {
    stream: Stream,
    info: Arc<ConnectionInfo>,
    reservation: Reservation,
    /// The login of the connection was refused, or has lapsed.
    is_login_refused: bool,
    guard: ExclusiveGuard<Self>,
    /// Exchanges begun.
    uses: u64,
    sender: Sender,
    receiver: Receiver,
    /// The length of the request's head.
    head_bytes: usize,
    /// The connection ended by a reset.
    was_reset: bool,
    /// Bytes the wire had taken before this exchange.
    written_before: u64,
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
        guard: ExclusiveGuard<Self>,
    ) -> Self {
        Self {
            stream,
            info,
            reservation,
            is_login_refused: false,
            guard,
            uses: 0,
            sender: Sender::new(),
            receiver: Receiver::new(),
            head_bytes: 0,
            was_reset: false,
            written_before: 0,
            hold: None,
            must_send: false,
        }
    }

    /// Has it carried an exchange before?
    pub(crate) fn is_reused(&self) -> bool {
        self.uses > 0
    }

    pub(super) fn server_keeps_for(&self) -> Option<Duration> {
        self.receiver.server_keeps_for
    }

    pub(super) fn guard(&self) -> &ExclusiveGuard<Self> {
        &self.guard
    }

    pub(super) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.info
    }

    /// True if it may carry other exchanges now that the credential store has this revision.
    pub(super) fn may_be_kept(&self, revision: impl FnOnce() -> u64) -> bool {
        !self.is_login_refused && self.reservation.outlives_exchange(revision)
    }

    pub(super) fn guard_mut(&mut self) -> &mut ExclusiveGuard<Self> {
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
        let start = attempt.clock.now();
        let transaction = attempt.transaction();
        transaction.connection = Some(self.info.clone());
        transaction.reused = reused;
        transaction.request_start = Some(start);
        transaction.request_head_bytes = u32::try_from(self.head_bytes).unwrap_or(u32::MAX);
        self.sender.outgoing.ask_consent(attempt);
        let mut informational = 0;
        let (response, whole) = loop {
            let received = poll_fn(|cx| self.poll_exchange(cx, attempt)).await;
            match received.map_err(|error| self.judge(error, reused && informational == 0))? {
                Received::Informational(head) => {
                    informational += 1;
                    self.sender.outgoing.on_informational(head.status);
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
        if whole.is_some() && self.must_send && !self.sender.is_all_sent() {
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
            if self.sender.poll_send(&mut self.stream, cx, moved)?.is_ready() {
                transaction.request_end = Some(clock.now());
            }
        }
        let method = attempt.request.http_method();
        let received = ready!(self.receiver.poll_head(&mut self.stream, cx, method, attempt.activity));
        Poll::Ready(received.map_err(|failure| match failure {
            NoHead::Lost(error) => self.lost(error),
            NoHead::Bad(error) => error,
        }))
    }

    /// What the head of the final response says of the connection and the rest of the request.
    fn answer(&mut self, head: HttpHead, attempt: &mut Attempt<'_>) -> UrlResponse {
        let status = head.status;
        self.is_login_refused = self.reservation.is_refused_by(status.as_u16(), attempt.logins.as_deref());
        self.must_send = self.hold.is_some() && matches!(status.as_u16(), 401 | 407);
        // RFC 9110 §10.1.1: a body that was announced is sent, or the connection is closed.
        if self.sender.outgoing.on_final(status, self.must_send) {
            self.receiver.may_persist = false;
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
        let sent = poll_fn(|cx| {
            self.sender.poll_send(&mut self.stream, cx, |wire, body| moved(&mut late, wire, body))
        })
        .await;
        attempt.transaction().request_body_bytes += late;
        context.sent(late);
        sent
    }

    /// Takes a request, to be sent by `exchange`.
    pub(crate) fn begin(&mut self, head: &RequestHead<'_>, outgoing: Outgoing) {
        self.uses += 1;
        self.head_bytes = self.sender.begin(head, outgoing);
        self.receiver.begin(head);
        self.written_before = self.stream.wire().written();
    }

    /// The connection ended or broke before a final head.
    fn lost(&mut self, error: Option<io::Error>) -> UrlError {
        let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        self.was_reset =
            error.as_ref().is_some_and(is_reset) || self.sender.error.as_ref().is_some_and(is_reset);
        fault::lost(self.receiver.has_input(), error.or_else(|| self.sender.error.take()))
    }

    /// Adds to the error of an exchange whether the server can have seen the request (RFC 9110 §9.2.2).
    fn judge(&self, error: UrlError, reused: bool) -> UrlError {
        if error.code() != UrlErrorCode::NetworkConnectionLost || self.receiver.has_input() || !reused {
            return error;
        }
        let (wire, before) = (self.stream.wire(), self.written_before);
        let replay = match nothing_reached_the_server(wire, before, self.was_reset) {
            true => Replay::Safe,
            false => Replay::IfIdempotent,
        };
        error.with_replay(replay)
    }

    /// Gives the connection back if it can carry another exchange.
    fn finish(mut self: Box<Self>, end: Option<Instant>) {
        let is_sent = self.sender.is_all_sent() && self.sender.error.is_none();
        if self.receiver.may_persist && self.receiver.is_in_step() && is_sent {
            self.sender.rest();
            self.receiver.rest();
            match self.hold.take() {
                Some(hold) => hold.put(self),
                None => self.give_back(end),
            }
        }
    }

    /// To the pool. The exchange ended at `end`; `None` is now.
    fn give_back(self: Box<Self>, end: Option<Instant>) {
        if let Some(owner) = self.guard.owner() {
            owner.released(self, end);
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
        self.give_back(None);
    }
}

impl BodySource for Connection {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        // Pending or broken, the request's rest must not keep the response from being read.
        let sending = self.sender.poll_send_rest(&mut self.stream, cx);
        if let Poll::Ready(Err(error)) = sending {
            return Poll::Ready(Some(Err(error)));
        }
        match self.receiver.poll_body(&mut self.stream, cx) {
            Poll::Ready(None) if self.must_send && sending.is_pending() => Poll::Pending,
            polled => polled,
        }
    }

    fn suits_splice(&self) -> bool {
        let is_long = self.receiver.remaining().is_some_and(|left| left >= LONG);
        let is_plain = self.stream.as_plain_tcp().is_some();
        is_long && !self.receiver.has_input() && is_plain && self.sender.is_all_sent()
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        splice_pipe: &mut SplicePipe,
        most: u64,
    ) -> Poll<Option<Result<usize>>> {
        match self.sender.is_all_sent() {
            true => self.receiver.poll_body_into(&mut self.stream, cx, splice_pipe, most),
            false => Poll::Ready(None),
        }
    }

    fn poll_pieces(&mut self, cx: &mut Context<'_>, pieces: &mut Vec<Bytes>) -> Poll<Option<Result<usize>>> {
        match self.sender.is_all_sent() {
            true => self.receiver.poll_body_pieces(&mut self.stream, cx, pieces),
            false => Poll::Ready(None),
        }
    }

    fn draining(&self, most: u64) -> Draining {
        // A chunked body does not announce its length.
        match self.receiver.may_persist && self.receiver.remaining().is_none_or(|left| left <= most) {
            true if self.must_send => Draining::Needed,
            true => Draining::Useful,
            false => Draining::Useless,
        }
    }

    fn wire_bytes(&self) -> u64 {
        self.receiver.body_bytes
    }

    fn sent_late(&self) -> u64 {
        self.sender.sent_late
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.receiver.take_trailers()
    }

    fn finish(self: Box<Self>) {
        Self::finish(self, None);
    }

    fn has_switched(&self) -> bool {
        self.receiver.has_switched
    }

    /// The pool hears that the connection is gone.
    fn into_connection(self: Box<Self>) -> Option<Box<dyn Duplex>> {
        Some(Box::new(Upgraded { stream: self.stream, input: self.receiver.into_input() }))
    }
}

/// From this length on a body is worth a pipe of the kernel's.
const LONG: u64 = 1024 * 1024;
