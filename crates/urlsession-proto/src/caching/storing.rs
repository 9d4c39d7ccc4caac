//! What may be kept (RFC 9111 §3), for which requests (§4.1), and how a 304 changes it (§3.2).

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES,
    HeaderMap, LAST_MODIFIED, PRAGMA, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, StatusCode};

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

/// Whether a response to a GET may be kept. RFC 9111 §3.
///
/// The response must be whole: a 206 is `Partial`.
///
/// # Errors
/// Says why not.
pub fn storable(status: StatusCode, fields: &HeaderMap, control: &CacheControl) -> Result<(), NotStorable> {
    let (Some(rank), false) = (rank(status), fields.contains_key(WWW_AUTHENTICATE)) else {
        let is_partial = status == StatusCode::PARTIAL_CONTENT;
        return Err(if is_partial { NotStorable::Partial } else { NotStorable::Status });
    };
    // RFC 9111 §5.2.2.3
    if control.must_understand && !is_understood(status) {
        return Err(NotStorable::Status);
    }
    if control.no_store && !control.must_understand {
        return Err(NotStorable::NoStore);
    }
    if vary(fields) == Vary::Everything {
        return Err(NotStorable::VariesByEverything);
    }
    let is_timed = control.max_age.is_some() || fields.contains_key(EXPIRES);
    let is_validated = has_validator(fields);
    match rank {
        Rank::Success => Ok(()),
        Rank::Heuristic if is_timed || is_validated => Ok(()),
        Rank::Explicit if is_timed || control.public => Ok(()),
        _ => Err(NotStorable::Status),
    }
}

/// Whether the head says anything a cache could use. What does not is not kept. Costs no allocation.
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

/// Whether there is an entity tag or a date to revalidate by. An empty one is none.
pub fn has_validator(fields: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED].iter().any(|name| fields.get(name).is_some_and(|value| !is_blank(value)))
}

/// Whether the value holds nothing but white space.
pub fn is_blank(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().is_empty()
}

/// What it takes to store a response of this status (RFC 9110 §15.1, RFC 9111 §3); `None` if it is not stored.
fn rank(status: StatusCode) -> Option<Rank> {
    match status.as_u16() {
        200 | 203 | 204 => Some(Rank::Success),
        300 | 301 | 308 | 404 | 405 | 410 | 414 | 501 => Some(Rank::Heuristic),
        // Not of a resource, but of this request: parts, confirmations, logins, ranges.
        206 | 304 | 401 | 407 | 416 => None,
        // RFC 6585 §3 to §6: not stored by a cache.
        428 | 429 | 431 | 511 => None,
        200.. => Some(Rank::Explicit),
        _ => None,
    }
}

/// Whether the status is registered.
fn is_understood(status: StatusCode) -> bool {
    status.canonical_reason().is_some()
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

/// Whether a field of a 304 replaces the stored one. Not if it is of the connection, or describes the body that is kept.
pub fn updates(name: &HeaderName) -> bool {
    const KEPT: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE];
    !KEPT.contains(name) && !is_of_connection(name)
}

/// The fields of a head that are of its connection and are not stored (RFC 9111 §3.1): those that always are, and those
/// that `Connection` names. Costs no allocation where there is none.
pub fn connection_fields(fields: &HeaderMap) -> Vec<HeaderName> {
    let named = fields.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(list);
    let named = named.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let known = fields.keys().filter(|name| is_of_connection(name)).cloned();
    known.chain(named.filter(|name| fields.contains_key(name))).collect()
}

fn is_of_connection(name: &HeaderName) -> bool {
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
    OF_CONNECTION.contains(&name.as_str())
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
        let cases: [(u16, Head, Result<(), NotStorable>); 28] = [
            (200, &[("cache-control", "max-age=60")], Ok(())),
            (200, &[("cache-control", "max-age=0")], Ok(())),
            (200, &[("cache-control", "private, no-cache")], Ok(())),
            (200, &[("etag", "\"x\"")], Ok(())),
            (200, &[("cache-control", "no-store, max-age=60")], Err(NoStore)),
            (200, &[("cache-control", "no-store, must-understand")], Ok(())),
            (299, &[("cache-control", "no-store, must-understand")], Err(Status)),
            (599, &[("cache-control", "max-age=60, must-understand")], Err(Status)),
            (299, &[("cache-control", "max-age=60")], Ok(())),
            (499, &[("expires", "0")], Ok(())),
            (599, &[("cache-control", "public")], Ok(())),
            (201, &[("etag", "\"x\"")], Err(Status)),
            (429, &[("cache-control", "max-age=60")], Err(Status)),
            (304, &[("cache-control", "max-age=60")], Err(Status)),
            (416, &[("cache-control", "max-age=60")], Err(Status)),
            (404, &[("etag", ""), ("last-modified", " ")], Err(Status)),
            (404, &[("etag", "\"\"")], Ok(())),
            (200, &[("etag", "\"x\""), ("vary", "*")], Err(VariesByEverything)),
            (200, &[("etag", "\"x\""), ("content-range", "bytes 0-1/2")], Ok(())),
            (206, &[("cache-control", "max-age=60")], Err(Partial)),
            (301, &[], Err(Status)),
            (301, &[("cache-control", "max-age=60")], Ok(())),
            (302, &[("etag", "\"x\"")], Err(Status)),
            (302, &[("expires", "0")], Ok(())),
            (404, &[("cache-control", "max-age=60")], Ok(())),
            (401, &[("cache-control", "max-age=60")], Err(Status)),
            (500, &[("cache-control", "max-age=60")], Ok(())),
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
    fn fields_of_the_connection_are_named_and_only_where_they_are() {
        let fields = head(&[
            ("connection", "close, X-One"),
            ("connection", "x-two, x-gone"),
            ("keep-alive", "timeout=5"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        let mut names = connection_fields(&fields);
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(names, ["connection", "keep-alive", "x-one", "x-two"]);
        assert!(connection_fields(&head(&[("etag", "x")])).is_empty());
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
