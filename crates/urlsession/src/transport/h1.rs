//! HTTP/1.1 over one connection: one exchange at a time.
//!
//! The connection is its own response body: reading the body to its end gives it back to the pool. The grammar is in
//! `urlsession_proto::http1`; the retry layer decides whether a failed request is sent again.

mod fault;
mod receive;
mod send;
mod upgraded;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use self::fault::nothing_reached_the_server;
use self::receive::{NoHead, Receiver};
use self::send::Sender;
use self::upgraded::Upgraded;
use super::connection::{self, ExchangeFailure, ExclusiveGuard, Received};
use super::fast_path;
use super::head::RequestHead;
use super::outgoing::Outgoing;
use super::reservation::{Reservation, Reserved};
use super::stream::Stream;
use crate::body::{Body, BodySource, Draining, Duplex, ReadTarget};
use crate::error::{Replay, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, ConnectionInfo, ConnectionPin, Kept, LoginUses, TaskContext};

/// A connection to an origin that uses HTTP/1.1.
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
    has_fast_paths: bool,
    /// The lengths of the heads.
    head_bytes: (u64, u64),
    /// The connection ended by a reset.
    was_reset: bool,
    /// Bytes the wire had taken before this exchange.
    written_before: u64,
    /// Receives the connection after this exchange, before the pool.
    hold: Option<ConnectionPin>,
    /// The response requires the next message of a login that belongs to the connection, which must stay synchronized: the
    /// rest of the request is sent.
    must_send: bool,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        info: Arc<ConnectionInfo>,
        reservation: Reservation,
        guard: ExclusiveGuard<Self>,
        has_fast_paths: bool,
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
            has_fast_paths,
            head_bytes: (0, 0),
            was_reset: false,
            written_before: 0,
            hold: None,
            must_send: false,
        }
    }

    /// Whether it has carried an exchange before.
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

    /// Prepares for the exchange of this attempt. True if it has carried another before.
    pub(super) fn prepare(&mut self, attempt: &Attempt<'_>) -> bool {
        self.hold = attempt.hold.clone();
        if let Some(logins) = &attempt.logins {
            self.reservation.begin(logins);
        }
        self.is_reused()
    }

    /// Whether the body may take a fast path, with nothing left to send meanwhile.
    fn may_pass(&self) -> bool {
        self.has_fast_paths && self.sender.is_all_sent()
    }

    /// The connection ended or broke before a final head.
    fn lost(&mut self, error: Option<io::Error>) -> UrlError {
        let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        self.was_reset =
            error.as_ref().is_some_and(is_reset) || self.sender.error.as_ref().is_some_and(is_reset);
        fault::lost(self.receiver.has_input(), error.or_else(|| self.sender.error.take()))
    }

    /// Whether the server can have seen the request of an exchange that was lost (RFC 9110 §9.2.2).
    fn replay(&self) -> Replay {
        let (wire, before) = (self.stream.wire(), self.written_before);
        match nothing_reached_the_server(wire, before, self.was_reset) {
            true => Replay::Safe,
            false => Replay::IfIdempotent,
        }
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

impl connection::Connection for Connection {
    type Handle = Box<Self>;
    type Failure = NoHead;

    fn begin(
        mut handle: Box<Self>,
        head: &RequestHead<'_>,
        outgoing: Outgoing,
        _: &dyn TaskContext,
    ) -> Result<Box<Self>, ExchangeFailure> {
        handle.uses += 1;
        handle.head_bytes = (handle.sender.begin(head, outgoing) as u64, 0);
        handle.receiver.begin(head);
        handle.written_before = handle.stream.wire().written();
        Ok(handle)
    }

    fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.sender.outgoing
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        moved: impl FnMut(usize, usize) -> bool,
    ) -> Poll<Result<()>> {
        self.sender.poll_send(&mut self.stream, cx, moved)
    }

    fn is_sent(&self) -> bool {
        self.sender.is_all_sent()
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, attempt: &Attempt<'_>) -> Poll<Result<Received, NoHead>> {
        let (method, activity) = (attempt.request.http_method(), attempt.activity);
        let received = ready!(self.receiver.poll_head(&mut self.stream, cx, method, activity))?;
        if let Received::Final { head, .. } = &received {
            self.head_bytes.1 = head.raw.len() as u64;
        }
        Poll::Ready(Ok(received))
    }

    fn head_bytes(&self) -> (u64, u64) {
        self.head_bytes
    }

    fn must_send_all(&self, status: StatusCode) -> bool {
        self.hold.is_some() && matches!(status.as_u16(), 401 | 407)
    }

    fn on_final(&mut self, status: StatusCode, is_given_up: bool, logins: Option<&LoginUses>) {
        self.is_login_refused = self.reservation.is_refused_by(status.as_u16(), logins);
        self.must_send = connection::Connection::must_send_all(self, status);
        // RFC 9110 §10.1.1: a body that was announced is sent, or the connection is closed.
        if is_given_up {
            self.receiver.may_persist = false;
        }
    }

    fn close_reason(&mut self, failure: NoHead, reused: bool, is_answered: bool) -> UrlError {
        let error = match failure {
            NoHead::Lost(error) => self.lost(error),
            NoHead::Bad(error) => return error,
        };
        let is_lost = error.code() == UrlErrorCode::NetworkConnectionLost;
        match is_lost && !self.receiver.has_input() && reused && !is_answered {
            true => error.with_replay(self.replay()),
            false => error,
        }
    }

    fn into_body(self: Box<Self>, whole: Option<Bytes>, now: Instant) -> Body {
        match whole {
            Some(data) => {
                let bytes = data.len() as u64;
                self.finish(Some(now));
                Body::whole(data, bytes)
            }
            None => Body::flow(self),
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
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        let left = self.receiver.left_on_stream();
        if !matches!(target, ReadTarget::Chunk(_))
            && left > 0
            && self.may_pass()
            && let Some(read) = ready!(fast_path::poll_read(&mut self.stream, cx, left, target))
        {
            return Poll::Ready(self.receiver.passed(read));
        }
        // Pending or broken, the request's rest must not keep the response from being read.
        let sending = self.sender.poll_send_rest(&mut self.stream, cx);
        if let Poll::Ready(Err(error)) = sending {
            return Poll::Ready(Some(Err(error)));
        }
        match self.receiver.poll_body(&mut self.stream, cx) {
            Poll::Ready(None) if self.must_send && sending.is_pending() => Poll::Pending,
            polled => polled.map(|chunk| target.take(chunk)),
        }
    }

    fn suits_splice(&self) -> bool {
        self.may_pass() && self.receiver.left_on_stream() >= LONG && fast_path::can_splice(&self.stream)
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

    /// Notifies the pool that the connection is closed.
    fn into_connection(self: Box<Self>) -> Option<Box<dyn Duplex>> {
        Some(Box::new(Upgraded { stream: self.stream, input: self.receiver.into_input() }))
    }
}

/// From this length on a body is worth a pipe of the kernel's.
const LONG: u64 = 1024 * 1024;
