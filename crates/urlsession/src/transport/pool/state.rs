//! The pool's bookkeeping: who waits for what, what is open, what is idle. No IO, no clock, no lock.
//!
//! Two limits hold over all hosts. At the limit of open connections the one that has been idle longest is closed for a
//! new one; if none is idle, hosts take turns at what closes or becomes idle. One that carries many exchanges is idle
//! while it carries none.
//!
//! Every change answers with [`Action`]s, which the shell performs after it has let go of the lock. `E` is a
//! connection that carries one exchange at a time, `S` a handle of one that carries many, `P` where they live,
//! `X` why a dial failed.

mod dials;
mod idle;
mod limits;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use hashbrown::HashMap;
use slab::Slab;
use smallvec::SmallVec;

use self::idle::{Idle, IdleConnection, idle_for};
use super::host::{Dial, Host, Known, Shared, Waiter, is_being_decided};
pub(super) use super::host::{Grant, Place, Ticket, Waiting};
use super::key::{Key, Origin};
use super::lru::Lru;
use super::reservation::{Reserved, Scope};

/// What the shell has to do.
#[derive(Debug)]
pub(super) enum Action<E, S, P> {
    /// Connect and report with the ticket.
    Dial { origin: Arc<Origin>, place: P, ticket: Ticket },
    /// A waiter's answer is ready.
    Wake(Waker),
    /// Close an idle connection.
    Close(E),
    /// Close an idle connection that carries many exchanges, or drop one that has closed.
    CloseShared(S),
}

pub(super) type Actions<E, S, P> = SmallVec<[Action<E, S, P>; 2]>;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Exclusive ones to one host; at least 1.
    pub(super) per_host: usize,
    /// Over all hosts: dialling, busy and idle; at least 1.
    pub(super) open: usize,
    /// Idle over all hosts.
    pub(super) idle: usize,
}

/// The answer to a wish.
#[derive(Debug)]
pub(super) enum Want<E, S> {
    Exclusive(E),
    /// To be returned.
    Shared(S),
    Wait(Waiting),
}

#[derive(Debug)]
pub(super) struct State<E, S, P: Place, X> {
    hosts: HashMap<Arc<Origin>, Host<S, P>>,
    waiters: Slab<Waiter<E, S, P, X>>,
    limits: Limits,
    /// True if https origins may turn out to offer connections that carry many exchanges.
    may_share: bool,
    next_ticket: Ticket,
    /// What is idle, over all hosts.
    idle: Lru<Idle<E, P>>,
    /// Connections over all hosts: dialling, busy and idle.
    open: usize,
    /// Hosts whose waiters need a dial that the limit over all hosts does not allow, in the order in which they get
    /// one. While there are any, nothing is idle.
    blocked: VecDeque<Arc<Origin>>,
    /// Connections that went from one load of a host to the next while other hosts were blocked.
    passed_over: usize,
    /// Hosts among the blocked that are forgotten.
    forgotten: usize,
}

impl<E: Reserved, S: Shared, P: Place, X: Clone> State<E, S, P, X> {
    pub(super) fn new(limits: Limits, may_share: bool) -> Self {
        let limits = Limits { per_host: limits.per_host.max(1), open: limits.open.max(1), ..limits };
        Self {
            hosts: HashMap::default(),
            waiters: Slab::new(),
            limits,
            may_share,
            next_ticket: 0,
            idle: Lru::new(),
            open: 0,
            blocked: VecDeque::new(),
            passed_over: 0,
            forgotten: 0,
        }
    }

    /// A connection to `key`, now or later. `fresh` refuses idle ones.
    pub(super) fn want(
        &mut self,
        key: Key<'_>,
        place: &P,
        now: Instant,
        priority: f32,
        fresh: bool,
        actions: &mut Actions<E, S, P>,
    ) -> Want<E, S> {
        let id = place.id();
        let host = match self.hosts.get_mut(&key) {
            Some(host) => host,
            None => {
                let origin = Arc::new(key.to_owned());
                let shares = self.may_share && origin.secure && !origin.lane.is_http1_only;
                let known = if shares { Known::Nothing } else { Known::Exclusive };
                self.hosts.entry(origin.clone()).or_insert(Host::new(origin, known))
            }
        };
        while let Some(shared) = host.usable_shared(id, place.requester()) {
            let key = shared.idle.take();
            let until = key.map(|key| self.idle.remove(key).until);
            if until.is_none_or(|until| until > now) {
                shared.in_use += 1;
                return Want::Shared(shared.handle.clone());
            }
            let ticket = shared.ticket;
            self.open -= 1;
            actions.extend(host.remove_shared(ticket).map(|shared| Action::CloseShared(shared.handle)));
        }
        // Those who already wait have no use for what is idle: they would have got it.
        if !fresh {
            while let Some(at) = idle_for(&host.idle, &self.idle, place) {
                let Idle { connection, until, .. } = self.idle.remove(host.idle.remove(at));
                let IdleConnection::Exclusive(connection) = connection else { continue };
                if until > now {
                    return Want::Exclusive(connection);
                }
                host.open -= 1;
                self.open -= 1;
                actions.push(Action::Close(connection));
            }
        }
        let origin = host.origin.clone();
        let waiter = Waiter {
            origin: origin.clone(),
            place: place.clone(),
            priority,
            promised: false,
            waker: None,
            grant: None,
        };
        let waiting = self.waiters.insert(waiter);
        host.enqueue(waiting, priority, &self.waiters);
        self.dial_for(&origin, waiting, actions);
        Want::Wait(waiting)
    }

