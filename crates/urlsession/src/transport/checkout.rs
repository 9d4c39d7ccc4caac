//! `Checkout`: a connection for one exchange, exclusive or shared with others at the same time. Only this module and the
//! driver select the wire.

use std::future::poll_fn;
use std::sync::{Arc, Weak};

use super::connect::Connected;
use super::connection::{Connection, ExchangeFailure, ExclusiveGuard, ExclusiveOwner, MultiplexedGuard};
use super::exchange::Exchange;
use super::head::RequestHead;
use super::origin::Origin;
use super::outgoing::Outgoing;
use super::{h1, h2};
use crate::env::{Environment, RuntimeHandle};
use crate::error::Result;
use crate::load::{Attempt, ConnectionInfo, TaskContext, events};

/// A connection that carries one exchange at a time.
pub(super) type Exclusive = h1::Connection;

/// A handle of one that carries many at a time.
pub(super) type Multiplexed = h2::Handle;

/// A connection for one exchange.
pub(crate) enum Checkout {
    Exclusive(Box<Exclusive>),
    Multiplexed(Multiplexed),
}

impl Checkout {
    /// The connection that was kept for this exchange.
    pub(crate) fn held(attempt: &mut Attempt<'_>) -> Option<Self> {
        let hold = attempt.hold.as_ref()?;
        let held = hold.take()?;
        if !hold.is_lasting() {
            attempt.hold = None;
        }
        // Unsolicited bytes would be read as the response.
        let mut connection = held.downcast::<Exclusive>().ok()?;
        connection.is_alive(true).then_some(Self::Exclusive(connection))
    }

    pub(crate) fn info(&self) -> &Arc<ConnectionInfo> {
        match self {
            Self::Exclusive(connection) => connection.info(),
            Self::Multiplexed(handle) => handle.info(),
        }
    }

    /// The length of the body that a request announces; `None` if it does not.
    pub(crate) fn announced_length(&self, outgoing: &Outgoing) -> Option<u64> {
        match self {
            Self::Exclusive(_) => outgoing.announced_length(),
            // Where frames end a body its length is announced whatever follows.
            Self::Multiplexed(_) => outgoing.length(),
        }
    }

    /// Waits until the connection takes a request. The exchange begins then.
    pub(crate) async fn ready(&mut self, attempt: &mut Attempt<'_>) -> Result<(), ExchangeFailure> {
        let reused = match self {
            Self::Exclusive(connection) => connection.prepare(attempt),
            Self::Multiplexed(handle) => {
                let reused = handle.prepare();
                let _pause = attempt.activity.pause_idle();
                poll_fn(|cx| handle.poll_ready(cx)).await?;
                reused
            }
        };
        let (start, connection) = (attempt.clock.now(), self.info().clone());
        if reused {
            events::connection_reused(&connection);
        }
        let transaction = attempt.transaction();
        transaction.connection = Some(connection);
        transaction.reused = reused;
        transaction.request_start = Some(start);
        Ok(())
    }

    /// Hands a request to the connection, which is [ready](Self::ready).
    pub(crate) fn begin(
        self,
        head: &RequestHead<'_>,
        outgoing: Outgoing,
        context: &dyn TaskContext,
    ) -> Result<Exchange, ExchangeFailure> {
        match self {
            Self::Exclusive(connection) => {
                Connection::begin(connection, head, outgoing, context).map(Exchange::Http1)
            }
            Self::Multiplexed(handle) => {
                Connection::begin(handle, head, outgoing, context).map(Exchange::Http2)
            }
        }
    }
}

/// The owner of a new connection of either kind.
pub(super) struct Guards<'a, M> {
    pub(super) owner: Weak<dyn ExclusiveOwner<Exclusive>>,
    /// Of one that carries one exchange at a time.
    pub(super) generation: u64,
    /// Of one that carries many.
    pub(super) multiplexed: M,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) runtime: &'a RuntimeHandle,
}

/// Makes a connection for exchanges from a new stream, in the negotiated protocol.
pub(super) async fn open(
    connected: Connected,
    guards: Guards<'_, impl MultiplexedGuard + 'static>,
    env: &Environment,
) -> Result<Checkout> {
    let Connected { stream, info, is_multiplexed, reservation } = connected;
    let Guards { owner, generation, multiplexed, origin, runtime } = guards;
    let info = Arc::new(info);
    events::connection_opened(&origin.host, origin.port, &info);
    if is_multiplexed {
        let guard = Box::new(multiplexed);
        let handshake = h2::handshake(stream, info, reservation, origin, guard, env.clock.clone(), runtime);
        return Ok(Checkout::Multiplexed(handshake.await?));
    }
    let guard = ExclusiveGuard::new(owner, origin.clone(), runtime.clone(), generation);
    Ok(Checkout::Exclusive(Box::new(Exclusive::new(stream, info, reservation, guard, env.has_fast_paths))))
}
