//! `ContentDecoder`: undoes one content coding. Coded bytes go in, split anywhere; decoded bytes of bounded size come out,
//! whatever the ratio.
//!
//! A body may consist of several members (gzip, RFC 1952 §2.2) or frames (zstd, RFC 8878 §3.1), each of which decodes by
//! itself. What follows the last one is an error, because it may be what is left of another member. Exceptions: zero
//! bytes after gzip, which is what gzip itself pads with, and at most four bytes after raw deflate, where servers that
//! leave out the zlib header send its checksum all the same (curl accepts the same four bytes).

use std::error::Error;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::gzip::GzipMember;
use super::{ContentCoding, brotli, zstd};

/// Undoes one coding of a body. It does no IO and holds no more than the window of its coding: 32 KiB for gzip and
/// deflate, 16 MiB for brotli, 8 MiB for zstd (RFC 9659).
pub struct ContentDecoder {
    coding: ContentCoding,
    state: State,
    /// Kept from one frame to the next.
    codec: Option<Codec>,
    head: MemberHead,
    has_begun: bool,
    has_more: bool,
}

/// How far a call of [`ContentDecoder::decode`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// Bytes at the beginning of the output that are decoded.
    pub written: usize,
}

/// Why a coded body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentDecodeError {
    /// The bytes are not of this coding, or damaged.
    Malformed(String),
    /// The body ends within a member.
    Truncated,
    /// Something follows the last member that is not another one.
    TrailingData,
    /// A zstd frame needs a larger window than 8 MiB (RFC 9659 §3).
    WindowTooLarge(u64),
    /// The crate was built without the feature of this coding.
    NotBuiltIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a member, or within its first bytes.
    Head {
        is_first: bool,
    },
    Member,
    /// Within a frame without content (RFC 8878 §3.1.2), of which this many bytes are left.
    Skippable(u64),
    /// After the last member.
    Trailer(Trailer),
}

/// What may follow the last member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    Zeros,
    Bytes(u8),
}

/// What the first bytes of a member tell.
enum Begins {
    /// More bytes are needed to tell.
    Undecided,
    Member,
    Skippable(u64),
    Trailer(Trailer),
}

/// The first bytes of a member, which may come one by one.
#[derive(Default)]
struct MemberHead {
    bytes: [u8; LONGEST_HEAD],
    /// How many there are, and how many the codec has.
    length: usize,
    given: usize,
}

enum Codec {
    Gzip(Box<GzipMember>),
    Flate(Decompress),
    Brotli(brotli::Member),
    Zstd(zstd::Member),
}

/// One step of a codec.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) written: usize,
    pub(super) is_done: bool,
}

impl ContentDecoder {
    /// A decoder at the beginning of a body.
    pub fn new(coding: ContentCoding) -> Self {
        Self {
            coding,
            state: State::Head { is_first: true },
            codec: None,
            head: MemberHead::default(),
            has_begun: false,
            has_more: false,
        }
    }

    /// Decodes until the input is used up or the output is full. After an error the decoder is of no use.
    ///
    /// # Errors
    /// If the input is not of this coding, or goes on after its end.
    pub fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Decoded, ContentDecodeError> {
        self.has_begun |= !input.is_empty();
        let (mut consumed, mut written) = (0, 0);
        self.has_more = false;
        loop {
            let rest = &input[consumed..];
            match self.state {
                State::Head { is_first } => match begins(self.coding, self.head.bytes(), is_first)? {
                    Begins::Undecided => {
                        let Some(&byte) = rest.first() else { break };
                        self.head.push(byte);
                        consumed += 1;
                    }
                    Begins::Member => self.begin_member()?,
                    Begins::Skippable(length) => {
                        self.head = MemberHead::default();
                        self.state = State::Skippable(length);
                    }
                    Begins::Trailer(trailer) => self.state = State::Trailer(trailer),
                },
                State::Member => {
                    let is_of_head = !self.head.left().is_empty();
                    let from = if is_of_head { self.head.left() } else { rest };
                    let Some(codec) = &mut self.codec else { break };
                    let step = codec.step(from, &mut output[written..])?;
                    let is_stuck = step.consumed == 0 && step.written == 0 && !step.is_done;
                    written += step.written;
                    if is_of_head {
                        self.head.given += step.consumed;
                    } else {
                        consumed += step.consumed;
                    }
                    if step.is_done {
                        self.end_member()?;
                    } else if written == output.len() {
                        self.has_more = true;
                        break;
                    } else if is_stuck {
                        if is_of_head || consumed < input.len() {
                            return Err(ContentDecodeError::Malformed(
                                "the decoder makes no progress".into(),
                            ));
                        }
                        break;
                    }
                }
                State::Skippable(0) => self.state = State::Head { is_first: false },
                State::Skippable(left) => {
                    if rest.is_empty() {
                        break;
                    }
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    consumed += skipped;
                    self.state = State::Skippable(left - skipped as u64);
                }
                State::Trailer(trailer) => {
                    self.state = State::Trailer(trailer.after(rest)?);
                    consumed = input.len();
                    break;
                }
            }
        }
        Ok(Decoded { consumed, written })
    }

