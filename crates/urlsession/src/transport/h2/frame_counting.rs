//! Reads frame heads as they pass, for data that the `h2` crate does not report: header bytes on the wire, response heads
//! that no exchange has taken yet, pseudo-fields in trailers, and why a connection is being closed.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::head::MAX_INFORMATIONAL;
use super::read_gate::Driver;
use super::urgency::Updates;
use crate::transport::stream::Stream;

/// The streams that someone counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    streams: Mutex<HashMap<u32, Count, BuildHasherDefault<StreamHasher>>>,
    /// The server has sent HTTP_1_1_REQUIRED (RFC 9113 §7).
    requires_http1: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Header bytes.
    sent: u64,
    received: u64,
    /// HEADERS frames received.
    heads: usize,
    /// The last of them that ends the stream begins with a pseudo-field.
    begins_with_pseudo_field: bool,
}

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
        let mut streams = self.lock();
        let (opened, stream) = open()?;
        streams.insert(stream, Count::default());
        Ok((opened, Counted { counts: self.clone(), stream }))
    }

    pub(super) fn require_http1(&self) {
        self.requires_http1.store(true, Relaxed);
    }

    pub(super) fn requires_http1(&self) -> bool {
        self.requires_http1.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Count, BuildHasherDefault<StreamHasher>>> {
        self.streams.lock()
    }

    fn get(&self, stream: u32) -> Count {
        self.lock().get(&stream).copied().unwrap_or_default()
    }
}

/// What frames are told to; both say nothing by default.
trait Observer {
    /// A frame of headers, or GOAWAY, begins. Returns how many bytes of its payload are to be shown.
    fn head(&mut self, frame: &FrameHead) -> usize;

    /// The beginning of the payload of a requested frame.
    fn payload(&mut self, _frame: &FrameHead, _start: &[u8]) {}
}

struct Sent<'a>(&'a Counts);

impl Observer for Sent<'_> {
    fn head(&mut self, frame: &FrameHead) -> usize {
        if frame.kind != GOAWAY
            && let Some(count) = self.0.lock().get_mut(&frame.stream)
        {
            count.sent += frame.size();
        }
        0
    }
}

struct Received<'a> {
    counts: &'a Counts,
    /// Why these bytes are not even shown to the codec.
    failure: Option<&'static str>,
    /// Why nothing more is read after them.
    end: Option<&'static str>,
}

impl Observer for Received<'_> {
    fn head(&mut self, frame: &FrameHead) -> usize {
        if frame.kind == GOAWAY {
            return GOAWAY_PAYLOAD;
        }
        let mut streams = self.counts.lock();
        let Some(count) = streams.get_mut(&frame.stream) else { return 0 };
        count.received += frame.size();
        if frame.kind != HEADERS {
            return 0;
        }
        count.heads += 1;
        if count.heads > MOST_HEADS {
            // They are not flow-controlled, and the codec keeps them for a reader who may be suspended.
            self.failure = Some("the server sent more than 100 informational responses");
        }
        let may_be_trailers = count.heads > 1 && frame.flags & END_STREAM != 0;
        if may_be_trailers { MOST_SHOWN } else { 0 }
    }

    fn payload(&mut self, frame: &FrameHead, start: &[u8]) {
        if frame.kind == HEADERS {
            let begins_with_pseudo_field = begins_with_pseudo_field(frame.flags, start);
            if let Some(count) = self.counts.lock().get_mut(&frame.stream) {
                count.begins_with_pseudo_field = begins_with_pseudo_field;
            }
            return;
        }
        let [l0, l1, l2, l3, c0, c1, c2, c3, ..] = *start else { return };
        if u32::from_be_bytes([c0, c1, c2, c3]) != HTTP_1_1_REQUIRED {
            return;
        }
        self.counts.require_http1();
        // Nothing more is to be expected on this connection, unless a response has begun.
        let last = u32::from_be_bytes([l0 & 0x7f, l1, l2, l3]);
        if self.counts.lock().iter().all(|(stream, count)| *stream > last || count.heads == 0) {
            self.end = Some("the server requires HTTP/1.1 (HTTP_1_1_REQUIRED)");
        }
    }
}

