//! The network: names to addresses, addresses to byte streams.
//!
//! Owns the only sockets. It does not choose among addresses (`transport::connect` does) and does not contain TLS.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::dialler::{Dial, Socket};
use super::path::Interface;
use super::{RuntimeHandle, interface_binding};

type NetFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Turns host names into addresses.
///
/// ```
/// use std::future::Future;
/// use std::net::SocketAddr;
/// use std::pin::Pin;
/// use urlsession::Configuration;
/// use urlsession::environment::{Environment, Resolve};
///
/// /// One name leads to a machine of ours; all others are looked up by the system.
/// struct Staging;
///
/// impl Resolve for Staging {
///     fn resolve(
///         &self,
///         host: &str,
///         port: u16,
///     ) -> Option<Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>> {
///         let address = SocketAddr::from(([10, 0, 0, 7], port));
///         (host == "www.example.com").then(|| Box::pin(async move { Ok(vec![address]) }) as _)
///     }
/// }
///
/// let configuration = Configuration::default().environment(Environment::default().resolver(Staging));
/// ```
pub trait Resolve: Send + Sync {
    /// The addresses of `host` with `port`, best first. With `None` the system's resolver is used. Not called for IP
    /// addresses and `localhost`.
    ///
    /// # Errors
    /// Any: the load fails with [`CannotFindHost`](crate::UrlErrorCode::CannotFindHost), whose source is the error. An
    /// empty list fails the load with the same code.
    fn resolve(&self, host: &str, port: u16) -> Option<NetFuture<Vec<SocketAddr>>>;

    /// Whether the resolver returns only addresses that DNSSEC has validated (RFC 4033), and otherwise an error. Default:
    /// `false`. Loads that require validation use only a resolver that returns `true`.
    fn validates_dnssec(&self) -> bool {
        false
    }

    /// How the resolver looks names up. Default: not known. Called each time [`resolve`](Self::resolve) returns a future;
    /// the value is in
    /// [`TransactionMetrics::domain_resolution_protocol`](crate::metrics::TransactionMetrics::domain_resolution_protocol).
    fn protocol(&self) -> DomainResolutionProtocol {
        DomainResolutionProtocol::Unknown
    }
}

impl<R: Resolve + ?Sized> Resolve for Arc<R> {
    fn resolve(&self, host: &str, port: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        R::resolve(self, host, port)
    }

    fn validates_dnssec(&self) -> bool {
        R::validates_dnssec(self)
    }

    fn protocol(&self) -> DomainResolutionProtocol {
        R::protocol(self)
    }
}

/// How a name was looked up. The numeric values are Apple's.
///
/// Only an application's own resolver reports it ([`Resolve::protocol`]); the system's resolver does not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "URLSessionTaskMetrics.DomainResolutionProtocol")]
#[non_exhaustive]
pub enum DomainResolutionProtocol {
    /// Not known, or another protocol.
    #[default]
    #[doc(alias = "unknown")]
    Unknown = 0,
    /// DNS over UDP.
    #[doc(alias = "udp")]
    Udp = 1,
    /// DNS over TCP.
    #[doc(alias = "tcp")]
    Tcp = 2,
    /// DNS over TLS.
    #[doc(alias = "tls")]
    Tls = 3,
    /// DNS over HTTPS.
    #[doc(alias = "https")]
    Https = 4,
}

/// The system's resolver and TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNet;

impl Resolve for SystemNet {
    fn resolve(&self, _: &str, _: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        None
    }
}

impl Dial for SystemNet {
    fn dial(&self, _: SocketAddr, _: Option<&Interface>) -> Option<NetFuture<Socket>> {
        None
    }

    fn open_udp(&self, peer: SocketAddr, over: Option<&Interface>) -> io::Result<UdpSocket> {
        system_udp(peer, over)
    }
}

/// `getaddrinfo` on the blocking pool: it reads hosts files, name service switches and VPN rules as users expect.
#[allow(clippy::disallowed_methods)] // this is the one place
pub(crate) async fn system_resolve(
    runtime: &RuntimeHandle,
    host: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs;
    let host = host.to_owned();
    let lookup = runtime.blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs();
        // A resolver without a descriptor most often says that the name cannot be found.
        found.map(Iterator::collect).map_err(|error| lack_of_descriptors().unwrap_or(error))
    });
    lookup.await?
}

/// Whether the error says that the process, or the system, has too many open files for another.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    // EMFILE and ENFILE, which every Unix numbers like this; WSAEMFILE and ERROR_TOO_MANY_OPEN_FILES.
    let codes = if cfg!(windows) { [10024, 4] } else { [24, 23] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// The error, if there are not as many descriptors left as a resolver needs.
fn lack_of_descriptors() -> Option<io::Error> {
    use socket2::{Domain, Socket, Type};
    let mut probes = Vec::new();
    for _ in 0..RESOLVER_DESCRIPTORS {
        match Socket::new(Domain::IPV4, Type::DGRAM, None) {
            Ok(probe) => probes.push(probe),
            Err(error) => return Some(error).filter(is_out_of_descriptors),
        }
    }
    None
}

/// A resolver reads its files one after the other, and asks a few servers.
const RESOLVER_DESCRIPTORS: usize = 4;

/// What is asked of a socket before it connects. The system may refuse each without an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// The octet of differentiated services (RFC 2474) in every packet.
    pub(crate) traffic_class: u8,
    /// Multipath TCP (RFC 8684) if the system has it.
    pub(crate) is_multipath: bool,
}

