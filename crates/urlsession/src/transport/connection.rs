//! What connections are to others: to the pool that keeps them, whatever the wire. Each says there when it is free or gone.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::watch;

use super::origin::Origin;
use super::reservation::Reserved;
use crate::env::RuntimeHandle;

/// A handle of a connection that carries many exchanges at a time.
pub(super) trait Multiplexed: Clone + Reserved {
    fn is_open(&self) -> bool;
}

/// Whom a connection that carries many exchanges tells of them.
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

/// Where such a connection goes when its exchange is over. Dropped with a connection that is in use, it says so there.
pub(super) struct ExclusiveGuard<E: 'static> {
    owner: Weak<dyn ExclusiveOwner<E>>,
    pub(super) origin: Arc<Origin>,
    pub(super) runtime: RuntimeHandle,
    /// That of the owner when the connection was made.
    pub(super) generation: u64,
    /// A load has it: if it is dropped, the owner must hear of it. Else the owner has it, or knows that it is gone.
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

    /// Who gets the connection back; `None` if there is nobody any more.
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
        // An error says that the sender is gone, which is what is waited for.
        while self.0.changed().await.is_ok() {}
    }
}
