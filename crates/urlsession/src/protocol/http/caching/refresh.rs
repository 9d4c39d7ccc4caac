//! `stale-while-revalidate`: asks for an entry anew behind its user (RFC 5861 §3), one at a time for each URL.

use std::future::poll_fn;
use std::sync::Arc;

use super::plan::{self, Next, Wish};
use super::{Caching, either, seconds};
use crate::env::{Place, Timer};
use crate::load::{Attempt, CacheLookup, Layer, Log, Meter, Nobody, WhyAsked};
use crate::store::UrlCache;
use crate::store::cache::Entry;

impl<N: Layer + 'static> Caching<N> {
    /// Begins, unless it is on its way. It outlives the load, and nobody hears of its failure.
    pub(super) fn refresh(&self, cache: &UrlCache, entry: &Arc<Entry>, attempt: &Attempt<'_>) {
        let Ok(flight) = self.0.refreshing.enter(&entry.key) else { return };
        let (room, cache, entry) = (self.clone(), cache.clone(), entry.clone());
        let (request, added) = (attempt.request.clone(), attempt.added.clone());
        // The library's own place: the caller's may end with the load.
        let place = Place::own();
        place.clone().spawn(async move {
            let _flight = flight;
            let clock = room.0.config.environment.clock.clone();
            let (ask, meter, mut log) = (Nobody::default(), Meter::default(), Log::new());
            let mut attempt =
                Attempt { added, ..Attempt::new(request, &ask, &meter, &mut log, &place, &*clock) };
            // A time beyond the clock never comes.
            let end = clock.now().checked_add(room.0.config.timeout_interval_for_request);
            let asking = async {
                let wish = Wish::default();
                // Between the look at this entry and now another may have come in its place.
                let found = room.find(&cache, &entry.key, &attempt).await;
                let now = || seconds(&*clock);
                if let Next::Serve(_, CacheLookup::Fresh { .. }) = plan::next(&found, &wish, now) {
                    return;
                }
                if let Ok(mut response) = room.ask(&cache, entry, WhyAsked::Stale, &wish, &mut attempt).await
                {
                    // What is to be stored is read to its end.
                    while let Some(Ok(_)) = poll_fn(|cx| response.body.poll_chunk(cx)).await {}
                }
            };
            match end {
                Some(end) => either(asking, Timer::at(&*clock, &place, end)).await,
                None => asking.await,
            }
        });
    }
}
