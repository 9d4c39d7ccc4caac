//! `TlsStream`: the bytes within TLS, over a wire. rustls implements the protocol; this module reads and writes many
//! records at a time.
//!
//! What is written is gathered until it is flushed, or enough for a system call of its own.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, Error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::policy::HandshakeGate;
use super::records::{Data, Incoming, Outgoing};
use crate::env::Wire;
use crate::transport::fast_path::in_place;

/// A connection's TLS and the wire below it.
pub(in crate::transport) struct TlsStream {
    wire: Wire,
    session: UnbufferedClientConnection,
    /// As long as the handshake lasts: nothing is written while it is held.
    handshake_gate: Option<Arc<HandshakeGate>>,
    /// Data stays where it was decrypted.
    is_in_place: bool,
    incoming: Incoming,
    outgoing: Outgoing,
    end: Option<End>,
    has_said_goodbye: bool,
}

/// Why nothing more can be read.
enum End {
    /// The peer has sent close_notify (RFC 8446 §6.1).
    Closed,
    /// The wire has ended without that.
    Cut,
    Failed(Error),
}

/// The step that rustls took.
enum Step {
    /// There may be more for it to do.
    Went,
    /// It waits for bytes; the handshake is not over.
    Blocked,
    /// It waits for bytes, or accepts some.
    Open,
    /// The peer has no more.
    Ended,
}

