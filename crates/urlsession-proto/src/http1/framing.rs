//! Where a response's body ends (RFC 9112 §6). Decides from the head alone; counting the bytes is
//! [`BodyDecoder`](super::BodyDecoder)'s. What two recipients could read in two ways is refused, not repaired.

use std::fmt;

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use crate::field::{first, has, list};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body, whatever the fields say.
    Empty,
    /// The body has this many bytes.
    Length(u64),
    /// The body is a sequence of chunks.
    Chunked,
    /// The body ends where the connection does.
    UntilClose,
}

/// Why the end of a body cannot be told safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// Two Content-Length values that differ.
    ConflictingLengths,
    /// A Content-Length that is no decimal number, or too large a one.
    InvalidLength,
    /// A Transfer-Encoding other than `chunked` or `identity` alone.
    UnknownTransferCoding,
    /// `chunked` from a peer that speaks HTTP/1.0.
    TransferEncodingInHttp10,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConflictingLengths => "the response has Content-Length values that differ",
            Self::InvalidLength => "the response's Content-Length is not a number of bytes",
            Self::UnknownTransferCoding => "the response has a transfer coding other than chunked",
            Self::TransferEncodingInHttp10 => "the HTTP/1.0 response has a Transfer-Encoding",
        })
    }
}

impl std::error::Error for FramingError {}

/// The framing of the body that follows this head, in answer to a request with `method`.
pub fn response_framing(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
) -> Result<Framing, FramingError> {
    // RFC 9112 §6.3 rules 1 and 2: these have no body, and their length fields describe another response or none.
    let bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || *method == Method::HEAD
        || (*method == Method::CONNECT && status.is_success());
    if bodiless {
        return Ok(Framing::Empty);
    }
    if has(headers, &TRANSFER_ENCODING) {
        return transfer_framing(version, headers);
    }
    Ok(match content_length(headers)? {
        Some(length) => Framing::Length(length),
        // RFC 9112 §6.3 rule 8.
        None => Framing::UntilClose,
    })
}

/// The length a response announces in its first `Content-Length`, whether or not a body of it follows.
pub fn announced_length(headers: &HeaderMap) -> Option<u64> {
    let value = first(headers, &CONTENT_LENGTH)?.as_bytes();
    decimal(value).or_else(|| decimal(value.split(|&b| b == b',').next()?.trim_ascii()))
}

/// The one length that all Content-Length values agree on.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, FramingError> {
    let Some(first) = first(headers, &CONTENT_LENGTH) else { return Ok(None) };
    // Nearly all are one number.
    if headers.len() == headers.keys_len()
        && let Some(length) = decimal(first.as_bytes())
    {
        return Ok(Some(length));
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        // RFC 9110 §8.6: a list of equal values, in one field or several, may be taken for one.
        for member in value.as_bytes().split(|&b| b == b',') {
            let member = decimal(member.trim_ascii()).ok_or(FramingError::InvalidLength)?;
            if length.is_some_and(|length| length != member) {
                return Err(FramingError::ConflictingLengths);
            }
            length = Some(member);
        }
    }
    Ok(length)
}

/// RFC 9112 §6.1 and §6.3 rules 3 and 4. We send no TE, so `chunked` is the only coding we may be sent. It overrides a
/// length; that the connection then ends is for [`keep_alive`](super::keep_alive) to say.
fn transfer_framing(version: Version, headers: &HeaderMap) -> Result<Framing, FramingError> {
    match transfer_coding(headers)? {
        Coding::Chunked if version < Version::HTTP_11 => Err(FramingError::TransferEncodingInHttp10),
        Coding::Chunked => Ok(Framing::Chunked),
        // RFC 2616 §3.6: as if there were no Transfer-Encoding.
        Coding::Identity => Ok(content_length(headers)?.map_or(Framing::UntilClose, Framing::Length)),
    }
}

enum Coding {
    Chunked,
    Identity,
}

fn transfer_coding(headers: &HeaderMap) -> Result<Coding, FramingError> {
    let mut only = None;
    for value in headers.get_all(TRANSFER_ENCODING) {
        let value = value.to_str().map_err(|_| FramingError::UnknownTransferCoding)?;
        for coding in list(value) {
            let known = if coding.eq_ignore_ascii_case("chunked") {
                Coding::Chunked
            } else if coding.eq_ignore_ascii_case("identity") {
                Coding::Identity
            } else {
                return Err(FramingError::UnknownTransferCoding);
            };
            // RFC 9112 §7.1: chunked is never applied twice; identity beside it is as ambiguous.
            if only.replace(known).is_some() {
                return Err(FramingError::UnknownTransferCoding);
            }
        }
    }
    only.ok_or(FramingError::UnknownTransferCoding)
}

