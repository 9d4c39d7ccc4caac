//! The logs of certificate transparency (RFC 6962) that an application goes by. Values only.

use std::time::SystemTime;

/// A log in which certificates are made public.
///
/// No list of logs is built in: which of them are good changes every few months. Apple's and Google's lists have the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateTransparencyLog {
    /// Its public key as a SubjectPublicKeyInfo in DER: ECDSA on P-256, or RSA of 2048 bits or more (RFC 6962 §2.1.4).
    pub public_key: Vec<u8>,
    /// When it was retired: what it has signed later does not count. Default: `None`, never.
    pub retired: Option<SystemTime>,
}

impl CertificateTransparencyLog {
    /// A log that is in use. With a key that is none, every secure connection of the session fails with
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
