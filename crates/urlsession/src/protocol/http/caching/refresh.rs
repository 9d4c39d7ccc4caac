//! `stale-while-revalidate`: revalidates an entry in the background (RFC 5861 §3), once at a time for each URL.

use std::future::poll_fn;
use std::sync::Arc;

use super::super::cache_request::CacheRequest;
use super::plan::{self, Next};
use super::{Caching, seconds};
use crate::env::{RuntimeHandle, Timer};
use crate::load::detached::DetachedContext;
use crate::load::{Activity, Attempt, CacheLookup, Layer, RevalidationReason, TransactionLog};
use crate::store::UrlCache;
use crate::store::cache::CacheEntry;

impl<N: Layer + 'static> Caching<N> {
    /// Begins a revalidation, unless one is running. It outlives the load, and its failure is not reported.
    pub(super) fn refresh(&self, cache: &UrlCache, entry: &Arc<CacheEntry>, attempt: &Attempt<'_>) {
        let Ok(flight) = self.0.on_expired_url.enter(&entry.key) else { return };
        let (policy, cache, entry) = (self.clone(), cache.clone(), entry.clone());
        let (request, added, route) = (attempt.request.clone(), attempt.added.clone(), attempt.route.clone());
        // On the library's own runtime: the caller's may end with the load.
        let Ok(runtime) = RuntimeHandle::own() else { return };
        runtime.clone().spawn(async move {
            let _flight = flight;
            let clock = policy.0.config.environment.clock.clone();
            let (context, activity, mut log) =
                (DetachedContext::default(), Activity::default(), TransactionLog::new());
            let mut attempt = Attempt {
                added,
                route,
                ..Attempt::new(request, &context, &activity, &mut log, &runtime, &*clock)
            };
            // A time beyond the clock never comes.
            let end = clock.now().checked_add(policy.0.config.timeout_interval_for_request);
            let asking = async {
                let cache_request = CacheRequest::default();
                // Between the look at this entry and now another may have come in its place.
                let found = policy.find(&cache, &entry.key, &attempt).await;
                let now = || seconds(&*clock);
                if let Next::Serve(_, CacheLookup::Fresh { .. }) = plan::next(&found, &cache_request, now) {
                    return;
                }
                if let Ok(mut response) =
                    policy.ask(&cache, entry, RevalidationReason::Stale, &cache_request, &mut attempt).await
                {
                    // What is to be stored is read to its end.
                    while let Some(Ok(_)) = poll_fn(|cx| response.body.poll_chunk(cx)).await {}
                }
            };
            match end {
                Some(end) => {
                    Timer::at(&*clock, &runtime, end).limit(asking).await;
                }
                None => asking.await,
            }
        });
    }
}
