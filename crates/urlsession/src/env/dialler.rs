//! `Dial`: what an application may put in the place of the system's connections, and the streams it hands in.
//!
//! It does not choose among addresses (`transport::dial` does).

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::path::Interface;

/// A connection that is being opened.
type Dialling = Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>;

/// A stream of bytes that an application's [`Dial`] hands in, in the place of a TCP connection: any that tokio can read and
/// write.
///
/// Bodies that come over it are copied, and whether the server has closed it is known only when it is used again.
pub struct Socket(Box<dyn Duplex>);

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

impl Socket {
    /// Of this stream. Nagle's delay and the like are its maker's business.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

/// Opens connections. An application's own may lead through a transport of its own, a test's to no network at all.
///
/// ```
/// use std::future::Future;
/// use std::net::SocketAddr;
/// use std::pin::Pin;
/// use tokio::io::AsyncWriteExt;
/// use urlsession::environment::{Dial, Environment, Interface, Socket};
/// use urlsession::{Configuration, UrlSession};
///
/// /// Every server gives the same answer.
/// struct Canned;
///
/// type Dialling = Pin<Box<dyn Future<Output = std::io::Result<Socket>> + Send>>;
///
/// impl Dial for Canned {
///     fn dial_host(&self, _: &str, _: u16, _: Option<&[Interface]>) -> Option<Dialling> {
///         Some(Box::pin(async {
///             let (ours, mut theirs) = tokio::io::duplex(1024);
///             theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbeans").await?;
///             Ok(Socket::new(ours))
///         }))
///     }
///
///     fn dial(&self, _: SocketAddr, _: Option<&Interface>) -> Option<Dialling> {
///         None
///     }
/// }
///
/// let environment = Environment::default().dialler(Canned);
/// let session = UrlSession::new(Configuration::ephemeral().environment(environment));
/// assert_eq!(session.data("http://localhost/").wait()?.0, "beans");
/// # Ok::<(), urlsession::UrlError>(())
/// ```
pub trait Dial: Send + Sync {
    /// A connection to `address`; `None` says that the system's TCP serves. Service type and multipath TCP are not
    /// asked of an application's own.
    ///
    /// `over` is the interface that it must lead over, for a load that may not use another which is there too; the interfaces
    /// that may be used are tried one after the other. `None` leaves that to the system's routes. The system's TCP is bound
    /// to the interface; a connection of the application's own that does not heed it may use a network that is forbidden.
    ///
    /// # Errors
    /// Any: the next address is tried. After the last one the load fails with
    /// [`CannotConnectToHost`](crate::UrlErrorCode::CannotConnectToHost), of which an error is the source.
    fn dial(&self, address: SocketAddr, over: Option<&Interface>) -> Option<Dialling>;

    /// A connection to `host`, whose addresses are then not looked up: for a dialler that does so itself, or to which names
    /// mean something else. `None`, which is the default, has the host looked up and [`dial`](Self::dial) asked for its
    /// addresses.
    ///
    /// `host` is spelled as in URLs: IPv6 addresses are in brackets, with their zone if they have one. It is that of a proxy
    /// where a proxy is used. `allowed` are the interfaces that may be used, for a load that may not use another which is
    /// there too. Loads that require DNSSEC validation do not ask.
    ///
    /// # Errors
    /// Any: the load fails with [`CannotConnectToHost`](crate::UrlErrorCode::CannotConnectToHost), of which it is the source.
    fn dial_host(&self, host: &str, port: u16, allowed: Option<&[Interface]>) -> Option<Dialling> {
        let _ = (host, port, allowed);
        None
    }

    /// A UDP socket for datagrams to `peer`: bound, not connected, and not blocking. `over` is as with [`dial`](Self::dial).
    ///
    /// # Errors
    /// What the system says. [`Unsupported`](io::ErrorKind::Unsupported) is the default: the connections of an application's
    /// dialler are not gone around by datagrams of the system's.
    fn open_udp(&self, peer: SocketAddr, over: Option<&Interface>) -> io::Result<UdpSocket> {
        let _ = (peer, over);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this dialler opens no UDP sockets"))
    }
}

impl<D: Dial + ?Sized> Dial for Arc<D> {
    fn dial(&self, address: SocketAddr, over: Option<&Interface>) -> Option<Dialling> {
        D::dial(self, address, over)
    }

    fn dial_host(&self, host: &str, port: u16, allowed: Option<&[Interface]>) -> Option<Dialling> {
        D::dial_host(self, host, port, allowed)
    }

    fn open_udp(&self, peer: SocketAddr, over: Option<&Interface>) -> io::Result<UdpSocket> {
        D::open_udp(self, peer, over)
    }
}

/// A dialler by which every host is reached at one Unix socket, as that of a daemon on this machine. Which host a URL names
/// is for the daemon to see; `localhost` needs neither a network nor TLS.
///
/// Elsewhere than on Unix each connection fails with [`Unsupported`](io::ErrorKind::Unsupported). Extension: no counterpart in
/// Apple's API.
///
/// ```
/// use urlsession::Configuration;
/// use urlsession::environment::{Environment, UnixSocket};
///
/// let environment = Environment::default().dialler(UnixSocket::new("/run/daemon.sock"));
/// let configuration = Configuration::default().environment(environment);
/// ```
#[derive(Clone, Debug)]
pub struct UnixSocket(Arc<PathBuf>);

impl UnixSocket {
    /// The socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(path.into()))
    }

    fn connect(&self) -> Dialling {
        let path = self.0.clone();
        Box::pin(async move {
            let connected = connect_unix(&path).await;
            connected.map_err(|error| {
                io::Error::new(error.kind(), format!("the Unix socket {}: {error}", path.display()))
            })
        })
    }
}

impl Dial for UnixSocket {
    fn dial(&self, _: SocketAddr, _: Option<&Interface>) -> Option<Dialling> {
        Some(self.connect())
    }

    fn dial_host(&self, _: &str, _: u16, _: Option<&[Interface]>) -> Option<Dialling> {
        Some(self.connect())
    }
}

#[cfg(unix)]
async fn connect_unix(path: &std::path::Path) -> io::Result<Socket> {
    Ok(Socket::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn connect_unix(_: &std::path::Path) -> io::Result<Socket> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system is no Unix"))
}
