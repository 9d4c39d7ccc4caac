//! `data:` URLs: their media type and their body (RFC 2397, and the Fetch standard's *data: URL processor*).
//!
//! Stricter than the Fetch standard in one thing: a media type that is none is an error, not `text/plain`.

use std::error::Error;
use std::fmt;

use crate::mime::MediaType;

/// What a `data:` URL holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataUrl {
    /// `type/subtype` in lower case; `text/plain` where the URL says nothing.
    pub mime: String,
    /// The first `charset` in lower case. `None` if the URL names none, though RFC 2397 §2 then reads it as US-ASCII.
    pub charset: Option<String>,
    /// The decoded body.
    pub body: Vec<u8>,
}

/// Why a URL is no `data:` URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidDataUrl {
    /// The scheme is another.
    Scheme,
    /// There is no comma before the data.
    Comma,
    /// What stands before the comma does not begin with a media type.
    MediaType,
    /// The data is not base64, though the URL says so.
    Base64,
}

/// Reads a URL; its fragment is not part of the data.
pub fn parse(url: &str) -> Result<DataUrl, InvalidDataUrl> {
    let parsed = data_url::DataUrl::process(url).map_err(|error| match error {
        data_url::DataUrlError::NotADataUrl => InvalidDataUrl::Scheme,
        data_url::DataUrlError::NoComma => InvalidDataUrl::Comma,
    })?;
    let header =
        url.split_once(':').and_then(|(_, rest)| rest.split_once(',')).map_or("", |(header, _)| header);
    // RFC 2397 §2: the media type may be left out, its parameters may not come first without the semicolon.
    let names_type = !header.split(';').next().unwrap_or_default().trim().is_empty();
    if names_type && MediaType::parse(header).is_none() {
        return Err(InvalidDataUrl::MediaType);
    }
    let kind = parsed.mime_type();
    let charset = kind.get_parameter("charset").map(str::to_ascii_lowercase);
    Ok(DataUrl {
        mime: format!("{}/{}", kind.type_, kind.subtype),
        // Where nothing is said at all, the crate gives RFC 2397's default.
        charset: charset.filter(|_| !header.is_empty() && !header.trim().eq_ignore_ascii_case(";base64")),
        body: parsed.decode_to_vec().map_err(|_| InvalidDataUrl::Base64)?.0,
    })
}

impl fmt::Display for InvalidDataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the scheme is not data",
            Self::Comma => "no comma stands before the data",
            Self::MediaType => "what stands before the comma is not a media type",
            Self::Base64 => "the data is not base64",
        })
    }
}

impl Error for InvalidDataUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (String, Option<String>, Vec<u8>) {
        let DataUrl { mime, charset, body } = parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        (mime, charset, body)
    }

    fn expect(url: &str, mime: &str, charset: Option<&str>, body: &[u8]) {
        assert_eq!(read(url), (mime.into(), charset.map(Into::into), body.to_vec()), "{url}");
    }

    #[test]
    fn type_charset_and_body_are_read() {
        expect("data:,A%20brief%20note", "text/plain", None, b"A brief note");
        expect("data:;base64,SGk=", "text/plain", None, b"Hi");
        expect("data:text/HTML;charset=UTF-8,%3Cp%3E", "text/html", Some("utf-8"), b"<p>");
        expect("data:;charset=utf-8;charset=utf-16;image/png,abc", "text/plain", Some("utf-8"), b"abc");
        expect(
            "data:application/json;charset=iso-8859-1;key=value,,123",
            "application/json",
            Some("iso-8859-1"),
            b",123",
        );
        expect("DATA:image/gif;base64,R0lG%4Fg==", "image/gif", None, b"GIF:");
        expect("data:,a#b", "text/plain", None, b"a");
        expect("data:,", "text/plain", None, b"");
    }

    #[test]
    fn what_is_malformed_says_why() {
        for (url, why) in [
            ("http://a/,", InvalidDataUrl::Scheme),
            ("data://blah", InvalidDataUrl::Comma),
            ("data:%2c123", InvalidDataUrl::Comma),
            ("data:application_json;key=value,123", InvalidDataUrl::MediaType),
            ("data:appli/cation/json%3bcharset=x,1", InvalidDataUrl::MediaType),
            ("data:base64,SGk=", InvalidDataUrl::MediaType),
            ("data:;base64,!", InvalidDataUrl::Base64),
        ] {
            assert_eq!(parse(url), Err(why), "{url}");
        }
    }
}
