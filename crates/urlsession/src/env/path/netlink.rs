//! The kernel's list of links and addresses, and its news of them: rtnetlink(7), over sockets of their own.
//!
//! This module reads messages; `watch` interprets them for the path.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

/// A link of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// `ARPHRD_…`
    pub(super) hardware: u16,
    /// `IFF_…`
    pub(super) flags: u32,
    /// Those that can be used.
    pub(super) addresses: Vec<IpAddr>,
}

impl Link {
    pub(super) fn has(&self, flag: i32) -> bool {
        self.flags & flag as u32 != 0
    }
}

/// What there is to read on the socket of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Nothing,
    /// Something about links or addresses, perhaps nothing new.
    Links,
    /// Routes have changed, or news were lost.
    Routes,
}

/// A socket that hears of changes of links, addresses and routes.
pub(super) fn listen() -> io::Result<Socket> {
    let socket = open()?;
    socket.set_nonblocking(true)?;
    socket.bind(&address(
        (libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE) as u32,
    )?)?;
    Ok(socket)
}

/// Reads what is there, without waiting.
pub(super) fn drain(mut socket: &Socket) -> News {
    let mut buffer = [0; 8192];
    let mut news = News::Nothing;
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return news,
            Ok(n) => news = news.max(messages(&buffer[..n]).map(news_of).max().unwrap_or(News::Nothing)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // ENOBUFS: there was more than the socket holds, and what it was is lost.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => news = News::Routes,
            Err(_) => return news,
        }
    }
}

/// The socket of news as the current reactor knows it.
#[allow(unsafe_code)] // a promise about a descriptor, see the proof below
pub(super) fn on_reactor(socket: &'static Socket) -> io::Result<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: the descriptor is borrowed for ever, so it stays open and the same for as long as it is registered;
    // a `BorrowedFd` always gives the descriptor it was made of.
    unsafe { AsyncFd::register(socket.as_fd()) }.map_err(Into::into)
}

/// All links with their addresses.
pub(super) fn links() -> io::Result<Vec<Link>> {
    let mut socket = open()?;
    // The kernel answers at once; a sandbox that does not must not hold up a load.
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut links = Vec::new();
    dump(&mut socket, libc::RTM_GETLINK, |message| links.extend(link(message)))?;
    dump(&mut socket, libc::RTM_GETADDR, |message| {
        if let Some((index, address)) = usable_address(message)
            && let Some(link) = links.iter_mut().find(|link| link.index == index)
        {
            link.addresses.push(address);
        }
    })?;
    Ok(links)
}

fn open() -> io::Result<Socket> {
    Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::from(libc::SOCK_RAW),
        Some(Protocol::from(libc::NETLINK_ROUTE)),
    )
}

/// The address that hears of `groups`.
#[allow(unsafe_code)] // a sockaddr of a family that socket2 does not know, see the proof below
fn address(groups: u32) -> io::Result<SockAddr> {
    // SAFETY: the storage given is zeroed, aligned and large enough for every kind of sockaddr, so for a
    // sockaddr_nl, of which all zeros is a value; its family and its length are set as `try_init` demands.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let netlink = storage.cast::<libc::sockaddr_nl>();
            (*netlink).nl_family = libc::AF_NETLINK as libc::sa_family_t;
            (*netlink).nl_groups = groups;
            *length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(address)
}

/// Asks for a list and reads it to its end.
fn dump(socket: &mut Socket, kind: u16, mut each: impl FnMut(Message<'_>)) -> io::Result<()> {
    // struct nlmsghdr, then a struct rtgenmsg of AF_UNSPEC, padded.
    let mut request = [0; 20];
    request[..4].copy_from_slice(&20u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    socket.send(&request)?;
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in messages(&buffer[..n]) {
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => {
                    let code = read_u32(message.payload, 0).unwrap_or_default() as i32;
                    return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
                }
                _ => each(message),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Message<'a> {
    kind: u16,
    payload: &'a [u8],
}

/// The messages of a datagram (netlink(7)): length with the head of 16 bytes, kind, and so on; aligned to 4.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = read_u32(datagram, 0)? as usize;
        let kind = read_u16(datagram, 4)?;
        let payload = datagram.get(16..length)?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, payload })
    })
}

