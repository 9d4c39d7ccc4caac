//! App Transport Security: which loads may have no, or weaker, protection. The module holds the rules and applies them to a
//! host; the security policy and TLS use the result.
//!
//! Apple: *NSAppTransportSecurity*, whose keys these are; Apple reads them from the application's `Info.plist`.

use std::fmt::{self, Display};
use std::net::IpAddr;

use url::Host;

use super::transparency::CertificateTransparencyLog;
use crate::env::is_loopback;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// Rules for cleartext, TLS and pinned keys.
///
/// By default cleartext `http` is refused, except to this machine and the local network: loopback addresses, `localhost`,
/// unqualified names, names below `.local`, private and link-local addresses. TLS is 1.2 or newer with forward secrecy, keys
/// of 2048 bits (RSA) or 256 (elliptic curves) and SHA-256: that cannot be weakened, since the TLS implementation has
/// nothing weaker.
///
/// ```
/// use urlsession::security::{AppTransportSecurity, ExceptionDomain, PinnedDomain};
/// use urlsession::Configuration;
///
/// // The SHA-256 of the SubjectPublicKeyInfo of an authority.
/// let authority = [0; 32];
/// let legacy =
///     ExceptionDomain::new("legacy.example.com").includes_subdomains(true).allows_insecure_http_loads(true);
/// let bank = PinnedDomain::new("bank.example.com").ca_identities([authority]);
/// let security = AppTransportSecurity::default().exception_domains([legacy]).pinned_domains([bank]);
/// let configuration = Configuration::default().app_transport_security(security);
/// # let _ = configuration;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "NSAppTransportSecurity")]
#[non_exhaustive]
pub struct AppTransportSecurity {
    /// Whether cleartext is allowed to every host that has no exception of its own. Default: `false`. Ignored if one of the
    /// other three general rules is set, to any value.
    #[doc(alias = "NSAllowsArbitraryLoads")]
    pub allows_arbitrary_loads: bool,
    /// Whether cleartext is allowed for media. Default: `None`. This library does not know what a load is for: any value allows
    /// nothing more, and [`allows_arbitrary_loads`](field@Self::allows_arbitrary_loads) is then ignored.
    #[doc(alias = "NSAllowsArbitraryLoadsForMedia")]
    pub allows_arbitrary_loads_for_media: Option<bool>,
    /// Whether cleartext is allowed for the content of web views. Default: `None`. This library has no web views: any value
    /// allows nothing more, and [`allows_arbitrary_loads`](field@Self::allows_arbitrary_loads) is then ignored.
    #[doc(alias = "NSAllowsArbitraryLoadsInWebContent")]
    pub allows_arbitrary_loads_in_web_content: Option<bool>,
    /// Whether cleartext is allowed to the local network, and whether a delegate may trust a server there that the platform
    /// does not trust. The local network consists of names without a dot, names below `.local`, and private (RFC 1918),
    /// link-local (RFC 3927, RFC 4291) and unique local (RFC 4193) addresses. Default: `None`, which allows it. Loopback is
    /// always allowed.
    #[doc(alias = "NSAllowsLocalNetworking")]
    pub allows_local_networking: Option<bool>,
    /// Rules for single domains. The general rules do not apply to a domain with a rule. If several rules match a host, the
    /// rule with the longest domain, or the narrowest range, applies.
    #[doc(alias = "NSExceptionDomains")]
    pub exception_domains: Vec<ExceptionDomain>,
    /// Domains whose servers must present certain keys, in addition to being trusted.
    #[doc(alias = "NSPinnedDomains")]
    pub pinned_domains: Vec<PinnedDomain>,
    /// Whether the certificates of hosts that have no exception must be in public logs, in addition to being trusted. Default:
    /// `false`. This includes certificates that an anchor of the configuration has issued. Two of
    /// [`certificate_transparency_logs`](field@Self::certificate_transparency_logs) must have signed for a certificate, three
    /// if it is valid for longer than 180 days. The signatures must be in the certificate, or in an OCSP response that the
    /// server staples; the TLS extension for signatures (RFC 6962 §3.3.1) is not requested. If a certificate has too few
    /// signatures, the load fails with [`ServerCertificateUntrusted`](UrlErrorCode::ServerCertificateUntrusted).
    pub requires_certificate_transparency: bool,
    /// The logs whose signatures count. Default: none. Without logs no certificate that must be in logs is trusted.
    pub certificate_transparency_logs: Vec<CertificateTransparencyLog>,
}

