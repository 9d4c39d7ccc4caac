//! `GzipMember`: one member of a gzip body (RFC 1952 §2.3): the header, deflated data, and the trailer that it is checked
//! by. What precedes and follows a member is the decoder's business.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::ContentDecodeError;
use super::decoder::Step;

/// A member being read. It can be used for one after the other.
pub(super) struct GzipMember {
    part: Part,
    inflate: Decompress,
    sum: Hasher,
    /// Bytes of data, modulo 2^32.
    size: u32,
}

enum Part {
    Header(Header),
    Data,
    Trailer { bytes: [u8; 8], length: usize },
}

/// The header so far, byte by byte. Nothing in it is kept.
struct Header {
    at: Field,
    /// The flags of what is still to come.
    flags: u8,
    sum: Hasher,
}

#[derive(Clone, Copy)]
enum Field {
    Fixed(usize),
    ExtraLength(usize, u16),
    Extra(u16),
    /// The name or the comment, up to a NUL.
    Text,
    Sum(usize, u16),
}

impl GzipMember {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Header(Header::new()),
            inflate: Decompress::new(false),
            sum: Hasher::new(),
            size: 0,
        }
    }

    /// Another member follows.
    pub(super) fn restart(&mut self) {
        self.inflate.reset(false);
        (self.part, self.sum, self.size) = (Part::Header(Header::new()), Hasher::new(), 0);
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ContentDecodeError> {
        let mut step = Step { consumed: 0, written: 0, is_done: false };
        if let Part::Header(header) = &mut self.part {
            let mut is_read = false;
            while !is_read && let Some(&byte) = input.get(step.consumed) {
                is_read = header.push(byte)?;
                step.consumed += 1;
            }
            if !is_read {
                return Ok(step);
            }
            self.part = Part::Data;
        }
        if let Part::Data = self.part {
            let (read, wrote) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(&input[step.consumed..], output, FlushDecompress::None);
            let status = status.map_err(|error| malformed(&error.to_string()))?;
            step.consumed += (self.inflate.total_in() - read) as usize;
            step.written = (self.inflate.total_out() - wrote) as usize;
            self.sum.update(&output[..step.written]);
            self.size = self.size.wrapping_add(step.written as u32);
            if status != Status::StreamEnd {
                return Ok(step);
            }
            self.part = Part::Trailer { bytes: [0; 8], length: 0 };
        }
        if let Part::Trailer { bytes, length } = &mut self.part {
            let more = (bytes.len() - *length).min(input.len() - step.consumed);
            bytes[*length..*length + more].copy_from_slice(&input[step.consumed..step.consumed + more]);
            *length += more;
            step.consumed += more;
            step.is_done = *length == bytes.len();
            let expected = [self.sum.clone().finalize().to_le_bytes(), self.size.to_le_bytes()].concat();
            if step.is_done && bytes[..] != expected {
                return Err(malformed("the checksum or the length is another"));
            }
        }
        Ok(step)
    }
}

impl Header {
    fn new() -> Self {
        Self { at: Field::Fixed(0), flags: 0, sum: Hasher::new() }
    }

    /// The next byte; true if it is the last.
    fn push(&mut self, byte: u8) -> Result<bool, ContentDecodeError> {
        let sum_before = match self.at {
            Field::Sum(0, _) => self.sum.clone().finalize() as u16,
            _ => 0,
        };
        self.sum.update(&[byte]);
        self.at = match self.at {
            Field::Fixed(at) => {
                let is_valid = match at {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    // Deflate is the one method there is.
                    2 => byte == 8,
                    3 => byte & RESERVED == 0,
                    _ => true,
                };
                if !is_valid {
                    return Err(malformed("the header of gzip is wrong"));
                }
                if at == 3 {
                    self.flags = byte;
                }
                if at + 1 < FIXED {
                    Field::Fixed(at + 1)
                } else {
                    return Ok(self.next());
                }
            }
            Field::ExtraLength(0, _) => Field::ExtraLength(1, byte.into()),
            Field::ExtraLength(_, low) => match low | u16::from(byte) << 8 {
                0 => return Ok(self.next()),
                length => Field::Extra(length),
            },
            Field::Extra(1) => return Ok(self.next()),
            Field::Extra(left) => Field::Extra(left - 1),
            Field::Text if byte == 0 => return Ok(self.next()),
            Field::Text => Field::Text,
            // RFC 1952 §2.3.1.2: the lower half of the checksum of what was before.
            Field::Sum(0, _) => Field::Sum(1, sum_before ^ u16::from(byte)),
            Field::Sum(_, rest) if rest ^ u16::from(byte) << 8 == 0 => return Ok(true),
            Field::Sum(..) => return Err(malformed("the checksum of the header is another")),
        };
        Ok(false)
    }

    /// Goes to the next field that there is; true if there is none.
    fn next(&mut self) -> bool {
        let flag = [EXTRA, NAME, COMMENT, SUM].into_iter().find(|flag| self.flags & flag != 0);
        let Some(flag) = flag else { return true };
        self.flags &= !flag;
        self.at = match flag {
            EXTRA => Field::ExtraLength(0, 0),
            SUM => Field::Sum(0, 0),
            _ => Field::Text,
        };
        false
    }
}

fn malformed(detail: &str) -> ContentDecodeError {
    ContentDecodeError::Malformed(detail.into())
}

/// The bytes every header has.
const FIXED: usize = 10;
const SUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