/// Whether a block of header fields begins with a pseudo-field, where all of them are (RFC 9113 §8.3, RFC 7541 §6). `start`
/// is that of the payload of a HEADERS frame. A name in the dynamic table is not recognised.
fn begins_with_pseudo_field(flags: u8, start: &[u8]) -> bool {
    let padded = if flags & PADDED == 0 { 0 } else { 1 };
    let priority = if flags & PRIORITY == 0 { 0 } else { 5 };
    let mut block = start.get(padded + priority..).unwrap_or_default();
    while let Some((&first, rest)) = block.split_first() {
        let index = match first {
            0x80.. => first & 0x7f,
            0x40.. => first & 0x3f,
            0x20.. => {
                // A change of the table's size is passed over.
                let more = if first & 0x1f == 0x1f {
                    rest.iter().position(|b| b & 0x80 == 0).map_or(rest.len(), |at| at + 1)
                } else {
                    0
                };
                block = &rest[more..];
                continue;
            }
            _ => first & 0x0f,
        };
        return match rest {
            _ if index > 0 => index <= STATIC_PSEUDO_FIELDS,
            // A literal name; `:` is seven bits in the Huffman code (RFC 7541, Appendix B).
            [length, name, ..] if length & 0x80 != 0 => name >> 1 == 0b101_1100,
            [_, name, ..] => *name == b':',
            _ => false,
        };
    }
    false
}

/// A stream being counted, until this is dropped.
pub(super) struct Counted {
    counts: Arc<Counts>,
    stream: u32,
}

impl Counted {
    /// Header bytes sent and received so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let count = self.counts.get(self.stream);
        (count.sent, count.received)
    }

    /// HEADERS frames received so far.
    pub(super) fn heads(&self) -> usize {
        self.counts.get(self.stream).heads
    }

    /// Whether the trailers, once received, begin with a pseudo-field.
    pub(super) fn begins_with_pseudo_field(&self) -> bool {
        self.counts.get(self.stream).begins_with_pseudo_field
    }

    pub(super) fn require_http1(&self) {
        self.counts.require_http1();
    }

    pub(super) fn requires_http1(&self) -> bool {
        self.counts.requires_http1()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.lock().remove(&self.stream);
    }
}

/// A byte stream that reports passing frames to [`Counts`].
pub(super) struct FrameCountingIo {
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
    /// Why nothing more is read.
    end: Option<&'static str>,
}

impl FrameCountingIo {
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
            end: None,
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

    #[cold]
    fn poll_end(&self) -> Poll<io::Result<()>> {
        let why = self.end.unwrap_or_default();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)))
    }

    fn saw_sent(&mut self, bytes: &[u8]) {
        self.sent.feed(bytes, &mut Sent(&self.counts));
    }
}

impl AsyncRead for FrameCountingIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.turn >= TURN {
            this.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.end.is_some() {
            return this.poll_end();
        }
        ready!(this.driver.poll_turn(cx));
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) else {
            this.turn = 0;
            return Poll::Pending;
        };
        read?;
        this.turn += buf.filled().len() - before;
        let mut observer = Received { counts: &this.counts, failure: None, end: None };
        this.received.feed(&buf.filled()[before..], &mut observer);
        this.end = observer.failure.or(observer.end);
        if observer.failure.is_some() {
            return this.poll_end();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FrameCountingIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Code that waits for the socket is polled again anyway.
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
    /// The beginning of the payload that is to be shown, as far as it has come.
    shown: Option<Shown>,
    /// The last frame is DATA, and this long.
    data: usize,
    /// Inside a block of header frames, which nothing may interrupt (RFC 9113 §4.3).
    in_block: bool,
}

impl Frames {
    fn after(skip: usize) -> Self {
        Self { skip, head: [0; FRAME_HEAD], have: 0, shown: None, data: 0, in_block: false }
    }

