//! TLS policy: trust, offers, client certificates, and the URL error of a failed handshake. The transport of the handshake,
//! and the bytes after it, are in `transport::tls`.
//!
//! Platform roots are loaded only when the configuration's own anchors do not already verify the server.

mod certificate;
mod fault;
mod handshake;
mod handshake_gate;
mod identity;
mod offers;
mod peer;
mod pins;
mod tickets;
mod transparency;
mod trust;
mod unusual_name;
mod verify;

pub(super) use self::fault::failed;
pub(in crate::transport) use self::fault::late_refusal;
pub(super) use self::handshake::{Handshake, Offer};
pub(in crate::transport) use self::handshake::{Judge, Outcome, judge_again};
pub(super) use self::handshake_gate::{HandshakeGate, PresentedChain};
pub(in crate::transport) use self::offers::{Identity, Tls};
pub(in crate::transport) use self::peer::{Peer, Protocols, TlsProfile};
