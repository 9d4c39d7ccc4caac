//! Which links have a default route: for those without an address of their own that reaches further.

use crate::env::fs;

/// Whether a default route leads over this link.
pub(super) fn has_default(link: &str) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    default_v4(&read("/proc/net/route"), link) || default_v6(&read("/proc/net/ipv6_route"), link)
}

/// Columns: link, destination, gateway, flags, three counters, mask.
fn default_v4(table: &str, link: &str) -> bool {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|columns| match columns[..] {
        [name, destination, _, flags, _, _, _, mask, ..] => {
            name == link && destination == "00000000" && mask == "00000000" && leads(flags)
        }
        _ => false,
    })
}

/// Columns: destination and its length, source and its length, next hop, three counters, flags, link.
fn default_v6(table: &str, link: &str) -> bool {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|columns| match columns[..] {
        [destination, length, _, _, _, _, _, _, flags, name] => {
            name == link && length == "00" && destination.bytes().all(|byte| byte == b'0') && leads(flags)
        }
        _ => false,
    })
}

/// Up, and not there to refuse.
fn leads(flags: &str) -> bool {
    u32::from_str_radix(flags, 16)
        .is_ok_and(|flags| flags & u32::from(libc::RTF_UP) != 0 && flags & u32::from(libc::RTF_REJECT) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_are_found_by_their_link() {
        let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";
        assert!(default_v4(v4, "eth0") && !default_v4(v4, "tun0"));
        let zero = "0".repeat(32);
        let line =
            |flags, link| format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 {flags} {link}\n");
        let v6 = line("00200200", "lo") + &line("00000003", "eth0");
        assert!(default_v6(&v6, "eth0") && !default_v6(&v6, "lo"), "the route over lo refuses");
    }
}
