//! The limits over all hosts: which idle connection is closed for a new one, and which host's turn it is.

use std::sync::Arc;

use super::super::host::{DialKind, MAX_PASSED_OVER};
use super::{
    Action, Actions, Dial, DialId, Idle, IdleConnection, Multiplexed, Origin, PoolState, Reserved,
    RuntimeKey, WaiterId,
};

impl<E: Reserved, S: Multiplexed, P: RuntimeKey, X: Clone> PoolState<E, S, P, X> {
    /// Sees to it that the limits allow one more connection to the host, by closing an idle one if need be.
    pub(super) fn make_way(
        &mut self,
        origin: &Arc<Origin>,
        kind: DialKind,
        actions: &mut Actions<E, S, P>,
    ) -> bool {
        let Some(host) = self.hosts.get(origin) else { return false };
        // Its own connections at the host's limit: they are idle at another place.
        let own =
            host.idle.first().filter(|_| kind == DialKind::Exclusive && host.open >= self.limits.per_host);
        if let Some(key) = own.copied() {
            self.close_entry(key, actions);
        }
        if self.open < self.limits.open {
            return true;
        }
        let oldest = self.idle.oldest();
        oldest.inspect(|key| self.close_entry(*key, actions)).is_some()
    }

    /// The host waits for the limit over all hosts.
    pub(super) fn block(&mut self, origin: &Arc<Origin>) {
        if let Some(host) = self.hosts.get_mut(origin)
            && !host.is_blocked
        {
            host.is_blocked = true;
            self.blocked.push_back(host.origin.clone());
        }
    }

    /// Dials for the hosts that wait for the limit over all, one each by turns, as far as it allows.
    pub(super) fn serve_blocked(&mut self, actions: &mut Actions<E, S, P>) {
        while !self.blocked.is_empty() && (self.open < self.limits.open || !self.idle.is_empty()) {
            let Some(origin) = self.blocked.pop_front() else { break };
            self.passed_over = 0;
            self.unblock(&origin);
            let Some((waiting, kind)) = self.next_to_dial(&origin) else { continue };
            if self.make_way(&origin, kind, actions) {
                self.begin_dial(&origin, waiting, kind, actions);
            }
            if self.next_to_dial(&origin).is_some() {
                self.block(&origin);
            }
        }
    }

    /// The first waiter of the host that needs a dial.
    pub(super) fn next_to_dial(&mut self, origin: &Arc<Origin>) -> Option<(WaiterId, DialKind)> {
        let host = self.hosts.get_mut(origin)?;
        for at in 0..host.queue.len() {
            let waiting = host.queue[at];
            let waiter = &mut self.waiters[waiting];
            if waiter.promised {
                continue;
            }
            match host.dial(waiting, waiter, self.limits.per_host) {
                Dial::InProgress => {}
                Dial::Forbidden => return None,
                Dial::Needed(kind) => return Some((waiting, kind)),
            }
        }
        None
    }

    /// A host that was blocked is forgotten: nobody waits for it. What is left of it is removed with that of others.
    pub(super) fn forget_blocked(&mut self) {
        self.forgotten += 1;
        if self.forgotten * 2 > self.blocked.len() {
            self.forgotten = 0;
            let hosts = &self.hosts;
            self.blocked.retain(|origin| hosts.get(origin).is_some_and(|host| host.is_blocked));
        }
    }

    /// Whether the host has kept its connections long enough while others wait for the limit over all hosts. It has had its
    /// turn then; hosts whose waiters were served otherwise need none.
    pub(super) fn must_yield(&mut self, origin: &Arc<Origin>) -> bool {
        if self.passed_over < MAX_PASSED_OVER {
            return false;
        }
        for _ in 0..self.blocked.len() {
            let Some(next) = self.blocked.pop_front() else { break };
            match self.next_to_dial(&next) {
                Some(_) if next != *origin => {
                    self.blocked.push_front(next);
                    return true;
                }
                Some(_) => self.blocked.push_back(next),
                None => self.unblock(&next),
            }
        }
        self.passed_over = 0;
        false
    }

    /// The host has been taken from those that wait for the limit over all.
    fn unblock(&mut self, origin: &Arc<Origin>) {
        match self.hosts.get_mut(origin) {
            Some(host) => host.is_blocked = false,
            None => self.forgotten = self.forgotten.saturating_sub(1),
        }
    }

    /// A connection has become idle: a blocked host has it closed for its own, or one too many is closed.
    pub(super) fn became_idle(&mut self, actions: &mut Actions<E, S, P>) {
        if !self.blocked.is_empty() {
            self.serve_blocked(actions);
        }
        while self.idle.len() > self.limits.idle
            && let Some(oldest) = self.idle.oldest()
        {
            self.close_entry(oldest, actions);
        }
    }

    pub(super) fn close_idle_if(
        &mut self,
        which: impl Fn(&Idle<E, P>) -> bool,
        actions: &mut Actions<E, S, P>,
    ) {
        let keys: Vec<_> = self.idle.iter().filter(|(_, idle)| which(idle)).map(|(key, _)| key).collect();
        for key in keys {
            self.close_entry(key, actions);
        }
    }

    /// Closes an idle connection.
    pub(super) fn close_entry(&mut self, key: usize, actions: &mut Actions<E, S, P>) {
        let Idle { origin, connection, .. } = self.idle.remove(key);
        let Some(host) = self.hosts.get_mut(&origin) else { return };
        match connection {
            IdleConnection::Exclusive(connection) => {
                host.idle.retain(|other| *other != key);
                host.open -= 1;
                self.open -= 1;
                actions.push(Action::Close(connection));
            }
            IdleConnection::Multiplexed(dial_id) => {
                if let Some(multiplexed) = host.remove_shared(dial_id) {
                    self.open -= 1;
                    actions.push(Action::CloseMultiplexed(multiplexed.handle));
                }
            }
        }
        self.drop_if_unused(&origin);
    }

    /// Forgets a shared connection, if it is still known, and closes it.
    pub(super) fn close_multiplexed(
        &mut self,
        origin: &Arc<Origin>,
        dial_id: DialId,
        actions: &mut Actions<E, S, P>,
    ) {
        let Some(host) = self.hosts.get_mut(origin) else { return };
        let Some(multiplexed) = host.remove_shared(dial_id) else { return };
        if let Some(key) = multiplexed.idle {
            self.idle.remove(key);
        }
        self.open -= 1;
        actions.push(Action::CloseMultiplexed(multiplexed.handle));
        self.drop_if_unused(origin);
    }
}
