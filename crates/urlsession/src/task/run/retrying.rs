//! `Retries`: the tries of a load that has a retry policy. `task::retry` decides when to try again; the kinds of tasks
//! define a try. `protocol::http` repeats requests that are proven harmless itself, without a pause.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header;
use urlsession_proto::method::is_idempotent;
use urlsession_proto::retry_after;

use crate::body::Body;
use crate::env::{RuntimeHandle, Timer, epoch_seconds, random};
use crate::error::{Replay, Result, UrlError};
use crate::load::{BoxFuture, TransactionLog, WaitReason};
use crate::message::{HttpBody, UrlRequest, UrlResponse};
use crate::protocol::drain;
use crate::task::byte_counts::UNKNOWN;
use crate::task::core::Core;
use crate::task::kind::TaskKind;
use crate::task::retry::{RetryPolicy, RetryState, is_temporary};
use crate::task::run::finish::close_transaction;

/// The tries of one task.
pub(in crate::task) struct Retries<'a> {
    pub(in crate::task) core: &'a Arc<Core>,
    pub(in crate::task) runtime: &'a RuntimeHandle,
    policy: RetryPolicy,
    /// How often it was tried again.
    tried: u32,
    /// The end of the time for the whole resource.
    end: Option<Instant>,
    is_idempotent: bool,
}

/// The result of a try that did not fail.
pub(in crate::task) enum Tried<T> {
    Done(T),
    /// Try again, after this pause.
    Refused(Duration),
}

impl<'a> Retries<'a> {
    pub(in crate::task) fn new(core: &'a Arc<Core>, runtime: &'a RuntimeHandle) -> Self {
        let now = core.session.config.environment.clock.now();
        let live = core.live();
        let mut policy = live.retry.as_ref().map_or(RetryPolicy::new(0), |state| state.policy.clone());
        let request = live.original.as_deref();
        if !request.is_some_and(can_be_sent_again) {
            policy.retries = 0;
        }
        Self {
            core,
            runtime,
            tried: 0,
            end: now.checked_add(core.session.config.timeout_interval_for_resource),
            is_idempotent: policy.assumes_idempotent
                || request.is_some_and(|request| is_idempotent(request.http_method())),
            policy,
        }
    }

    /// Makes tries until one of them is the last.
    pub(in crate::task) async fn run<T>(
        mut self,
        log: &mut TransactionLog,
        attempt: for<'t> fn(&'t Self, &'t mut TransactionLog) -> BoxFuture<'t, Result<Tried<T>>>,
    ) -> Result<T> {
        loop {
            let result = self.limit(attempt(&self, log)).await;
            let (pause, error) = match result {
                Ok(Tried::Done(done)) => return Ok(done),
                Ok(Tried::Refused(pause)) => (pause, None),
                Err(error) => match self.after_error(&error) {
                    Some(pause) => (pause, Some(error)),
                    None => return Err(error),
                },
            };
            if let (Some(failed), Some(error)) = (log.last_mut(), error) {
                failed.error = Some(self.core.name_url(error));
            }
            self.pause(pause).await;
            self.tried += 1;
        }
    }

    /// The try, which a timeout of the request ends if another try may follow.
    async fn limit<T>(&self, attempt: impl Future<Output = Result<T>>) -> Result<T> {
        if let Some(state) = &mut self.core.live().retry {
            (state.may_try_again, state.timed_out) = (self.tried < self.policy.retries, None);
        }
        let mut attempt = pin!(attempt);
        let result = poll_fn(|cx| match self.core.take_timeout() {
            Some(error) => Poll::Ready(Err(error)),
            None => attempt.as_mut().poll(cx),
        });
        let result = result.await;
        if let Some(state) = &mut self.core.live().retry {
            state.may_try_again = false;
        }
        result
    }

    /// The pause after an error, if another try follows.
    fn after_error(&self, error: &UrlError) -> Option<Duration> {
        // Delivered data cannot be withdrawn.
        let is_told = self.core.kind != TaskKind::Download
            && self.core.bytes.received.load(Relaxed) > 0
            && self.core.own_target().is_some();
        let may_repeat = self.is_idempotent || error.replay() == Replay::Safe;
        if !error.is_retriable() || !may_repeat || is_told {
            return None;
        }
        self.next_pause(Duration::ZERO)
    }

    /// The pause after a response, if another try follows; its body is then not read.
    pub(in crate::task) async fn after_response(
        &self,
        head: &UrlResponse,
        mut body: Body,
        log: &mut TransactionLog,
    ) -> std::result::Result<Duration, Body> {
        let Some(http) = head.http_head().filter(|http| self.is_idempotent && is_temporary(http.status))
        else {
            return Err(body);
        };
        let clock = &*self.core.session.config.environment.clock;
        let told = http.fields.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let told = told.and_then(|text| retry_after::parse(text, epoch_seconds(clock.wall())));
        let Some(pause) = self.next_pause(told.unwrap_or_default()) else { return Err(body) };
        drain(&mut body, &self.core.activity, clock, self.runtime).await;
        close_transaction(self.core, log, &body);
        Ok(pause)
    }

    /// At least as long as `told`.
    fn next_pause(&self, told: Duration) -> Option<Duration> {
        if self.tried >= self.policy.retries || told > self.policy.longest_pause {
            return None;
        }
        let mut bytes = [0; 4];
        random(&mut bytes);
        let pause = self.policy.pause(self.tried, u32::from_ne_bytes(bytes)).max(told);
        let now = self.core.session.config.environment.clock.now();
        let is_in_time = self.end.is_none_or(|end| now.checked_add(pause).is_some_and(|next| next < end));
        is_in_time.then_some(pause)
    }

    async fn pause(&self, pause: Duration) {
        {
            let mut live = self.core.live();
            (live.response, live.response_trailers) = (None, None);
        }
        if self.core.kind != TaskKind::Download {
            self.core.bytes.received.store(0, Relaxed);
        }
        self.core.bytes.to_receive.store(UNKNOWN, Relaxed);
        self.core.goes_on_with_upload();
        let clock = &*self.core.session.config.environment.clock;
        // The end of the pause starts the idle time again.
        let _pause = self.core.activity.pause_idle_for(WaitReason::Retry);
        Timer::at(clock, self.runtime, clock.now() + pause).await;
    }
}

fn can_be_sent_again(request: &UrlRequest) -> bool {
    match request.content() {
        HttpBody::None | HttpBody::Data(_) => true,
        HttpBody::Stream(stream) => stream.is_repeatable(),
    }
}

impl Core {
    /// Sets the policy by which the load is tried again.
    pub(in crate::task) fn set_retry(&self, policy: RetryPolicy) {
        self.live().retry = Some(Box::new(RetryState::new(policy)));
    }

    /// Whether a timeout of the request ends this try only; the try then receives the error.
    pub(in crate::task) fn ends_try(&self, error: &UrlError) -> bool {
        let mut live = self.live();
        let Some(state) = live.retry.as_mut().filter(|state| state.may_try_again) else { return false };
        state.timed_out = Some(error.clone());
        true
    }

    /// The timeout that ended the try.
    fn take_timeout(&self) -> Option<UrlError> {
        self.live().retry.as_mut()?.timed_out.take()
    }
}
