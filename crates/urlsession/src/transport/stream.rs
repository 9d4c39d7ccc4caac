//! The bytes of a connection: a wire, with or without TLS around it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustls::client::UnbufferedClientConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls::TlsStream;
use crate::env::{Socket, Wire};

pub(super) enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream>),
}

impl Stream {
    pub(super) fn wire(&self) -> &Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Tls(stream) => stream.wire(),
        }
    }

    /// As what something else is carried by: TLS within TLS, if it is secured already.
    pub(super) fn into_wire(self) -> Wire {
        match self {
            Self::Plain(wire) => wire,
            Self::Tls(_) => Wire::custom(Socket::new(self)),
        }
    }

    /// What is known of the TLS around it.
    pub(super) fn tls_session(&self) -> Option<&UnbufferedClientConnection> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.session()),
        }
    }

    /// The socket, if what it carries is what is sent.
    pub(super) fn as_plain_tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(wire) => wire.as_tcp(),
            Self::Tls(_) => None,
        }
    }

    /// Whether an idle connection can carry another request, as far as can be known: its peer has neither closed it nor
    /// sent anything unasked. `certain` looks at the wire itself, which is a system call, and not only at what the
    /// reactor has seen.
    pub(super) fn is_alive(&mut self, certain: bool) -> bool {
        let has_unread = matches!(self, Self::Tls(stream) if stream.has_unread());
        match self.wire().is_quiet(certain) {
            Some(true) if !has_unread => return true,
            Some(false) if matches!(self, Self::Plain(_)) => return false,
            _ => {}
        }
        // Bytes may be session tickets, which rustls takes without handing anything out. An application's own socket
        // shows what it has only when it is read.
        let mut byte = [0; 1];
        let mut cx = Context::from_waker(Waker::noop());
        let is_quiet = Pin::new(&mut *self).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending();
        is_quiet && self.wire().is_quiet(certain) != Some(false)
    }

    /// Ready once reading can make progress. It needs no buffer, which spares idle waiters theirs.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(wire) => match wire.as_tcp() {
                Some(stream) => stream.poll_read_ready(cx),
                None => Poll::Ready(Ok(())),
            },
            Self::Tls(stream) => stream.poll_read_ready(cx),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
