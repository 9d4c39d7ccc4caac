//! What a session has learned of servers' resumable uploads. In memory: a new session asks anew, which costs one refused
//! request where a server refuses, and nothing elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use url::{Origin, Url};
use urlsession_proto::resumable_upload::Dialect;

/// By origin.
#[derive(Default)]
pub(in super::super) struct Known(Mutex<HashMap<Origin, Manner>>);

/// How a server treats the fields of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It speaks this dialect; `hears_interim`: its interim responses get through.
    Speaks { dialect: Dialect, hears_interim: bool },
    /// It refuses requests with them.
    Refuses,
    /// It refuses some requests, with and without them.
    Indifferent,
}

impl Known {
    pub(super) fn of(&self, url: &Url) -> Option<Manner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&url.origin()).copied()
    }

    pub(super) fn note(&self, url: &Url, manner: Manner) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever comes after so many has them all learned anew.
        if known.len() >= MOST && !known.contains_key(&url.origin()) {
            known.clear();
        }
        known.insert(url.origin(), manner);
    }

    pub(in super::super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_known_by_what_was_noted_last_and_there_is_an_end_to_them() {
        let known = Known::default();
        let url = |host: usize| format!("https://{host}.example/x").parse::<Url>().unwrap();
        known.note(&url(0), Manner::Refuses);
        known.note(&url(0), Manner::Indifferent);
        assert_eq!(known.of(&"https://0.example/other".parse().unwrap()), Some(Manner::Indifferent));
        assert_eq!(known.of(&"http://0.example/x".parse().unwrap()), None);
        (1..=MOST).for_each(|host| known.note(&url(host), Manner::Refuses));
        assert_eq!((known.of(&url(0)), known.of(&url(MOST))), (None, Some(Manner::Refuses)));
        known.clear();
        assert_eq!(known.of(&url(MOST)), None);
    }
}
