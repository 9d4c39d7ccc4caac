//! Owns what the origin has seen, and the waiting for it. It does not decide anything.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::request::Recorded;

/// A stream the client reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Index of the connection.
    pub connection: usize,
    /// The stream.
    pub stream: u32,
    /// The error code (RFC 9113, 7): 8 is CANCEL.
    pub code: u32,
}

/// A changed priority a client told (RFC 9218, 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityUpdate {
    /// The stream it is for.
    pub stream: u32,
    /// The new value of its `Priority` field.
    pub value: String,
}

/// Everything an origin has seen so far.
#[derive(Debug, Default)]
pub struct Journal {
    /// The requests that arrived whole, in the order they were completed.
    pub requests: Vec<Arc<Recorded>>,
    /// The requests whose head arrived although the body has not (or never will); their `body_len` grows.
    pub heads: Vec<Recorded>,
    /// How many connections were accepted.
    pub accepted: usize,
    /// How many of them have ended: the client closed or broke it, or the server ended its direction.
    pub closed: usize,
    /// How many replies went out whole.
    pub replies: usize,
    /// TLS handshakes that failed, with the reason the server saw (`rustls` wording).
    pub failed_handshakes: Vec<String>,
    /// Streams the client reset (HTTP/2).
    pub resets: Vec<Reset>,
    /// Acknowledged PING frames (HTTP/2).
    pub ping_acks: usize,
    /// Acknowledged SETTINGS frames (HTTP/2).
    pub settings_acks: usize,
    /// Error codes of the GOAWAY frames clients sent (HTTP/2).
    pub goaways: Vec<u32>,
    /// Changed priorities (HTTP/2).
    pub priority_updates: Vec<PriorityUpdate>,
    /// What clients did against the protocol. A test of a correct client asserts that this is empty.
    pub violations: Vec<String>,
    heads_so_far: usize,
}

impl Journal {
    /// Connections accepted and not ended.
    pub fn open(&self) -> usize {
        self.accepted - self.closed
    }
}

/// The journal behind its lock, and the two ways to wait for it to change.
#[derive(Default)]
pub(crate) struct Ledger {
    journal: Mutex<Journal>,
    changed: Condvar,
    version: watch::Sender<()>,
}

impl Ledger {
    pub(crate) fn read<T>(&self, of: impl FnOnce(&Journal) -> T) -> T {
        of(&self.lock())
    }

    pub(crate) fn note<T>(&self, change: impl FnOnce(&mut Journal) -> T) -> T {
        let out = change(&mut self.lock());
        self.changed.notify_all();
        self.version.send_replace(());
        out
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        self.note(|j| j.violations.push(what.into()));
    }

    /// Files a head and gives it its number.
    pub(crate) fn head(&self, mut head: Recorded) -> usize {
        self.note(|j| {
            head.id = j.heads_so_far;
            j.heads_so_far += 1;
            j.heads.push(head);
            j.heads_so_far - 1
        })
    }

    pub(crate) fn body(&self, id: usize, bytes: &[u8]) {
        self.note(|j| {
            if let Some(head) = j.heads.iter_mut().find(|h| h.id == id) {
                head.take_body(bytes);
            }
        });
    }

    /// The request as far as it has come.
    pub(crate) fn peek(&self, id: usize) -> Option<Arc<Recorded>> {
        self.read(|j| j.heads.iter().find(|h| h.id == id).map(|h| Arc::new(h.clone())))
    }

    /// Moves a request from the heads to the requests.
    pub(crate) fn finish(&self, id: usize, trailers: Vec<(String, String)>) -> Option<Arc<Recorded>> {
        self.note(|j| {
            let at = j.heads.iter().position(|h| h.id == id)?;
            let mut request = j.heads.remove(at);
            request.trailers = trailers;
            let request = Arc::new(request);
            j.requests.push(Arc::clone(&request));
            Some(request)
        })
    }

    /// Blocks until `what` holds.
    pub(crate) fn wait(&self, what: impl Fn(&Journal) -> bool, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut journal = self.lock();
        loop {
            if what(&journal) {
                return true;
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            journal = self.changed.wait_timeout(journal, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `what` holds, on any executor.
    pub(crate) async fn wait_async(&self, what: impl Fn(&Journal) -> bool) {
        let mut changes = self.version.subscribe();
        loop {
            changes.borrow_and_update();
            if self.read(&what) {
                return;
            }
            // The sender is in `self`, so this cannot fail while it waits.
            let _ = changes.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
