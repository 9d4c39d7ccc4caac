//! Methods of stores that take a task. They are here since a store does not know what a task is.

use std::time::SystemTime;

use super::handle::Task;
use super::kinds::handles::DataTask;
use crate::message::{CachedUrlResponse, HttpCookie, UrlRequest};
use crate::store::{HttpCookieStorage, UrlCache, Visit};

impl HttpCookieStorage {
    /// The cookies of a task's current request, with its main document and partition: longest path first. Waits for
    /// the disk as [`cookies`](Self::cookies) does. None of a request in a [zone](UrlRequest::zone_id).
    #[doc(alias = "getCookiesFor(_:completionHandler:)")]
    #[doc(alias = "getCookiesForTask:completionHandler:")]
    #[doc(alias = "cookies(for:)")]
    pub fn cookies_for_task(&self, task: &Task) -> Vec<HttpCookie> {
        let Some(request) = task.core().requested() else { return Vec::new() };
        self.read_disk();
        visit(&request).map(|visit| self.found(&visit, now(task))).unwrap_or_default()
    }

    /// As [`set_cookies`](Self::set_cookies), for the URL, the main document and the partition of a task's current
    /// request. Loads do this themselves. Does nothing for a request in a [zone](UrlRequest::zone_id).
    #[doc(alias = "storeCookies(_:for:)")]
    #[doc(alias = "storeCookies:forTask:")]
    pub fn store_cookies_for_task(&self, cookies: impl IntoIterator<Item = HttpCookie>, task: &Task) {
        let Some(request) = task.core().requested() else { return };
        if let Some(visit) = visit(&request) {
            self.set_for(cookies, &visit, now(task));
        }
    }
}

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

fn now(task: &Task) -> SystemTime {
    task.core().session.config.environment.clock.wall()
}

fn visit(request: &UrlRequest) -> Option<Visit<'_>> {
    let (main_document_url, partition) = (request.main_document_url(), request.cookie_partition_identifier());
    Some(Visit { url: request.url_for_stores()?, main_document_url, partition })
}
