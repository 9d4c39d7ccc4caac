//! Bodies of any number of members, split anywhere, cut anywhere, damaged anywhere.

use std::io::Write;

use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, ZstdEncoder};
use compression_core::Level;
use compression_core::util::{PartialBuffer, WriteBuffer};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoder: &mut dyn EncodeV2, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0; data.len() + data.len() / 8 + 1024];
    let mut to = WriteBuffer::new_initialized(&mut out);
    let mut from = PartialBuffer::new(data);
    while !from.unwritten().is_empty() {
        encoder.encode(&mut from, &mut to).unwrap();
    }
    assert!(encoder.finish(&mut to).unwrap());
    to.written().to_vec()
}

fn brotli(data: &[u8]) -> Vec<u8> {
    encoded(&mut BrotliEncoder::new(EncoderParams::default().quality(Level::Fastest)), data)
}

fn zstd(data: &[u8]) -> Vec<u8> {
    encoded(&mut ZstdEncoder::new_with_params(1, &[CParameter::checksum_flag(true)]), data)
}

fn zstd_of_window(log: u32, data: &[u8]) -> Vec<u8> {
    encoded(&mut ZstdEncoder::new_with_params(1, &[CParameter::window_log(log)]), data)
}

fn skippable(magic: u8, data: &[u8]) -> Vec<u8> {
    [&[magic, 0x2a, 0x4d, 0x18][..], &(data.len() as u32).to_le_bytes(), data].concat()
}

/// Decodes a body that comes in pieces which end at `ends`.
fn decode(
    coding: ContentCoding,
    body: &[u8],
    ends: impl IntoIterator<Item = usize>,
) -> Result<Vec<u8>, ContentDecodeError> {
    decode_into(coding, body, ends, 32 * 1024)
}

fn decode_into(
    coding: ContentCoding,
    body: &[u8],
    ends: impl IntoIterator<Item = usize>,
    size: usize,
) -> Result<Vec<u8>, ContentDecodeError> {
    let (mut decoder, mut all, mut out, mut at) = (ContentDecoder::new(coding), Vec::new(), vec![0; size], 0);
    for end in ends.into_iter().chain([body.len()]) {
        let mut piece = &body[at..end];
        at = end;
        while !piece.is_empty() || decoder.has_more() {
            let Decoded { consumed, written } = decoder.decode(piece, &mut out)?;
            assert!(consumed + written > 0 || !decoder.has_more(), "no progress");
            all.extend_from_slice(&out[..written]);
            piece = &piece[consumed..];
        }
    }
    decoder.finish().map(|()| all)
}

/// xorshift64*: the same bodies each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }

    /// Text, noise, or the same byte, of any length around those where buffers end.
    fn data(&mut self) -> Vec<u8> {
        let length = match self.below(6) {
            0 => 0,
            1 => self.below(20),
            2 => 32 * 1024 - 2 + self.below(5),
            3 => 64 * 1024 - 2 + self.below(5),
            _ => self.below(5000),
        };
        let kind = self.below(3);
        (0..length)
            .map(|at| match kind {
                0 => 0,
                1 => self.below(256) as u8,
                _ => b"the quick brown fox "[at % 20],
            })
            .collect()
    }

    fn ends(&mut self, length: usize) -> Vec<usize> {
        let pieces = match self.below(3) {
            0 => return (0..length).collect(),
            1 => 1,
            _ => self.below(40),
        };
        let mut ends = (0..pieces).map(|_| self.below(length + 1)).collect::<Vec<_>>();
        ends.sort_unstable();
        ends
    }
}

/// A body of several members, its text, and where a member ends.
fn body(random: &mut Random, coding: ContentCoding) -> (Vec<u8>, Vec<u8>, Vec<(usize, usize)>) {
    let (mut coded, mut plain, mut ends) = (Vec::new(), Vec::new(), vec![(0, 0)]);
    let members = match coding {
        ContentCoding::Gzip | ContentCoding::Zstd => 1 + random.below(6),
        ContentCoding::Brotli | ContentCoding::Deflate => 1,
    };
    for _ in 0..members {
        let data = random.data();
        let is_skippable = coding == ContentCoding::Zstd && random.below(3) == 0;
        coded.extend(match coding {
            ContentCoding::Zstd if is_skippable => skippable(0x50 | random.below(16) as u8, &data),
            ContentCoding::Gzip => gzip(&data),
            ContentCoding::Zstd => zstd(&data),
            ContentCoding::Brotli => brotli(&data),
            ContentCoding::Deflate if random.below(2) == 0 => zlib(&data),
            ContentCoding::Deflate => raw_deflate(&data),
        });
        if !is_skippable {
            plain.extend(data);
        }
        ends.push((coded.len(), plain.len()));
    }
    (coded, plain, ends)
}

const ALL: [ContentCoding; 4] =
    [ContentCoding::Gzip, ContentCoding::Deflate, ContentCoding::Brotli, ContentCoding::Zstd];

