//! Replaces `caching` without the feature `cache`: nothing is stored. Cache policies still apply.

use std::sync::Arc;

use super::cache_request::{CacheRequest, NO_CACHE};
use crate::configuration::Configuration;
use crate::error::Result;
use crate::load::{Attempt, Layer, Response};

pub(super) struct Caching<N> {
    config: Arc<Configuration>,
    next: N,
}

/// Does nothing: the certificates that a session has shown matter only to stored responses.
#[derive(Default)]
pub(super) struct ShownCertificates;

impl ShownCertificates {
    pub(super) fn clear(&self) {}
}

impl<N> Caching<N> {
    pub(super) fn new(config: Arc<Configuration>, _: Arc<ShownCertificates>, next: N) -> Self {
        Self { config, next }
    }
}

impl<N: Layer> Layer for Caching<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        attempt.transaction().cache = Some(NO_CACHE);
        match CacheRequest::without_cache(&attempt.request, self.config.request_cache_policy)? {
            None => self.next.load(attempt).await,
            Some(cache_request) => cache_request.load(&self.next, attempt).await,
        }
    }
}