/// A rule of [`AppTransportSecurity`] for one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExceptionDomain {
    /// The domain, in ASCII as in a URL (`xn--…`) and without `*`, or an IP address, or a range of addresses such as
    /// `10.1.0.0/16`. Case, and dots at either end, are ignored.
    pub domain: String,
    /// Whether the rule covers subdomains too. Default: `false`.
    #[doc(alias = "NSIncludesSubdomains")]
    pub includes_subdomains: bool,
    /// Whether the domain may be loaded in cleartext, and whether a delegate may trust a server of it that the platform
    /// does not trust. Default: `false`.
    #[doc(alias = "NSExceptionAllowsInsecureHTTPLoads")]
    pub allows_insecure_http_loads: bool,
    /// The oldest TLS version accepted for the domain. Default: `None`, which is the configuration's version. The newer of the
    /// two applies. TLS 1.0 and 1.1, which Apple's key can name, do not exist here.
    #[doc(alias = "NSExceptionMinimumTLSVersion")]
    pub minimum_tls_version: Option<TlsVersion>,
    /// Whether certificates of the domain must be in logs, as
    /// [`AppTransportSecurity::requires_certificate_transparency`](field@AppTransportSecurity::requires_certificate_transparency)
    /// requires for all other hosts. Default: `false`.
    #[doc(alias = "NSRequiresCertificateTransparency")]
    pub requires_certificate_transparency: bool,
}

/// Keys that the servers of one domain must present. Apple: *NSPinnedDomains*.
///
/// If both lists hold keys, both must match; if both are empty, the rule has no effect. If a server does not match, the load
/// fails with [`ServerCertificateUntrusted`](UrlErrorCode::ServerCertificateUntrusted). If several rules match a host, the rule
/// with the longest domain, or the narrowest range, applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinnedDomain {
    /// The domain, in ASCII as in a URL (`xn--…`) and without `*`, or an IP address, or a range of addresses such as
    /// `10.1.0.0/16`. Case, and dots at either end, are ignored.
    pub domain: String,
    /// Whether the rule covers subdomains too. Default: `false`.
    #[doc(alias = "NSIncludesSubdomains")]
    pub includes_subdomains: bool,
    /// SHA-256 digests of the SubjectPublicKeyInfo, in DER, of authorities. One of these authorities must have vouched for the
    /// server: one that the server sends, an anchor of the configuration or, except on Android, a root that the platform
    /// trusts. Default: empty.
    #[doc(alias = "NSPinnedCAIdentities")]
    pub ca_identities: Vec<[u8; 32]>,
    /// SHA-256 digests of the SubjectPublicKeyInfo, in DER, of the server's own certificate. One of them must match. Default:
    /// empty.
    #[doc(alias = "NSPinnedLeafIdentities")]
    pub leaf_identities: Vec<[u8; 32]>,
}

impl ExceptionDomain {
    /// A rule that allows nothing yet.
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            includes_subdomains: false,
            allows_insecure_http_loads: false,
            minimum_tls_version: None,
            requires_certificate_transparency: false,
        }
    }

    fn covers(&self, host: &str) -> bool {
        covers(&self.domain, self.includes_subdomains, host) || covers_address(&self.domain, host)
    }
}

impl PinnedDomain {
    /// A rule that demands no key yet.
    pub fn new(domain: impl Into<String>) -> Self {
        Self { domain: domain.into(), ..Self::default() }
    }
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[doc(alias = "tls_protocol_version_t")]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[doc(alias = "TLSv12")]
    Tls12 = 0x0303,
    /// TLS 1.3 (RFC 8446).
    #[doc(alias = "TLSv13")]
    Tls13 = 0x0304,
}

impl Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