impl TlsStream {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        wire: Wire,
        handshake_gate: Arc<HandshakeGate>,
        is_in_place: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            wire,
            session: UnbufferedClientConnection::new(config, name)?,
            handshake_gate: Some(handshake_gate),
            is_in_place,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            end: None,
            has_said_goodbye: false,
        })
    }

    pub(in crate::transport) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(in crate::transport) fn session(&self) -> &UnbufferedClientConnection {
        &self.session
    }

    /// Shakes hands, as far as the hold lets it.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended =
            |detail: &'static str| Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail)));
        loop {
            let step = self.step(|_, _| Ok(()));
            if matches!(step, Ok(Step::Went)) {
                continue;
            }
            // Also after an error, of which rustls may have told the peer.
            let sent = self.poll_sent(cx);
            match step? {
                Step::Went => {}
                Step::Open => {
                    ready!(sent)?;
                    self.handshake_gate = None;
                    return Poll::Ready(Ok(()));
                }
                Step::Blocked => {
                    ready!(sent)?;
                    if ready!(self.poll_fill(cx))? == 0 {
                        return ended("the server closed the connection during the TLS handshake");
                    }
                }
                Step::Ended => return ended("the server ended the TLS handshake"),
            }
        }
    }

    /// True if received data has not been read.
    pub(in crate::transport) fn has_unread(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Ready once reading can make progress. It needs no buffer.
    pub(in crate::transport) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.wire.as_tcp() {
            // Bytes that were read before may contain a whole record.
            Some(stream) if !self.has_unread() && self.end.is_none() => stream.poll_read_ready(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Lets rustls do one thing. Where it takes bytes, `open` may give it some.
    fn step(
        &mut self,
        open: impl FnOnce(WriteTraffic<'_, ClientConnectionData>, &mut Outgoing) -> Result<(), Error>,
    ) -> io::Result<Step> {
        let Self { session, incoming, outgoing, end, is_in_place, .. } = self;
        if let Some(End::Failed(error)) = end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error.clone()));
        }
        let records = incoming.records_mut();
        let address = records.as_ptr() as usize;
        let (UnbufferedStatus { discard, state }, place) =
            in_place::watch(|| session.process_tls_records(records));
        let mut data = Data::None;
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    data = match (&record, &place) {
                        (Ok(record), _) if !*is_in_place => {
                            Data::Copied(Bytes::copy_from_slice(record.payload))
                        }
                        (_, Some(place)) => Data::InPlace(place.clone()),
                        _ => Data::None,
                    };
                }
                Ok(Step::Went)
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                outgoing.append(|space| data.encode(space)).map(|()| Step::Went)
            }
            // It is in order before all that follows: as good as sent.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Step::Went)
            }
            Ok(ConnectionState::WriteTraffic(traffic)) => open(traffic, outgoing).map(|()| Step::Open),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Ended),
            Ok(_) => Ok(Step::Blocked),
            Err(error) => Err(error),
        };
        let discarded = incoming.discard(discard, data, address);
        step.and_then(|step| discarded.map(|()| step)).map_err(|error| self.fail(error))
    }

    /// What rustls has to tell the peer of an error goes out with what is written next. It is not to be asked again.
    fn fail(&mut self, error: Error) -> io::Error {
        let last = self.session.process_tls_records(self.incoming.records_mut());
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = last.state {
            // Without space for it the peer is not told.
            let _ = self.outgoing.append(|space| data.encode(space));
        }
        self.end = Some(End::Failed(error.clone()));
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    pub(in crate::transport) fn is_in_place(&self) -> bool {
        self.is_in_place
    }

    /// The next bytes, at most `most`, put behind `pieces` where they were decrypted; none at the end.
    pub(in crate::transport) fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        pieces: &mut Vec<Bytes>,
    ) -> Poll<io::Result<usize>> {
        let mut left = most;
        self.poll_data(cx, |incoming| {
            let before = left;
            while left > 0
                && let Some(piece) = incoming.next_plain(left)
            {
                left -= piece.len();
                pieces.push(piece);
            }
            (before - left, left > 0)
        })
    }

    /// Lets `take` have what is decrypted, up to where nothing more has come; it says how many bytes it took, and whether
    /// it wants more. None were taken at the end.
    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Incoming) -> (usize, bool),
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut taken = 0;
            let decrypted = loop {
                let (n, wants_more) = take(&mut self.incoming);
                taken += n;
                if !wants_more || !self.incoming.has_records() || self.end.is_some() {
                    break Ok(());
                }
                match self.step(|_, _| Ok(())) {
                    Ok(Step::Went) => {}
                    Ok(Step::Ended) => self.end = Some(End::Closed),
                    Ok(Step::Open | Step::Blocked) => break Ok(()),
                    // Data received before the fault is read first.
                    Err(_) if taken > 0 => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            if !self.outgoing.is_empty() {
                // An answer to the peer, which nobody waits for: if it cannot be written, the next write says so.
                let _ = self.poll_sent(cx);
            }
            decrypted?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            match &self.end {
                None => {}
                Some(End::Closed) => return Poll::Ready(Ok(0)),
                Some(End::Cut) => {
                    let detail = "the connection ended without TLS saying so";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail)));
                }
                Some(End::Failed(error)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())));
                }
            }
            if ready!(self.poll_fill(cx))? == 0 {
                self.end = Some(End::Cut);
            }
        }
    }

    /// Reads once from the wire.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(space) = self.incoming.space() else {
            let detail = "the server sent a TLS message that is too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, detail)));
        };
        let poll = pin!(self.wire.read_buf(space)).poll(cx);
        if !matches!(poll, Poll::Ready(Ok(1..))) {
            self.incoming.rest();
        }
        poll
    }

    /// Writes encrypted records.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            if let Some(handshake_gate) = &self.handshake_gate {
                ready!(handshake_gate.poll_free(cx));
            }
            match ready!(Pin::new(&mut self.wire).poll_write(cx, self.outgoing.unsent()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.outgoing.sent(n),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    /// Encrypts `data`.
    fn encrypt_record(&mut self, data: &[u8]) -> io::Result<()> {
        if self.has_said_goodbye {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        loop {
            let step =
                self.step(|mut traffic, outgoing| outgoing.append(|space| traffic.encrypt(data, space)));
            match step? {
                Step::Open => return Ok(()),
                Step::Went => {}
                Step::Ended => self.end = Some(End::Closed),
                Step::Blocked => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Encrypts as much of `bufs` as is gathered for a system call, in records as long as may be.
    fn encrypt(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bufs = bufs.iter().map(|buf| &buf[..]).filter(|buf| !buf.is_empty()).peekable();
        let mut data: &[u8] = &[];
        let mut taken = 0;
        while self.outgoing.len() < GATHERED {
            if data.is_empty() {
                let Some(next) = bufs.next() else { break };
                data = next;
            }
            let length = match bufs.peek() {
                Some(_) => data.len().min(GATHERED) / RECORD * RECORD,
                None => data.len().min(GATHERED),
            };
            if length > 0 {
                let (whole, rest) = data.split_at(length);
                self.encrypt_record(whole)?;
                data = rest;
                taken += length;
                continue;
            }
            // Small pieces share a record.
            let mut record = Vec::with_capacity(RECORD);
            while record.len() < RECORD {
                if data.is_empty() {
                    let Some(next) = bufs.next() else { break };
                    data = next;
                }
                let (part, rest) = data.split_at(data.len().min(RECORD - record.len()));
                record.extend_from_slice(part);
                data = rest;
            }
            self.encrypt_record(&record)?;
            taken += record.len();
        }
        Ok(taken)
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = self.get_mut().poll_data(cx, |incoming| {
            let before = buf.remaining();
            incoming.read_plain(buf);
            (before - buf.remaining(), buf.remaining() > 0)
        });
        read.map_ok(|_| ())
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.len() >= GATHERED {
            ready!(this.poll_send(cx))?;
        }
        Poll::Ready(this.encrypt(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.has_said_goodbye {
            let step =
                this.step(|mut traffic, outgoing| outgoing.append(|space| traffic.queue_close_notify(space)));
            // After an error no reader receives it.
            this.has_said_goodbye = matches!(step, Ok(Step::Open | Step::Blocked) | Err(_));
        }
        ready!(this.poll_sent(cx))?;
        Pin::new(&mut this.wire).poll_shutdown(cx)
    }
}

/// The longest record's content (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// As much is encrypted before it is written; twice this fits into a [`Buffer`](super::super::buffers::Buffer) with what
/// the records add.
const GATHERED: usize = 8 * RECORD;
