//! The run of a task, from its request to its end. Who is called in between is the courier's business.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use pin_project_lite::pin_project;

use super::asking::Asking;
use super::convert;
use super::core::{Core, Style};
use super::courier::{Audience, dropped_by_queue};
use super::download;
use super::downloaded_file::DownloadedFile;
use super::governor::Governor;
use super::kind::Kind;
use super::observe::TaskChange;
use super::reading;
use crate::env::Place;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, Log, Response};
use crate::message::{UrlRequest, UrlResponse};

/// Called once with what a task got.
pub(crate) enum Handler {
    Data(HandlerOf<(Bytes, UrlResponse)>),
    File(HandlerOf<(DownloadedFile, UrlResponse)>),
}

type HandlerOf<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// Runs a resumed task on the library's own runtime.
pub(super) fn start(core: Arc<Core>, handler: Option<Handler>) {
    let place = Place::own();
    place.clone().spawn(async move {
        match handler {
            Some(Handler::Data(handler)) => {
                let mut log = Log::new();
                let result = governed(&core, &place, pin!(reading::collect(&core, &place, &mut log))).await;
                finish_with(&core, result, &mut log, handler);
            }
            // In boxes of their own: what few tasks need is not carried by all.
            Some(Handler::File(handler)) => {
                let mut log = Log::new();
                let result = Box::pin(download::saved(&core, &place, &mut log, None)).await;
                finish_with(&core, result, &mut log, handler);
            }
            None => Box::pin(run(core, place)).await,
        }
    });
}

/// A task that talks to its delegate.
async fn run(core: Arc<Core>, place: Place) {
    let mut log = Log::new();
    if let Kind::Download = core.kind {
        return download::run(core, place, log, None).await;
    }
    let result = governed(&core, &place, pin!(reading::deliver(&core, &place, &mut log))).await;
    match result {
        Ok(Some(conversion)) => convert::go_on(core, place, log, conversion).await,
        Ok(None) => finish(&core, None, &mut log),
        Err(error) => finish(&core, Some(error), &mut log),
    }
}

/// Runs a task in place.
pub(super) async fn in_place<T>(
    core: Arc<Core>,
    place: Place,
    load: impl AsyncFnOnce(&Arc<Core>, &Place, &mut Log) -> Result<T>,
) -> Result<T> {
    let mut notes = Notes::new(&core);
    let result = governed(&core, &place, pin!(load(&core, &place, &mut notes.log))).await;
    end_in_place(&core, &mut notes, result).await
}

/// Ends a task that ran in place.
pub(super) async fn end_in_place<T>(core: &Arc<Core>, notes: &mut Notes<'_>, result: Result<T>) -> Result<T> {
    let answer = result.map_err(|error| core.with_leftovers(core.name_url(error)));
    let error = answer.as_ref().err().cloned();
    if core.audience().is_none() {
        measure(core, &mut notes.log, error.as_ref());
        core.complete(error);
        return answer;
    }
    finish(core, error, &mut notes.log);
    // In a call of that queue, which is polling this, it would have to return first.
    if !core.roster.queue.is_in_call() {
        core.heard().await;
    }
    // A delegate that panicked after the load had ended comes first here too.
    match core.live().error.clone() {
        Some(error) => Err(error),
        None => answer,
    }
}

/// Polls `load` as the governor allows. It is pinned by the caller: to hand it over would take its room twice.
pub(super) fn governed<T>(
    core: &Arc<Core>,
    place: &Place,
    load: impl Future<Output = Result<T>> + Unpin,
) -> impl Future<Output = Result<T>> {
    Governed { governor: Governor::new(core.clone(), place.clone()), load }
}

pin_project! {
    struct Governed<L> {
        #[pin]
        governor: Governor,
        load: L,
    }
}

impl<T, L: Future<Output = Result<T>> + Unpin> Future for Governed<L> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.governor.poll(cx, |cx| Pin::new(this.load).poll(cx))
    }
}

/// Loads the head; of another request than the task's own, if there is one.
pub(super) fn load<'a>(
    core: &'a Arc<Core>,
    place: &'a Place,
    log: &'a mut Log,
    other: Option<Arc<UrlRequest>>,
) -> impl Future<Output = Result<Response>> + Send + 'a {
    let prepares = matches!(core.kind, Kind::Upload) && core.prepares_upload();
    // Not an `async fn`, which would have room for its arguments twice.
    async move {
        // In a box of its own: other loads do not carry it.
        if prepares {
            return Box::pin(load_prepared(core, place, log)).await;
        }
        load_once(core, place, log, other).await
    }
}

