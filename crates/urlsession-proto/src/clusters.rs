//! A byte stream cut into extended grapheme clusters (Unicode UAX #29 §3), what a reader takes for one character.
//! Invalid UTF-8 is replaced. Holds what has not been drawn, of which the last cluster may still grow.

use std::fmt;

use unicode_segmentation::{GraphemeCursor, GraphemeIncomplete};

use crate::utf8::Utf8Decoder;

/// Cuts bytes into grapheme clusters as they arrive.
#[derive(Debug)]
pub struct ClusterSplitter {
    limit: usize,
    decoder: Utf8Decoder,
    held: String,
    /// Where the current cluster starts in `held`.
    start: usize,
    /// Where the last character of the current cluster starts, seen from `start`: whether the next one belongs to
    /// the same cluster is not known.
    scanned: usize,
    has_ended: bool,
    overflowed: bool,
}

/// A cluster is longer than the splitter may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterTooLong;

impl fmt::Display for ClusterTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a grapheme cluster is longer than the limit")
    }
}

impl std::error::Error for ClusterTooLong {}

impl ClusterSplitter {
    /// A splitter that gives up on a cluster of more than `limit` bytes of UTF-8.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            decoder: Utf8Decoder::new(),
            held: String::new(),
            start: 0,
            scanned: 0,
            has_ended: false,
            overflowed: false,
        }
    }

    /// Takes the next bytes of the stream. All clusters should be drawn before more is pushed; what is pushed is
    /// held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.overflowed {
            return;
        }
        // Moving at most as much as has been drawn keeps the whole linear.
        if self.start >= self.held.len() - self.start {
            self.held.drain(..self.start);
            self.start = 0;
        }
        self.decoder.push(bytes, &mut self.held);
    }

    /// The stream's last byte has been pushed: what is held is complete.
    pub fn end(&mut self) {
        self.has_ended = true;
        if !self.overflowed {
            self.decoder.finish(&mut self.held);
        }
    }

    /// The next cluster that no further byte can change, if there is one. Once a cluster was too long, so is
    /// everything after it.
    pub fn next_cluster(&mut self) -> Result<Option<&str>, ClusterTooLong> {
        if self.overflowed {
            return Err(ClusterTooLong);
        }
        // No rule looks behind the beginning of the cluster at hand, and none ahead of the character after it.
        let text = &self.held[self.start..];
        if text.is_empty() {
            return Ok(None);
        }
        let length = if self.has_ended { text.len() } else { usize::MAX };
        match GraphemeCursor::new(self.scanned, length, true).next_boundary(text, 0) {
            Ok(Some(end)) if end <= self.limit => {
                let cluster = self.start..self.start + end;
                self.start = cluster.end;
                self.scanned = 0;
                Ok(Some(&self.held[cluster]))
            }
            Err(GraphemeIncomplete::NextChunk) if text.len() <= self.limit => {
                self.scanned = text.char_indices().next_back().map_or(0, |(at, _)| at);
                Ok(None)
            }
            _ => Err(self.overflow()),
        }
    }

    fn overflow(&mut self) -> ClusterTooLong {
        self.overflowed = true;
        self.held = String::new();
        self.start = 0;
        self.scanned = 0;
        ClusterTooLong
    }
}

#[cfg(test)]
mod tests {
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;
    use crate::test_support::sequences;

    fn draw(splitter: &mut ClusterSplitter, clusters: &mut Vec<String>) {
        while let Some(cluster) = splitter.next_cluster().unwrap() {
            clusters.push(cluster.to_owned());
        }
    }

