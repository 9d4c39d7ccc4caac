//! Session tickets: one is offered, and kept, only as far as the trust and the certificates of its connection reach.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use crate::message::UrlCredential;
use crate::transport::reservation::Scope;

/// All tickets of a session.
#[derive(Default)]
pub(super) struct Tickets {
    /// Of connections without delegates that decide.
    unjudged: TicketMemory,
    /// Of servers that delegates decide about and the platform trusts.
    good: TicketMemory,
    /// Of those that the session's delegate trusts.
    loosened: TicketMemory,
}

/// The port of the server, and the certificate that the client sends if it is requested. rustls distinguishes servers by
/// their names alone. A resumed session has the identity of its first handshake: the server treats the certificate as
/// sent, and no delegate is called for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    port: u16,
    certificate: Option<Arc<[u8]>>,
}

/// The tickets as one handshake sees them.
pub(super) struct TicketsOfConnection {
    all: Arc<Tickets>,
    ends: Ends,
    /// `None` if no delegate decides.
    judgement: Option<Judgement>,
}

/// The tasks for which the trust in a server holds, if delegates decide about it.
struct Judgement {
    /// Tasks with their own delegate do not use sessions that the session's delegate trusts.
    is_of_session: bool,
    /// A certificate that was just given is shown in a full handshake.
    resumes: bool,
    /// The reservation of the connection, once known. Until then no ticket is kept.
    scope: OnceLock<Scope>,
}

/// Tickets by server and client.
#[derive(Default)]
struct TicketMemory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    servers: HashMap<Key, OfServer>,
    /// The oldest first.
    order: VecDeque<Key>,
}

type Key = (ServerName<'static>, Ends);

#[derive(Default)]
struct OfServer {
    kx_hint: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// The oldest first. Each is used once (RFC 8446 §C.4).
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    /// Of a connection without delegates that decide.
    pub(super) fn unjudged(self: &Arc<Self>, ends: Ends) -> Arc<TicketsOfConnection> {
        Arc::new(TicketsOfConnection { all: self.clone(), ends, judgement: None })
    }

    /// Of a connection that delegates judge.
    pub(super) fn judged(
        self: &Arc<Self>,
        ends: Ends,
        is_of_session: bool,
        resumes: bool,
    ) -> Arc<TicketsOfConnection> {
        let judgement = Some(Judgement { is_of_session, resumes, scope: OnceLock::new() });
        Arc::new(TicketsOfConnection { all: self.clone(), ends, judgement })
    }
}

impl Ends {
    pub(super) fn new(port: u16, identity: Option<&UrlCredential>) -> Self {
        let certificate = identity.and_then(|identity| identity.certificates().first());
        Self { port, certificate: certificate.map(|der| der.as_slice().into()) }
    }
}

impl TicketsOfConnection {
    /// The connection has been judged.
    pub(super) fn judged(&self, scope: Scope) {
        if let Some(judgement) = &self.judgement {
            judgement.scope.get_or_init(|| scope);
        }
    }

    /// Where tickets of this connection are kept, if they are.
    fn own(&self) -> Option<&TicketMemory> {
        let Some(judgement) = &self.judgement else { return Some(&self.all.unjudged) };
        match judgement.scope.get()? {
            Scope::Everyone => Some(&self.all.good),
            Scope::Session => Some(&self.all.loosened),
            Scope::Undecided | Scope::Task(_) => None,
        }
    }

    /// Where tickets to offer may be, in order.
    fn offered(&self) -> impl Iterator<Item = &TicketMemory> {
        let Tickets { unjudged, good, loosened } = &*self.all;
        let offered = match &self.judgement {
            None => [Some(unjudged), None],
            Some(judgement) if !judgement.resumes => [None, None],
            Some(judgement) => [judgement.is_of_session.then_some(loosened), Some(good)],
        };
        offered.into_iter().flatten()
    }

    /// Where the groups are that servers want for key exchange, which are nobody's secret.
    fn hints(&self) -> &TicketMemory {
        if self.judgement.is_some() { &self.all.good } else { &self.all.unjudged }
    }
}

impl TicketMemory {
    fn change(&self, name: ServerName<'static>, ends: &Ends, change: impl FnOnce(&mut OfServer)) {
        let mut remembered = self.lock();
        let Remembered { servers, order } = &mut *remembered;
        let key = (name, ends.clone());
        if !servers.contains_key(&key) {
            if order.len() == MOST_SERVERS
                && let Some(oldest) = order.pop_front()
            {
                servers.remove(&oldest);
            }
            order.push_back(key.clone());
        }
        change(servers.entry(key).or_default());
    }

    fn find<T>(
        &self,
        name: &ServerName<'_>,
        ends: &Ends,
        find: impl FnOnce(&mut OfServer) -> Option<T>,
    ) -> Option<T> {
        find(self.lock().servers.get_mut(&(name.to_owned(), ends.clone()))?)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock()
    }
}

impl ClientSessionStore for TicketsOfConnection {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.hints().change(server_name, &self.ends, |server| server.kx_hint = Some(group));
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.hints().find(server_name, &self.ends, |server| server.kx_hint)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(own) = self.own() {
            own.change(server_name, &self.ends, |server| server.tls12 = Some(value));
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.offered()
            .find_map(|tickets| tickets.find(server_name, &self.ends, |server| server.tls12.clone()))
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        for tickets in self.offered() {
            tickets.find(server_name, &self.ends, |server| server.tls12.take());
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        let Some(own) = self.own() else { return };
        own.change(server_name, &self.ends, |server| {
            if server.tls13.len() == MOST_TICKETS {
                server.tls13.pop_front();
            }
            server.tls13.push_back(value);
        });
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.offered()
            .find_map(|tickets| tickets.find(server_name, &self.ends, |server| server.tls13.pop_back()))
    }
}

impl fmt::Debug for TicketsOfConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketsOfConnection").field("port", &self.ends.port).finish_non_exhaustive()
    }
}

/// Servers whose tickets are kept, of each kind.
const MOST_SERVERS: usize = 32;

/// Tickets of TLS 1.3 that are kept of a server.
const MOST_TICKETS: usize = 8;