impl AppTransportSecurity {
    /// Whether cleartext is allowed with the host.
    ///
    /// # Errors
    /// [`AppTransportSecurityRequiresSecureConnection`](UrlErrorCode::AppTransportSecurityRequiresSecureConnection),
    /// with the rule that refuses and the setting that would allow.
    pub(crate) fn allows_insecure<S: AsRef<str> + Display>(&self, host: &Host<S>) -> Result<()> {
        if is_loopback(host) {
            return Ok(());
        }
        if let Some(rule) = self.exception(&host.to_string()) {
            return match rule.allows_insecure_http_loads {
                true => Ok(()),
                false => Err(refusal(format!(
                    "the rule for {:?} does not allow cleartext; set its allows_insecure_http_loads, or use https",
                    rule.domain
                ))),
            };
        }
        if self.allows_all() {
            return Ok(());
        }
        let is_local = self.allows_local_networking != Some(false)
            && match host {
                Host::Domain(name) => is_local_name(name.as_ref()),
                Host::Ipv4(address) => is_local_address(*address),
                Host::Ipv6(address) => is_local_address(*address),
            };
        match is_local {
            true => Ok(()),
            false => Err(refusal(
                "cleartext http is refused by default; use https, or allow it in app_transport_security \
                 (exception_domains for one domain or address, allows_local_networking for the local network, \
                 allows_arbitrary_loads for all, unless another general rule is set)"
                    .into(),
            )),
        }
    }

    /// Apple: a more specific key, whatever its value, disables the general one.
    fn allows_all(&self) -> bool {
        let others = [
            self.allows_arbitrary_loads_for_media,
            self.allows_arbitrary_loads_in_web_content,
            self.allows_local_networking,
        ];
        self.allows_arbitrary_loads && others == [None; 3]
    }

    /// The oldest TLS version that the host's rule requires, if there is a rule.
    pub(crate) fn minimum_tls_version(&self, host: &str) -> Option<TlsVersion> {
        self.exception(host)?.minimum_tls_version
    }

    /// True if the host's certificate must be in logs.
    pub(crate) fn wants_certificate_transparency_of(&self, host: &str) -> bool {
        self.exception(host)
            .map_or(self.requires_certificate_transparency, |rule| rule.requires_certificate_transparency)
    }

    /// The keys that a host must present, if any. The rule with the longest domain, or the narrowest range, applies.
    pub(crate) fn pins(&self, host: &str) -> Option<&PinnedDomain> {
        let covering = self.pinned_domains.iter().filter(|rule| {
            covers(&rule.domain, rule.includes_subdomains, host) || covers_address(&rule.domain, host)
        });
        covering.max_by_key(|rule| narrowness(&rule.domain))
    }

    /// The rule of a host. The rule with the longest domain, or the narrowest range, applies.
    fn exception(&self, host: &str) -> Option<&ExceptionDomain> {
        let covering = self.exception_domains.iter().filter(|rule| rule.covers(host));
        covering.max_by_key(|rule| narrowness(&rule.domain))
    }
}

/// Of several rules for one host the one with the highest number applies.
fn narrowness(domain: &str) -> usize {
    range(domain).map_or(domain.trim_matches('.').len(), |(_, bits)| bits as usize)
}

fn refusal(detail: String) -> UrlError {
    UrlError::new(UrlErrorCode::AppTransportSecurityRequiresSecureConnection, Phase::Policy, detail)
}

/// RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.6.
fn is_local_address(address: impl Into<IpAddr>) -> bool {
    match address.into().to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Unqualified, or below `.local` (RFC 6762 §3).
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.') || name.ends_with(".local")
}

/// A rule that is not found because of its spelling would leave its domain without a pin.
fn covers(domain: &str, subdomains: bool, host: &str) -> bool {
    let (domain, host) = (domain.trim_matches('.'), host.trim_end_matches('.'));
    let Some(start) = host.len().checked_sub(domain.len()) else { return false };
    let (before, tail) = host.as_bytes().split_at(start);
    let is_below = subdomains && before.last() == Some(&b'.');
    !domain.is_empty() && tail.eq_ignore_ascii_case(domain.as_bytes()) && (before.is_empty() || is_below)
}

/// Whether `host` is an address in the range, or the address, that `rule` names (RFC 4632 §3.1, RFC 4291 §2.3). IPv4 in IPv6 (RFC
/// 4291 §2.5.5.2) is IPv4.
fn covers_address(rule: &str, host: &str) -> bool {
    let (Some((base, bits)), Some(host)) = (range(rule), address(host)) else { return false };
    let is_same = |base: u128, host: u128| {
        let ignored = 128 - bits;
        ignored == 128 || (base >> ignored) == (host >> ignored)
    };
    is_same(octets(base), octets(host))
}

