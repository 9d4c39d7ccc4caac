//! Owns HPACK (RFC 7541): a full decoder with its dynamic table, and an encoder that indexes nothing, so that
//! the order in which replies are encoded does not matter.

use std::collections::VecDeque;

use super::huffman;

type Field = (Vec<u8>, Vec<u8>);

/// Appendix A; index 1 is the first.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
/// The table size both sides start with; this server does not announce another.
const TABLE_LIMIT: usize = 4096;
/// What an entry counts beyond its text.
const ENTRY_OVERHEAD: usize = 32;
/// The most a decoded field section may hold.
const SECTION_LIMIT: usize = 1 << 20;

/// Decodes the field sections of one connection, in order.
pub(super) struct Decoder {
    dynamic: VecDeque<Field>,
    size: usize,
    max: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { dynamic: VecDeque::new(), size: 0, max: TABLE_LIMIT }
    }

    /// Decodes one whole block.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>, &'static str> {
        let mut input = Input(block);
        let mut fields = Vec::new();
        let mut total = 0;
        while let Some(first) = input.peek() {
            let field = if first & 0x80 != 0 {
                let index = input.integer(7)?;
                self.entry(index)?
            } else if first & 0xc0 == 0x40 {
                let field = self.literal(&mut input, 6)?;
                self.insert(field.clone());
                field
            } else if first & 0xe0 == 0x20 {
                if !fields.is_empty() {
                    return Err("table size update after a field");
                }
                self.max = input.integer(5)?;
                if self.max > TABLE_LIMIT {
                    return Err("table size above the setting");
                }
                self.evict(self.max);
                continue;
            } else {
                self.literal(&mut input, 4)?
            };
            total += field.0.len() + field.1.len() + ENTRY_OVERHEAD;
            if total > SECTION_LIMIT {
                return Err("field section too large");
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn literal(&self, input: &mut Input<'_>, prefix: u8) -> Result<Field, &'static str> {
        let index = input.integer(prefix)?;
        let name = if index == 0 { input.string()? } else { self.entry(index)?.0 };
        Ok((name, input.string()?))
    }

    fn entry(&self, index: usize) -> Result<Field, &'static str> {
        let at = index.checked_sub(1).ok_or("index 0")?;
        match STATIC.get(at) {
            Some((name, value)) => Ok((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
            None => self.dynamic.get(at - STATIC.len()).cloned().ok_or("index beyond the tables"),
        }
    }

    fn insert(&mut self, field: Field) {
        let size = field.0.len() + field.1.len() + ENTRY_OVERHEAD;
        self.evict(self.max.saturating_sub(size));
        // An entry larger than the table empties it and is not an error.
        if size <= self.max {
            self.size += size;
            self.dynamic.push_front(field);
        }
    }

    fn evict(&mut self, limit: usize) {
        while self.size > limit {
            let Some((name, value)) = self.dynamic.pop_back() else { return };
            self.size -= name.len() + value.len() + ENTRY_OVERHEAD;
        }
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self.0.split_first().ok_or("block ends within a field")?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer with a prefix of that many bits (5.1).
    fn integer(&mut self, prefix: u8) -> Result<usize, &'static str> {
        let mask = (1_u8 << prefix) - 1;
        let first = self.byte()? & mask;
        let mut value = usize::from(first);
        if first < mask {
            return Ok(value);
        }
        // Four more bytes are more than any length a frame can carry needs.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("integer too large")
    }

    /// A string literal (5.2).
    fn string(&mut self) -> Result<Vec<u8>, &'static str> {
        let coded = self.peek().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or("string longer than the block")?;
        self.0 = rest;
        if coded { huffman::decode(text) } else { Ok(text.to_vec()) }
    }
}

/// Appends one field, never indexed in the dynamic table, not Huffman-coded.
pub(super) fn encode(out: &mut Vec<u8>, name: &str, value: &str) {
    let named = |(at, (n, _)): (usize, &(&str, &str))| (*n == name).then_some(at + 1);
    if let Some(at) = STATIC.iter().position(|(n, v)| *n == name && *v == value && !v.is_empty()) {
        return integer(out, 0x80, 7, at + 1);
    }
    match STATIC.iter().enumerate().find_map(named) {
        Some(index) => integer(out, 0, 4, index),
        None => {
            out.push(0);
            string(out, name);
        }
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u8, value: usize) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(fields: Result<Vec<Field>, &'static str>) -> Vec<String> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        fields.expect("a block").iter().map(|(n, v)| format!("{}: {}", text(n), text(v))).collect()
    }

    /// RFC 7541, C.4: three requests, with Huffman coding and a growing table.
    #[test]
    fn requests_of_the_rfc() {
        let mut decoder = Decoder::new();
        let first = [
            0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4,
            0xff,
        ];
        let start = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
        assert_eq!(texts(decoder.decode(&first)), start);
        let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        let fields = texts(decoder.decode(&second));
        assert_eq!(fields[..4], start);
        assert_eq!(fields[4], "cache-control: no-cache");
        assert_eq!(decoder.size, 110);
    }

    #[test]
    fn eviction_and_resizing() {
        let mut decoder = Decoder::new();
        let mut block = Vec::new();
        for i in 0..200 {
            block.push(0x40);
            string(&mut block, &format!("name-{i:03}"));
            string(&mut block, "value");
        }
        assert_eq!(decoder.decode(&block).map(|f| f.len()), Ok(200));
        assert_eq!(decoder.dynamic.len(), 4096 / (8 + 5 + 32));
        assert_eq!(texts(decoder.decode(&[0xbe])), ["name-199: value"]);
        assert_eq!(texts(decoder.decode(&[0x20])), [""; 0]);
        assert!(decoder.dynamic.is_empty());
        assert!(decoder.decode(&[0xbe]).is_err());
    }

    #[test]
    fn encoded_fields_decode() {
        let long = "v".repeat(70_000);
        let fields =
            [(":status", "200"), (":status", "207"), ("x-own", ""), ("etag", "\"a\""), ("x-long", &long)];
        let mut block = Vec::new();
        for (name, value) in fields {
            encode(&mut block, name, value);
        }
        assert_eq!(block[0], 0x88);
        let expected: Vec<String> = fields.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        assert_eq!(texts(Decoder::new().decode(&block)), expected);
    }

    #[test]
    fn malformed_blocks_are_errors() {
        for bad in [
            &[0x80][..],
            &[0x40],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x00, 0x05, b'a'],
            &[0x3f, 0xff, 0x7f],
            &[0x82, 0x20],
        ] {
            assert!(Decoder::new().decode(bad).is_err(), "{bad:?}");
        }
    }
}
