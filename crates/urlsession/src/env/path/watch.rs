//! One watch a process over the kernel's interfaces. It costs a socket from the first question on, and a task on
//! the library's own runtime from the first wait on.

use parking_lot::Mutex;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};

use socket2::Socket;
use tokio::sync::watch;

use super::interface::{Interface, InterfaceKind, PathStatus};
use super::netlink::{self, Link, News};
use super::routes;
use crate::env::RuntimeHandle;
use crate::env::fs;

pub(super) struct Watch {
    socket: Socket,
    links: Mutex<Vec<Link>>,
    path: watch::Sender<PathStatus>,
    is_driven: AtomicBool,
}

/// The watch of this process; `None` where the kernel does not answer.
pub(super) fn system() -> Option<&'static Watch> {
    static SYSTEM: OnceLock<Watch> = OnceLock::new();
    match SYSTEM.get() {
        Some(watch) => Some(watch),
        None => {
            let watch = Watch::start().ok()?;
            Some(SYSTEM.get_or_init(|| watch))
        }
    }
}

impl Watch {
    fn start() -> io::Result<Self> {
        // First the ear, then the eye: nothing is missed between them.
        let socket = netlink::listen()?;
        let links = netlink::links()?;
        let path = watch::Sender::new(path_over(&links));
        Ok(Self { socket, links: Mutex::new(links), path, is_driven: AtomicBool::new(false) })
    }

    pub(super) fn status(&self) -> PathStatus {
        self.refresh();
        self.path.borrow().clone()
    }

    pub(super) fn changed(&'static self) -> impl Future<Output = ()> + Send + 'static {
        self.refresh();
        let mut path = self.path.subscribe();
        async move {
            self.drive();
            // The sender is never dropped.
            let _ = path.changed().await;
        }
    }

    /// Reads the news, and if there are any, the state of things. Who reads them tells everybody.
    fn refresh(&self) {
        let mut links = self.links.lock();
        let news = netlink::drain(&self.socket);
        if news == News::Nothing {
            return;
        }
        let Ok(now) = netlink::links() else { return };
        // Wireless links make news of every scan.
        if news == News::Routes || *links != now {
            *links = now;
            self.path.send_replace(path_over(&links));
        }
    }

    /// Someone waits: from now on the news are read as they come.
    fn drive(&'static self) {
        // Without one the news are read whenever somebody asks.
        let Ok(runtime) = RuntimeHandle::own() else { return };
        if runtime.why_without_sockets().is_some() || self.is_driven.swap(true, AcqRel) {
            return;
        }
        runtime.spawn(async move {
            let Ok(socket) = netlink::on_reactor(&self.socket) else { return };
            while let Ok(mut ready) = socket.readable().await {
                self.refresh();
                ready.clear_ready();
            }
        });
    }
}

fn path_over(links: &[Link]) -> PathStatus {
    let interfaces = links.iter().filter(|link| is_usable(link)).map(|link| {
        let mut interface = Interface::new(&*link.name, kind(link));
        interface.index = NonZeroU32::new(link.index);
        interface.addresses.clone_from(&link.addresses);
        interface
    });
    PathStatus { interfaces: interfaces.collect() }
}

fn is_usable(link: &Link) -> bool {
    link.has(libc::IFF_UP)
        && link.has(libc::IFF_RUNNING)
        && !link.has(libc::IFF_LOOPBACK)
        && (link.addresses.iter().any(|address| !is_link_local(address)) || routes::has_default(&link.name))
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What the driver says it is; else its name, by which Android's and old drivers are known.
fn kind(link: &Link) -> InterfaceKind {
    let directory = Path::new("/sys/class/net").join(&link.name);
    let uevent = fs::read_to_string(directory.join("uevent")).unwrap_or_default();
    let of_driver = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
    let is_wireless = || ["wireless", "phy80211"].iter().any(|entry| fs::exists(directory.join(entry)));
    match of_driver {
        Some("wlan") => InterfaceKind::Wifi,
        Some("wwan") => InterfaceKind::Cellular,
        _ if link.name.starts_with("wwan") || link.name.starts_with("rmnet") => InterfaceKind::Cellular,
        _ if is_wireless() => InterfaceKind::Wifi,
        None if link.hardware == libc::ARPHRD_ETHER => InterfaceKind::Wired,
        _ => InterfaceKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(flags: i32, addresses: &[&str]) -> Link {
        Link {
            index: 1,
            name: "no-such-link".into(),
            hardware: libc::ARPHRD_ETHER,
            flags: flags as u32,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_path_leads_over_running_links_with_addresses_that_reach_further() {
        const ON: i32 = libc::IFF_UP | libc::IFF_RUNNING;
        let names = |links: &[Link]| path_over(links).interfaces.len();
        assert_eq!(names(&[link(ON, &["10.0.0.1"])]), 1);
        assert_eq!(names(&[link(ON, &["fe80::1", "2001:db8::1"])]), 1);
        assert_eq!(names(&[link(ON, &["fe80::1", "169.254.3.4"])]), 0, "link-local only");
        assert_eq!(names(&[link(libc::IFF_UP, &["10.0.0.1"])]), 0, "no carrier");
        assert_eq!(names(&[link(ON | libc::IFF_LOOPBACK, &["10.0.0.1"])]), 0);
        assert_eq!(path_over(&[link(ON, &["10.0.0.1"])]).interfaces[0].kind, InterfaceKind::Wired);
    }
}