/// The attributes behind a head of `head` bytes (rtnetlink(7)): length with its own head of 4, kind; aligned to 4.
fn attributes(payload: &[u8], head: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = payload.get(head..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(read_u16(rest, 0)?);
        let kind = read_u16(rest, 2)?;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// `struct ifinfomsg`: family and padding, hardware at 2, index at 4, flags at 8, 16 in all.
fn link(message: Message<'_>) -> Option<Link> {
    if message.kind != libc::RTM_NEWLINK {
        return None;
    }
    let (_, name) = attributes(message.payload, 16).find(|(kind, _)| *kind == libc::IFLA_IFNAME)?;
    Some(Link {
        index: read_u32(message.payload, 4)?,
        name: String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned(),
        hardware: read_u16(message.payload, 2)?,
        flags: read_u32(message.payload, 8)?,
        addresses: Vec::new(),
    })
}

/// `struct ifaddrmsg`: family, prefix length, flags at 2, scope at 3, index at 4, 8 in all. An address that is
/// still, or in vain, being checked for duplicates cannot be used (RFC 4862 §5.4).
fn usable_address(message: Message<'_>) -> Option<(u32, IpAddr)> {
    if message.kind != libc::RTM_NEWADDR {
        return None;
    }
    let index = read_u32(message.payload, 4)?;
    let mut flags = u32::from(*message.payload.get(2)?);
    let (mut local, mut peer) = (None, None);
    for (kind, value) in attributes(message.payload, 8) {
        match kind {
            libc::IFA_FLAGS => flags = read_u32(value, 0)?,
            libc::IFA_LOCAL => local = ip(value),
            libc::IFA_ADDRESS => peer = ip(value),
            _ => {}
        }
    }
    let is_usable =
        flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) == 0 || flags & libc::IFA_F_OPTIMISTIC != 0;
    // Of a point-to-point link the other end's address is given too.
    Some((index, local.or(peer)?)).filter(|_| is_usable)
}

/// `struct rtmsg`: table at 4, kind at 7, flags at 8.
fn news_of(message: Message<'_>) -> News {
    match message.kind {
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => {
            let of = |at| message.payload.get(at).copied().unwrap_or_default();
            let is_copy = read_u32(message.payload, 8).unwrap_or_default() & libc::RTM_F_CLONED != 0;
            // The table of local addresses follows the addresses.
            match of(7) == libc::RTN_UNICAST && of(4) != libc::RT_TABLE_LOCAL && !is_copy {
                true => News::Routes,
                false => News::Nothing,
            }
        }
        _ => News::Links,
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, head: &[u8], attributes: &[Vec<u8>]) -> Vec<u8> {
        let payload = [head, &attributes.concat()].concat();
        let mut bytes = ((16 + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    fn link_message(name: &[u8]) -> Vec<u8> {
        let mut head = vec![0, 0, 1, 0];
        head.extend(7u32.to_ne_bytes());
        head.extend(((libc::IFF_UP | libc::IFF_RUNNING) as u32).to_ne_bytes());
        head.extend([0; 4]);
        message(libc::RTM_NEWLINK, &head, &[attribute(4, &[1]), attribute(libc::IFLA_IFNAME, name)])
    }

    fn address_message(flags: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut head = vec![libc::AF_INET as u8, 24, flags, 0];
        head.extend(7u32.to_ne_bytes());
        message(libc::RTM_NEWADDR, &head, attributes)
    }

    #[test]
    fn links_and_addresses_are_read() {
        let datagram = [link_message(b"wlan0\0"), link_message(b"x\0")].concat();
        let links: Vec<_> = messages(&datagram).filter_map(link).collect();
        assert_eq!(
            links.iter().map(|link| (&*link.name, link.index)).collect::<Vec<_>>(),
            [("wlan0", 7), ("x", 7)]
        );
        assert!(links[0].has(libc::IFF_RUNNING) && !links[0].has(libc::IFF_LOOPBACK));

        let read = |bytes: Vec<u8>| messages(&bytes).find_map(usable_address);
        let (peer, local) =
            (attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]), attribute(libc::IFA_LOCAL, &[10, 0, 0, 2]));
        let own = Some((7, "10.0.0.2".parse().unwrap()));
        assert_eq!(read(address_message(0, &[peer.clone(), local.clone()])), own);
        let tentative = libc::IFA_F_TENTATIVE as u8;
        assert_eq!(read(address_message(tentative, std::slice::from_ref(&local))), None);
        let flags = attribute(libc::IFA_FLAGS, &0u32.to_ne_bytes());
        assert_eq!(read(address_message(tentative, &[local, flags])), own, "the wide flags are the flags");
    }

    #[test]
    fn broken_messages_end_the_reading() {
        let whole = [link_message(b"wlan0\0"), address_message(0, &[])].concat();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert!(messages(cut).count() < 2);
            assert!(messages(cut).filter_map(usable_address).next().is_none());
        }
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of zero is not followed for ever");
        assert_eq!(attributes(&[0; 64], 16).count(), 0);
    }

    #[test]
    fn only_routes_that_packets_may_take_are_news() {
        let route = |table, kind, flags: u32| {
            let mut head = vec![2, 0, 0, 0, table, 0, 0, kind];
            head.extend(flags.to_ne_bytes());
            messages(&message(libc::RTM_NEWROUTE, &head, &[])).map(news_of).max().unwrap()
        };
        assert_eq!(route(libc::RT_TABLE_MAIN, libc::RTN_UNICAST, 0), News::Routes);
        assert_eq!(route(libc::RT_TABLE_LOCAL, libc::RTN_UNICAST, 0), News::Nothing);
        assert_eq!(route(libc::RT_TABLE_MAIN, libc::RTN_UNICAST, libc::RTM_F_CLONED), News::Nothing);
        assert_eq!(messages(&link_message(b"x\0")).map(news_of).max(), Some(News::Links));
    }

    #[test]
    fn this_machine_has_a_loopback() {
        assert!(links().unwrap().iter().any(|link| link.has(libc::IFF_LOOPBACK)));
        // Other processes may change things meanwhile: what it hears is not known.
        let _ = drain(&listen().unwrap());
    }
}
