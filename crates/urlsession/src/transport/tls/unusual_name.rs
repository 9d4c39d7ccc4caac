//! Hosts whose names have labels with a hyphen at an edge, which rustls takes for no names (RFC 1034 §3.5) though there are
//! such hosts.
//!
//! rustls is told of none, and the name is compared here. A ClientHello then has no server name: a server with several
//! certificates shows its first one.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::dns_names;

/// What judges servers with usual names.
pub(super) trait Judge: ServerCertVerifier {
    /// What anchors and the platform say of the certificates, and of the name.
    fn judge_path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error>;

    /// Whether the server shows a key that is pinned for the host, if any is.
    fn judge_pins(
        &self,
        host: &str,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error>;

    /// The verdict, unless it is somebody else's: then the handshake is held until there is one.
    fn hand_over(
        &self,
        verdict: Result<ServerCertVerified, Error>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<ServerCertVerified, Error>;
}

/// Whether it is the name of a host but for hyphens at the edges of its labels.
pub(super) fn is_one(host: &str) -> bool {
    matches!(ServerName::try_from(host.replace('-', "a")), Ok(ServerName::DnsName(_)))
}

/// What rustls takes in the place of such a name, and a configuration that judges by the name. Sessions are not resumed:
/// rustls would keep those of all such hosts as one's.
pub(super) fn to_rustls(
    config: &ClientConfig,
    verifier: Arc<dyn Judge>,
    host: &str,
) -> (ServerName<'static>, Arc<ClientConfig>) {
    let mut config = config.clone();
    config.resumption = Resumption::disabled();
    let of_host = OfHost { verifier, host: host.into() };
    config.dangerous().set_certificate_verifier(Arc::new(of_host));
    (nobody(), Arc::new(config))
}

/// No certificate is for this address.
fn nobody() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())
}

#[derive(Debug)]
struct OfHost {
    verifier: Arc<dyn Judge>,
    host: Box<str>,
}

impl OfHost {
    /// The path to an anchor is judged by a name that rustls takes; then the pins and the host's own name.
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let names = dns_names(end_entity);
        let usual = names.iter().find_map(|name| {
            let name = match name.strip_prefix("*.") {
                Some(rest) => format!("a.{}", Some(rest).filter(|rest| rest.contains('.'))?),
                None => (*name).to_owned(),
            };
            ServerName::try_from(name).ok()
        });
        let is_usual = usual.is_some();
        let name = usual.unwrap_or_else(nobody);
        let judged = self.verifier.judge_path(end_entity, intermediates, &name, ocsp_response, now);
        let verified = match judged {
            // webpki compares names last: all else is good. What other platforms do is not known.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !is_usual && LOOKS_AT_NAMES_LAST => ServerCertVerified::assertion(),
            judged => judged?,
        };
        if !names.iter().any(|name| is_for(name, &self.host)) {
            return Err(CertificateError::NotValidForName.into());
        }
        self.verifier.judge_pins(&self.host, end_entity, intermediates, now)?;
        Ok(verified)
    }
}

/// True if a certificate's name is the host's. `*` stands for its first label (RFC 9525 §6.3).
fn is_for(name: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    match name.strip_prefix("*.") {
        // Not for all hosts of a top-level domain, as webpki has it.
        Some(rest) => host
            .split_once('.')
            .is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest) && rest.contains('.')),
        None => name.eq_ignore_ascii_case(host),
    }
}

impl ServerCertVerifier for OfHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge(end_entity, intermediates, ocsp_response, now);
        self.verifier.hand_over(verdict, end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

const LOOKS_AT_NAMES_LAST: bool = !cfg!(any(windows, target_vendor = "apple", target_os = "android"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_hyphens_at_edges_are_unusual_and_what_is_no_name_is_none() {
        for host in ["-a.example", "a-.example", "-.example", "b.-a-.example.", "a--.example"] {
            assert!(is_one(host) && ServerName::try_from(host).is_err(), "{host}");
        }
        for host in
            ["", ".", "a..example", "a b.example", "-\u{e4}.example", &format!("-{}.example", "a".repeat(63))]
        {
            assert!(!is_one(host), "{host}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        for (name, host, is) in [
            ("-a.example", "-A.example.", true),
            ("*.b.example", "a-.B.example", true),
            ("*.example", "a-.example", false),
            ("*.b.example", "c.a-.b.example", false),
            ("*.a-.example", "b.a-.example", true),
            ("*", "-a", false),
            ("*.", "-a.", false),
            ("a.example", "-a.example", false),
        ] {
            assert_eq!(is_for(name, host), is, "{name}, {host}");
        }
    }
}
