//! Content codings by name (RFC 9110 §8.4); `decoder` undoes them. Brotli and zstd are built in by the features of their
//! names.

#[cfg(any(feature = "brotli", feature = "zstd"))]
mod compression;
mod decoder;
mod gzip;

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(not(feature = "brotli"))]
#[path = "coding/not_built_in.rs"]
mod brotli;
#[cfg(feature = "zstd")]
mod zstd;
#[cfg(not(feature = "zstd"))]
#[path = "coding/not_built_in.rs"]
mod zstd;

use http::header::{CONTENT_ENCODING, HeaderMap};

pub use self::decoder::{ContentDecodeError, ContentDecoder, Decoded};
use crate::field::{has, list};

/// A content coding that can be undone; [`is_built_in`](Self::is_built_in) says which are.
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

impl ContentCoding {
    /// Whether this build can undo the coding. Gzip and deflate always; brotli and zstd with the features of their names.
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Gzip | Self::Deflate => true,
            Self::Brotli => cfg!(feature = "brotli"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

/// The `Accept-Encoding` of a request whose application set none: the codings that are built in.
pub const ACCEPT_ENCODING: &str =
    match (ContentCoding::Brotli.is_built_in(), ContentCoding::Zstd.is_built_in()) {
        (true, true) => "gzip, deflate, br, zstd",
        (true, false) => "gzip, deflate, br",
        (false, true) => "gzip, deflate, zstd",
        (false, false) => "gzip, deflate",
    };

/// The codings of a body in the order they were applied; they are undone from the last to the first.
///
/// `None` if one is unknown or not built in, or if there are more than five: the body is then passed on as it is.
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
    let (_, coding) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    coding.is_none_or(ContentCoding::is_built_in).then_some(*coding)
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
            (&["gzip, identity, , gzip"], Some(vec![Gzip, Gzip])),
            #[cfg(all(feature = "brotli", feature = "zstd"))]
            (&["deflate, BR", "zstd"], Some(vec![Deflate, Brotli, Zstd])),
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
        assert_eq!(codings(&["gzip, gzip, gzip, identity, gzip, gzip"]), Some(vec![Gzip; 5]));
        assert_eq!(codings(&["gzip, gzip, gzip, gzip, gzip", "gzip"]), None);
    }

    #[test]
    fn exactly_the_codings_that_are_built_in_are_accepted_and_undone() {
        let all = [Gzip, Deflate, Brotli, Zstd].into_iter();
        assert_eq!(codings(&[ACCEPT_ENCODING]), Some(all.filter(|coding| coding.is_built_in()).collect()));
        for (name, coding) in [("gzip", Gzip), ("deflate", Deflate), ("br", Brotli), ("zstd", Zstd)] {
            assert_eq!(codings(&[name]).is_some(), coding.is_built_in(), "{name}");
            let begins = ContentDecoder::new(coding).decode(ZSTD_EMPTY, &mut [0; 8]);
            let is_refused = begins == Err(ContentDecodeError::NotBuiltIn);
            assert_eq!(is_refused, matches!(coding, Brotli | Zstd) && !coding.is_built_in(), "{name}");
        }
    }

    /// A frame of zstd without content.
    const ZSTD_EMPTY: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00];
}
