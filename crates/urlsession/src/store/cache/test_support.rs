//! For the store's tests: entries of a given size.

use std::sync::Arc;

use bytes::Bytes;
use http::Version;
use urlsession_proto::caching::Times;

use super::entry::{CacheEntry, Content, Said, Variant};
use crate::message::{CachedUrlResponse, HttpUrlResponse};

/// An entry with a body of `length` bytes.
pub(super) fn entry(key: &str, length: usize) -> Arc<CacheEntry> {
    let fields = [("Cache-Control", "max-age=60"), ("Content-Type", "text/plain")];
    let response = HttpUrlResponse::new(key.parse().unwrap(), 200, Version::HTTP_11, fields).unwrap();
    let data = Bytes::from(vec![b'x'; length]);
    let cached = CachedUrlResponse::coded(response.into(), data.clone());
    let times = Times { requested: 1_000_000, received: 1_000_000 };
    let variant = Variant::of(Vec::new(), |_| Said::Nothing);
    Arc::new(CacheEntry::new(key.into(), variant, &cached, times, Content::Memory(data)))
}
