//! Grammar and state machines of the protocols a URL session speaks: no IO, no clock, no async.
//!
//! Bytes go in, values come out. Nothing here opens a socket, reads a clock, spawns a task or keeps global state,
//! and everything a peer controls has a limit. The library's layers decide what to *do* with what is read here.
//!
//! | Module | Grammar |
//! |---|---|
//! | [`http1`] | HTTP/1.1 heads, body framings, persistence (RFC 9112) |
//! | [`method`] | What a method promises, and how Apple spells it (RFC 9110 §9) |
//! | [`field`] | Field names, values and lists (RFC 9110 §5) |
//! | [`auth`] | Challenges and credentials of HTTP: Basic, Digest, NTLM (RFC 9110 §11, RFC 7617, RFC 7616, MS-NLMP) |
//! | [`caching`] | What may be kept, for how long and for whom (RFC 9111) |
//! | [`date`] | Dates of fields (RFC 9110 §5.6.7), and the calendar |
//! | [`coding`] | Content codings (RFC 9110 §8.4) |
//! | [`cookie`] | `Set-Cookie`, its dates, and where a cookie goes (RFC 6265bis) |
//! | [`range`] | Ranges of bytes, and what an answer to them means (RFC 9110 §14) |
//! | [`digest_fields`] | `Repr-Digest`, `Want-Repr-Digest` (RFC 9530) |
//! | [`hsts`] | `Strict-Transport-Security` (RFC 6797) |
//! | [`mime`] | `Content-Type` (RFC 9110 §8.3) and file extensions |
//! | [`data_url`] | `data:` URLs (RFC 2397) |
//! | [`disposition`] | The file name of `Content-Disposition` (RFC 6266, RFC 8187) |
//! | [`multipart`] | A body of parts (RFC 2046 §5.1) |
//! | [`resumable_upload`] | Resumable uploads (draft-ietf-httpbis-resumable-upload) |
//! | [`form_data`] | `multipart/form-data` as it is written (RFC 7578) |
//! | [`trailers`] | Fields after the content (RFC 9110 §6.5) |
//! | [`utf8`] | A byte stream as text |
//! | [`lines`] | A byte stream cut into lines |
//! | [`clusters`] | A byte stream cut into grapheme clusters (Unicode UAX #29) |
//!
//! ```
//! use urlsession_proto::http1::{BodyDecoder, HeadLimits, parse_response, response_framing};
//!
//! let received = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
//! let (head, consumed) = parse_response(received, &HeadLimits::default())?.expect("the head is complete");
//! let framing = response_framing(&http::Method::GET, head.status, head.version, &head.headers)?;
//!
//! let rest = &received[consumed..];
//! let mut body = BodyDecoder::new(framing);
//! let step = body.decode(rest)?;
//! assert_eq!(&rest[step.data], b"hello");
//! assert!(body.is_finished());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod auth;
pub mod caching;
pub mod clusters;
pub mod coding;
pub mod cookie;
pub mod data_url;
pub mod date;
pub mod digest_fields;
pub mod disposition;
pub mod field;
pub mod form_data;
pub mod hsts;
pub mod http1;
pub mod lines;
pub mod method;
pub mod mime;
pub mod multipart;
pub mod priority;
pub mod range;
pub mod resumable_upload;
pub mod retry_after;
pub mod scheme;
#[cfg(test)]
mod test_support;
pub mod trailers;
pub mod userinfo;
pub mod utf8;
pub mod zone;
