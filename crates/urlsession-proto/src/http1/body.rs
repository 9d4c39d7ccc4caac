//! A body's bytes told from its framing (RFC 9112 §6, §7): one decoder over all framings. Holds no body bytes; it
//! points at those in the caller's buffer. Content codings are not its concern.

use std::fmt;
use std::ops::Range;

use http::HeaderMap;

use super::chunked::ChunkedDecoder;
use super::{Framing, HeadError};

/// Tells a body's bytes from its framing, as they arrive.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    received: u64,
}

/// What one call of [`BodyDecoder::decode`] found. Nothing consumed and no data means that more bytes are needed,
/// unless the body is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the buffer are done with.
    pub consumed: usize,
    /// Where the body's bytes are, within those consumed; empty if they were all framing.
    pub data: Range<usize>,
}

/// Why a body is not what its framing promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A chunk's size is not a hexadecimal number.
    ChunkSize,
    /// A chunk's size does not fit 64 bits.
    ChunkTooLong,
    /// A chunk, or the line before it, does not end in CRLF.
    ChunkTerminator,
    /// Chunk extensions of 4 KiB and more than the data they come with.
    ChunkExtensionTooLong,
    /// The trailer section is malformed or too large.
    Trailer(HeadError),
    /// The peer closed before the body's end.
    Truncated {
        /// The body bytes that did arrive.
        received: u64,
        /// The body bytes that were promised, if the framing told.
        expected: Option<u64>,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChunkSize => f.write_str("a chunk's size is not a hexadecimal number"),
            Self::ChunkTooLong => f.write_str("a chunk's size does not fit 64 bits"),
            Self::ChunkTerminator => f.write_str("a chunk or its size line does not end in CRLF"),
            Self::ChunkExtensionTooLong => f.write_str("the chunk extensions are larger than the limit"),
            Self::Trailer(error) => write!(f, "in the trailer section: {error}"),
            Self::Truncated { received, expected: Some(expected) } => {
                write!(f, "the connection closed after {received} of {expected} bytes of the body")
            }
            Self::Truncated { received, expected: None } => {
                write!(f, "the connection closed after {received} bytes, before the body's last chunk")
            }
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Trailer(error) => Some(error),
            _ => None,
        }
    }
}

