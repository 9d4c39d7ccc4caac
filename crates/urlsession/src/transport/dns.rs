//! Resolves host names to addresses, in the order of connection attempts (RFC 8305 §4); decides whether a lookup is allowed
//! if the addresses must be validated (DNSSEC, RFC 4033).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::dial_progress::DialProgress;
use crate::env::{
    DomainResolutionProtocol, Environment, RuntimeHandle, is_localhost, is_out_of_descriptors, system_resolve,
};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The addresses of a host, families interleaved. With `validated` only a resolver that validates is used, unless no
/// lookup is needed. `progress` receives the start of a lookup.
pub(super) async fn resolve(
    env: &Environment,
    runtime: &RuntimeHandle,
    host: &str,
    port: u16,
    validated: bool,
    progress: &DialProgress,
) -> Result<Vec<SocketAddr>> {
    if let Some(address) = literal(host) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // RFC 6761 §6.3: a name of this machine is not sent to a resolver.
    if is_localhost(host) {
        progress.looks_up(env.clock.now(), DomainResolutionProtocol::Unknown);
        return Ok(LOOPBACK.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    // Before the name is sent to a resolver.
    if validated && !env.resolver.validates_dnssec() {
        return Err(not_validated(host));
    }
    let own = env.resolver.resolve(host, port);
    if validated && own.is_none() {
        // The system's resolver does not say whether it has validated an answer.
        return Err(not_validated(host));
    }
    let protocol = own.as_ref().map_or(DomainResolutionProtocol::Unknown, |_| env.resolver.protocol());
    progress.looks_up(env.clock.now(), protocol);
    let found = match own {
        Some(lookup) => lookup.await,
        None => system_resolve(runtime, host, port).await,
    };
    match found {
        Ok(addresses) if addresses.is_empty() => Err(not_found(host, None)),
        Ok(addresses) => Ok(interleave(addresses)),
        Err(error) if is_out_of_descriptors(&error) => Err(too_many_open_files(Phase::Dns, error)),
        Err(error) => Err(not_found(host, Some(error))),
    }
}

/// The IPv6 address `host` in a zone of this machine, which is an interface's number or name.
pub(super) async fn in_zone(
    runtime: &RuntimeHandle,
    host: &str,
    zone: &str,
    port: u16,
) -> Result<Vec<SocketAddr>> {
    let no_zone = || {
        let detail = format!("{zone:?} is no interface of this machine, and the zone of {host} must be one");
        UrlError::new(UrlErrorCode::CannotFindHost, Phase::Dns, detail)
    };
    let Some(IpAddr::V6(address)) = literal(host) else { return Err(no_zone()) };
    let in_scope = |scope| Ok(vec![SocketAddrV6::new(address, port, 0, scope).into()]);
    if let Ok(scope) = zone.parse() {
        return in_scope(scope);
    }
    // The system's resolver maps names of interfaces without a query. Some resolvers accept a zone only with a link-local
    // address, whatever that is.
    let scope_of = |found: &SocketAddr| match found {
        SocketAddr::V6(found) => Some(found.scope_id()).filter(|scope| *scope != 0),
        SocketAddr::V4(_) => None,
    };
    match system_resolve(runtime, &format!("fe80::1%{zone}"), port).await {
        Ok(found) => found.iter().find_map(scope_of).map_or_else(|| Err(no_zone()), in_scope),
        Err(error) if is_out_of_descriptors(&error) => Err(too_many_open_files(Phase::Dns, error)),
        Err(error) => Err(no_zone().with_source(error)),
    }
}

fn not_found(host: &str, error: Option<io::Error>) -> UrlError {
    let detail = format!("the name {host:?} has no address; check its spelling and the resolver");
    let failure = UrlError::new(UrlErrorCode::CannotFindHost, Phase::Dns, detail);
    match error {
        Some(error) => failure.with_source(error),
        None => failure,
    }
}

/// The process has no descriptor for a connection or a resolver, although idle connections have been closed.
pub(super) fn too_many_open_files(phase: Phase, error: io::Error) -> UrlError {
    let detail = "too many open files: this process has no descriptor left for a connection; close files or sessions, \
                  lower `maximum_open_connections`, or raise the limit (`ulimit -n`)";
    UrlError::new(UrlErrorCode::CannotConnectToHost, phase, detail).with_source(error)
}

fn not_validated(host: &str) -> UrlError {
    let detail = format!(
        "the name {host:?} must be validated by DNSSEC, which the system's resolver does not prove; give the \
         environment a resolver that validates, or do not set requires_dnssec_validation"
    );
    UrlError::new(UrlErrorCode::CannotFindHost, Phase::Policy, detail)
}

/// An IP address written as a host: IPv6 stands in brackets (RFC 3986 §3.2.2).
fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        // Names of proxies are not those of URLs, and may be IPv6 without brackets.
        None => host.parse().ok(),
    }
}

/// The resolver's order within a family is kept; families take turns, beginning with the resolver's first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return ordered,
            (a, b) => ordered.extend(a.into_iter().chain(b)),
        }
    }
}

/// Most servers that are for their own machine listen at the first.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        assert_eq!(interleave(given), addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_of_any_scope_may_be_in_a_zone_that_is_named() {
        for host in ["[fe80::2]", "[fd00::2]", "[::1]", "[2001:db8::2]", "[ff02::1]", "[ff05::1]"] {
            let runtime = RuntimeHandle::own().unwrap();
            let found =
                crate::env::block_on(in_zone(&runtime, host, "lo", 7)).unwrap_or_else(|e| panic!("{e}"));
            let [SocketAddr::V6(found)] = found[..] else { panic!("{host}: {found:?}") };
            assert_eq!(Some(IpAddr::V6(*found.ip())), literal(host));
            assert!(found.scope_id() != 0 && found.port() == 7, "{host}");
            let error = crate::env::block_on(in_zone(&runtime, host, "none", 7)).unwrap_err();
            assert!(error.detail().contains("no interface"), "{error}");
        }
    }

    #[test]
    fn addresses_are_not_looked_up() {
        assert_eq!(literal("127.0.0.1"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(literal("[::1]"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(literal("example.com"), None);
    }
}
