//! Whom a handshake is with.

use crate::message::HostId;

/// Whom a handshake is with.
#[derive(Clone, Copy)]
pub(in crate::transport) struct Peer<'a> {
    pub(in crate::transport) host: HostId<'a>,
    pub(in crate::transport) port: u16,
    /// HTTP/2 is not offered.
    pub(in crate::transport) is_http1_only: bool,
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