#[test]
fn any_body_of_any_members_split_anywhere_is_its_text_and_cut_anywhere_an_error() {
    let mut random = Random(0x9e37_79b9);
    for round in 0..120 {
        let coding = ALL[round % ALL.len()];
        let (coded, plain, ends) = body(&mut random, coding);
        let size = [32 * 1024, 1, 7, 1024][random.below(4)];
        let split = random.ends(coded.len());
        let read = decode_into(coding, &coded, split, size);
        assert!(read.as_deref() == Ok(&plain[..]), "round {round}, {coding:?}: {:?}", read.map(|r| r.len()));
        for _ in 0..4 {
            let cut = random.below(coded.len());
            let split = random.ends(cut);
            let read = decode(coding, &coded[..cut], split);
            match ends.iter().find(|(end, _)| *end == cut) {
                Some(&(_, text)) => assert!(read.as_deref() == Ok(&plain[..text]), "{coding:?} cut at {cut}"),
                None => assert_eq!(read, Err(ContentDecodeError::Truncated), "{coding:?} cut at {cut}"),
            }
        }
    }
}

#[test]
fn damage_is_an_error_or_changes_nothing_and_a_split_never_matters() {
    let mut random = Random(0x1234_5678);
    for round in 0..120 {
        let coding = ALL[round % ALL.len()];
        let (mut coded, plain, _) = body(&mut random, coding);
        let at = random.below(coded.len());
        coded[at] ^= 1 << random.below(8);
        let whole = decode(coding, &coded, []);
        let split = random.ends(coded.len());
        let read = decode(coding, &coded, split);
        assert_eq!(read.as_ref().ok(), whole.as_ref().ok(), "round {round}, {coding:?}: {read:?} {whole:?}");
        // Brotli and raw deflate have no checksum; nor has a length of a skippable frame.
        if coding == ContentCoding::Gzip
            && let Ok(read) = read
        {
            assert!(read == plain, "round {round}");
        }
    }
}

#[test]
fn members_split_at_every_byte_are_all_read() {
    for (coding, members) in [
        (ContentCoding::Gzip, [gzip(b"one "), gzip(b""), gzip(b"two")].concat()),
        (ContentCoding::Zstd, [zstd(b"one "), zstd(b""), zstd(b"two")].concat()),
        (
            ContentCoding::Zstd,
            [
                skippable(0x50, b""),
                zstd(b"one "),
                skippable(0x5f, b"xyz"),
                zstd(b"two"),
                skippable(0x53, b"x"),
            ]
            .concat(),
        ),
    ] {
        for first in 0..=members.len() {
            for second in first..=members.len() {
                let read = decode(coding, &members, [first, second]);
                assert_eq!(read.as_deref(), Ok(&b"one two"[..]), "{coding:?} at {first}, {second}");
            }
        }
    }
}

#[test]
fn sixty_thousand_members_in_one_piece_are_all_read() {
    for (coding, member) in [
        (ContentCoding::Zstd, zstd(b"twelve bytes")),
        (ContentCoding::Gzip, gzip(b"twelve bytes")),
        (ContentCoding::Zstd, [zstd(b"twelve bytes"), skippable(0x50, b"abc")].concat()),
    ] {
        let body = member.repeat(60_000);
        assert_eq!(decode(coding, &body, []).unwrap().len(), 720_000);
    }
}

#[test]
fn frames_without_content_are_an_empty_body() {
    assert_eq!(decode(ContentCoding::Zstd, &skippable(0x5a, b"note"), []), Ok(Vec::new()));
    let cut = &skippable(0x5a, b"note")[..10];
    assert_eq!(decode(ContentCoding::Zstd, cut, []), Err(ContentDecodeError::Truncated));
}

#[test]
fn what_follows_the_last_member_is_an_error_but_for_padding() {
    let text = b"text";
    for (coding, coded, trailer, is_text) in [
        (ContentCoding::Gzip, gzip(text), &[0; 700][..], true),
        (ContentCoding::Gzip, gzip(text), b"\0\0x", false),
        (ContentCoding::Gzip, gzip(text), b"\r\n", false),
        (ContentCoding::Gzip, gzip(text), b"\x1f\x8c", false),
        (ContentCoding::Gzip, gzip(text), b"\x1f", false),
        (ContentCoding::Zstd, zstd(text), b"\0", false),
        (ContentCoding::Zstd, zstd(text), b"\x28\xb5", false),
        (ContentCoding::Zstd, zstd(text), b"\x28\xb5\x2f\xfe", false),
        (ContentCoding::Zstd, zstd(text), b"\x51\x2a\x4d\x19", false),
        (ContentCoding::Brotli, brotli(text), b"\0", false),
        (ContentCoding::Deflate, zlib(text), b"\0", false),
        (ContentCoding::Deflate, raw_deflate(text), b"\x01\x02\x03\x04", true),
        (ContentCoding::Deflate, raw_deflate(text), b"\x01\x02\x03\x04\x05", false),
    ] {
        let body = [&coded[..], trailer].concat();
        for split in 0..=body.len() {
            let read = decode(coding, &body, [split]);
            assert_eq!(read.is_ok_and(|read| read == text), is_text, "{coding:?}, {trailer:?}, at {split}");
        }
        // One byte at a time.
        assert_eq!(decode(coding, &body, 0..body.len()).is_ok(), is_text, "{coding:?}, {trailer:?}");
    }
}

