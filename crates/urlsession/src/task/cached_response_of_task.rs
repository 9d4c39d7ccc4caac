//! Methods of the cache that take a task. They are here since a store does not know what a task is.

use super::kinds::handles::DataTask;
use crate::message::CachedUrlResponse;
use crate::store::UrlCache;

impl UrlCache {
    /// What is kept for a task's current request, or its first if it has none; the disk is looked at beside the caller.
    #[doc(alias = "getCachedResponse(for:completionHandler:)")]
    #[doc(alias = "cachedResponse(for:)")]
    pub async fn cached_response_for_task(&self, task: &DataTask) -> Option<CachedUrlResponse> {
        let request = task.core().requested()?;
        self.find_cached(&request).await
    }

    /// [`store_cached_response`](Self::store_cached_response) for a task's current request.
    #[doc(alias = "storeCachedResponse(_:for:)")]
    pub fn store_cached_response_for_task(&self, cached: &CachedUrlResponse, task: &DataTask) {
        if let Some(request) = task.core().requested() {
            self.store_cached_response(cached, &request);
        }
    }

    /// [`remove_cached_response`](Self::remove_cached_response) for a task's current request.
    #[doc(alias = "removeCachedResponse(for:)")]
    pub fn remove_cached_response_for_task(&self, task: &DataTask) {
        if let Some(request) = task.core().requested() {
            self.remove_cached_response(&request);
        }
    }
}
