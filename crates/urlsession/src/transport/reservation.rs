//! The requests for which a connection is reserved: by who decided to trust its server, by its client certificate, and by its
//! login. Nearly all connections serve every request of the session. Pure.

use std::sync::Arc;

use crate::load::{ConnectionLogin, DecidedBy, Decider, LoginUse, LoginUses};

/// The requests a connection may carry, as far as its TLS and its tunnel are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    #[default]
    Everyone,
    /// Tasks for which no delegate decides.
    Undecided,
    /// Tasks for which the session's delegate, as the delegate of the session, decides.
    Session,
    /// One task.
    Task(u64),
}

impl Scope {
    /// The requests that remain after a decision of a delegate. A decision for a task with its own delegate applies to
    /// that task only: the delegates of other tasks decide for those.
    pub(crate) fn of(decided_by: DecidedBy, decider: Decider) -> Self {
        match (decided_by, decider) {
            (DecidedBy::Default, _) | (_, Decider::Platform) => Self::Everyone,
            (DecidedBy::Session, Decider::Session(_)) => Self::Session,
            (_, Decider::Session(task) | Decider::Task(task)) => Self::Task(task),
        }
    }

    /// A decision for one use, by any delegate, applies to one task.
    pub(crate) fn for_once(decider: Decider) -> Self {
        Self::of(DecidedBy::Task, decider)
    }

    /// The tasks for which the decision would be the same as for this task, as far as is known without a challenge.
    pub(crate) fn alike(decider: Decider) -> Self {
        match decider {
            Decider::Platform => Self::Undecided,
            Decider::Session(_) => Self::Session,
            Decider::Task(task) => Self::Task(task),
        }
    }

    /// The requests allowed by both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Task(_), _) => self,
            (_, Self::Task(_)) => other,
            (Self::Session, _) | (_, Self::Session) => Self::Session,
            (Self::Undecided, _) | (_, Self::Undecided) => Self::Undecided,
            (Self::Everyone, Self::Everyone) => Self::Everyone,
        }
    }
}

/// The reservation of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservation {
    pub(crate) scope: Scope,
    /// The revision of the credential store that the client's certificate and the login of its tunnel are from, the older one
    /// of the two.
    credentials: Option<u64>,
    server: Option<Arc<ConnectionLogin>>,
    proxy: Option<Arc<ConnectionLogin>>,
}

/// A connection, or a handle of one.
pub(crate) trait Reserved {
    fn reservation(&self) -> &Reservation;
}

impl<T: Reserved> Reserved for Box<T> {
    fn reservation(&self) -> &Reservation {
        (**self).reservation()
    }
}

/// The requester of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requester {
    pub(crate) decider: Decider,
    /// The revision of the credential store when the connection was requested.
    pub(crate) revision: u64,
    pub(crate) logins: Option<Arc<LoginUses>>,
}

impl Requester {
    /// True if a dial for one of the two may serve the other: the same delegates decide about it.
    pub(crate) fn shares_dials(&self, other: &Self) -> bool {
        let is_alike = match (self.decider, other.decider) {
            (Decider::Platform, Decider::Platform) | (Decider::Session(_), Decider::Session(_)) => true,
            (one, other) => one == other,
        };
        is_alike && !self.begins_login() && !other.begins_login()
    }

    fn begins_login(&self) -> bool {
        self.logins
            .as_ref()
            .is_some_and(|logins| logins.server.begun().is_some() || logins.proxy.begun().is_some())
    }
}

impl Reservation {
    /// Of a connection that has just been made with credentials of this revision of the credential store, if it was: the
    /// client's certificate, the login of its tunnel.
    pub(crate) fn new(scope: Scope, credentials: Option<u64>) -> Self {
        Self { scope, credentials, server: None, proxy: None }
    }

    /// True if a connection that carries one exchange at a time may carry this one.
    pub(crate) fn admits(&self, requester: &Requester) -> bool {
        self.admits_decider(requester) && (self.has_no_login() || self.admits_login(requester))
    }

