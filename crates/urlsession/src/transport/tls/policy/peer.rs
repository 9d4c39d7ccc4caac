//! The peer of a handshake, and the protocol to use after it.

use crate::message::HostId;

/// The peer of a handshake.
#[derive(Clone, Copy)]
pub(in crate::transport) struct Peer<'a> {
    pub(in crate::transport) host: HostId<'a>,
    pub(in crate::transport) port: u16,
}

/// A host with its zone, and a port.
pub(super) type Server = (Box<str>, u16);

impl Peer<'_> {
    pub(super) fn server(&self) -> Server {
        (self.host.text().into(), self.port)
    }

    /// As certificates name it: without the brackets of an IPv6 literal, and without a zone.
    pub(super) fn name(&self) -> &str {
        self.host.name.trim_start_matches('[').trim_end_matches(']')
    }
}

/// The use of a secured connection.
#[derive(Clone, Copy)]
pub(in crate::transport) struct TlsProfile<'a> {
    pub(in crate::transport) peer: Peer<'a>,
    pub(in crate::transport) protocols: Protocols,
}

/// The offered protocols by name, the best first (RFC 7301). None if both sides already agree.
pub(in crate::transport) type Protocols = &'static [&'static [u8]];
