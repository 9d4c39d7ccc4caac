//! The state that the exchanges of a connection share, and the handle of each exchange.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::uri::Authority;

use super::frame_counting::Counts;
use super::read_gate::ReadGate;
use super::urgency::Updates;
use crate::load::ConnectionInfo;
use crate::transport::connection::{End, MultiplexedGuard};
use crate::transport::reservation::Reservation;

/// The share of an exchange in its connection, which is in use until this is dropped.
pub(super) struct Lease(pub(super) Arc<Link>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.guard.returned();
    }
}

/// The state that the exchanges of a connection share.
pub(super) struct Link {
    pub(super) guard: Box<dyn MultiplexedGuard>,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) reservation: Reservation,
    /// Of the origin, parsed once.
    pub(super) authority: Option<Authority>,
    pub(super) counts: Arc<Counts>,
    pub(super) updates: Arc<Updates>,
    pub(super) rest: Arc<ReadGate>,
    pub(super) is_open: AtomicBool,
    pub(super) is_used: AtomicBool,
    /// The pool has given it up while it was idle.
    pub(super) is_given_up: AtomicBool,
    /// Its sender is dropped when the wire is.
    pub(super) end: End,
}
