//! The network path: which interfaces of this machine lead anywhere, and when that changes.
//!
//! Owns the only look at interfaces. This module forbids nothing and waits for nothing; the connectivity policy does.

#[cfg(windows)]
mod adapters;
mod interface;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod routes;
#[cfg(target_os = "linux")]
mod watch;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use self::interface::{Interface, InterfaceKind, PathStatus};

/// Which networks this machine is connected to.
///
/// ```
/// use std::future::{Future, pending};
/// use std::pin::Pin;
/// use urlsession::environment::{Environment, Interface, InterfaceKind, NetworkPath, PathStatus};
/// use urlsession::{Configuration, NetworkUnavailableReason, UrlSession};
///
/// /// A machine whose only network is metered, for good.
/// struct Metered;
///
/// impl NetworkPath for Metered {
///     fn status(&self) -> Option<PathStatus> {
///         let wifi = Interface::new("wlan0", InterfaceKind::Wifi).is_expensive(true);
///         Some(PathStatus::new([wifi]))
///     }
///
///     fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         Box::pin(pending())
///     }
/// }
///
/// let configuration = Configuration::ephemeral()
///     .allows_expensive_network_access(false)
///     .environment(Environment::default().path(Metered));
/// let error = UrlSession::new(configuration).data("https://example.com/").wait().unwrap_err();
/// assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Expensive));
/// ```
#[doc(alias = "NWPathMonitor")]
pub trait NetworkPath: Send + Sync {
    /// The networks that the machine is connected to now; `None` if they are not known: then no load is forbidden and no
    /// load waits for a network.
    #[doc(alias = "currentPath")]
    fn status(&self) -> Option<PathStatus>;

    /// Completes at the next change after this call.
    #[doc(alias = "pathUpdateHandler")]
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<P: NetworkPath + ?Sized> NetworkPath for Arc<P> {
    fn status(&self) -> Option<PathStatus> {
        P::status(self)
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        P::changed(self)
    }
}

/// The system's interfaces.
///
/// On Linux the kernel lists the interfaces (rtnetlink), and the driver distinguishes Wi-Fi and cellular from cables. On
/// Windows they are the adapters, with the types that Windows reports. Only cellular interfaces are expensive. No interface
/// is constrained or ultra-constrained, because the kernel does not report it; the services that may know metered networks
/// (NetworkManager, Windows' cost manager) are not used. On other systems, and where the list cannot be read, the path is
/// not known: no load is forbidden and no load waits.
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

#[cfg(windows)]
impl NetworkPath for SystemPath {
    fn status(&self) -> Option<PathStatus> {
        adapters::status()
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(adapters::changed())
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
impl NetworkPath for SystemPath {
    fn status(&self) -> Option<PathStatus> {
        None
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}
