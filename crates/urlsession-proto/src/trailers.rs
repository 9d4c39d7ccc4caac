//! Fields after the content (RFC 9110 §6.5): which may stand there. Where they are in a message is each version's own.

use http::HeaderMap;
use http::header::{self, HeaderName};

/// Whether a field of this name may stand after the content. RFC 9110 §6.5.1: a field that frames, routes, modifies,
/// authenticates or describes must have been known before the content, and means nothing after it.
pub fn may_carry(name: &str) -> bool {
    let is = |forbidden: &str| forbidden.eq_ignore_ascii_case(name);
    !FORBIDDEN.iter().any(|forbidden| is(forbidden.as_str()))
        && !FORBIDDEN_EXTENSIONS.iter().any(|name| is(name))
}

/// The fields without those that may not stand after the content.
pub fn allowed(mut fields: HeaderMap) -> HeaderMap {
    for name in FORBIDDEN {
        fields.remove(name);
    }
    for name in FORBIDDEN_EXTENSIONS {
        fields.remove(name);
    }
    fields
}

const FORBIDDEN: [HeaderName; 36] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::RETRY_AFTER,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VARY,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
];
const FORBIDDEN_EXTENSIONS: [&str; 3] = ["keep-alive", "proxy-connection", "set-cookie2"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_known_before_the_content_may_not_come_after_it() {
        for name in ["Content-Length", "transfer-encoding", "HOST", "Keep-Alive", "Authorization", "Trailer"]
        {
            assert!(!may_carry(name), "{name}");
        }
        for name in ["Repr-Digest", "etag", "Server-Timing", "X-Checksum"] {
            assert!(may_carry(name), "{name}");
        }
    }
}
