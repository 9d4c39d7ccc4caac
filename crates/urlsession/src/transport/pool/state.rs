//! The pool's bookkeeping: who waits for what, what is open, what is idle. No IO, no clock, no lock.
//!
//! Every change answers with [`Action`]s, which the shell performs after it has let go of the lock. `E` is a
//! connection that carries one exchange at a time, `S` a handle of one that carries many, `P` where they live,
//! `X` why a dial failed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use slab::Slab;
use smallvec::SmallVec;

use super::key::{Key, Origin};

/// What the shell has to do.
#[derive(Debug)]
pub(super) enum Action<E, P> {
    /// Connect and report with the ticket.
    Dial { origin: Arc<Origin>, place: P, ticket: Ticket },
    /// A waiter's answer is ready.
    Wake(Waker),
    /// Close an idle connection.
    Close(E),
}

pub(super) type Actions<E, P> = SmallVec<[Action<E, P>; 2]>;

/// A dial in progress.
pub(super) type Ticket = u64;

/// A waiter's number.
pub(super) type Waiting = usize;

/// A place where connections live.
pub(super) trait Place: Clone {
    type Id: Copy + Eq + std::fmt::Debug;
    fn id(&self) -> Self::Id;
}

/// What a connection for many exchanges must tell.
pub(crate) trait Shared: Clone {
    fn is_open(&self) -> bool;
}

/// The answer to a wish.
#[derive(Debug)]
pub(super) enum Want<E, S> {
    Exclusive(E),
    Shared(S),
    Wait(Waiting),
}

/// What a waiter gets in the end.
#[derive(Debug)]
pub(super) enum Grant<E, S, X> {
    Exclusive(E),
    Shared(S),
    Failed(X),
}

#[derive(Debug)]
pub(super) struct State<E, S, P: Place, X> {
    hosts: HashMap<Arc<Origin>, Host<E, S, P>>,
    waiters: Slab<Waiter<E, S, P, X>>,
    limit: usize,
    /// May https origins turn out to share connections?
    may_share: bool,
    next_ticket: Ticket,
}

#[derive(Debug)]
struct Host<E, S, P: Place> {
    origin: Arc<Origin>,
    known: Known,
    idle: Vec<Idle<E, P>>,
    shared: Vec<(P::Id, S)>,
    /// In the order of their tickets.
    dials: VecDeque<DialInProgress<P>>,
    /// May one of the dials have nobody it is for? In a crowd none has, and none must be looked for.
    may_have_orphans: bool,
    /// Exclusive connections: dialling, busy and idle.
    open: usize,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct DialInProgress<P: Place> {
    ticket: Ticket,
    place: P,
    /// The waiter that asked for it; none once that waiter is served or gone.
    on_behalf_of: Option<Waiting>,
    /// Does it count as an open exclusive connection?
    counted: bool,
}

/// What kind of connection an origin offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Exclusive,
    Shared,
}

#[derive(Debug)]
struct Idle<E, P: Place> {
    connection: E,
    place: P::Id,
    until: Instant,
}

#[derive(Debug)]
struct Waiter<E, S, P: Place, X> {
    origin: Arc<Origin>,
    place: P,
    priority: f32,
    /// Is a dial in progress on its behalf?
    promised: bool,
    waker: Option<Waker>,
    grant: Option<Grant<E, S, X>>,
}

impl<E, S: Shared, P: Place, X: Clone> State<E, S, P, X> {
    pub(super) fn new(limit: usize, may_share: bool) -> Self {
        Self { hosts: HashMap::new(), waiters: Slab::new(), limit: limit.max(1), may_share, next_ticket: 0 }
    }

