//! Hosts whose names have labels with a hyphen at an edge, which rustls refuses (RFC 1034 §3.5) although such hosts
//! exist.
//!
//! rustls gets no name, and this module compares the name. A ClientHello then has no server name: a server with several
//! certificates shows its first one.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error};

use super::certificate::dns_names;

/// Whether it is the name of a host but for hyphens at the edges of its labels.
pub(super) fn is_one(host: &str) -> bool {
    matches!(ServerName::try_from(host.replace('-', "a")), Ok(ServerName::DnsName(_)))
}

/// What rustls takes in the place of such a name, and a configuration whose verifier, `verifier`, judges by the name.
/// Sessions are not resumed: rustls would keep those of all such hosts as one's.
pub(super) fn to_rustls(
    config: &ClientConfig,
    verifier: Arc<dyn ServerCertVerifier>,
) -> (ServerName<'static>, Arc<ClientConfig>) {
    let mut config = config.clone();
    config.resumption = Resumption::disabled();
    config.dangerous().set_certificate_verifier(verifier);
    (nobody(), Arc::new(config))
}

/// No certificate is for this address.
fn nobody() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())
}

/// The verdict about certificates and a name.
pub(super) struct PathVerdict {
    pub(super) verified: Result<ServerCertVerified, Error>,
    /// The name is compared when all else is good.
    pub(super) names_come_last: bool,
}

/// The verdict of `judge_path` for a name that rustls takes, which the certificate has, or else nobody's; then the host's own
/// name is compared.
pub(super) fn judge(
    end_entity: &CertificateDer<'_>,
    host: &str,
    judge_path: impl FnOnce(&ServerName<'_>) -> PathVerdict,
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
    let PathVerdict { verified, names_come_last } = judge_path(&usual.unwrap_or_else(nobody));
    let verified = match verified {
        // All else is good.
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) if !is_usual && names_come_last => ServerCertVerified::assertion(),
        judged => judged?,
    };
    if !names.iter().any(|name| is_for(name, host)) {
        return Err(CertificateError::NotValidForName.into());
    }
    Ok(verified)
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
