//! Content codings by name (RFC 9110 §8.4); `decoder` undoes them.

mod decoder;
mod gzip;

use http::header::{CONTENT_ENCODING, HeaderMap};

pub use self::decoder::{ContentDecodeError, ContentDecoder, Decoded};
use crate::field::{has, list};

/// A content coding we can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// `gzip` and `x-gzip` (RFC 9110 §8.4.1.3).
    Gzip,
    /// `deflate`: the zlib format (RFC 9110 §8.4.1.2), though some servers send raw deflate.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

/// The Accept-Encoding of a request whose app set none.
pub const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// The codings of a body in the order they were applied; they are undone from the last to the first.
///
/// `None` if one is unknown, or if there are more than five: the body is then passed on as it is.
pub fn content_codings(headers: &HeaderMap) -> Option<Vec<ContentCoding>> {
    let mut codings = Vec::new();
    if !has(headers, &CONTENT_ENCODING) {
        return Some(codings);
    }
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in list(value.to_str().ok()?) {
            let Some(coding) = coding(name)? else { continue };
            if codings.len() == MAX_CODINGS {
                return None;
            }
            codings.push(coding);
        }
    }
    Some(codings)
}

/// The coding of this name; identity is known, and none (RFC 9110 §8.4.1).
fn coding(name: &str) -> Option<Option<ContentCoding>> {
    NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, coding)| coding)
}

/// Each coding may multiply the body a thousandfold.
const MAX_CODINGS: usize = 5;

const NAMES: [(&str, Option<ContentCoding>); 6] = [
    ("gzip", Some(ContentCoding::Gzip)),
    ("br", Some(ContentCoding::Brotli)),
    ("zstd", Some(ContentCoding::Zstd)),
    ("deflate", Some(ContentCoding::Deflate)),
    ("x-gzip", Some(ContentCoding::Gzip)),
    ("identity", None),
];

#[cfg(test)]
mod tests {
    use super::ContentCoding::*;
    use super::*;
    use http::header::HeaderValue;

    fn codings(values: &[&'static str]) -> Option<Vec<ContentCoding>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        content_codings(&headers)
    }

    #[test]
    fn codings_are_told_in_the_order_they_were_applied() {
        for (values, expected) in [
            (&[][..], Some(vec![])),
            (&[""], Some(vec![])),
            (&["identity"], Some(vec![])),
            (&["gzip"], Some(vec![Gzip])),
            (&["X-GZip"], Some(vec![Gzip])),
            (&["deflate, BR", "zstd"], Some(vec![Deflate, Brotli, Zstd])),
            (&["gzip, identity, , gzip"], Some(vec![Gzip, Gzip])),
        ] {
            assert_eq!(codings(values), expected, "{values:?}");
        }
    }

    #[test]
    fn an_unknown_coding_leaves_the_whole_body_raw() {
        for value in ["compress", "gzip, aes128gcm", "gzip;q=1", "\"gzip\""] {
            assert_eq!(codings(&[value]), None, "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_ENCODING, HeaderValue::from_bytes(b"gz\xff").unwrap());
        assert_eq!(content_codings(&headers), None);
    }

    #[test]
    fn more_than_five_codings_are_not_undone() {
        assert_eq!(codings(&["br, br, br, identity, br, br"]), Some(vec![Brotli; 5]));
        assert_eq!(codings(&["br, br, br, br, br", "br"]), None);
    }

    #[test]
    fn every_coding_accepted_is_known() {
        assert_eq!(codings(&[ACCEPT_ENCODING]), Some(vec![Gzip, Deflate, Brotli, Zstd]));
    }
}
