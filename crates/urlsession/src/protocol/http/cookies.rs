//! Cookies: which cookies a request sends, and which cookies of a response are stored (RFC 6265bis §5.7, §5.8).
//!
//! Two layers: `Cookies` adds the `Cookie` field above the cache, whose entries may vary by it; `SetCookies` reads
//! `Set-Cookie` below the cache, so that only responses of the network set cookies: a 304 does too, the stored
//! field of a reused response does not.
//!
//! Every hop is handled separately. The store parses cookies and decides whether a host may set them. Apple:
//! *httpShouldHandleCookies*, *httpShouldSetCookies*, *httpCookieAcceptPolicy*.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use urlsession_proto::cookie;
use urlsession_proto::field::has;

use crate::configuration::Configuration;
use crate::error::Result;
use crate::load::{Attempt, Layer, Response};
use crate::message::{HttpCookieAcceptPolicy, UrlRequest};
use crate::store::{HttpCookieStorage, Visit};

/// Adds the `Cookie` field to requests.
pub(super) struct Cookies<N> {
    config: Arc<Configuration>,
    /// Whether every request carries a `Cookie` of the configuration's own.
    is_set_for_all: bool,
    next: N,
}

impl<N> Cookies<N> {
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        let is_set_for_all = config.http_additional_headers.contains_key(header::COOKIE);
        Self { config, is_set_for_all, next }
    }

    fn sends(&self, request: &UrlRequest) -> bool {
        self.config.http_should_set_cookies && !self.is_set_for_all && !request.fields().contains("cookie")
    }
}

impl<N: Layer> Layer for Cookies<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        if let Some(storage) = handled(&self.config, &attempt.request) {
            if storage.is_stale(attempt.clock) {
                // In a box of its own: most loads do not carry it.
                Box::pin(storage.refresh(attempt.runtime)).await;
            }
            if !storage.is_empty() && self.sends(&attempt.request) {
                add(storage, attempt);
            }
        }
        self.next.load(attempt).await
    }
}

/// Stores the cookies that responses of the network set.
pub(super) struct SetCookies<N> {
    config: Arc<Configuration>,
    next: N,
}

impl<N> SetCookies<N> {
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        Self { config, next }
    }
}

impl<N: Layer> Layer for SetCookies<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let response = self.next.load(attempt).await?;
        if let Some(head) = response.head.http_head()
            && has(&head.fields, &header::SET_COOKIE)
            && let Some(storage) = handled(&self.config, &attempt.request)
        {
            keep(storage, attempt, &head.fields, self.config.http_cookie_accept_policy);
        }
        Ok(response)
    }
}

/// The store, if this request has to do with one.
fn handled<'c>(config: &'c Configuration, request: &UrlRequest) -> Option<&'c HttpCookieStorage> {
    config.http_cookie_storage.as_ref().filter(|_| request.http_should_handle_cookies())
}

fn visit(request: &UrlRequest) -> Option<Visit<'_>> {
    let (main_document_url, partition) = (request.main_document_url(), request.cookie_partition_identifier());
    Some(Visit { url: request.url_for_stores()?, main_document_url, partition })
}

fn add(storage: &HttpCookieStorage, attempt: &mut Attempt<'_>) {
    let field = visit(&attempt.request).and_then(|visit| storage.field(&visit, attempt.clock.wall()));
    // The store refuses values that cannot be sent; an edited file may still contain one.
    if let Some(value) = field.and_then(|field| HeaderValue::try_from(field).ok()) {
        attempt.added.push(("cookie", value));
    }
}

fn keep(
    storage: &HttpCookieStorage,
    attempt: &Attempt<'_>,
    fields: &HeaderMap,
    policy: HttpCookieAcceptPolicy,
) {
    // Of a response that sets more, the rest is not worth reading.
    let fields = fields.get_all(header::SET_COOKIE).iter().take(MOST_OF_RESPONSE);
    let cookies = fields.filter_map(|field| cookie::parse(field.as_bytes()));
    if let Some(visit) = visit(&attempt.request) {
        storage.store(cookies, &visit, policy, attempt.clock.wall());
    }
}

/// As many as a site may keep.
const MOST_OF_RESPONSE: usize = 180;

#[cfg(test)]
#[path = "cookies_tests.rs"]
mod tests;
