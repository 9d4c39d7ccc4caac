//! Binds a socket to an interface, so that its packets take no other whatever the routes say.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;

use super::path::Interface;

/// Before it connects. An error if the system does not do it: the socket would go by the routes.
pub(super) fn bind(socket: &SockRef<'_>, interface: &Interface, is_v6: bool) -> io::Result<()> {
    match to_interface(socket, interface, is_v6) {
        // Before Linux 5.7 only for the superuser; elsewhere the number may not be known.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) =>
        {
            to_address(socket, interface, is_v6)
        }
        bound => bound,
    }
}

/// `SO_BINDTODEVICE`, socket(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn to_interface(socket: &SockRef<'_>, interface: &Interface, _: bool) -> io::Result<()> {
    socket.bind_device(Some(interface.name.as_bytes()))
}

/// `IP_BOUND_IF` and `IPV6_BOUND_IF`.
#[cfg(target_vendor = "apple")]
fn to_interface(socket: &SockRef<'_>, interface: &Interface, is_v6: bool) -> io::Result<()> {
    match (interface.index, is_v6) {
        (None, _) => Err(io::ErrorKind::Unsupported.into()),
        (index, false) => socket.bind_device_by_index_v4(index),
        (index, true) => socket.bind_device_by_index_v6(index),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn to_interface(_: &SockRef<'_>, _: &Interface, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The source is the interface's. By which way packets go is left to the routes for such a source.
fn to_address(socket: &SockRef<'_>, interface: &Interface, is_v6: bool) -> io::Result<()> {
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let own = interface.addresses.iter().find(|own| own.is_ipv6() == is_v6 && !is_link_local(own));
    let own = own.ok_or(io::ErrorKind::AddrNotAvailable)?;
    socket.bind(&SocketAddr::new(*own, 0).into())
}
