//! Signed certificate timestamps as they are written (RFC 6962 §3), where they are found, and what their signatures cover.
//!
//! It checks no signature.

use super::super::certificate::{Der, EXTENSIONS, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};

/// One of version 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Timestamp<'a> {
    pub(super) log: &'a [u8; 32],
    /// Since 1970.
    pub(super) millis: u64,
    extensions: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// The entry that a log has signed.
pub(super) enum LogEntry<'a> {
    Certificate(&'a [u8]),
    /// The certificate's fields but for its timestamps, and SHA-256 of its issuer's key.
    Precertificate {
        issuer: [u8; 32],
        fields: &'a [u8],
    },
}

impl Timestamp<'_> {
    /// The octets below the signature (§3.2); `None` if the entry is longer than such octets can say.
    pub(super) fn signed(&self, entry: &LogEntry<'_>) -> Option<Vec<u8>> {
        let (kind, issuer, data): (u16, &[u8], &[u8]) = match entry {
            LogEntry::Certificate(certificate) => (0, &[], certificate),
            LogEntry::Precertificate { issuer, fields } => (1, issuer, fields),
        };
        let length = u32::try_from(data.len()).ok().filter(|length| *length < 1 << 24)?;
        // Version 1 of a certificate's timestamp.
        let mut signed = vec![0, 0];
        signed.extend(self.millis.to_be_bytes());
        signed.extend(kind.to_be_bytes());
        signed.extend(issuer);
        signed.extend(&length.to_be_bytes()[1..]);
        signed.extend(data);
        signed.extend(u16::try_from(self.extensions.len()).ok()?.to_be_bytes());
        signed.extend(self.extensions);
        Some(signed)
    }
}

/// The timestamps of a `SignedCertificateTimestampList` (§3.3) up to the first that is damaged. Those of other versions, and
/// those that are not signed by SHA-256 with RSA or ECDSA (§2.1.4), are left out.
pub(super) fn list(octets: &[u8]) -> impl Iterator<Item = Timestamp<'_>> {
    let mut rest = Octets(octets).counted().filter(|rest| rest.len() + 2 == octets.len()).unwrap_or_default();
    std::iter::from_fn(move || {
        let mut octets = Octets(rest);
        let one = octets.counted()?;
        rest = octets.0;
        Some(one)
    })
    .filter_map(timestamp)
}

fn timestamp(octets: &[u8]) -> Option<Timestamp<'_>> {
    let mut octets = Octets(octets);
    let [0] = octets.take::<1>()? else { return None };
    let (log, millis) = (octets.take()?, u64::from_be_bytes(*octets.take()?));
    let extensions = octets.counted()?;
    // SHA-256; RSA or ECDSA (RFC 5246 §7.4.1.4.1).
    let [4, 1 | 3] = octets.take()? else { return None };
    let signature = octets.counted()?;
    octets.0.is_empty().then_some(Timestamp { log, millis, extensions, signature })
}

/// The timestamps in a certificate, and its fields without them.
pub(super) fn embedded(certificate: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut fields = Der(Der(Der(certificate).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
    let mut others = Vec::new();
    let mut extensions = loop {
        let (tag, contents, whole) = fields.next_whole()?;
        if tag == EXTENSIONS {
            break Der(Der(contents).next_of(SEQUENCE)?);
        }
        others.extend(whole);
    };
    let (mut found, mut kept) = (None, Vec::new());
    while let Some((_, contents, whole)) = extensions.next_whole() {
        match extension(contents, OF_CERTIFICATE) {
            None => kept.extend(whole),
            Some(value) => found = Some(value),
        }
    }
    others.extend(written(EXTENSIONS, &written(SEQUENCE, &kept)));
    others.extend(fields.0);
    Some((written(SEQUENCE, &others), found?))
}

/// The timestamps in an OCSP response (RFC 6960 §4.2.1) for one certificate.
pub(super) fn stapled(response: &[u8]) -> Option<&[u8]> {
    let mut response = Der(Der(response).next_of(SEQUENCE)?);
    let (_status, bytes) = (response.next()?, response.next_of(RESPONSE_BYTES)?);
    let mut bytes = Der(Der(bytes).next_of(SEQUENCE)?);
    let (_kind, basic) = (bytes.next_of(OBJECT_IDENTIFIER)?, bytes.next_of(OCTET_STRING)?);
    let mut data = Der(Der(Der(basic).next_of(SEQUENCE)?).next_of(SEQUENCE)?);
    // The responses are the first sequence: version and responder are tagged, and a time is between.
    let mut single = Der(Der(data.find(SEQUENCE)?).next_of(SEQUENCE)?);
    // A status may have the tag of extensions.
    let (_certificate, _status) = (single.next()?, single.next()?);
    let mut extensions = Der(Der(single.find(SINGLE_EXTENSIONS)?).next_of(SEQUENCE)?);
    std::iter::from_fn(|| extensions.next_of(SEQUENCE)).find_map(|contents| extension(contents, OF_RESPONSE))
}

/// The list in an extension, if it is the one of this kind.
fn extension<'a>(contents: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    let mut extension = Der(contents);
    if extension.next_of(OBJECT_IDENTIFIER)? != kind {
        return None;
    }
    // The critical flag may come first.
    Der(extension.find(OCTET_STRING)?).next_of(OCTET_STRING)
}

/// The algorithm of a SubjectPublicKeyInfo without its frame, and the key.
pub(super) fn public_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut whole = Der(info);
    let mut info = Der(whole.next_of(SEQUENCE)?);
    let (algorithm, key) = (info.next_of(SEQUENCE)?, info.next_of(BIT_STRING)?);
    let (0, key) = key.split_first()? else { return None };
    (whole.0.is_empty() && info.0.is_empty()).then_some((algorithm, key))
}

