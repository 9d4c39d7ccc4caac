//! The wire: one request over one connection of the pool. Requests that cannot be sent are refused.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use url::Url;
use urlsession_proto::coding::ACCEPT_ENCODING;
use urlsession_proto::priority::Urgency;
use urlsession_proto::scheme::Scheme;
use urlsession_proto::userinfo::REDACTED;

use super::defaults::defaults;
use super::expectation::asks;
use crate::configuration::{Configuration, HttpVersions};
use crate::error::{Phase, Replay, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response, Route, SentFields};
use crate::message::{HttpBody, UrlRequest, is_secret};
use crate::transport::{
    self, Checkout, DefaultFields, ExchangeFailure, Outgoing, Pool, RequestHead, asks_upgrade,
};

pub(crate) struct Exchange {
    pool: Arc<Pool>,
    defaults: DefaultFields,
    versions: HttpVersions,
    expect_continue_timeout: Duration,
    omits_content_type: bool,
    /// The fields that nearly all requests have.
    plainly_sent: Arc<SentFields>,
}

impl Exchange {
    pub(super) fn new(config: &Configuration, pool: Arc<Pool>) -> Self {
        let (versions, expect_continue_timeout) = (config.http_versions, config.expect_continue_timeout);
        let omits_content_type = config.omits("content-type");
        let defaults = defaults(config);
        let plainly_sent = Arc::new(plainly_sent(&defaults));
        Self { pool, defaults, versions, expect_continue_timeout, omits_content_type, plainly_sent }
    }
}

impl Layer for Exchange {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let request = attempt.request.clone();
        // The values needed to begin are dropped before the wait for the response: loads stay small.
        let begun = {
            let url = match sendable(&request, self.versions) {
                Ok(url) => url,
                // In a box: other loads do not carry it.
                Err(error) => return Err(Box::pin(refused(error, attempt)).await),
            };
            let route = attempt.route.clone();
            let Some(key) = self.pool.key(&request, url, &route) else {
                return Err(UrlError::new(UrlErrorCode::BadUrl, Phase::Request, "the URL has no host"));
            };
            let key = key.avoiding(attempt.forbidden);
            let mut checkout = match Checkout::held(attempt) {
                Some(checkout) => checkout,
                None => self.pool.checkout(key, attempt).await?,
            };
            let outgoing = self.outgoing(attempt).await?;
            checkout.ready(attempt).await.map_err(|failure| self.judge(failure, &request))?;
            let begun = self.begin(checkout, (url, &route), outgoing, attempt);
            begun.map_err(|failure| self.judge(failure, &request))?
        };
        let answered = begun.answer(attempt).await;
        let (head, body) = answered.map_err(|failure| self.judge(failure, &request))?;
        Ok(Response { head, body })
    }
}

impl Exchange {
    /// The body to send, and whether the request waits for `100 (Continue)` first.
    async fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing> {
        let outgoing = outgoing(attempt).await?;
        Ok(if attempt.expects { outgoing.after_consent(self.expect_continue_timeout) } else { outgoing })
    }

    /// RFC 9113 §7: a server that requires HTTP/1.1 gets HTTP/1.1 from now on.
    fn judge(&self, failure: ExchangeFailure, request: &UrlRequest) -> UrlError {
        let ExchangeFailure { error, requires_http1 } = failure;
        if !requires_http1 {
            return error;
        }
        if self.versions == HttpVersions::Http2 {
            return error.with_replay(Replay::Unsafe);
        }
        self.pool.require_http1(request);
        error
    }

    /// Passes the request for this URL and route to the connection, with its fields.
    fn begin(
        &self,
        checkout: Checkout,
        to: (&Url, &Route),
        outgoing: Outgoing,
        attempt: &mut Attempt<'_>,
    ) -> Result<transport::Exchange, ExchangeFailure> {
        let (protocol, length) = (checkout.info().protocol, checkout.announced_length(&outgoing));
        let from_above = attempt.added.len();
        if let Some(field) = priority_field(attempt.context.priority()) {
            attempt.added.push(field);
        }
        if attempt.expects {
            attempt.added.push(("expect", HeaderValue::from_static("100-continue")));
        }
        if is_untyped_post(&attempt.request) && !self.omits_content_type {
            attempt.added.push(("content-type", HeaderValue::from_static(FORM)));
        }
        if let Some(names) = outgoing.announcement().and_then(|names| HeaderValue::try_from(names).ok()) {
            attempt.added.push(("trailer", names));
        }
        let request = &*attempt.request;
        let drops_expect = !attempt.expects && asks(request.fields().bytes("expect"));
        let head = RequestHead {
            request,
            url: to.0,
            route: to.1,
            defaults: &self.defaults,
            added: &attempt.added,
            drops_expect,
        };
        let begun = checkout.begin(&head, outgoing, attempt.context);
        let is_tunnelled = to.1.is_tunnel();
        let has_no_body = length == Some(0);
        let sent = match has_no_body && !drops_expect && !is_tunnelled && adds_codings_only(&head) {
            true => self.plainly_sent.clone(),
            false => Arc::new(SentFields {
                added: shown(&head),
                length,
                drops_expect,
                is_tunnelled,
                ..plainly_sent(&self.defaults)
            }),
        };
        attempt.context.sends(&sent, protocol);
        attempt.transaction().sent = Some(sent);
        // A retry sends the fields of the layers above again, and its own priority.
        attempt.added.truncate(from_above);
        begun
    }
}

