//! A multipart body cut into its parts (RFC 2046 §5.1) as it arrives: heads, and data between them. Holds one head, or
//! as much data as may still be a delimiter. Does not decode parts and knows no particular subtype.
//!
//! Lenient where servers in the field are (bare LF, a last part without a closing delimiter, a head that ends at a
//! delimiter), strict with heads.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::field::unfold;
use crate::http1::{HeadError, HeadLimits, parse_fields};

/// Cuts bytes into parts as they arrive.
#[derive(Debug)]
pub struct MultipartSplitter {
    /// Two hyphens and the boundary.
    delimiter: Vec<u8>,
    held: BytesMut,
    state: State,
    has_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter: what stands there is for nobody.
    Preamble {
        at_line_start: bool,
    },
    /// In the head of a part.
    Head {
        line: usize,
        scanned: usize,
    },
    /// In the data of a part.
    Data {
        at_line_start: bool,
    },
    /// After the last delimiter: what stands there is for nobody.
    Epilogue,
    Failed(MultipartError),
}

/// A piece of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A part begins; its data follows.
    Head(PartHead),
    /// Data of the part begun last, never empty.
    Data(Bytes),
}

/// The head of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The fields.
    pub fields: HeaderMap,
    /// The field lines as they came, without the blank line, folds within values replaced by spaces.
    pub raw: Bytes,
}

/// Why bytes are not a multipart body we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipartError {
    /// The boundary is empty, longer than 70 characters, ends in a space, or has other than visible ASCII in it.
    Boundary,
    /// The head of a part is longer than 64 KiB, has more than 64 fields, or a malformed one.
    Head(HeadError),
    /// The body ended in the head of a part.
    Truncated,
    /// The body ended without a part.
    NoPart,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boundary => f.write_str("the boundary of the parts is malformed"),
            Self::Head(error) => write!(f, "the head of a part is malformed: {error}"),
            Self::Truncated => f.write_str("the body ends in the head of a part"),
            Self::NoPart => f.write_str("the body has no part"),
        }
    }
}

impl std::error::Error for MultipartError {}

/// What a line that begins with a hyphen is.
enum Line {
    Other,
    /// A delimiter, unless something else comes after it.
    Undecided,
    /// A delimiter so many bytes long, with its line end.
    Delimiter(usize),
    /// The delimiter after the last part.
    Close,
}

impl MultipartSplitter {
    /// A splitter for the `boundary` parameter of a media type, unquoted.
    pub fn new(boundary: &str) -> Result<Self, MultipartError> {
        let is_valid = (1..=LONGEST_BOUNDARY).contains(&boundary.len())
            && boundary.bytes().all(|b| matches!(b, b' '..=b'~'))
            && !boundary.ends_with(' ');
        if !is_valid {
            return Err(MultipartError::Boundary);
        }
        Ok(Self {
            delimiter: [b"--", boundary.as_bytes()].concat(),
            held: BytesMut::new(),
            state: State::Preamble { at_line_start: true },
            has_begun: false,
        })
    }