    /// True if a connection for the waiter is being made; false if it waits for one that is busy.
    pub(super) fn is_dialling_for(&self, waiting: Waiting) -> bool {
        let Some(waiter) = self.waiters.get(waiting) else { return false };
        let Some(host) = self.hosts.get(&waiter.origin) else { return false };
        waiter.promised || (host.known != Known::Exclusive && host.is_dialling_for(waiting, &waiter.place))
    }

    /// For whom the dial is that the waiter waits for, and where.
    pub(super) fn dial_of(&self, waiting: Waiting) -> Option<&P> {
        let waiter = self.waiters.get(waiting).filter(|waiter| waiter.grant.is_none())?;
        let dial = self.hosts.get(&waiter.origin)?.dial_of(waiting, &waiter.place)?;
        Some(&dial.place)
    }

    /// The waiter has become more or less urgent: it goes behind those as urgent as it is now.
    pub(super) fn prioritise(&mut self, waiting: Waiting, priority: f32) {
        let Some(waiter) = self.waiters.get_mut(waiting) else { return };
        if waiter.priority == priority {
            return;
        }
        waiter.priority = priority;
        let Some(host) = self.hosts.get_mut(&waiter.origin) else { return };
        if let Some(at) = host.queue.iter().position(|other| *other == waiting) {
            host.queue.remove(at);
            host.enqueue(waiting, priority, &self.waiters);
        }
    }

    /// The waiter's answer, if there is one; else `waker` will be woken.
    pub(super) fn take(&mut self, waiting: Waiting, waker: &Waker) -> Option<Grant<E, S, X>> {
        let waiter = self.waiters.get_mut(waiting)?;
        if waiter.grant.is_some() {
            return self.waiters.remove(waiting).grant;
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            None => waiter.waker = Some(waker.clone()),
        }
        None
    }

    /// The waiter has gone; what it was already given goes to the next.
    pub(super) fn forget(
        &mut self,
        waiting: Waiting,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(waiter) = self.waiters.try_remove(waiting) else { return };
        if let Some(host) = self.hosts.get_mut(&waiter.origin) {
            host.queue.retain(|other| *other != waiting);
            host.orphan(waiting);
        }
        match waiter.grant {
            Some(Grant::Exclusive(connection)) => {
                self.released(&waiter.origin, &waiter.place, connection, now, until, actions);
            }
            Some(Grant::Shared(_, ticket)) => {
                self.returned(&waiter.origin, ticket, now, until, actions);
            }
            Some(Grant::Failed(_)) | None => self.drop_if_unused(&waiter.origin),
        }
    }

    /// An exclusive connection is free: the next waiter gets it, or it becomes idle.
    pub(super) fn released(
        &mut self,
        origin: &Arc<Origin>,
        place: &P,
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        self.hand_over(origin, (place, None), connection, now, until, actions);
    }

    /// The same with a waiter that the connection was made for.
    fn hand_over(
        &mut self,
        origin: &Arc<Origin>,
        (place, own): (&P, Option<Waiting>),
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        // What a waiter's dial has made is not closed for others, who have had their turn before.
        let must_yield = own.is_none() && self.must_yield(origin);
        let Some(host) = self.hosts.get_mut(origin) else { return actions.push(Action::Close(connection)) };
        let id = place.id();
        let waiters = &mut self.waiters;
        let reservation = connection.reservation();
        host.is_divided |= matches!(reservation.scope, Scope::Task(_));
        let is_served = |waiting: &Waiting| {
            let place = &waiters[*waiting].place;
            let admits =
                || reservation.admits(place.requester()) && !is_being_decided(&host.dials, *waiting, place);
            place.id() == id
                && ((own == Some(*waiting) && reservation.admits_decider(place.requester())) || admits())
        };
        let next = host.queue.iter().position(is_served);
        let must_yield =
            must_yield || next.is_some_and(|at| own.is_none() && host.must_make_room(at, waiters));
        // Whoever waits longest at this place is served, even if a dial was begun for it: that connection
        // will serve another.
        if let Some(waiting) = next.filter(|_| !must_yield).and_then(|at| host.queue.remove(at)) {
            if waiters[waiting].promised {
                host.orphan(waiting);
            }
            self.passed_over += usize::from(!self.blocked.is_empty());
            return grant(&mut waiters[waiting], Grant::Exclusive(connection), actions);
        }
        let is_wanted_elsewhere = !host.queue.is_empty();
        if until > now && next.is_none() {
            let (origin, connection) = (origin.clone(), IdleConnection::Exclusive(connection));
            let key = self.idle.push(Idle { origin: origin.clone(), place: id, until, connection });
            host.idle.push(key);
            // Who cannot use it may wait for a connection under a limit.
            if is_wanted_elsewhere {
                self.dial_if_needed(&origin, actions);
            }
            self.became_idle(actions);
        } else {
            // Another waits for its room under a limit, or it is too old.
            host.open -= 1;
            self.open -= 1;
            actions.push(Action::Close(connection));
            self.dial_if_needed(origin, actions);
            self.drop_if_unused(origin);
            self.serve_blocked(actions);
        }
    }

