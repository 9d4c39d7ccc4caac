//! The dialects: the versions of the draft that clients and servers were built to, and what each writes.

use http::HeaderValue;

/// A version of the draft, by its interop version. The ones between were never deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Interop version 3: draft -01.
    V3,
    /// Interop version 5: draft -03.
    V5,
    /// Interop version 6: drafts -04 and -05.
    V6,
    /// Interop version 8: drafts -09 to -12.
    V8,
}

/// A field of a request.
type Field = (&'static str, HeaderValue);

impl Dialect {
    /// The dialect to begin with.
    pub const NEWEST: Self = Self::V8;

    /// All of them, the newest first.
    pub const ALL: [Self; 4] = [Self::V8, Self::V6, Self::V5, Self::V3];

    /// The number in `Upload-Draft-Interop-Version`.
    pub fn version(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V5 => 5,
            Self::V6 => 6,
            Self::V8 => 8,
        }
    }

    /// The dialect of an interop version.
    pub fn of_version(version: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| u64::from(dialect.version()) == version)
    }

    /// The one before.
    pub fn older(self) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| *dialect < self)
    }

    /// The fields of a request that creates an upload: whether its content reaches the end of the representation, and how
    /// long that is, if it is known.
    pub fn creation(self, is_complete: bool, length: Option<u64>) -> Vec<Field> {
        let mut fields = vec![self.interop(), self.completeness(is_complete)];
        fields.extend(self.length(length));
        fields
    }

    /// The fields of a `PATCH` whose content begins at `offset`.
    pub fn append(self, offset: u64, is_complete: bool, length: Option<u64>) -> Vec<Field> {
        let mut fields = vec![self.interop(), (OFFSET, offset.into()), self.completeness(is_complete)];
        fields.extend(self.length(length));
        if self >= Self::V6 {
            fields.push(("content-type", HeaderValue::from_static(PARTIAL_UPLOAD)));
        }
        fields
    }

    /// The fields of `HEAD`, `DELETE` and `OPTIONS`.
    pub fn asking(self) -> Vec<Field> {
        vec![self.interop()]
    }

    /// Whether a target says by `OPTIONS` that it takes uploads, and within which limits.
    pub fn can_discover(self) -> bool {
        self >= Self::V6
    }

    /// Whether `Upload-Incomplete` is spoken here, the inverse of `Upload-Complete`.
    pub(super) fn says_incomplete(self) -> bool {
        self == Self::V3
    }

    /// Whether a server must say of every answer that ends an append that it is the target's.
    pub(super) fn names_the_answer(self) -> bool {
        self >= Self::V8
    }

    fn interop(self) -> Field {
        (VERSION, u64::from(self.version()).into())
    }

    fn completeness(self, is_complete: bool) -> Field {
        match self.says_incomplete() {
            true => (INCOMPLETE, boolean(!is_complete)),
            false => (COMPLETE, boolean(is_complete)),
        }
    }

    /// From draft -05 on, which shares its interop version with -04; there the field is nothing but unknown.
    fn length(self, length: Option<u64>) -> Option<Field> {
        let length = length.filter(|length| self >= Self::V6 && *length <= LARGEST)?;
        Some((LENGTH, length.into()))
    }
}

fn boolean(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "?1" } else { "?0" })
}

pub(super) const COMPLETE: &str = "upload-complete";
pub(super) const INCOMPLETE: &str = "upload-incomplete";
pub(super) const OFFSET: &str = "upload-offset";
pub(super) const LENGTH: &str = "upload-length";
pub(super) const LIMIT: &str = "upload-limit";
pub(super) const VERSION: &str = "upload-draft-interop-version";
const PARTIAL_UPLOAD: &str = "application/partial-upload";

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fields: Vec<Field>) -> String {
        let lines = fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        lines.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_dialect_writes_a_creation_in_its_own_words() {
        for (dialect, fields) in [
            (Dialect::V3, "upload-draft-interop-version: 3; upload-incomplete: ?0"),
            (Dialect::V5, "upload-draft-interop-version: 5; upload-complete: ?1"),
            (Dialect::V6, "upload-draft-interop-version: 6; upload-complete: ?1; upload-length: 9"),
            (Dialect::V8, "upload-draft-interop-version: 8; upload-complete: ?1; upload-length: 9"),
        ] {
            assert_eq!(text(dialect.creation(true, Some(9))), fields);
        }
        assert_eq!(
            text(Dialect::V8.creation(false, None)),
            "upload-draft-interop-version: 8; upload-complete: ?0"
        );
        assert!(text(Dialect::V3.creation(false, None)).ends_with("upload-incomplete: ?1"));
        assert!(!text(Dialect::V8.creation(true, Some(u64::MAX))).contains("length"));
    }

    #[test]
    fn an_append_says_where_it_begins_and_since_version_6_what_it_is() {
        for (dialect, fields) in [
            (Dialect::V3, "upload-draft-interop-version: 3; upload-offset: 5; upload-incomplete: ?1"),
            (Dialect::V5, "upload-draft-interop-version: 5; upload-offset: 5; upload-complete: ?0"),
            (
                Dialect::V6,
                "upload-draft-interop-version: 6; upload-offset: 5; upload-complete: ?0; \
                 upload-length: 9; content-type: application/partial-upload",
            ),
        ] {
            assert_eq!(text(dialect.append(5, false, Some(9))), fields);
        }
        assert_eq!(text(Dialect::V5.asking()), "upload-draft-interop-version: 5");
    }

    #[test]
    fn versions_lead_from_the_newest_to_the_oldest() {
        let mut order = vec![Dialect::NEWEST];
        while let Some(older) = order.last().and_then(|last| last.older()) {
            order.push(older);
        }
        assert_eq!(order, Dialect::ALL);
        assert_eq!(Dialect::of_version(6), Some(Dialect::V6));
        assert_eq!(Dialect::of_version(7), None);
    }
}