    fn admits_login(&self, requester: &Requester) -> bool {
        self.is_as_new_as(requester.revision) && {
            let logins = requester.logins.as_deref();
            let fits = |login: &Option<Arc<ConnectionLogin>>, wanted: Option<&LoginUse>| match (login, wanted)
            {
                (None, _) => true,
                (Some(login), Some(LoginUse::Reuse(wanted))) => login.is_same(wanted),
                (Some(login), Some(LoginUse::Begin(wanted))) => {
                    wanted.may_begin_again() && login.is_same(wanted)
                }
                (Some(_), _) => false,
            };
            fits(&self.server, logins.map(|logins| &logins.server))
                && fits(&self.proxy, logins.map(|logins| &logins.proxy))
        }
    }

    /// The same of a connection that others may use at the same time: a login begins only on one that is its own.
    pub(crate) fn admits_beside_others(&self, requester: &Requester) -> bool {
        let begins = |login: &Option<Arc<ConnectionLogin>>, wanted: &LoginUse| {
            login.is_none() && wanted.begun().is_some()
        };
        self.admits(requester)
            && !requester.logins.as_ref().is_some_and(|logins| {
                begins(&self.server, &logins.server) || begins(&self.proxy, &logins.proxy)
            })
    }

    /// True if the login that the requester may use is in force.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.server.is_some() || self.proxy.is_some()
    }

    /// As nearly all connections.
    fn has_no_login(&self) -> bool {
        self.credentials.is_none() && !self.is_logged_in()
    }

    /// An exchange with these logins is about to be sent.
    pub(crate) fn begin(&mut self, logins: &LoginUses) {
        for (login, wanted) in [(&mut self.server, &logins.server), (&mut self.proxy, &logins.proxy)] {
            if let Some(begun) = wanted.begun() {
                *login = Some(begun.clone());
            }
        }
    }

    /// True if it serves no other exchange: it is logged in for one only.
    pub(crate) fn is_for_once(&self) -> bool {
        self.logins().any(|login| login.revision().is_none())
    }

    /// True if it may be kept now that the credential store has this revision.
    pub(crate) fn outlives_exchange(&self, revision: impl FnOnce() -> u64) -> bool {
        self.has_no_login() || (!self.is_for_once() && self.is_as_new_as(revision()))
    }

    /// True if a response with this status means that the user is not, or no longer, logged in.
    pub(crate) fn is_refused_by(&self, status: u16, logins: Option<&LoginUses>) -> bool {
        let (login, wanted) = match status {
            401 => (&self.server, logins.map(|logins| &logins.server)),
            407 => (&self.proxy, logins.map(|logins| &logins.proxy)),
            _ => return false,
        };
        let has_begun = wanted.is_some_and(|wanted| wanted.begun().is_some());
        let is_refused = |login: &ConnectionLogin| has_begun || !login.may_begin_again();
        login.as_ref().is_some_and(|login| login.credential().is_some() && is_refused(login))
    }

    /// True if it is for the tasks about whose connections the requester's delegates decide.
    pub(crate) fn admits_decider(&self, requester: &Requester) -> bool {
        match (self.scope, requester.decider) {
            (Scope::Everyone, _)
            | (Scope::Undecided, Decider::Platform)
            | (Scope::Session, Decider::Session(_)) => true,
            (Scope::Task(one), Decider::Session(other) | Decider::Task(other)) => one == other,
            _ => false,
        }
    }

    /// True if none of its logins is from before this revision of the credential store. One from after it is as good: the
    /// login may itself have changed the store.
    fn is_as_new_as(&self, revision: u64) -> bool {
        let of_logins = self.logins().filter_map(|login| login.revision());
        self.credentials.into_iter().chain(of_logins).all(|own| own >= revision)
    }

    fn logins(&self) -> impl Iterator<Item = &Arc<ConnectionLogin>> {
        [&self.server, &self.proxy].into_iter().flatten()
    }
}

#[cfg(test)]
#[path = "reservation_tests.rs"]
mod tests;
