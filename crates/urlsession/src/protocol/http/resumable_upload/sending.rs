//! Sends one request of an upload, and pauses between requests.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use urlsession_proto::resumable_upload::{Next, Problem, Reply, Stop, UploadFields, next};
use urlsession_proto::retry_after;

use super::super::discard::discard;
use super::context::Abort;
use super::failures::stopped;
use super::{Outcome, Upload};
use crate::body::Body;
use crate::env::{Timer, epoch_seconds};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response};
use crate::message::UrlRequest;

impl<N: Layer> Upload<'_, '_, N> {
    /// One request, with these fields, as a transaction of its own.
    pub(super) async fn send(
        &mut self,
        request: Arc<UrlRequest>,
        fields: Vec<(&'static str, HeaderValue)>,
    ) -> Result<Outcome> {
        // Every one leaves its transaction.
        self.requests += 1;
        if self.requests > MOST_REQUESTS {
            return Err(stopped(Stop::LimitsCannotBeMet));
        }
        let context = self.context;
        let outer = &mut *self.attempt;
        let mut attempt = Attempt {
            added: outer.added.iter().cloned().chain(fields).collect(),
            ..Attempt::new(request, context, outer.activity, outer.log, outer.runtime, outer.clock)
        };
        match (std::mem::replace(&mut self.has_begun, true), attempt.log.last_mut()) {
            (false, Some(first)) => first.request = attempt.request.clone(),
            _ => attempt.begin_transaction(),
        }
        let loaded = {
            let mut load = pin!(self.policy.next.load(&mut attempt));
            poll_fn(|cx| match load.as_mut().poll(cx) {
                Poll::Ready(loaded) => Poll::Ready(Ok(loaded)),
                Poll::Pending => match context.must_abort() {
                    Some(abort) => Poll::Ready(Err(abort)),
                    None => Poll::Pending,
                },
            })
            .await
        };
        let mut response = match loaded {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_retriable() => {
                if let Some(failed) = attempt.log.last_mut() {
                    failed.error = Some(error.clone());
                }
                return Ok(Outcome::Lost(error));
            }
            Ok(Err(error)) => return Err(error),
            Err(abort) => return Ok(Outcome::Aborted(abort)),
        };
        let Some(head) = response.head.http_head() else { return Err(stopped(Stop::NotAnUpload)) };
        let (status, fields) = (head.status, UploadFields::read(context.state().dialect, &head.fields));
        let problem = match status.as_u16() {
            400 | 409 if fields.is_complete != Some(true) => problem(&mut response).await,
            _ => None,
        };
        Ok(Outcome::Response(Box::new(response), Reply { status, fields, problem }))
    }

    pub(super) fn aborted(&self, abort: Abort) -> Next {
        match abort {
            Abort::Stop(stop) => Next::Delete(stop),
            Abort::Smaller => Next::Ask { after_pause: false },
        }
    }

    /// Waits before a try that follows a failure; too many in a row are the end.
    pub(super) async fn pause(&mut self, after_pause: bool) -> Result<()> {
        self.failures += 1;
        let Some(pause) = next::pause(self.failures) else {
            return Err(self.why.take().unwrap_or_else(|| {
                let detail = "the server repeatedly accepts no more of the upload";
                UrlError::new(UrlErrorCode::BadServerResponse, Phase::Send, detail)
            }));
        };
        if after_pause {
            self.rest(pause).await;
        }
        Ok(())
    }

    /// Keeps the response of a failing server for the final error. `Retry-After` may give the pause (RFC 9110 §10.2.3).
    pub(super) fn told(&mut self, response: Option<&Response>) -> Duration {
        let Some(head) = response.and_then(|response| response.head.http_head()) else {
            return Duration::ZERO;
        };
        let detail = format!("the server fails to go on with the upload: {}", head.status);
        self.why = Some(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail));
        let now = epoch_seconds(self.attempt.clock.wall());
        let told = head
            .fields
            .get(header::RETRY_AFTER)
            .and_then(|value| retry_after::parse(value.to_str().ok()?, now));
        told.map_or(Duration::ZERO, |told| told.min(LONGEST_REST))
    }

    pub(super) async fn rest(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let (clock, runtime) = (self.attempt.clock, self.attempt.runtime);
        let _pause = self.attempt.activity.pause_idle();
        Timer::at(clock, runtime, clock.now() + time).await;
    }

    /// The server has more bytes than before: resets the count of failures.
    pub(super) fn progress(&mut self, offset: u64) {
        if offset > self.best {
            (self.best, self.failures) = (offset, 0);
        }
    }

    pub(super) async fn discard(&mut self, response: Option<Box<Response>>) {
        if let Some(response) = response {
            discard(response.body, self.attempt).await;
        }
    }
}

/// Reads the body of a refusal, and restores it for the reader.
async fn problem(response: &mut Response) -> Option<Problem> {
    let head = response.head.http_head()?;
    let kind = head.fields.get(header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    let is_short = response.head.expected_content_length().is_some_and(|n| n <= Problem::LONGEST as u64);
    if !is_short || !kind.contains("problem+json") {
        return None;
    }
    let mut content = Vec::new();
    while let Some(Ok(chunk)) = poll_fn(|cx| response.body.poll_chunk(cx)).await {
        content.extend_from_slice(&chunk);
        if content.len() > Problem::LONGEST {
            break;
        }
    }
    let problem = Problem::read(&kind, &content);
    let wire = response.body.wire_bytes();
    response.body = Body::whole(Bytes::from(content), wire).plain();
    problem
}

/// Requests of one upload: 5 MiB each are then 97 GiB.
const MOST_REQUESTS: usize = 20_000;

/// The longest pause for a server's `Retry-After`.
const LONGEST_REST: Duration = Duration::from_secs(30);