/// The range of addresses that a rule names, and how many of its 128 bits count; `None` if it names none.
fn range(rule: &str) -> Option<(IpAddr, u32)> {
    let (base, bits) = match rule.split_once('/') {
        Some((base, bits)) => (base, Some(bits.parse::<u32>().ok()?)),
        None => (rule, None),
    };
    let base = address(base)?;
    let before = if base.is_ipv4() { 96 } else { 0 };
    Some((base, bits.map_or(128, |bits| bits.saturating_add(before).min(128))))
}

fn address(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// As IPv6.
fn octets(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

setters! {
    impl AppTransportSecurity {
        allows_arbitrary_loads: value bool,
        allows_arbitrary_loads_for_media: option bool,
        allows_arbitrary_loads_in_web_content: option bool,
        allows_local_networking: option bool,
        exception_domains: list ExceptionDomain,
        pinned_domains: list PinnedDomain,
        requires_certificate_transparency: value bool,
        certificate_transparency_logs: list CertificateTransparencyLog,
    }
}

setters! {
    impl ExceptionDomain {
        domain: into String,
        includes_subdomains: value bool,
        allows_insecure_http_loads: value bool,
        minimum_tls_version: option TlsVersion,
        requires_certificate_transparency: value bool,
    }
}

setters! {
    impl PinnedDomain {
        domain: into String,
        includes_subdomains: value bool,
        ca_identities: list [u8; 32],
        leaf_identities: list [u8; 32],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, rules: &AppTransportSecurity) -> bool {
        match rules.allows_insecure(&Host::parse(host).unwrap()) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code().number(), -1022);
                false
            }
        }
    }

    #[test]
    fn a_rule_is_found_however_its_domain_is_spelled() {
        let pinned = |domain: &str, includes_subdomains| AppTransportSecurity {
            pinned_domains: vec![PinnedDomain {
                domain: domain.into(),
                includes_subdomains,
                ..PinnedDomain::default()
            }],
            ..AppTransportSecurity::default()
        };
        for domain in ["example.com", "Example.COM", "example.com.", ".example.com"] {
            assert!(pinned(domain, false).pins("example.com.").is_some(), "{domain}");
            assert!(pinned(domain, false).pins("www.example.com").is_none(), "{domain}");
            assert!(pinned(domain, true).pins("www.example.com").is_some(), "{domain}");
            assert!(pinned(domain, true).pins("anexample.com").is_none(), "{domain}");
        }
        for domain in ["::1", "[::1]"] {
            assert!(pinned(domain, false).pins("[::1]").is_some_and(|pin| pin.domain == domain));
        }
        let mut rules = pinned("10.0.0.0/8", false);
        rules.pinned_domains.extend(pinned("10.1.2.3", false).pinned_domains);
        assert_eq!(rules.pins("10.1.2.3").unwrap().domain, "10.1.2.3");
        assert_eq!(rules.pins("10.1.2.4").unwrap().domain, "10.0.0.0/8");
        for domain in ["", "."] {
            assert!(pinned(domain, true).pins("example.com").is_none());
        }
    }

    #[test]
    fn ranges_of_addresses_are_rules_too() {
        let rule = |domain: &str| AppTransportSecurity {
            exception_domains: vec![ExceptionDomain {
                allows_insecure_http_loads: true,
                ..ExceptionDomain::new(domain)
            }],
            allows_local_networking: Some(false),
            ..AppTransportSecurity::default()
        };
        for (domain, host, is_allowed) in [
            ("10.1.0.0/16", "10.1.200.3", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("8.8.8.8", "8.8.8.8", true),
            ("8.8.8.8/32", "8.8.8.9", false),
            ("2001:db8::/32", "[2001:db8:1::1]", true),
            ("2001:db8::/32", "[2001:db9::1]", false),
            ("::/0", "[2001:db8::1]", true),
            ("10.1.0.0/16", "[::ffff:10.1.2.3]", true),
            ("10.1.2.3", "[::ffff:a01:203]", true),
            ("[::ffff:10.1.0.0]/112", "10.1.2.3", true),
            ("10.1.0.0/16", "[::a01:203]", false),
            ("10.1.0.0/4294967295", "10.1.0.1", false),
            ("10.1.0.0/nonsense", "10.1.0.1", false),
            ("10.1.0.0/16", "example.com", false),
        ] {
            assert_eq!(allowed(host, &rule(domain)), is_allowed, "{domain} {host}");
        }
    }

    #[test]
    fn the_rule_of_the_narrowest_range_has_the_say() {
        for (wide, narrow, host) in [
            ("10.1.0.0/16", "10.1.2.3", "10.1.2.3"),
            ("10.1.0.0/16", "10.1.2.3", "[::ffff:10.1.2.3]"),
            ("100.64.0.0/10", "100.64.1.0/24", "100.64.1.1"),
            ("2001:db8:1::/48", "2001:db8:1::1", "[2001:db8:1::1]"),
            ("2001:0db8:0001::/32", "2001:db8::/33", "[2001:db8::1]"),
            ("10.1.2.0/24", "::ffff:10.1.2.3", "10.1.2.3"),
        ] {
            let rule = |domain: &str, allows_insecure_http_loads| ExceptionDomain {
                allows_insecure_http_loads,
                ..ExceptionDomain::new(domain)
            };
            for is_allowed in [true, false] {
                let mut rules = AppTransportSecurity {
                    exception_domains: vec![rule(wide, !is_allowed), rule(narrow, is_allowed)],
                    ..AppTransportSecurity::default()
                };
                assert_eq!(allowed(host, &rules), is_allowed, "{wide} {narrow}");
                rules.exception_domains.reverse();
                assert_eq!(allowed(host, &rules), is_allowed, "{narrow} {wide}");
            }
        }
    }

    #[test]
    fn the_local_network_is_allowed_by_its_own_setting() {
        let local = |allows_local_networking| AppTransportSecurity {
            allows_local_networking,
            ..AppTransportSecurity::default()
        };
        for host in [
            "10.0.0.1",
            "172.16.0.1",
            "169.254.1.1",
            "[::ffff:192.168.1.1]",
            "[fd00::1]",
            "[fe80::1]",
            "printer",
            "nas.local",
        ] {
            for (setting, is_allowed) in [(None, true), (Some(false), false), (Some(true), true)] {
                assert_eq!(allowed(host, &local(setting)), is_allowed, "{host} {setting:?}");
            }
        }
        for host in ["8.8.8.8", "[2001:db8::1]", "example.com"] {
            assert!(!allowed(host, &local(Some(true))), "{host}");
        }
    }

    #[test]
    fn every_other_general_rule_takes_the_effect_of_arbitrary_loads() {
        let all = AppTransportSecurity { allows_arbitrary_loads: true, ..AppTransportSecurity::default() };
        assert!(allowed("example.com", &all));
        for value in [Some(false), Some(true)] {
            let others = [
                AppTransportSecurity { allows_arbitrary_loads_for_media: value, ..all.clone() },
                AppTransportSecurity { allows_arbitrary_loads_in_web_content: value, ..all.clone() },
                AppTransportSecurity { allows_local_networking: value, ..all.clone() },
            ];
            for rules in others {
                assert!(!allowed("example.com", &rules), "{rules:?}");
                let is_local_allowed = rules.allows_local_networking != Some(false);
                assert_eq!(allowed("10.0.0.1", &rules), is_local_allowed, "{rules:?}");
            }
        }
    }

    #[test]
    fn the_rule_of_the_longest_domain_has_the_say() {
        let exception_domains = vec![
            ExceptionDomain {
                includes_subdomains: true,
                allows_insecure_http_loads: true,
                ..ExceptionDomain::new("example.com")
            },
            ExceptionDomain {
                minimum_tls_version: Some(TlsVersion::Tls13),
                ..ExceptionDomain::new("a.example.com")
            },
        ];
        let rules = AppTransportSecurity { exception_domains, ..AppTransportSecurity::default() };
        assert!(allowed("b.example.com", &rules));
        assert!(!allowed("a.example.com", &rules));
        assert_eq!(rules.minimum_tls_version("a.example.com"), Some(TlsVersion::Tls13));
        assert_eq!(rules.minimum_tls_version("b.example.com"), None);
    }
}