/// A value in DER.
fn written(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut value = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => value.push(short as u8),
        _ => {
            value.push(0x80 | significant.len() as u8);
            value.extend(significant);
        }
    }
    value.extend(contents);
    value
}

/// The rest of octets whose parts have lengths of two octets (RFC 5246 §4.3).
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(*self.take()?);
        let (taken, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        Some(taken)
    }
}

const BIT_STRING: u8 = 0x03;
/// Of the context, constructed, number 0.
const RESPONSE_BYTES: u8 = 0xa0;
/// The same, number 1.
const SINGLE_EXTENSIONS: u8 = 0xa1;
/// 1.3.6.1.4.1.11129.2.4.2.
const OF_CERTIFICATE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
/// 1.3.6.1.4.1.11129.2.4.5.
const OF_RESPONSE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x05];

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use urlsession_testkit::{TestAuthority, TestLog, stapled_timestamps};

    use super::*;

    #[test]
    fn damage_is_no_timestamp_and_harms_nothing() {
        let (log, authority) = (TestLog::new(), TestAuthority::new());
        let leaf = authority.logged_leaf(&["a.example"], 90, &[&log]);
        let certificate = leaf.chain_der()[0].clone();
        let staple = stapled_timestamps(&[log.sign_certificate(&certificate, SystemTime::now())]);
        let found = |certificate: &[u8]| embedded(certificate).map_or(0, |(_, found)| list(found).count());
        let found_stapled = |response: &[u8]| stapled(response).map_or(0, |found| list(found).count());
        assert_eq!((found(&certificate), found_stapled(&staple)), (1, 1));
        for (whole, found) in [(&certificate, &found as &dyn Fn(&[u8]) -> usize), (&staple, &found_stapled)] {
            for at in 0..whole.len() {
                assert_eq!(found(&whole[..at]), 0);
                for bit in 0..8 {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1 << bit;
                    let _ = found(&damaged);
                }
            }
        }
    }

    #[test]
    fn lists_are_read_up_to_their_end_and_other_versions_are_left_out() {
        let sign = || TestLog::new().sign_certificate(b"certificate", SystemTime::now());
        let counted = |data: Vec<u8>| [&(data.len() as u16).to_be_bytes()[..], &data].concat();
        let (one, mut of_version_2, mut by_sha1) = (sign(), sign(), sign());
        of_version_2[0] = 1;
        // Behind the version, the log, the time and the length of no extensions.
        by_sha1[43] = 2;
        let each = [one.clone(), of_version_2, by_sha1, one].map(counted).concat();
        let octets = counted(each);
        assert_eq!(list(&octets).count(), 2);
        assert_eq!(list(&[&octets[..], &[0]].concat()).count(), 0, "something follows");
        assert_eq!((list(&[]).count(), list(&[0, 0]).count()), (0, 0));
    }

    #[test]
    fn lengths_are_written_as_der_wants_them() {
        for (length, head) in [
            (0, &[0x30, 0][..]),
            (0x7f, &[0x30, 0x7f]),
            (0x80, &[0x30, 0x81, 0x80]),
            (0x100, &[0x30, 0x82, 1, 0]),
        ] {
            let value = written(SEQUENCE, &vec![7; length]);
            assert_eq!(&value[..head.len()], head);
            assert_eq!(Der(&value).next_of(SEQUENCE).map(<[u8]>::len), Some(length));
        }
    }
}
