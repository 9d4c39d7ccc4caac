//! Owns the Huffman code of HPACK (RFC 7541, 5.2 and appendix B), decoding only.
//!
//! The code is canonical: sorted by length and then by symbol, the codes count up. So the lengths are the
//! whole table.

use std::sync::OnceLock;

/// The code length of each byte, then of the end-of-string symbol.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const LONGEST: usize = 30;
const END_OF_STRING: u16 = 256;

/// For each length, the first code and where its symbols begin.
struct Codes {
    symbols: Vec<u16>,
    first: [(u32, usize); LONGEST + 2],
}

impl Codes {
    fn build() -> Self {
        let mut symbols: Vec<u16> = (0..=END_OF_STRING).collect();
        symbols.sort_by_key(|symbol| LENGTHS[usize::from(*symbol)]);
        let mut first = [(0, 0); LONGEST + 2];
        let (mut code, mut at) = (0_u32, 0);
        for (length, entry) in first.iter_mut().enumerate() {
            *entry = (code, at);
            let here = LENGTHS.iter().filter(|l| usize::from(**l) == length).count();
            at += here;
            code = (code + here as u32) << 1;
        }
        Self { symbols, first }
    }

    /// The symbol of a code of that length, if it is one.
    fn symbol(&self, code: u32, length: usize) -> Option<u16> {
        let (first, at) = self.first[length];
        let (_, next) = self.first[length + 1];
        let index = code.checked_sub(first)? as usize;
        (index < next - at).then(|| self.symbols[at + index])
    }
}

/// Decodes a Huffman-coded string literal.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    static CODES: OnceLock<Codes> = OnceLock::new();
    let codes = CODES.get_or_init(Codes::build);
    let mut out = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(symbol) = codes.symbol(code, length) {
            out.push(u8::try_from(symbol).map_err(|_| "end of string inside a string")?);
            (code, length) = (0, 0);
        } else if length == LONGEST {
            return Err("no such Huffman code");
        }
    }
    if length > 7 || code != (1 << length) - 1 {
        return Err("Huffman padding");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_the_rfc() {
        let examples: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
        ];
        for (coded, plain) in examples {
            assert_eq!(decode(coded).as_deref(), Ok(plain.as_bytes()));
        }
    }

    #[test]
    fn wrong_padding_and_end_of_string_are_errors() {
        assert!(decode(&[0x64]).is_err());
        assert!(decode(&[0xff]).is_err());
        assert!(decode(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
