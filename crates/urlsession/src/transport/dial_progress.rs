//! The progress of a dial, for the loads that wait for it, also if the dial fails or no load waits any longer.
//!
//! It does not describe the connection, whose properties are known when it is open.

use parking_lot::{Mutex, MutexGuard};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::env::DomainResolutionProtocol;
use crate::error::{Phase, UrlError, UrlErrorCode};
use crate::load::{DialRecord, Span, TransactionRecord};

/// Shared by a dial and the loads that wait for it.
#[derive(Clone, Debug, Default)]
pub(super) struct DialProgress(Arc<Mutex<DialRecord>>);

impl DialProgress {
    pub(super) fn so_far(&self) -> DialRecord {
        self.lock().clone()
    }

    /// A route is tried; the progress of another is dropped.
    pub(super) fn begin(&self, is_proxy: bool) {
        *self.lock() = DialRecord { is_proxy, ..DialRecord::default() };
    }

    pub(super) fn looks_up(&self, now: Instant, by: DomainResolutionProtocol) {
        let mut dial_record = self.lock();
        (dial_record.domain_lookup, dial_record.resolution) = (Span::since(now), by);
    }

    /// The addresses are known.
    pub(super) fn connects(&self, now: Instant) {
        let mut dial_record = self.lock();
        if let Some(lookup) = &mut dial_record.domain_lookup {
            lookup.end = Some(now);
        }
        dial_record.connect = Span::since(now);
    }

    pub(super) fn tries(&self, remote: SocketAddr) {
        self.lock().remote = Some(remote);
    }

    pub(super) fn reached(&self, local: Option<SocketAddr>, remote: Option<SocketAddr>) {
        let mut dial_record = self.lock();
        (dial_record.local, dial_record.remote) = (local, remote);
    }

    pub(super) fn secures(&self, now: Instant) {
        self.lock().secure = Span::since(now);
    }

    /// The connection is secure.
    pub(super) fn secured(&self, now: Instant) {
        if let Some(secure) = &mut self.lock().secure {
            secure.end = Some(now);
        }
    }

    /// The connection can carry requests.
    pub(super) fn connected(&self, now: Instant) {
        if let Some(connect) = &mut self.lock().connect {
            connect.end = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, DialRecord> {
        self.0.lock()
    }
}

/// Why there is no connection, and how far it came.
#[derive(Clone, Debug)]
pub(super) struct DialFailure {
    pub(super) error: UrlError,
    pub(super) progress: DialProgress,
}

impl DialFailure {
    /// The dial was dropped with its runtime.
    pub(super) fn with_runtime(progress: DialProgress) -> Self {
        let detail = "the runtime that was connecting has been shut down";
        let error = UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail);
        Self { error, progress }
    }

    /// Records the progress.
    pub(super) fn note(self, transaction: &mut TransactionRecord) -> UrlError {
        transaction.attempted = Some(Box::new(self.progress.so_far()));
        self.error
    }
}