    fn clusters(pieces: &[&[u8]]) -> Vec<String> {
        let mut splitter = ClusterSplitter::new(4096);
        let mut clusters = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            draw(&mut splitter, &mut clusters);
        }
        splitter.end();
        draw(&mut splitter, &mut clusters);
        clusters
    }

    /// The clusters of the input, however it is cut: those of the text as a whole.
    fn any_cut(input: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(input).into_owned();
        let whole: Vec<_> = text.graphemes(true).map(str::to_owned).collect();
        for size in 1..=5 {
            let pieces: Vec<_> = input.chunks(size).collect();
            assert_eq!(clusters(&pieces), whole, "{text:?} by {size}");
        }
        for at in 0..=input.len() {
            assert_eq!(clusters(&[&input[..at], &input[at..]]), whole, "{text:?} at {at}");
        }
        whole
    }

    #[test]
    fn what_a_reader_takes_for_one_character_is_one() {
        for (text, expected) in [
            ("", &[][..]),
            ("ab", &["a", "b"]),
            ("a\r\nb\n\r", &["a", "\r\n", "b", "\n", "\r"]),
            ("e\u{301}\u{302}x", &["e\u{301}\u{302}", "x"]),
            ("\u{301}a", &["\u{301}", "a"]),
            ("🇳🇵🇺🇸🇬", &["🇳🇵", "🇺🇸", "🇬"]),
            ("👩\u{200d}🚀👍🏽!", &["👩\u{200d}🚀", "👍🏽", "!"]),
            ("한\u{1100}\u{1161}\u{11a8}", &["한", "\u{1100}\u{1161}\u{11a8}"]),
            ("नेपाल क्षि", &["ने", "पा", "ल", " ", "क्षि"]),
            ("\u{600}1\u{600}", &["\u{600}1", "\u{600}"]),
        ] {
            assert_eq!(any_cut(text.as_bytes()), expected);
        }
    }

    #[test]
    fn invalid_utf_8_is_replaced() {
        assert_eq!(any_cut(b"a\xff\xcc\x81\xe2\x82"), ["a", "\u{fffd}\u{301}", "\u{fffd}"]);
    }

    #[test]
    fn any_text_gives_the_same_clusters_however_cut() {
        let alphabet = [
            "a",
            "\r",
            "\n",
            "\u{301}",
            "\u{200d}",
            "🇳",
            "👩",
            "\u{1f3fd}",
            "\u{915}",
            "\u{94d}",
            "\u{93c}",
            "\u{937}",
            "\u{600}",
            "\u{1100}",
            "\u{1161}",
            "\u{11a8}",
            "\u{903}",
            "\u{0}",
            "\u{200c}",
            "©",
        ];
        for input in sequences(&alphabet, 3000, 9) {
            any_cut(input.concat().as_bytes());
        }
    }

    #[test]
    fn a_cluster_is_given_only_when_it_is_certain() {
        let mut splitter = ClusterSplitter::new(100);
        splitter.push(b"ae");
        assert_eq!(splitter.next_cluster(), Ok(Some("a")));
        assert_eq!(splitter.next_cluster(), Ok(None), "an accent may follow");
        splitter.push("\u{301}".as_bytes());
        assert_eq!(splitter.next_cluster(), Ok(None), "and another");
        splitter.push(b"\n");
        assert_eq!(splitter.next_cluster(), Ok(Some("e\u{301}")));
        splitter.end();
        assert_eq!(splitter.next_cluster(), Ok(Some("\n")));
        assert_eq!(splitter.next_cluster(), Ok(None));
    }

    #[test]
    fn a_cluster_longer_than_the_limit_is_an_error_that_stays() {
        let fits = format!("a{}b", "\u{301}".repeat(4));
        let exceeds = format!("a{}b", "\u{301}".repeat(5));
        for size in 1..=exceeds.len() {
            let run = |text: &str| {
                let mut splitter = ClusterSplitter::new(9);
                let mut drawn = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    splitter.push(piece);
                    while let Some(cluster) = splitter.next_cluster()? {
                        drawn.push(cluster.len());
                    }
                }
                splitter.end();
                while let Some(cluster) = splitter.next_cluster()? {
                    drawn.push(cluster.len());
                }
                Ok(drawn)
            };
            assert_eq!(run(&fits), Ok(vec![9, 1]));
            assert_eq!(run(&exceeds), Err(ClusterTooLong));
        }
        let mut splitter = ClusterSplitter::new(2);
        splitter.push("e\u{301}".as_bytes());
        assert_eq!(splitter.next_cluster(), Err(ClusterTooLong));
        splitter.push(b"abc");
        splitter.end();
        assert_eq!(splitter.next_cluster(), Err(ClusterTooLong));
    }

    #[test]
    fn a_long_cluster_in_small_pieces_takes_linear_time() {
        let mut splitter = ClusterSplitter::new(usize::MAX);
        splitter.push(b"a");
        for _ in 0..200_000 {
            splitter.push("\u{301}".as_bytes());
            assert_eq!(splitter.next_cluster(), Ok(None));
        }
        splitter.end();
        assert_eq!(splitter.next_cluster().unwrap().map(str::len), Some(400_001));
    }
}
