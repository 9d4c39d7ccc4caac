//! In the place of `cache` without the feature of that name: a type without values.

use std::sync::Arc;

use crate::env::Clock;

/// A cache of responses, of which this build has none: the feature `cache` is off.
#[derive(Clone, Debug)]
pub enum UrlCache {}

impl UrlCache {
    pub(crate) fn of_default_sessions() -> Option<Self> {
        None
    }

    pub(crate) fn of_ephemeral_sessions() -> Option<Self> {
        None
    }

    pub(crate) fn set_clock(&self, _: &Arc<dyn Clock>) {
        match *self {}
    }

    pub(crate) fn remove_all_cached_responses(&self) {
        match *self {}
    }

    pub(crate) async fn flush(&self) {
        match *self {}
    }
}
