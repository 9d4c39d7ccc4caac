//! TLS by rustls: whom to trust, what to offer, and which URL error a failed handshake is.
//!
//! Platform roots are loaded only when the configuration's own anchors do not already vouch for the server.

mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, SupportedProtocolVersion, version};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::verify::Verifier;
use crate::configuration::{Configuration, HttpVersions, TlsVersion};
use crate::env::Wire;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The TLS side of a session: built at its first secure connection, with its own store of session tickets.
#[derive(Default)]
pub(super) struct Tls {
    config: Mutex<Option<Result<Arc<ClientConfig>>>>,
}

impl Tls {
    pub(super) async fn handshake(
        &self,
        config: &Configuration,
        host: &str,
        wire: Wire,
    ) -> Result<TlsStream<Wire>> {
        let tls = {
            let mut known = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            known.get_or_insert_with(|| client_config(config).map(Arc::new)).clone()?
        };
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned()).map_err(|error| {
            let detail = format!("{name:?} cannot be the name in a certificate");
            UrlError::new(UrlErrorCode::BadUrl, Phase::Tls, detail).with_source(error)
        })?;
        TlsConnector::from(tls).connect(name, wire).await.map_err(handshake_error)
    }
}

impl Tls {
    /// The next handshake with any server is a full one.
    pub(super) fn forget_sessions(&self) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn client_config(config: &Configuration) -> Result<ClientConfig> {
    let bad = |detail: &'static str| UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail);
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(&config.additional_trust_anchors, provider.clone())?;
    let (oldest, newest) =
        (config.tls_minimum_supported_protocol_version, config.tls_maximum_supported_protocol_version);
    let versions: Vec<&'static SupportedProtocolVersion> =
        [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)]
            .into_iter()
            .filter(|(version, _)| (oldest..=newest).contains(version))
            .map(|(_, version)| version)
            .collect();
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| {
            bad("the configuration's oldest TLS version is newer than its newest").with_source(error)
        })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = match config.http_versions {
        HttpVersions::Automatic => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersions::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersions::Http2 => vec![b"h2".to_vec()],
    };
    tls.resumption = Resumption::in_memory_sessions(TICKETS);
    Ok(tls)
}

/// Session tickets kept, over all servers.
const TICKETS: usize = 256;

/// In TLS 1.3 a server may refuse the client only after the client's handshake is over (RFC 8446 §4.4.2.4): the
/// first read tells.
pub(super) fn late_refusal(error: &std::io::Error) -> Option<UrlError> {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(cause @ rustls::Error::AlertReceived(_)) => {
            Some(handshake_error(std::io::Error::other(cause.clone())))
        }
        _ => None,
    }
}

/// Apple's code for a failed handshake.
fn handshake_error(error: std::io::Error) -> UrlError {
    use UrlErrorCode as C;
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) else {
        let detail = "the connection broke during the TLS handshake";
        return UrlError::new(C::SecureConnectionFailed, Phase::Tls, detail).with_source(error);
    };
    let (code, detail) = match cause {
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
        _ => (C::SecureConnectionFailed, "the TLS handshake failed"),
    };
    UrlError::new(code, Phase::Tls, detail).with_source(error)
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
            "the server's certificate was issued by an authority that neither the platform nor the configuration trusts",
        ),
        CertificateError::Other(other) if other.0.is::<verify::SelfSigned>() => (
            C::ServerCertificateUntrusted,
            "the server's certificate is signed by itself; add it to the trust anchors if that is right",
        ),
        CertificateError::Revoked => (C::ServerCertificateUntrusted, "the server's certificate was revoked"),
        _ => (C::ServerCertificateUntrusted, "the server's certificate is not acceptable"),
    }
}
