//! How an entry's head is written to disk: lengths before everything, a checksum behind. It reads no body.
//!
//! The version is that of the database; what cannot be read is a miss.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use url::Url;
use urlsession_proto::caching::Times;

use super::entry::{CacheEntry, Content, Variant};
use super::file::checksum_of;
use crate::message::{HttpHead, StoragePolicy, UrlResponse};

/// Everything of an entry but its key, its variant and its body.
pub(super) fn encode(entry: &CacheEntry) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(512));
    out.number(entry.times.requested as u64);
    out.number(entry.times.received as u64);
    out.number(entry.stored as u64);
    out.byte(u8::from(entry.is_coded));
    match &entry.user_info {
        None => out.number(u64::MAX),
        Some(notes) => {
            out.number(notes.len() as u64);
            for (name, value) in notes {
                out.bytes(name.as_bytes());
                out.bytes(value.as_bytes());
            }
        }
    }
    let response = &entry.response;
    out.bytes(response.url().as_str().as_bytes());
    match response.http_head() {
        Some(head) => {
            out.byte(version_number(head.version));
            out.number(u64::from(head.status.as_u16()));
            out.bytes(&head.raw);
            out.number(head.fields.len() as u64);
            for (name, value) in &head.fields {
                out.bytes(name.as_str().as_bytes());
                out.bytes(value.as_bytes());
            }
        }
        None => {
            out.byte(PLAIN);
            out.number(response.expected_content_length().unwrap_or(u64::MAX));
            out.bytes(response.mime_type().unwrap_or_default().as_bytes());
            out.bytes(response.text_encoding_name().unwrap_or_default().as_bytes());
        }
    }
    let crc = checksum_of(&out.0);
    out.0.extend_from_slice(&crc.to_le_bytes());
    out.0
}

/// The entry, with an empty body. `None` if the bytes are not what was written.
pub(super) fn decode(key: &str, variant: Variant, bytes: &[u8]) -> Option<CacheEntry> {
    let (bytes, crc) = bytes.split_last_chunk::<4>()?;
    if checksum_of(bytes) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut from = Reader(bytes);
    let times = Times { requested: from.number()? as i64, received: from.number()? as i64 };
    let stored = from.number()? as i64;
    let is_coded = from.byte()? != 0;
    let user_info = match from.number()? {
        u64::MAX => None,
        count => {
            let mut notes = BTreeMap::new();
            for _ in 0..count {
                notes.insert(from.text()?.to_owned(), from.text()?.to_owned());
            }
            Some(notes)
        }
    };
    let url: Url = from.text()?.parse().ok()?;
    let response = match from.byte()? {
        PLAIN => {
            let length = Some(from.number()?).filter(|length| *length != u64::MAX);
            let (kind, encoding) = (from.text()?, from.text()?);
            let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
            UrlResponse::new(url, given(kind).as_deref(), length, given(encoding).as_deref())
        }
        version => {
            let version = version_of(version)?;
            let status = StatusCode::from_u16(u16::try_from(from.number()?).ok()?).ok()?;
            let raw = Bytes::copy_from_slice(from.bytes()?);
            let mut fields = HeaderMap::new();
            for _ in 0..from.number()? {
                let name = HeaderName::from_bytes(from.bytes()?).ok()?;
                fields.try_append(name, HeaderValue::from_bytes(from.bytes()?).ok()?).ok()?;
            }
            UrlResponse::kept(url, HttpHead { version, status, fields, raw })
        }
    };
    let mut entry = CacheEntry {
        key: Arc::from(key),
        variant,
        response,
        times,
        freshness: None,
        stored,
        content: Content::Memory(Bytes::new()),
        user_info,
        // What may not be on disk is not.
        policy: StoragePolicy::Allowed,
        is_coded,
        is_touched: AtomicBool::new(false),
    };
    entry.judge();
    from.0.is_empty().then_some(entry)
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

fn version_number(version: Version) -> u8 {
    match version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    }
}

fn version_of(number: u8) -> Option<Version> {
    match number {
        9 => Some(Version::HTTP_09),
        10 => Some(Version::HTTP_10),
        11 => Some(Version::HTTP_11),
        20 => Some(Version::HTTP_2),
        30 => Some(Version::HTTP_3),
        _ => None,
    }
}

/// In the place of a version: a response that is not of HTTP.
const PLAIN: u8 = 0;

#[cfg(test)]
mod tests {
    use super::super::test_support::entry;
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let mut written =
            (*Arc::try_unwrap(entry("http://a/x?y", 3)).ok().unwrap().response.http_head().unwrap()).clone();
        written.fields.append("x-two", HeaderValue::from_static("1"));
        written.fields.append("x-two", HeaderValue::from_bytes(b"\xff").unwrap());
        let notes = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let before = entry("http://a/x?y", 3);
        let mut before =
            before.confirmed(UrlResponse::kept("http://a/x?y".parse().unwrap(), written), before.times);
        before.user_info = Some(notes.clone());
        let after = decode("http://a/x?y", before.variant.clone(), &encode(&before)).unwrap();
        assert_eq!(after.response, before.response);
        assert_eq!(after.freshness, before.freshness);
        assert_eq!(
            (after.user_info, after.stored, after.is_coded),
            (Some(notes), before.stored, before.is_coded)
        );
    }

    #[test]
    fn a_response_without_fields_is_written_too() {
        let response = UrlResponse::new("a:b".parse().unwrap(), Some("text/x"), None, Some("utf-8"));
        let before = entry("http://a/", 3).confirmed(response, entry("http://a/", 3).times);
        let after = decode("a:b", before.variant.clone(), &encode(&before)).unwrap();
        assert_eq!(after.response, before.response);
    }

    #[test]
    fn no_damage_is_read_and_none_panics() {
        let whole = entry("http://a/", 3);
        let (variant, bytes) = (&whole.variant, encode(&whole));
        for at in 0..bytes.len() {
            assert!(decode("http://a/", variant.clone(), &bytes[..at]).is_none());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(decode("http://a/", variant.clone(), &damaged).is_none(), "byte {at}");
        }
    }
}
