//! The pool's state of one origin: its connections and dials, and the loads that wait for it.
//!
//! It decides whether a waiter needs a dial; `pool/state.rs` decides which connection is closed for a new one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::super::connection::Multiplexed;
use super::super::origin::Origin;
use super::super::reservation::Requester;
use crate::load::Decider;

/// A dial in progress.
pub(super) type DialId = u64;

/// A waiter's number.
pub(super) type WaiterId = usize;

/// The runtime of connections, and the requester of one there.
pub(super) trait RuntimeKey: Clone {
    type Id: Copy + Eq + std::fmt::Debug;
    fn id(&self) -> Self::Id;
    fn requester(&self) -> &Requester;

    /// The same for a dial, which reports its progress to its waiter.
    fn for_dial(&self) -> Self {
        self.clone()
    }
}

/// The result for a waiter.
#[derive(Debug)]
pub(super) enum Acquired<E, S, X> {
    Exclusive(E),
    /// To be returned with the number of its dial.
    Multiplexed(S, DialId),
    Failed(X),
}

#[derive(Debug)]
pub(super) struct Host<S, P: RuntimeKey> {
    pub(super) origin: Arc<Origin>,
    pub(super) known: OriginProtocol,
    /// Keys of idle exclusive connections, the oldest first.
    pub(super) idle: Vec<usize>,
    pub(super) multiplexed: Vec<MultiplexedConnection<S, P>>,
    /// In the order of their numbers.
    pub(super) dials: VecDeque<DialInProgress<P>>,
    /// False if every dial has its waiter. With many waiters that is the normal case, and no search is needed.
    may_have_orphans: bool,
    /// Exclusive connections: dialling, busy and idle.
    pub(super) open: usize,
    pub(super) queue: VecDeque<WaiterId>,
    /// Connections that went to waiters behind one that may not use them and has no dial.
    passed_over: usize,
    /// Whether it is among those that wait for the limit over all hosts.
    pub(super) is_blocked: bool,
    /// Connections to it are for one task each: a dial serves only its own waiter.
    pub(super) is_divided: bool,
}

#[derive(Debug)]
pub(super) struct Waiter<E, S, P: RuntimeKey, X> {
    pub(super) origin: Arc<Origin>,
    pub(super) runtime: P,
    pub(super) priority: f32,
    /// Whether a dial is in progress on its behalf.
    pub(super) promised: bool,
    pub(super) waker: Option<Waker>,
    pub(super) acquired: Option<Acquired<E, S, X>>,
}

/// A connection that carries many exchanges.
#[derive(Debug)]
pub(super) struct MultiplexedConnection<S, P: RuntimeKey> {
    /// Of the dial that made it.
    pub(super) dial_id: DialId,
    pub(super) runtime: P::Id,
    pub(super) handle: S,
    /// Exchanges it carries.
    pub(super) in_use: usize,
    /// Its key among what is idle.
    pub(super) idle: Option<usize>,
    /// Later loads do not get it.
    pub(super) is_retired: bool,
}

#[derive(Debug)]
pub(super) struct DialInProgress<P: RuntimeKey> {
    pub(super) dial_id: DialId,
    pub(super) runtime: P,
    /// The waiter that asked for it; none once that waiter is served or gone.
    pub(super) on_behalf_of: Option<WaiterId>,
    /// The waiter differs from the one whose delegates decide.
    pub(super) is_adopted: bool,
    pub(super) kind: DialKind,
}

impl<P: RuntimeKey> DialInProgress<P> {
    /// The waiter whose delegates decided and whose logins were used, if it still waits. The new connection serves it
    /// whatever the credential store has lost meanwhile; otherwise dials would repeat without end.
    pub(super) fn own(&self) -> Option<WaiterId> {
        self.on_behalf_of.filter(|_| !self.is_adopted)
    }
}

/// What kind of connection an origin offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginProtocol {
    Nothing,
    Exclusive,
    Multiplexed,
}

/// What is expected of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialKind {
    /// An exclusive connection: it counts as one of the host's from its beginning.
    Exclusive,
    /// One of either kind, as the server agrees to.
    Negotiated,
}

/// Whether a waiter needs a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    /// One that is in progress serves it.
    InProgress,
    /// The host's limit forbids one.
    Forbidden,
    /// It does.
    Needed(DialKind),
}

impl<S: Multiplexed, P: RuntimeKey> Host<S, P> {
    pub(super) fn new(origin: Arc<Origin>, known: OriginProtocol) -> Self {
        Self {
            origin,
            known,
            idle: Vec::new(),
            multiplexed: Vec::new(),
            dials: VecDeque::new(),
            may_have_orphans: false,
            open: 0,
            queue: VecDeque::new(),
            passed_over: 0,
            is_blocked: false,
            is_divided: false,
        }
    }

    /// Puts a waiter behind those at least as urgent.
    pub(super) fn enqueue<E, X>(
        &mut self,
        waiting: WaiterId,
        priority: f32,
        waiters: &Slab<Waiter<E, S, P, X>>,
    ) {
        let before = |other: &WaiterId| waiters[*other].priority >= priority;
        let at = self.queue.iter().rposition(before).map_or(0, |at| at + 1);
        self.queue.insert(at, waiting);
    }

    /// True if a connection for the waiter at this place of the queue is to be closed instead: those ahead of it that may not
    /// use the connection have been passed over often enough, and get one in its stead.
    pub(super) fn must_make_room<E, X>(&mut self, at: usize, waiters: &Slab<Waiter<E, S, P, X>>) -> bool {
        if self.queue.iter().take(at).all(|waiting| waiters[*waiting].promised) {
            return false;
        }
        self.passed_over += 1;
        let must = self.passed_over > MAX_PASSED_OVER;
        if must {
            self.passed_over = 0;
        }
        must
    }

