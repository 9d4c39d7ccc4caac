//! Owns the byte stream of one connection, bare or inside TLS, and the ways it can end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::hub::Open;

/// How long a closed connection is read on, so that bytes still under way cannot turn the close into a reset.
const LINGER: Duration = Duration::from_secs(5);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: close_notify, FIN. With `linger`, what the client still sends is read and dropped.
    Close { linger: bool },
    /// FIN without close_notify.
    Cut,
    /// The server's half only.
    Half,
    /// RST.
    Reset,
    /// The client ended it.
    Gone,
}

pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_mut().0,
        }
    }

    /// Ends the connection and marks it closed in the journal at the moment its FIN (or RST) is out.
    pub(crate) async fn end(mut self, end: End, open: Open) {
        match end {
            End::Gone => {}
            End::Reset => {
                // A failure leaves an ordinary close, and there is nobody to tell.
                let _ = self.tcp().set_zero_linger();
            }
            End::Cut => {
                let _ = self.tcp().shutdown().await;
                open.close();
                self.drain_for(LINGER).await;
                return;
            }
            End::Close { linger } => {
                let _ = self.shutdown().await;
                open.close();
                if linger {
                    self.drain_for(LINGER).await;
                }
                return;
            }
            End::Half => {
                let _ = self.shutdown().await;
                self.drain().await;
            }
        }
        drop(self);
        open.close();
    }

    async fn drain_for(&mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.drain()).await;
    }

    /// Reads and drops until the client closes.
    pub(crate) async fn drain(&mut self) {
        let mut sink = vec![0; 16 << 10];
        let tcp = self.tcp();
        while matches!(tcp.read(&mut sink).await, Ok(n) if n > 0) {}
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
