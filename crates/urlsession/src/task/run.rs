//! The run of a task, from its request to its end. Who is called in between is the courier's business.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use bytes::{Bytes, BytesMut};

use super::asking::Asking;
use super::core::{Core, Style};
use super::delivery::Delivery;
use super::governor::Governor;
use super::observe::TaskChange;
use crate::env::Place;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, Log, Response};
use crate::message::UrlResponse;

/// Called once with what a data task got.
pub(crate) type Handler = Box<dyn FnOnce(Result<(Bytes, UrlResponse)>) + Send>;

/// Runs a resumed task on the library's own runtime.
pub(super) fn start(core: Arc<Core>, handler: Option<Handler>) {
    let place = Place::own();
    place.clone().spawn(async move {
        let mut log = Log::new();
        let result = governed(&core, &place, work(&core, &place, &mut log)).await;
        finish(&core, result, &mut log, handler);
    });
}

/// Runs a task in place and collects its body.
pub(super) async fn collect(core: Arc<Core>, place: Place) -> Result<(Bytes, UrlResponse)> {
    let mut notes = Notes::new(&core);
    let result = governed(&core, &place, work(&core, &place, &mut notes.log)).await;
    let answer = result.map_err(|error| core.name_url(error));
    if core.audience().is_none() {
        measure(&core, &mut notes.log, answer.as_ref().err());
        core.complete(answer.as_ref().err().cloned());
        return answer;
    }
    finish(&core, answer.clone(), &mut notes.log, None);
    core.heard().await;
    answer
}

/// Polls `load` as the governor allows.
async fn governed<T>(core: &Arc<Core>, place: &Place, load: impl Future<Output = Result<T>>) -> Result<T> {
    let mut governor = pin!(Governor::new(core.clone(), place.clone()));
    let mut load = pin!(load);
    poll_fn(|cx| governor.as_mut().poll(cx, |cx| load.as_mut().poll(cx))).await
}

/// Loads the head and reads the body to its end, in the task's style.
async fn work(core: &Arc<Core>, place: &Place, log: &mut Log) -> Result<(Bytes, UrlResponse)> {
    let Response { head, mut body } = load(core, place, log).await?;
    let mut reading = Reading { core, log, body: &mut body };
    let data = match core.style {
        // In a box of its own: what only a delegate needs is not carried by the loads of all others.
        Style::Delegate => Box::pin(reading.deliver(&head)).await,
        Style::Handler | Style::Future => reading.collect(&head).await,
    };
    drop(reading);
    Ok((data.map_err(|error| error.with_url(head.url()))?, head))
}

/// Loads the head.
pub(super) async fn load(core: &Arc<Core>, place: &Place, log: &mut Log) -> Result<Response> {
    let request = core.live().original.clone();
    let Some(request) = request else {
        return Err(UrlError::new(
            UrlErrorCode::Unknown,
            Phase::Request,
            "a task without a request was started",
        ));
    };
    let Some(protocol) = core.roster.protocols.of(&request) else { return Err(unsupported(&request)) };
    let asking = Asking(core);
    let attempt = Attempt {
        request,
        added: Default::default(),
        wants_new_connection: false,
        hold: None,
        ask: &asking,
        meter: &core.meter,
        log,
        place,
        clock: &*core.roster.config.environment.clock,
    };
    let response = protocol.load(attempt).await?;
    if let Some(length) = response.head.expected_content_length() {
        core.bytes.to_receive.store(length, Relaxed);
    }
    core.live().response = Some(response.head.clone());
    core.tell_watchers(TaskChange::Response);
    Ok(response)
}

fn unsupported(request: &crate::message::UrlRequest) -> UrlError {
    let detail = match request.url() {
        Some(url) => format!("nothing loads the scheme {:?}", url.scheme()),
        None => "the request has no URL".into(),
    };
    UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Request, detail).with_url(request.url())
}

/// A response body being read.
struct Reading<'a> {
    core: &'a Arc<Core>,
    log: &'a mut Log,
    body: &'a mut Body,
}

