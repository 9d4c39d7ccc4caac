//! Dials: which dials begin, and which waiters their connections serve.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::super::host::{DialInProgress, DialKind, MultiplexedConnection, is_being_decided};
use super::{
    Acquired, Action, Actions, Dial, DialId, Multiplexed, Origin, OriginProtocol, PoolState, Reserved,
    RuntimeKey, Scope, WaiterId, acquired,
};

impl<E: Reserved, S: Multiplexed, P: RuntimeKey, X: Clone> PoolState<E, S, P, X> {
    /// A dial gave an exclusive connection.
    pub(in super::super) fn opened(
        &mut self,
        origin: &Arc<Origin>,
        dial_id: DialId,
        connection: E,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return actions.push(Action::Close(connection)) };
        let Some(dial) = host.end_dial(dial_id) else { return actions.push(Action::Close(connection)) };
        let was_known = host.known == OriginProtocol::Exclusive;
        host.known = OriginProtocol::Exclusive;
        if dial.kind == DialKind::Negotiated {
            host.open += 1;
        }
        // What else is being dialled is expected to be as this.
        for other in host.dials.iter_mut().filter(|other| !was_known && other.kind == DialKind::Negotiated) {
            other.kind = DialKind::Exclusive;
            host.open += 1;
        }
        self.unpromise(&dial);
        self.hand_over(origin, (&dial.runtime, dial.own()), connection, now, until, actions);
        let is_served = |waiting| self.waiters.get(waiting).is_none_or(|waiter| waiter.acquired.is_some());
        // The waiter of this dial has a connection: the end of the dial affects no other.
        if !(was_known && dial.on_behalf_of.is_none_or(is_served)) {
            self.dial_if_needed(origin, actions);
        }
    }

    /// A dial gave a shared connection: every waiter that may use it gets it.
    pub(in super::super) fn opened_multiplexed(
        &mut self,
        origin: &Arc<Origin>,
        dial_id: DialId,
        handle: S,
        now: Instant,
        until: Instant,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else {
            return actions.push(Action::CloseMultiplexed(handle));
        };
        let Some(dial) = host.end_dial(dial_id) else {
            return actions.push(Action::CloseMultiplexed(handle));
        };
        if dial.kind == DialKind::Exclusive {
            host.open -= 1;
        }
        host.known = OriginProtocol::Multiplexed;
        let (runtime, reservation) = (dial.runtime.id(), handle.reservation());
        host.is_divided |= matches!(reservation.scope, Scope::Task(_));
        if let Some(waiter) = dial.on_behalf_of.and_then(|waiting| self.waiters.get_mut(waiting)) {
            waiter.promised = false;
        }
        let (waiters, dials) = (&mut self.waiters, &host.dials);
        // Until it is returned below, it is in use by this.
        let mut in_use = 1;
        let mut served_otherwise: SmallVec<[WaiterId; 1]> = SmallVec::new();
        host.queue.retain(|waiting| {
            let waiter = &mut waiters[*waiting];
            let served = waiter.runtime.id() == runtime
                && ((dial.own() == Some(*waiting) && reservation.admits_decider(waiter.runtime.requester()))
                    || (!reservation.is_for_once()
                        && reservation.admits_beside_others(waiter.runtime.requester())
                        && !is_being_decided(dials, *waiting, &waiter.runtime)));
            if served {
                in_use += 1;
                served_otherwise.extend(waiter.promised.then_some(*waiting));
                acquired(waiter, Acquired::Multiplexed(handle.clone(), dial_id), actions);
            }
            !served
        });
        served_otherwise.into_iter().for_each(|waiting| host.orphan(waiting));
        let (idle, is_retired) = (None, false);
        host.multiplexed.push(MultiplexedConnection { dial_id, runtime, handle, in_use, idle, is_retired });
        self.dial_if_needed(origin, actions);
        self.returned(origin, dial_id, now, until, actions);
    }

    /// A dial failed: its waiter fails, and so do the other waiters it was to serve, if no other connection can serve them.
    /// A failure `was_decided` if delegates were asked meanwhile: it is that of their task alone.
    pub(in super::super) fn failed(
        &mut self,
        origin: &Arc<Origin>,
        dial_id: DialId,
        error: X,
        was_decided: bool,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        let Some(dial) = host.end_dial(dial_id) else { return };
        self.open -= 1;
        if dial.kind == DialKind::Exclusive {
            host.open -= 1;
        }
        let alone = host.open == 0 && host.dials.is_empty();
        let runtime = dial.runtime.id();
        let waiters = &mut self.waiters;
        host.queue.retain(|waiting| {
            let waiter = &mut waiters[*waiting];
            if dial.on_behalf_of == Some(*waiting) {
                waiter.promised = false;
            }
            let is_own = dial.on_behalf_of == Some(*waiting);
            let shares = || waiter.runtime.requester().shares_dials(dial.runtime.requester());
            let fails = match was_decided {
                true => dial.own() == Some(*waiting),
                false => is_own || (alone && waiter.runtime.id() == runtime && shares()),
            };
            if fails {
                acquired(waiter, Acquired::Failed(error.clone()), actions);
            }
            !fails
        });
        self.dial_if_needed(origin, actions);
        self.drop_if_unused(origin);
        self.serve_blocked(actions);
    }

    /// Starts dials for waiters without one, as far as the limits allow.
    pub(super) fn dial_if_needed(&mut self, origin: &Arc<Origin>, actions: &mut Actions<E, S, P>) {
        let mut at = 0;
        while let Some(host) = self.hosts.get(origin) {
            // In a crowd nearly all are promised one: the search must not look the origin up for each.
            let promised = |waiting: &WaiterId| self.waiters[*waiting].promised;
            at += host.queue.iter().skip(at).take_while(|waiting| promised(waiting)).count();
            let Some(&waiting) = host.queue.get(at) else { break };
            if !self.dial_for(origin, waiting, actions) {
                break;
            }
            at += 1;
        }
    }

    /// Sees to it that a dial will serve the waiter; false if a limit forbids one.
    pub(super) fn dial_for(
        &mut self,
        origin: &Arc<Origin>,
        waiting: WaiterId,
        actions: &mut Actions<E, S, P>,
    ) -> bool {
        let Some(host) = self.hosts.get_mut(origin) else { return false };
        match host.dial(waiting, &mut self.waiters[waiting], self.limits.per_host) {
            Dial::InProgress => true,
            Dial::Forbidden => false,
            Dial::Needed(kind) => {
                // No waiter overtakes the hosts that wait for the limit over all hosts.
                let may = self.blocked.is_empty() && self.make_way(origin, kind, actions);
                match may {
                    true => self.begin_dial(origin, waiting, kind, actions),
                    false => self.block(origin),
                }
                may
            }
        }
    }

    pub(super) fn begin_dial(
        &mut self,
        origin: &Arc<Origin>,
        waiting: WaiterId,
        kind: DialKind,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        let waiter = &mut self.waiters[waiting];
        self.open += 1;
        host.open += usize::from(kind == DialKind::Exclusive);
        waiter.promised = true;
        let (dial_id, runtime) = (self.next_dial_id, waiter.runtime.for_dial());
        self.next_dial_id += 1;
        host.dials.push_back(DialInProgress {
            dial_id,
            runtime: runtime.clone(),
            on_behalf_of: Some(waiting),
            is_adopted: false,
            kind,
        });
        actions.push(Action::Dial { origin: origin.clone(), runtime, dial_id });
    }

    /// The dial has ended: its waiter waits without one again.
    fn unpromise(&mut self, dial: &DialInProgress<P>) {
        if let Some(waiter) = dial.on_behalf_of.and_then(|waiting| self.waiters.get_mut(waiting)) {
            waiter.promised = false;
        }
    }
}
