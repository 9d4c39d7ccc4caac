//! `HttpHead` as a cache needs it: the same head with other fields, in both of its forms, as a map and as it was spelled.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use urlsession_proto::field;

use super::HttpHead;

impl HttpHead {
    /// The same without the fields of these names, also as they were spelled.
    pub(crate) fn without(&self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let mut fields = self.fields.clone();
        for name in self.fields.keys().filter(|name| is_left_out(name.as_str())) {
            fields.remove(name);
        }
        if self.raw.is_empty() {
            return Self { fields, raw: Bytes::new(), ..*self };
        }
        let first = self.raw.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        let mut raw = self.raw[..first].to_vec();
        for (name, value) in field::raw_fields(&self.raw) {
            if !is_left_out(&name.to_ascii_lowercase()) {
                raw.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        raw.extend_from_slice(b"\r\n");
        Self { fields, raw: raw.into(), ..*self }
    }

    /// The same with another status.
    pub(crate) fn with_status(&self, status: StatusCode) -> Self {
        let mut head = Self { status, ..self.clone() };
        if let Some(end) = self.raw.iter().position(|b| *b == b'\n') {
            let reason = status.canonical_reason().unwrap_or_default();
            let line = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
            head.raw = [line.as_bytes(), &self.raw[end + 1..]].concat().into();
        }
        head
    }

    /// The same with this field in place of those of its name.
    pub(crate) fn with(&self, name: HeaderName, spelled: &str, value: HeaderValue) -> Self {
        let is_bare =
            !self.fields.contains_key(&name) && (self.raw.is_empty() || self.raw.ends_with(b"\r\n\r\n"));
        let mut head = if is_bare { self.clone() } else { self.without(|known| known == name.as_str()) };
        if let Some(lines) = head.raw.strip_suffix(b"\r\n") {
            head.raw = [lines, spelled.as_bytes(), b": ", value.as_bytes(), b"\r\n\r\n"].concat().into();
        }
        head.fields.insert(name, value);
        head
    }
}
