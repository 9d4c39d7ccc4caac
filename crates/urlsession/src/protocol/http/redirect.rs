//! Redirects: whether to follow one, to where, and with which request.
//!
//! RFC 9110 §15.4, RFC 3986 §5 and Apple's *willPerformHTTPRedirection*. It does not check the new URL: the next
//! hop passes the security layer like the first one.

use std::borrow::Cow;

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;
use urlsession_proto::scheme::Scheme;
use urlsession_proto::userinfo::without_secrets;

use super::discard::discard;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response, events};
use crate::message::{UrlRequest, is_of_origin};

pub(super) struct Redirect<N> {
    next: N,
}

impl<N> Redirect<N> {
    pub(super) fn new(next: N) -> Self {
        Self { next }
    }
}

impl<N: Layer> Layer for Redirect<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let mut hops = 0;
        loop {
            attempt.begin_transaction();
            attempt.added.clear();
            attempt.wants_new_connection = false;
            attempt.expectation_failed = false;
            attempt.context.requesting(&attempt.request);
            let loaded = self.next.load(attempt).await;
            let response = loaded.map_err(|error| named(error, &attempt.request))?;
            let Some(head) = response.head.http_head() else { return Ok(response) };
            match verdict(&attempt.request, head.status, &head.fields, hops) {
                Verdict::Final => return Ok(response),
                Verdict::Fail(error) => return Err(named(error, &attempt.request)),
                Verdict::Follow(next) => {
                    // In a box of its own: most loads do not carry it.
                    if let Some(response) = Box::pin(follow(response, next, attempt)).await {
                        return Ok(response);
                    }
                    hops += 1;
                }
            }
        }
    }
}

/// The error, with the place it is about.
fn named(error: UrlError, request: &UrlRequest) -> UrlError {
    error.with_url_in(request.url(), request.effective_zone_id())
}

/// Makes `next` the request, if the task agrees; otherwise the task gets the response of the redirect.
async fn follow(response: Response, next: Box<UrlRequest>, attempt: &mut Attempt<'_>) -> Option<Response> {
    let next = {
        let _pause = attempt.activity.pause_idle();
        attempt.context.redirect(&response.head, *next).await
    };
    let Some(next) = next else { return Some(response) };
    events::redirected(response.head.status_code(), next.url());
    discard(response.body, attempt).await;
    attempt.transaction().is_followed = true;
    attempt.request = next.into();
    None
}

/// Decides what to do with a response.
enum Verdict {
    Final,
    Follow(Box<UrlRequest>),
    Fail(UrlError),
}

fn verdict(request: &UrlRequest, status: StatusCode, fields: &HeaderMap, hops: usize) -> Verdict {
    let code = status.as_u16();
    // 300 and 304 are final responses, not redirects (RFC 9110 §15.4.1, §15.4.5).
    if !matches!(code, 301 | 302 | 303 | 305..=308) {
        return Verdict::Final;
    }
    let location = fields.get(header::LOCATION).map(|value| value.as_bytes().trim_ascii());
    // An empty reference is the URL itself (RFC 3986 §4.4), to which no server redirects on purpose.
    let Some(location) = location.filter(|location| !location.is_empty()) else {
        return Verdict::Final;
    };
    let url = request.url();
    let target = match resolve(url, location) {
        Ok(target) => target,
        Err(error) => return Verdict::Fail(error),
    };
    if hops >= LIMIT {
        let detail = format!("more than {LIMIT} redirects; the server may be redirecting in a circle");
        return Verdict::Fail(UrlError::new(UrlErrorCode::HttpTooManyRedirects, Phase::Redirect, detail));
    }
    Verdict::Follow(Box::new(successor(request, url, target, code)))
}

/// RFC 3986 §5.2; the fragment is inherited (RFC 9110 §10.2.2).
#[allow(clippy::disallowed_methods)] // it is shown
fn resolve(base: &Url, location: &[u8]) -> Result<Url> {
    let nowhere =
        |detail: String| UrlError::new(UrlErrorCode::RedirectToNonExistentLocation, Phase::Redirect, detail);
    let text = escaped(location);
    // Any number of slashes from two on leads to a host (WHATWG URL, "special authority ignore slashes state"), which `url`
    // does for references with a scheme only.
    let host = text.trim_start_matches(['/', '\\']);
    let slashes = text.len() - host.len();
    let mut target =
        if slashes > 2 { base.join(&format!("//{host}")) } else { base.join(&text) }.map_err(|error| {
            nowhere(format!("Location {:?} is not a URL: {error}", without_secrets(&text))).with_source(error)
        })?;
    if !Scheme::of(&target).is_http() {
        let detail = format!("a redirect from HTTP to the scheme {:?} is not followed", target.scheme());
        return Err(UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Redirect, detail));
    }
    if target.fragment().is_none() {
        target.set_fragment(base.fragment());
    }
    Ok(target)
}

/// The reference as text. Bytes that are not UTF-8 are percent-encoded one by one, as browsers do.
fn escaped(location: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(location) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(location.len() * 3);
    for byte in location {
        match byte {
            0..=0x7f => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Cow::Owned(text)
}

/// The request for the next hop.
fn successor(request: &UrlRequest, from: &Url, to: Url, code: u16) -> UrlRequest {
    let mut next = request.clone();
    // RFC 9110 §15.4.2, §15.4.3: POST becomes GET as everywhere; §15.4.4: 303 becomes GET, or stays HEAD.
    let drops_content = match code {
        301 | 302 => *request.http_method() == Method::POST,
        303 => true,
        _ => false,
    };
    if drops_content {
        if *request.http_method() != Method::HEAD {
            next.set_method(Method::GET);
        }
        next.remove_http_body();
        for name in OF_CONTENT {
            next.fields_mut().remove(name);
        }
    }
    if from.origin() != to.origin() {
        next.fields_mut().retain(|name| !is_of_origin(name));
    }
    next.set_url(to);
    next
}

/// Apple's page: "currently 16".
const LIMIT: usize = 16;

/// Fields that describe content. A request that drops its content drops them too (RFC 9110 §15.4, RFC 9530).
const OF_CONTENT: [&str; 8] = [
    "content-type",
    "content-length",
    "content-encoding",
    "content-language",
    "content-location",
    "content-digest",
    "repr-digest",
    "want-repr-digest",
];

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
