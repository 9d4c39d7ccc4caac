//! The network path: which interfaces of this machine lead anywhere, and when that changes.
//!
//! Owns the only look at interfaces. It forbids nothing and waits for nothing: the connectivity policy does.

#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod routes;
#[cfg(target_os = "linux")]
mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// Which networks this machine is connected to.
#[doc(alias = "NWPathMonitor")]
pub trait NetworkPath: Send + Sync {
    /// What it is connected to now; `None` if that is not known, which forbids nothing and lets nobody wait.
    #[doc(alias = "currentPath")]
    fn status(&self) -> Option<PathStatus>;

    /// Completes at the next change after this call.
    #[doc(alias = "pathUpdateHandler")]
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The interfaces that lead somewhere; none if there is no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "NWPath")]
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
    /// The system's name of it: `eth0`.
    pub name: String,
    /// What it is made of.
    #[doc(alias = "type")]
    pub kind: InterfaceKind,
    /// Its addresses.
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

impl Interface {
    /// An interface without addresses; it is expensive if it is cellular, and not constrained.
    pub fn new(name: impl Into<String>, kind: InterfaceKind) -> Self {
        Self {
            name: name.into(),
            kind,
            addresses: Vec::new(),
            is_expensive: kind == InterfaceKind::Cellular,
            is_constrained: false,
            is_ultra_constrained: false,
        }
    }
}

/// The system's interfaces.
///
/// On Linux they are the kernel's (rtnetlink): Wi-Fi and cellular are told from cables by what the driver says,
/// cellular interfaces count as expensive, and none as constrained, which the kernel does not know. On other
/// systems, and where the kernel's list may not be read, the path is not known: nothing is forbidden and nobody
/// waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPath;

#[cfg(target_os = "linux")]
impl NetworkPath for SystemPath {
    fn status(&self) -> Option<PathStatus> {
        watch::system().map(watch::Watch::status)
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match watch::system() {
            Some(watch) => Box::pin(watch.changed()),
            None => Box::pin(std::future::pending()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl NetworkPath for SystemPath {
    fn status(&self) -> Option<PathStatus> {
        None
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}
