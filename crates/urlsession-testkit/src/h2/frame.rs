//! Owns the layout of HTTP/2 frames (RFC 9113, 4 and 6): building and taking apart, no state.

use bytes::{Buf, Bytes, BytesMut};

/// What a client's connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The size of a frame's head.
pub(super) const HEAD: usize = 9;
/// The frame size every endpoint takes, and the only one this server announces.
pub(super) const DEFAULT_FRAME: usize = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// RFC 9218, 7.1.
pub(super) const PRIORITY_UPDATE: u8 = 16;

/// END_STREAM of DATA and HEADERS, ACK of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITIZED: u8 = 32;

/// Error codes (RFC 9113, 7).
pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// One received frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Bytes,
}

/// A payload larger than was announced.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Frame {
    /// Takes the next whole frame off the buffer.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, TooLarge> {
        let Some(head) = buffer.first_chunk::<HEAD>() else { return Ok(None) };
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *head;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        if length > DEFAULT_FRAME {
            return Err(TooLarge);
        }
        if buffer.len() < HEAD + length {
            return Ok(None);
        }
        buffer.advance(HEAD);
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Ok(Some(Self { kind, flags, stream, payload: buffer.split_to(length).freeze() }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of DATA or HEADERS without its padding and priority; `None` when they overlap.
    pub(super) fn content(&self) -> Option<Bytes> {
        let mut payload = self.payload.clone();
        let mut padding = 0;
        if self.has(PADDED) {
            padding = usize::from(payload.try_get_u8().ok()?);
        }
        if self.kind == HEADERS && self.has(PRIORITIZED) {
            if payload.len() < 5 {
                return None;
            }
            payload.advance(5);
        }
        let length = payload.len().checked_sub(padding)?;
        Some(payload.slice(..length))
    }

    /// The payload as one number, when it is exactly four bytes.
    pub(super) fn number(&self) -> Option<u32> {
        self.payload.as_ref().try_into().map(u32::from_be_bytes).ok()
    }
}

pub(super) fn head(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD] {
    let [_, l0, l1, l2] = (length as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [l0, l1, l2, kind, flags, s0, s1, s2, s3]
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + payload.len());
    out.extend_from_slice(&head(payload.len(), kind, flags, stream));
    out.extend_from_slice(payload);
    out
}

pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let pairs = values.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()));
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<u8>>())
}

pub(super) fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(super) fn goaway(last: u32, code: u32, debug: &str) -> Vec<u8> {
    let mut payload = Vec::with_capacity(8 + debug.len());
    payload.extend_from_slice(&last.to_be_bytes());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(debug.as_bytes());
    frame(GOAWAY, 0, 0, &payload)
}

/// HEADERS with as many CONTINUATION frames as the peer's frame size asks for.
pub(super) fn headers(stream: u32, block: &[u8], end_stream: bool, max_frame: usize) -> Vec<u8> {
    let (first, rest) = block.split_at(block.len().min(max_frame));
    let end_headers = if rest.is_empty() { END_HEADERS } else { 0 };
    let end_stream = if end_stream { END_STREAM } else { 0 };
    let mut out = frame(HEADERS, end_stream | end_headers, stream, first);
    let mut chunks = rest.chunks(max_frame).peekable();
    while let Some(chunk) = chunks.next() {
        let flags = if chunks.peek().is_none() { END_HEADERS } else { 0 };
        out.extend_from_slice(&frame(CONTINUATION, flags, stream, chunk));
    }
    out
}
