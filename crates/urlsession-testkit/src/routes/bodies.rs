//! Owns the routes with fixed and generated bodies: capitals, content codings, ranges, chunks, streams.

use std::time::Duration;

use super::{parameter, text};
use crate::body::pattern;
use crate::reply::Reply;
use crate::request::Request;

const CAPITALS: [(&str, &str); 6] = [
    ("/Nepal", "Kathmandu"),
    ("/Peru", "Lima"),
    ("/Italy", "Rome"),
    ("/USA", "Washington, D.C."),
    ("/UK", "London"),
    (
        "/country.txt",
        "A country is a region that is identified as a distinct national entity in political geography",
    ),
];

/// `Hello World!` in each coding, made by the reference tools (zstd: a raw block, by hand).
const GZIP: [u8; 32] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x08,
    0xcf, 0x2f, 0xca, 0x49, 0x51, 0x04, 0x00, 0xa3, 0x1c, 0x29, 0x1c, 0x0c, 0x00, 0x00, 0x00,
];
const BROTLI: [u8; 16] =
    [0x8b, 0x05, 0x80, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x57, 0x6f, 0x72, 0x6c, 0x64, 0x21, 0x03];
const ZLIB: [u8; 20] = [
    0x78, 0xda, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x08, 0xcf, 0x2f, 0xca, 0x49, 0x51, 0x04, 0x00, 0x1c,
    0x49, 0x04, 0x3e,
];
const ZSTD: [u8; 21] = [
    0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x0c, 0x61, 0x00, 0x00, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x57, 0x6f,
    0x72, 0x6c, 0x64, 0x21,
];

/// The size of one chunk of `/chunked/N`.
const CHUNK: usize = 16 << 10;
/// The most `/chunked/N` and `/stream/N` generate, as they hold what they send.
const HELD_LIMIT: usize = 64 << 20;

pub(super) fn route(request: &Request, path: &str) -> Option<Reply> {
    if let Some((_, capital)) = CAPITALS.iter().find(|(country, _)| *country == path) {
        return Some(text(*capital));
    }
    let reply = match path {
        "/gzipped-response" => coded("gzip", &GZIP),
        "/brotli-response" => coded("br", &BROTLI),
        "/deflate-response" => coded("deflate", &ZLIB),
        // Not what RFC 9110, 8.4.1.2 says, but what some servers send.
        "/raw-deflate-response" => coded("deflate", &ZLIB[2..16]),
        "/zstd-response" => coded("zstd", &ZSTD),
        "/response-header-without-whitespace" if request.stream.is_none() => {
            // The connection stays: the length is right.
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length:13\r\nContent-Type:text/plain\r\n\r\nHello, world!")
                .then(crate::After::KeepAlive)
        }
        "/response-header-without-whitespace" => {
            Reply::new(200).header("Content-Type", "text/plain").body("Hello, world!")
        }
        "/NSString-ISO-8859-1-data.txt" => Reply::new(200)
            .header("Content-Type", "text/html; charset=ISO-8859-1")
            .body(*b"This file is encoded as ISO-8859-1\n\xe0\xe9\xee\xf5\xfc\n"),
        "/hints" => text("hinted").informational(103, &[("Link", "</style.css>; rel=preload; as=style")]),
        _ => generated(request, path)?,
    };
    Some(reply)
}

fn coded(coding: &str, bytes: &[u8]) -> Reply {
    Reply::new(200).header("Content-Type", "text/plain").header("Content-Encoding", coding).body(bytes)
}

fn generated(request: &Request, path: &str) -> Option<Reply> {
    let (kind, count) = path.strip_prefix('/')?.split_once('/')?;
    let count: u64 = count.parse().ok()?;
    match kind {
        "bytes" => Some(bytes(request, count)),
        "chunked" => {
            let count = usize::try_from(count).ok().filter(|n| *n <= HELD_LIMIT)?;
            let chunks = pattern(0, count);
            Some(
                Reply::new(200)
                    .header("Content-Type", "application/octet-stream")
                    .chunked(chunks.chunks(CHUNK)),
            )
        }
        "stream" => {
            let count = usize::try_from(count).ok().filter(|n| *n <= HELD_LIMIT / 32)?;
            let lines = (1..=count).map(|n| format!("line {n}\n"));
            let reply = Reply::new(200).header("Content-Type", "text/plain; charset=utf-8").chunked(lines);
            let gap = parameter(request, "gap").and_then(|ms| ms.parse().ok());
            Some(match gap {
                Some(milliseconds) => reply.gap(Duration::from_millis(milliseconds)),
                None => reply,
            })
        }
        _ => None,
    }
}

/// The generated body, whole or one range of it (RFC 9110, 14).
fn bytes(request: &Request, total: u64) -> Reply {
    let tag = format!("\"bytes-{total}\"");
    let fresh = request.header("if-range").is_none_or(|condition| condition == tag);
    let reply = |status| {
        Reply::new(status)
            .header("Content-Type", "application/octet-stream")
            .header("Accept-Ranges", "bytes")
            .header("ETag", tag.as_str())
    };
    match request.header("range").filter(|_| fresh).and_then(|range| parse_range(range, total)) {
        None => reply(200).endless(total),
        Some(None) => reply(416).header("Content-Range", format!("bytes */{total}")),
        Some(Some((first, last))) => reply(206)
            .header("Content-Range", format!("bytes {first}-{last}/{total}"))
            .pattern(first, last - first + 1),
    }
}

/// `None` when the field is to be ignored, `Some(None)` when it cannot be satisfied.
fn parse_range(range: &str, total: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        let satisfiable = suffix > 0 && total > 0;
        return Some(satisfiable.then(|| (total - suffix.min(total), total - 1)));
    }
    let first: u64 = first.parse().ok()?;
    let last: u64 = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    if last < first {
        return None;
    }
    Some((first < total).then(|| (first, last.min(total - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse_range("bytes=0-", 10), Some(Some((0, 9))));
        assert_eq!(parse_range("bytes=4-6", 10), Some(Some((4, 6))));
        assert_eq!(parse_range("bytes=4-600", 10), Some(Some((4, 9))));
        assert_eq!(parse_range("bytes=-3", 10), Some(Some((7, 9))));
        assert_eq!(parse_range("bytes=-30", 10), Some(Some((0, 9))));
        assert_eq!(parse_range("bytes=10-", 10), Some(None));
        assert_eq!(parse_range("bytes=-0", 10), Some(None));
        for ignored in ["lines=0-", "bytes=6-4", "bytes=0-1,3-4", "bytes=x-"] {
            assert_eq!(parse_range(ignored, 10), None, "{ignored}");
        }
    }
}
