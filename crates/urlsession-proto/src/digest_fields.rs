//! `Repr-Digest`, `Content-Digest` and `Want-Repr-Digest` (RFC 9530): digests of a representation or of a message's
//! content, said and asked for. Nothing is hashed here.

use http::HeaderMap;
use sfv::{BareItem, DictSerializer, Dictionary, KeyRef, ListEntry, Parser};

/// An algorithm whose digests are good against tampering (RFC 9530 §5); the others are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// `sha-256`, 32 bytes.
    Sha256,
    /// `sha-512`, 64 bytes.
    Sha512,
}

impl DigestAlgorithm {
    /// How many bytes a digest has.
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Never: there is no empty digest.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Its name in the fields.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn named(key: &str) -> Option<Self> {
        match key {
            "sha-256" => Some(Self::Sha256),
            "sha-512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// What asks for them: SHA-256 rather than SHA-512, either rather than none.
pub const WANT_REPR_DIGEST: &str = "sha-256=10, sha-512=9";

/// A value of `Want-Repr-Digest` that asks for one of this algorithm.
pub fn want_field(algorithm: DigestAlgorithm) -> String {
    format!("{}=10", algorithm.key())
}

/// A value of `Repr-Digest` or `Content-Digest` that says this digest; `None` if it is not as long as those of the
/// algorithm.
pub fn digest_field(algorithm: DigestAlgorithm, digest: &[u8]) -> Option<String> {
    let key = KeyRef::from_str(algorithm.key()).ok().filter(|_| digest.len() == algorithm.len())?;
    let mut field = DictSerializer::new();
    // Its parameters are nobody's business.
    let _ = field.bare_item(key, digest);
    field.finish()
}

/// The digests that `Repr-Digest` says, in its order. A field that is no dictionary, or a digest of the wrong length or
/// type, says nothing (RFC 9530 §3, RFC 9651 §4.2).
pub fn repr_digest(fields: &HeaderMap) -> Vec<(DigestAlgorithm, Vec<u8>)> {
    let of = |(algorithm, item): (DigestAlgorithm, BareItem)| match item {
        BareItem::ByteSequence(digest) if digest.len() == algorithm.len() => Some((algorithm, digest)),
        _ => None,
    };
    members(fields, "repr-digest").into_iter().filter_map(of).collect()
}

/// The algorithm that `Want-Repr-Digest` prefers; `None` if it wants none of them (RFC 9530 §4).
pub fn want_repr_digest(fields: &HeaderMap) -> Option<DigestAlgorithm> {
    let preference = |(algorithm, item): (DigestAlgorithm, BareItem)| match item {
        BareItem::Integer(weight) => Some((i64::from(weight), algorithm)),
        _ => None,
    };
    let wanted = members(fields, "want-repr-digest").into_iter().filter_map(preference);
    let wanted = wanted.filter(|(weight, _)| (1..=10).contains(weight));
    wanted.max_by_key(|(weight, _)| *weight).map(|(_, algorithm)| algorithm)
}

/// The members of a dictionary whose keys are known. Several lines of one field are one list (RFC 9651 §4.2).
fn members(fields: &HeaderMap, name: &str) -> Vec<(DigestAlgorithm, BareItem)> {
    let mut whole = Vec::new();
    for value in fields.get_all(name) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(value.as_bytes());
    }
    if whole.len() > LONGEST {
        return Vec::new();
    }
    let Ok(dictionary) = Parser::new(&whole).parse::<Dictionary>() else { return Vec::new() };
    let of = |(key, entry): (sfv::Key, ListEntry)| match entry {
        ListEntry::Item(item) => Some((DigestAlgorithm::named(key.as_str())?, item.bare_item)),
        ListEntry::InnerList(_) => None,
    };
    dictionary.into_iter().filter_map(of).collect()
}

/// Longer fields are not read.
const LONGEST: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::DigestAlgorithm::*;
    use super::*;

    fn fields(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    /// RFC 9530 appendix A: of `{"hello": "world"}` and a line feed.
    const HELLO: &str = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=";

    #[test]
    fn digests_are_read_by_algorithm_and_length() {
        let said = |values: &[&str]| {
            repr_digest(&fields("repr-digest", values))
                .into_iter()
                .map(|(algorithm, digest)| (algorithm, digest[0]))
                .collect::<Vec<_>>()
        };
        let hello = format!("sha-256=:{HELLO}:");
        assert_eq!(said(&[&hello]), [(Sha256, 0x44)]);
        let short = format!("sha-512=:{}:", "A".repeat(84));
        assert_eq!(said(&[&short]), []);
        let right = format!("sha-512=:{}==:", "A".repeat(86));
        assert_eq!(said(&[&right, &hello]), [(Sha512, 0), (Sha256, 0x44)]);
        assert_eq!(said(&[&format!("md5=:AAAA:, {hello};x=1")]), [(Sha256, 0x44)]);
        for nothing in [
            "",
            "sha-256=:AAAA:",
            "sha-256=10",
            "sha-256",
            "sha-256=(:AAAA:)",
            &format!("SHA-256=:{HELLO}:"),
            &format!("sha-256={HELLO}"),
            &format!("{hello}, ="),
        ] {
            assert_eq!(said(&[nothing]), [], "{nothing}");
        }
        assert_eq!(said(&[&format!("{hello}, x=\"{}\"", "y".repeat(LONGEST))]), []);
    }

    #[test]
    fn what_is_said_is_read_back() {
        for (algorithm, text) in [(Sha256, "sha-256=:"), (Sha512, "sha-512=:")] {
            let digest: Vec<u8> = (0..algorithm.len() as u8).collect();
            let field = digest_field(algorithm, &digest).unwrap();
            assert!(field.starts_with(text), "{field}");
            assert_eq!(repr_digest(&fields("repr-digest", &[&field])), [(algorithm, digest)]);
            assert_eq!(digest_field(algorithm, &[0; 31]), None);
            let wanted = fields("want-repr-digest", &[&want_field(algorithm)]);
            assert_eq!(want_repr_digest(&wanted), Some(algorithm));
        }
    }

    #[test]
    fn the_algorithm_wanted_most_is_told() {
        for (value, expected) in [
            (WANT_REPR_DIGEST, Some(Sha256)),
            ("sha-256=3, sha-512=9", Some(Sha512)),
            ("sha-512=0, sha-256=1", Some(Sha256)),
            ("sha-512=0", None),
            ("sha-512=11", None),
            ("sha-512=-1", None),
            ("sha-512", None),
            ("md5=10", None),
            ("sha-512=1.5", None),
        ] {
            assert_eq!(want_repr_digest(&fields("want-repr-digest", &[value])), expected, "{value}");
        }
    }
}