    /// Takes the next bytes of the body. All pieces should be drawn before more is pushed; what is pushed is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Epilogue | State::Failed(_)) {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The next piece, if it is here. After an error there is nothing but that error.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, MultipartError> {
        loop {
            match self.state {
                State::Preamble { at_line_start } => {
                    let before = self.held.len();
                    let is_found = self.take_data(at_line_start).1;
                    if !is_found {
                        let at_line_start = at_line_start && self.held.len() == before;
                        self.state = State::Preamble { at_line_start };
                        return Ok(None);
                    }
                }
                State::Data { at_line_start } => {
                    let (data, is_found) = self.take_data(at_line_start);
                    if !is_found {
                        self.state = State::Data { at_line_start: at_line_start && data.is_empty() };
                    }
                    if !data.is_empty() {
                        return Ok(Some(Piece::Data(data)));
                    }
                    if !is_found {
                        return Ok(None);
                    }
                }
                State::Head { line, scanned } => {
                    return match self.take_head(line, scanned) {
                        Ok(head) => Ok(head.map(Piece::Head)),
                        Err(error) => Err(self.fail(error)),
                    };
                }
                State::Epilogue => return Ok(None),
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// After the body's last byte, with every piece drawn: data that could have been the beginning of a delimiter.
    pub fn finish(&mut self) -> Result<Option<Bytes>, MultipartError> {
        match std::mem::replace(&mut self.state, State::Epilogue) {
            State::Data { at_line_start } => {
                let rest = std::mem::take(&mut self.held).freeze();
                let line = match &rest[..] {
                    [b'\r', b'\n', line @ ..] | [b'\n', line @ ..] => line,
                    line if at_line_start => line,
                    _ => b"",
                };
                let is_delimiter = line.starts_with(&self.delimiter);
                Ok(Some(rest).filter(|rest| !rest.is_empty() && !is_delimiter))
            }
            State::Head { .. } => Err(self.fail(MultipartError::Truncated)),
            State::Preamble { .. } => Err(self.fail(MultipartError::NoPart)),
            State::Epilogue if !self.has_begun => Err(self.fail(MultipartError::NoPart)),
            State::Epilogue => Ok(None),
            State::Failed(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: MultipartError) -> MultipartError {
        self.held = BytesMut::new();
        self.state = State::Failed(error);
        error
    }

    /// What stands before the next delimiter, as far as it is here; if the delimiter is here too, it is taken, and
    /// the state is that after it.
    fn take_data(&mut self, at_line_start: bool) -> (Bytes, bool) {
        let mut from = 0;
        let mut line_start = at_line_start;
        loop {
            if line_start {
                // RFC 2046 §5.1.1: the line break before a delimiter belongs to it.
                let end = match &self.held[..from] {
                    [.., b'\r', b'\n'] => from - 2,
                    [.., b'\n'] => from - 1,
                    _ => from,
                };
                let after = match self.line(from) {
                    Line::Other => None,
                    Line::Undecided => return (self.held.split_to(end).freeze(), false),
                    Line::Delimiter(length) => Some((State::Head { line: 0, scanned: 0 }, from + length)),
                    Line::Close => Some((State::Epilogue, self.held.len())),
                };
                if let Some((state, after)) = after {
                    let data = self.held.split_to(end).freeze();
                    let _ = self.held.split_to(after - end);
                    self.state = state;
                    return (data, true);
                }
            }
            match self.held[from..].iter().position(|&b| b == b'\n') {
                Some(at) => from += at + 1,
                None => {
                    // A CR may be the beginning of a line break before a delimiter.
                    let end = self.held.len() - usize::from(self.held.ends_with(b"\r"));
                    return (self.held.split_to(end).freeze(), false);
                }
            }
            line_start = true;
        }
    }

    /// The head, once it is complete. It ends at a blank line, which is taken, or at a delimiter, which is left.
    fn take_head(&mut self, mut line: usize, mut scanned: usize) -> Result<Option<PartHead>, MultipartError> {
        loop {
            if matches!(self.line(line), Line::Delimiter(_) | Line::Close) {
                return self.split_head(line, line).map(Some);
            }
            let Some(at) = self.held[scanned..].iter().position(|&b| b == b'\n') else {
                self.state = State::Head { line, scanned: self.held.len() };
                // What follows the longest head may be a delimiter whose line end has not come yet.
                let is_too_large = self.held.len() > LIMITS.bytes + self.delimiter.len() + MOST_PADDING + 2;
                return if is_too_large { Err(MultipartError::Head(HeadError::TooLarge)) } else { Ok(None) };
            };
            let next = scanned + at + 1;
            if matches!(&self.held[line..next], b"\n" | b"\r\n") {
                return self.split_head(line, next).map(Some);
            }
            (line, scanned) = (next, next);
        }
    }

    fn split_head(&mut self, end: usize, after: usize) -> Result<PartHead, MultipartError> {
        if after > LIMITS.bytes {
            return Err(MultipartError::Head(HeadError::TooLarge));
        }
        let head = self.held.split_to(after);
        let mut lines = unfold(&head[..end]).into_owned();
        let length = lines.len();
        lines.extend_from_slice(b"\r\n");
        let (fields, raw) = parse_fields(&lines, &LIMITS).map_err(MultipartError::Head)?;
        self.state = State::Data { at_line_start: true };
        self.has_begun = true;
        Ok(PartHead { fields, raw: raw.slice(..length) })
    }

    /// What the line is that begins at `start`.
    fn line(&self, start: usize) -> Line {
        let line = &self.held[start..];
        let Some(rest) = line.strip_prefix(&self.delimiter[..]) else {
            let is_beginning = self.delimiter.starts_with(line);
            return if is_beginning { Line::Undecided } else { Line::Other };
        };
        let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        match &rest[padding..] {
            [b'-', b'-', ..] if padding == 0 => Line::Close,
            [b'-'] if padding == 0 => Line::Undecided,
            _ if padding > MOST_PADDING => Line::Other,
            [] | [b'\r'] => Line::Undecided,
            [b'\r', b'\n', ..] => Line::Delimiter(self.delimiter.len() + padding + 2),
            [b'\n', ..] => Line::Delimiter(self.delimiter.len() + padding + 1),
            _ => Line::Other,
        }
    }
}

/// RFC 2046 §5.1.1
const LONGEST_BOUNDARY: usize = 70;
/// White space after a delimiter; a line with more of it is none.
const MOST_PADDING: usize = 256;
const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 64 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::raw_fields;
    use crate::test_support::sequences;

    /// The parts of a body: names and values of the head, and data.
    type Parts = Result<Vec<(Fields, String)>, MultipartError>;
    type Fields = Vec<(String, String)>;

    fn split(boundary: &str, pieces: &[&[u8]]) -> Parts {
        fn draw(
            splitter: &mut MultipartSplitter,
            parts: &mut Vec<(Fields, Vec<u8>)>,
        ) -> Result<(), MultipartError> {
            while let Some(piece) = splitter.next_piece()? {
                match piece {
                    Piece::Head(head) => {
                        let raw = [b"\r\n", &head.raw[..]].concat();
                        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                        let fields: Vec<_> =
                            raw_fields(&raw).map(|(name, value)| (name.to_owned(), text(value))).collect();
                        assert_eq!(fields.len(), head.fields.len());
                        parts.push((fields, Vec::new()));
                    }
                    Piece::Data(data) => {
                        assert!(!data.is_empty());
                        parts.last_mut().unwrap().1.extend_from_slice(&data);
                    }
                }
            }
            Ok(())
        }
        let mut splitter = MultipartSplitter::new(boundary)?;
        let mut parts = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            draw(&mut splitter, &mut parts)?;
        }
        if let Some(rest) = splitter.finish()? {
            parts.last_mut().unwrap().1.extend_from_slice(&rest);
        }
        assert_eq!(splitter.finish(), Ok(None));
        Ok(parts
            .into_iter()
            .map(|(head, data)| (head, String::from_utf8_lossy(&data).into_owned()))
            .collect())
    }

    /// The parts of the input, however it is cut.
    fn any_cut(boundary: &str, input: &[u8]) -> Parts {
        let whole = split(boundary, &[input]);
        for size in 1..=4 {
            let pieces: Vec<_> = input.chunks(size).collect();
            assert_eq!(split(boundary, &pieces), whole, "{:?} by {size}", input.escape_ascii().to_string());
        }
        for at in 0..=input.len() {
            let pieces = [&input[..at], &input[at..]];
            assert_eq!(split(boundary, &pieces), whole, "{:?} at {at}", input.escape_ascii().to_string());
        }
        whole
    }

    /// Only the data of the parts.
    fn data(input: &[u8]) -> Vec<String> {
        any_cut("b", input).unwrap().into_iter().map(|(_, data)| data).collect()
    }

    fn error(input: &[u8]) -> MultipartError {
        any_cut("b", input).expect_err(&input.escape_ascii().to_string())
    }

    #[test]
    fn parts_have_heads_and_data() {
        let body = b"for nobody\r\n--a b\r\nContent-Type: text/plain\r\nX-A:1\r\n\r\none\r\n\r\n--a b\r\n\r\ntwo\r\n--a b--\r\nno";
        let owned = |fields: &[(&str, &str)]| {
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        let first = (owned(&[("Content-Type", "text/plain"), ("X-A", "1")]), "one\r\n".to_owned());
        assert_eq!(any_cut("a b", body), Ok(vec![first, (Vec::new(), "two".to_owned())]));
    }

    #[test]
    fn the_line_break_before_a_delimiter_is_the_delimiters() {
        for (body, expected) in [
            (&b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--"[..], &["one", "two"][..]),
            (b"--b\n\none\n--b\n\ntwo\n--b--\n", &["one", "two"]),
            (b"--b\r\n\r\none\n\r\n--b\r\n\r\ntwo\r\r\n--b--", &["one\n", "two\r"]),
            (b"--b\r\n\r\n\r\n--b\r\n\r\n\r\n\r\n--b--", &["", "\r\n"]),
            (b"--b\r\n\r\n--b\r\n\r\n--b--", &["", ""]),
            (b"--b \t \r\n\r\none\r\n--b\t\r\n\r\ntwo\r\n--b--epilogue\r\n--b\r\n\r\n", &["one", "two"]),
        ] {
            assert_eq!(data(body), expected, "{:?}", body.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_only_begins_like_a_delimiter_is_data() {
        for text in [
            "-",
            "--",
            "--bb",
            "--b b",
            "--b-",
            "--b -",
            "--b\r",
            "--b \rx",
            "a--b",
            "a--b--",
            "--B",
            "--b\r\r",
            "x\r\n-\r\n--\r\n--x",
            "\r--b",
            "\r\r\n\n\r",
        ] {
            let body = format!("--b\r\n\r\n{text}x\r\n{text}x\r\n--b--");
            assert_eq!(data(body.as_bytes()), [format!("{text}x\r\n{text}x")]);
        }
        let wide = " ".repeat(MOST_PADDING + 1);
        let body = format!("--b\r\n\r\n\n--b{wide}\r\nx\n--b--");
        assert_eq!(data(body.as_bytes()), [format!("\n--b{wide}\r\nx")]);
    }

    #[test]
    fn a_head_may_end_at_a_delimiter() {
        let body = b"--b\r\n--b\r\nX: 1\r\n--b\r\n\r\none\r\n--b\r\nX: 2\r\n--b--";
        let parts = any_cut("b", body).unwrap();
        let heads: Vec<_> = parts.iter().map(|(fields, data)| (fields.len(), &data[..])).collect();
        assert_eq!(heads, [(0, ""), (1, ""), (0, "one"), (1, "")]);
    }

    #[test]
    fn folded_fields_are_unfolded() {
        let parts = any_cut("b", b"--b\r\nX: 1\r\n  2\n\t3\r\n\r\n--b--").unwrap();
        assert_eq!(parts[0].0[0].1.split_whitespace().collect::<Vec<_>>(), ["1", "2", "3"]);
    }

    #[test]
    fn the_last_part_may_end_with_the_body() {
        for (body, expected) in [
            (&b"--b\r\n\r\n"[..], ""),
            (b"--b\r\n\r\none", "one"),
            (b"--b\r\n\r\none\r", "one\r"),
            (b"--b\r\n\r\none\r\n", "one\r\n"),
            (b"--b\r\n\r\none\r\n--", "one\r\n--"),
            (b"--b\r\n\r\none\r\n--b", "one"),
            (b"--b\r\n\r\none\r\n--b-", "one"),
            (b"--b\r\n\r\none\n--b \r", "one"),
            (b"--b\r\n\r\n--b", ""),
        ] {
            assert_eq!(data(body), [expected], "{:?}", body.escape_ascii().to_string());
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (body, expected) in [
            (&b""[..], MultipartError::NoPart),
            (b"nothing", MultipartError::NoPart),
            (b"--c\r\n\r\none\r\n--c--", MultipartError::NoPart),
            (b"--b--", MultipartError::NoPart),
            (b"--b\r\n", MultipartError::Truncated),
            (b"--b\r\nX: 1\r\n", MultipartError::Truncated),
            (b"--b\r\nX\0: 1\r\n\r\n", MultipartError::Head(HeadError::HeaderName)),
            (b"--b\r\nX: 1\0\r\n\r\n", MultipartError::Head(HeadError::HeaderValue)),
            (b"--b\r\nContent-Length : 1\r\n\r\n", MultipartError::Head(HeadError::FramingField)),
        ] {
            assert_eq!(error(body), expected, "{:?}", body.escape_ascii().to_string());
        }
        for boundary in ["", "b ", "b\r", "b\u{e9}", "b\0", &"b".repeat(71)] {
            assert_eq!(
                MultipartSplitter::new(boundary).err(),
                Some(MultipartError::Boundary),
                "{boundary:?}"
            );
        }
        MultipartSplitter::new(&"b".repeat(70)).unwrap();
        MultipartSplitter::new("gc0p4Jq0M:2Yt08j34c0p'()+_,-./:=? x").unwrap();
    }

    #[test]
    fn malformed_lines_of_a_head_are_repaired_or_left_out() {
        let body = b"--b\r\n X: 0\r\nX 1\r\n: 2\r\nA : 3\r\nB: 4\x7f\r\n\r\none\r\n--b--";
        let fields = vec![("A".to_owned(), "3".to_owned()), ("B".to_owned(), "4".to_owned())];
        assert_eq!(any_cut("b", body), Ok(vec![(fields, "one".to_owned())]));
    }

    #[test]
    fn heads_have_limits() {
        let fields = |count: usize| format!("--b\r\n{}\r\n--b--", "X: 1\r\n".repeat(count));
        assert_eq!(any_cut("b", fields(64).as_bytes()).unwrap()[0].0.len(), 64);
        assert_eq!(error(fields(65).as_bytes()), MultipartError::Head(HeadError::TooManyFields));
        let long = |length: usize| format!("--b\r\nX: {}\r\n\r\n--b--", "x".repeat(length));
        for (length, is_right) in [(LIMITS.bytes - 7, true), (LIMITS.bytes - 6, false)] {
            for size in [1000, 1 << 20] {
                let body = long(length);
                let parts = split("b", &body.as_bytes().chunks(size).collect::<Vec<_>>());
                assert_eq!(parts.is_ok(), is_right, "{length}");
            }
        }
        // A head without end is refused before it ends.
        let mut splitter = MultipartSplitter::new("b").unwrap();
        splitter.push(b"--b\r\n");
        let found = (0..100).find_map(|_| {
            splitter.push(&[b'x'; 1024]);
            splitter.next_piece().err()
        });
        assert_eq!(found, Some(MultipartError::Head(HeadError::TooLarge)));
        assert_eq!(splitter.next_piece(), Err(MultipartError::Head(HeadError::TooLarge)));
        assert_eq!(splitter.finish(), Err(MultipartError::Head(HeadError::TooLarge)));
    }

    #[test]
    fn any_bytes_give_the_same_parts_however_cut() {
        let alphabet = [
            &b"\r"[..],
            b"\n",
            b"\r\n",
            b"-",
            b"--b",
            b"\n--b\n",
            b" ",
            b"x",
            b"X: 1\r\n",
            b"--b--",
            b"\r\n\r\n",
        ];
        for input in sequences(&alphabet, 3000, 10) {
            let _ = any_cut("b", &[b"--b\r\n", &*input.concat()].concat());
        }
    }

    #[test]
    fn data_is_given_at_once_and_in_linear_time() {
        let mut splitter = MultipartSplitter::new("b").unwrap();
        splitter.push(b"--b\r\n\r\n");
        assert!(matches!(splitter.next_piece(), Ok(Some(Piece::Head(_)))));
        let mut total = 0;
        for _ in 0..200_000 {
            splitter.push(b"\r\n--b-x\n");
            while let Some(Piece::Data(data)) = splitter.next_piece().unwrap() {
                total += data.len();
            }
        }
        assert_eq!(total + splitter.finish().unwrap().map_or(0, |rest| rest.len()), 1_600_000);
        // Padding that never ends is looked at again and again, but only so far.
        let mut splitter = MultipartSplitter::new("b").unwrap();
        splitter.push(b"--b\r\n\r\n--b");
        for _ in 0..100_000 {
            splitter.push(b" ");
            splitter.next_piece().unwrap();
        }
        assert!(splitter.held.len() <= MOST_PADDING + 10);
    }
}
