//! Owns logs of certificate transparency (RFC 6962) that sign for certificates without keeping them.

use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{KeyPair, PublicKeyData, SigningKey};

use crate::authority::{new_key, sha256_of};

/// A log with a key of its own (P-256).
pub struct TestLog {
    key: KeyPair,
}

impl TestLog {
    /// A new one.
    pub fn new() -> Self {
        Self { key: new_key() }
    }

    /// Its key as a SubjectPublicKeyInfo in DER.
    pub fn public_key_der(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    /// A signature for a certificate in DER, as of then (§3.2, `x509_entry`).
    pub fn sign_certificate(&self, certificate: &[u8], at: SystemTime) -> Vec<u8> {
        self.sign(&[&[0, 0], &counted(3, certificate)[..]].concat(), at)
    }

    /// A signature for the fields of a certificate to be (`precert_entry`), and the key of its issuer.
    pub(crate) fn sign_fields(&self, fields: &[u8], issuer: &[u8; 32], at: SystemTime) -> Vec<u8> {
        self.sign(&[&[0, 1], &issuer[..], &counted(3, fields)].concat(), at)
    }

    fn sign(&self, entry: &[u8], at: SystemTime) -> Vec<u8> {
        let millis = at.duration_since(UNIX_EPOCH).expect("a time since 1970").as_millis() as u64;
        let no_extensions = [0, 0];
        let signed = [&[0, 0], &millis.to_be_bytes()[..], entry, &no_extensions].concat();
        let signature = self.key.sign(&signed).expect("a signature by a P-256 key");
        let id = sha256_of(&self.public_key_der());
        let head = [&[0], &id[..], &millis.to_be_bytes(), &no_extensions].concat();
        [head, vec![4, 3], counted(2, &signature)].concat()
    }
}

impl Default for TestLog {
    fn default() -> Self {
        Self::new()
    }
}

/// An OCSP response (RFC 6960 §4.2.1) that says nothing but what the logs have signed, and whose own signature is none.
pub fn stapled_timestamps(timestamps: &[Vec<u8>]) -> Vec<u8> {
    let kind = der(0x06, &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x05]);
    let extension = der(0x30, &[kind, der(0x04, &timestamp_list(timestamps))].concat());
    let extensions = der(0xa1, &der(0x30, &extension));
    let time = der(0x18, b"20250101000000Z");
    // Which certificate, that it is good, and since when.
    let single = der(0x30, &[der(0x30, &[]), der(0x80, &[]), time.clone(), extensions].concat());
    // By the hash of whose key, when, and of which certificates.
    let data = der(0x30, &[der(0xa2, &der(0x04, &[0; 20])), time, der(0x30, &single)].concat());
    let basic = der(0x30, &[data, der(0x30, &[]), der(0x03, &[0])].concat());
    let kind = der(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]);
    let bytes = der(0xa0, &der(0x30, &[kind, der(0x04, &basic)].concat()));
    der(0x30, &[der(0x0a, &[0]), bytes].concat())
}

/// An extension's value: a list (RFC 6962 §3.3) in an octet string.
pub(crate) fn timestamp_list(timestamps: &[Vec<u8>]) -> Vec<u8> {
    let each: Vec<u8> = timestamps.iter().flat_map(|one| counted(2, one)).collect();
    der(0x04, &counted(2, &each))
}

/// Behind its length in so many octets.
fn counted(octets: usize, data: &[u8]) -> Vec<u8> {
    [&data.len().to_be_bytes()[size_of::<usize>() - octets..], data].concat()
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = match contents.len() {
        short @ 0..=0x7f => vec![short as u8],
        long => [&[0x82], &(long as u16).to_be_bytes()[..]].concat(),
    };
    // Two octets of length where one would do is not DER.
    let length = match length[..] {
        [0x82, 0, byte] => vec![0x81, byte],
        _ => length,
    };
    [&[tag], &length[..], contents].concat()
}
