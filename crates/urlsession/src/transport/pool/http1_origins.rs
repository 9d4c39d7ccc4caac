//! The origins that require HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED). They are remembered as long as the session exists,
//! the latest ones if there are many.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::message::HostId;

#[derive(Default)]
pub(super) struct Http1Origins {
    /// False in nearly every session: the list is not looked at then.
    any: AtomicBool,
    origins: Mutex<VecDeque<OriginKey>>,
}

impl Http1Origins {
    pub(super) fn insert(&self, host: HostId<'_>, port: u16) {
        let mut origins = self.lock();
        if origins.iter().any(|known| is(known, host, port)) {
            return;
        }
        if origins.len() == MOST {
            origins.pop_front();
        }
        origins.push_back((host.name.into(), host.zone.map(Into::into), port));
        self.any.store(true, Relaxed);
    }

    pub(super) fn contains(&self, host: HostId<'_>, port: u16) -> bool {
        self.any.load(Relaxed) && self.lock().iter().any(|known| is(known, host, port))
    }

    pub(super) fn clear(&self) {
        let mut origins = self.lock();
        origins.clear();
        self.any.store(false, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<OriginKey>> {
        self.origins.lock()
    }
}

/// Host, zone and port.
type OriginKey = (Box<str>, Option<Box<str>>, u16);

fn is((name, zone, of): &OriginKey, host: HostId<'_>, port: u16) -> bool {
    HostId { name, zone: zone.as_deref() } == host && *of == port
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostId<'_> {
        HostId::global(name)
    }

    #[test]
    fn the_latest_origins_are_remembered() {
        let origins = Http1Origins::default();
        assert!(!origins.contains(host("a"), 443));
        for n in 0..MOST + 1 {
            origins.insert(host(&format!("host-{n}")), 443);
            origins.insert(host(&format!("host-{n}")), 443);
        }
        assert!(!origins.contains(host("host-0"), 443) && origins.contains(host("host-1"), 443));
        assert!(origins.contains(host("host-256"), 443) && !origins.contains(host("host-256"), 444));
        origins.clear();
        assert!(!origins.contains(host("host-256"), 443));
    }

    #[test]
    fn an_address_in_two_zones_is_two_origins() {
        let origins = Http1Origins::default();
        let zoned = |zone| HostId { name: "[fe80::1]", zone };
        origins.insert(zoned(Some("eth0")), 443);
        assert!(origins.contains(zoned(Some("eth0")), 443));
        assert!(!origins.contains(zoned(Some("eth1")), 443) && !origins.contains(zoned(None), 443));
    }
}
