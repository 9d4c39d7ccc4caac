//! Whether a connection outlives an exchange (RFC 9112 §9.3). Reads what the peer said; when an idle connection is
//! closed is the pool's to decide.

use std::time::Duration;

use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName};

use super::Framing;
use crate::field::{has, list};

/// Whether the connection may carry another exchange after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It may, within what the peer's Keep-Alive field grants.
    Persist {
        /// How long the peer keeps it open while idle.
        timeout: Option<Duration>,
        /// How many more exchanges the peer allows.
        max: Option<u32>,
    },
    /// It may not.
    Close(CloseReason),
}

/// Why a connection ends with an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer speaks HTTP/1.0 and did not ask to keep it open.
    Http10,
    /// The peer sent `Connection: close`.
    ConnectionClose,
    /// The body ends where the connection does.
    UntilClose,
    /// The body is in chunks and the head has a Content-Length too, as in response splitting (RFC 9112 §6.3 rule 3).
    ChunkedAndLength,
    /// The peer's Keep-Alive field leaves no time or no exchange.
    Exhausted,
}

/// Reads a response's fields for what they say of the connection.
pub fn keep_alive(version: Version, headers: &HeaderMap, framing: &Framing) -> KeepAlive {
    if *framing == Framing::UntilClose {
        return KeepAlive::Close(CloseReason::UntilClose);
    }
    if *framing == Framing::Chunked && has(headers, &CONTENT_LENGTH) {
        return KeepAlive::Close(CloseReason::ChunkedAndLength);
    }
    let mut persists = version >= Version::HTTP_11;
    let connection = has(headers, &CONNECTION).then(|| headers.get_all(CONNECTION));
    for value in connection.into_iter().flatten() {
        for option in value.to_str().into_iter().flat_map(list) {
            // RFC 9112 §9.3: close decides, whatever else is there.
            if option.eq_ignore_ascii_case("close") {
                return KeepAlive::Close(CloseReason::ConnectionClose);
            }
            persists |= option.eq_ignore_ascii_case("keep-alive");
        }
    }
    if !persists {
        return KeepAlive::Close(CloseReason::Http10);
    }
    granted(headers)
}

/// Whether a proxy announces by `Proxy-Connection: close` that it closes the connection after this response. The field is
/// in no standard (RFC 9112, appendix C.2.2); proxies send it in place of `Connection`. It is ignored in responses of
/// servers.
pub fn proxy_closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&PROXY_CONNECTION).into_iter();
    let mut options = values.flat_map(|value| value.to_str().into_iter().flat_map(list));
    options.any(|option| option.eq_ignore_ascii_case("close"))
}

/// The parameters of the Keep-Alive field (RFC 2068 §19.7.1.1), the smallest of each.
fn granted(headers: &HeaderMap) -> KeepAlive {
    if !has(headers, &KEEP_ALIVE) {
        return KeepAlive::Persist { timeout: None, max: None };
    }
    let mut timeout: Option<u32> = None;
    let mut max: Option<u32> = None;
    for value in headers.get_all(&KEEP_ALIVE) {
        for parameter in value.to_str().into_iter().flat_map(list) {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let slot = match name.trim() {
                name if name.eq_ignore_ascii_case("timeout") => &mut timeout,
                name if name.eq_ignore_ascii_case("max") => &mut max,
                _ => continue,
            };
            if let Some(value) = saturating_decimal(value.trim().trim_matches('"')) {
                *slot = Some(slot.map_or(value, |least| least.min(value)));
            }
        }
    }
    if timeout == Some(0) || max == Some(0) {
        return KeepAlive::Close(CloseReason::Exhausted);
    }
    KeepAlive::Persist { timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())), max }
}

fn saturating_decimal(digits: &str) -> Option<u32> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    const PERSIST: KeepAlive = KeepAlive::Persist { timeout: None, max: None };

    fn verdict(version: Version, connection: &[&'static str], keep: &[&'static str]) -> KeepAlive {
        let mut headers = HeaderMap::new();
        for value in connection {
            headers.append(CONNECTION, HeaderValue::from_static(value));
        }
        for value in keep {
            headers.append(&KEEP_ALIVE, HeaderValue::from_static(value));
        }
        keep_alive(version, &headers, &Framing::Length(3))
    }

    #[test]
    fn a_version_decides_unless_a_connection_option_does() {
        let close = KeepAlive::Close(CloseReason::ConnectionClose);
        for (version, connection, expected) in [
            (Version::HTTP_11, &[][..], PERSIST),
            (Version::HTTP_11, &["keep-alive"], PERSIST),
            (Version::HTTP_11, &["upgrade"], PERSIST),
            (Version::HTTP_11, &["Close"], close),
            (Version::HTTP_11, &["foo, close"], close),
            (Version::HTTP_11, &["keep-alive", "x , CLOSE"], close),
            (Version::HTTP_11, &["closed"], PERSIST),
            (Version::HTTP_10, &[], KeepAlive::Close(CloseReason::Http10)),
            (Version::HTTP_10, &["Keep-Alive"], PERSIST),
            (Version::HTTP_10, &["keep-alive, close"], close),
            (Version::HTTP_09, &[], KeepAlive::Close(CloseReason::Http10)),
        ] {
            assert_eq!(verdict(version, connection, &[]), expected, "{version:?} {connection:?}");
        }
    }

    #[test]
    fn a_proxy_closes_if_it_says_so() {
        for (values, closes) in [
            (&[][..], false),
            (&["keep-alive"], false),
            (&["Close"], true),
            (&["keep-alive", "x , close"], true),
            (&["closed"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&PROXY_CONNECTION, HeaderValue::from_static(value));
            }
            assert_eq!(proxy_closes(&headers), closes, "{values:?}");
        }
    }

    #[test]
    fn a_body_until_close_leaves_no_connection() {
        let verdict = keep_alive(Version::HTTP_11, &HeaderMap::new(), &Framing::UntilClose);
        assert_eq!(verdict, KeepAlive::Close(CloseReason::UntilClose));
    }

    #[test]
    fn chunks_beside_a_length_leave_no_connection() {
        let mut headers = HeaderMap::new();
        assert_eq!(keep_alive(Version::HTTP_11, &headers, &Framing::Chunked), PERSIST);
        headers.append(CONTENT_LENGTH, HeaderValue::from_static("5"));
        let verdict = keep_alive(Version::HTTP_11, &headers, &Framing::Chunked);
        assert_eq!(verdict, KeepAlive::Close(CloseReason::ChunkedAndLength));
    }

    #[test]
    fn keep_alive_parameters_are_read_and_nonsense_is_not() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (keep, timeout, max) in [
            (&["timeout=5, max=100"][..], seconds(5), Some(100)),
            (&["Timeout = 5", "MAX=\"7\""], seconds(5), Some(7)),
            (&["timeout=5, timeout=3"], seconds(3), None),
            (&["timeout=99999999999999999999"], seconds(u32::MAX.into()), None),
            (&["timeout=-1, max=+1, max=, x, timeout"], None, None),
            (&["300"], None, None),
        ] {
            assert_eq!(verdict(Version::HTTP_11, &[], keep), KeepAlive::Persist { timeout, max }, "{keep:?}");
        }
    }

    #[test]
    fn a_connection_with_no_time_or_exchange_left_closes() {
        for keep in ["timeout=0", "max=0, timeout=5"] {
            let verdict = verdict(Version::HTTP_11, &[], &[keep]);
            assert_eq!(verdict, KeepAlive::Close(CloseReason::Exhausted));
        }
    }
}
