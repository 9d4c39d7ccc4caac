//! What may be kept (RFC 9111 §3), for which requests (§4.1), and how a 304 changes it (§3.2).

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderMap,
    LAST_MODIFIED, PRAGMA, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderName, StatusCode};

use super::CacheControl;
use crate::field::list;

/// Why a response is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStorable {
    /// It says nothing about caching and has no validator.
    SaysNothing,
    /// Its status is not kept, or only with a lifetime or a validator.
    Status,
    /// It is a part of a whole.
    Partial,
    /// `no-store`.
    NoStore,
    /// It answers this one request only (`Vary: *`).
    VariesByEverything,
}

/// May a response to a GET be kept? RFC 9111 §3.
///
/// # Errors
/// Says why not.
pub fn storable(status: StatusCode, fields: &HeaderMap, control: &CacheControl) -> Result<(), NotStorable> {
    let (Some(rank), false) = (rank(status), fields.contains_key(WWW_AUTHENTICATE)) else {
        let is_partial = status == StatusCode::PARTIAL_CONTENT;
        return Err(if is_partial { NotStorable::Partial } else { NotStorable::Status });
    };
    // RFC 9111 §5.2.2.3
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    if fields.contains_key(CONTENT_RANGE) {
        return Err(NotStorable::Partial);
    }
    if vary(fields) == Vary::Everything {
        return Err(NotStorable::VariesByEverything);
    }
    let is_timed = control.max_age.is_some() || fields.contains_key(EXPIRES);
    let is_validated = fields.contains_key(ETAG) || fields.contains_key(LAST_MODIFIED);
    match rank {
        Rank::Success => Ok(()),
        Rank::Heuristic if is_timed || is_validated => Ok(()),
        Rank::Explicit if is_timed || control.public => Ok(()),
        _ => Err(NotStorable::Status),
    }
}

/// Does the head say anything a cache could use? What does not is not kept. Costs no allocation.
pub fn says_something(fields: &HeaderMap) -> bool {
    // Heads are short: to compare names is quicker than to look up five.
    let names = [CACHE_CONTROL, EXPIRES, ETAG, LAST_MODIFIED, PRAGMA];
    fields.keys().any(|name| names.contains(name))
}

enum Rank {
    Success,
    /// Kept if there is a use for it.
    Heuristic,
    /// Kept only if it says so.
    Explicit,
}

/// The statuses this cache understands; a failure of the server is never kept.
fn rank(status: StatusCode) -> Option<Rank> {
    match status.as_u16() {
        200 | 203 | 204 => Some(Rank::Success),
        300 | 301 | 308 | 404 | 405 | 410 | 414 | 501 => Some(Rank::Heuristic),
        302 | 303 | 307 => Some(Rank::Explicit),
        _ => None,
    }
}

/// RFC 9110 §15.1, without 206, which is not kept.
pub(super) fn is_heuristic(status: StatusCode) -> bool {
    matches!(rank(status), Some(Rank::Success | Rank::Heuristic))
}

/// Which request fields chose the response (RFC 9110 §12.5.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Other requests may get another response, whatever their fields.
    Everything,
    /// These; none if the response does not vary.
    Fields(Vec<HeaderName>),
}

/// The names in `Vary`. What cannot be read, and more than 32 names, is everything.
pub fn vary(fields: &HeaderMap) -> Vary {
    let mut names = Vec::new();
    for value in fields.get_all(VARY) {
        let Ok(value) = value.to_str() else { return Vary::Everything };
        for name in list(value) {
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) if name != "*" && names.len() < MAX_NAMES => {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                _ => return Vary::Everything,
            }
        }
    }
    Vary::Fields(names)
}

/// The stored head after a 304 with these fields (RFC 9111 §3.2).
pub fn merged(stored: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let mut merged = stored.clone();
    for name in fresh.keys().filter(|name| updates(name)) {
        merged.remove(name);
        for value in fresh.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    }
    merged
}

/// Does a field of a 304 replace the stored one? Not if it is of the connection, or describes the body that is kept.
pub fn updates(name: &HeaderName) -> bool {
    const KEPT: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE];
    // RFC 9111 §3.1
    const OF_CONNECTION: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    !KEPT.contains(name) && !OF_CONNECTION.contains(&name.as_str())
}

const MAX_NAMES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    type Head = &'static [(&'static str, &'static str)];

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_may_be_kept_is_kept() {
        use NotStorable::*;
        let cases: [(u16, Head, Result<(), NotStorable>); 18] = [
            (200, &[("cache-control", "max-age=60")], Ok(())),
            (200, &[("cache-control", "max-age=0")], Ok(())),
            (200, &[("cache-control", "private, no-cache")], Ok(())),
            (200, &[("etag", "\"x\"")], Ok(())),
            (200, &[("cache-control", "no-store, max-age=60")], Err(NoStore)),
            (200, &[("cache-control", "no-store, must-understand")], Ok(())),
            (299, &[("cache-control", "no-store, must-understand")], Err(Status)),
            (200, &[("etag", "\"x\""), ("vary", "*")], Err(VariesByEverything)),
            (200, &[("etag", "\"x\""), ("content-range", "bytes 0-1/2")], Err(Partial)),
            (206, &[("cache-control", "max-age=60")], Err(Partial)),
            (301, &[], Err(Status)),
            (301, &[("cache-control", "max-age=60")], Ok(())),
            (302, &[("etag", "\"x\"")], Err(Status)),
            (302, &[("expires", "0")], Ok(())),
            (404, &[("cache-control", "max-age=60")], Ok(())),
            (401, &[("cache-control", "max-age=60")], Err(Status)),
            (500, &[("cache-control", "max-age=60")], Err(Status)),
            (503, &[("etag", "\"x\"")], Err(Status)),
        ];
        for (status, fields, expected) in cases {
            let fields = head(fields);
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                storable(status, &fields, &CacheControl::of(&fields)),
                expected,
                "{status} {fields:?}"
            );
        }
        assert!(!says_something(&head(&[("date", "x"), ("content-type", "text/plain")])));
        assert!(says_something(&head(&[("last-modified", "x")])));
    }

    #[test]
    fn vary_is_read_and_what_cannot_be_read_is_everything() {
        let names = |names: &[&'static str]| {
            Vary::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
        };
        assert_eq!(vary(&head(&[])), names(&[]));
        let two = head(&[("vary", "Accept, Cookie"), ("vary", "accept")]);
        assert_eq!(vary(&two), names(&["accept", "cookie"]));
        for value in ["*", "Accept, *", "a b", "\"x\""] {
            let mut fields = HeaderMap::new();
            fields.insert(VARY, value.parse().unwrap());
            assert_eq!(vary(&fields), Vary::Everything, "{value}");
        }
        let many = (0..=MAX_NAMES).map(|i| format!("x-{i}")).collect::<Vec<_>>().join(",");
        let mut fields = HeaderMap::new();
        fields.insert(VARY, many.parse().unwrap());
        assert_eq!(vary(&fields), Vary::Everything);
    }

    #[test]
    fn a_304_replaces_what_it_has_but_nothing_that_describes_the_body() {
        let stored = head(&[
            ("etag", "\"a\""),
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("x-kept", "k"),
        ]);
        let fresh = head(&[
            ("etag", "\"b\""),
            ("content-type", "text/html"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("x-many", "3"),
            ("x-new", "n"),
        ]);
        let expected = head(&[
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("x-kept", "k"),
            ("etag", "\"b\""),
            ("x-many", "3"),
            ("x-new", "n"),
        ]);
        assert_eq!(merged(&stored, &fresh), expected);
    }
}
