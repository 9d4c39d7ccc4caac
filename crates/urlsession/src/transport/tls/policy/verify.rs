//! The trust of servers: the configuration's own anchors first, then the platform's trust; then pinned keys.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier as Platform;

use super::certificate::validity;
use super::fault::{NotPinned, SelfSigned, failed};
use super::handshake_gate::{HandshakeGate, PresentedChain};
use super::pins;
use super::transparency::{Logs, NotTransparent};
use super::unusual_name::{self, PathVerdict};
use crate::configuration::{AppTransportSecurity, Configuration};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// Judges servers. A clone shares the anchors and the platform's trust.
#[derive(Clone)]
pub(super) struct Verifier {
    sources: Arc<Sources>,
    /// The host, if rustls is not told its name.
    unusual_host: Option<Box<str>>,
}

/// The sources of trust in servers.
struct Sources {
    rules: AppTransportSecurity,
    anchors: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
    logs: Logs,
    own: Option<Arc<WebPkiServerVerifier>>,
    platform: OnceLock<Platform>,
    /// The platform's roots, for pins: its verifier does not show them.
    roots: OnceLock<Vec<CertificateDer<'static>>>,
}

impl Verifier {
    pub(super) fn new(config: &Configuration, provider: Arc<CryptoProvider>) -> Result<Self> {
        let (anchors, lists) = (&config.additional_trust_anchors, &config.certificate_revocation_lists);
        let bad = |error: Box<dyn Error + Send + Sync>| {
            let detail = "a trust anchor of the configuration is not a certificate in DER";
            UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail).with_source(error)
        };
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(CertificateDer::from(anchor.as_slice())).map_err(|error| bad(error.into()))?;
        }
        let own = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
                    .with_crls(lists.iter().map(|list| CertificateRevocationListDer::from(list.clone())))
                    .allow_unknown_revocation_status()
                    .build()
                    .map_err(|error| match error {
                        VerifierBuilderError::InvalidCrl(error) => {
                            let detail = "a revocation list of the configuration is not in DER";
                            UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail)
                                .with_source(format!("{error:?}"))
                        }
                        error => bad(error.into()),
                    })?,
            ),
        };
        let (rules, anchors) = (config.app_transport_security.clone(), anchors.clone());
        let algorithms = &provider.signature_verification_algorithms;
        let logs = Logs::new(&rules.certificate_transparency_logs, algorithms).ok_or_else(|| {
            let detail = "the key of a log of certificate transparency in the configuration is not a SubjectPublicKeyInfo in \
                          DER of RSA or P-256";
            UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Tls, detail)
        })?;
        let (platform, roots) = (OnceLock::new(), OnceLock::new());
        let sources = Sources { rules, anchors, provider, logs, own, platform, roots };
        Ok(Self { sources: Arc::new(sources), unusual_host: None })
    }

    /// The same for a host whose name rustls refuses.
    pub(super) fn of_unusual_host(&self, host: &str) -> Self {
        Self { sources: self.sources.clone(), unusual_host: Some(host.into()) }
    }

    /// The verdict of the configuration's anchors, the platform and the pins.
    pub(super) fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judge_path = |name: &ServerName<'_>| {
            self.sources.judge_path(end_entity, intermediates, name, ocsp_response, now)
        };
        let verified = match &self.unusual_host {
            None => judge_path(server_name).verified?,
            Some(host) => unusual_name::judge(end_entity, host, judge_path)?,
        };
        let host = self.unusual_host.as_deref().map_or_else(|| server_name.to_str(), Cow::Borrowed);
        self.sources.judge_pins(&host, end_entity, intermediates, now)?;
        self.sources.judge_transparency(&host, end_entity, intermediates, ocsp_response, now)?;
        Ok(verified)
    }

    /// The verdict, unless a delegate decides: then the handshake is held until the decision.
    fn hand_over(
        &self,
        verdict: Result<ServerCertVerified, rustls::Error>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(handshake_gate) = HandshakeGate::current() else { return verdict };
        let shown = || PresentedChain {
            chain: chain(end_entity, intermediates),
            verdict: verdict.as_ref().map(|_| ()).map_err(|error| failed(error.clone())),
        };
        match handshake_gate.show(verdict.is_ok(), shown) {
            true => Ok(ServerCertVerified::assertion()),
            false => verdict,
        }
    }
}

impl Sources {
    fn platform(&self) -> Result<&Platform, rustls::Error> {
        match self.platform.get() {
            Some(platform) => Ok(platform),
            // A failure is not kept: it may have been for lack of descriptors.
            None => Platform::new(self.provider.clone()).map(|new| self.platform.get_or_init(|| new)),
        }
    }

    fn roots(&self) -> &[CertificateDer<'static>] {
        match self.roots.get() {
            Some(roots) => roots,
            None => match platform_roots() {
                // As above.
                roots if roots.is_empty() => &[],
                roots => self.roots.get_or_init(|| roots),
            },
        }
    }

