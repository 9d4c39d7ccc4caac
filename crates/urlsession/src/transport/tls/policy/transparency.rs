//! Certificate transparency (RFC 6962): whether logs that the configuration names have promised, by signed timestamps, to
//! show a certificate to everybody. Timestamps are read from the certificate itself and from a stapled OCSP response.
//!
//! Checked beside ordinary trust, never in its place. The timestamps of a TLS extension (§3.3.1) are not asked for: rustls
//! has no such extension.

mod timestamps;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime, alg_id};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use self::timestamps::{LogEntry, Timestamp, embedded, list, public_key, stapled};
use super::certificate::validity;
use crate::configuration::CertificateTransparencyLog;

/// The logs of a configuration, and which certificates they were found to have.
pub(super) struct Logs {
    logs: Vec<Log>,
    /// SHA-256 of certificates. A resumed session shows its certificates again, and not what was stapled to them.
    known: Mutex<HashSet<[u8; 32]>>,
}

struct Log {
    id: [u8; 32],
    key: Vec<u8>,
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    retired_millis: Option<u64>,
}

impl Logs {
    /// `None` if a key is not one that a log may have.
    pub(super) fn new(
        logs: &[CertificateTransparencyLog],
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Option<Self> {
        let logs = logs.iter().map(|log| Log::new(log, algorithms)).collect::<Option<_>>()?;
        Some(Self { logs, known: Mutex::default() })
    }

    /// True if as many logs as are needed have the certificate. `authorities` are certificates that may have issued it.
    pub(super) fn have<'c>(
        &self,
        end_entity: &CertificateDer<'_>,
        mut authorities: impl Iterator<Item = CertificateDer<'c>>,
        algorithms: &WebPkiSupportedAlgorithms,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> bool {
        let Some(hash) = sha256(end_entity) else { return false };
        if self.known().contains(&hash) {
            return true;
        }
        let needed = needed(end_entity);
        let is_shown = needed.is_some_and(|needed| {
            let mut signers = HashSet::new();
            if let Some((fields, timestamps)) = embedded(end_entity)
                && let Some(issuer) =
                    authorities.find_map(|der| issuer_key(end_entity, &der, algorithms, now))
            {
                let entry = LogEntry::Precertificate { issuer, fields: &fields };
                signers.extend(self.signers(&entry, timestamps, now));
            }
            if let Some(timestamps) = stapled(ocsp_response) {
                signers.extend(self.signers(&LogEntry::Certificate(end_entity), timestamps, now));
            }
            signers.len() >= needed
        });
        if is_shown {
            let mut known = self.known();
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(hash);
        }
        is_shown
    }

    fn known(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.known.lock()
    }

    /// The logs whose timestamps of the entry are good.
    fn signers<'s>(
        &'s self,
        entry: &'s LogEntry<'s>,
        timestamps: &'s [u8],
        now: UnixTime,
    ) -> impl Iterator<Item = [u8; 32]> + 's {
        list(timestamps).filter_map(move |timestamp| {
            let log = self.logs.iter().find(|log| log.id == *timestamp.log)?;
            log.has_signed(&timestamp, entry, now).then_some(log.id)
        })
    }
}

impl Log {
    fn new(log: &CertificateTransparencyLog, algorithms: &WebPkiSupportedAlgorithms) -> Option<Self> {
        let (kind, key) = public_key(&log.public_key)?;
        let algorithm = algorithms.all.iter().copied().find(|algorithm| {
            let signs =
                [alg_id::ECDSA_SHA256, alg_id::RSA_PKCS1_SHA256].contains(&algorithm.signature_alg_id());
            let has_key =
                [alg_id::ECDSA_P256, alg_id::RSA_ENCRYPTION].contains(&algorithm.public_key_alg_id());
            signs && has_key && algorithm.public_key_alg_id().as_ref() == kind
        })?;
        let millis = |at: std::time::SystemTime| {
            at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
        };
        let (id, retired_millis) = (sha256(&log.public_key)?, log.retired.map(millis));
        Some(Self { id, key: key.to_vec(), algorithm, retired_millis })
    }

    /// RFC 6962 §3.2; a timestamp of the future is none (§5.2).
    fn has_signed(&self, timestamp: &Timestamp<'_>, entry: &LogEntry<'_>, now: UnixTime) -> bool {
        let now = u64::try_from(Duration::from_secs(now.as_secs()).as_millis()).unwrap_or(u64::MAX);
        let is_in_time = timestamp.millis <= now.saturating_add(999)
            && self.retired_millis.is_none_or(|retired| timestamp.millis < retired);
        is_in_time
            && timestamp.signed(entry).is_some_and(|signed| {
                self.algorithm.verify_signature(&self.key, &signed, timestamp.signature).is_ok()
            })
    }
}

/// How many logs must have a certificate. Apple, *Certificate Transparency policy*: two, or three if it is valid for longer
/// than 180 days.
fn needed(certificate: &[u8]) -> Option<usize> {
    let validity = validity(certificate)?;
    let seconds = validity.not_after.saturating_sub(validity.not_before);
    Some(if seconds > 180 * 24 * 60 * 60 { 3 } else { 2 })
}

/// SHA-256 of the authority's key, if the authority has signed the certificate.
fn issuer_key(
    end_entity: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Option<[u8; 32]> {
    let (leaf, issuer) =
        (EndEntityCert::try_from(end_entity).ok()?, EndEntityCert::try_from(authority).ok()?);
    if leaf.issuer() != issuer.subject() {
        return None;
    }
    let anchor = anchor_from_trusted_cert(authority).ok()?;
    leaf.verify_for_usage(algorithms.all, &[anchor], &[], now, KeyUsage::server_auth(), None, None).ok()?;
    sha256(issuer.subject_public_key_info().as_ref())
}

fn sha256(data: &[u8]) -> Option<[u8; 32]> {
    digest(&SHA256, data).as_ref().try_into().ok()
}

/// Beyond so many, those that were looked at are forgotten.
const MOST_KNOWN: usize = 256;

/// Trusted, but not in as many of the logs as are needed.
#[derive(Debug)]
pub(super) struct NotTransparent;

impl fmt::Display for NotTransparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too few of the logs that the configuration names have signed for the certificate")
    }
}

impl Error for NotTransparent {}