/// For a request without a body, to which the layers add only `Accept-Encoding`.
fn plainly_sent(defaults: &DefaultFields) -> SentFields {
    SentFields {
        defaults: defaults.shared(),
        added: vec![("accept-encoding", HeaderValue::from_static(ACCEPT_ENCODING))],
        length: Some(0),
        drops_expect: false,
        is_tunnelled: false,
    }
}

fn adds_codings_only(head: &RequestHead<'_>) -> bool {
    let mut added = head.beside();
    matches!((added.next(), added.next()), (Some((name, value)), None)
        if *name == "accept-encoding" && value == ACCEPT_ENCODING)
}

/// The added fields, as metrics show them: of secrets only the name.
fn shown(head: &RequestHead<'_>) -> Vec<(&'static str, HeaderValue)> {
    let shown = |(name, value): &(&'static str, HeaderValue)| match is_secret(name) {
        true => (*name, HeaderValue::from_static(REDACTED)),
        false => (*name, value.clone()),
    };
    head.beside().map(shown).collect()
}

/// Apple requests the body of a GET from the delegate before it refuses the request.
async fn refused(error: UrlError, attempt: &Attempt<'_>) -> UrlError {
    let is_of_delegate =
        matches!(attempt.request.content(), HttpBody::Stream(stream) if stream.is_of_delegate());
    if error.code() == UrlErrorCode::DataLengthExceedsMaximum && is_of_delegate {
        // The body itself is not used.
        let _ = outgoing(attempt).await;
    }
    error
}

/// The URL to send to, if the request can be sent at all.
fn sendable(request: &UrlRequest, versions: HttpVersions) -> Result<&Url> {
    let refuse = |code, detail| Err(UrlError::new(code, Phase::Request, detail));
    request.check_fields()?;
    let url = request.url();
    if versions == HttpVersions::Http2 && !Scheme::of(url).is_secure() {
        let detail = "the configuration allows only HTTP/2, which needs an https URL";
        return refuse(UrlErrorCode::UnsupportedUrl, detail);
    }
    if versions == HttpVersions::Http2 && asks_upgrade(request) {
        let detail = "`Upgrade` is sent over HTTP/1.1 only, and the configuration allows only HTTP/2";
        return refuse(UrlErrorCode::UnsupportedUrl, detail);
    }
    match *request.http_method() {
        Method::GET if !request.content().is_empty() => refuse(
            UrlErrorCode::DataLengthExceedsMaximum,
            "a GET request has no body; use POST, or remove the body",
        ),
        Method::CONNECT => {
            refuse(UrlErrorCode::BadUrl, "CONNECT makes tunnels for proxies and loads nothing")
        }
        _ => Ok(url),
    }
}

/// The body to send; a stream that was sent before is requested again.
async fn outgoing(attempt: &Attempt<'_>) -> Result<Outgoing> {
    let stream = match attempt.request.content() {
        HttpBody::None => return Ok(Outgoing::none()),
        HttpBody::Data(data) => return Ok(Outgoing::data(data.clone())),
        HttpBody::Stream(stream) => stream,
    };
    if !stream.is_spent() {
        return Ok(Outgoing::stream(stream.clone(), length(&attempt.request, stream.length())));
    }
    let new = {
        let _pause = attempt.activity.pause_idle();
        attempt.context.new_body_from(0).await
    };
    let detail = match new {
        Some(new) => match new.is_spent() {
            false => {
                let length = length(&attempt.request, new.length());
                return Ok(Outgoing::stream(new, length));
            }
            true => "need_new_body_stream gave a stream that was sent before; give a new one each time",
        },
        None if stream.is_of_delegate() => {
            "the body is streamed, and need_new_body_stream gave none; give a new stream each time, or send data or a file"
        }
        None => {
            "the body stream was sent before and has to be sent again; answer need_new_body_stream with another, \
             or send data or a file"
        }
    };
    Err(UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail))
}

/// A stream's own length, else what the request's `Content-Length` announces (Apple: *httpBodyStream*).
fn length(request: &UrlRequest, stream: Option<u64>) -> Option<u64> {
    stream.or_else(|| request.value("content-length")?.trim().parse().ok())
}

/// RFC 9218 §5; the default is not sent.
fn priority_field(priority: f32) -> Option<(&'static str, HeaderValue)> {
    // The default of nearly all loads; rounding a float is a function call.
    if priority == Urgency::DEFAULT_PRIORITY {
        return None;
    }
    let urgency = Urgency::of_priority(priority);
    (urgency != Urgency::DEFAULT).then(|| ("priority", HeaderValue::from_static(urgency.field_value())))
}

/// Apple sends a POST body without a type as a form.
fn is_untyped_post(request: &UrlRequest) -> bool {
    *request.http_method() == Method::POST
        && !request.content().is_empty()
        && !request.fields().contains("content-type")
}

const FORM: &str = "application/x-www-form-urlencoded";
