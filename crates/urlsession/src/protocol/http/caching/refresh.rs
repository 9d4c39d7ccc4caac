//! `stale-while-revalidate`: asks for an entry anew behind its user (RFC 5861 §3), one at a time for each URL.

use std::sync::Arc;

use super::plan::Wish;
use super::{Caching, discard, either};
use crate::env::{Place, Timer};
use crate::load::{
    Ask, Attempt, BoxFuture, Challenger, Layer, Log, Meter, Priority, UploadPoint, Uploading,
    UrlProtocolTask, WhyAsked,
};
use crate::message::{
    AuthChallengeDisposition, BodyStream, UrlAuthenticationChallenge, UrlRequest, UrlResponse,
};
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
            let (meter, mut log) = (Meter::default(), Log::new());
            let mut attempt = Attempt {
                request,
                added,
                wants_new_connection: false,
                expectation_failed: false,
                hold: None,
                ask: &Nobody,
                meter: &meter,
                log: &mut log,
                place: &place,
                clock: &*clock,
            };
            let end = clock.now() + room.0.config.timeout_interval_for_request;
            let asking = async {
                let wish = Wish::default();
                if let Ok(response) = room.ask(&cache, entry, WhyAsked::Stale, &wish, &mut attempt).await {
                    discard(response.body).await;
                }
            };
            either(asking, Timer::at(&*clock, &place, end)).await;
        });
    }
}

/// The task of a load that has none.
struct Nobody;

impl Ask for Nobody {
    fn redirect<'a>(&'a self, _: &'a UrlResponse, _: UrlRequest) -> BoxFuture<'a, Option<UrlRequest>> {
        Box::pin(async { None })
    }

    fn new_body_from(&self, _: u64) -> BoxFuture<'_, Option<BodyStream>> {
        Box::pin(async { None })
    }

    fn requesting(&self, _: &Arc<UrlRequest>) {}

    fn sent(&self, _: u64) {}

    fn wants_informational(&self) -> bool {
        false
    }

    fn informational(&self, _: UrlResponse) {}

    fn waiting_for_connectivity(&self) {}

    fn goes_to_file(&self) -> bool {
        false
    }

    fn wants_will_cache(&self) -> bool {
        false
    }

    fn challenger(&self) -> Option<Arc<dyn Challenger>> {
        None
    }

    fn upload(&self) -> Option<Uploading> {
        None
    }

    fn upload_stands(&self, _: Option<UploadPoint>) {}

    fn priority(&self) -> f32 {
        0.5
    }

    fn lasting_priority(&self) -> Arc<dyn Priority> {
        Arc::new(Self)
    }

    fn challenge<'a>(&'a self, _: &'a UrlAuthenticationChallenge) -> BoxFuture<'a, AuthChallengeDisposition> {
        Box::pin(async { AuthChallengeDisposition::PerformDefaultHandling })
    }

    fn described(&self, current: &Arc<UrlRequest>) -> UrlProtocolTask {
        UrlProtocolTask {
            identifier: 0,
            description: None,
            priority: 0.5,
            original: current.clone(),
            current: current.clone(),
        }
    }
}

impl Priority for Nobody {
    fn priority(&self) -> f32 {
        0.5
    }
}
