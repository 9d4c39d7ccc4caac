//! Windows' list of adapters and their addresses, and its news of them (IP Helper).
//!
//! This module also decides which adapters are usable. Only a Windows service knows whether an adapter is metered, and this
//! module does not use that service.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::OnceLock;

use tokio::sync::watch;
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_NO_DATA, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_INCLUDE_GATEWAYS, GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_MULTICAST,
    GetAdaptersAddresses, IF_TYPE_ETHERNET_CSMACD, IF_TYPE_IEEE80211, IF_TYPE_SOFTWARE_LOOPBACK,
    IF_TYPE_WWANPP, IF_TYPE_WWANPP2, IP_ADAPTER_ADDRESSES_LH, MIB_NOTIFICATION_TYPE,
    MIB_UNICASTIPADDRESS_ROW, NotifyUnicastIpAddressChange,
};
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, AF_UNSPEC, IpDadStateDeprecated, IpDadStatePreferred, SOCKET_ADDRESS,
};

use super::interface::{Interface, InterfaceKind, PathStatus};

/// What Windows says of an adapter.
#[derive(Default)]
struct Adapter {
    name: String,
    index: u32,
    /// `IF_TYPE_…`
    kind: u32,
    is_up: bool,
    has_gateway: bool,
    /// Those that can be used.
    addresses: Vec<IpAddr>,
}

/// `None` if Windows does not say.
pub(super) fn status() -> Option<PathStatus> {
    Some(PathStatus { interfaces: adapters().ok()?.into_iter().filter_map(interface).collect() })
}

/// Completes at the next change.
pub(super) fn changed() -> impl Future<Output = ()> + Send + 'static {
    // The sender is never dropped.
    let mut news = news().map(watch::Sender::subscribe);
    async move {
        match &mut news {
            Some(news) => drop(news.changed().await),
            None => std::future::pending().await,
        }
    }
}

fn interface(adapter: Adapter) -> Option<Interface> {
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let leads_on = adapter.has_gateway || !adapter.addresses.iter().all(is_link_local);
    if !adapter.is_up || adapter.kind == IF_TYPE_SOFTWARE_LOOPBACK || !leads_on {
        return None;
    }
    let kind = match adapter.kind {
        IF_TYPE_ETHERNET_CSMACD => InterfaceKind::Wired,
        IF_TYPE_IEEE80211 => InterfaceKind::Wifi,
        IF_TYPE_WWANPP | IF_TYPE_WWANPP2 => InterfaceKind::Cellular,
        _ => InterfaceKind::Other,
    };
    let mut interface = Interface::new(adapter.name, kind);
    interface.index = NonZeroU32::new(adapter.index);
    interface.addresses = adapter.addresses;
    Some(interface)
}

/// The news of this process; `None` if Windows gives none.
#[allow(unsafe_code)] // one call that registers a callback, see the proof below
fn news() -> Option<&'static watch::Sender<()>> {
    unsafe extern "system" fn tell(
        _: *const core::ffi::c_void,
        _: *const MIB_UNICASTIPADDRESS_ROW,
        _: MIB_NOTIFICATION_TYPE,
    ) {
        if let Some(Some(news)) = NEWS.get() {
            news.send_replace(());
        }
    }
    static NEWS: OnceLock<Option<watch::Sender<()>>> = OnceLock::new();
    let news = NEWS.get_or_init(|| {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the callback looks at none of its arguments and at nothing but a static, and may so be called at any time
        // and on any thread; the handle, by which it would be taken back, is written to a place that is there during the
        // call.
        let result = unsafe {
            NotifyUnicastIpAddressChange(AF_UNSPEC, Some(tell), std::ptr::null(), false, &raw mut handle)
        };
        (result == NO_ERROR).then(watch::Sender::default)
    });
    news.as_ref()
}

