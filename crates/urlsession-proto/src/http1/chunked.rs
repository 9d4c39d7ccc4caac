//! The chunked transfer coding, undone (RFC 9112 §7.1). Extensions are skipped (§7.1.1), trailers kept unless a
//! trailer may not carry them (§7.1.2, RFC 9110 §6.5.1). Does not merge trailers into the head's fields.

use http::HeaderMap;

use super::head::parse_fields;
use super::{BodyError, HeadError, HeadLimits, Step};
use crate::trailers;

/// The state of a chunked body.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    state: State,
    /// Extension bytes still allowed; data earns them back.
    allowance: usize,
    trailer: Option<Box<Trailer>>,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, allowance: MAX_EXTENSION, trailer: None }
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Takes framing, at most one run of data, and the framing after it.
    pub(super) fn decode(&mut self, buf: &[u8]) -> Result<Step, BodyError> {
        let mut at = 0;
        let mut data = 0..0;
        while let Some(&byte) = buf.get(at) {
            match self.state {
                State::Finished => break,
                State::Data(_) if !data.is_empty() => break,
                State::Data(remaining) => {
                    let rest = buf.len() - at;
                    let taken = usize::try_from(remaining).map_or(rest, |remaining| remaining.min(rest));
                    data = at..at + taken;
                    at += taken;
                    self.allowance = self.allowance.saturating_add(taken).min(MAX_EXTENSION);
                    self.state = match remaining - taken as u64 {
                        0 => State::DataCr,
                        remaining => State::Data(remaining),
                    };
                }
                _ => match self.framing(byte) {
                    Ok(()) => at += 1,
                    // The byte is left unread: the data before it is delivered first, the error by the next call.
                    Err(_) if !data.is_empty() => break,
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(Step { consumed: at, data })
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        if !self.is_finished() {
            return None;
        }
        self.trailer.take().map(|trailer| trailer.fields).filter(|fields| !fields.is_empty())
    }

    /// One byte that is not data. A byte that is refused leaves the state as it was.
    fn framing(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match self.state {
            State::Size { size, digits } => self.size(size, digits, byte)?,
            State::SizeEnd { size } => self.size_end(size, byte)?,
            State::Extension { size } => match byte {
                b'\r' => State::SizeLf { size },
                // A bare LF or NUL is where two recipients would see two lines, or one.
                b'\n' | b'\0' => return Err(BodyError::ChunkTerminator),
                _ => {
                    self.spend()?;
                    State::Extension { size }
                }
            },
            State::SizeLf { size } => {
                expect(byte, b'\n')?;
                if size == 0 { State::TrailerStart } else { State::Data(size) }
            }
            State::DataCr => {
                expect(byte, b'\r')?;
                State::DataLf
            }
            State::DataLf => {
                expect(byte, b'\n')?;
                State::Size { size: 0, digits: 0 }
            }
            // Nearly every trailer section is empty, and needs no buffer.
            State::TrailerStart if byte == b'\r' => State::EndLf,
            State::TrailerStart | State::Trailer => self.trailer(byte)?,
            State::EndLf => {
                expect(byte, b'\n')?;
                State::Finished
            }
            state @ (State::Data(_) | State::Finished) => state,
        };
        Ok(())
    }

    fn size(&mut self, size: u64, digits: u8, byte: u8) -> Result<State, BodyError> {
        // RFC 9112 §7.1: 1*HEXDIG, so neither a sign nor "0x".
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if digits == 0 => return Err(BodyError::ChunkSize),
            _ => return self.size_end(size, byte),
        };
        // RFC 9112 §7.1: a recipient must anticipate large numbers; sixteen digits are 64 bits.
        if digits == 16 {
            return Err(BodyError::ChunkTooLong);
        }
        Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
    }

    /// RFC 9112 §7.1.1: only white space, an extension or the line's end may follow a size.
    fn size_end(&mut self, size: u64, byte: u8) -> Result<State, BodyError> {
        match byte {
            b'\r' => Ok(State::SizeLf { size }),
            b'\n' => Err(BodyError::ChunkTerminator),
            b';' => self.spend().map(|()| State::Extension { size }),
            b' ' | b'\t' => self.spend().map(|()| State::SizeEnd { size }),
            _ => Err(BodyError::ChunkSize),
        }
    }

    /// RFC 9112 §7.1.2: the trailer section is field lines up to an empty one.
    fn trailer(&mut self, byte: u8) -> Result<State, BodyError> {
        let trailer = self.trailer.get_or_insert_default();
        if trailer.raw.len() == TRAILER_LIMITS.bytes {
            return Err(BodyError::Trailer(HeadError::TooLarge));
        }
        if byte == b'\n' && !trailer.raw.ends_with(b"\r") {
            return Err(BodyError::ChunkTerminator);
        }
        trailer.raw.push(byte);
        if byte != b'\n' {
            trailer.line += 1;
            return Ok(State::Trailer);
        }
        if std::mem::take(&mut trailer.line) > CR_LEN {
            return Ok(State::Trailer);
        }
        match parse_fields(&trailer.raw, &TRAILER_LIMITS) {
            Ok((fields, _)) => {
                trailer.raw = Vec::new();
                trailer.fields = trailers::allowed(fields);
                Ok(State::Finished)
            }
            Err(error) => {
                trailer.raw.pop();
                trailer.line = CR_LEN;
                Err(BodyError::Trailer(error))
            }
        }
    }

    fn spend(&mut self) -> Result<(), BodyError> {
        self.allowance = self.allowance.checked_sub(1).ok_or(BodyError::ChunkExtensionTooLong)?;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { size: u64, digits: u8 },
    SizeEnd { size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    EndLf,
    Finished,
}

#[derive(Debug, Default)]
struct Trailer {
    raw: Vec<u8>,
    /// The bytes of the current line so far, its CR included.
    line: usize,
    fields: HeaderMap,
}

fn expect(byte: u8, wanted: u8) -> Result<(), BodyError> {
    if byte == wanted { Ok(()) } else { Err(BodyError::ChunkTerminator) }
}

/// What an empty line holds before its LF.
const CR_LEN: usize = 1;
const MAX_EXTENSION: usize = 4096;
const TRAILER_LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 256 };

#[cfg(test)]
mod tests {
    use super::super::{BodyDecoder, BodyError, Framing, HeadError};
    use http::HeaderMap;

    /// The trailers and how many bytes were left over.
    type Ended = (Option<HeaderMap>, usize);

    /// The body's bytes and how it ended, fed `piece` bytes at a time.
    fn decode(input: &[u8], piece: usize) -> (Vec<u8>, Result<Ended, BodyError>) {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut body = Vec::new();
        let (mut start, mut end) = (0, 0);
        loop {
            let step = match decoder.decode(&input[start..end]) {
                Ok(step) => step,
                Err(error) => return (body, Err(error)),
            };
            body.extend_from_slice(&input[start..end][step.data]);
            start += step.consumed;
            if decoder.is_finished() {
                return (body, Ok((decoder.take_trailers(), input.len() - start)));
            }
            if step.consumed == 0 {
                if end == input.len() {
                    let error = decoder.end_of_input().expect_err("an unfinished body is truncated");
                    return (body, Err(error));
                }
                end = (end + piece).min(input.len());
            }
        }
    }

    fn error(input: &[u8]) -> BodyError {
        let whole = decode(input, input.len());
        for piece in 1..=7 {
            assert_eq!(decode(input, piece), whole, "{:?}", input.escape_ascii().to_string());
        }
        whole.1.expect_err("the body is accepted")
    }

    fn body(input: &[u8]) -> (String, Option<HeaderMap>, usize) {
        let whole = decode(input, input.len());
        for piece in 1..=7 {
            // What is left over is only known when all of it was lent.
            let (body, result) = decode(input, piece);
            assert_eq!(body, whole.0);
            assert_eq!(result.unwrap().0, whole.1.as_ref().unwrap().0);
        }
        let (trailers, left) = whole.1.unwrap();
        (String::from_utf8(whole.0).unwrap(), trailers, left)
    }

    #[test]
    fn chunks_are_joined_and_what_follows_them_is_left() {
        for (input, expected, left) in [
            (&b"0\r\n\r\n"[..], "", 0),
            (b"5\r\nhello\r\n0\r\n\r\n", "hello", 0),
            (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nHTTP/1.1", "hello world", 8),
            (b"00005\r\nhello\r\n000\r\n\r\n", "hello", 0),
            (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0),
            (b"2;a=b;c=\"d;e\"\r\nhi\r\n0;last\r\n\r\n", "hi", 0),
            (b"2 \t;a\r\nhi\r\n0  \r\n\r\n", "hi", 0),
            (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0),
        ] {
            assert_eq!(body(input), (expected.to_owned(), None, left));
        }
    }

    #[test]
    fn a_whole_body_of_one_chunk_takes_one_step() {
        let input = b"5\r\nhello\r\n0\r\n\r\n";
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let step = decoder.decode(input).unwrap();
        assert_eq!((step.consumed, step.data), (input.len(), 3..8));
        assert!(decoder.is_finished());
        assert_eq!(decoder.decode(b"more").unwrap().consumed, 0);
    }

    #[test]
    fn a_chunk_size_with_a_sign_is_refused() {
        for input in
            [&b"+5\r\n"[..], b"-5\r\n", b"0x5\r\n", b"5g\r\n", b"\xff", b" 5\r\n", b"\r\n", b";a\r\n"]
        {
            assert_eq!(error(input), BodyError::ChunkSize, "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn text_after_a_chunk_size_that_is_no_extension_is_refused() {
        for input in [&b"1 0\r\n"[..], b"5 \tx;a\r\n", b"5,\r\n", b"5\0\r\n"] {
            assert_eq!(error(input), BodyError::ChunkSize, "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_chunk_size_beyond_64_bits_is_refused() {
        assert_eq!(error(b"10000000000000000\r\n"), BodyError::ChunkTooLong);
        assert_eq!(error(b"00000000000000001\r\n"), BodyError::ChunkTooLong);
        let truncated = BodyError::Truncated { received: 2, expected: None };
        assert_eq!(error(b"ffffffffffffffff\r\nhi"), truncated);
    }

    #[test]
    fn a_line_end_other_than_crlf_is_refused() {
        for input in [
            &b"5\nhello"[..],
            b"5\rhello",
            b"5;a\nhello",
            b"5;a\0\r\nhello",
            b"5;a\rb\r\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\rX",
            b"5\r\nhello!\r\n",
            b"0\r\n\rX",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"2\r\nhi\r\n0\r\nA: b\r\n\n",
        ] {
            assert_eq!(error(input), BodyError::ChunkTerminator, "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn data_before_an_error_is_delivered_first() {
        for piece in [1, 100] {
            let (body, result) = decode(b"5\r\nhelloX", piece);
            assert_eq!((&body[..], result), (&b"hello"[..], Err(BodyError::ChunkTerminator)));
            let (body, result) = decode(b"5\r\nhello\r\n0\r\nA\0: b\r\n\r\n", piece);
            assert_eq!((&body[..], result), (&b"hello"[..], Err(BodyError::Trailer(HeadError::HeaderName))));
        }
    }

    #[test]
    fn extensions_are_limited_to_4_kib_and_what_data_earns_back() {
        let line = |length: usize| [b"1", &b";".repeat(length)[..], b"\r\nx\r\n"].concat();
        let end = b"0\r\n\r\n";
        assert_eq!(body(&[&line(4096)[..], end].concat()).0, "x");
        assert_eq!(error(&line(4097)), BodyError::ChunkExtensionTooLong);
        // A byte of data at a time does not buy a peer 4 KiB of extensions each.
        assert_eq!(body(&[&line(3).repeat(2000)[..], end].concat()).0.len(), 2000);
        assert_eq!(error(&line(3).repeat(2100)), BodyError::ChunkExtensionTooLong);
    }

    #[test]
    fn trailers_are_kept_and_forbidden_ones_dropped() {
        let input =
            b"1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\
            Set-Cookie: a=b\r\nKeep-Alive: max=1\r\nETag: \"e\"\r\nX-Sum: 2\r\n\r\nHTTP";
        let (text, trailers, left) = body(input);
        let trailers = trailers.unwrap();
        assert_eq!((text.as_str(), left), ("x", 4));
        assert_eq!(trailers.len(), 3);
        assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(trailers["etag"], "\"e\"");
        assert_eq!(body(b"0\r\nHost: h\r\n\r\n").1, None);
    }

    #[test]
    fn malformed_trailers_are_refused() {
        for (input, expected) in [
            (&b"0\r\nA\0: b\r\n\r\n"[..], HeadError::HeaderName),
            (b"0\r\nA: b\0\r\n\r\n", HeadError::HeaderValue),
            (b"0\r\nA: b\rc\r\n\r\n", HeadError::HeaderValue),
            (b"0\r\nContent-Length : 5\r\n\r\n", HeadError::FramingField),
            (b"0\r\nTransfer-Encoding: chunked\x0b\r\n\r\n", HeadError::FramingField),
        ] {
            assert_eq!(error(input), BodyError::Trailer(expected), "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn trailers_that_frame_nothing_are_repaired_or_left_out() {
        let (text, trailers, _) = body(b"1\r\nx\r\n0\r\nA : 1\r\nno colon\r\nB: 2\x7f3\r\n 4\r\n\r\n");
        let trailers = trailers.unwrap();
        assert_eq!((text.as_str(), trailers.len()), ("x", 2));
        assert_eq!((&trailers["a"], &trailers["b"]), (&"1".parse().unwrap(), &"2 3   4".parse().unwrap()));
        assert_eq!(body(b"0\r\nA\r\n\r\n").1, None);
    }

    #[test]
    fn trailers_are_limited_in_number_and_size() {
        let trailers = |count: usize| [b"0\r\n", &b"A: b\r\n".repeat(count)[..], b"\r\n"].concat();
        assert_eq!(body(&trailers(256)).1.unwrap().len(), 256);
        assert_eq!(error(&trailers(257)), BodyError::Trailer(HeadError::TooManyFields));
        let endless = [b"0\r\nA: ", &b"b".repeat(64 * 1024)[..]].concat();
        assert_eq!(error(&endless), BodyError::Trailer(HeadError::TooLarge));
    }

    #[test]
    fn a_body_cut_anywhere_before_its_end_is_truncated() {
        let input = b"5;x\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n";
        for end in 0..input.len() {
            let (body, result) = decode(&input[..end], 100);
            let received = body.len() as u64;
            assert_eq!(result, Err(BodyError::Truncated { received, expected: None }));
        }
    }
}
