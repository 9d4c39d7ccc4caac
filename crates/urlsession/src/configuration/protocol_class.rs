//! `UrlProtocolClass`: a protocol of the application's own as a configuration holds it. What an application implements, and how
//! that is run, is in `protocol::custom`.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::load::{Attempt, BoxFuture, Response};

/// A [`UrlProtocol`](crate::protocols::UrlProtocol) to hand around; what the class is at Apple's. A clone is the same, and
/// only a clone is equal.
#[derive(Clone)]
pub struct UrlProtocolClass(Arc<dyn CustomProtocol>);

/// Who loads requests before the library's own protocols are asked.
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
