//! Valid input, damaged. It knows no grammar but the bytes on which most of them turn.

/// xorshift64*: the same damage for the same seed.
pub(crate) struct Random(u64);

impl Random {
    /// Each grammar has a sequence of its own.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a
        let start = 0xcbf2_9ce4_8422_2325 ^ seed;
        let hash = name.bytes().fold(start, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(hash | 1)
    }

    /// One of the corpus, damaged in a few places.
    pub(crate) fn damaged(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below((bytes.len() - at).min(64) + 1);
            match self.below(9) {
                0 => bytes.insert(at, self.byte()),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.truncate(at),
                3 => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                4 => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    bytes.splice(at..end, other[from..].iter().copied());
                }
                5 => bytes.extend_from_slice(NUMBERS[self.below(NUMBERS.len())]),
                // Seldom very long: what takes time out of proportion shows.
                6 if self.below(512) == 0 => {
                    let copy = bytes[at..end].to_vec();
                    let copies = LONGEST / copy.len().max(1);
                    bytes.splice(at..at, copy.repeat(self.below(copies)));
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.byte();
                    }
                }
            }
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => self.below(256) as u8,
            _ => TURNS[self.below(TURNS.len())],
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

const TURNS: &[u8] = b"\r\n\r\n\0 \t:;,=\"\\/'%*+-.0159aAfFxHT\x7f\x80\x85\xa8\xc2\xe2\xff";
const NUMBERS: [&[u8]; 6] =
    [b"0", b"-1", b"2147483648", b"18446744073709551615", b"18446744073709551616", b"ffffffffffffffff"];
const LONGEST: usize = 1 << 16;
