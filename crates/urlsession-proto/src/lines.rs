//! A byte stream cut into lines as Apple's `AsyncBytes.lines` cuts it: at LF, CR, CRLF, VT, FF, NEL, LS and PS
//! (Unicode §5.8), empty lines omitted, invalid UTF-8 replaced; or as server-sent events are: at LF, CR and CRLF, empty lines
//! kept. Holds one line, never the stream.

use std::fmt;

/// Cuts bytes into lines as they arrive.
#[derive(Debug)]
pub struct LineSplitter {
    limit: usize,
    /// Empty lines are lines, and only LF, CR and CRLF are ends.
    keeps_empty: bool,
    /// The last line ended with a CR, whose LF may still come.
    is_after_cr: bool,
    held: Vec<u8>,
    /// Where the current line starts in `held`.
    start: usize,
    /// Where in `held` no line end has been looked for yet.
    scanned: usize,
    has_ended: bool,
    overflowed: bool,
}

/// A line is longer than the splitter may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong;

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line is longer than the limit")
    }
}

impl std::error::Error for LineTooLong {}

impl LineSplitter {
    /// A splitter that gives up on a line of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            keeps_empty: false,
            is_after_cr: false,
            held: Vec::new(),
            start: 0,
            scanned: 0,
            has_ended: false,
            overflowed: false,
        }
    }

    /// The same, which keeps empty lines and cuts at LF, CR and CRLF only.
    pub fn with_empty(limit: usize) -> Self {
        Self { keeps_empty: true, ..Self::new(limit) }
    }

    /// Takes the next bytes of the stream. All lines should be drawn before more is pushed; what is pushed is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.overflowed {
            return;
        }
        // Moving at most as much as has been drawn keeps the whole linear.
        if self.start >= self.held.len() - self.start {
            self.held.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// The stream's last byte has been pushed: the rest is a line, though it has no end.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// The next complete line, if there is one. Once a line was too long, so is everything after it.
    pub fn next_line(&mut self) -> Result<Option<String>, LineTooLong> {
        if self.overflowed {
            return Err(LineTooLong);
        }
        while let Some((end, next)) = self.find_end() {
            let line = self.start..end;
            self.start = next;
            self.scanned = next;
            if line.len() > self.limit {
                return Err(self.overflow());
            }
            // A CRLF ends a line and an empty one, which is omitted: a CR need not wait for its LF.
            if !line.is_empty() || self.keeps_empty {
                return Ok(Some(text(&self.held[line])));
            }
        }
        if self.scanned - self.start > self.limit {
            return Err(self.overflow());
        }
        if !self.has_ended || self.start == self.held.len() {
            return Ok(None);
        }
        let rest = text(&self.held[self.start..]);
        self.start = self.held.len();
        self.scanned = self.start;
        Ok(Some(rest))
    }

    /// The next line end not looked at yet: where it begins, and what comes after it.
    fn find_end(&mut self) -> Option<(usize, usize)> {
        if self.keeps_empty {
            return self.find_cr_or_lf();
        }
        while let Some(offset) = self.held[self.scanned..].iter().position(|&b| may_end_line(b)) {
            let at = self.scanned + offset;
            // No byte of an end is a UTF-8 continuation of the one before it, so no decoding is needed here.
            let length = match &self.held[at..] {
                [0x0a..=0x0d, ..] => 1,
                [0xc2, 0x85, ..] => 2,
                [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
                // The rest of NEL, LS or PS may still come.
                [0xc2] | [0xe2] | [0xe2, 0x80] => {
                    self.scanned = at;
                    return None;
                }
                _ => {
                    self.scanned = at + 1;
                    continue;
                }
            };
            return Some((at, at + length));
        }
        self.scanned = self.held.len();
        None
    }

    fn find_cr_or_lf(&mut self) -> Option<(usize, usize)> {
        if self.is_after_cr && self.start < self.held.len() {
            self.is_after_cr = false;
            if self.held[self.start] == b'\n' {
                self.start += 1;
                self.scanned = self.start;
            }
        }
        let end = self.held[self.scanned..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let Some(end) = end.map(|offset| self.scanned + offset) else {
            self.scanned = self.held.len();
            return None;
        };
        self.is_after_cr = self.held[end] == b'\r';
        Some((end, end + 1))
    }

    fn overflow(&mut self) -> LineTooLong {
        self.overflowed = true;
        self.held = Vec::new();
        self.start = 0;
        self.scanned = 0;
        LineTooLong
    }
}

#[inline]
fn may_end_line(byte: u8) -> bool {
    matches!(byte, 0x0a..=0x0d | 0xc2 | 0xe2)
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::sequences;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        cut(LineSplitter::new(1 << 20), pieces)
    }

    fn cut(mut splitter: LineSplitter, pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            while let Some(line) = splitter.next_line().unwrap() {
                lines.push(line);
            }
        }
        splitter.end();
        lines.extend(splitter.next_line().unwrap());
        assert_eq!(splitter.next_line(), Ok(None));
        lines
    }

    /// The lines of the input, however it is cut.
    fn any_cut(input: &[u8]) -> Vec<String> {
        let whole = lines(&[input]);
        for size in 1..=4 {
            let pieces: Vec<_> = input.chunks(size).collect();
            assert_eq!(lines(&pieces), whole, "{:?}", input.escape_ascii().to_string());
        }
        for at in 0..=input.len() {
            assert_eq!(lines(&[&input[..at], &input[at..]]), whole);
        }
        whole
    }

    #[test]
    fn every_unicode_line_end_ends_a_line() {
        for end in ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            assert_eq!(any_cut(format!("a{end}b{end}").as_bytes()), ["a", "b"], "{end:?}");
            assert_eq!(any_cut(format!("{end}{end}a{end}{end}b").as_bytes()), ["a", "b"], "{end:?}");
        }
    }

    #[test]
    fn empty_lines_are_kept_where_they_mean_something_however_the_bytes_are_cut() {
        let kept = |pieces: &[&[u8]]| cut(LineSplitter::with_empty(1 << 20), pieces);
        for (input, expected) in [
            ("data: a\n\ndata: b\n\n", &["data: a", "", "data: b", ""][..]),
            ("a\r\n\r\nb\r\n", &["a", "", "b"]),
            ("a\r\rb\r", &["a", "", "b"]),
            ("\r\n\n\r", &["", "", ""]),
            ("a\n\rb", &["a", "", "b"]),
            ("x\u{2028}y\u{85}\u{b}z", &["x\u{2028}y\u{85}\u{b}z"]),
            ("", &[]),
            ("a\r\n", &["a"]),
        ] {
            let input = input.as_bytes();
            for at in 0..=input.len() {
                assert_eq!(
                    kept(&[&input[..at], &input[at..]]),
                    expected,
                    "{:?}",
                    input.escape_ascii().to_string()
                );
            }
            let single: Vec<_> = input.chunks(1).collect();
            assert_eq!(kept(&single), expected);
        }
        let mut splitter = LineSplitter::with_empty(4);
        splitter.push(b"a\r");
        assert_eq!(splitter.next_line(), Ok(Some("a".to_owned())), "a CR does not wait for its LF");
        splitter.push(b"\nabcde");
        assert_eq!(splitter.next_line(), Err(LineTooLong));
    }

    #[test]
    fn characters_that_begin_like_a_line_end_are_text() {
        for text in ["é©\u{80}\u{86}", "‧ \u{202a}€", "Â\u{84}", "\u{e2}\u{a8}", "\t\u{e}\u{1f}\0"] {
            assert_eq!(any_cut(text.as_bytes()), [text]);
            assert_eq!(any_cut(format!("{text}\n{text}").as_bytes()), [text, text]);
        }
    }

    #[test]
    fn nothing_and_empty_lines_are_no_lines() {
        for input in [&b""[..], b"\n", b"\r\n\r\n", b"\n\r\x0b\xc2\x85"] {
            assert!(any_cut(input).is_empty());
        }
    }

    #[test]
    fn invalid_utf_8_is_replaced() {
        for (input, expected) in [
            (&b"a\xffb\nc"[..], &["a\u{fffd}b", "c"][..]),
            (b"\xc2", &["\u{fffd}"]),
            (b"\xe2\x80", &["\u{fffd}"]),
            (b"\xc2\n\xe2\x80\n", &["\u{fffd}", "\u{fffd}"]),
            (b"\xe2\xc2\x85a", &["\u{fffd}", "a"]),
            (b"\xc2\xe2\x80\xa8a", &["\u{fffd}", "a"]),
            (b"\xe2\x80\xe2\x80\xa9a", &["\u{fffd}", "a"]),
        ] {
            assert_eq!(any_cut(input), expected, "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn any_bytes_give_the_same_lines_however_cut() {
        let alphabet = [b'a', b'\n', b'\r', 0x0b, 0x80, 0x85, 0xa8, 0xa9, 0xc2, 0xe2];
        for input in sequences(&alphabet, 500, 12) {
            any_cut(&input);
        }
    }

    #[test]
    fn a_line_longer_than_the_limit_is_an_error_that_stays() {
        let mut splitter = LineSplitter::new(4);
        splitter.push(b"abcd\nefgh");
        assert_eq!(splitter.next_line(), Ok(Some("abcd".to_owned())));
        assert_eq!(splitter.next_line(), Ok(None));
        splitter.push(b"i");
        assert_eq!(splitter.next_line(), Err(LineTooLong));
        splitter.push(b"\nx\n");
        assert_eq!(splitter.next_line(), Err(LineTooLong));
        splitter.end();
        assert_eq!(splitter.next_line(), Err(LineTooLong));

        let mut splitter = LineSplitter::new(4);
        splitter.push(b"abcde\n");
        assert_eq!(splitter.next_line(), Err(LineTooLong));
    }

    #[test]
    fn lines_not_drawn_before_the_end_are_drawn_at_the_end() {
        let mut splitter = LineSplitter::new(100);
        splitter.push(b"a\nb\nc");
        splitter.end();
        let lines: Vec<_> = std::iter::from_fn(|| splitter.next_line().unwrap()).collect();
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_long_line_in_small_pieces_takes_linear_time() {
        let mut splitter = LineSplitter::new(usize::MAX);
        for _ in 0..200_000 {
            splitter.push(b"abcdefgh");
            assert_eq!(splitter.next_line(), Ok(None));
        }
        splitter.push(b"\n");
        assert_eq!(splitter.next_line().unwrap().map(|line| line.len()), Some(1_600_000));
    }
}
