//! Custom protocols: which protocol of the application loads a request, and how its load is run, ended and redirected.
//!
//! `url_protocol` has the trait that applications implement, `client` the interface that they call. Custom protocols come
//! before built-in schemes. Apple: *URLProtocol*.

mod client;
mod url_protocol;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use self::client::{Head, Line};
pub use self::client::{UrlProtocolClient, UrlProtocolTask};
pub use self::url_protocol::{UrlProtocol, UrlProtocolLoading};
use crate::body::{Body, BodySource, ReadTarget};
use crate::configuration::{Configuration, CustomProtocol, UrlProtocolClass};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, BoxFuture, Response};
use crate::message::UrlRequest;

/// The custom protocols of a session.
pub(super) struct Custom {
    config: Arc<Configuration>,
    /// Whether the protocols registered for the shared session are used too.
    asks_registered: AtomicBool,
}

impl Custom {
    pub(super) fn new(config: Arc<Configuration>) -> Self {
        Self { config, asks_registered: AtomicBool::new(false) }
    }

    pub(super) fn ask_registered(&self) {
        self.asks_registered.store(true, Relaxed);
    }

    /// The protocols to try, in order. Most sessions have none.
    pub(super) fn classes(&self) -> Vec<UrlProtocolClass> {
        let mut classes = self.config.protocol_classes.clone();
        if self.asks_registered.load(Relaxed) {
            classes.append(&mut url_protocol::all_registered());
        }
        classes
    }
}

/// The first protocol that claims the request of the attempt.
pub(super) fn claim(
    classes: &[UrlProtocolClass],
    attempt: &Attempt<'_>,
) -> Result<Option<Arc<dyn CustomProtocol>>> {
    for class in classes {
        if class.protocol().claims(attempt)? {
            return Ok(Some(class.protocol().clone()));
        }
    }
    Ok(None)
}

impl<P: UrlProtocol + 'static> CustomProtocol for P {
    fn claims(&self, attempt: &Attempt<'_>) -> Result<bool> {
        let task = describe(attempt);
        guarded("can_init", || self.can_init_with_task(&task))
    }

    fn load<'a>(
        self: Arc<Self>,
        attempt: &'a mut Attempt<'_>,
        hops: usize,
    ) -> BoxFuture<'a, Result<Option<Response>>> {
        Box::pin(load(self, attempt, hops))
    }
}

fn describe(attempt: &Attempt<'_>) -> UrlProtocolTask {
    UrlProtocolTask::new(attempt.context.described(&attempt.request))
}

async fn load(
    protocol: Arc<dyn UrlProtocol>,
    attempt: &mut Attempt<'_>,
    hops: usize,
) -> Result<Option<Response>> {
    let asked = UrlRequest::clone(&attempt.request);
    attempt.request = Arc::new(guarded("canonical_request", || protocol.canonical_request(asked))?);
    attempt.begin_transaction();
    attempt.context.requesting(&attempt.request);
    let mut run = Run::start(protocol, describe(attempt));
    attempt.transaction().request_start = Some(attempt.clock.now());
    let head = poll_fn(|cx| run.poll_head(cx)).await?;
    attempt.activity.moved(1);
    let now = attempt.clock.now();
    let transaction = attempt.transaction();
    (transaction.request_end, transaction.response_start) = (transaction.request_start, Some(now));
    let (next, response) = match head {
        Head::Response(response) => {
            transaction.response = Some(response.clone());
            return Ok(Some(Response { head: response, body: Body::flow(Box::new(run)) }));
        }
        Head::Redirect(next, response) => (next, response),
    };
    transaction.response = Some(response.clone());
    // The load ends before the next one begins.
    drop(run);
    if hops >= LIMIT {
        let detail = format!("more than {LIMIT} redirects of custom protocols, perhaps in a circle");
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
            Ok(None)
        }
        None => Ok(Some(Response { head: response, body: Body::empty() })),
    }
}

/// A running load. Dropping it stops the load.
struct Run {
    protocol: Arc<dyn UrlProtocol>,
    task: Arc<UrlProtocolTask>,
    line: Arc<Line>,
    loading: Option<UrlProtocolLoading>,
    delivered: u64,
}

impl Run {
    fn start(protocol: Arc<dyn UrlProtocol>, task: UrlProtocolTask) -> Self {
        let (line, task) = (Arc::new(Line::default()), Arc::new(task));
        let mut run = Self { protocol, task, line, loading: None, delivered: 0 };
        let client = UrlProtocolClient::new(run.line.clone(), run.task.clone());
        match guarded("start_loading", || run.protocol.start_loading(client)) {
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
        // Before the future drops its client, so that the load fails with this error.
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
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        self.advance(cx);
        let chunk = ready!(self.line.poll_chunk(cx));
        if let Some(Ok(chunk)) = &chunk {
            self.delivered += chunk.len() as u64;
        }
        Poll::Ready(target.take(chunk))
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
        if let Err(error) = guarded("stop_loading", || self.protocol.stop_loading(&self.task)) {
            // The load is over and cannot fail any more.
            tracing::warn!(%error, "a custom protocol panicked");
        }
    }
}

/// Runs code of the application. A panic becomes an error that names the method.
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

/// The limit of redirects in one task, the same as for HTTP.
const LIMIT: usize = 16;
