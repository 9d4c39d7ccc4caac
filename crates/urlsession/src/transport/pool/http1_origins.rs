//! Which origins have said that they are to be spoken to over HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED). They are remembered
//! as long as the session, the latest ones if there are many.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Http1Origins {
    /// False in nearly every session: the list is not looked at then.
    any: AtomicBool,
    origins: Mutex<VecDeque<(Box<str>, u16)>>,
}

impl Http1Origins {
    pub(super) fn insert(&self, host: &str, port: u16) {
        let mut origins = self.lock();
        if origins.iter().any(|known| is(known, host, port)) {
            return;
        }
        if origins.len() == MOST {
            origins.pop_front();
        }
        origins.push_back((host.into(), port));
        self.any.store(true, Relaxed);
    }

    pub(super) fn contains(&self, host: &str, port: u16) -> bool {
        self.any.load(Relaxed) && self.lock().iter().any(|known| is(known, host, port))
    }

    pub(super) fn clear(&self) {
        let mut origins = self.lock();
        origins.clear();
        self.any.store(false, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Box<str>, u16)>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is(known: &(Box<str>, u16), host: &str, port: u16) -> bool {
    (&*known.0, known.1) == (host, port)
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_origins_are_remembered() {
        let origins = Http1Origins::default();
        assert!(!origins.contains("a", 443));
        for n in 0..MOST + 1 {
            origins.insert(&format!("host-{n}"), 443);
            origins.insert(&format!("host-{n}"), 443);
        }
        assert!(!origins.contains("host-0", 443) && origins.contains("host-1", 443));
        assert!(origins.contains("host-256", 443) && !origins.contains("host-256", 444));
        origins.clear();
        assert!(!origins.contains("host-256", 443));
    }
}