#[allow(unsafe_code)] // one call, and a walk through the lists that it gives, see the proofs below
fn adapters() -> io::Result<Vec<Adapter>> {
    let flags = GAA_FLAG_SKIP_ANYCAST
        | GAA_FLAG_SKIP_MULTICAST
        | GAA_FLAG_SKIP_DNS_SERVER
        | GAA_FLAG_INCLUDE_GATEWAYS;
    // Of u64, as the structures are aligned.
    let mut buffer = vec![0_u64; FIRST_BUFFER / 8];
    // There may be more of them at each call.
    for _ in 0..TRIES {
        let mut length = u32::try_from(buffer.len() * 8).unwrap_or(u32::MAX);
        let first = buffer.as_mut_ptr().cast::<IP_ADAPTER_ADDRESSES_LH>();
        // SAFETY: Windows writes at most `length` bytes to `first`, of which `buffer` has as many, aligned for the structure.
        let result = unsafe {
            GetAdaptersAddresses(AF_UNSPEC.into(), flags, std::ptr::null(), first, &raw mut length)
        };
        match result {
            NO_ERROR => {}
            ERROR_NO_DATA => return Ok(Vec::new()),
            ERROR_BUFFER_OVERFLOW => {
                buffer = vec![0; (length as usize).div_ceil(8) + FIRST_BUFFER / 8];
                continue;
            }
            error => return Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
        let mut found = Vec::new();
        let mut next = first.cast_const();
        // SAFETY: after success `first` begins a list of initialised structures in `buffer`, which is borrowed by nothing else
        // and is there until the end of the loop; each `Next`, and what the structures point to, is null or in it too.
        while let Some(adapter) = unsafe { next.as_ref() } {
            found.push(unsafe { read(adapter) });
            next = adapter.Next;
        }
        return Ok(found);
    }
    Err(io::Error::other("the list of network adapters grew during every attempt to read it"))
}

/// # Safety
/// The adapter is from a list that `GetAdaptersAddresses` has written, all of which is there.
#[allow(unsafe_code)] // see above
unsafe fn read(adapter: &IP_ADAPTER_ADDRESSES_LH) -> Adapter {
    let mut addresses = Vec::new();
    let mut next = adapter.FirstUnicastAddress.cast_const();
    // SAFETY: as the caller says, the pointers are null or point to initialised structures.
    while let Some(unicast) = unsafe { next.as_ref() } {
        if [IpDadStatePreferred, IpDadStateDeprecated].contains(&unicast.DadState) {
            // SAFETY: the same.
            addresses.extend(address(unsafe { octets(&unicast.Address) }));
        }
        next = unicast.Next;
    }
    // SAFETY: both fields of the union are plain numbers.
    let index = unsafe { adapter.Anonymous1.Anonymous.IfIndex };
    Adapter {
        // SAFETY: a text that ends with a zero, as the caller says.
        name: unsafe { text(adapter.FriendlyName) },
        index: if index == 0 { adapter.Ipv6IfIndex } else { index },
        kind: adapter.IfType,
        is_up: adapter.OperStatus == IfOperStatusUp,
        has_gateway: !adapter.FirstGatewayAddress.is_null(),
        addresses,
    }
}

/// # Safety
/// The pointer is null or that of as many octets as the length says, which are there as long as `address`.
#[allow(unsafe_code)] // see above
unsafe fn octets(address: &SOCKET_ADDRESS) -> &[u8] {
    match (address.lpSockaddr.is_null(), usize::try_from(address.iSockaddrLength)) {
        // SAFETY: as the caller says; octets need no alignment.
        (false, Ok(length)) => unsafe { std::slice::from_raw_parts(address.lpSockaddr.cast::<u8>(), length) },
        _ => &[],
    }
}

/// # Safety
/// The pointer is null or that of units of UTF-16 of which the last is zero.
#[allow(unsafe_code)] // see above
unsafe fn text(units: *const u16) -> String {
    if units.is_null() {
        return String::new();
    }
    // SAFETY: each unit up to the first zero is there, as the caller says.
    let length = (0..).take_while(|at| unsafe { *units.add(*at) } != 0).count();
    // SAFETY: the same.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(units, length) })
}

/// `struct sockaddr_in`: family, port, address at 4. `struct sockaddr_in6`: family, port, flow, address at 8.
fn address(octets: &[u8]) -> Option<IpAddr> {
    match u16::from_ne_bytes(*octets.first_chunk()?) {
        AF_INET => Some(Ipv4Addr::from(*octets.get(4..)?.first_chunk::<4>()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(*octets.get(8..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Bytes, as Windows recommends to begin with.
const FIRST_BUFFER: usize = 16 * 1024;
const TRIES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(kind: u32, addresses: &[&str]) -> Adapter {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Adapter { name: "Ethernet".into(), index: 3, kind, is_up: true, has_gateway: false, addresses }
    }

    #[test]
    fn an_adapter_leads_on_if_it_is_up_and_has_an_address_that_does_or_a_gateway() {
        use InterfaceKind::{Cellular, Other, Wifi, Wired};
        for (kind, expected) in [
            (IF_TYPE_ETHERNET_CSMACD, Wired),
            (IF_TYPE_IEEE80211, Wifi),
            (IF_TYPE_WWANPP, Cellular),
            (IF_TYPE_WWANPP2, Cellular),
            (131, Other),
        ] {
            let found = interface(adapter(kind, &["fe80::1", "10.0.0.1"])).unwrap();
            assert_eq!((found.kind, found.index.map(NonZeroU32::get)), (expected, Some(3)));
            assert_eq!((found.is_expensive, found.addresses.len()), (expected == Cellular, 2));
        }
        let of = |addresses| adapter(IF_TYPE_ETHERNET_CSMACD, addresses);
        assert_eq!(interface(of(&["fe80::1", "169.254.3.4"])), None);
        assert_eq!(interface(of(&[])), None);
        assert!(interface(Adapter { has_gateway: true, ..of(&["fe80::1"]) }).is_some());
        assert_eq!(interface(Adapter { is_up: false, ..of(&["10.0.0.1"]) }), None);
        assert_eq!(interface(adapter(IF_TYPE_SOFTWARE_LOOPBACK, &["10.0.0.1"])), None);
    }

    #[test]
    fn addresses_are_read_and_what_is_cut_off_is_none() {
        let four = [&AF_INET.to_ne_bytes()[..], &[0, 80, 10, 0, 0, 1], &[0; 8]].concat();
        let six = [&AF_INET6.to_ne_bytes()[..], &[0; 6], &[0xfd; 16], &[0; 4]].concat();
        assert_eq!(address(&four), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(address(&six), Some(IpAddr::from([0xfd; 16])));
        assert_eq!((address(&four[..7]), address(&six[..23]), address(&[])), (None, None, None));
    }

    #[test]
    fn this_machine_has_a_loopback_with_its_address() {
        let adapters = adapters().unwrap();
        let mut loopbacks = adapters.iter().filter(|adapter| adapter.kind == IF_TYPE_SOFTWARE_LOOPBACK);
        let here: IpAddr = Ipv4Addr::LOCALHOST.into();
        assert!(loopbacks.any(|adapter| adapter.addresses.contains(&here) && !adapter.name.is_empty()));
        assert!(adapters.iter().all(|adapter| adapter.index > 0));
        assert!(status().unwrap().interfaces.iter().all(|one| !one.addresses.contains(&here)));
        drop(changed());
    }
}
