//! Names and addresses that never lead out of this machine.

use std::net::IpAddr;

use url::Host;

pub(crate) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => is_localhost(name.as_ref()),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).to_canonical().is_loopback(),
    }
}

/// RFC 6761 §6.3: the name is `localhost`, or ends with it as a label of its own.
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = name.rsplit('.').next().unwrap_or_default();
    label.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for (host, is_here) in [
            ("localhost", true),
            ("a.localhost.", true),
            ("A.b.LocalHost", true),
            ("localhost.localhost.", true),
            ("notlocalhost", false),
            ("localhost.example", false),
            ("127.9.9.9", true),
            ("128.0.0.1", false),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(is_loopback(&Host::parse(host).unwrap()), is_here, "{host}");
        }
        // Names of proxies are not those of URLs.
        for name in ["LOCALHOST", "LocalHost.", "a.LOCALHOST."] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["", ".", "localhost.a", "alocalhost", "localhost.."] {
            assert!(!is_localhost(name), "{name}");
        }
    }
}
