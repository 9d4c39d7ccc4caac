//! Whom to trust in TLS, what to offer and to show, and which URL error a failed handshake is. What carries the handshake, and
//! the bytes after it, is no business of these files.
//!
//! Platform roots are loaded only when the configuration's own anchors do not already vouch for the server.

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
