//! What a path leads over: interfaces and what their use costs. Values only.

use std::net::IpAddr;
use std::num::NonZeroU32;

/// The interfaces that lead somewhere; none if there is no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "NWPath")]
#[non_exhaustive]
pub struct PathStatus {
    /// Interfaces that are up and running and have an address beyond their link, or a default route. Loopback is
    /// not among them.
    #[doc(alias = "availableInterfaces")]
    pub interfaces: Vec<Interface>,
}

/// An interface, and what its use costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "NWInterface")]
pub struct Interface {
    /// The system's name of it: `eth0`. On Linux connections are bound to an interface by this name.
    pub name: String,
    /// What it is made of.
    #[doc(alias = "type")]
    pub kind: InterfaceKind,
    /// The system's number of it; `None` if that is not known. On Windows and macOS connections are bound to an interface by
    /// this number, without one by an address of its own.
    pub index: Option<NonZeroU32>,
    /// Its addresses. Connections to them stay in this machine and are not bound. An interface that has some is used for
    /// addresses of the same families only; without any it is used for all.
    pub addresses: Vec<IpAddr>,
    /// Metered, such as a cellular connection.
    #[doc(alias = "isExpensive")]
    pub is_expensive: bool,
    /// In a mode that saves data.
    #[doc(alias = "isConstrained")]
    pub is_constrained: bool,
    /// As slow as a satellite.
    #[doc(alias = "isUltraConstrained")]
    pub is_ultra_constrained: bool,
}

/// What an interface is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "NWInterface.InterfaceType")]
pub enum InterfaceKind {
    /// A cable.
    #[doc(alias = "wiredEthernet")]
    Wired,
    /// Wi-Fi.
    #[doc(alias = "wifi")]
    Wifi,
    /// A mobile network.
    #[doc(alias = "cellular")]
    Cellular,
    /// Something else: bridges, tunnels.
    #[doc(alias = "other")]
    Other,
}

impl PathStatus {
    /// These interfaces lead somewhere; without any there is no network.
    pub fn new(interfaces: impl IntoIterator<Item = Interface>) -> Self {
        Self { interfaces: interfaces.into_iter().collect() }
    }
}

impl Interface {
    /// An interface without a number and addresses; it is expensive if it is cellular, and not constrained.
    pub fn new(name: impl Into<String>, kind: InterfaceKind) -> Self {
        Self {
            name: name.into(),
            kind,
            index: None,
            addresses: Vec::new(),
            is_expensive: kind == InterfaceKind::Cellular,
            is_constrained: false,
            is_ultra_constrained: false,
        }
    }
}

setters! {
    impl PathStatus {
        interfaces: list Interface,
    }
}

setters! {
    impl Interface {
        name: into String,
        kind: value InterfaceKind,
        index: option NonZeroU32,
        addresses: list IpAddr,
        is_expensive: value bool,
        is_constrained: value bool,
        is_ultra_constrained: value bool,
    }
}