    /// The verdict of anchors and the platform about the certificates, and about the name.
    fn judge_path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> PathVerdict {
        let verdict = match &self.own {
            Some(own) => own.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        // webpki compares names last, for the anchors on every platform.
        let mut names_come_last = true;
        let verdict = match verdict {
            // A path of certificates needs none: it is trusted itself.
            Err(error)
                if is_of_issuer(&error) && self.anchors.iter().any(|anchor| **anchor == **end_entity) =>
            {
                judge_anchor(end_entity, server_name, now)
            }
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                names_come_last = PLATFORM_IS_WEBPKI;
                match self.platform() {
                    Ok(platform) => platform
                        .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                        .map_err(name_partial_chain),
                    // A platform without roots trusts no server; that is a verdict, not a failure.
                    Err(_) => Err(CertificateError::UnknownIssuer.into()),
                }
            }
            verdict => verdict,
        };
        let verified = verdict.map_err(|error| name_self_signed(error, end_entity));
        PathVerdict { verified, names_come_last }
    }

    /// Whether the server shows a key that is pinned for the host, if any is.
    fn judge_pins(
        &self,
        host: &str,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let is_pinned = self.rules.pins(host).is_none_or(|rule| {
            let roots = || self.roots();
            pins::satisfied(rule, end_entity, intermediates, &self.anchors, roots, algorithms, now)
        });
        match is_pinned {
            true => Ok(()),
            false => Err(CertificateError::Other(OtherError(Arc::new(NotPinned))).into()),
        }
    }
}

impl Sources {
    /// Whether logs have the certificate, if they must for the host.
    fn judge_transparency(
        &self,
        host: &str,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if !self.rules.wants_certificate_transparency_of(host) {
            return Ok(());
        }
        let sent = intermediates.iter().cloned();
        let own = self.anchors.iter().map(|der| CertificateDer::from(der.as_slice()));
        // Last, since the roots are loaded on demand.
        let roots = std::iter::once_with(|| self.roots()).flatten().cloned();
        let algorithms = &self.provider.signature_verification_algorithms;
        match self.logs.have(end_entity, sent.chain(own).chain(roots), algorithms, ocsp_response, now) {
            true => Ok(()),
            false => Err(CertificateError::Other(OtherError(Arc::new(NotTransparent))).into()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.judge(end_entity, intermediates, server_name, ocsp_response, now);
        self.hand_over(verdict, end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.sources.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.sources.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.sources.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the platform's trust is webpki with its roots. When other platforms compare names is not known.
const PLATFORM_IS_WEBPKI: bool = !cfg!(any(windows, target_vendor = "apple", target_os = "android"));

/// Those that cannot be read are left out.
#[cfg(not(target_os = "android"))]
fn platform_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Android shows none.
#[cfg(target_os = "android")]
fn platform_roots() -> Vec<CertificateDer<'static>> {
    Vec::new()
}

/// Whether nothing is wrong with the server's own certificate but its issuer or its purpose.
fn is_of_issuer(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    )
}

/// The server's own certificate is one of the anchors: its name and its dates are left to look at.
fn judge_anchor(
    end_entity: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let validity = validity(end_entity).ok_or(CertificateError::BadEncoding)?;
    match i64::try_from(now.as_secs()).unwrap_or(i64::MAX) {
        now if now < validity.not_before => return Err(CertificateError::NotValidYet.into()),
        now if now > validity.not_after => return Err(CertificateError::Expired.into()),
        _ => {}
    }
    // The name last, as webpki does.
    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

/// The certificates as they were sent, the server's own first.
fn chain(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect()
}

/// Windows tells a chain that ends before a root (`CERT_E_CHAINING`) from one whose root is not trusted, and the verifier
/// passes that on as a text only. In both cases the issuer is not known.
fn name_partial_chain(error: rustls::Error) -> rustls::Error {
    const CERT_E_CHAINING: &str = "(os error -2146762486)";
    match &error {
        rustls::Error::InvalidCertificate(CertificateError::Other(why))
            if cfg!(windows) && why.0.to_string().contains(CERT_E_CHAINING) =>
        {
            CertificateError::UnknownIssuer.into()
        }
        _ => error,
    }
}

/// Apple tells a self-signed certificate (-1202) from one of an unknown authority (-1203).
fn name_self_signed(error: rustls::Error, end_entity: &CertificateDer<'_>) -> rustls::Error {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(why) = &error else { return error };
    // Any other fault of the certificate is more specific than its issuer.
    let says_more = matches!(
        why,
        E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. }
            | E::NotValidForName
            | E::NotValidForNameContext { .. }
            | E::Revoked
            | E::BadEncoding
    );
    let self_signed =
        || webpki::EndEntityCert::try_from(end_entity).is_ok_and(|cert| cert.issuer() == cert.subject());
    if !says_more && self_signed() {
        return CertificateError::Other(OtherError(Arc::new(SelfSigned))).into();
    }
    error
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("own", &self.sources.own.is_some()).finish_non_exhaustive()
    }
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    #[test]
    fn a_chain_without_a_root_is_of_an_unknown_issuer() {
        let of = |code: i32| {
            let text = std::io::Error::from_raw_os_error(code).to_string();
            let why = OtherError(Arc::from(Box::<dyn Error + Send + Sync>::from(text)));
            name_partial_chain(CertificateError::Other(why).into())
        };
        assert_eq!(of(0x800B_010A_u32 as i32), CertificateError::UnknownIssuer.into());
        // CERT_E_CRITICAL
        assert_ne!(of(0x800B_0105_u32 as i32), CertificateError::UnknownIssuer.into());
    }
}
