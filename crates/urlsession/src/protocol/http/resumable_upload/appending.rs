//! The requests to the upload's own URL: they query the offset, append data, and cancel the upload.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use urlsession_proto::digest_fields::digest_field;
use urlsession_proto::resumable_upload::{Next, Reply, UploadFields, next};

use super::super::discard::discard;
use super::failures::{elsewhere, exhausted};
use super::requests::{about, location, part};
use super::{Outcome, Upload};
use crate::body::digest_of;
use crate::env::Timer;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Layer, Response};
use crate::message::{HttpBody, UrlRequest};

impl<N: Layer> Upload<'_, '_, N> {
    /// Requests the number of bytes that the server has (§4.3).
    pub(super) async fn ask(&mut self) -> Result<(Next, Option<Box<Response>>)> {
        let Some(url) = self.context.state().url.clone() else { return Err(elsewhere()) };
        self.context.begin_empty();
        let (dialect, length) = {
            let state = self.context.state();
            (state.dialect, state.length)
        };
        let request = Arc::new(about(self.target, &url, Method::HEAD));
        match self.send(request, dialect.asking()).await? {
            Outcome::Response(response, reply) => {
                let next = next::after_head(length, self.reach(), Some(&reply));
                if reply.status.is_success() && !matches!(next, Next::Stop(_) | Next::Delete(_)) {
                    self.context.note(&reply.fields, None);
                }
                Ok((next, Some(response)))
            }
            Outcome::Lost(error) => {
                self.why = Some(error);
                Ok((next::after_head(length, self.reach(), None), None))
            }
            Outcome::Aborted(abort) => Ok((self.aborted(abort), None)),
        }
    }

    /// How far the body can be sent from, where its length does not say.
    pub(super) fn reach(&self) -> Option<u64> {
        (!self.is_rewindable).then_some(self.best.max(self.context.state().told))
    }

    /// Sends the bytes from `at` on (§4.4). The last value is the number of bytes sent.
    pub(super) async fn append(&mut self, at: u64) -> Result<(Next, Option<Box<Response>>, u64)> {
        let Some(url) = self.context.state().url.clone() else { return Err(elsewhere()) };
        let (dialect, length, limits) = {
            let state = self.context.state();
            (state.dialect, state.length, state.limits)
        };
        let piece = match limits.part(at, length) {
            Ok(piece) => piece,
            // §4.5: an upload that has become impossible is cancelled at the server.
            Err(stop) => return Ok((Next::Delete(stop), None, 0)),
        };
        let body = part(self.target.content(), self.base, at, piece);
        let Some(body) = body else { return Err(exhausted(at)) };
        let mut request = about(self.target, &url, Method::PATCH);
        let mut fields = dialect.append(at, piece.is_last, length);
        // The library makes this request, and the configuration does not describe its content.
        if let Some(at) = fields.iter().position(|(name, _)| *name == "content-type") {
            let (_, kind) = fields.swap_remove(at);
            let _ = request.set_value("Content-Type", kind);
        }
        fields.extend(self.content_digest(&body).await?);
        let is_incremental = !body.is_empty() && self.wants_incremental();
        fields.extend(is_incremental.then_some(("incremental", HeaderValue::from_static("?1"))));
        set_body(&mut request, body);
        self.context.begin(false, at, piece);
        let sent = piece.length.unwrap_or_default();
        let (next, response) = match self.send(Arc::new(request), fields).await? {
            Outcome::Response(response, reply) => {
                if reply.status.is_success() {
                    self.context.note(&reply.fields, None);
                    if reply.fields.offset.is_none()
                        && reply.fields.is_complete != Some(true)
                        && !piece.is_last
                    {
                        self.context.has(at + sent);
                    }
                } else if let Some(limits) = reply.fields.limits {
                    let fields = UploadFields { limits: Some(limits), ..UploadFields::default() };
                    self.context.note(&fields, None);
                }
                let next = next::after_append(dialect, piece.is_last, Some(&reply));
                let next = if is_incremental { self.without_incremental(&reply, next) } else { next };
                (next, Some(response))
            }
            Outcome::Lost(error) => {
                self.why = Some(error);
                (next::after_append(dialect, piece.is_last, None), None)
            }
            Outcome::Aborted(abort) => (self.aborted(abort), None),
        };
        Ok((next, response, sent))
    }

