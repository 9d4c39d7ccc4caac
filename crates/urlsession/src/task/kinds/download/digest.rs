//! `ContentDigest`: the expected digest of a file; and the hashes that are computed while a file is written. The download
//! decides when they are compared.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use urlsession_proto::digest_fields::DigestAlgorithm;

use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The SHA-256 or SHA-512 digest that a downloaded file must have, of the decoded bytes in the file. Extension: no
/// counterpart in Apple's API.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ContentDigest {
    algorithm: DigestAlgorithm,
    bytes: Vec<u8>,
}

/// The checks that the file must pass before it is published.
#[derive(Clone, Debug, Default)]
pub(super) struct Checks {
    pub(super) expected: Option<ContentDigest>,
    /// Whether to check also the digests in the response.
    pub(super) of_response: bool,
}

impl ContentDigest {
    /// A SHA-256 digest.
    pub fn sha256(bytes: [u8; 32]) -> Self {
        Self { algorithm: DigestAlgorithm::Sha256, bytes: bytes.into() }
    }

    /// A SHA-512 digest.
    pub fn sha512(bytes: [u8; 64]) -> Self {
        Self { algorithm: DigestAlgorithm::Sha512, bytes: bytes.into() }
    }

    /// A digest from hexadecimal digits in either case, as `sha256sum` and `sha512sum` print them: 64 digits for SHA-256,
    /// 128 digits for SHA-512.
    ///
    /// # Errors
    /// [`BadUrl`](UrlErrorCode::BadUrl) for any other text.
    pub fn from_hex(digits: &str) -> Result<Self> {
        let bytes = digits.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some((hex(*high)? << 4) | hex(*low)?),
            _ => None,
        });
        bytes.collect::<Option<Vec<u8>>>().and_then(Self::of_bytes).ok_or_else(|| {
            let detail = "a digest is 64 hexadecimal digits for SHA-256, 128 for SHA-512";
            UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail)
        })
    }

    /// The digest itself: 32 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length determines the algorithm.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Option<Self> {
        let algorithms = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512];
        let algorithm = algorithms.into_iter().find(|algorithm| algorithm.len() == bytes.len())?;
        Some(Self { algorithm, bytes })
    }
}

impl FromStr for ContentDigest {
    type Err = UrlError;

    fn from_str(digits: &str) -> Result<Self> {
        Self::from_hex(digits)
    }
}

/// `SHA-256` or `SHA-512` and the digest in hexadecimal digits.
impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.algorithm {
            DigestAlgorithm::Sha256 => "SHA-256 ",
            DigestAlgorithm::Sha512 => "SHA-512 ",
        })?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

/// The hashes of all bytes written so far, one for each expected digest; usually none.
pub(super) struct Hashes(Vec<(ContentDigest, Context)>);

impl Hashes {
    pub(super) fn new(expected: &[ContentDigest]) -> Self {
        let context = |digest: &ContentDigest| match digest.algorithm {
            DigestAlgorithm::Sha256 => Context::new(&SHA256),
            DigestAlgorithm::Sha512 => Context::new(&SHA512),
        };
        Self(expected.iter().map(|digest| (digest.clone(), context(digest))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(_, context)| context.update(bytes));
    }

    /// Fails if one of the digests is not the expected one.
    pub(super) fn check(self) -> Result<()> {
        for (expected, context) in self.0 {
            let found = ContentDigest::of_bytes(context.finish().as_ref().to_vec());
            if found.as_ref() != Some(&expected) {
                let found = found.map_or_else(String::new, |found| found.to_string());
                let detail =
                    format!("digest mismatch of the downloaded file: expected {expected}, got {found}");
                return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail));
            }
        }
        Ok(())
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example: of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_read_from_hex_and_told_by_its_length() {
        let digest = ContentDigest::from_hex(&ABC.to_uppercase()).unwrap();
        assert_eq!(digest.to_string(), format!("SHA-256 {ABC}"));
        assert_eq!(ABC.parse::<ContentDigest>().unwrap(), digest);
        assert_eq!(ContentDigest::from_hex(&"0".repeat(128)).unwrap(), ContentDigest::sha512([0; 64]));
        for wrong in ["", "ba", &ABC[1..], &format!("{ABC}0"), &ABC.replace('b', "g"), "ü"] {
            assert!(ContentDigest::from_hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hashes_are_of_all_pieces_and_name_both_digests_when_they_differ() {
        let hashed = |pieces: &[&str]| {
            let mut hashes = Hashes::new(&[ABC.parse().unwrap()]);
            pieces.iter().for_each(|piece| hashes.update(piece.as_bytes()));
            hashes.check()
        };
        assert!(hashed(&["a", "", "bc"]).is_ok());
        let error = hashed(&["abd"]).unwrap_err().to_string();
        assert!(error.contains(&format!("expected SHA-256 {ABC}, got SHA-256 ")), "{error}");
        assert!(Hashes::new(&[]).check().is_ok());
    }
}