    /// A connection to `key`, now or later. `fresh` refuses idle ones.
    pub(super) fn want(
        &mut self,
        key: Key<'_>,
        place: &P,
        now: Instant,
        priority: f32,
        fresh: bool,
        actions: &mut Actions<E, P>,
    ) -> Want<E, S> {
        let id = place.id();
        let host = match self.hosts.get_mut(&key as &dyn super::key::AsKey) {
            Some(host) => host,
            None => {
                let origin = Arc::new(key.to_owned());
                let shares = self.may_share && origin.secure && !origin.lane.is_http1_only;
                let known = if shares { Known::Nothing } else { Known::Exclusive };
                self.hosts.entry(origin.clone()).or_insert(Host::new(origin, known))
            }
        };
        host.shared.retain(|(_, shared)| shared.is_open());
        if let Some((_, shared)) = host.shared.iter().find(|(place, _)| *place == id) {
            return Want::Shared(shared.clone());
        }
        // The youngest idle connection first: the old ones may expire. Those who already wait go before.
        if !fresh && host.queue.is_empty() {
            while let Some(at) = host.idle.iter().rposition(|idle| idle.place == id) {
                let idle = host.idle.remove(at);
                if idle.until > now {
                    return Want::Exclusive(idle.connection);
                }
                host.open -= 1;
                actions.push(Action::Close(idle.connection));
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

    /// Is the waiter's own connection being made (rather than all of them busy)?
    pub(super) fn is_dialling_for(&self, waiting: Waiting) -> bool {
        let Some(waiter) = self.waiters.get(waiting) else { return false };
        let Some(host) = self.hosts.get(&waiter.origin) else { return false };
        let place = waiter.place.id();
        waiter.promised
            || (host.known != Known::Exclusive && host.dials.iter().any(|dial| dial.place.id() == place))
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
        actions: &mut Actions<E, P>,
    ) {
        let Some(waiter) = self.waiters.try_remove(waiting) else { return };
        if let Some(host) = self.hosts.get_mut(&waiter.origin) {
            host.queue.retain(|other| *other != waiting);
            host.orphan(waiting);
        }
        if let Some(Grant::Exclusive(connection)) = waiter.grant {
            self.released(&waiter.origin, &waiter.place, connection, now, until, actions);
        }
    }

    /// A dial gave an exclusive connection.
    pub(super) fn opened(
        &mut self,
        origin: &Arc<Origin>,
        ticket: Ticket,
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return actions.push(Action::Close(connection)) };
        let Some(dial) = host.end_dial(ticket) else { return actions.push(Action::Close(connection)) };
        let was_known = host.known == Known::Exclusive;
        host.known = Known::Exclusive;
        if !dial.counted {
            host.open += 1;
        }
        self.unpromise(&dial);
        self.released(origin, &dial.place, connection, now, until, actions);
        let is_served = |waiting| self.waiters.get(waiting).is_none_or(|waiter| waiter.grant.is_some());
        // Who waited for just this dial has it: nobody else is the worse for its end.
        if !(was_known && dial.on_behalf_of.is_none_or(is_served)) {
            self.dial_if_needed(origin, actions);
        }
    }

    /// A dial gave a shared connection: everyone who waits for one gets it.
    pub(super) fn opened_shared(
        &mut self,
        origin: &Arc<Origin>,
        ticket: Ticket,
        shared: S,
        actions: &mut Actions<E, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        let Some(dial) = host.end_dial(ticket) else { return };
        if dial.counted {
            host.open -= 1;
        }
        host.known = Known::Shared;
        let place = dial.place.id();
        host.shared.push((place, shared.clone()));
        let waiters = &mut self.waiters;
        host.queue.retain(|waiting| {
            let waiter = &mut waiters[*waiting];
            let served = waiter.place.id() == place;
            if served {
                grant(waiter, Grant::Shared(shared.clone()), actions);
            }
            !served
        });
        self.dial_if_needed(origin, actions);
    }

    /// A dial failed: so does the waiter it was for, and everyone else if nothing is left that could serve them.
    pub(super) fn failed(
        &mut self,
        origin: &Arc<Origin>,
        ticket: Ticket,
        error: X,
        actions: &mut Actions<E, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        let Some(dial) = host.end_dial(ticket) else { return };
        if dial.counted {
            host.open -= 1;
        }
        let alone = host.open == 0 && host.dials.is_empty();
        let place = dial.place.id();
        let waiters = &mut self.waiters;
        host.queue.retain(|waiting| {
            let waiter = &mut waiters[*waiting];
            if dial.on_behalf_of == Some(*waiting) {
                waiter.promised = false;
            }
            let fails = dial.on_behalf_of == Some(*waiting) || (alone && waiter.place.id() == place);
            if fails {
                grant(waiter, Grant::Failed(error.clone()), actions);
            }
            !fails
        });
        self.dial_if_needed(origin, actions);
        self.drop_if_unused(origin);
    }

    /// An exclusive connection is free: the next waiter gets it, or it rests.
    pub(super) fn released(
        &mut self,
        origin: &Arc<Origin>,
        place: &P,
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return actions.push(Action::Close(connection)) };
        let id = place.id();
        let waiters = &mut self.waiters;
        if let Some(at) = host.queue.iter().position(|waiting| waiters[*waiting].place.id() == id) {
            // Whoever waits longest at this place is served, even if a dial was begun for it: that connection
            // will serve another.
            if let Some(waiting) = host.queue.remove(at) {
                if waiters[waiting].promised {
                    host.orphan(waiting);
                }
                return grant(&mut waiters[waiting], Grant::Exclusive(connection), actions);
            }
        }
        if until > now && host.queue.is_empty() {
            host.idle.push(Idle { connection, place: id, until });
        } else {
            // Somebody elsewhere waits for a place under the limit.
            host.open -= 1;
            actions.push(Action::Close(connection));
            self.dial_if_needed(origin, actions);
        }
    }

    /// An exclusive connection has been closed by its user.
    pub(super) fn closed(&mut self, origin: &Arc<Origin>, actions: &mut Actions<E, P>) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        host.open = host.open.saturating_sub(1);
        self.dial_if_needed(origin, actions);
        self.drop_if_unused(origin);
    }

