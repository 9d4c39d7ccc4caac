//! Which way to an origin: directly, by asking a proxy, or through a proxy's tunnel. Pure.
//!
//! It neither connects nor logs in. Apple: *connectionProxyDictionary*, *proxyConfigurations*.

use std::net::IpAddr;

use crate::configuration::{Configuration, ProxyConfiguration, ProxyDictionary, covers};
use crate::message::UrlCredential;

/// A way to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    #[default]
    Direct,
    /// The HTTP proxy of the dictionary is asked for the URL.
    Forward,
    /// A proxy is asked for a connection.
    Tunnel(Via),
}

/// Whose tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Of the HTTPS proxy of the dictionary.
    Dictionary,
    /// Of the proxy of the configuration with this index.
    Configuration(u8),
}

/// A proxy on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proxy<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) credential: Option<&'a UrlCredential>,
    pub(crate) allows_failover: bool,
}

impl Route {
    /// The way to a host, as URLs spell it.
    pub(crate) fn of(config: &Configuration, secure: bool, host: &str) -> Self {
        if config.connection_proxy_dictionary.is_none() && config.proxy_configurations.is_empty() {
            return Self::Direct;
        }
        match first(&config.proxy_configurations, 0, host) {
            Some(index) => Self::Tunnel(Via::Configuration(index)),
            None => by_dictionary(config, secure, host),
        }
    }

    /// The way if this one leads nowhere; `None` if there is none, or it may not be taken.
    pub(crate) fn after(self, config: &Configuration, secure: bool, host: &str) -> Option<Self> {
        let Self::Tunnel(Via::Configuration(index)) = self else { return None };
        if !self.proxy(config)?.allows_failover {
            return None;
        }
        match first(&config.proxy_configurations, usize::from(index) + 1, host) {
            Some(index) => Some(Self::Tunnel(Via::Configuration(index))),
            None => Some(by_dictionary(config, secure, host)).filter(|route| *route != Self::Forward),
        }
    }

    /// The proxy on it.
    pub(crate) fn proxy(self, config: &Configuration) -> Option<Proxy<'_>> {
        let dictionary = config.connection_proxy_dictionary.as_ref();
        match self {
            Self::Direct => None,
            Self::Forward => http_proxy(dictionary?),
            Self::Tunnel(Via::Dictionary) => https_proxy(dictionary?),
            Self::Tunnel(Via::Configuration(index)) => {
                config.proxy_configurations.get(usize::from(index)).map(|proxy| Proxy {
                    host: proxy.host(),
                    port: proxy.port(),
                    credential: proxy.credential(),
                    allows_failover: proxy.allow_failover,
                })
            }
        }
    }
}

/// The first proxy from `start` on that is for the host.
fn first(proxies: &[ProxyConfiguration], start: usize, host: &str) -> Option<u8> {
    let is_for = |proxy: &ProxyConfiguration| {
        let among = |domains: &[String]| domains.iter().any(|domain| covers(domain, host));
        (proxy.match_domains.is_empty() || among(&proxy.match_domains)) && !among(&proxy.excluded_domains)
    };
    let index = proxies.iter().skip(start).position(is_for)?;
    u8::try_from(start + index).ok()
}

fn by_dictionary(config: &Configuration, secure: bool, host: &str) -> Route {
    let Some(dictionary) = &config.connection_proxy_dictionary else { return Route::Direct };
    let proxy = if secure { https_proxy(dictionary) } else { http_proxy(dictionary) };
    match proxy.is_none() || is_excepted(dictionary, host) {
        true => Route::Direct,
        false if secure => Route::Tunnel(Via::Dictionary),
        false => Route::Forward,
    }
}

fn http_proxy(dictionary: &ProxyDictionary) -> Option<Proxy<'_>> {
    proxy(dictionary.http_enable, dictionary.http_proxy.as_deref(), dictionary.http_port.unwrap_or(80))
}

fn https_proxy(dictionary: &ProxyDictionary) -> Option<Proxy<'_>> {
    proxy(dictionary.https_enable, dictionary.https_proxy.as_deref(), dictionary.https_port.unwrap_or(443))
}

fn proxy(enabled: bool, host: Option<&str>, port: u16) -> Option<Proxy<'_>> {
    let host = host.filter(|host| enabled && !host.is_empty())?;
    Some(Proxy { host, port, credential: None, allows_failover: false })
}

fn is_excepted(dictionary: &ProxyDictionary, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    if dictionary.exclude_simple_hostnames && address.is_none() && !host.contains('.') {
        return true;
    }
    let patterns = dictionary.exceptions_list.iter().map(|pattern| pattern.trim());
    patterns.map(|pattern| pattern.strip_suffix('.').unwrap_or(pattern)).any(|pattern| match address {
        Some(address) if pattern.contains('/') => is_in_range(address, pattern),
        Some(address) if pattern.parse() == Ok(address) => true,
        _ => matches(pattern.as_bytes(), host.as_bytes()),
    })
}

/// `*` stands for any characters. Each is tried at its next place only, so that no pattern takes long.
fn matches(pattern: &[u8], host: &[u8]) -> bool {
    let (mut p, mut h, mut star) = (0, 0, None);
    while h < host.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, h));
                p += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&host[h]) => {
                p += 1;
                h += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, h) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// `169.254/16` is `169.254.0.0/16`.