impl BodyDecoder {
    /// A decoder for the body that starts with the next byte.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkedDecoder::new()),
            Framing::UntilClose => State::UntilClose { closed: false },
        };
        Self { state, received: 0 }
    }

    /// Whether the body has ended; true at once for a body of no bytes.
    #[inline]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Length(remaining) => *remaining == 0,
            State::Chunked(chunked) => chunked.is_finished(),
            State::UntilClose { closed } => *closed,
        }
    }

    /// The bytes still to come, if the framing tells.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(remaining) => Some(remaining),
            State::Chunked(_) | State::UntilClose { .. } => None,
        }
    }

    /// The next `n` bytes of a body of known length were taken by somebody else.
    pub fn pass(&mut self, n: u64) {
        if let State::Length(remaining) = &mut self.state {
            let passed = n.min(*remaining);
            *remaining -= passed;
            self.received += passed;
        }
    }

    /// Takes as much of `buf` as it can in one step: at most one run of data, with the framing around it. What lies
    /// beyond the body's end is never consumed. After an error there is nothing more to ask.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Step, BodyError> {
        let step = match &mut self.state {
            State::Length(remaining) => {
                let taken = usize::try_from(*remaining).map_or(buf.len(), |left| left.min(buf.len()));
                *remaining -= taken as u64;
                Step { consumed: taken, data: 0..taken }
            }
            State::Chunked(chunked) => chunked.decode(buf)?,
            State::UntilClose { closed: false } => Step { consumed: buf.len(), data: 0..buf.len() },
            State::UntilClose { closed: true } => Step { consumed: 0, data: 0..0 },
        };
        self.received = self.received.saturating_add(step.data.len() as u64);
        Ok(step)
    }

    /// The peer closed. RFC 9112 §8: a body cut short is an error unless closing is what ends it.
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        let expected = match &mut self.state {
            State::UntilClose { closed } => {
                *closed = true;
                return Ok(());
            }
            State::Length(0) => return Ok(()),
            State::Length(remaining) => Some(self.received.saturating_add(*remaining)),
            State::Chunked(chunked) if chunked.is_finished() => return Ok(()),
            State::Chunked(_) => None,
        };
        Err(BodyError::Truncated { received: self.received, expected })
    }

    /// The trailer fields that came after the last chunk, once, if there were any.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.state {
            State::Chunked(chunked) => chunked.take_trailers(),
            State::Length(_) | State::UntilClose { .. } => None,
        }
    }
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose { closed: bool },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(decoder: &mut BodyDecoder, buf: &[u8]) -> (usize, Range<usize>) {
        let step = decoder.decode(buf).unwrap();
        (step.consumed, step.data)
    }

    #[test]
    fn a_body_of_no_bytes_is_finished_at_once() {
        for framing in [Framing::Empty, Framing::Length(0)] {
            let mut decoder = BodyDecoder::new(framing);
            assert!(decoder.is_finished());
            assert_eq!(decoder.remaining(), Some(0));
            assert_eq!(step(&mut decoder, b"HTTP/1.1"), (0, 0..0));
            assert_eq!(decoder.end_of_input(), Ok(()));
            assert_eq!(decoder.take_trailers(), None);
        }
    }

    #[test]
    fn a_length_takes_its_bytes_and_no_more() {
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        assert_eq!(step(&mut decoder, b"hel"), (3, 0..3));
        assert_eq!(decoder.remaining(), Some(2));
        assert_eq!(step(&mut decoder, b""), (0, 0..0));
        assert!(!decoder.is_finished());
        assert_eq!(step(&mut decoder, b"loHTTP"), (2, 0..2));
        assert!(decoder.is_finished());
        assert_eq!(decoder.end_of_input(), Ok(()));
    }

    #[test]
    fn what_somebody_else_takes_of_a_length_counts() {
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        decoder.pass(3);
        assert_eq!(decoder.remaining(), Some(2));
        let cut = Err(BodyError::Truncated { received: 3, expected: Some(5) });
        assert_eq!(decoder.end_of_input(), cut);
        assert_eq!(step(&mut decoder, b"loHTTP"), (2, 0..2));
        assert!(decoder.is_finished());
    }

    #[test]
    fn a_length_cut_short_is_truncated() {
        let mut decoder = BodyDecoder::new(Framing::Length(5));
        step(&mut decoder, b"hel");
        let error = decoder.end_of_input().unwrap_err();
        assert_eq!(error, BodyError::Truncated { received: 3, expected: Some(5) });
        assert_eq!(error.to_string(), "the connection closed after 3 of 5 bytes of the body");
    }

    #[test]
    fn a_length_of_64_bits_does_not_overflow() {
        let mut decoder = BodyDecoder::new(Framing::Length(u64::MAX));
        step(&mut decoder, b"x");
        let error = decoder.end_of_input().unwrap_err();
        assert_eq!(error, BodyError::Truncated { received: 1, expected: Some(u64::MAX) });
    }

    #[test]
    fn a_body_until_close_ends_with_the_connection() {
        let mut decoder = BodyDecoder::new(Framing::UntilClose);
        assert_eq!(step(&mut decoder, b"anything"), (8, 0..8));
        assert_eq!(decoder.remaining(), None);
        assert!(!decoder.is_finished());
        assert_eq!(decoder.end_of_input(), Ok(()));
        assert!(decoder.is_finished());
        assert_eq!(step(&mut decoder, b"late"), (0, 0..0));
    }

    #[test]
    fn an_error_in_a_trailer_names_its_source() {
        let error = BodyError::Trailer(HeadError::HeaderName);
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(error.to_string(), "in the trailer section: a field line has no well-formed name");
    }
}
