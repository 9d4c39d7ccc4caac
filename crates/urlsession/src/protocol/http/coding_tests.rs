//! The coding layer, with codings of every kind cut at every place.

use std::future::poll_fn;
use std::io::Write;
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::super::test_support::{Reply, Script, run, run_request};
use super::*;
use crate::body::{BodySource, ReadTarget};
use crate::env::block_on;
use crate::message::UrlRequest;

/// A coded body that comes in pieces of `size` bytes.
struct Pieces {
    data: Bytes,
    size: usize,
}

impl BodySource for Pieces {
    fn poll_read(&mut self, _: &mut Context<'_>, target: &mut ReadTarget<'_>) -> Poll<Option<Result<usize>>> {
        if self.data.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.size.min(self.data.len());
        Poll::Ready(Some(Ok(target.put(self.data.split_to(size)))))
    }

    fn wire_bytes(&self) -> u64 {
        0
    }

    fn sent_late(&self) -> u64 {
        0
    }

    fn finish(self: Box<Self>) {}
}

fn read(mut body: Body) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(chunk) = block_on(poll_fn(|cx| body.poll_chunk(cx))) {
        let chunk = chunk?;
        assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn undo(coding: ContentCoding, data: &[u8], size: usize) -> Result<Vec<u8>> {
    let pieces = Pieces { data: Bytes::copy_from_slice(data), size };
    read(decode(Body::flow(Box::new(pieces)), coding))
}

fn text() -> Vec<u8> {
    (0..100_000u32).flat_map(|i| (i % 977).to_string().into_bytes()).collect()
}

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

#[test]
fn every_coding_is_undone_however_the_bytes_are_cut() {
    let plain = text();
    let cases = [
        (ContentCoding::Gzip, gzip(&plain)),
        (ContentCoding::Deflate, zlib(&plain)),
        (ContentCoding::Deflate, raw_deflate(&plain)),
    ];
    for (coding, coded) in cases {
        for size in [1, 7, 4096, usize::MAX] {
            assert!(undo(coding, &coded, size).unwrap() == plain, "{coding:?} in pieces of {size}");
        }
    }
    // Without a byte compressed: "hello" in brotli and in zstd.
    let brotli = b"\x0b\x02\x80hello\x03";
    let zstd = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
    for size in [1, 7, usize::MAX] {
        assert_eq!(undo(ContentCoding::Brotli, brotli, size).unwrap(), b"hello");
        assert_eq!(undo(ContentCoding::Zstd, zstd, size).unwrap(), b"hello");
    }
}

#[test]
fn a_coded_body_that_ends_early_is_an_error() {
    let coded = gzip(&text());
    for keep in [1, 5, coded.len() / 2, coded.len() - 1] {
        let error = undo(ContentCoding::Gzip, &coded[..keep], 512).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotDecodeContentData, "{keep} of {}", coded.len());
    }
}

#[test]
fn a_body_that_is_not_what_it_says_is_an_error() {
    for coding in [ContentCoding::Gzip, ContentCoding::Zstd, ContentCoding::Deflate, ContentCoding::Brotli] {
        let error = undo(coding, &[0xff; 64], 512).unwrap_err();
        assert!(matches!(error.code().number(), -1015 | -1016), "{coding:?}: {error}");
    }
}

#[test]
fn members_follow_each_other_however_they_are_cut_and_padding_is_dropped() {
    let mut coded = [gzip(b"one "), gzip(b"two")].concat();
    for size in 1..=coded.len() {
        assert_eq!(undo(ContentCoding::Gzip, &coded, size).unwrap(), b"one two", "pieces of {size}");
    }
    coded.extend_from_slice(&[0; 100]);
    assert_eq!(undo(ContentCoding::Gzip, &coded, usize::MAX).unwrap(), b"one two");
    coded.push(b'x');
    let error = undo(ContentCoding::Gzip, &coded, usize::MAX).unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotDecodeRawData);
}

#[test]
fn many_small_members_share_chunks() {
    let coded = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello".repeat(60_000);
    let pieces = Pieces { data: coded.into(), size: usize::MAX };
    let mut body = decode(Body::flow(Box::new(pieces)), ContentCoding::Zstd);
    let (mut total, mut chunks) = (0, 0);
    while let Some(chunk) = block_on(poll_fn(|cx| body.poll_chunk(cx))) {
        (total, chunks) = (total + chunk.unwrap().len(), chunks + 1);
    }
    assert_eq!((total, chunks), (300_000, 300_000_usize.div_ceil(CHUNK)));
}

#[test]
fn a_bomb_is_decoded_in_small_chunks() {
    let coded = gzip(&vec![0; 64 << 20]);
    assert!(coded.len() < 1 << 20);
    let pieces = Pieces { data: coded.into(), size: usize::MAX };
    let mut body = decode(Body::flow(Box::new(pieces)), ContentCoding::Gzip);
    let mut total = 0;
    while let Some(chunk) = block_on(poll_fn(|cx| body.poll_chunk(cx))) {
        let chunk = chunk.unwrap();
        assert!(chunk.len() <= CHUNK);
        total += chunk.len();
    }
    assert_eq!(total, 64 << 20);
}

#[test]
fn an_empty_body_with_a_coding_is_empty() {
    assert_eq!(undo(ContentCoding::Gzip, b"", 1).unwrap(), b"");
}

#[test]
fn two_codings_are_undone_in_reverse() {
    let coded: &'static [u8] = gzip(&zlib(b"twice")).leak();
    let reply = Reply { status: 200, fields: vec![("content-encoding", "deflate, gzip")], body: coded };
    let script = Script::new([Ok(reply)]);
    let response = run(&Coding::new(&script), "GET", "http://a/").0.unwrap();
    assert_eq!(read(response.body).unwrap(), b"twice");
}

#[test]
fn an_unknown_coding_is_passed_on_as_it_came() {
    let reply = Reply { status: 200, fields: vec![("content-encoding", "gzip, rot13")], body: b"raw" };
    let script = Script::new([Ok(reply)]);
    let response = run(&Coding::new(&script), "GET", "http://a/").0.unwrap();
    assert_eq!(read(response.body).unwrap(), b"raw");
}

#[test]
fn codings_are_asked_for_unless_a_range_is_wanted() {
    let script = Script::new([Ok(200), Ok(200)]);
    assert!(run(&Coding::new(&script), "GET", "http://a/").0.is_ok());
    assert_eq!(*script.added.lock(), ["accept-encoding: gzip, deflate, br, zstd"]);
    let mut request = UrlRequest::new("http://a/".parse().unwrap());
    request.set_value("Range", "bytes=0-9").unwrap();
    assert!(run_request(&Coding::new(&script), request).0.is_ok());
    assert_eq!(script.added.lock().len(), 1);
}
