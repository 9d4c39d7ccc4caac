//! `Dial`: an application's replacement for the system's connections, and the streams that it supplies.
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

/// A byte stream that an application's [`Dial`] supplies in place of a TCP connection: any stream that implements tokio's
/// `AsyncRead` and `AsyncWrite`. Extension: no counterpart in Apple's API.
///
/// Bodies that are received over it are copied. A close by the server is noticed only when the stream is used again.
pub struct Socket(Box<dyn Duplex>);

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

impl Socket {
    /// Creates a socket from this stream. The caller sets socket options such as `TCP_NODELAY`.
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

/// Opens connections. An application's own dialler may use another transport; a test's dialler may use no network.
/// Extension: no counterpart in Apple's API.
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
    /// Opens a connection to `address`. With `None` the system's TCP is used. The service type and multipath TCP do not
    /// apply to an application's own connection.
    ///
    /// `over` is the interface that the connection must use, if the load must not use another available interface; the
    /// allowed interfaces are tried one after the other. With `None` the system's routes choose the interface. The system's
    /// TCP is bound to the interface; an application's own connection that ignores `over` may use a forbidden network.
    ///
    /// # Errors
    /// Any: the next address is tried. After the last one the load fails with
    /// [`CannotConnectToHost`](crate::UrlErrorCode::CannotConnectToHost), whose source is one of the errors.
    fn dial(&self, address: SocketAddr, over: Option<&Interface>) -> Option<Dialling>;

    /// Opens a connection to `host`, whose addresses are not looked up: for a dialler that resolves names itself or gives
    /// them another meaning. Default: `None`; with `None` the host is looked up and [`dial`](Self::dial) is called with its
    /// addresses.
    ///
    /// `host` is spelled as in URLs: IPv6 addresses are in brackets, with their zone if they have one. With a proxy, `host`
    /// is the host of the proxy. `allowed` are the interfaces that the load may use, if it must not use another available
    /// interface. Not called for loads that require DNSSEC validation.
    ///
    /// # Errors
    /// Any: the load fails with [`CannotConnectToHost`](crate::UrlErrorCode::CannotConnectToHost), whose source is the
    /// error.
    fn dial_host(&self, host: &str, port: u16, allowed: Option<&[Interface]>) -> Option<Dialling> {
        let _ = (host, port, allowed);
        None
    }

    /// A UDP socket for datagrams to `peer`: bound, not connected, and not blocking. `over` is as with [`dial`](Self::dial).
    ///
    /// # Errors
    /// The system's error. Default: [`Unsupported`](io::ErrorKind::Unsupported), so that the system's datagrams do not
    /// bypass an application's dialler.
    fn open_udp(&self, peer: SocketAddr, over: Option<&Interface>) -> io::Result<UdpSocket> {
        let _ = (peer, over);
        Err(io::Error::new(io::ErrorKind::Unsupported, "the dialler does not open UDP sockets"))
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

/// A dialler that connects every host to one Unix socket, such as the socket of a daemon on this machine. The daemon
/// receives the host of the URL; `localhost` needs neither a network nor TLS.
///
/// On systems other than Unix each connection fails with [`Unsupported`](io::ErrorKind::Unsupported). Extension: no
/// counterpart in Apple's API.
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
    Err(io::Error::new(io::ErrorKind::Unsupported, "Unix sockets are not supported on this system"))
}
