//! The interfaces of a path, and whether their use is expensive or constrained. Values only.

use std::net::IpAddr;
use std::num::NonZeroU32;

/// The usable interfaces of this machine; none if there is no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "NWPath")]
#[non_exhaustive]
pub struct PathStatus {
    /// Interfaces that are up and running and have an address beyond their link, or a default route. Loopback is
    /// not among them.
    #[doc(alias = "availableInterfaces")]
    pub interfaces: Vec<Interface>,
}

/// A network interface, and whether its use is expensive or constrained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "NWInterface")]
pub struct Interface {
    /// The system's name of the interface, such as `eth0`. On Linux connections are bound to an interface by this name.
    pub name: String,
    /// The kind of the interface.
    #[doc(alias = "type")]
    pub kind: InterfaceKind,
    /// The system's index of the interface; `None` if it is not known. On Windows and macOS connections are bound to an
    /// interface by this index; without an index, by an address of the interface.
    pub index: Option<NonZeroU32>,
    /// The addresses of the interface. Connections to these addresses stay in this machine and are not bound. An interface
    /// with addresses is used for destinations of the same address families only; an interface without addresses is used
    /// for all.
    pub addresses: Vec<IpAddr>,
    /// Metered, such as a cellular connection.
    #[doc(alias = "isExpensive")]
    pub is_expensive: bool,
    /// In a mode that saves data, such as Low Data Mode.
    #[doc(alias = "isConstrained")]
    pub is_constrained: bool,
    /// Very slow, such as a satellite connection.
    #[doc(alias = "isUltraConstrained")]
    pub is_ultra_constrained: bool,
}

/// The kind of an interface.
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
    /// Another kind, such as a bridge or a tunnel.
    #[doc(alias = "other")]
    Other,
}

impl PathStatus {
    /// Creates a status with these usable interfaces; without any there is no network.
    pub fn new(interfaces: impl IntoIterator<Item = Interface>) -> Self {
        Self { interfaces: interfaces.into_iter().collect() }
    }
}

impl Interface {
    /// Creates an interface without an index and addresses. It is expensive if it is cellular, and not constrained.
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