    /// Closes what has rested long enough; the time of the next to close at `place`.
    pub(super) fn expire(
        &mut self,
        place: P::Id,
        now: Instant,
        actions: &mut Actions<E, P>,
    ) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut expired = Vec::new();
        for host in self.hosts.values_mut() {
            for idle in host.idle.extract_if(.., |idle| idle.until <= now) {
                host.open -= 1;
                actions.push(Action::Close(idle.connection));
            }
            for idle in host.idle.iter().filter(|idle| idle.place == place) {
                next = Some(next.map_or(idle.until, |known| known.min(idle.until)));
            }
            if host.is_unused() {
                expired.push(host.origin.clone());
            }
        }
        for origin in expired {
            self.drop_if_unused(&origin);
        }
        next
    }

    /// A place is gone with its reactor: what rested there is closed, what it was dialling will never come.
    pub(super) fn place_gone(&mut self, place: P::Id, actions: &mut Actions<E, P>) {
        let origins: Vec<_> = self.hosts.keys().cloned().collect();
        for origin in origins {
            if let Some(host) = self.hosts.get_mut(&origin) {
                for idle in host.idle.extract_if(.., |idle| idle.place == place) {
                    host.open -= 1;
                    actions.push(Action::Close(idle.connection));
                }
                host.shared.retain(|(id, _)| *id != place);
            }
            self.dial_if_needed(&origin, actions);
            self.drop_if_unused(&origin);
        }
    }

    /// Closes everything idle and forgets shared connections: later wishes get new ones.
    pub(super) fn close_idle(&mut self, actions: &mut Actions<E, P>) {
        for host in self.hosts.values_mut() {
            host.open -= host.idle.len();
            actions.extend(host.idle.drain(..).map(|idle| Action::Close(idle.connection)));
            host.shared.clear();
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.waiters.is_empty()
    }

    /// Starts dials for those who wait without one, as far as the limit allows.
    fn dial_if_needed(&mut self, origin: &Arc<Origin>, actions: &mut Actions<E, P>) {
        let mut at = 0;
        while let Some(host) = self.hosts.get(origin) {
            // In a crowd nearly all are promised one: the search must not look the origin up for each.
            let promised = |waiting: &Waiting| self.waiters[*waiting].promised;
            at += host.queue.iter().skip(at).take_while(|waiting| promised(waiting)).count();
            let Some(&waiting) = host.queue.get(at) else { break };
            if !self.dial_for(origin, waiting, actions) {
                break;
            }
            at += 1;
        }
    }

    /// Sees to it that a dial will serve the waiter; false if the limit forbids one. While it is not known what
    /// the origin offers, or it offers a shared connection, one dial at a place serves all who wait there.
    fn dial_for(&mut self, origin: &Arc<Origin>, waiting: Waiting, actions: &mut Actions<E, P>) -> bool {
        let Some(host) = self.hosts.get_mut(origin) else { return false };
        let waiter = &mut self.waiters[waiting];
        let id = waiter.place.id();
        let counted = host.known == Known::Exclusive;
        if !counted && host.dials.iter().any(|dial| dial.place.id() == id) {
            return true;
        }
        // A dial whose waiter was served otherwise is adopted before a new one is begun.
        if let Some(orphan) = host.orphan_at(id) {
            orphan.on_behalf_of = Some(waiting);
            waiter.promised = counted;
            return true;
        }
        if counted && !host.make_room(self.limit, actions) {
            return false;
        }
        host.open += usize::from(counted);
        waiter.promised = counted;
        let (ticket, place) = (self.next_ticket, waiter.place.clone());
        self.next_ticket += 1;
        host.dials.push_back(DialInProgress {
            ticket,
            place: place.clone(),
            on_behalf_of: Some(waiting),
            counted,
        });
        actions.push(Action::Dial { origin: origin.clone(), place, ticket });
        true
    }

    /// The dial has ended: whoever it was for waits without one again.
    fn unpromise(&mut self, dial: &DialInProgress<P>) {
        if let Some(waiter) = dial.on_behalf_of.and_then(|waiting| self.waiters.get_mut(waiting)) {
            waiter.promised = false;
        }
    }

    fn drop_if_unused(&mut self, origin: &Arc<Origin>) {
        if self.hosts.get(origin).is_some_and(Host::is_unused) {
            self.hosts.remove(origin);
        }
    }
}

