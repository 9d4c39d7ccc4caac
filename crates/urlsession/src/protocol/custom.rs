//! Custom protocols: which of the application's loads a request, and how its load is run, ended and redirected.
//!
//! What applications implement is in `load::custom`; built-in schemes are asked for after these. Apple: *URLProtocol*.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::body::{Body, BodySource};
use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{
    Attempt, Head, Line, Response, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask,
};
use crate::message::UrlRequest;

/// The custom protocols of a session.
pub(super) struct Custom {
    config: Arc<Configuration>,
    /// Whether those registered for the shared session are asked.
    asks_registered: AtomicBool,
}

/// How a load of a custom protocol ended.
pub(super) enum Loaded {
    Response(Response),
    /// The attempt's request is now that of the next hop.
    Redirected,
}

impl Custom {
    pub(super) fn new(config: Arc<Configuration>) -> Self {
        Self { config, asks_registered: AtomicBool::new(false) }
    }

    pub(super) fn ask_registered(&self) {
        self.asks_registered.store(true, Relaxed);
    }

    /// Those to ask, in their order; mostly none.
    pub(super) fn classes(&self) -> Vec<UrlProtocolClass> {
        let mut classes = self.config.protocol_classes.clone();
        if self.asks_registered.load(Relaxed) {
            classes.append(&mut UrlProtocolClass::all_registered());
        }
        classes
    }
}

/// The first that claims the attempt's request.
pub(super) fn claim(classes: &[UrlProtocolClass], attempt: &Attempt<'_>) -> Result<Option<UrlProtocolClass>> {
    let task = attempt.context.described(&attempt.request);
    for class in classes {
        if guarded("can_init", || class.protocol().can_init_with_task(&task))? {
            return Ok(Some(class.clone()));
        }
    }
    Ok(None)
}

/// Loads the attempt's request with a protocol, as hop number `hops` of its kind.
pub(super) async fn load(class: UrlProtocolClass, attempt: &mut Attempt<'_>, hops: usize) -> Result<Loaded> {
    let asked = UrlRequest::clone(&attempt.request);
    attempt.request = Arc::new(guarded("canonical_request", || class.protocol().canonical_request(asked))?);
    attempt.begin_transaction();
    attempt.context.requesting(&attempt.request);
    let mut run = Run::start(class, attempt.context.described(&attempt.request));
    attempt.transaction().request_start = Some(attempt.clock.now());
    let head = poll_fn(|cx| run.poll_head(cx)).await?;
    attempt.activity.moved(1);
    let now = attempt.clock.now();
    let transaction = attempt.transaction();
    (transaction.request_end, transaction.response_start) = (transaction.request_start, Some(now));
    let (next, response) = match head {
        Head::Response(response) => {
            transaction.response = Some(response.clone());
            return Ok(Loaded::Response(Response { head: response, body: Body::flow(Box::new(run)) }));
        }
        Head::Redirect(next, response) => (next, response),
    };
    transaction.response = Some(response.clone());
    // Its load is over before another begins.
    drop(run);
    if hops >= LIMIT {
        let detail = format!("more than {LIMIT} redirects of custom protocols");
        return Err(UrlError::new(UrlErrorCode::HttpTooManyRedirects, Phase::Redirect, detail));
    }
    let next = {
        let _pause = attempt.activity.pause_idle();
        attempt.context.redirect(&response, *next).await
    };
    match next {
        Some(next) => {
            let transaction = attempt.transaction();
            (transaction.response_end, transaction.is_followed) = (Some(now), true);
            attempt.request = next.into();
            Ok(Loaded::Redirected)
        }
        None => Ok(Loaded::Response(Response { head: response, body: Body::empty() })),
    }
}

/// A load under way; dropping it stops it.
struct Run {
    class: UrlProtocolClass,
    task: Arc<UrlProtocolTask>,
    line: Arc<Line>,
    loading: Option<UrlProtocolLoading>,
    delivered: u64,
}

impl Run {
    fn start(class: UrlProtocolClass, task: UrlProtocolTask) -> Self {
        let (line, task) = (Arc::new(Line::default()), Arc::new(task));
        let mut run = Self { class, task, line, loading: None, delivered: 0 };
        let client = UrlProtocolClient::new(run.line.clone(), run.task.clone());
        match guarded("start_loading", || run.class.protocol().start_loading(client)) {
            Ok(loading) => run.loading = Some(loading),
            Err(error) => run.line.fail(error),
        }
        run
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head>> {
        self.advance(cx);
        self.line.poll_head(cx)
    }

    /// Polls the protocol's own future.
    fn advance(&mut self, cx: &mut Context<'_>) {
        let Some(loading) = &mut self.loading else { return };
        let result = match guarded("start_loading", || loading.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(result)) => result,
            Err(panicked) => Err(panicked),
        };
        // Before the future lets go of its client, so that the reason is this one.
        if let Err(error) = result {
            self.line.fail(error);
        }
        self.release();
    }

    fn release(&mut self) {
        let loading = self.loading.take();
        if let Err(error) = guarded("start_loading", || drop(loading)) {
            self.line.fail(error);
        }
    }
}

impl BodySource for Run {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.advance(cx);
        let poll = self.line.poll_chunk(cx);
        if let Poll::Ready(Some(Ok(chunk))) = &poll {
            self.delivered += chunk.len() as u64;
        }
        poll
    }

    fn wire_bytes(&self) -> u64 {
        self.delivered
    }

    fn sent_late(&self) -> u64 {
        0
    }

    fn finish(self: Box<Self>) {}
}

impl Drop for Run {
    fn drop(&mut self) {
        self.line.stop();
        self.release();
        if let Err(error) = guarded("stop_loading", || self.class.protocol().stop_loading(&self.task)) {
            // The load is over: there is nobody to fail.
            tracing::warn!(%error, "a custom protocol panicked");
        }
    }
}

/// Runs code of the application; a panic is an error that says where.
fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = message(&*panic).unwrap_or("no message");
        let detail = format!("the custom protocol panicked in {what}: {message}");
        UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail)
    })
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

/// As for redirects of HTTP.
const LIMIT: usize = 16;