    /// Whether decoded data may be left that did not fit the last output; [`decode`](Self::decode) is then called again,
    /// with more input or none.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`Truncated`](ContentDecodeError::Truncated) if it ended within a member. A body without a byte is complete: some
    /// servers name the coding of a body that is not there.
    pub fn finish(&self) -> Result<(), ContentDecodeError> {
        let is_complete = match self.state {
            _ if !self.has_begun => true,
            State::Head { is_first } => !is_first && self.head.length == 0,
            State::Skippable(left) => left == 0,
            State::Trailer(_) => true,
            State::Member => false,
        };
        if is_complete { Ok(()) } else { Err(ContentDecodeError::Truncated) }
    }

    fn begin_member(&mut self) -> Result<(), ContentDecodeError> {
        self.state = State::Member;
        let codec = match (self.coding, self.codec.take()) {
            (ContentCoding::Zstd, Some(Codec::Zstd(mut member))) => {
                member.restart()?;
                Codec::Zstd(member)
            }
            (ContentCoding::Zstd, _) => Codec::Zstd(zstd::Member::new()?),
            (ContentCoding::Brotli, _) => Codec::Brotli(brotli::Member::new()?),
            (ContentCoding::Gzip, Some(Codec::Gzip(mut member))) => {
                member.restart();
                Codec::Gzip(member)
            }
            (ContentCoding::Gzip, _) => Codec::Gzip(Box::new(GzipMember::new())),
            (ContentCoding::Deflate, _) => Codec::Flate(Decompress::new(is_zlib(self.head.bytes()))),
        };
        self.codec = Some(codec);
        Ok(())
    }

    fn end_member(&mut self) -> Result<(), ContentDecodeError> {
        if !self.head.left().is_empty() {
            return Err(ContentDecodeError::Malformed("the member ends within its header".into()));
        }
        self.state = match self.coding {
            ContentCoding::Gzip | ContentCoding::Zstd => State::Head { is_first: false },
            ContentCoding::Deflate if !is_zlib(self.head.bytes()) => {
                State::Trailer(Trailer::Bytes(CHECKSUM_LENGTH))
            }
            ContentCoding::Brotli | ContentCoding::Deflate => State::Trailer(Trailer::Bytes(0)),
        };
        self.head = MemberHead::default();
        Ok(())
    }
}

impl Trailer {
    /// What may follow after these bytes.
    fn after(self, bytes: &[u8]) -> Result<Self, ContentDecodeError> {
        let next = match self {
            Self::Zeros => bytes.iter().all(|&byte| byte == 0).then_some(self),
            Self::Bytes(most) => {
                u8::try_from(bytes.len()).ok().and_then(|n| most.checked_sub(n)).map(Self::Bytes)
            }
        };
        next.ok_or(ContentDecodeError::TrailingData)
    }
}

impl MemberHead {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn left(&self) -> &[u8] {
        &self.bytes[self.given..self.length]
    }
}

impl Codec {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ContentDecodeError> {
        match self {
            Self::Gzip(member) => member.step(input, output),
            Self::Flate(codec) => inflate(codec, input, output),
            Self::Brotli(member) => member.step(input, output),
            Self::Zstd(member) => member.step(input, output),
        }
    }
}

