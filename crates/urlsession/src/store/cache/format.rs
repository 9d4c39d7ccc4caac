//! How an entry's head is written to disk. What its key, its variant and its body are is kept beside it.
//!
//! What cannot be read, or is of a later version, is a miss.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use urlsession_proto::caching::Times;

use super::entry::{CacheEntry, Content, Variant};
use crate::message::codec::{self, Record, RecordKind};
use crate::message::{ResponseForm, StoragePolicy};

#[derive(Serialize, Deserialize)]
struct EntryForm<'a> {
    requested: i64,
    received: i64,
    stored: i64,
    is_coded: bool,
    user_info: Cow<'a, Option<BTreeMap<String, String>>>,
    #[serde(borrow)]
    response: ResponseForm<'a>,
}

impl<'de> Record<'de> for EntryForm<'de> {
    const KIND: RecordKind = RecordKind::CacheEntry;
    const VERSION: u8 = 1;
}

/// Everything of an entry but its key, its variant and its body.
pub(super) fn encode(entry: &CacheEntry) -> Vec<u8> {
    codec::encode(&EntryForm {
        requested: entry.times.requested,
        received: entry.times.received,
        stored: entry.stored,
        is_coded: entry.is_coded,
        user_info: Cow::Borrowed(&entry.user_info),
        response: ResponseForm::of(&entry.response),
    })
}

/// The entry, with an empty body. `None` if the bytes are not what was written.
pub(super) fn decode(key: &str, variant: Variant, bytes: &[u8]) -> Option<CacheEntry> {
    let form: EntryForm<'_> = codec::decode(bytes).ok()?;
    let mut entry = CacheEntry {
        key: Arc::from(key),
        variant,
        response: form.response.response()?,
        times: Times { requested: form.requested, received: form.received },
        freshness: None,
        stored: form.stored,
        content: Content::Memory(Bytes::new()),
        user_info: form.user_info.into_owned(),
        // What may not be on disk is not.
        policy: StoragePolicy::Allowed,
        is_coded: form.is_coded,
        is_touched: AtomicBool::new(false),
    };
    entry.judge();
    Some(entry)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::test_support::entry;
    use super::*;
    use crate::message::UrlResponse;
    use crate::message::codec::tests::{hex, neighbours, payload, sealed, survives_damage};

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
        survives_damage(&encode(&whole), |bytes| decode("http://a/", whole.variant.clone(), bytes).is_some());
    }

    #[test]
    fn whatever_is_read_is_an_entry_that_can_be_written() {
        let entry = entry("http://a/", 3);
        let read = |bytes: &[u8]| decode("http://a/", entry.variant.clone(), bytes);
        for payload in neighbours(&payload(&encode(&entry))) {
            let Some(near) = read(&sealed(RecordKind::CacheEntry, 1, &payload)) else { continue };
            assert_eq!(read(&encode(&near)).unwrap().response, near.response);
        }
    }

    #[test]
    fn an_entry_of_another_version_or_kind_is_a_miss() {
        let entry = entry("http://a/", 3);
        let read = |bytes: &[u8]| decode("http://a/", entry.variant.clone(), bytes).is_some();
        let payload = payload(&encode(&entry));
        assert!(read(&sealed(RecordKind::CacheEntry, 1, &payload)));
        assert!(!read(&sealed(RecordKind::CacheEntry, 2, &payload)));
        assert!(!read(&sealed(RecordKind::Download, 1, &payload)));
        // As development versions wrote it: numbers of eight bytes, and a checksum.
        let older = [&[0; 64][..], &crc32fast::hash(&[0; 64]).to_le_bytes()].concat();
        assert!(!read(&older));
    }

    #[test]
    fn version_1_is_written_as_it_was() {
        let entry = entry("http://a/", 3);
        let written = encode(&entry);
        assert_eq!(hex(&payload(&written)), VERSION_1);
    }

    const VERSION_1: &str = concat!(
        "80897a80897a80a8d6b907010009687474703a2f2f612f010bc801390d0a43616368652d436f6e74726f6c3a206d6178",
        "2d6167653d36300d0a436f6e74656e742d547970653a20746578742f706c61696e0d0a0d0a020d63616368652d636f6e",
        "74726f6c0a6d61782d6167653d36300c636f6e74656e742d747970650a746578742f706c61696e",
    );
}
