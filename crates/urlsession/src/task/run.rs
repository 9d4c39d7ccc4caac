//! The run of a task, from its request to its end. Who is called in between is the business of `dispatch`.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use pin_project_lite::pin_project;

use super::become_task;
use super::body_reader;
use super::context::CoreContext;
use super::core::{Core, Style};
use super::dispatch::{DelegateTarget, dropped_by_queue};
use super::download;
use super::downloaded_file::DownloadedFile;
use super::kind::Kind;
use super::observe::TaskChange;
use super::poll_gate::PollGate;
use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, Response, TransactionLog};
use crate::message::{UrlRequest, UrlResponse};

/// Called once with what a task got.
pub(crate) enum Handler {
    Data(HandlerOf<(Bytes, UrlResponse)>),
    File(HandlerOf<(DownloadedFile, UrlResponse)>),
}

type HandlerOf<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// Runs a resumed task on the library's own runtime.
pub(super) fn start(core: Arc<Core>, handler: Option<Handler>) {
    let runtime = RuntimeHandle::own();
    runtime.clone().spawn(async move {
        match handler {
            Some(Handler::Data(handler)) => {
                let mut log = TransactionLog::new();
                let result =
                    drive(&core, &runtime, pin!(body_reader::collect(&core, &runtime, &mut log))).await;
                finish_with(&core, result, &mut log, handler);
            }
            // In boxes of their own: what few tasks need is not carried by all.
            Some(Handler::File(handler)) => {
                let mut log = TransactionLog::new();
                let result = Box::pin(download::saved(&core, &runtime, &mut log, None)).await;
                finish_with(&core, result, &mut log, handler);
            }
            None => Box::pin(run(core, runtime)).await,
        }
    });
}

/// A task that talks to its delegate.
async fn run(core: Arc<Core>, runtime: RuntimeHandle) {
    let mut log = TransactionLog::new();
    if let Kind::Download = core.kind {
        return download::run(core, runtime, log, None).await;
    }
    let result = drive(&core, &runtime, pin!(body_reader::deliver(&core, &runtime, &mut log))).await;
    match result {
        Ok(Some(conversion)) => become_task::go_on(core, runtime, log, conversion).await,
        Ok(None) => finish(&core, None, &mut log),
        Err(error) => finish(&core, Some(error), &mut log),
    }
}

/// Runs a task in place.
pub(super) async fn in_place<T>(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    load: impl AsyncFnOnce(&Arc<Core>, &RuntimeHandle, &mut TransactionLog) -> Result<T>,
) -> Result<T> {
    let mut guard = LogGuard::new(&core);
    let result = drive(&core, &runtime, pin!(load(&core, &runtime, &mut guard.log))).await;
    end_in_place(&core, &mut guard, result).await
}

/// Ends a task that ran in place.
pub(super) async fn end_in_place<T>(
    core: &Arc<Core>,
    guard: &mut LogGuard<'_>,
    result: Result<T>,
) -> Result<T> {
    let answer = result.map_err(|error| core.with_leftovers(core.name_url(error)));
    let error = answer.as_ref().err().cloned();
    if core.target().is_none() {
        measure(core, &mut guard.log, error.as_ref());
        core.complete(error);
        return answer;
    }
    finish(core, error, &mut guard.log);
    // In a call of that queue, which is polling this, it would have to return first.
    if !core.session.queue.is_in_call() {
        core.flush().await;
    }
    // A delegate that panicked after the load had ended comes first here too.
    match core.live().error.clone() {
        Some(error) => Err(error),
        None => answer,
    }
}

/// Polls `load` as the poll gate allows. It is pinned by the caller: to hand it over would take its memory twice.
pub(super) fn drive<T>(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    load: impl Future<Output = Result<T>> + Unpin,
) -> impl Future<Output = Result<T>> {
    Driven { gate: PollGate::new(core.clone(), runtime.clone()), load }
}

pin_project! {
    struct Driven<L> {
        #[pin]
        gate: PollGate,
        load: L,
    }
}

impl<T, L: Future<Output = Result<T>> + Unpin> Future for Driven<L> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.gate.poll(cx, |cx| Pin::new(this.load).poll(cx))
    }
}

/// Loads the head; of another request than the task's own, if there is one.
pub(super) fn load<'a>(
    core: &'a Arc<Core>,
    runtime: &'a RuntimeHandle,
    log: &'a mut TransactionLog,
    other: Option<Arc<UrlRequest>>,
) -> impl Future<Output = Result<Response>> + Send + 'a {
    let prepares = matches!(core.kind, Kind::Upload) && core.prepares_upload();
    // Not an `async fn`, which would have room for its arguments twice.
    async move {
        // In a box of its own: other loads do not carry it.
        if prepares {
            return Box::pin(load_prepared(core, runtime, log)).await;
        }
        load_once(core, runtime, log, other).await
    }
}