    /// Whether to ask intermediaries to forward the request as it arrives (draft-ietf-httpbis-incremental). If interim
    /// responses do not get through, an intermediary buffers. If it buffers the content too, bytes sent before a broken
    /// connection never arrive and are no progress. Only for appends: after a refusal an append is sent again without the
    /// field, which a creation cannot be.
    fn wants_incremental(&self) -> bool {
        self.context.state().hears_interim == Some(false) && !self.refuses_incremental
    }

    /// After a request with that field: a response that may refuse the field does not refuse the upload.
    fn without_incremental(&mut self, reply: &Reply, next: Next) -> Next {
        let is_for_good = reply.status == StatusCode::NOT_IMPLEMENTED;
        let may_refuse = reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS;
        if !may_refuse || reply.fields.is_complete == Some(true) {
            return next;
        }
        self.refuses_incremental = true;
        match next {
            Next::Stop(_) | Next::Done if is_for_good && self.is_rewindable => {
                Next::Ask { after_pause: false }
            }
            next => next,
        }
    }

    /// The digest of a part (RFC 9530 §2), if it is requested and can be computed.
    async fn content_digest(&self, body: &HttpBody) -> Result<Option<(&'static str, HeaderValue)>> {
        let Some(algorithm) = self.attempt.context.digest().filter(|_| !body.is_empty()) else {
            return Ok(None);
        };
        let _pause = self.attempt.activity.pause_idle();
        let digest = digest_of(body, algorithm, self.attempt.runtime).await?;
        let field = digest.and_then(|digest| digest_field(algorithm, &digest));
        Ok(field.and_then(|field| Some(("content-digest", HeaderValue::try_from(field).ok()?))))
    }

    /// Cancels the upload at the server. The response is not used, and the wait for it is short.
    pub(super) async fn delete(&mut self) {
        let (url, dialect) = {
            let state = self.context.state();
            (state.url.clone(), state.dialect)
        };
        self.context.forget();
        let Some(url) = url else { return };
        self.context.begin_empty();
        let request = Arc::new(about(self.target, &url, Method::DELETE));
        let (clock, runtime) = (self.attempt.clock, self.attempt.runtime);
        let mut limit = pin!(Timer::at(clock, runtime, clock.now() + DELETE_TIME));
        let mut sending = pin!(async {
            if let Ok(Outcome::Response(response, _)) = self.send(request, dialect.asking()).await {
                discard(response.body, self.attempt).await;
            }
        });
        poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Pending => limit.as_mut().poll(cx),
            ready => ready,
        })
        .await;
    }

    /// 307 and 308 of the upload's own URL (§4.3, §4.4).
    pub(super) fn follow(&mut self, response: Option<&Response>) -> Result<()> {
        let known = self.context.state().url.clone();
        let head = response.and_then(|response| response.head.http_head());
        let to = known.zip(head).and_then(|(known, head)| location(&known, &head.fields));
        self.moves += 1;
        match to {
            Some(to) if self.moves <= MOST_MOVES => {
                self.context.move_to(to);
                if self.context.state().is_foreign { Err(elsewhere()) } else { Ok(()) }
            }
            _ => {
                let detail = "the upload has moved to nowhere, or too often";
                Err(UrlError::new(UrlErrorCode::HttpTooManyRedirects, Phase::Redirect, detail))
            }
        }
    }
}

fn set_body(request: &mut UrlRequest, body: HttpBody) {
    match body {
        HttpBody::None => request.remove_http_body(),
        HttpBody::Data(data) => request.set_http_body(data),
        HttpBody::Stream(stream) => request.set_http_body_stream(stream),
    }
}

/// The time a server has to respond to the cancellation of an upload.
const DELETE_TIME: Duration = Duration::from_secs(5);

const MOST_MOVES: usize = 16;