    /// True if a frame of another stream may begin here.
    fn may_begin(&self) -> bool {
        self.skip == 0 && self.have == 0 && !self.in_block
    }

    /// True if the last frame was one of DATA, of at least `length` bytes.
    fn is_in_data(&self, length: usize) -> bool {
        self.data >= length
    }

    /// Reports every HEADERS, CONTINUATION and GOAWAY frame.
    fn feed(&mut self, mut bytes: &[u8], observer: &mut impl Observer) {
        loop {
            let skipped = self.skip.min(bytes.len());
            if let Some(shown) = &mut self.shown
                && shown.take(&bytes[..skipped])
            {
                observer.payload(&shown.frame, &shown.bytes[..shown.wanted]);
                self.shown = None;
            }
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
            if matches!(kind, HEADERS | CONTINUATION | GOAWAY) {
                self.in_block = kind != GOAWAY && flags & END_HEADERS == 0;
                let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
                let frame = FrameHead { kind, flags, stream, length: self.skip };
                let wanted = observer.head(&frame).min(self.skip).min(MOST_SHOWN);
                if wanted > 0 {
                    self.shown = Some(Shown { frame, bytes: [0; MOST_SHOWN], have: 0, wanted });
                }
            }
        }
    }
}

/// The head of a frame (RFC 9113 §4.1).
struct FrameHead {
    kind: u8,
    flags: u8,
    stream: u32,
    /// Of the payload.
    length: usize,
}

impl FrameHead {
    /// All bytes of the frame.
    fn size(&self) -> u64 {
        (FRAME_HEAD + self.length) as u64
    }
}

struct Shown {
    frame: FrameHead,
    bytes: [u8; MOST_SHOWN],
    have: usize,
    wanted: usize,
}

impl Shown {
    /// Takes the next bytes of the payload; true once there are as many as are wanted.
    fn take(&mut self, payload: &[u8]) -> bool {
        let taken = payload.len().min(self.wanted - self.have);
        self.bytes[self.have..self.have + taken].copy_from_slice(&payload[..taken]);
        self.have += taken;
        self.have == self.wanted
    }
}

/// HEADERS frames of one stream: informational responses, the final one and the trailers.
pub(super) const MOST_HEADS: usize = MAX_INFORMATIONAL + 2;

/// Enough of a payload to see its first field.
const MOST_SHOWN: usize = 24;

/// Last stream and reason (RFC 9113 §6.8).
const GOAWAY_PAYLOAD: usize = 8;

/// RFC 9113 §7.
const HTTP_1_1_REQUIRED: u32 = 0xd;

/// The first entries of HPACK's static table (RFC 7541, Appendix A).
const STATIC_PSEUDO_FIELDS: u8 = 14;

/// DATA frames of this length are written one by one, with a flush after each.
const LARGE: usize = 4 * 1024;

/// The most that is read before the readers of streams get a turn: otherwise a window full of data could wait here.
const TURN: usize = 512 * 1024;