    pub(super) fn end_dial(&mut self, dial_id: DialId) -> Option<DialInProgress<P>> {
        let at = self.dials.binary_search_by_key(&dial_id, |dial| dial.dial_id).ok()?;
        self.dials.remove(at)
    }

    /// A dial at this place whose waiter was served otherwise, or has gone, and in which the same delegates are asked.
    fn orphan_for(&mut self, runtime: &P) -> Option<&mut DialInProgress<P>> {
        if !self.may_have_orphans {
            return None;
        }
        self.may_have_orphans = self.dials.iter().any(|dial| dial.on_behalf_of.is_none());
        self.dials.iter_mut().find(|dial| {
            let shares = || dial.runtime.requester().shares_dials(runtime.requester());
            dial.on_behalf_of.is_none() && dial.runtime.id() == runtime.id() && shares()
        })
    }

    /// The waiter's dial can serve another waiter.
    pub(super) fn orphan(&mut self, waiting: WaiterId) {
        for dial in self.dials.iter_mut().filter(|dial| dial.on_behalf_of == Some(waiting)) {
            dial.on_behalf_of = None;
            self.may_have_orphans = true;
        }
    }

    /// True if a dial is in progress, while it is not known what the origin offers, that is expected to serve the waiter.
    pub(super) fn is_dialling_for(&self, waiting: WaiterId, runtime: &P) -> bool {
        self.dials.iter().any(|dial| {
            let is_shared = !self.is_divided && dial.runtime.requester().shares_dials(runtime.requester());
            dial.runtime.id() == runtime.id() && (dial.on_behalf_of == Some(waiting) || is_shared)
        })
    }

    /// The dial that the waiter waits for.
    pub(super) fn dial_of(&self, waiting: WaiterId, runtime: &P) -> Option<&DialInProgress<P>> {
        let own = || self.dials.iter().find(|dial| dial.on_behalf_of == Some(waiting));
        let shares = |dial: &&DialInProgress<P>| {
            dial.runtime.id() == runtime.id() && dial.runtime.requester().shares_dials(runtime.requester())
        };
        let is_shared = self.known != OriginProtocol::Exclusive && !self.is_divided;
        own().or_else(|| self.dials.iter().find(shares).filter(|_| is_shared))
    }

    /// Whether the waiter needs a dial. While it is not known what the origin offers, or it offers a shared connection, one
    /// dial on a runtime serves all waiters there for which the same delegates decide.
    pub(super) fn dial<E, X>(
        &mut self,
        waiting: WaiterId,
        waiter: &mut Waiter<E, S, P, X>,
        limit: usize,
    ) -> Dial {
        let id = waiter.runtime.id();
        let kind =
            if self.known == OriginProtocol::Exclusive { DialKind::Exclusive } else { DialKind::Negotiated };
        if kind == DialKind::Negotiated {
            if self.is_dialling_for(waiting, &waiter.runtime) {
                return Dial::InProgress;
            }
            // Of those that cannot be shared not more than of exclusive ones.
            let dials = self.dials.iter().filter(|dial| dial.runtime.id() == id).count();
            if dials > 0 && self.open + dials >= limit {
                return Dial::Forbidden;
            }
        }
        // A dial whose waiter was served otherwise is adopted before a new one is begun.
        if let Some(orphan) = self.orphan_for(&waiter.runtime) {
            orphan.on_behalf_of = Some(waiting);
            orphan.is_adopted = true;
            waiter.promised = true;
            return Dial::InProgress;
        }
        match kind == DialKind::Exclusive && self.open >= limit && self.idle.is_empty() {
            true => Dial::Forbidden,
            false => Dial::Needed(kind),
        }
    }

    /// A shared connection that later loads of the requester at the place may use, if possible one with its login.
    pub(super) fn usable_multiplexed(
        &mut self,
        runtime: P::Id,
        requester: &Requester,
    ) -> Option<&mut MultiplexedConnection<S, P>> {
        let is_usable = |multiplexed: &&mut MultiplexedConnection<S, P>| {
            multiplexed.runtime == runtime
                && !multiplexed.is_retired
                && multiplexed.handle.is_open()
                && multiplexed.handle.reservation().admits_beside_others(requester)
        };
        let mut all = self.multiplexed.iter_mut().filter(is_usable);
        match requester.logins {
            None => all.next(),
            Some(_) => all.max_by_key(|multiplexed| multiplexed.handle.reservation().is_logged_in()),
        }
    }

    pub(super) fn remove_shared(&mut self, dial_id: DialId) -> Option<MultiplexedConnection<S, P>> {
        let at = self.multiplexed.iter().position(|multiplexed| multiplexed.dial_id == dial_id)?;
        Some(self.multiplexed.swap_remove(at))
    }

    /// Nothing is known of it that a new entry would not know; what it offers is kept while something is open.
    pub(super) fn is_unused(&self) -> bool {
        self.open == 0 && self.dials.is_empty() && self.queue.is_empty() && self.multiplexed.is_empty()
    }
}

/// True if a challenge of the waiter's dial may be pending at the task's own delegate: the delegate gets no other
/// challenge meanwhile, and its decision counts.
pub(super) fn is_being_decided<P: RuntimeKey>(
    dials: &VecDeque<DialInProgress<P>>,
    waiting: WaiterId,
    runtime: &P,
) -> bool {
    matches!(runtime.requester().decider, Decider::Task(_))
        && dials.iter().any(|dial| dial.on_behalf_of == Some(waiting))
}

/// A host serves as many of its own waiters with its connections before it gives one up for another host, or for one of
/// its waiters that is ahead of them and may not use it.
pub(super) const MAX_PASSED_OVER: usize = 8;
