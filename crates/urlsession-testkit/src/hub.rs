//! Owns what all connections of an origin share: the journal, the scripts, the handler and the settings.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Wire;
use crate::builder::Accept;
use crate::journal::Ledger;
use crate::reply::{Kind, Reply};
use crate::request::{Request, TlsFacts};
use crate::routes::{self, Place};
use crate::service::Service;

pub(crate) type Handler = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// The HTTP/2 settings an origin announces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct H2Settings {
    pub(crate) max_concurrent_streams: u32,
    pub(crate) initial_window: u32,
    pub(crate) connection_window: u32,
}

impl Default for H2Settings {
    fn default() -> Self {
        Self { max_concurrent_streams: 250, initial_window: 1 << 20, connection_window: 8 << 20 }
    }
}

pub(crate) struct Hub {
    pub(crate) ledger: Ledger,
    pub(crate) scripts: Mutex<HashMap<String, VecDeque<Reply>>>,
    pub(crate) handler: Option<Handler>,
    pub(crate) service: Option<Arc<dyn Service>>,
    pub(crate) place: Place,
    pub(crate) close_after_response: bool,
    pub(crate) h2: H2Settings,
    pub(crate) accept: Accept,
}

impl Hub {
    pub(crate) fn enqueue(&self, path: &str, reply: Reply) {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.entry(path.to_owned()).or_default().push_back(reply);
    }

    /// The next script for the target, or for its path.
    pub(crate) fn scripted(&self, target: &str) -> Option<Reply> {
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = scripts.get_mut(target).and_then(VecDeque::pop_front);
        exact.or_else(|| scripts.get_mut(path).and_then(VecDeque::pop_front))
    }

    /// What the handler answers, or the default routes.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let handled = self.handler.as_ref().map(|handler| {
            // A failed assertion in a handler must fail the test, not hang its client.
            catch_unwind(AssertUnwindSafe(|| handler(request))).unwrap_or_else(|_| {
                self.ledger
                    .violation(format!("the handler panicked on {} {}", request.method, request.target));
                Reply::new(500)
            })
        });
        self.resolve(handled.unwrap_or_else(Reply::routes), request)
    }

    /// Replaces the reply that stands for the default routes.
    pub(crate) fn resolve(&self, reply: Reply, request: &Request) -> Reply {
        if matches!(reply.kind, Kind::Routes) { routes::answer(request, &self.place) } else { reply }
    }
}

/// One connection, as the codecs need to know it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) hub: Arc<Hub>,
    pub(crate) index: usize,
    pub(crate) wire: Wire,
    pub(crate) tls: Option<Arc<TlsFacts>>,
}

/// Counts a connection as open until it is closed or dropped, once.
pub(crate) struct Open {
    hub: Option<Arc<Hub>>,
}

impl Open {
    /// Counts the connection and gives its index.
    pub(crate) fn new(hub: &Arc<Hub>) -> (Self, usize) {
        let index = hub.ledger.note(|j| {
            j.accepted += 1;
            j.accepted - 1
        });
        (Self { hub: Some(Arc::clone(hub)) }, index)
    }

    pub(crate) fn close(mut self) {
        self.count();
    }

    fn count(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.ledger.note(|j| j.closed += 1);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count();
    }
}