/// RFC 9110 §8.6: `1*DIGIT`, so neither a sign nor nothing.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |&(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        let mut headers = HeaderMap::new();
        headers.extend(fields.iter().map(field));
        headers
    }

    fn framing(fields: &[(&str, &str)]) -> Result<Framing, FramingError> {
        response_framing(&Method::GET, StatusCode::OK, Version::HTTP_11, &headers(fields))
    }

    #[test]
    fn the_announced_length_is_the_first_number() {
        let announced = |value: &str| announced_length(&headers(&[("content-length", value)]));
        assert_eq!((announced("17"), announced(" 17 "), announced("17, 18")), (Some(17), Some(17), Some(17)));
        for not_a_number in ["", "+17", "-1", "0x11", "x, 17", "18446744073709551616"] {
            assert_eq!(announced(not_a_number), None, "{not_a_number:?}");
        }
        assert_eq!(announced_length(&headers(&[("content-length", "1"), ("content-length", "2")])), Some(1));
        assert_eq!(announced_length(&headers(&[])), None);
    }

    #[test]
    fn some_responses_have_no_body_whatever_their_fields_say() {
        let headers =
            headers(&[("content-length", "5"), ("content-length", "x"), ("transfer-encoding", "gzip")]);
        for (method, status) in [
            (Method::HEAD, 200),
            (Method::HEAD, 404),
            (Method::GET, 100),
            (Method::GET, 101),
            (Method::GET, 199),
            (Method::GET, 204),
            (Method::GET, 304),
            (Method::CONNECT, 200),
            (Method::CONNECT, 299),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let framing = response_framing(&method, status, Version::HTTP_11, &headers);
            assert_eq!(framing, Ok(Framing::Empty), "{method} {status}");
        }
    }

    #[test]
    fn a_refused_connect_has_a_body() {
        let headers = headers(&[("content-length", "5")]);
        let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        let framing = response_framing(&Method::CONNECT, status, Version::HTTP_11, &headers);
        assert_eq!(framing, Ok(Framing::Length(5)));
    }

    #[test]
    fn lengths_that_agree_are_one() {
        for (fields, expected) in [
            (&[][..], Ok(Framing::UntilClose)),
            (&[("content-length", "0")], Ok(Framing::Length(0))),
            (&[("content-length", "42, 42")], Ok(Framing::Length(42))),
            (&[("content-length", "42"), ("content-length", "42 ,042")], Ok(Framing::Length(42))),
            (&[("content-length", "18446744073709551615")], Ok(Framing::Length(u64::MAX))),
            (&[("content-length", "42, 43")], Err(FramingError::ConflictingLengths)),
            (&[("content-length", "42"), ("content-length", "43")], Err(FramingError::ConflictingLengths)),
            (&[("content-length", "18446744073709551616")], Err(FramingError::InvalidLength)),
            (&[("content-length", "42"), ("content-length", "x")], Err(FramingError::InvalidLength)),
        ] {
            assert_eq!(framing(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_length_that_is_not_all_digits_is_refused() {
        for value in ["", " ", ",", "42,", ",42", "+42", "-1", "0x2a", "4 2", "42.0", "42;", "\"42\"", "٤"] {
            assert_eq!(framing(&[("content-length", value)]), Err(FramingError::InvalidLength), "{value:?}");
        }
    }

    #[test]
    fn only_chunked_or_identity_alone_is_a_known_transfer_coding() {
        let unknown = Err(FramingError::UnknownTransferCoding);
        for (value, expected) in [
            ("chunked", Ok(Framing::Chunked)),
            ("CHUNKED", Ok(Framing::Chunked)),
            (" , chunked,, ", Ok(Framing::Chunked)),
            ("identity", Ok(Framing::UntilClose)),
            ("", unknown),
            ("gzip", unknown),
            ("gzip, chunked", unknown),
            ("chunked, gzip", unknown),
            ("chunked, chunked", unknown),
            ("identity, chunked", unknown),
            ("chunked, identity", unknown),
            ("chunked;q=1", unknown),
            ("\"chunked\"", unknown),
            ("xchunked", unknown),
            ("ｃhunked", unknown),
        ] {
            assert_eq!(framing(&[("transfer-encoding", value)]), expected, "{value:?}");
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(framing(&twice), unknown);
    }

    #[test]
    fn chunked_overrides_a_length_and_identity_does_not() {
        let unknown = Err(FramingError::UnknownTransferCoding);
        for (length, coding, expected) in [
            ("5", "chunked", Ok(Framing::Chunked)),
            ("5, 6", "chunked", Ok(Framing::Chunked)),
            ("x", "Chunked", Ok(Framing::Chunked)),
            ("5", "identity", Ok(Framing::Length(5))),
            ("5, 6", "identity", Err(FramingError::ConflictingLengths)),
            ("x", "identity", Err(FramingError::InvalidLength)),
            ("5", "gzip", unknown),
            ("5", "gzip, chunked", unknown),
            ("5", "xchunked", unknown),
            ("5", "", unknown),
        ] {
            let fields = [("content-length", length), ("transfer-encoding", coding)];
            assert_eq!(framing(&fields), expected, "{length} {coding}");
        }
    }

    #[test]
    fn in_http_1_0_chunked_is_refused_and_identity_is_nothing() {
        for (fields, expected) in [
            (&[("transfer-encoding", "chunked")][..], Err(FramingError::TransferEncodingInHttp10)),
            (
                &[("transfer-encoding", "chunked"), ("content-length", "5")],
                Err(FramingError::TransferEncodingInHttp10),
            ),
            (&[("transfer-encoding", "identity"), ("content-length", "5")], Ok(Framing::Length(5))),
            (&[("transfer-encoding", "identity")], Ok(Framing::UntilClose)),
            (&[("transfer-encoding", "gzip")], Err(FramingError::UnknownTransferCoding)),
        ] {
            let framing = response_framing(&Method::GET, StatusCode::OK, Version::HTTP_10, &headers(fields));
            assert_eq!(framing, expected, "{fields:?}");
        }
    }
}
