//! The URL error of a failed handshake. Apple: *Error Domain and Codes*.

use std::error::Error;
use std::fmt;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::transparency::NotTransparent;
use crate::error::{Phase, UrlError, UrlErrorCode};

/// In TLS 1.3 a server may refuse the client only after the client's handshake is over (RFC 8446 §4.4.2.4): the
/// first read tells.
pub(in crate::transport) fn late_refusal(error: &std::io::Error) -> Option<UrlError> {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(cause @ rustls::Error::AlertReceived(_)) => {
            Some(handshake_error(std::io::Error::other(cause.clone())))
        }
        _ => None,
    }
}

/// Before TLS 1.3 there is no alert of its own for a client's certificate that is missing (RFC 5246 §7.4.6).
pub(super) fn name_missing_identity(error: std::io::Error, lacks_identity: bool) -> std::io::Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)) if lacks_identity => {
            std::io::Error::other(rustls::Error::AlertReceived(AlertDescription::CertificateRequired))
        }
        _ => error,
    }
}

/// Apple's code for a failed handshake.
pub(super) fn handshake_error(error: std::io::Error) -> UrlError {
    use UrlErrorCode as C;
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) else {
        let detail = "the connection broke during the TLS handshake";
        return UrlError::new(C::SecureConnectionFailed, Phase::Tls, detail).with_source(error);
    };
    failed(cause.clone())
}

pub(in crate::transport::tls) fn failed(cause: rustls::Error) -> UrlError {
    use UrlErrorCode as C;
    let (code, detail) = match &cause {
        rustls::Error::InvalidCertificate(why) => certificate_code(why),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            (C::ClientCertificateRequired, "the server wants a client certificate and got none")
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => (C::ClientCertificateRejected, "the server rejected the client certificate"),
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            (C::SecureConnectionFailed, "the server speaks no version of HTTP that the configuration allows")
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => (
            C::SecureConnectionFailed,
            "the server and the configuration have no TLS version or cipher in common",
        ),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => (
            C::SecureConnectionFailed,
            "the server does not answer in TLS; if it speaks cleartext HTTP on this port, the URL begins with http://",
        ),
        _ => (C::SecureConnectionFailed, "the TLS handshake failed"),
    };
    UrlError::new(code, Phase::Tls, detail).with_source(cause)
}

fn certificate_code(why: &CertificateError) -> (UrlErrorCode, &'static str) {
    use UrlErrorCode as C;
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            C::ServerCertificateHasBadDate,
            "the server's certificate has expired; check the clock if it should not",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            C::ServerCertificateNotYetValid,
            "the server's certificate is not valid yet; check the clock if it should be",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (C::ServerCertificateUntrusted, "the server's certificate is for another host")
        }
        CertificateError::UnknownIssuer => (
            C::ServerCertificateHasUnknownRoot,
            "the server's certificate was issued by an authority that neither the platform nor the configuration trusts; \
             add that authority's certificate to the trust anchors if that is right",
        ),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => (
            C::ServerCertificateUntrusted,
            "the server's certificate is signed by itself; add it to the trust anchors if that is right",
        ),
        CertificateError::Other(other) if other.0.is::<NotPinned>() => (
            C::ServerCertificateUntrusted,
            "the server's certificates show none of the keys that pinned_domains of app_transport_security names",
        ),
        CertificateError::Other(other) if other.0.is::<NotTransparent>() => (
            C::ServerCertificateUntrusted,
            "too few of certificate_transparency_logs of app_transport_security have signed for the server's certificate",
        ),
        CertificateError::Revoked => (
            C::ServerCertificateUntrusted,
            "the server's certificate was revoked, by one of certificate_revocation_lists or as the platform knows",
        ),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            C::ServerCertificateUntrusted,
            "the server's certificate, or one that vouches for it, is signed by an algorithm that is not accepted, \
             such as SHA-1; it must be SHA-256 or better",
        ),
        CertificateError::BadSignature => (
            C::ServerCertificateUntrusted,
            "a signature of the server, or of one that vouches for it, does not hold: it is forged, or its key is too \
             short (RSA keys have 2048 bits or more)",
        ),
        _ => (C::ServerCertificateUntrusted, "the server's certificate is not acceptable"),
    }
}

/// The certificate names itself as its issuer.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is signed by itself")
    }
}

impl Error for SelfSigned {}

/// Trusted, but none of the keys the configuration names.
#[derive(Debug)]
pub(super) struct NotPinned;

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificates show none of the keys pinned for this domain")
    }
}

impl Error for NotPinned {}