#[test]
fn padding_before_a_member_and_members_after_padding_are_errors() {
    let first = [&[0][..], &gzip(b"x")].concat();
    assert!(matches!(decode(ContentCoding::Gzip, &first, []), Err(ContentDecodeError::Malformed(_))));
    let after = [gzip(b"x"), vec![0], gzip(b"y")].concat();
    assert_eq!(decode(ContentCoding::Gzip, &after, []), Err(ContentDecodeError::TrailingData));
}

#[test]
fn a_window_of_zstd_is_at_most_eight_mebibytes() {
    let data = vec![7; 9 << 20];
    let window = |coded: &[u8]| match coded[4] & SINGLE_SEGMENT {
        0 => coded[5] >> 3,
        _ => 0,
    };
    let allowed = zstd_of_window(23, &data);
    assert_eq!(window(&allowed), 13);
    assert!(decode(ContentCoding::Zstd, &allowed, []).unwrap() == data);
    let refused = zstd_of_window(24, &data);
    assert_eq!(window(&refused), 14);
    for split in 0..16 {
        let read = decode(ContentCoding::Zstd, &refused, [split]);
        assert_eq!(read, Err(ContentDecodeError::WindowTooLarge(16 << 20)), "at {split}");
    }
    // In small output it would be decoded without its window, in the same way whatever the split.
    let small = [&ZSTD_MAGIC[..], &[0x00, 0x69, 0x29, 0, 0], b"hello"].concat();
    assert_eq!(
        decode(ContentCoding::Zstd, &small, []),
        Err(ContentDecodeError::WindowTooLarge((8 << 20) + (1 << 20)))
    );
    let small = [&ZSTD_MAGIC[..], &[0x00, 0x68, 0x29, 0, 0], b"hello"].concat();
    assert_eq!(decode(ContentCoding::Zstd, &small, []).as_deref(), Ok(&b"hello"[..]));
    // The window of a frame of a single segment is its length.
    let mut single = [&ZSTD_MAGIC[..], &[0xa0], &((8_u32 << 20) + 1).to_le_bytes()].concat();
    single.extend([0x29, 0, 0]);
    single.extend(b"hello");
    assert_eq!(
        decode(ContentCoding::Zstd, &single, []),
        Err(ContentDecodeError::WindowTooLarge((8 << 20) + 1))
    );
}

#[test]
fn a_header_of_zstd_is_never_read_apart_from_its_frame() {
    // What follows the first five bytes of the second frame looks like a frame of its own.
    let note = skippable(0x50, b"xy");
    let body =
        [&note[..], &ZSTD_MAGIC, &[0x20], &note, &ZSTD_MAGIC, &[0x20, 5, 0x29, 0, 0], b"hello"].concat();
    for split in 0..=body.len() {
        assert!(matches!(decode(ContentCoding::Zstd, &body, [split]), Err(ContentDecodeError::Malformed(_))));
    }
}

#[test]
fn an_empty_body_is_complete_and_one_byte_is_not() {
    for coding in ALL {
        assert_eq!(decode(coding, b"", []), Ok(Vec::new()));
    }
    assert_eq!(decode(ContentCoding::Deflate, b"\x78", []), Err(ContentDecodeError::Truncated));
}

#[test]
fn every_field_of_a_header_is_skipped_and_its_checksum_is_checked() {
    let header = |flags: u8, fields: &[u8]| [&[0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3][..], fields].concat();
    let rest = &gzip(b"text")[10..];
    let checked = header(0x02 | 0x08, b"name\0");
    let sum = (crc32fast::hash(&checked) as u16).to_le_bytes();
    for (head, is_text) in [
        (header(0, b""), true),
        (header(1, b""), true),
        (header(0x04, b"\x03\0abc"), true),
        (header(0x04, b"\0\0"), true),
        (header(0x08 | 0x10, b"name\0comment\0"), true),
        (header(0x04 | 0x08 | 0x10, b"\x01\0xname\0\0"), true),
        ([&checked[..], &sum].concat(), true),
        ([&checked[..], &[sum[0], !sum[1]]].concat(), false),
        ([&checked[..], &[!sum[0], sum[1]]].concat(), false),
        (header(0x20, b""), false),
        (header(0x80, b""), false),
    ] {
        let body = [&head[..], rest].concat();
        for split in 0..=body.len() {
            let read = decode(ContentCoding::Gzip, &body, [split]);
            assert_eq!(read.is_ok_and(|read| read == b"text"), is_text, "{head:x?} at {split}");
        }
        assert_eq!(decode(ContentCoding::Gzip, &body, 0..body.len()).is_ok(), is_text, "{head:x?}");
        if is_text {
            for cut in 1..body.len() {
                assert_eq!(decode(ContentCoding::Gzip, &body[..cut], []), Err(ContentDecodeError::Truncated));
            }
        }
    }
    let mut damaged = gzip(b"text");
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(matches!(decode(ContentCoding::Gzip, &damaged, []), Err(ContentDecodeError::Malformed(_))));
}