/// An upload of which something is to be known before it is sent.
async fn load_prepared(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<Response> {
    let digests = core.digests(runtime).await?;
    let request = digests.as_ref().map(|digests| digests.request.clone());
    let response = match core.keeps_record() {
        true => load_recorded(core, runtime, log, request).await?,
        false => load_once(core, runtime, log, request).await?,
    };
    match digests {
        Some(digests) => digests.check(core, runtime, response).await,
        None => Ok(response),
    }
}

/// An upload that is recorded for later runs, and may have been by an earlier one.
async fn load_recorded(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    request: Option<Arc<UrlRequest>>,
) -> Result<Response> {
    core.look_up(runtime).await;
    let goes_on = core.has_record();
    let mut result = load_once(core, runtime, log, request.clone()).await;
    if goes_on && result.as_ref().is_err_and(|error| error.resume_failure().is_some()) {
        // It cannot go on; and the application has asked for an upload, not for this one.
        core.forget_record(runtime).await;
        result = load_once(core, runtime, log, request).await;
    }
    if result.is_ok() || !core.has_leftovers() {
        core.forget_record(runtime).await;
    }
    result
}

async fn load_once(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    other: Option<Arc<UrlRequest>>,
) -> Result<Response> {
    let request = other.or_else(|| core.live().original.clone());
    let Some(request) = request else {
        return Err(UrlError::new(
            UrlErrorCode::UnsupportedUrl,
            Phase::Request,
            "a task without a request was started",
        ));
    };
    let context = CoreContext(core);
    let clock = &*core.session.config.environment.clock;
    let attempt = Attempt::new(request, &context, &core.activity, log, runtime, clock);
    let response = core.session.protocols.load(attempt).await?;
    // A part of a download is not as long as the download: who joins the parts knows how long that is. Nor is a coded
    // body as long as its content.
    let is_part = matches!(core.kind, Kind::Download) && response.head.status_code() == Some(206);
    let is_unlike_head = is_part || response.body.is_decoded();
    if let Some(length) = response.head.expected_content_length().filter(|_| !is_unlike_head) {
        core.bytes.to_receive.store(length, Relaxed);
    }
    core.live().response = Some(response.head.clone());
    core.tell_watchers(TaskChange::Response);
    Ok(response)
}

/// Writes down how the last transaction ended.
pub(super) fn close_transaction(core: &Core, log: &mut TransactionLog, body: &Body) {
    if let Some(trailers) = body.trailers() {
        core.live().response_trailers = Some(Box::new(trailers.clone()));
    }
    if let Some(transaction) = log.last_mut().filter(|transaction| transaction.response_end.is_none()) {
        // When the last byte came, which may be long before its reader comes to it.
        let start = transaction.response_start.filter(|_| body.came_whole());
        let end = || start.unwrap_or_else(|| core.session.config.environment.clock.now());
        transaction.response_end = body.has_ended().then(end);
        transaction.response_body_bytes = body.wire_bytes();
        transaction.response_body_bytes_after_decoding = body.delivered();
        transaction.request_body_bytes += body.sent_late();
    }
}

/// The log of a load that its owner may drop in the middle: the task keeps it then.
pub(super) struct LogGuard<'a> {
    core: &'a Core,
    pub(super) log: TransactionLog,
}

impl<'a> LogGuard<'a> {
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, log: TransactionLog::new() }
    }
}

impl Drop for LogGuard<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            measure(self.core, &mut self.log, Some(&UrlError::cancelled()));
        }
    }
}

/// Keeps what was written down, for whoever asks.
fn measure(core: &Core, log: &mut TransactionLog, error: Option<&UrlError>) {
    let last = log.last_mut();
    let read = match (error, last) {
        (None, Some(last)) => last.response_end,
        (Some(error), Some(last)) => {
            last.error = Some(core.name_url(error.clone()));
            None
        }
        (_, None) => None,
    };
    // What was read to its end ended then: a clock is not looked at for nobody.
    let end = read.unwrap_or_else(|| core.session.config.environment.clock.now());
    core.live().measured.keep(log, end);
}

/// Tells how it ended: metrics, then completion, once.
pub(super) fn finish(core: &Arc<Core>, error: Option<UrlError>, log: &mut TransactionLog) {
    let error = error.map(|error| core.with_leftovers(core.name_url(error)));
    measure(core, log, error.as_ref());
    let Some(target) = core.target() else { return core.complete(error) };
    tell_metrics(core, &target);
    let last = Last::new(core);
    core.session.queue.add(move || {
        let Some(last) = last.begin() else { return };
        // A delegate that panicked comes first: the load may have failed for want of its answer, or not have waited for it.
        let error = last.take_failure().or(error);
        // The properties are final when the application hears of the end.
        let completed = last.begin_completion(error.clone());
        if last.style == Style::Delegate {
            last.call(target, "did_complete", |delegate, task| delegate.did_complete(task, error.as_ref()));
        }
        completed.leave();
    });
}

/// The last call of a task, on its way to the delegate queue. If the queue drops it, the task is over all the same: its
/// state, its error and who observes them say so.
struct Last(Option<Arc<Core>>);

impl Last {
    fn new(core: &Arc<Core>) -> Self {
        Self(Some(core.clone()))
    }

    /// Its task, once.
    fn begin(mut self) -> Option<Arc<Core>> {
        self.0.take()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            let error = core.take_failure().unwrap_or_else(|| dropped_by_queue("its completion"));
            core.complete(Some(core.name_url(error)));
        }
    }
}

/// As `finish`, with a handler in the place of the delegate's last call.
fn finish_with<T: Send + 'static>(
    core: &Arc<Core>,
    result: Result<T>,
    log: &mut TransactionLog,
    handler: HandlerOf<T>,
) {
    let result = result.map_err(|error| core.with_leftovers(core.name_url(error)));
    let error = result.as_ref().err().cloned();
    measure(core, log, error.as_ref());
    if let Some(target) = core.target() {
        tell_metrics(core, &target);
    }
    let last = Last::new(core);
    core.session.queue.add(move || {
        let Some(last) = last.begin() else { return };
        let result = last.take_failure().map_or(result, Err);
        let completed = last.begin_completion(result.as_ref().err().cloned());
        let _ = catch_unwind(AssertUnwindSafe(move || handler(result)));
        completed.leave();
    });
}

fn tell_metrics(core: &Arc<Core>, target: &DelegateTarget) {
    let Some(metrics) = core.live().measured.metrics(core.created) else { return };
    core.notify(target.clone(), "did_finish_collecting_metrics", move |delegate, task| {
        delegate.did_finish_collecting_metrics(task, &metrics);
    });
}
