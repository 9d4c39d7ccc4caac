//! `ServerTrust`: the certificates that a server presented, and the platform's verdict.
//!
//! Apple: *SecTrust*. The module judges nothing itself: the verdict was made in the handshake and is kept here as data.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::error::{Result, UrlError};

/// A server's certificates as a challenge of [`AuthenticationMethod::ServerTrust`](super::AuthenticationMethod) shows
/// them. Cheap to clone; equal if host and certificates are.
#[derive(Clone)]
#[doc(alias = "SecTrust")]
pub struct ServerTrust(Arc<ServerTrustInner>);

struct ServerTrustInner {
    host: Box<str>,
    certificates: Vec<Vec<u8>>,
    verdict: Result<()>,
}

impl ServerTrust {
    /// The certificates that `host` presented, leaf first, in DER, and the result of the check against the platform's and the
    /// configuration's anchors.
    pub(crate) fn new(host: &str, certificates: Vec<Vec<u8>>, verdict: Result<()>) -> Self {
        Self(Arc::new(ServerTrustInner { host: host.into(), certificates, verdict }))
    }

    /// The host the certificates were checked for.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The certificates as the server sent them, in DER, its own first.
    #[doc(alias = "SecTrustCopyCertificateChain")]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0.certificates
    }

    /// Whether the platform, or the configuration's anchors, trust the certificates. Default handling decides the same way.
    ///
    /// # Errors
    /// The error that the load would fail with, such as
    /// [`ServerCertificateUntrusted`](crate::UrlErrorCode::ServerCertificateUntrusted).
    #[doc(alias = "SecTrustEvaluateWithError")]
    pub fn evaluate(&self) -> Result<()> {
        self.0.verdict.clone()
    }
}

impl UrlError {
    /// The certificates of the server, if a load failed because the server was not trusted.
    #[doc(alias = "failureURLPeerTrust")]
    #[doc(alias = "NSURLErrorFailingURLPeerTrustErrorKey")]
    pub fn peer_trust(&self) -> Option<&ServerTrust> {
        self.attached()
    }

    pub(crate) fn with_peer_trust(self, trust: ServerTrust) -> Self {
        self.attach(trust)
    }
}

impl PartialEq for ServerTrust {
    fn eq(&self, other: &Self) -> bool {
        self.0.host == other.0.host && self.0.certificates == other.0.certificates
    }
}

impl Eq for ServerTrust {}

impl Hash for ServerTrust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.host.hash(state);
        self.0.certificates.first().hash(state);
    }
}

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTrust")
            .field("host", &self.0.host)
            .field("certificates", &self.0.certificates.len())
            .field("evaluates", &self.0.verdict.as_ref().map_err(|error| error.code()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Phase, UrlErrorCode};

    #[test]
    fn it_keeps_the_verdict_and_shows_the_chain() {
        let error = UrlError::new(UrlErrorCode::ServerCertificateUntrusted, Phase::Tls, "self-signed");
        let trust = ServerTrust::new("a", vec![vec![1], vec![2]], Err(error));
        assert_eq!(trust.evaluate().unwrap_err().code(), UrlErrorCode::ServerCertificateUntrusted);
        assert_eq!((trust.host(), trust.certificates()), ("a", &[vec![1], vec![2]][..]));
        assert_eq!(trust, ServerTrust::new("a", vec![vec![1], vec![2]], Ok(())));
        assert_ne!(trust, ServerTrust::new("b", vec![vec![1], vec![2]], Ok(())));
    }
}
