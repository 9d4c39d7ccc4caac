//! Methods of the cookie storage that take a task. They are here because a store does not depend on tasks.

use std::time::SystemTime;

use super::handle::Task;
use crate::message::{HttpCookie, UrlRequest};
use crate::store::{HttpCookieStorage, Visit};

impl HttpCookieStorage {
    /// The cookies for a task's current request, with its main document and partition: longest path first. Waits for the
    /// disk as [`cookies`](Self::cookies) does. Empty for a request in a [zone](UrlRequest::zone_id).
    #[doc(alias = "getCookiesFor(_:completionHandler:)")]
    #[doc(alias = "getCookiesForTask:completionHandler:")]
    #[doc(alias = "cookies(for:)")]
    pub fn cookies_for_task(&self, task: &Task) -> Vec<HttpCookie> {
        let Some(request) = task.core().requested() else { return Vec::new() };
        self.read_disk();
        visit(&request).map(|visit| self.found(&visit, now(task))).unwrap_or_default()
    }

    /// Same as [`set_cookies`](Self::set_cookies), for the URL, the main document and the partition of a task's current
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

fn now(task: &Task) -> SystemTime {
    task.core().session.config.environment.clock.wall()
}

fn visit(request: &UrlRequest) -> Option<Visit<'_>> {
    let (main_document_url, partition) = (request.main_document_url(), request.cookie_partition_identifier());
    Some(Visit { url: request.url_for_stores()?, main_document_url, partition })
}
