//! Pinned keys: a certificate's key, or that of an authority above it, must be one of those the configuration names.
//!
//! Checked beside ordinary trust, never in its place. Apple: *NSPinnedDomains*.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::configuration::PinnedDomain;

/// True if the chain satisfies every kind of pin the rule has. `anchors` and `roots`, which are asked for last, are trusted
/// and need not be sent.
pub(super) fn satisfied<'r>(
    rule: &PinnedDomain,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &[Vec<u8>],
    roots: impl FnOnce() -> &'r [CertificateDer<'static>],
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> bool {
    let is_pinned =
        |der: &CertificateDer<'_>, pins: &[[u8; 32]]| key_hash(der).is_some_and(|hash| pins.contains(&hash));
    let leaf = || is_pinned(end_entity, &rule.leaf_identities);
    // A certificate in the bag proves nothing: the server's own must really lead to it.
    let leads_to = |authority: &CertificateDer<'_>| {
        let (Ok(leaf), Ok(anchor)) =
            (EndEntityCert::try_from(end_entity), anchor_from_trusted_cert(authority))
        else {
            return false;
        };
        leaf.verify_for_usage(
            algorithms.all,
            &[anchor],
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            None,
        )
        .is_ok()
    };
    let authority = || {
        let sent = intermediates.iter().cloned();
        let own = anchors.iter().map(|der| CertificateDer::from(der.as_slice()));
        let vouches = |der: &CertificateDer<'_>| is_pinned(der, &rule.ca_identities) && leads_to(der);
        sent.chain(own).any(|der| vouches(&der)) || roots().iter().any(vouches)
    };
    (rule.leaf_identities.is_empty() || leaf()) && (rule.ca_identities.is_empty() || authority())
}

/// SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469 §2.4 has the same).
fn key_hash(der: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let certificate = EndEntityCert::try_from(der).ok()?;
    let key = certificate.subject_public_key_info();
    digest(&SHA256, key.as_ref()).as_ref().try_into().ok()
}
