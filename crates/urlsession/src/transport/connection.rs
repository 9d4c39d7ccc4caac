//! The traits of a wire: for the driver of exchanges ([`Connection`]), and for the pool that keeps connections.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::watch;

use super::head::RequestHead;
use super::origin::Origin;
use super::outgoing::Outgoing;
use super::reservation::Reserved;
use crate::body::{Body, BodySource};
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::load::{Attempt, LoginUses, TaskContext, events};
use crate::message::HttpHead;

/// One exchange on a connection, as its driver sees it. After the head of the response it is the response's body.
pub(super) trait Connection: BodySource + Sized {
    /// The value that the pool provides for one exchange.
    type Handle;

    /// Why an exchange ends before there is a head, as far as the wire knows.
    type Failure: From<UrlError>;

    /// Accepts a request. Some wires send its head at once.
    fn begin(
        handle: Self::Handle,
        head: &RequestHead<'_>,
        outgoing: Outgoing,
        context: &dyn TaskContext,
    ) -> Result<Box<Self>, ExchangeFailure>;

    /// The body of the request.
    fn outgoing(&mut self) -> &mut Outgoing;

    /// Sends what can be sent. Ready when the request is complete, or the server accepts no more of it (it may still have
    /// responded).
    ///
    /// `moved` receives the number of bytes on the wire and, of those, of the body; it returns whether this poll may go on.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        moved: impl FnMut(usize, usize) -> bool,
    ) -> Poll<Result<()>>;

    /// True if nothing of the request is left to send.
    fn is_sent(&self) -> bool;

    /// Reads up to the end of the next head.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        attempt: &Attempt<'_>,
    ) -> Poll<Result<Received, Self::Failure>>;

    /// Bytes of the request's head and of the response's so far, as they are on the wire.
    fn head_bytes(&self) -> (u64, u64);

    /// True if the request is to be sent to its end although it has been answered with this status.
    fn must_send_all(&self, _: StatusCode) -> bool {
        false
    }

    /// The final head has come, with this status. If the body of the request `is_given_up`, it ends where it is.
    fn on_final(&mut self, status: StatusCode, is_given_up: bool, logins: Option<&LoginUses>);

    /// The error of an exchange without a head; it states whether the server can have seen the request. `reused` and
    /// `is_answered` are true if the connection carried another before, and if informational responses have come.
    fn close_reason(&mut self, failure: Self::Failure, reused: bool, is_answered: bool) -> UrlError;

    /// Whether the server requires HTTP/1.1 (RFC 9113 §7).
    fn requires_http1(&self) -> bool {
        false
    }

    /// The body of the response, `whole` if it came with the head. The connection of one that has ended goes back to the
    /// pool, where it counts as free since `now`.
    fn into_body(self: Box<Self>, whole: Option<Bytes>, now: Instant) -> Body;
}

/// What has been received.
pub(super) enum Received {
    Informational(HttpHead),
    /// The final head, and the body if it came with it.
    Final {
        head: HttpHead,
        whole: Option<Bytes>,
    },
}

/// Why an exchange has failed.
pub(crate) struct ExchangeFailure {
    pub(crate) error: UrlError,
    /// See [`Connection::requires_http1`].
    pub(crate) requires_http1: bool,
}

impl From<UrlError> for ExchangeFailure {
    fn from(error: UrlError) -> Self {
        Self { error, requires_http1: false }
    }
}

/// A handle of a connection that carries many exchanges at a time.
pub(super) trait Multiplexed: Clone + Reserved {
    fn is_open(&self) -> bool;
}

/// Receives the events of a connection that carries many exchanges.
pub(super) trait MultiplexedGuard: Send + Sync {
    /// An exchange has ended.
    fn returned(&self);

    /// The connection has closed.
    fn closed(&self);
}

/// Where a connection of the kind `E`, which carries one exchange at a time, is given back.
pub(super) trait ExclusiveOwner<E>: Send + Sync {
    /// The exchange ended at `end`; `None` is now.
    fn released(&self, connection: Box<E>, end: Option<Instant>);

    /// A connection to the origin has been closed by its user.
    fn closed(&self, origin: &Arc<Origin>);
}

/// Returns such a connection to its owner after its exchange. If it is dropped in use, it notifies the owner.
pub(super) struct ExclusiveGuard<E: 'static> {
    owner: Weak<dyn ExclusiveOwner<E>>,
    pub(super) origin: Arc<Origin>,
    pub(super) runtime: RuntimeHandle,
    /// That of the owner when the connection was made.
    pub(super) generation: u64,
    /// A load has the connection: a drop must be reported to the owner. Else the owner has it, or knows that it is closed.
    is_in_use: bool,
    /// When it was last given back.
    pub(super) released: Option<Instant>,
}

impl<E> ExclusiveGuard<E> {
    /// Of a connection that no load has yet.
    pub(super) fn new(
        owner: Weak<dyn ExclusiveOwner<E>>,
        origin: Arc<Origin>,
        runtime: RuntimeHandle,
        generation: u64,
    ) -> Self {
        Self { owner, origin, runtime, generation, is_in_use: false, released: None }
    }

    /// The owner that gets the connection back; `None` if it no longer exists.
    pub(super) fn owner(&self) -> Option<Arc<dyn ExclusiveOwner<E>>> {
        self.owner.upgrade()
    }

    /// A load gets the connection.
    pub(super) fn leave(&mut self) {
        self.is_in_use = true;
    }

    /// The owner has the connection, or knows that it is gone.
    pub(super) fn stay(&mut self) {
        self.is_in_use = false;
    }
}

impl<E> Drop for ExclusiveGuard<E> {
    fn drop(&mut self) {
        events::connection_closed(&self.origin.host, self.origin.port);
        if self.is_in_use
            && let Some(owner) = self.owner.upgrade()
        {
            owner.closed(&self.origin);
        }
    }
}

/// The end of a connection that closes on its own runtime.
#[derive(Clone)]
pub(super) struct End(watch::Receiver<()>);

impl End {
    /// The connection has ended when the sender is dropped.
    pub(super) fn new() -> (watch::Sender<()>, Self) {
        let (sender, receiver) = watch::channel(());
        (sender, Self(receiver))
    }

    pub(super) async fn wait(mut self) {
        // An error means that the sender was dropped, which is the awaited event.
        while self.0.changed().await.is_ok() {}
    }
}
