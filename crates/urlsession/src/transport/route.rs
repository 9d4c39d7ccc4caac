//! The route to a server: direct, by a forward proxy, or through a proxy's tunnel. Pure.
//!
//! It neither connects nor authenticates. Apple: *connectionProxyDictionary*, *proxyConfigurations*.

use std::net::IpAddr;

use crate::configuration::{Configuration, ProxyConfiguration, ProxyDictionary, covers};
use crate::load::{Hop, ProxyKind, Route, RouteEnd};

/// The routes over a session's proxies, made once. The session's configuration decides which one leads to a server.
pub(crate) struct Routes {
    /// By the proxies of the configuration, in their order.
    configured: Box<[Route]>,
    /// By those of the dictionary.
    forward: Route,
    tunnel: Route,
}

impl Routes {
    pub(crate) fn new(config: &Configuration) -> Self {
        let configured = |(choice, proxy): (usize, &ProxyConfiguration)| {
            let hop = Hop {
                kind: ProxyKind::Http,
                host: proxy.host().into(),
                port: proxy.port(),
                credential: proxy.credential().cloned(),
                allows_failover: proxy.allow_failover,
            };
            Route::over([hop], RouteEnd::Tunnel, Some(choice))
        };
        let dictionary = config.connection_proxy_dictionary.as_ref();
        let over = |proxy: Option<(&str, u16)>, end| match proxy {
            None => Route::Direct,
            Some((host, port)) => {
                let (kind, host) = (ProxyKind::Http, host.into());
                let hop = Hop { kind, host, port, credential: None, allows_failover: false };
                Route::over([hop], end, None)
            }
        };
        Self {
            configured: config.proxy_configurations.iter().enumerate().map(configured).collect(),
            forward: over(dictionary.and_then(http_proxy), RouteEnd::Forward),
            tunnel: over(dictionary.and_then(https_proxy), RouteEnd::Tunnel),
        }
    }

    /// True if there are no proxies.
    pub(crate) fn are_direct(&self, config: &Configuration) -> bool {
        config.connection_proxy_dictionary.is_none() && self.configured.is_empty()
    }

    /// The route to a host, in its spelling in URLs.
    pub(crate) fn of(&self, config: &Configuration, secure: bool, host: &str) -> Route {
        if self.are_direct(config) {
            return Route::Direct;
        }
        self.first(config, 0, host).unwrap_or_else(|| self.by_dictionary(config, secure, host))
    }

    /// The route after this one has failed; `None` if there is none, or it is not allowed.
    pub(crate) fn after(
        &self,
        route: &Route,
        config: &Configuration,
        secure: bool,
        host: &str,
    ) -> Option<Route> {
        let Route::Proxied(route) = route else { return None };
        let choice = route.choice.filter(|_| route.hops.iter().all(|hop| hop.allows_failover))?;
        self.first(config, choice + 1, host).or_else(|| {
            let route = self.by_dictionary(config, secure, host);
            Some(route).filter(|route| route.forward().is_none())
        })
    }

    /// Over the first proxy of the configuration from `start` on that is for the host.
    fn first(&self, config: &Configuration, start: usize, host: &str) -> Option<Route> {
        first_choice(config, start, host).and_then(|choice| self.configured.get(choice)).cloned()
    }

    fn by_dictionary(&self, config: &Configuration, secure: bool, host: &str) -> Route {
        let route = if secure { &self.tunnel } else { &self.forward };
        let is_excepted = || match &config.connection_proxy_dictionary {
            Some(dictionary) => is_excepted(dictionary, host),
            None => true,
        };
        match route.is_direct() || is_excepted() {
            true => Route::Direct,
            false => route.clone(),
        }
    }
}

/// True if the configuration has a forward proxy.
pub(crate) fn has_forward_proxy(config: &Configuration) -> bool {
    config.connection_proxy_dictionary.as_ref().and_then(http_proxy).is_some()
}

/// The first proxy of the configuration from `start` on that is for the host.
fn first_choice(config: &Configuration, start: usize, host: &str) -> Option<usize> {
    let is_for = |proxy: &ProxyConfiguration| {
        let among = |domains: &[String]| domains.iter().any(|domain| covers(domain, host));
        (proxy.match_domains.is_empty() || among(&proxy.match_domains)) && !among(&proxy.excluded_domains)
    };
    config.proxy_configurations.iter().skip(start).position(is_for).map(|index| start + index)
}

fn http_proxy(dictionary: &ProxyDictionary) -> Option<(&str, u16)> {
    proxy(dictionary.http_enable, dictionary.http_proxy.as_deref(), dictionary.http_port.unwrap_or(80))
}

fn https_proxy(dictionary: &ProxyDictionary) -> Option<(&str, u16)> {
    proxy(dictionary.https_enable, dictionary.https_proxy.as_deref(), dictionary.https_port.unwrap_or(443))
}

fn proxy(enabled: bool, host: Option<&str>, port: u16) -> Option<(&str, u16)> {
    let host = host.filter(|host| enabled && !host.is_empty())?;
    Some((host, port))
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

    fn route(config: &Configuration, secure: bool, host: &str) -> Route {
        Routes::new(config).of(config, secure, host)
    }

    fn is_direct(config: &Configuration, host: &str) -> bool {
        route(config, true, host) == Route::Direct
    }

    #[test]
    fn without_proxies_every_way_is_direct() {
        let none = Configuration::ephemeral();
        let empty =
            Configuration { connection_proxy_dictionary: Some(ProxyDictionary::new()), ..none.clone() };
        for config in [none, empty] {
            assert_eq!(route(&config, false, "a"), Route::Direct);
            assert_eq!(route(&config, true, "a"), Route::Direct);
        }
    }

    #[test]
    fn a_scheme_has_its_own_proxy_if_that_is_enabled_and_named() {
        let mut config = dictionary(&[]);
        assert_eq!(route(&config, false, "a").forward().map(|hop| hop.port), Some(3128));
        assert!(route(&config, true, "a").is_tunnel());
        let dictionary = config.connection_proxy_dictionary.as_mut().unwrap();
        (dictionary.http_enable, dictionary.https_proxy) = (false, None);
        assert_eq!(route(&config, false, "a"), Route::Direct);
        assert_eq!(route(&config, true, "a"), Route::Direct);
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
        let port = |host| route(&config, false, host).hops().first().map(|hop| hop.port);
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
        let after =
            |config: &Configuration, route: &Route| Routes::new(config).after(route, config, true, "a");
        assert_eq!(after(&config, &route(&config, true, "a")), None);
        config.proxy_configurations[0].allow_failover = true;
        let second = after(&config, &route(&config, true, "a")).unwrap();
        assert_eq!(second.hops()[0].port, 3);
        assert_eq!(after(&config, &second), None);
        config.proxy_configurations[2].allow_failover = true;
        let second = after(&config, &route(&config, true, "a")).unwrap();
        assert_eq!(after(&config, &second), Some(Route::Direct));
    }
}
