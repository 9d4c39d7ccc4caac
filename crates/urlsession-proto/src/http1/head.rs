//! A response head: status line and fields (RFC 9112 §4, §5). Does not decide the body's framing, nor does it
//! judge what the fields mean.
//!
//! Lenient where servers in the field are (empty lines first, bare LF, no reason phrase, obs-fold; what the strict parser
//! refuses goes through [`super::repair`]), strict where two readers of one head could disagree (bare CR, NUL, a malformed
//! line that frames the message, a status that is not three digits).

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use super::repair::repair;
use crate::field::unfold;

/// How large a head a peer may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The most bytes from the first one received to the blank line.
    pub bytes: usize,
    /// The most fields; never more than 256, whatever is set here.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 256 * 1024, fields: FIELD_SLOTS }
    }
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// The fields, those of one name in the order they came; each value shares the storage of `raw`, which tells
    /// the order of all.
    pub headers: HeaderMap,
    /// The head's own bytes, from the status line to the blank line, folds within values replaced by
    /// spaces and malformed lines repaired, or left in a form that is no field.
    pub raw: Bytes,
}

impl ResponseHead {
    /// The reason phrase, empty if the server sent none.
    pub fn reason(&self) -> &[u8] {
        reason(&self.raw)
    }
}

/// The reason phrase of a head's own bytes; empty if there is none.
pub fn reason(raw: &[u8]) -> &[u8] {
    let line = raw.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.get(REASON_AT..).unwrap_or_default()
}

/// Why bytes are not a response head we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The status line is not a version, a three-digit status and a reason.
    StatusLine,
    /// A version of HTTP that has no such head.
    Version,
    /// NUL in a field line's name, or a name that is too long.
    HeaderName,
    /// CR or NUL in a field's value.
    HeaderValue,
    /// A malformed line that frames the message: `Content-Length` or `Transfer-Encoding`.
    FramingField,
    /// A CR that is not followed by LF.
    LineEnd,
    /// The head is longer than [`HeadLimits::bytes`].
    TooLarge,
    /// The head has more fields than [`HeadLimits::fields`].
    TooManyFields,
    /// The first bytes are no status line at all: HTTP/0.9, or another protocol.
    Http09,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StatusLine => "the status line is malformed",
            Self::Version => "the response is in a version of HTTP other than 1.0 and 1.1",
            Self::HeaderName => "a field line has no well-formed name",
            Self::HeaderValue => "a field's value contains CR or NUL",
            Self::FramingField => "a Content-Length or Transfer-Encoding line is malformed",
            Self::LineEnd => "a line of the head ends in a CR without LF",
            Self::TooLarge => "the response head is larger than the limit",
            Self::TooManyFields => "the response head has more fields than the limit",
            Self::Http09 => "the response does not begin with an HTTP status line",
        })
    }
}

impl std::error::Error for HeadError {}

/// Reads the head at the start of `buf`.
///
/// `Ok(None)` means that more bytes are needed. Otherwise the head comes with the number of bytes it took, which
/// includes the empty lines before it. A caller whose bytes trickle in should ask a [`HeadScanner`] instead.
pub fn parse_response(buf: &[u8], limits: &HeadLimits) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    // RFC 9112 §2.2: a few empty lines before the start line are tolerated.
    let start = buf.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(buf.len());
    if start > MAX_LEADING {
        return Err(HeadError::StatusLine);
    }

    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; FIELD_SLOTS];
    let slots = &mut slots[..limits.fields.min(FIELD_SLOTS)];
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // RFC 9112 §5.2: a user agent replaces an obs-fold by spaces.
    config.allow_obsolete_multiline_headers_in_responses(true);
    let consumed = match config.parse_response_with_uninit_headers(&mut response, buf, slots) {
        Ok(httparse::Status::Complete(consumed)) if consumed <= limits.bytes => consumed,
        Ok(httparse::Status::Partial) if buf.len() <= limits.bytes => return Ok(None),
        Ok(_) => return Err(HeadError::TooLarge),
        Err(error) if is_of_fields(error) => return parse_repaired(error, buf, start, limits),
        Err(error) => return Err(refine(error, &buf[start..])),
    };

    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(HeadError::StatusLine)?;
    let (headers, raw) = share(response.headers, buf, start..consumed)?;
    Ok(Some((ResponseHead { version, status, headers, raw }, consumed)))
}

