//! The client's certificate: from a credential to what rustls signs with, and which one a server gets.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::handshake_gate::HandshakeGate;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::UrlCredential;

/// The signing key of a credential.
pub(super) fn certified_key(credential: &UrlCredential) -> Result<Arc<CertifiedKey>> {
    let unusable = |detail| UrlError::new(UrlErrorCode::ClientCertificateRejected, Phase::Tls, detail);
    let Some(key) = credential.private_key() else {
        return Err(unusable("the credential for a client certificate has none; make it with_identity"));
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let key = any_supported_type(&key).map_err(|error| {
        unusable("the private key of the client certificate cannot be used: it must be PKCS#8 in DER")
            .with_source(error)
    })?;
    let chain = credential.certificates().iter().map(|der| CertificateDer::from(der.clone())).collect();
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// Gives rustls the certificate of the handshake in progress.
#[derive(Debug)]
pub(super) struct OfHandshake;

impl ResolvesClientCert for OfHandshake {
    fn resolve(&self, issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        HandshakeGate::current()?.resolve(issuers)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
