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

/// `IP_UNICAST_IF` and `IPV6_UNICAST_IF`.
#[cfg(windows)]
#[allow(unsafe_code)] // one setsockopt, see the proof below
fn to_interface(socket: &SockRef<'_>, interface: &Interface, is_v6: bool) -> io::Result<()> {
    use std::os::windows::io::AsRawSocket;
    use windows_sys::Win32::Networking::WinSock::{
        IP_UNICAST_IF, IPPROTO_IP, IPPROTO_IPV6, IPV6_UNICAST_IF, WSAGetLastError, setsockopt,
    };
    let index = interface.index.ok_or(io::ErrorKind::Unsupported)?.get();
    let (level, option, value) = match is_v6 {
        // In the order of the network.
        false => (IPPROTO_IP, IP_UNICAST_IF, index.to_be()),
        true => (IPPROTO_IPV6, IPV6_UNICAST_IF, index),
    };
    let socket = usize::try_from(socket.as_raw_socket()).map_err(io::Error::other)?;
    // SAFETY: the socket is open for as long as it is borrowed; Windows reads as many octets of `value` as it has.
    let result =
        unsafe { setsockopt(socket, level, option, (&raw const value).cast(), size_of_val(&value) as i32) };
    match result {
        0 => Ok(()),
        // SAFETY: it takes nothing and gives a number.
        _ => Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() })),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows)))]
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

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::super::path::InterfaceKind;
    use super::*;

    fn socket() -> Socket {
        Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_is_bound_to_an_interface_by_its_name() {
        let socket = socket();
        bind(&SockRef::from(&socket), &Interface::new("lo", InterfaceKind::Other), false).unwrap();
        assert_eq!(socket.device().unwrap().as_deref(), Some(&b"lo"[..]));
        let nowhere = Interface::new("no-such-link", InterfaceKind::Other);
        assert!(bind(&SockRef::from(&socket), &nowhere, false).is_err());
    }

    #[cfg(windows)]
    #[test]
    fn a_socket_is_bound_to_an_interface_by_its_number() {
        use super::super::path::{NetworkPath, SystemPath};
        let interfaces = SystemPath.status().unwrap().interfaces;
        for interface in &interfaces {
            bind(&SockRef::from(&socket()), interface, false).unwrap();
        }
        let mut nowhere = Interface::new("no such adapter", InterfaceKind::Other);
        nowhere.index = std::num::NonZeroU32::new(0xfffff);
        assert!(bind(&SockRef::from(&socket()), &nowhere, false).is_err());
    }

    #[test]
    fn an_interface_that_cannot_be_told_is_known_by_its_address() {
        let mut interface = Interface::new("lo", InterfaceKind::Other);
        let socket = socket();
        assert!(to_address(&SockRef::from(&socket), &interface, false).is_err(), "it has none");
        interface.addresses = ["::1", "169.254.1.1", "127.0.0.1"].map(|one| one.parse().unwrap()).into();
        to_address(&SockRef::from(&socket), &interface, false).unwrap();
        let bound = socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(bound.ip(), interface.addresses[2]);
    }
}