fn is_in_range(address: IpAddr, range: &str) -> bool {
    let Some((base, bits)) = range.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match address {
        IpAddr::V4(address) => {
            let missing = 3_usize.saturating_sub(base.matches('.').count());
            let base = format!("{}{}", base.trim_end_matches('.'), ".0".repeat(missing));
            let Ok(IpAddr::V4(base)) = base.parse() else { return false };
            let shift = 32_u32.saturating_sub(bits);
            let of = |address: u32| u64::from(address) >> shift;
            bits <= 32 && of(address.to_bits()) == of(base.to_bits())
        }
        IpAddr::V6(address) => {
            let Ok(IpAddr::V6(base)) = base.parse() else { return false };
            let of = |address: u128| address.checked_shr(128_u32.saturating_sub(bits)).unwrap_or(0);
            bits <= 128 && of(address.to_bits()) == of(base.to_bits())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(exceptions: &[&str]) -> Configuration {
        let exceptions_list = exceptions.iter().map(|&pattern| pattern.into()).collect();
        let dictionary = ProxyDictionary { exceptions_list, ..ProxyDictionary::with_proxy("proxy", 3128) };
        Configuration { connection_proxy_dictionary: Some(dictionary), ..Configuration::ephemeral() }
    }

    fn is_direct(config: &Configuration, host: &str) -> bool {
        Route::of(config, true, host) == Route::Direct
    }

    #[test]
    fn without_proxies_every_way_is_direct() {
        let none = Configuration::ephemeral();
        let empty =
            Configuration { connection_proxy_dictionary: Some(ProxyDictionary::new()), ..none.clone() };
        for config in [none, empty] {
            assert_eq!(Route::of(&config, false, "a"), Route::Direct);
            assert_eq!(Route::of(&config, true, "a"), Route::Direct);
        }
    }

    #[test]
    fn a_scheme_has_its_own_proxy_if_that_is_enabled_and_named() {
        let mut config = dictionary(&[]);
        assert_eq!(Route::of(&config, false, "a"), Route::Forward);
        assert_eq!(Route::of(&config, true, "a"), Route::Tunnel(Via::Dictionary));
        let dictionary = config.connection_proxy_dictionary.as_mut().unwrap();
        (dictionary.http_enable, dictionary.https_proxy) = (false, None);
        assert_eq!(Route::of(&config, false, "a"), Route::Direct);
        assert_eq!(Route::of(&config, true, "a"), Route::Direct);
    }

    #[test]
    fn excepted_hosts_are_loaded_directly() {
        let config = dictionary(&[
            "*.local",
            "exact.example",
            "169.254/16",
            "10.0.0.0/8",
            "fd00::/8",
            "1.2.3.4",
            "in*al",
            "LOCALHOST.",
            "*.localhost",
        ]);
        for host in [
            "a.local",
            "EXACT.example",
            "exact.example.",
            "169.254.9.9",
            "10.255.0.1",
            "[fd00::1]",
            "1.2.3.4",
            "internal",
            "localhost",
            "localhost.",
            "a.b.localhost.",
        ] {
            assert!(is_direct(&config, host), "{host}");
        }
        for host in [
            "local",
            "not.exact.example",
            "169.255.0.1",
            "11.0.0.1",
            "[fe80::1]",
            "1.2.3.40",
            "internals",
            "10",
        ] {
            assert!(!is_direct(&config, host), "{host}");
        }
        for pattern in ["x/y", "/8", "1.2/33", "::/129", "", "a/b/c"] {
            assert!(!is_direct(&dictionary(&[pattern]), "1.2.3.4"), "{pattern}");
            assert!(!is_direct(&dictionary(&[pattern]), "[::1]"), "{pattern}");
        }
        for all in ["*", "0/0", "***"] {
            assert!(is_direct(&dictionary(&[all]), "1.2.3.4"), "{all}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = "*a".repeat(1000) + "b";
        assert!(!is_direct(&dictionary(&[&pattern]), &"a".repeat(10_000)));
    }

    #[test]
    fn simple_names_may_be_left_out() {
        let mut config = dictionary(&[]);
        config.connection_proxy_dictionary.as_mut().unwrap().exclude_simple_hostnames = true;
        assert!(is_direct(&config, "intranet"));
        for host in ["a.b", "1.2.3.4", "[::1]"] {
            assert!(!is_direct(&config, host), "{host}");
        }
    }

    fn proxy(port: u16, domains: &[&str], excluded: &[&str]) -> ProxyConfiguration {
        let owned = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        let mut proxy = ProxyConfiguration::with_http_connect_proxy("p", port);
        (proxy.match_domains, proxy.excluded_domains) = (owned(domains), owned(excluded));
        proxy
    }

    #[test]
    fn the_first_configuration_for_a_domain_wins_over_the_dictionary() {
        let mut config = dictionary(&["*"]);
        config.proxy_configurations =
            vec![proxy(1, &["one.example"], &["not.one.example"]), proxy(2, &[".two.example"], &[])];
        let port = |host| {
            let route = Route::of(&config, false, host);
            route.proxy(&config).map(|proxy| proxy.port)
        };
        assert_eq!(port("one.example"), Some(1));
        assert_eq!(port("a.ONE.example"), Some(1));
        assert_eq!(port("b.two.example"), Some(2));
        for host in ["not.one.example", "someone.example", "example", "other"] {
            assert_eq!(port(host), None, "{host}");
        }
    }

    #[test]
    fn only_a_proxy_that_allows_it_is_gone_around() {
        let mut config = Configuration::ephemeral();
        config.proxy_configurations = vec![proxy(1, &[], &[]), proxy(2, &["b"], &[]), proxy(3, &[], &[])];
        let first = Route::of(&config, true, "a");
        assert_eq!(first.after(&config, true, "a"), None);
        config.proxy_configurations[0].allow_failover = true;
        let second = first.after(&config, true, "a").unwrap();
        assert_eq!(second.proxy(&config).unwrap().port, 3);
        assert_eq!(second.after(&config, true, "a"), None);
        config.proxy_configurations[2].allow_failover = true;
        assert_eq!(second.after(&config, true, "a"), Some(Route::Direct));
    }
}
