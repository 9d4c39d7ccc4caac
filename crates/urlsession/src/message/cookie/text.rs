//! `CookieText`: a cookie's name or value. It is bytes (RFC 6265bis §5.6), nearly always UTF-8, and shown as text.

use std::borrow::Cow;

use urlsession_proto::field::text_of;

/// Bytes, and the text they are shown as. Equal if the bytes are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum CookieText {
    Utf8(Box<str>),
    /// Bytes that are not UTF-8, with the text they are in ISO-8859-1.
    Other {
        bytes: Box<[u8]>,
        text: Box<str>,
    },
}

impl CookieText {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match text_of(bytes) {
            Cow::Borrowed(text) => Self::Utf8(text.into()),
            Cow::Owned(text) => Self::Other { bytes: bytes.into(), text: text.into() },
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Utf8(text) | Self::Other { text, .. } => text,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Utf8(text) => text.as_bytes(),
            Self::Other { bytes, .. } => bytes,
        }
    }

    /// Text that is different for different bytes: the marker is in no cookie, which has no control characters.
    pub(super) fn stored(&self) -> Cow<'_, str> {
        match self {
            Self::Utf8(text) => Cow::Borrowed(text),
            Self::Other { text, .. } => Cow::Owned(format!("{NOT_UTF8}{text}")),
        }
    }

    /// The inverse of [`stored`](Self::stored).
    pub(super) fn from_stored(text: &str) -> Self {
        match text.strip_prefix(NOT_UTF8) {
            None => Self::Utf8(text.into()),
            Some(text) => Self::of(&text.chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<_>>()),
        }
    }
}

impl From<&str> for CookieText {
    fn from(text: &str) -> Self {
        Self::Utf8(text.into())
    }
}

const NOT_UTF8: char = '\u{1}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_iso_8859_1_and_stored_apart_from_the_same_text() {
        let (latin, utf8) = (CookieText::of(b"caf\xe9"), CookieText::of("café".as_bytes()));
        assert_eq!((latin.as_str(), utf8.as_str()), ("café", "café"));
        assert_eq!((latin.as_bytes(), utf8.as_bytes()), (&b"caf\xe9"[..], "café".as_bytes()));
        assert!(latin != utf8 && latin.stored() != utf8.stored());
        for text in [latin, utf8, CookieText::of(b""), CookieText::of(b"\xff\x80")] {
            assert!(CookieText::from_stored(&text.stored()) == text);
        }
    }
}
