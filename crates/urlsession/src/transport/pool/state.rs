//! The pool's bookkeeping: waiting loads, open connections, idle connections. No IO, no clock, no lock.
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
use super::super::connection::Multiplexed;
use super::super::origin::{Key, Origin};
use super::super::reservation::{Reserved, Scope};
pub(super) use super::host::{Acquired, DialId, RuntimeKey, WaiterId};
use super::host::{Dial, Host, OriginProtocol, Waiter, is_being_decided};
use super::lru::Lru;

/// The actions for the shell.
#[derive(Debug)]
pub(super) enum Action<E, S, P> {
    /// Connect and report with the number.
    Dial { origin: Arc<Origin>, runtime: P, dial_id: DialId },
    /// A waiter's result is ready.
    Wake(Waker),
    /// Close an idle connection.
    Close(E),
    /// Close an idle connection that carries many exchanges, or drop one that has closed.
    CloseMultiplexed(S),
}

pub(super) type Actions<E, S, P> = SmallVec<[Action<E, S, P>; 2]>;

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Exclusive ones to one host; at least 1.
    pub(super) per_host: usize,
    /// Over all hosts: dialling, busy and idle; at least 1.
    pub(super) open: usize,
    /// Idle over all hosts.
    pub(super) idle: usize,
}

/// The result of a request for a connection.
#[derive(Debug)]
pub(super) enum Acquire<E, S> {
    Exclusive(E),
    /// To be returned.
    Multiplexed(S),
    Wait(WaiterId),
}

#[derive(Debug)]
pub(super) struct PoolState<E, S, P: RuntimeKey, X> {
    hosts: HashMap<Arc<Origin>, Host<S, P>>,
    waiters: Slab<Waiter<E, S, P, X>>,
    limits: Limits,
    /// True if https origins may turn out to offer connections that carry many exchanges.
    may_share: bool,
    next_dial_id: DialId,
    /// Idle connections, over all hosts.
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

impl<E: Reserved, S: Multiplexed, P: RuntimeKey, X: Clone> PoolState<E, S, P, X> {
    pub(super) fn new(limits: Limits, may_share: bool) -> Self {
        let limits = Limits { per_host: limits.per_host.max(1), open: limits.open.max(1), ..limits };
        Self {
            hosts: HashMap::default(),
            waiters: Slab::new(),
            limits,
            may_share,
            next_dial_id: 0,
            idle: Lru::new(),
            open: 0,
            blocked: VecDeque::new(),
            passed_over: 0,
            forgotten: 0,
        }
    }

    /// A connection to `key`, now or later. `fresh` refuses idle ones.
    pub(super) fn acquire(
        &mut self,
        key: Key<'_>,
        runtime: &P,
        now: Instant,
        priority: f32,
        fresh: bool,
        actions: &mut Actions<E, S, P>,
    ) -> Acquire<E, S> {
        let id = runtime.id();
        let host = match self.hosts.get_mut(&key) {
            Some(host) => host,
            None => {
                let origin = Arc::new(key.to_owned());
                let shares = self.may_share && origin.secure && !origin.partition.is_http1_only;
                let known = if shares { OriginProtocol::Nothing } else { OriginProtocol::Exclusive };
                self.hosts.entry(origin.clone()).or_insert(Host::new(origin, known))
            }
        };
        while let Some(multiplexed) = host.usable_multiplexed(id, runtime.requester()) {
            let key = multiplexed.idle.take();
            let until = key.map(|key| self.idle.remove(key).until);
            if until.is_none_or(|until| until > now) {
                multiplexed.in_use += 1;
                return Acquire::Multiplexed(multiplexed.handle.clone());
            }
            let dial_id = multiplexed.dial_id;
            self.open -= 1;
            actions.extend(
                host.remove_shared(dial_id).map(|multiplexed| Action::CloseMultiplexed(multiplexed.handle)),
            );
        }
        // Loads that already wait cannot use an idle connection: they would have got it.
        if !fresh {
            while let Some(at) = idle_for(&host.idle, &self.idle, runtime) {
                let Idle { connection, until, .. } = self.idle.remove(host.idle.remove(at));
                let IdleConnection::Exclusive(connection) = connection else { continue };
                if until > now {
                    return Acquire::Exclusive(connection);
                }
                host.open -= 1;
                self.open -= 1;
                actions.push(Action::Close(connection));
            }
        }
        let origin = host.origin.clone();
        let waiter = Waiter {
            origin: origin.clone(),
            runtime: runtime.clone(),
            priority,
            promised: false,
            waker: None,
            acquired: None,
        };
        let waiting = self.waiters.insert(waiter);
        host.enqueue(waiting, priority, &self.waiters);
        self.dial_for(&origin, waiting, actions);
        Acquire::Wait(waiting)
    }

