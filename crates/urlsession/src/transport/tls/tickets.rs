//! Session tickets of connections that delegates judge: one is offered, and kept, only as far as the trust and the
//! certificate of its connection reach.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use super::super::pool::Scope;

/// Session tickets kept, over all servers.
pub(super) const TICKETS: usize = 256;

/// The tickets of all judged connections of a session.
pub(super) struct JudgedTickets {
    /// Of servers that the platform trusts.
    good: ClientSessionMemoryCache,
    /// Of those that the session's delegate trusts.
    loosened: ClientSessionMemoryCache,
}

/// The tickets as one handshake sees them.
pub(super) struct TicketsOfConnection {
    all: Arc<JudgedTickets>,
    /// Tasks with a delegate of their own are not offered what the session's delegate trusts.
    is_of_session: bool,
    /// A certificate for once is shown in a full handshake.
    resumes: bool,
    /// For whom the connection is, once that is known. Until then nothing is kept.
    scope: OnceLock<Scope>,
}

impl JudgedTickets {
    pub(super) fn new() -> Arc<Self> {
        let memory = || ClientSessionMemoryCache::new(TICKETS);
        Arc::new(Self { good: memory(), loosened: memory() })
    }

    pub(super) fn of_connection(
        self: &Arc<Self>,
        is_of_session: bool,
        resumes: bool,
    ) -> Arc<TicketsOfConnection> {
        Arc::new(TicketsOfConnection { all: self.clone(), is_of_session, resumes, scope: OnceLock::new() })
    }
}

impl TicketsOfConnection {
    /// The connection has been judged.
    pub(super) fn judged(&self, scope: Scope) {
        self.scope.get_or_init(|| scope);
    }

    /// Where tickets of this connection are kept, if they are.
    fn own(&self) -> Option<&ClientSessionMemoryCache> {
        match self.scope.get()? {
            Scope::Everyone => Some(&self.all.good),
            Scope::Session => Some(&self.all.loosened),
            Scope::Task(_) => None,
        }
    }

    /// Where tickets to offer may be, in order.
    fn offered(&self) -> impl Iterator<Item = &ClientSessionMemoryCache> {
        let loosened = self.is_of_session.then_some(&self.all.loosened);
        loosened.into_iter().chain([&self.all.good]).filter(|_| self.resumes)
    }
}

impl ClientSessionStore for TicketsOfConnection {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.all.good.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.all.good.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(own) = self.own() {
            own.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.offered().find_map(|tickets| tickets.tls12_session(server_name))
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.all.good.remove_tls12_session(server_name);
        self.all.loosened.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if let Some(own) = self.own() {
            own.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.offered().find_map(|tickets| tickets.take_tls13_ticket(server_name))
    }
}

impl fmt::Debug for TicketsOfConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketsOfConnection").field("scope", &self.scope).finish_non_exhaustive()
    }
}
