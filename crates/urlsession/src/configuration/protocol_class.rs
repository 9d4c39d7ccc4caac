//! `UrlProtocolClass`: a custom protocol as a configuration holds it. The interface that an application implements, and the
//! code that runs it, are in `protocol::custom`.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::load::{Attempt, BoxFuture, Response};

/// A [`UrlProtocol`](crate::protocols::UrlProtocol) as a value to pass on; the counterpart of the class in Apple's API. A clone
/// is the same protocol, and only clones are equal.
#[derive(Clone)]
pub struct UrlProtocolClass(Arc<dyn CustomProtocol>);

/// A loader of requests that is consulted before the library's own protocols.
pub(crate) trait CustomProtocol: Send + Sync {
    /// Whether it loads the attempt's request.
    fn claims(&self, attempt: &Attempt<'_>) -> Result<bool>;

    /// Loads the attempt's request, as hop number `hops` of custom protocols; `None` if the attempt's request is now that of
    /// the next hop.
    fn load<'a>(
        self: Arc<Self>,
        attempt: &'a mut Attempt<'_>,
        hops: usize,
    ) -> BoxFuture<'a, Result<Option<Response>>>;
}

impl UrlProtocolClass {
    pub(crate) fn of(protocol: Arc<dyn CustomProtocol>) -> Self {
        Self(protocol)
    }

    pub(crate) fn protocol(&self) -> &Arc<dyn CustomProtocol> {
        &self.0
    }
}

impl PartialEq for UrlProtocolClass {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for UrlProtocolClass {}

impl fmt::Debug for UrlProtocolClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlProtocolClass")
    }
}