impl Reading<'_> {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|cx| poll_chunk(self.core, self.body, cx)).await
    }

    /// In one piece; if the body comes in one, without a copy.
    async fn collect(&mut self, head: &UrlResponse) -> Result<Bytes> {
        let audience = if self.core.style == Style::Future { self.core.own_audience() } else { None };
        let Some(mut chunk) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let (pieces, whole) = match self.core.live().prefers_incremental_delivery {
            true => (audience, None),
            false => (None, audience),
        };
        let mut all: Option<BytesMut> = None;
        loop {
            if let Some(audience) = &pieces {
                // To clone the only handle costs an allocation: not for nobody.
                self.core.deliver(audience.clone(), chunk.clone()).await;
            }
            let Some(next) = self.next().await.transpose()? else { break };
            let all = all.get_or_insert_with(|| {
                let announced = head.expected_content_length().unwrap_or(0).min(TRUSTED_LENGTH) as usize;
                let mut all = BytesMut::with_capacity(announced.max(chunk.len() + next.len()));
                all.extend_from_slice(&chunk);
                all
            });
            all.extend_from_slice(&next);
            chunk = next;
        }
        let all = all.map_or(chunk, BytesMut::freeze);
        if let Some(audience) = whole {
            self.core.deliver(audience, all.clone()).await;
        }
        Ok(all)
    }

    async fn deliver(&mut self, head: &UrlResponse) -> Result<Bytes> {
        let Some(audience) = self.core.audience() else {
            // Nobody listens; the body is read all the same, for its errors and for the connection.
            while self.next().await.transpose()?.is_some() {}
            return Ok(Bytes::new());
        };
        let mut delivery = Delivery::begin(self.core, audience, head).await?;
        while let Some(chunk) = self.next().await.transpose()? {
            delivery.chunk(chunk).await?;
        }
        delivery.end().await?;
        Ok(Bytes::new())
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // Also when the load is dropped in the middle.
        seal(self.core, self.log, self.body);
    }
}

/// The next chunk, counted.
pub(super) fn poll_chunk(
    core: &Core,
    body: &mut Body,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<Option<Result<Bytes>>> {
    let (before, sent_before) = (body.wire_bytes(), body.sent_late());
    let chunk = body.poll_chunk(cx);
    let moved = body.wire_bytes().saturating_sub(before);
    if moved > 0 {
        core.meter.moved(moved as usize);
    }
    let sent = body.sent_late().saturating_sub(sent_before);
    if sent > 0 {
        core.meter.moved(sent as usize);
        core.bytes.sent.fetch_add(sent, AcqRel);
    }
    if let std::task::Poll::Ready(Some(Ok(chunk))) = &chunk {
        core.bytes.received.fetch_add(chunk.len() as u64, Relaxed);
        core.tell_watchers(TaskChange::Bytes);
    }
    chunk
}

/// Writes down how the last transaction ended.
pub(super) fn seal(core: &Core, log: &mut Log, body: &Body) {
    if let Some(stamps) = log.last_mut().filter(|stamps| stamps.response_end.is_none()) {
        stamps.response_end = Some(core.roster.config.environment.clock.now());
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
pub(super) fn finish(
    core: &Arc<Core>,
    result: Result<(Bytes, UrlResponse)>,
    log: &mut Log,
    handler: Option<Handler>,
) {
    let result = result.map_err(|error| core.name_url(error));
    let error = result.as_ref().err().cloned();
    measure(core, log, error.as_ref());
    let audience = core.audience();
    if audience.is_none() && handler.is_none() {
        core.complete(error);
        return;
    }
    let metrics = audience.is_some().then(|| core.live().measured.metrics(core.created)).flatten();
    if let Some((audience, metrics)) = audience.clone().zip(metrics) {
        core.tell(audience, "did_finish_collecting_metrics", move |delegate, task| {
            delegate.did_finish_collecting_metrics(task, &metrics);
        });
    }
    let last = core.clone();
    let style = core.style;
    core.roster.queue.add(move || {
        // The properties are final when the application hears of the end.
        let completed = last.begin_completion(error.clone());
        if let Some(handler) = handler {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || handler(result)));
        } else if let (Style::Delegate, Some(audience)) = (style, audience) {
            last.call(audience, "did_complete", |delegate, task| delegate.did_complete(task, error.as_ref()));
        }
        completed.leave();
    });
}

/// What a server announces is believed up to this length; beyond it memory is taken as bytes come.
const TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;
