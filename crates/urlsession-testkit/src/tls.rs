//! Owns the TLS side of the origin (RFC 8446, RFC 5246, ALPN of RFC 7301): the acceptor and what a handshake
//! settled. The provider is always aws-lc-rs and given explicitly, never the process's default.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::authority::{Certificate, TestAuthority, chain_of};
use crate::request::TlsFacts;

/// What a server thinks of certificates of its clients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    Ignored,
    Asked,
    Required,
}

/// What decides the server's half of a handshake.
pub(crate) struct TlsPlan<'a> {
    pub(crate) authority: &'a TestAuthority,
    pub(crate) certificate: &'a Certificate,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) client_certificate: ClientCertificates,
    pub(crate) tls12_only: bool,
    pub(crate) ocsp_response: Vec<u8>,
}

pub(crate) fn acceptor(plan: TlsPlan<'_>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] =
        if plan.tls12_only { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
    let config = if plan.client_certificate != ClientCertificates::Ignored {
        let mut roots = RootCertStore::empty();
        roots.add(plan.authority.der().into())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = match plan.client_certificate {
            ClientCertificates::Asked => verifier.allow_unauthenticated(),
            _ => verifier,
        };
        let verifier = verifier.build().map_err(|e| rustls::Error::General(e.to_string()))?;
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plan.certificate.key_der()));
    let mut config =
        config.with_single_cert_with_ocsp(chain_of(plan.certificate), key, plan.ocsp_response)?;
    config.alpn_protocols = plan.alpn;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(crate) fn facts(connection: &ServerConnection) -> TlsFacts {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    TlsFacts {
        version: connection.protocol_version().map(|v| format!("{v:?}")).unwrap_or_default(),
        cipher_suite: connection
            .negotiated_cipher_suite()
            .map(|s| format!("{:?}", s.suite()))
            .unwrap_or_default(),
        server_name: connection.server_name().map(str::to_owned),
        alpn: connection.alpn_protocol().map(text),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        client_certificates: connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|c| c.to_vec())
            .collect(),
    }
}
