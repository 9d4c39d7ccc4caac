//! The interfaces for connections that may not use every network. If no active network is forbidden, the system's routes
//! decide; else sockets are bound to one allowed interface after the other.
//!
//! It dials nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::env::{ForbiddenNetworks, Interface, InterfaceKind, NetworkPath};

/// An address to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DialTarget {
    pub(super) address: SocketAddr,
    /// The interface that it is to lead over; `None` if that is left to the routes.
    pub(super) over: Option<Arc<Interface>>,
}

/// The targets for the addresses, best first; none if no allowed interface has an address to begin at. `source` says from which
/// address the system's routes would lead to another.
pub(super) fn dial_targets(
    path: &dyn NetworkPath,
    forbidden: ForbiddenNetworks,
    addresses: &[SocketAddr],
    source: impl Fn(SocketAddr) -> Option<IpAddr>,
) -> Vec<DialTarget> {
    let routed = |address: &SocketAddr| DialTarget { address: *address, over: None };
    let interfaces = path.status().map(|status| status.interfaces).unwrap_or_default();
    if interfaces.iter().all(|interface| forbidden.against(interface).is_none()) {
        return addresses.iter().map(routed).collect();
    }
    let is_own = |address: &SocketAddr| {
        let ip = address.ip().to_canonical();
        ip.is_loopback() || interfaces.iter().any(|interface| interface.addresses.contains(&ip))
    };
    // What stays in this machine takes no network, and does not come over an interface.
    let (own, far): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| is_own(address));
    let mut targets: Vec<_> = own.into_iter().map(routed).collect();
    let usual = far.first().and_then(|address| source(**address)).map(|source| source.to_canonical());
    let mut allowed: Vec<_> = interfaces
        .into_iter()
        .filter(|interface| forbidden.against(interface).is_none())
        .map(|interface| {
            let is_usual = usual.is_some_and(|usual| interface.addresses.contains(&usual));
            (!is_usual, rank(interface.kind), Arc::new(interface))
        })
        .collect();
    allowed.sort_by_key(|(is_unusual, rank, _)| (*is_unusual, *rank));
    for (_, _, interface) in &allowed {
        let begins = |address: &&SocketAddr| {
            let own = &interface.addresses;
            let is_v6 = address.ip().to_canonical().is_ipv6();
            own.is_empty() || own.iter().any(|own| own.is_ipv6() == is_v6)
        };
        let over = |address: &SocketAddr| DialTarget { address: *address, over: Some(interface.clone()) };
        targets.extend(far.iter().copied().filter(begins).map(over));
    }
    targets
}

/// The interfaces that may be used, if one that is up may not.
pub(super) fn allowed_interfaces(
    path: &dyn NetworkPath,
    forbidden: ForbiddenNetworks,
) -> Option<Vec<Interface>> {
    if forbidden.is_empty() {
        return None;
    }
    let mut interfaces = path.status()?.interfaces;
    let up = interfaces.len();
    interfaces.retain(|interface| forbidden.against(interface).is_none());
    (interfaces.len() < up).then_some(interfaces)
}

/// What more often leads to the world comes first; bridges and tunnels, whose ends may be anywhere, come last.
fn rank(kind: InterfaceKind) -> u8 {
    match kind {
        InterfaceKind::Wired => 0,
        InterfaceKind::Wifi => 1,
        InterfaceKind::Cellular => 2,
        InterfaceKind::Other => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending};
    use std::pin::Pin;

    use super::*;
    use crate::env::PathStatus;
    use crate::error::NetworkUnavailableReason as Reason;

    struct Fixed(Option<Vec<Interface>>);

    impl NetworkPath for Fixed {
        fn status(&self) -> Option<PathStatus> {
            self.0.clone().map(|interfaces| PathStatus { interfaces })
        }

        fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(pending())
        }
    }

    fn interface(name: &str, kind: InterfaceKind, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Interface { addresses, ..Interface::new(name, kind) }
    }

    fn machine() -> Vec<Interface> {
        vec![
            interface("br0", InterfaceKind::Other, &["172.17.0.1"]),
            interface("wwan0", InterfaceKind::Cellular, &["100.64.0.9", "2001:db8::9"]),
            interface("wlan0", InterfaceKind::Wifi, &["192.168.1.9"]),
            interface("eth0", InterfaceKind::Wired, &["10.0.0.9", "2001:db8:1::9"]),
        ]
    }

    /// Which address over which interface.
    fn found(interfaces: Option<Vec<Interface>>, to: &[&str], source: &str) -> Vec<(String, String)> {
        let addresses: Vec<SocketAddr> = to.iter().map(|to| to.parse().unwrap()).collect();
        let no_cellular = ForbiddenNetworks::default().and(Reason::Cellular);
        let targets = dial_targets(&Fixed(interfaces), no_cellular, &addresses, |_| source.parse().ok());
        let name = |over: Option<Arc<Interface>>| over.map_or("-".into(), |over| over.name.clone());
        targets.into_iter().map(|way| (way.address.ip().to_string(), name(way.over))).collect()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(address, name)| ((*address).to_owned(), (*name).to_owned())).collect()
    }

    const FOUR: &str = "192.0.2.1:80";
    const SIX: &str = "[2001:db8:2::1]:80";

    #[test]
    fn allowed_interfaces_are_tried_and_the_routes_own_choice_first_if_it_is_one() {
        let by_wired = pairs(&[("192.0.2.1", "eth0"), ("192.0.2.1", "wlan0"), ("192.0.2.1", "br0")]);
        assert_eq!(found(Some(machine()), &[FOUR], "100.64.0.9"), by_wired);
        let by_bridge = pairs(&[("192.0.2.1", "br0"), ("192.0.2.1", "eth0"), ("192.0.2.1", "wlan0")]);
        assert_eq!(found(Some(machine()), &[FOUR], "172.17.0.1"), by_bridge);
    }

    #[test]
    fn an_address_is_dialled_over_interfaces_that_have_one_of_its_kind() {
        let expected = pairs(&[("2001:db8:2::1", "eth0")]);
        assert_eq!(found(Some(machine()), &[SIX], "2001:db8::9"), expected);
        let machine = machine().into_iter().take(3).collect();
        assert_eq!(found(Some(machine), &[SIX], "2001:db8::9"), [], "there is none");
    }

    #[test]
    fn nothing_is_bound_where_nothing_forbidden_is_up_and_to_this_machine() {
        let routed = pairs(&[("192.0.2.1", "-"), ("2001:db8:2::1", "-")]);
        assert_eq!(found(None, &[FOUR, SIX], ""), routed, "the path is not known");
        let machine = machine();
        let allowed = machine.iter().filter(|one| one.kind != InterfaceKind::Cellular).cloned().collect();
        assert_eq!(found(Some(allowed), &[FOUR, SIX], ""), routed);
        let here = ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "10.0.0.9:80", "100.64.0.9:80"];
        let found = found(Some(machine), &here, "");
        assert!(found.len() == here.len() && found.iter().all(|(_, over)| over == "-"), "{found:?}");
    }
}