/// An upload of which something is to be known before it is sent.
async fn load_prepared(core: &Arc<Core>, place: &Place, log: &mut Log) -> Result<Response> {
    let digests = core.digests(place).await?;
    let request = digests.as_ref().map(|digests| digests.request.clone());
    let response = match core.keeps_record() {
        true => load_recorded(core, place, log, request).await?,
        false => load_once(core, place, log, request).await?,
    };
    match digests {
        Some(digests) => digests.check(core, place, response).await,
        None => Ok(response),
    }
}

/// An upload that is recorded for later runs, and may have been by an earlier one.
async fn load_recorded(
    core: &Arc<Core>,
    place: &Place,
    log: &mut Log,
    request: Option<Arc<UrlRequest>>,
) -> Result<Response> {
    core.look_up(place).await;
    let goes_on = core.has_record();
    let mut result = load_once(core, place, log, request.clone()).await;
    if goes_on && result.as_ref().is_err_and(|error| error.resume_failure().is_some()) {
        // It cannot go on; and the application has asked for an upload, not for this one.
        core.forget_record(place).await;
        result = load_once(core, place, log, request).await;
    }
    if result.is_ok() || !core.has_leftovers() {
        core.forget_record(place).await;
    }
    result
}

async fn load_once(
    core: &Arc<Core>,
    place: &Place,
    log: &mut Log,
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
    let asking = Asking(core);
    let clock = &*core.roster.config.environment.clock;
    let attempt = Attempt::new(request, &asking, &core.meter, log, place, clock);
    let response = core.roster.protocols.load(attempt).await?;
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
pub(super) fn seal(core: &Core, log: &mut Log, body: &Body) {
    if let Some(trailers) = body.trailers() {
        core.live().response_trailers = Some(Box::new(trailers.clone()));
    }
    if let Some(stamps) = log.last_mut().filter(|stamps| stamps.response_end.is_none()) {
        // When the last byte came, which may be long before its reader comes to it.
        let start = stamps.response_start.filter(|_| body.came_whole());
        let end = || start.unwrap_or_else(|| core.roster.config.environment.clock.now());
        stamps.response_end = body.has_ended().then(end);
        stamps.response_body_bytes = body.wire_bytes();
        stamps.response_body_bytes_after_decoding = body.delivered();
        stamps.request_body_bytes += body.sent_late();
    }
}

/// The log of a load that its owner may drop in the middle: the task keeps it then.
pub(super) struct Notes<'a> {
    core: &'a Core,
    pub(super) log: Log,
}

impl<'a> Notes<'a> {
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, log: Log::new() }
    }
}

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            measure(self.core, &mut self.log, Some(&UrlError::cancelled()));
        }
    }
}

/// Keeps what was written down, for whoever asks.
fn measure(core: &Core, log: &mut Log, error: Option<&UrlError>) {
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
    let end = read.unwrap_or_else(|| core.roster.config.environment.clock.now());
    core.live().measured.keep(log, end);
}

/// Tells how it ended: metrics, then completion, once.
pub(super) fn finish(core: &Arc<Core>, error: Option<UrlError>, log: &mut Log) {
    let error = error.map(|error| core.with_leftovers(core.name_url(error)));
    measure(core, log, error.as_ref());
    let Some(audience) = core.audience() else { return core.complete(error) };
    tell_metrics(core, &audience);
    let last = Last::new(core);
    core.roster.queue.add(move || {
        let Some(last) = last.begin() else { return };
        // A delegate that panicked comes first: the load may have failed for want of its answer, or not have waited for it.
        let error = last.take_failure().or(error);
        // The properties are final when the application hears of the end.
        let completed = last.begin_completion(error.clone());
        if last.style == Style::Delegate {
            last.call(audience, "did_complete", |delegate, task| delegate.did_complete(task, error.as_ref()));
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
fn finish_with<T: Send + 'static>(core: &Arc<Core>, result: Result<T>, log: &mut Log, handler: HandlerOf<T>) {
    let result = result.map_err(|error| core.with_leftovers(core.name_url(error)));
    let error = result.as_ref().err().cloned();
    measure(core, log, error.as_ref());
    if let Some(audience) = core.audience() {
        tell_metrics(core, &audience);
    }
    let last = Last::new(core);
    core.roster.queue.add(move || {
        let Some(last) = last.begin() else { return };
        let result = last.take_failure().map_or(result, Err);
        let completed = last.begin_completion(result.as_ref().err().cloned());
        let _ = catch_unwind(AssertUnwindSafe(move || handler(result)));
        completed.leave();
    });
}

fn tell_metrics(core: &Arc<Core>, audience: &Audience) {
    let Some(metrics) = core.live().measured.metrics(core.created) else { return };
    core.tell(audience.clone(), "did_finish_collecting_metrics", move |delegate, task| {
        delegate.did_finish_collecting_metrics(task, &metrics);
    });
}
