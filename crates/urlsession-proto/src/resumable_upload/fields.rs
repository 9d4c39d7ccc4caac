//! What a response says of an upload: its fields, each a structured field (RFC 9651).

use std::fmt::Write;

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

use super::dialect::{COMPLETE, INCOMPLETE, LENGTH, LIMIT, OFFSET, VERSION};
use super::{Dialect, Limits};

/// The fields of a response. One of the wrong type is as good as none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadFields {
    /// On a final response: whether it is the target's own answer (`Upload-Complete: ?1`), not one of the protocol.
    /// On one to `HEAD`: whether the upload is complete.
    pub is_complete: Option<bool>,
    /// Bytes below it need never be sent again.
    pub offset: Option<u64>,
    /// The length of the whole representation.
    pub length: Option<u64>,
    /// What the server takes.
    pub limits: Option<Limits>,
    /// The interop version.
    pub version: Option<u64>,
}

impl UploadFields {
    /// Reads a response to a request of this dialect.
    pub fn read(dialect: Dialect, fields: &HeaderMap) -> Self {
        let is_complete = match dialect.says_incomplete() {
            true => boolean(fields, INCOMPLETE).map(|incomplete| !incomplete),
            false => boolean(fields, COMPLETE),
        };
        Self {
            is_complete,
            offset: integer(fields, OFFSET),
            length: integer(fields, LENGTH),
            limits: limits(fields),
            version: integer(fields, VERSION),
        }
    }

    /// Whether the response speaks the protocol at all.
    pub fn says_anything(&self) -> bool {
        *self != Self::default()
    }
}

fn boolean(fields: &HeaderMap, name: &'static str) -> Option<bool> {
    item(fields, name)?.as_boolean()
}

fn integer(fields: &HeaderMap, name: &'static str) -> Option<u64> {
    number(&item(fields, name)?)
}

fn item(fields: &HeaderMap, name: &'static str) -> Option<BareItem> {
    // Parameters are for later versions of the draft (RFC 9651 §2).
    Some(Parser::new(&value(fields, name)?).parse::<Item>().ok()?.bare_item)
}

/// A known key of the wrong type makes the whole field worthless, an unknown key nothing.
fn limits(fields: &HeaderMap) -> Option<Limits> {
    let value = value(fields, LIMIT)?;
    let dictionary: Dictionary = Parser::new(&value).parse().ok()?;
    let mut limits = Limits::default();
    for (key, entry) in &dictionary {
        let place = match key.as_str() {
            "max-size" => &mut limits.max_size,
            "min-size" => &mut limits.min_size,
            "max-append-size" => &mut limits.max_append_size,
            "min-append-size" => &mut limits.min_append_size,
            // The name up to draft -05.
            "max-age" | "expires" => &mut limits.max_age,
            _ => continue,
        };
        let ListEntry::Item(item) = entry else { return None };
        *place = Some(number(&item.bare_item)?);
    }
    Some(limits)
}

fn number(item: &BareItem) -> Option<u64> {
    u64::try_from(i64::from(item.as_integer()?)).ok()
}

/// The lines of a field as one value (RFC 9651 §4.2).
fn value(fields: &HeaderMap, name: &'static str) -> Option<String> {
    let mut joined = String::new();
    for line in fields.get_all(HeaderName::from_static(name)) {
        let line = line.to_str().ok()?;
        if joined.len() + line.len() > LONGEST {
            return None;
        }
        let comma = if joined.is_empty() { "" } else { ", " };
        // A string takes everything.
        let _ = write!(joined, "{comma}{line}");
    }
    (!joined.is_empty()).then_some(joined)
}

/// Bytes of a field's value.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dialect: Dialect, lines: &[(&'static str, &str)]) -> UploadFields {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        UploadFields::read(dialect, &map)
    }

    #[test]
    fn every_field_is_read() {
        let found = read(
            Dialect::V8,
            &[
                ("upload-complete", "?0"),
                ("upload-offset", "100"),
                ("upload-length", "500"),
                ("upload-limit", "max-size=1000, max-append-size=50"),
                ("upload-limit", "max-age=3600"),
                ("upload-draft-interop-version", "8"),
            ],
        );
        let limits = Limits {
            max_size: Some(1000),
            max_append_size: Some(50),
            max_age: Some(3600),
            ..Limits::default()
        };
        assert_eq!(
            found,
            UploadFields {
                is_complete: Some(false),
                offset: Some(100),
                length: Some(500),
                limits: Some(limits),
                version: Some(8),
            }
        );
        assert!(found.says_anything());
        assert!(!read(Dialect::V8, &[]).says_anything());
    }

    #[test]
    fn the_oldest_dialect_says_the_inverse() {
        assert_eq!(read(Dialect::V3, &[("upload-incomplete", "?0")]).is_complete, Some(true));
        assert_eq!(read(Dialect::V3, &[("upload-complete", "?1")]).is_complete, None);
        assert_eq!(read(Dialect::V5, &[("upload-incomplete", "?0")]).is_complete, None);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_ignored() {
        for (name, value) in [
            ("upload-complete", "1"),
            ("upload-complete", "true"),
            ("upload-complete", "?1, ?1"),
            ("upload-offset", "-1"),
            ("upload-offset", "1.5"),
            ("upload-offset", "\"1\""),
            ("upload-offset", "1000000000000000"),
            ("upload-length", "?1"),
            ("upload-limit", "max-size=\"5\""),
            ("upload-limit", "max-size=(1 2)"),
            ("upload-limit", "max-size"),
            ("upload-limit", "max-size=5, expires=?1"),
            ("upload-limit", "max-size=-5"),
            ("upload-limit", "=5"),
        ] {
            assert!(!read(Dialect::V8, &[(name, value)]).says_anything(), "{name}: {value}");
        }
        assert_eq!(read(Dialect::V8, &[("upload-offset", "7;x=y")]).offset, Some(7));
    }

    #[test]
    fn an_unknown_limit_is_passed_over_and_the_lifetime_has_two_names() {
        let limits = |value| read(Dialect::V8, &[("upload-limit", value)]).limits;
        assert_eq!(limits("max-pigs=?1").unwrap(), Limits::default());
        assert_eq!(limits("x=(1), max-age=5").unwrap().max_age, Some(5));
        assert_eq!(limits("expires=7").unwrap().max_age, Some(7));
    }
}
