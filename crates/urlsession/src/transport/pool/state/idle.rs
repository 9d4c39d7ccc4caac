//! Idle connections, and which of them serves a load.

use std::sync::Arc;
use std::time::Instant;

use super::super::super::reservation::Reserved;
use super::super::lru::Lru;
use super::{DialId, Origin, RuntimeKey};

#[derive(Debug)]
pub(super) struct Idle<E, P: RuntimeKey> {
    pub(super) origin: Arc<Origin>,
    pub(super) runtime: P::Id,
    pub(super) until: Instant,
    pub(super) connection: IdleConnection<E>,
}

#[derive(Debug)]
pub(super) enum IdleConnection<E> {
    Exclusive(E),
    Multiplexed(DialId),
}

/// Where among a host's idle connections is one for whom `runtime` wants it: the youngest, since the old ones may expire,
/// and if possible one with the requester's login.
pub(super) fn idle_for<E: Reserved, P: RuntimeKey>(
    keys: &[usize],
    all: &Lru<Idle<E, P>>,
    runtime: &P,
) -> Option<usize> {
    let reservation_at = |at: usize| match all.get(keys[at]) {
        Some(Idle { runtime: id, connection: IdleConnection::Exclusive(connection), .. })
            if *id == runtime.id() =>
        {
            Some(connection.reservation()).filter(|reservation| reservation.admits(runtime.requester()))
        }
        _ => None,
    };
    let mut fitting = (0..keys.len()).rev().filter_map(|at| Some((at, reservation_at(at)?.is_logged_in())));
    match runtime.requester().logins {
        None => fitting.next().map(|(at, _)| at),
        Some(_) => fitting.max_by_key(|(at, is_logged_in)| (*is_logged_in, *at)).map(|(at, _)| at),
    }
}
