//! The wire: one request over one connection of the pool, and what cannot be sent is refused.

use std::sync::Arc;

use http::{HeaderValue, Method};
use urlsession_proto::method::is_idempotent;
use urlsession_proto::priority::Urgency;

use super::defaults::defaults;
use crate::configuration::{Configuration, HttpVersions};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response};
use crate::message::{HttpBody, UrlRequest};
use crate::transport::{Checkout, DefaultFields, Outgoing, Pool, RequestHead, h1};

pub(crate) struct Exchange {
    pool: Arc<Pool>,
    defaults: DefaultFields,
    versions: HttpVersions,
}

impl Exchange {
    pub(super) fn new(config: &Configuration, pool: Arc<Pool>) -> Self {
        Self { pool, defaults: defaults(config), versions: config.http_versions }
    }
}

impl Layer for Exchange {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let request = attempt.request.clone();
        let url = sendable(&request, self.versions)?;
        let Some(key) = self.pool.key(&request, url) else {
            return Err(UrlError::new(UrlErrorCode::BadUrl, Phase::Request, "the URL has no host"));
        };
        // A request that must not be repeated is worth a system call that tells whether the connection lives.
        let certain = !is_idempotent(request.http_method());
        let (place, meter) = (attempt.place, attempt.meter);
        let ask = attempt.ask;
        let checkout = match held(attempt) {
            Some(connection) => Checkout::Http1(connection),
            None => self.pool.checkout(key, place, ask, meter, certain, attempt.wants_new_connection).await?,
        };
        let outgoing = outgoing(attempt).await?;
        let mut added = std::mem::take(&mut attempt.added);
        added.extend(priority_field(attempt.ask.priority()));
        let head = RequestHead {
            request: &request,
            url,
            route: key.route(),
            defaults: &self.defaults,
            added: &added,
            content_type: implied_content_type(&request),
        };
        let result = match checkout {
            Checkout::Http1(connection) => connection.exchange(attempt, &head, outgoing).await,
            Checkout::Http2(handle) => handle.exchange(attempt, &head, outgoing).await,
        };
        // A retry sends the fields of the rooms above again, and its own priority.
        added.retain(|(name, _)| *name != "priority");
        attempt.added = added;
        let (head, body) = result?;
        Ok(Response { head, body })
    }
}

/// The connection that was kept for this exchange.
fn held(attempt: &mut Attempt<'_>) -> Option<Box<h1::Connection>> {
    let hold = attempt.hold.as_ref()?;
    let held = hold.take()?;
    if !hold.is_lasting() {
        attempt.hold = None;
    }
    held.downcast().ok()
}

/// The URL to send to, if the request can be sent at all.
fn sendable(request: &UrlRequest, versions: HttpVersions) -> Result<&url::Url> {
    let refuse = |code, detail| Err(UrlError::new(code, Phase::Request, detail));
    let Some(url) = request.url() else {
        return refuse(UrlErrorCode::UnsupportedUrl, "the request has no URL");
    };
    if versions == HttpVersions::Http2 && url.scheme() == "http" {
        let detail = "the configuration allows only HTTP/2, which is spoken over https only";
        return refuse(UrlErrorCode::UnsupportedUrl, detail);
    }
    match *request.http_method() {
        Method::GET if !request.body().is_empty() => refuse(
            UrlErrorCode::DataLengthExceedsMaximum,
            "a GET request has no body; use POST, or remove the body",
        ),
        Method::CONNECT => {
            refuse(UrlErrorCode::BadUrl, "CONNECT makes tunnels for proxies and loads nothing")
        }
        _ => Ok(url),
    }
}

/// The body to send; a stream that was sent before is asked for again.
async fn outgoing(attempt: &Attempt<'_>) -> Result<Outgoing> {
    let stream = match attempt.request.body() {
        HttpBody::None => return Ok(Outgoing::none()),
        HttpBody::Data(data) => return Ok(Outgoing::data(data.clone())),
        HttpBody::Stream(stream) => stream,
    };
    if let Some(chunks) = stream.take() {
        return Ok(Outgoing::stream(chunks, length(&attempt.request, stream.length())));
    }
    let new = {
        let _excuse = attempt.meter.excuse();
        attempt.ask.new_body().await
    };
    let chunks = new.as_ref().and_then(|stream| Some((stream.take()?, stream.length())));
    match chunks {
        Some((chunks, stream_length)) => {
            Ok(Outgoing::stream(chunks, length(&attempt.request, stream_length)))
        }
        None => {
            let detail = "the body stream was sent before and has to be sent again; \
                          answer need_new_body_stream with another, or use a body in memory";
            Err(UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail))
        }
    }
}

/// A stream's own length, else what the request's `Content-Length` announces (Apple: *httpBodyStream*).
fn length(request: &UrlRequest, stream: Option<u64>) -> Option<u64> {
    stream.or_else(|| request.value("content-length")?.trim().parse().ok())
}

/// RFC 9218 §5; the default is not sent.
fn priority_field(priority: f32) -> Option<(&'static str, HeaderValue)> {
    let urgency = Urgency::of_priority(priority);
    (urgency != Urgency::DEFAULT).then(|| ("priority", HeaderValue::from_static(urgency.field_value())))
}

/// Apple sends a POST body without a type as a form.
fn implied_content_type(request: &UrlRequest) -> Option<&'static str> {
    let is_untyped_post = *request.http_method() == Method::POST && !request.body().is_empty();
    is_untyped_post.then_some("application/x-www-form-urlencoded")
}
