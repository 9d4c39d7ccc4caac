//! `HandshakeGate`: one TLS handshake, held back until the trust of the server is decided.
//!
//! rustls decides during the handshake and cannot wait. So its verifier and its client-certificate resolver only
//! record their input, and the wire sends nothing more until the decision is made: the server has received
//! a ClientHello and nothing else.

use parking_lot::{Mutex, MutexGuard};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::sign::CertifiedKey;

use crate::error::Result;

/// A handshake in progress.
pub(in crate::transport::tls) struct HandshakeGate {
    /// True if a delegate decides. If not, rustls fails the handshake by itself.
    asks: bool,
    /// The client's certificate, if it is already chosen.
    identity: Option<Arc<CertifiedKey>>,
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    shown: Option<PresentedChain>,
    /// The issuers from which the server accepts client certificates, if it requests one.
    issuers: Option<Vec<Vec<u8>>>,
    is_identity_wanted: bool,
    is_held: bool,
    waker: Option<Waker>,
}

/// The certificates of a server, and the verdict of the platform and the pins.
pub(in crate::transport::tls) struct PresentedChain {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) verdict: Result<()>,
}

thread_local! {
    /// The handshake being polled on this thread.
    static CURRENT: RefCell<Option<Arc<HandshakeGate>>> = const { RefCell::new(None) };
}

impl HandshakeGate {
    pub(super) fn new(asks: bool, identity: Option<Arc<CertifiedKey>>) -> Arc<Self> {
        Arc::new(Self { asks, identity, state: Mutex::default() })
    }

    /// Polls the handshake, so that rustls' callbacks find it.
    pub(in crate::transport::tls) fn during<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        struct Restore(Option<Arc<HandshakeGate>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.replace(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        poll()
    }

    /// The handshake whose callback this is.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Called by the verifier. True if the judgement is somebody else's: the handshake is held from here on. What fails
    /// without anybody to ask is kept for the error.
    pub(super) fn show(&self, is_trusted: bool, shown: impl FnOnce() -> PresentedChain) -> bool {
        if self.asks || !is_trusted {
            let shown = shown();
            let mut state = self.lock();
            state.shown = Some(shown);
            state.is_held = self.asks;
        }
        self.asks
    }

    /// Called by the resolver: who may have issued the client's certificate, and that certificate.
    pub(super) fn resolve(&self, issuers: &[&[u8]]) -> Option<Arc<CertifiedKey>> {
        let mut state = self.lock();
        state.issuers = Some(issuers.iter().map(|name| name.to_vec()).collect());
        state.is_identity_wanted = true;
        drop(state);
        self.identity.clone()
    }

    /// The server to decide about; returned once.
    pub(in crate::transport::tls) fn take_shown(&self) -> Option<PresentedChain> {
        self.lock().shown.take()
    }

    /// The issuers from which the server accepts certificates, if it requests one and none was available.
    pub(super) fn unanswered_issuers(&self) -> Option<Vec<Vec<u8>>> {
        if self.identity.is_some() {
            return None;
        }
        self.lock().issuers.take()
    }

    /// True if the server wanted a certificate and there was none to give.
    pub(super) fn lacks_identity(&self) -> bool {
        self.identity.is_none() && self.was_asked_for_identity()
    }

    /// True if the server wanted a certificate.
    pub(super) fn was_asked_for_identity(&self) -> bool {
        self.lock().is_identity_wanted
    }

    /// The server may be talked to.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.is_held = false;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready while the server may be talked to.
    pub(in crate::transport::tls) fn poll_free(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !state.is_held {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock()
    }
}