/// As [`parse_response`], for a head with field lines that `error` was said of.
#[cold]
fn parse_repaired(
    error: httparse::Error,
    buf: &[u8],
    start: usize,
    limits: &HeadLimits,
) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    // RFC 9112 §2.2: of the empty lines before the head a CR alone is none.
    let is_bare = |at: usize| buf[at] == b'\r' && buf.get(at + 1) != Some(&b'\n');
    let Some(line) = buf[start..].iter().position(|&b| b == b'\n').filter(|_| !(0..start).any(is_bare))
    else {
        return Err(translate(error));
    };
    let lines = start + line + 1;
    // The status line by itself has nothing that could be repaired.
    let status_line = [&buf[start..lines], b"\r\n"].concat();
    let mut response = httparse::Response::new(&mut []);
    response.parse(&status_line).map_err(|error| refine(error, &status_line))?;
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(HeadError::StatusLine)?;
    match repair(buf, start, lines, limits.fields.min(FIELD_SLOTS))? {
        Some((headers, raw, consumed)) if consumed <= limits.bytes => {
            Ok(Some((ResponseHead { version, status, headers, raw }, consumed)))
        }
        None if buf.len() <= limits.bytes => Ok(None),
        _ => Err(HeadError::TooLarge),
    }
}

/// Reads one head that arrives in pieces, in time linear in its length.
///
/// [`parse_response`] starts over at every call, which a peer that sends a byte at a time turns into quadratic
/// work. This remembers how far it has looked and parses again only once a blank line has come.
#[derive(Clone, Debug, Default)]
pub struct HeadScanner {
    seen: usize,
}

impl HeadScanner {
    /// A scanner that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`parse_response`]; `buf` is all that has been received of this head, at each call a longer one. When a
    /// head is returned, the scanner is ready for the next.
    pub fn parse(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        // The first bytes are always parsed, so that what is not HTTP is refused without waiting for a line end.
        if self.seen >= ALWAYS_PARSED {
            let unseen = self.seen.saturating_sub(BLANK_LINE_LEN - 1).min(buf.len());
            if !has_blank_line(&buf[unseen..]) {
                self.seen = buf.len();
                return if buf.len() > limits.bytes { Err(HeadError::TooLarge) } else { Ok(None) };
            }
        }
        self.seen = buf.len();
        let parsed = parse_response(buf, limits)?;
        if parsed.is_some() {
            self.seen = 0;
        }
        Ok(parsed)
    }
}

/// Parses the field lines in `buf`, up to and with their blank line, as trailers are sent. The bytes returned are those of
/// `buf`, with folds and repaired lines as in [`ResponseHead::raw`].
pub(crate) fn parse_fields(buf: &[u8], limits: &HeadLimits) -> Result<(HeaderMap, Bytes), HeadError> {
    if buf.len() > limits.bytes {
        return Err(HeadError::TooLarge);
    }
    let mut slots = [httparse::EMPTY_HEADER; TRAILER_SLOTS];
    let slots = &mut slots[..limits.fields.min(TRAILER_SLOTS)];
    match httparse::parse_headers(buf, slots) {
        Ok(httparse::Status::Complete((consumed, fields))) => share(fields, buf, 0..consumed),
        Ok(httparse::Status::Partial) => Err(HeadError::LineEnd),
        Err(error) if is_of_fields(error) => {
            let repaired = repair(buf, 0, 0, limits.fields.min(TRAILER_SLOTS))?;
            repaired.map(|(headers, raw, _)| (headers, raw)).ok_or(HeadError::LineEnd)
        }
        Err(error) => Err(translate(error)),
    }
}

/// Whether the error is one of field lines.
fn is_of_fields(error: httparse::Error) -> bool {
    use httparse::Error as E;
    matches!(error, E::HeaderName | E::HeaderValue | E::NewLine | E::Token)
}