/// RFC 9113 §3.4.
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const GOAWAY: u8 = 0x7;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    struct Headers<'a>(&'a mut Vec<(u32, u64)>);

    impl Observer for Headers<'_> {
        fn head(&mut self, frame: &FrameHead) -> usize {
            self.0.push((frame.stream, frame.size()));
            0
        }
    }

    /// Feeds the bytes in pieces of every size; the failure of each, and what is counted of stream 1.
    fn received(wire: &[u8]) -> (Option<&'static str>, Count, bool) {
        let of_size = |size: usize| {
            let counts = Arc::new(Counts::default());
            let (_, _counted) = counts.count(|| Ok::<_, ()>(((), 1))).unwrap();
            let (mut frames, mut failure) = (Frames::after(0), None);
            for piece in wire.chunks(size) {
                let mut observer = Received { counts: &counts, failure: None, end: None };
                frames.feed(piece, &mut observer);
                failure = failure.or(observer.failure).or(observer.end);
            }
            (failure, counts.get(1), counts.requires_http1())
        };
        let whole = of_size(wire.len());
        for size in 1..wire.len().min(40) {
            assert_eq!(format!("{:?}", of_size(size)), format!("{whole:?}"), "pieces of {size}");
        }
        whole
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn more_heads_than_a_response_can_have_end_the_connection() {
        let head = frame(HEADERS, END_HEADERS, 1, &[0x88]);
        assert_eq!(received(&head.repeat(MOST_HEADS)).0, None);
        assert!(received(&head.repeat(MOST_HEADS + 1)).0.is_some());
        // A block in many frames is one head.
        let block = [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[]).repeat(200)].concat();
        assert_eq!(received(&block).0, None);
    }

    #[test]
    fn a_pseudo_field_at_the_beginning_of_trailers_is_seen() {
        let head = frame(HEADERS, END_HEADERS, 1, &[0x88]);
        for (flags, block, expected) in [
            (0, &[0x88][..], true),
            (0, &[0x83, 0x40], true),
            (0, &[0x48, 3, b'2', b'0', b'0'], true),
            (0, &[0x08, 3, b'2', b'0', b'0'], true),
            (0, &[0x14, 1, b'/'], true),
            (0, b"\x00\x05:path\x01/", true),
            (0, b"\x40\x02:x\x01/", true),
            (0, &[0x10, 0x84, 0xb8, 0x84, 0, 0, 1, b'x'], true),
            (0, &[0x3f, 0xe1, 0x1f, 0x20, 0x88], true),
            (PADDED, &[2, 0x88, 0, 0], true),
            (PADDED | PRIORITY, &[1, 0, 0, 0, 0, 9, 0x88, 0], true),
            (0, &[0x8f], false),
            (0, &[0xbe], false),
            (0, &[0x0f, 0x10, 1, b'x'], false),
            (0, b"\x00\x01a\x01:", false),
            (0, &[0x20, 0x90], false),
            (0, &[], false),
            (PADDED, &[], false),
        ] {
            let trailers = frame(HEADERS, flags | END_HEADERS | END_STREAM, 1, block);
            let count = received(&[head.clone(), trailers].concat()).1;
            assert_eq!(count.begins_with_pseudo_field, expected, "{block:x?}");
        }
        assert!(!received(&head).1.begins_with_pseudo_field, "a head has them");
    }

    #[test]
    fn a_goaway_that_requires_http_1_1_ends_a_connection_on_which_nothing_has_been_answered() {
        let goaway = |last, reason| frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, reason, b'x']);
        let (failure, _, requires) = received(&goaway(1, 0xd));
        assert!(failure.is_some() && requires);
        let (failure, _, requires) = received(&goaway(1, 0));
        assert!(failure.is_none() && !requires);
        let head = frame(HEADERS, END_HEADERS, 1, &[0x88]);
        let (failure, _, requires) = received(&[head.clone(), goaway(1, 0xd)].concat());
        assert!(failure.is_none() && requires, "an answer that has begun may be completed");
        let (failure, _, requires) = received(&[head, goaway(0, 0xd)].concat());
        assert!(failure.is_some() && requires);
    }

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
                frames.feed(piece, &mut Headers(&mut seen));
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
            frames.feed(piece, &mut Headers(&mut Vec::new()));
            assert_eq!(frames.may_begin(), may_begin, "{piece:?}");
        }
    }

    #[test]
    fn a_stream_is_counted_until_it_is_dropped() {
        let counts = Arc::new(Counts::default());
        let (_, counted) = counts.count(|| Ok::<_, ()>(((), 5))).unwrap();
        for stream in [5, 7] {
            let frame = FrameHead { kind: HEADERS, flags: 0, stream, length: 1 };
            Sent(&counts).head(&frame);
            Received { counts: &counts, failure: None, end: None }.head(&frame);
            Received { counts: &counts, failure: None, end: None }.head(&frame);
        }
        assert_eq!((counted.bytes(), counted.heads()), ((10, 20), 2));
        drop(counted);
        assert!(counts.lock().is_empty());
    }
}