    /// True if a connection for the waiter is being made; false if it waits for one that is busy.
    pub(super) fn is_dialling_for(&self, waiting: WaiterId) -> bool {
        let Some(waiter) = self.waiters.get(waiting) else { return false };
        let Some(host) = self.hosts.get(&waiter.origin) else { return false };
        waiter.promised
            || (host.known != OriginProtocol::Exclusive && host.is_dialling_for(waiting, &waiter.runtime))
    }

    /// The requester of the dial that the waiter waits for, and its runtime.
    pub(super) fn dial_of(&self, waiting: WaiterId) -> Option<&P> {
        let waiter = self.waiters.get(waiting).filter(|waiter| waiter.acquired.is_none())?;
        let dial = self.hosts.get(&waiter.origin)?.dial_of(waiting, &waiter.runtime)?;
        Some(&dial.runtime)
    }

    /// The waiter has become more or less urgent: it goes behind those as urgent as it is now.
    pub(super) fn prioritise(&mut self, waiting: WaiterId, priority: f32) {
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

    /// The waiter's result, if there is one; else `waker` will be woken.
    pub(super) fn take(&mut self, waiting: WaiterId, waker: &Waker) -> Option<Acquired<E, S, X>> {
        let waiter = self.waiters.get_mut(waiting)?;
        if waiter.acquired.is_some() {
            return self.waiters.remove(waiting).acquired;
        }
        match &mut waiter.waker {
            Some(known) => known.clone_from(waker),
            None => waiter.waker = Some(waker.clone()),
        }
        None
    }

    /// The waiter was dropped; a connection that it already had goes to the next.
    pub(super) fn forget(
        &mut self,
        waiting: WaiterId,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(waiter) = self.waiters.try_remove(waiting) else { return };
        if let Some(host) = self.hosts.get_mut(&waiter.origin) {
            host.queue.retain(|other| *other != waiting);
            host.orphan(waiting);
        }
        match waiter.acquired {
            Some(Acquired::Exclusive(connection)) => {
                self.released(&waiter.origin, &waiter.runtime, connection, now, until, actions);
            }
            Some(Acquired::Multiplexed(_, dial_id)) => {
                self.returned(&waiter.origin, dial_id, now, until, actions);
            }
            Some(Acquired::Failed(_)) | None => self.drop_if_unused(&waiter.origin),
        }
    }

    /// An exclusive connection is free: the next waiter gets it, or it becomes idle.
    pub(super) fn released(
        &mut self,
        origin: &Arc<Origin>,
        runtime: &P,
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        self.hand_over(origin, (runtime, None), connection, now, until, actions);
    }

    /// The same with a waiter that the connection was made for.
    fn hand_over(
        &mut self,
        origin: &Arc<Origin>,
        (runtime, own): (&P, Option<WaiterId>),
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        // A connection from a waiter's dial is not closed for others, who have had their turn before.
        let must_yield = own.is_none() && self.must_yield(origin);
        let Some(host) = self.hosts.get_mut(origin) else { return actions.push(Action::Close(connection)) };
        let id = runtime.id();
        let waiters = &mut self.waiters;
        let reservation = connection.reservation();
        host.is_divided |= matches!(reservation.scope, Scope::Task(_));
        let is_served = |waiting: &WaiterId| {
            let runtime = &waiters[*waiting].runtime;
            let admits = || {
                reservation.admits(runtime.requester()) && !is_being_decided(&host.dials, *waiting, runtime)
            };
            runtime.id() == id
                && ((own == Some(*waiting) && reservation.admits_decider(runtime.requester())) || admits())
        };
        let next = host.queue.iter().position(is_served);
        let must_yield =
            must_yield || next.is_some_and(|at| own.is_none() && host.must_make_room(at, waiters));
        // The waiter that waits longest on this runtime is served, even if a dial was begun for it: that connection
        // will serve another.
        if let Some(waiting) = next.filter(|_| !must_yield).and_then(|at| host.queue.remove(at)) {
            if waiters[waiting].promised {
                host.orphan(waiting);
            }
            self.passed_over += usize::from(!self.blocked.is_empty());
            return acquired(&mut waiters[waiting], Acquired::Exclusive(connection), actions);
        }
        let is_wanted_elsewhere = !host.queue.is_empty();
        if until > now && next.is_none() {
            let (origin, connection) = (origin.clone(), IdleConnection::Exclusive(connection));
            let key = self.idle.push(Idle { origin: origin.clone(), runtime: id, until, connection });
            host.idle.push(key);
            // A waiter that cannot use it may wait for a connection under a limit.
            if is_wanted_elsewhere {
                self.dial_if_needed(&origin, actions);
            }
            self.became_idle(actions);
        } else {
            // Another waits for its space under a limit, or it is too old.
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
        dial_id: DialId,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) -> bool {
        let Some(host) = self.hosts.get_mut(origin) else { return false };
        let Some(multiplexed) =
            host.multiplexed.iter_mut().find(|multiplexed| multiplexed.dial_id == dial_id)
        else {
            return false;
        };
        multiplexed.in_use -= 1;
        if multiplexed.in_use > 0 {
            return false;
        }
        let is_over = multiplexed.is_retired || !multiplexed.handle.is_open();
        if is_over || multiplexed.handle.reservation().is_for_once() || until <= now {
            self.close_multiplexed(origin, dial_id, actions);
            self.serve_blocked(actions);
            return false;
        }
        let (origin, runtime) = (origin.clone(), multiplexed.runtime);
        let connection = IdleConnection::Multiplexed(dial_id);
        multiplexed.idle = Some(self.idle.push(Idle { origin, runtime, until, connection }));
        self.became_idle(actions);
        true
    }

    /// A shared connection has closed by itself.
    pub(super) fn multiplexed_closed(
        &mut self,
        origin: &Arc<Origin>,
        dial_id: DialId,
        actions: &mut Actions<E, S, P>,
    ) {
        self.close_multiplexed(origin, dial_id, actions);
        self.serve_blocked(actions);
    }

    /// Closes what has been idle long enough; the time of the next to close at `runtime`.
    pub(super) fn expire(
        &mut self,
        runtime: P::Id,
        now: Instant,
        actions: &mut Actions<E, S, P>,
    ) -> Option<Instant> {
        self.close_idle_if(|idle| idle.until <= now, actions);
        self.idle.iter().filter(|(_, idle)| idle.runtime == runtime).map(|(_, idle)| idle.until).min()
    }

    /// A runtime has ended: its connections are closed, and its dials will never complete.
    pub(super) fn runtime_gone(&mut self, runtime: P::Id, actions: &mut Actions<E, S, P>) {
        self.close_idle_if(|idle| idle.runtime == runtime, actions);
        let origins: Vec<_> = self.hosts.keys().cloned().collect();
        for origin in origins {
            while let Some(host) = self.hosts.get(&origin)
                && let Some(multiplexed) =
                    host.multiplexed.iter().find(|multiplexed| multiplexed.runtime == runtime)
            {
                let dial_id = multiplexed.dial_id;
                self.close_multiplexed(&origin, dial_id, actions);
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
        for multiplexed in self.hosts.values_mut().flat_map(|host| &mut host.multiplexed) {
            multiplexed.is_retired = true;
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

fn acquired<E, S, P: RuntimeKey, X>(
    waiter: &mut Waiter<E, S, P, X>,
    acquired: Acquired<E, S, X>,
    actions: &mut Actions<E, S, P>,
) {
    waiter.acquired = Some(acquired);
    actions.extend(waiter.waker.take().map(Action::Wake));
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