/// Copies `buf[head]` once and makes every field's value a slice of the copy.
fn share(
    fields: &[httparse::Header<'_>],
    buf: &[u8],
    head: Range<usize>,
) -> Result<(HeaderMap, Bytes), HeadError> {
    let base = buf.as_ptr() as usize + head.start;
    let mut raw = Bytes::copy_from_slice(&buf[head]);
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::HeaderName)?;
        let at = field.value.as_ptr() as usize - base;
        let range = at..at + field.value.len();
        let value = match HeaderValue::from_maybe_shared(raw.slice(range.clone())) {
            Ok(value) => value,
            // What the parser lets through and a value may not hold is a fold; unfolding keeps every offset.
            Err(_) => {
                raw = Bytes::from(unfold(&raw).into_owned());
                HeaderValue::from_maybe_shared(raw.slice(range)).map_err(|_| HeadError::HeaderValue)?
            }
        };
        headers.try_append(name, value).map_err(|_| HeadError::TooManyFields)?;
    }
    Ok((headers, raw))
}

/// Says more than the parser does about bytes it refused; `head` is without its empty lines.
#[cold]
fn refine(error: httparse::Error, head: &[u8]) -> HeadError {
    if error != httparse::Error::Version {
        return translate(error);
    }
    let known = head.len().min(PROTOCOL.len());
    if head[..known] != PROTOCOL[..known] {
        return HeadError::Http09;
    }
    // "HTTP/1.1" followed by anything but a space is our version with a broken line.
    if head.starts_with(b"HTTP/1.0") || head.starts_with(b"HTTP/1.1") {
        return HeadError::StatusLine;
    }
    HeadError::Version
}

fn translate(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName | httparse::Error::Token => HeadError::HeaderName,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        httparse::Error::NewLine => HeadError::LineEnd,
        httparse::Error::Status => HeadError::StatusLine,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => HeadError::Version,
    }
}

fn has_blank_line(buf: &[u8]) -> bool {
    buf.iter().enumerate().any(|(at, &b)| {
        b == b'\n' && (buf[at + 1..].starts_with(b"\n") || buf[at + 1..].starts_with(b"\r\n"))
    })
}

