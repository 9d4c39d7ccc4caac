//! Methods of the cache that take a task. They are here because a store does not depend on tasks.

use super::kinds::handles::DataTask;
use crate::message::CachedUrlResponse;
use crate::store::UrlCache;

impl UrlCache {
    /// The cached response for a task's current request, or for its original request if it has no current one. The disk is
    /// read on another thread.
    #[doc(alias = "getCachedResponse(for:completionHandler:)")]
    #[doc(alias = "cachedResponse(for:)")]
    pub async fn cached_response_for_task(&self, task: &DataTask) -> Option<CachedUrlResponse> {
        let request = task.core().requested()?;
        self.find_cached(&request).await
    }

    /// Same as [`store_cached_response`](Self::store_cached_response), for a task's current request.
    #[doc(alias = "storeCachedResponse(_:for:)")]
    pub fn store_cached_response_for_task(&self, cached: &CachedUrlResponse, task: &DataTask) {
        if let Some(request) = task.core().requested() {
            self.store_cached_response(cached, &request);
        }
    }

    /// Same as [`remove_cached_response`](Self::remove_cached_response), for a task's current request.
    #[doc(alias = "removeCachedResponse(for:)")]
    pub fn remove_cached_response_for_task(&self, task: &DataTask) {
        if let Some(request) = task.core().requested() {
            self.remove_cached_response(&request);
        }
    }
}