impl<E, S: Shared, P: Place> Host<E, S, P> {
    fn new(origin: Arc<Origin>, known: Known) -> Self {
        Self {
            origin,
            known,
            idle: Vec::new(),
            shared: Vec::new(),
            dials: VecDeque::new(),
            may_have_orphans: false,
            open: 0,
            queue: VecDeque::new(),
        }
    }

    /// Puts a waiter behind those at least as urgent.
    fn enqueue<X>(&mut self, waiting: Waiting, priority: f32, waiters: &Slab<Waiter<E, S, P, X>>) {
        let before = |other: &Waiting| waiters[*other].priority >= priority;
        let at = self.queue.iter().rposition(before).map_or(0, |at| at + 1);
        self.queue.insert(at, waiting);
    }

    fn end_dial(&mut self, ticket: Ticket) -> Option<DialInProgress<P>> {
        let at = self.dials.binary_search_by_key(&ticket, |dial| dial.ticket).ok()?;
        self.dials.remove(at)
    }

    /// A dial at this place whose waiter was served otherwise, or has gone.
    fn orphan_at(&mut self, place: P::Id) -> Option<&mut DialInProgress<P>> {
        if !self.may_have_orphans {
            return None;
        }
        self.may_have_orphans = self.dials.iter().any(|dial| dial.on_behalf_of.is_none());
        self.dials.iter_mut().find(|dial| dial.on_behalf_of.is_none() && dial.place.id() == place)
    }

    /// The waiter's dial is free for another.
    fn orphan(&mut self, waiting: Waiting) {
        for dial in self.dials.iter_mut().filter(|dial| dial.on_behalf_of == Some(waiting)) {
            dial.on_behalf_of = None;
            self.may_have_orphans = true;
        }
    }

    /// Is there room for one more, if need be by closing a connection that rests at another place?
    fn make_room(&mut self, limit: usize, actions: &mut Actions<E, P>) -> bool {
        if self.open < limit {
            return true;
        }
        match self.idle.pop() {
            Some(idle) => {
                self.open -= 1;
                actions.push(Action::Close(idle.connection));
                true
            }
            None => false,
        }
    }

    /// Nothing is known of it that a new entry would not know; what it offers is kept while something is open.
    fn is_unused(&self) -> bool {
        self.open == 0
            && self.dials.is_empty()
            && self.queue.is_empty()
            && !self.shared.iter().any(|(_, shared)| shared.is_open())
    }
}

fn grant<E, S, P: Place, X>(
    waiter: &mut Waiter<E, S, P, X>,
    grant: Grant<E, S, X>,
    actions: &mut Actions<E, P>,
) {
    waiter.grant = Some(grant);
    actions.extend(waiter.waker.take().map(Action::Wake));
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