    /// An exclusive connection has been closed by its user.
    pub(super) fn closed(&mut self, origin: &Arc<Origin>, actions: &mut Actions<E, S, P>) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        host.open = host.open.saturating_sub(1);
        self.open = self.open.saturating_sub(1);
        self.dial_if_needed(origin, actions);
        self.drop_if_unused(origin);
        self.serve_blocked(actions);
    }

    /// An exchange on a shared connection has ended. True if the connection is idle now.
    pub(super) fn returned(
        &mut self,
        origin: &Arc<Origin>,
        ticket: Ticket,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) -> bool {
        let Some(host) = self.hosts.get_mut(origin) else { return false };
        let Some(shared) = host.shared.iter_mut().find(|shared| shared.ticket == ticket) else {
            return false;
        };
        shared.in_use -= 1;
        if shared.in_use > 0 {
            return false;
        }
        let is_over = shared.is_retired || !shared.handle.is_open();
        if is_over || shared.handle.reservation().is_for_once() || until <= now {
            self.close_shared(origin, ticket, actions);
            self.serve_blocked(actions);
            return false;
        }
        let (origin, place) = (origin.clone(), shared.place);
        let connection = IdleConnection::Shared(ticket);
        shared.idle = Some(self.idle.push(Idle { origin, place, until, connection }));
        self.became_idle(actions);
        true
    }

    /// A shared connection has closed by itself.
    pub(super) fn shared_closed(
        &mut self,
        origin: &Arc<Origin>,
        ticket: Ticket,
        actions: &mut Actions<E, S, P>,
    ) {
        self.close_shared(origin, ticket, actions);
        self.serve_blocked(actions);
    }

    /// Closes what has been idle long enough; the time of the next to close at `place`.
    pub(super) fn expire(
        &mut self,
        place: P::Id,
        now: Instant,
        actions: &mut Actions<E, S, P>,
    ) -> Option<Instant> {
        self.close_idle_if(|idle| idle.until <= now, actions);
        self.idle.iter().filter(|(_, idle)| idle.place == place).map(|(_, idle)| idle.until).min()
    }

    /// A place is gone with its reactor: what was there is closed, what it was dialling will never come.
    pub(super) fn place_gone(&mut self, place: P::Id, actions: &mut Actions<E, S, P>) {
        self.close_idle_if(|idle| idle.place == place, actions);
        let origins: Vec<_> = self.hosts.keys().cloned().collect();
        for origin in origins {
            while let Some(host) = self.hosts.get(&origin)
                && let Some(shared) = host.shared.iter().find(|shared| shared.place == place)
            {
                let ticket = shared.ticket;
                self.close_shared(&origin, ticket, actions);
            }
            self.dial_if_needed(&origin, actions);
            self.drop_if_unused(&origin);
        }
        self.serve_blocked(actions);
    }

    /// Closes everything idle. True if anything was.
    pub(super) fn close_idle(&mut self, actions: &mut Actions<E, S, P>) -> bool {
        let any = !self.idle.is_empty();
        self.close_idle_if(|_| true, actions);
        any
    }

    /// Closes everything idle, and shared connections when they are idle: later loads get new ones.
    pub(super) fn retire(&mut self, actions: &mut Actions<E, S, P>) {
        self.close_idle(actions);
        for shared in self.hosts.values_mut().flat_map(|host| &mut host.shared) {
            shared.is_retired = true;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let nothing = (self.open, self.idle.len(), self.blocked.len()) == (0, 0, 0);
        nothing && self.hosts.is_empty() && self.waiters.is_empty()
    }

    fn drop_if_unused(&mut self, origin: &Arc<Origin>) {
        if self.hosts.get(origin).is_some_and(Host::is_unused)
            && let Some(host) = self.hosts.remove(origin)
            && host.is_blocked
        {
            self.forget_blocked();
        }
    }
}

fn grant<E, S, P: Place, X>(
    waiter: &mut Waiter<E, S, P, X>,
    grant: Grant<E, S, X>,
    actions: &mut Actions<E, S, P>,
) {
    waiter.grant = Some(grant);
    actions.extend(waiter.waker.take().map(Action::Wake));
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
