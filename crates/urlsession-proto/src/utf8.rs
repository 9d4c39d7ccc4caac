//! UTF-8 as it arrives: bytes become text at once, but for a sequence that may still be completed. What is not
//! UTF-8 is replaced as [`String::from_utf8_lossy`] replaces it. Holds at most three bytes.

/// Turns bytes into text, however they are cut.
#[derive(Debug, Default)]
pub struct Utf8Decoder {
    /// The beginning of a sequence whose rest has not come yet.
    begun: [u8; 4],
    length: usize,
}

impl Utf8Decoder {
    /// A decoder before its first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `text` what the next bytes of the stream say.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        let mut rest = bytes;
        while self.length > 0 {
            let Some((&byte, after)) = rest.split_first() else { return };
            self.begun[self.length] = byte;
            match std::str::from_utf8(&self.begun[..=self.length]) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.length = 0;
                    rest = after;
                }
                // At most three bytes are the beginning of a sequence: the next one has its place.
                Err(error) if error.error_len().is_none() => {
                    self.length += 1;
                    rest = after;
                }
                // The byte does not continue the sequence; what it begins itself is seen below.
                Err(_) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.length = 0;
                }
            }
        }
        let mut ahead = rest.len();
        for chunk in rest.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            ahead -= chunk.valid().len() + invalid.len();
            // What is followed by something is known not to be completed by it.
            if ahead == 0 && is_beginning(invalid) {
                self.begun[..invalid.len()].copy_from_slice(invalid);
                self.length = invalid.len();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// After the stream's last byte: a sequence that was not completed is replaced.
    pub fn finish(&mut self, text: &mut String) {
        if std::mem::take(&mut self.length) > 0 {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Whether this is the beginning of a sequence, with its rest to come.
fn is_beginning(invalid: &[u8]) -> bool {
    std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::sequences;

    fn decode(pieces: &[&[u8]]) -> String {
        let mut decoder = Utf8Decoder::new();
        let mut text = String::new();
        for piece in pieces {
            decoder.push(piece, &mut text);
        }
        decoder.finish(&mut text);
        decoder.finish(&mut text);
        text
    }

    /// The text is that of the standard library, however the input is cut.
    fn any_cut(input: &[u8]) {
        let expected = String::from_utf8_lossy(input);
        for size in 1..=4 {
            let pieces: Vec<_> = input.chunks(size).collect();
            assert_eq!(decode(&pieces), expected, "{:?} by {size}", input.escape_ascii().to_string());
        }
        for a in 0..=input.len() {
            for b in a..=input.len() {
                let pieces = [&input[..a], &input[a..b], &input[b..]];
                assert_eq!(decode(&pieces), expected, "{:?} at {a}, {b}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn text_comes_out_whole_however_it_is_cut() {
        for text in [
            "",
            "plain",
            "héllo wörld",
            "日本語",
            "🇳🇵 नेपाल 👩‍🚀",
            "\0\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
        ] {
            any_cut(text.as_bytes());
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced_as_the_standard_library_does() {
        for input in [
            &b"a\xffb"[..],
            b"\x80\xbf",
            b"\xc2",
            b"\xc0\x80",
            b"\xe2\x82",
            b"\xe2\x82a",
            b"\xe2\xe2\x82\xac",
            b"\xe0\x9f\x80",
            b"\xed\xa0\x80",
            b"\xf0\x9f\x98",
            b"\xf0\x9f\x98\xf0\x9f\x98\x80",
            b"\xf0\x80\x80\x80",
            b"\xf4\x90\x80\x80",
            b"\xf5\xf8\xfc\xfe",
            b"\xf1\xf1\x80\xf1\x80\x80\xc2",
        ] {
            any_cut(input);
        }
    }

    #[test]
    fn any_bytes_give_the_same_text_however_cut() {
        let alphabet = [b'a', 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff];
        for input in sequences(&alphabet, 2000, 8) {
            any_cut(&input);
        }
    }

    #[test]
    fn what_is_certain_is_given_at_once() {
        let mut decoder = Utf8Decoder::new();
        for (bytes, expected) in
            [(&b"ab\xe2"[..], "ab"), (b"\x82", ""), (b"\xacc\xf0\x9f", "€c"), (b"d", "\u{fffd}d")]
        {
            let mut text = String::new();
            decoder.push(bytes, &mut text);
            assert_eq!(text, expected);
        }
    }
}
