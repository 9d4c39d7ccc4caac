//! `ResponseForm`: a response as the codec writes it. Nothing is copied to write it, and little to read it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::{HttpHead, UrlResponse};

/// A response.
#[derive(Serialize, Deserialize)]
pub(crate) struct ResponseForm<'a> {
    url: &'a str,
    #[serde(borrow)]
    head: HeadForm<'a>,
}

#[derive(Serialize, Deserialize)]
enum HeadForm<'a> {
    /// Of a scheme without header fields.
    Plain {
        mime_type: Option<Cow<'a, str>>,
        expected_content_length: Option<u64>,
        text_encoding_name: Option<Cow<'a, str>>,
    },
    Http {
        /// Ten times the number: 11 for HTTP/1.1.
        version: u8,
        status: u16,
        /// The head as it came.
        #[serde(borrow)]
        raw: Slice<'a>,
        fields: Fields<'a>,
    },
}

impl<'a> ResponseForm<'a> {
    pub(crate) fn of(response: &'a UrlResponse) -> Self {
        let head = match response.http_head() {
            Some(head) => HeadForm::Http {
                version: version_number(head.version),
                status: head.status.as_u16(),
                raw: Slice(&head.raw),
                fields: Fields(Cow::Borrowed(&head.fields)),
            },
            None => HeadForm::Plain {
                mime_type: response.mime_type(),
                expected_content_length: response.expected_content_length(),
                text_encoding_name: response.text_encoding_name(),
            },
        };
        Self { url: response.url().as_str(), head }
    }

    /// The response; `None` if none is written so.
    pub(crate) fn response(self) -> Option<UrlResponse> {
        let url = Url::parse(self.url).ok()?;
        Some(match self.head {
            HeadForm::Plain { mime_type, expected_content_length, text_encoding_name } => UrlResponse::new(
                url,
                mime_type.as_deref(),
                expected_content_length,
                text_encoding_name.as_deref(),
            ),
            HeadForm::Http { version, status, raw: Slice(raw), fields: Fields(fields) } => {
                let (version, status) = (version_of(version)?, StatusCode::from_u16(status).ok()?);
                let (fields, raw) = (fields.into_owned(), Bytes::copy_from_slice(raw));
                UrlResponse::kept(url, HttpHead { version, status, fields, raw })
            }
        })
    }
}

/// Bytes that stay where they are.
struct Slice<'a>(&'a [u8]);

impl Serialize for Slice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Slice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

/// Names and values, with no list of them in between.
struct Fields<'a>(Cow<'a, HeaderMap>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut lines = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            lines.serialize_element(&(name.as_str(), Slice(value.as_bytes())))?;
        }
        lines.end()
    }
}

impl<'de> Deserialize<'de> for Fields<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Lines).map(|fields| Self(Cow::Owned(fields)))
    }
}

struct Lines;

impl<'de> Visitor<'de> for Lines {
    type Value = HeaderMap;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("header fields")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<HeaderMap, A::Error> {
        // However many it claims to have.
        let mut fields = HeaderMap::with_capacity(lines.size_hint().unwrap_or(0).min(USUAL));
        while let Some((name, Slice(value))) = lines.next_element::<(&str, _)>()? {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(A::Error::custom)?;
            let value = HeaderValue::from_bytes(value).map_err(A::Error::custom)?;
            fields.try_append(name, value).map_err(A::Error::custom)?;
        }
        Ok(fields)
    }
}

fn version_number(version: Version) -> u8 {
    match version {
        Version::HTTP_09 => 9,
        Version::HTTP_10 => 10,
        Version::HTTP_2 => 20,
        Version::HTTP_3 => 30,
        _ => 11,
    }
}

fn version_of(number: u8) -> Option<Version> {
    match number {
        9 => Some(Version::HTTP_09),
        10 => Some(Version::HTTP_10),
        11 => Some(Version::HTTP_11),
        20 => Some(Version::HTTP_2),
        30 => Some(Version::HTTP_3),
        _ => None,
    }
}

/// Fields for which there is space at once.
const USUAL: usize = 24;

#[cfg(test)]
mod tests {
    use super::super::codec::tests::neighbours;
    use super::super::codec::{read, write};
    use super::*;
    use crate::message::HttpUrlResponse;

    fn back(bytes: &[u8]) -> Option<UrlResponse> {
        read::<ResponseForm<'_>>(bytes)?.response()
    }

    fn http() -> UrlResponse {
        let fields: [(&str, &[u8]); 4] =
            [("ETag", b"\"a\""), ("X-Two", b"1"), ("x-two", b"\xff"), ("Set-Cookie", b"")];
        let url = "https://a.example/b?c".parse().unwrap();
        HttpUrlResponse::new(url, 404, Version::HTTP_2, fields).unwrap().into()
    }

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let plain = UrlResponse::new("a:b".parse().unwrap(), Some("text/x"), Some(7), Some("utf-8"));
        let bare = UrlResponse::new("a:b".parse().unwrap(), None, None, None);
        for response in [http(), plain, bare] {
            assert_eq!(back(&write(&ResponseForm::of(&response))), Some(response));
        }
        let read = back(&write(&ResponseForm::of(&http()))).unwrap();
        let spelled = |response: &UrlResponse| response.http().unwrap().all_header_fields();
        assert_eq!(spelled(&read), spelled(&http()));
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_3] {
            assert_eq!(version_of(version_number(version)), Some(version));
        }
    }

    #[test]
    fn whatever_is_read_is_a_response_that_can_be_written() {
        for response in [http(), UrlResponse::new("a:b".parse().unwrap(), Some("text/x"), Some(7), None)] {
            for near in neighbours(&write(&ResponseForm::of(&response))) {
                let Some(read) = back(&near) else { continue };
                assert_eq!(back(&write(&ResponseForm::of(&read))), Some(read));
            }
        }
    }
}