/// A connection without Nagle's delay: requests are written whole.
#[allow(clippy::disallowed_methods)] // this is the one place
pub(crate) async fn system_dial(
    address: SocketAddr,
    options: SocketOptions,
    over: Option<&Interface>,
) -> io::Result<TcpStream> {
    let stream = match options == SocketOptions::default() && over.is_none() {
        true => TcpStream::connect(address).await?,
        false => {
            let socket = socket(address, options)?;
            if let Some(interface) = over {
                interface_binding::bind(&SockRef::from(&socket), interface, address.is_ipv6())?;
            }
            socket.connect(address).await?
        }
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address that packets to `address` would come from by the system's routes, which tells the interface; nothing is sent.
pub(crate) fn system_source(address: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A UDP socket for datagrams to `peer`: bound, not connected, and not blocking.
#[allow(clippy::disallowed_methods)] // this is the one place
pub(super) fn system_udp(peer: SocketAddr, over: Option<&Interface>) -> io::Result<UdpSocket> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    if let Some(interface) = over {
        interface_binding::bind(&SockRef::from(&socket), interface, peer.is_ipv6())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn socket(address: SocketAddr, options: SocketOptions) -> io::Result<TcpSocket> {
    let multipath = if options.is_multipath { multipath_socket(address) } else { None };
    let socket = match (multipath, address) {
        (Some(socket), _) => socket,
        (None, SocketAddr::V4(_)) => TcpSocket::new_v4()?,
        (None, SocketAddr::V6(_)) => TcpSocket::new_v6()?,
    };
    mark(&SockRef::from(&socket), address, options.traffic_class);
    Ok(socket)
}

/// `None` where the kernel has no multipath TCP. A server that has none is spoken to in plain TCP (RFC 8684 §3.7).
#[cfg(target_os = "linux")]
fn multipath_socket(address: SocketAddr) -> Option<TcpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::MPTCP)).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(TcpSocket::from_std_stream(socket.into()))
}

#[cfg(not(target_os = "linux"))]
fn multipath_socket(_: SocketAddr) -> Option<TcpSocket> {
    None
}

/// A hint: a system that refuses it sends unmarked packets.
fn mark(socket: &SockRef<'_>, address: SocketAddr, traffic_class: u8) {
    if traffic_class == 0 {
        return;
    }
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(traffic_class.into()),
        #[cfg(unix)]
        SocketAddr::V6(_) => socket.set_tclass_v6(traffic_class.into()),
        #[cfg(not(unix))]
        SocketAddr::V6(_) => Ok(()),
    };
}

/// The bytes below HTTP and TLS: the system's TCP, or what an application handed in.
pub(crate) struct Wire {
    kind: SocketKind,
    written: u64,
}

enum SocketKind {
    Tcp(TcpStream),
    Custom(Socket),
}

impl Wire {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self { kind: SocketKind::Tcp(stream), written: 0 }
    }

    pub(crate) fn custom(socket: Socket) -> Self {
        Self { kind: SocketKind::Custom(socket), written: 0 }
    }

    pub(crate) fn as_tcp(&self) -> Option<&TcpStream> {
        match &self.kind {
            SocketKind::Tcp(stream) => Some(stream),
            SocketKind::Custom(_) => None,
        }
    }

    /// Bytes the system has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether the peer has neither closed nor sent anything that is not read. Looks at what the reactor knows, without a system
    /// call; `ask_system` makes the one that knows better. `None` if only reading tells, which is left out without
    /// `ask_system`.
    pub(crate) fn is_quiet(&self, ask_system: bool) -> Option<bool> {
        let SocketKind::Tcp(stream) = &self.kind else { return (!ask_system).then_some(true) };
        let peek = || SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
        // The reactor answers by itself unless it has seen something.
        let peeked = if ask_system { peek() } else { stream.try_io(Interest::READABLE, peek) };
        Some(matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            SocketKind::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            SocketKind::Custom(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.kind {
            SocketKind::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            SocketKind::Custom(socket) => Pin::new(socket).poll_write(cx, buf),
        };
        poll.map_ok(|n| this.count(n))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.kind {
            SocketKind::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            SocketKind::Custom(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        };
        poll.map_ok(|n| this.count(n))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            SocketKind::Tcp(_) => true,
            SocketKind::Custom(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            SocketKind::Tcp(_) => Poll::Ready(Ok(())),
            SocketKind::Custom(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            SocketKind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            SocketKind::Custom(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

impl Wire {
    fn count(&mut self, n: usize) -> usize {
        self.written += n as u64;
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_opens_udp_sockets_and_other_diallers_only_if_they_say_so() {
        for peer in ["127.0.0.1:1", "[::1]:1"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let Ok(receiver) = UdpSocket::bind((peer.ip(), 0)) else { continue };
            let socket = SystemNet.open_udp(receiver.local_addr().unwrap(), None).unwrap();
            let mut datagram = [0; 4];
            assert_eq!(socket.recv(&mut datagram).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            socket.send_to(b"abcd", receiver.local_addr().unwrap()).unwrap();
            receiver.recv(&mut datagram).unwrap();
            assert_eq!(&datagram, b"abcd");
            let own = crate::env::UnixSocket::new("/").open_udp(peer, None);
            assert_eq!(own.unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }
}