fn inflate(codec: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<Step, ContentDecodeError> {
    let (read, wrote) = (codec.total_in(), codec.total_out());
    let status = codec.decompress(input, output, FlushDecompress::None);
    let status = status.map_err(|error| ContentDecodeError::Malformed(error.to_string()))?;
    Ok(Step {
        consumed: (codec.total_in() - read) as usize,
        written: (codec.total_out() - wrote) as usize,
        is_done: status == Status::StreamEnd,
    })
}

/// What begins with these bytes.
fn begins(coding: ContentCoding, head: &[u8], is_first: bool) -> Result<Begins, ContentDecodeError> {
    let wrong = || match is_first {
        true => ContentDecodeError::Malformed("the body does not begin as its coding does".into()),
        false => ContentDecodeError::TrailingData,
    };
    match coding {
        ContentCoding::Brotli => Ok(Begins::Member),
        ContentCoding::Deflate if head.len() < 2 => Ok(Begins::Undecided),
        ContentCoding::Deflate => Ok(Begins::Member),
        ContentCoding::Gzip => match head {
            [0] if !is_first => Ok(Begins::Trailer(Trailer::Zeros)),
            // RFC 1952 §2.3.1
            [] | [0x1f] => Ok(Begins::Undecided),
            [0x1f, 0x8b] => Ok(Begins::Member),
            _ => Err(wrong()),
        },
        ContentCoding::Zstd => zstd_begins(head).unwrap_or_else(|| Err(wrong())),
    }
}

/// RFC 8878 §3.1.1, §3.1.2; `None` if these bytes begin neither kind of frame.
fn zstd_begins(head: &[u8]) -> Option<Result<Begins, ContentDecodeError>> {
    let is_frame = head.iter().zip(ZSTD_MAGIC).all(|(byte, magic)| *byte == magic);
    let is_skippable = head.iter().zip(SKIPPABLE_MAGIC).enumerate().all(|(at, (byte, magic))| match at {
        // The lower four bits are free.
        0 => byte & 0xf0 == magic,
        _ => *byte == magic,
    });
    if is_skippable && !head.is_empty() {
        let length: Option<[u8; 4]> = head.get(4..8).and_then(|bytes| bytes.try_into().ok());
        let length = length.map(|bytes| u64::from(u32::from_le_bytes(bytes)));
        return Some(Ok(length.map_or(Begins::Undecided, Begins::Skippable)));
    }
    if !is_frame {
        return None;
    }
    // The header is given to the decoder whole: where it is not, libzstd takes what follows for the frame itself.
    let Some(&descriptor) = head.get(4) else { return Some(Ok(Begins::Undecided)) };
    let is_single_segment = descriptor & SINGLE_SEGMENT != 0;
    // RFC 8878 §3.1.1.1.1
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        flag => 1 << flag,
    };
    let size_at = 5 + usize::from(!is_single_segment) + dictionary;
    if head.len() < size_at + content_size {
        return Some(Ok(Begins::Undecided));
    }
    let window = if is_single_segment {
        let mut size = [0; 8];
        size[..content_size].copy_from_slice(&head[size_at..]);
        // RFC 8878 §3.1.1.1.4: two bytes do not say again what one byte can.
        u64::from_le_bytes(size).saturating_add(if content_size == 2 { 256 } else { 0 })
    } else {
        // RFC 8878 §3.1.1.1.2
        let base = 1_u64 << (10 + (head[5] >> 3));
        base + base / 8 * u64::from(head[5] & 7)
    };
    let is_allowed = window <= ZSTD_WINDOW;
    Some(if is_allowed { Ok(Begins::Member) } else { Err(ContentDecodeError::WindowTooLarge(window)) })
}

/// RFC 9110 §8.4.1.2 means the zlib format by "deflate" (RFC 1950 §2.2); some servers send raw deflate.
fn is_zlib(head: &[u8]) -> bool {
    let [method, flags, ..] = *head else { return false };
    let is_checked = (u16::from(method) << 8 | u16::from(flags)) % 31 == 0;
    method & 0x0f == 8 && method >> 4 <= 7 && is_checked
}

impl fmt::Debug for ContentDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentDecoder").field("coding", &self.coding).field("state", &self.state).finish()
    }
}

impl fmt::Display for ContentDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail) => write!(f, "the coded data is malformed: {detail}"),
            Self::Truncated => f.write_str("the coded data ends too early"),
            Self::TrailingData => f.write_str("the coded data is followed by bytes that do not belong to it"),
            Self::WindowTooLarge(size) => {
                write!(f, "the zstd frame needs a window of {size} bytes; at most {ZSTD_WINDOW} are allowed")
            }
            Self::NotBuiltIn => f.write_str("the cargo feature of the body's coding is off"),
        }
    }
}

impl Error for ContentDecodeError {}

/// RFC 9659 §3: "8 MB", which is 2^23 bytes.
pub(super) const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
const SINGLE_SEGMENT: u8 = 1 << 5;
/// RFC 1950 §2.2: the Adler-32 behind the data.
const CHECKSUM_LENGTH: u8 = 4;
/// Of a zstd frame (RFC 8878 §3.1.1.1): magic number, descriptor, window, dictionary and content size.
const LONGEST_HEAD: usize = 4 + 1 + 1 + 4 + 8;

#[cfg(all(test, feature = "brotli", feature = "zstd"))]
#[path = "decoder_tests.rs"]
mod tests;