const PROTOCOL: &[u8] = b"HTTP/";
/// Where the reason begins: after "HTTP/1.1 200 ".
const REASON_AT: usize = 13;
/// Enough bytes to have seen a status, whatever empty lines came first.
const ALWAYS_PARSED: usize = MAX_LEADING + REASON_AT;
/// The longest end of a head: LF, CR, LF.
const BLANK_LINE_LEN: usize = 3;
/// The most CR and LF before a status line.
const MAX_LEADING: usize = 8;
const FIELD_SLOTS: usize = 256;
const TRAILER_SLOTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::raw_fields;

    fn parse(buf: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        parse_response(buf, &HeadLimits::default())
    }

    fn head(buf: &[u8]) -> ResponseHead {
        let (head, consumed) = parse(buf).unwrap().expect("the head is complete");
        assert_eq!(consumed, buf.len(), "{:?}", buf.escape_ascii().to_string());
        assert_eq!(trickle(buf).unwrap().unwrap().raw, head.raw);
        // The map and the raw bytes tell the same story.
        assert_eq!(raw_fields(&head.raw).count(), head.headers.len());
        for (name, value) in raw_fields(&head.raw) {
            assert!(head.headers.get_all(name).iter().any(|v| v.as_bytes() == value), "{name}");
        }
        head
    }

    /// Feeds a scanner one more byte at a time.
    fn trickle(buf: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
        let mut scanner = HeadScanner::new();
        for end in 0..=buf.len() {
            if let Some((head, consumed)) = scanner.parse(&buf[..end], &HeadLimits::default())? {
                assert_eq!(consumed, end);
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn refused(buf: &[u8]) -> HeadError {
        let error = parse(buf).expect_err(&buf.escape_ascii().to_string());
        let ended = [buf, b"\r\n\r\n"].concat();
        assert_eq!(trickle(&ended).expect_err(&buf.escape_ascii().to_string()), error);
        error
    }

    #[test]
    fn a_head_is_read_and_what_follows_it_is_left() {
        let buf = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A:1\r\nx-a:  2 \t\r\n\r\nbody";
        let (head, consumed) = parse(buf).unwrap().unwrap();
        assert_eq!(&buf[consumed..], b"body");
        assert_eq!(
            (head.version, head.status, head.reason()),
            (Version::HTTP_11, StatusCode::OK, &b"OK"[..])
        );
        assert_eq!(head.raw, buf[..consumed]);
        assert_eq!(head.headers["content-type"], "text/plain");
        assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn every_value_shares_the_storage_of_the_raw_head() {
        let head = head(b"HTTP/1.1 200 OK\r\nA: one\r\nB: two\r\n\r\n");
        let storage = head.raw.as_ptr_range();
        assert!(head.headers.values().all(|value| storage.contains(&value.as_bytes().as_ptr())));
    }

    #[test]
    fn an_incomplete_head_needs_more() {
        let buf = b"\r\nHTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n";
        for end in 0..buf.len() {
            assert!(parse(&buf[..end]).unwrap().is_none(), "{end}");
        }
        assert!(parse(buf).unwrap().is_some());
    }

    #[test]
    fn what_servers_get_wrong_harmlessly_is_read() {
        for (buf, status, reason, fields) in [
            (&b"HTTP/1.0 200 OK\r\n\r\n"[..], 200, &b"OK"[..], 0),
            (b"HTTP/1.1 200\r\n\r\n", 200, b"", 0),
            (b"HTTP/1.1 200 \r\n\r\n", 200, b"", 0),
            (b"HTTP/1.1 200\n\n", 200, b"", 0),
            (b"HTTP/1.1 404 Not Found\nA: b\n\n", 404, b"Not Found", 1),
            (b"\r\n\r\n\nHTTP/1.1 999 x\r\n\r\n", 999, b"x", 0),
            (b"HTTP/1.1 100 Continue\r\n\r\n", 100, b"Continue", 0),
            (b"HTTP/1.1 200 \xe9t\xe9\r\nA: \xff\r\n\r\n", 200, b"\xe9t\xe9", 1),
            (b"HTTP/1.1 200 OK\r\nA:\r\nB: \r\n\r\n", 200, b"OK", 2),
            (b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\n\r\n", 200, b"OK", 2),
        ] {
            let head = head(buf);
            assert_eq!((head.status.as_u16(), head.reason(), head.headers.len()), (status, reason, fields));
        }
    }

    #[test]
    fn a_folded_value_is_joined_by_spaces() {
        for (fields, expected) in [
            (&b"A: b\r\n c"[..], &b"b   c"[..]),
            (b"A: b\n\tc", b"b \tc"),
            (b"A:\r\n b", b"b"),
            (b"A: \r\n \r\n\tb\r\n  ", b"b"),
            (b"A: b\r\n ", b"b"),
            (b"A:\r\n ", b""),
            (b"First: 0\r\n 1\r\nA: b\r\n c: d\r\n\te", b"b   c: d  \te"),
        ] {
            let fields = [fields, b"\r\nLast: 1\r\n"].concat();
            let head = head(&[b"HTTP/1.1 200 OK\r\n", &fields[..], b"\r\n"].concat());
            assert_eq!(head.headers["a"].as_bytes(), expected, "{:?}", fields.escape_ascii().to_string());
            assert_eq!(head.headers["last"], "1");
        }
    }

    #[test]
    fn a_status_that_is_not_three_digits_is_refused() {
        for buf in [
            &b"HTTP/1.1 20 Too Few Digits\r\n\r\n"[..],
            b"HTTP/1.1 2000 Too Many Digits\r\n\r\n",
            b"HTTP/1.1 099 Low\r\n\r\n",
            b"HTTP/1.1 000\r\n\r\n",
            b"HTTP/1.1 -20\r\n\r\n",
            b"HTTP/1.1 2x0\r\n\r\n",
            b"HTTP/1.1\r\n\r\n\r\n",
            b"HTTP/1.1\t200 OK\r\n\r\n",
            b"HTTP/1.1 200 O\0K\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
        ] {
            assert_eq!(refused(buf), HeadError::StatusLine, "{:?}", buf.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_version_without_such_a_head_is_refused() {
        for buf in [&b"HTTP/2 200\r\n\r\n"[..], b"HTTP/0.9 200\r\n\r\n", b"HTTP/1.2 200\r\n\r\n", b"HTTP/11"]
        {
            assert_eq!(refused(buf), HeadError::Version, "{:?}", buf.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_wrong_byte() {
        for buf in
            [&b"<"[..], b"HTTQ", b"http/1.1 200 OK\r\n", b"ICY 200 OK\r\n", b"\r\n\r\nSSH-2.0", b"\0", b" "]
        {
            assert_eq!(refused(buf), HeadError::Http09, "{:?}", buf.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_field_line_that_two_readers_could_take_for_two_is_refused() {
        for (field, expected) in [
            (&b"A\0: b"[..], HeadError::HeaderName),
            (b"A: b\0", HeadError::HeaderValue),
            (b"A: b\rc", HeadError::HeaderValue),
            (b"A: \rc", HeadError::HeaderValue),
            (b"A: b\r\n c\0", HeadError::HeaderName),
            (b"A: b\r\n c:\0", HeadError::HeaderValue),
            (b"\rA: b", HeadError::LineEnd),
            (b"A\r: b", HeadError::LineEnd),
            (b"no colon\r", HeadError::LineEnd),
        ] {
            let buf = [b"HTTP/1.1 200 OK\r\nFirst : 1\r\n", field, b"\r\n\r\n"].concat();
            assert_eq!(refused(&buf), expected, "{:?}", field.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_flood_of_empty_lines_is_refused() {
        assert!(parse(b"\r\n\r\n\r\n\r\n").unwrap().is_none());
        assert_eq!(parse(b"\r\n\r\n\r\n\r\n\r"), Err(HeadError::StatusLine));
    }

    #[test]
    fn a_head_beyond_the_limit_is_refused_without_waiting_for_its_end() {
        let buf = b"HTTP/1.1 200 OK\r\nA: bcdef\r\n\r\n";
        let limits = |bytes| HeadLimits { bytes, ..HeadLimits::default() };
        assert!(parse_response(buf, &limits(buf.len())).unwrap().is_some());
        assert_eq!(parse_response(buf, &limits(buf.len() - 1)), Err(HeadError::TooLarge));
        assert!(parse_response(&buf[..25], &limits(25)).unwrap().is_none());
        assert_eq!(parse_response(&buf[..26], &limits(25)), Err(HeadError::TooLarge));
        let mut scanner = HeadScanner::new();
        assert!(scanner.parse(&buf[..25], &limits(25)).unwrap().is_none());
        assert_eq!(scanner.parse(&buf[..26], &limits(25)), Err(HeadError::TooLarge));
        // The body that came along does not count.
        let long = [&buf[..], &[b'x'; 1000]].concat();
        assert!(parse_response(&long, &limits(buf.len())).unwrap().is_some());
    }

    #[test]
    fn more_fields_than_the_limit_are_refused() {
        let buf = |count: usize| [b"HTTP/1.1 200 OK\r\n", &b"A: b\r\n".repeat(count)[..], b"\r\n"].concat();
        let limits = |fields| HeadLimits { fields, ..HeadLimits::default() };
        assert_eq!(head(&buf(256)).headers.len(), 256);
        assert_eq!(refused(&buf(257)), HeadError::TooManyFields);
        assert_eq!(parse_response(&buf(257), &limits(1000)), Err(HeadError::TooManyFields));
        assert!(parse_response(&buf(3), &limits(3)).unwrap().is_some());
        assert_eq!(parse_response(&buf(4), &limits(3)), Err(HeadError::TooManyFields));
        assert!(parse_response(&buf(0), &limits(0)).unwrap().is_some());
    }

    #[test]
    fn a_head_that_trickles_in_is_read_in_linear_time() {
        let field = [b"A: ", &[b'b'; 1000][..], b"\r\n"].concat();
        let buf = [b"HTTP/1.1 200 OK\r\n", &field.repeat(200)[..], b"\r\n"].concat();
        assert_eq!(trickle(&buf).unwrap().unwrap().headers.len(), 200);
    }

    #[test]
    fn a_scanner_reads_one_head_after_another() {
        let buf = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        for first in 1..buf.len() {
            let mut scanner = HeadScanner::new();
            let (mut start, mut statuses) = (0, Vec::new());
            for end in [first, buf.len(), buf.len()] {
                if let Some((head, consumed)) =
                    scanner.parse(&buf[start..end], &HeadLimits::default()).unwrap()
                {
                    start += consumed;
                    statuses.push(head.status.as_u16());
                }
            }
            assert_eq!((start, &statuses[..]), (buf.len(), &[103, 200][..]), "{first}");
        }
    }
}
