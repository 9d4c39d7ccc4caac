//! Counts header bytes on the wire, which the `h2` crate does not tell: looks at frame heads as they pass.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::rest::Driver;
use super::urgency::Updates;
use crate::transport::stream::Stream;

/// Header bytes of the streams that someone counts: sent and received.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<HashMap<u32, (u64, u64), BuildHasherDefault<StreamHasher>>>);

/// Stream numbers are our own, ascending, and no attack: one multiplication spreads them.
#[derive(Default)]
struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((self.0 as u32) << 8 | u32::from(*byte)));
    }

    fn write_u32(&mut self, stream: u32) {
        self.0 = u64::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Counts {
    /// Opens a stream and counts from its first byte: the driver cannot write it before this returns.
    pub(super) fn count<T, E>(
        self: &Arc<Self>,
        open: impl FnOnce() -> Result<(T, u32), E>,
    ) -> Result<(T, Counted), E> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (opened, stream) = open()?;
        counts.insert(stream, (0, 0));
        Ok((opened, Counted { counts: self.clone(), stream }))
    }

    fn add(&self, stream: u32, sent: u64, received: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&stream) {
            count.0 += sent;
            count.1 += received;
        }
    }
}

/// A stream being counted, until this is dropped.
pub(super) struct Counted {
    counts: Arc<Counts>,
    stream: u32,
}

impl Counted {
    /// Sent and received so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&self.stream).copied().unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.stream);
    }
}

/// A byte stream that tells [`Counts`] what passes.
pub(super) struct Tap {
    stream: Stream,
    counts: Arc<Counts>,
    updates: Arc<Updates>,
    driver: Driver,
    /// Frames of ours on their way, which go out whole before anything else does.
    update: Vec<u8>,
    /// Something was written that is not flushed yet, though `h2` has asked.
    owes_flush: Arc<AtomicBool>,
    wrote_data: bool,
    /// Bytes read since others had their turn.
    turn: usize,
    sent: Frames,
    received: Frames,
}

impl Tap {
    /// `owes_flush` becomes true when the connection is to be polled once more for what it has written to be flushed.
    pub(super) fn new(
        stream: Stream,
        counts: Arc<Counts>,
        updates: Arc<Updates>,
        driver: Driver,
        owes_flush: Arc<AtomicBool>,
    ) -> Self {
        let (sent, received) = (Frames::after(PREFACE), Frames::after(0));
        Self {
            stream,
            counts,
            updates,
            driver,
            update: Vec::new(),
            owes_flush,
            wrote_data: false,
            turn: 0,
            sent,
            received,
        }
    }

    /// Writes what there is to tell of urgencies, where a frame may begin.
    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.update.is_empty() && self.sent.may_begin() {
            self.update = self.updates.take();
        }
        while !self.update.is_empty() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.update))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.update.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn saw_sent(&mut self, bytes: &[u8]) {
        let counts = &self.counts;
        self.sent.feed(bytes, |stream, length| counts.add(stream, length, 0));
    }
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turn >= TURN {
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.driver.poll_turn(cx));
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) else {
            this.turn = 0;
            return Poll::Pending;
        };
        read?;
        this.turn += buf.filled().len() - before;
        let counts = &this.counts;
        this.received.feed(&buf.filled()[before..], |stream, length| counts.add(stream, 0, length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Whoever waits for the socket is polled again anyway.
        this.owes_flush.store(false, Relaxed);
        ready!(this.poll_update(cx))?;
        let n = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        let mut left = n;
        for buf in bufs {
            let part = left.min(buf.len());
            this.saw_sent(&buf[..part]);
            left -= part;
        }
        this.wrote_data = this.sent.is_in_data(LARGE);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// `h2` flushes after every DATA frame, and once more when it has no more to write: only the last is worth a system
    /// call.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.wrote_data) {
            this.owes_flush.store(true, Relaxed);
            return Poll::Ready(Ok(()));
        }
        this.owes_flush.store(false, Relaxed);
        ready!(this.poll_update(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Frame heads in a stream of bytes that comes in any pieces (RFC 9113 §4.1).
struct Frames {
    skip: usize,
    head: [u8; FRAME_HEAD],
    have: usize,
    /// The last frame is DATA, and this long.
    data: usize,
    /// Inside a block of header frames, which nothing may interrupt (RFC 9113 §4.3).
    in_block: bool,
}

impl Frames {
    fn after(skip: usize) -> Self {
        Self { skip, head: [0; FRAME_HEAD], have: 0, data: 0, in_block: false }
    }

    /// May a frame of another stream begin here?
    fn may_begin(&self) -> bool {
        self.skip == 0 && self.have == 0 && !self.in_block
    }

    /// Was the last frame one of DATA, of at least `length` bytes?
    fn is_in_data(&self, length: usize) -> bool {
        self.data >= length
    }

    /// Calls `header` with stream and length, head included, of every HEADERS and CONTINUATION frame.
    fn feed(&mut self, mut bytes: &[u8], mut header: impl FnMut(u32, u64)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(FRAME_HEAD - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < FRAME_HEAD {
                return;
            }
            self.have = 0;
            let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.head;
            self.skip = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            self.data = if kind == DATA { self.skip } else { 0 };
            if kind == HEADERS || kind == CONTINUATION {
                self.in_block = flags & END_HEADERS == 0;
                header(u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]), (FRAME_HEAD + self.skip) as u64);
            }
        }
    }
}

/// DATA frames of this length are written one by one, with a flush after each.
const LARGE: usize = 4 * 1024;

/// As much is read before whoever reads the streams has a turn: a window full of data could lie here meanwhile.
const TURN: usize = 512 * 1024;

/// RFC 9113 §3.4.
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_frames_are_counted_however_the_bytes_are_cut() {
        let mut wire = vec![b'x'; 3];
        wire.extend_from_slice(&[0, 0, 5, HEADERS, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5]);
        wire.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0, 1, 9, 9]);
        wire.extend_from_slice(&[0, 0, 1, CONTINUATION, 0, 0x80, 0, 0, 3, 7]);
        for size in 1..=wire.len() {
            let mut frames = Frames::after(3);
            let mut seen = Vec::new();
            for piece in wire.chunks(size) {
                frames.feed(piece, |stream, length| seen.push((stream, length)));
            }
            assert_eq!(seen, [(1, 14), (3, 10)], "pieces of {size}");
        }
    }

    #[test]
    fn a_frame_may_begin_after_another_but_not_inside_one_or_a_block_of_headers() {
        let pieces: [(&[u8], bool); 6] = [
            (b"xx", false),
            (b"x", true),
            (&[0, 0, 2, 0, 0, 0, 0, 0, 1, 9], false),
            (&[9], true),
            (&[0, 0, 0, HEADERS, 0, 0, 0, 0, 1], false),
            (&[0, 0, 1, CONTINUATION, END_HEADERS, 0, 0, 0, 1, 7], true),
        ];
        let mut frames = Frames::after(3);
        for (piece, may_begin) in pieces {
            frames.feed(piece, |_, _| {});
            assert_eq!(frames.may_begin(), may_begin, "{piece:?}");
        }
    }

    #[test]
    fn a_stream_is_counted_until_it_is_dropped() {
        let counts = Arc::new(Counts::default());
        let (_, counted) = counts.count(|| Ok::<_, ()>(((), 5))).unwrap();
        counts.add(5, 10, 20);
        counts.add(7, 1, 1);
        assert_eq!(counted.bytes(), (10, 20));
        drop(counted);
        assert!(counts.0.lock().unwrap().is_empty());
    }
}
