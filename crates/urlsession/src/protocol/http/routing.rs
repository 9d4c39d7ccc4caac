//! Routing: the route to the server of a hop, selected once for all tries and carried in the attempt.
//!
//! `transport::route` selects the route. Apple: *connectionProxyDictionary*, *proxyConfigurations*.

use std::future::Future;
use std::sync::Arc;

use crate::error::Result;
use crate::load::{Attempt, Layer, Response};
use crate::transport::Pool;

pub(super) struct Routing<N> {
    pool: Arc<Pool>,
    next: N,
}

impl<N> Routing<N> {
    pub(super) fn new(pool: Arc<Pool>, next: N) -> Self {
        Self { pool, next }
    }
}

impl<N: Layer> Layer for Routing<N> {
    // Inlined, so that the next layer's future is made where it stays.
    #[inline(always)]
    fn load(&self, attempt: &mut Attempt<'_>) -> impl Future<Output = Result<Response>> + Send {
        attempt.route = self.pool.route(attempt.request.url());
        self.next.load(attempt)
    }
}
