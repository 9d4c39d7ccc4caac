//! The certificate transparency logs (RFC 6962) that an application accepts. Values only.

use std::time::SystemTime;

/// A public log of certificates.
///
/// No list of logs is built in, because the list of good logs changes every few months. Apple's and Google's lists have the
/// keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateTransparencyLog {
    /// The public key of the log as a SubjectPublicKeyInfo in DER: ECDSA on P-256, or RSA of 2048 bits or more (RFC 6962
    /// §2.1.4).
    pub public_key: Vec<u8>,
    /// When the log was retired: its later signatures do not count. Default: `None`, never.
    pub retired: Option<SystemTime>,
}

impl CertificateTransparencyLog {
    /// A log that is in use. If the key cannot be read, every secure connection of the session fails with
    /// [`SecureConnectionFailed`](crate::UrlErrorCode::SecureConnectionFailed).
    pub fn new(public_key: impl Into<Vec<u8>>) -> Self {
        Self { public_key: public_key.into(), retired: None }
    }
}

setters! {
    impl CertificateTransparencyLog {
        public_key: list u8,
        retired: option SystemTime,
    }
}
