//! Idle connections, and which of them serves a load.

use std::sync::Arc;
use std::time::Instant;

use super::super::lru::Lru;
use super::super::reservation::Reserved;
use super::{Origin, Place, Ticket};

#[derive(Debug)]
pub(super) struct Idle<E, P: Place> {
    pub(super) origin: Arc<Origin>,
    pub(super) place: P::Id,
    pub(super) until: Instant,
    pub(super) connection: IdleConnection<E>,
}

#[derive(Debug)]
pub(super) enum IdleConnection<E> {
    Exclusive(E),
    Shared(Ticket),
}

/// Where among a host's idle connections is one for whom `place` wants it: the youngest, since the old ones may expire,
/// and if possible one with the requester's login.
pub(super) fn idle_for<E: Reserved, P: Place>(
    keys: &[usize],
    all: &Lru<Idle<E, P>>,
    place: &P,
) -> Option<usize> {
    let reservation_at = |at: usize| match all.get(keys[at]) {
        Some(Idle { place: id, connection: IdleConnection::Exclusive(connection), .. })
            if *id == place.id() =>
        {
            Some(connection.reservation()).filter(|reservation| reservation.admits(place.requester()))
        }
        _ => None,
    };
    let mut fitting = (0..keys.len()).rev().filter_map(|at| Some((at, reservation_at(at)?.is_logged_in())));
    match place.requester().logins {
        None => fitting.next().map(|(at, _)| at),
        Some(_) => fitting.max_by_key(|(at, is_logged_in)| (*is_logged_in, *at)).map(|(at, _)| at),
    }
}
