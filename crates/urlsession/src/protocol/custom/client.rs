//! `UrlProtocolTask` and `UrlProtocolClient`: the task of a custom protocol, the calls of the protocol to that task, and
//! the channel (`Line`) between the two.
//!
//! A `Line` holds one chunk at most: a protocol with more data waits until the task has read it. Misuse fails the load;
//! it does not panic. Apple: *URLProtocolClient*.

use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::TaskDescription;
use crate::message::{HttpUrlResponse, UrlRequest, UrlResponse};

/// The task that a custom protocol loads for: its properties when the load starts.
#[derive(Clone, Debug)]
pub struct UrlProtocolTask(TaskDescription);

impl UrlProtocolTask {
    pub(super) fn new(description: TaskDescription) -> Self {
        Self(description)
    }

    /// The task's number in its session.
    #[doc(alias = "taskIdentifier")]
    pub fn task_identifier(&self) -> u64 {
        self.0.identifier
    }

    /// The label that the application has set. Default: none.
    #[doc(alias = "taskDescription")]
    pub fn task_description(&self) -> Option<&str> {
        self.0.label.as_deref()
    }

    /// The priority of the task, from 0 (lowest) to 1 (highest).
    pub fn priority(&self) -> f32 {
        self.0.priority
    }

    /// The request the task was created with.
    #[doc(alias = "originalRequest")]
    pub fn original_request(&self) -> &UrlRequest {
        &self.0.original
    }

    /// The request to load now.
    #[doc(alias = "currentRequest")]
    pub fn current_request(&self) -> &UrlRequest {
        &self.0.current
    }
}

/// The interface of a custom protocol to the task that it loads for.
///
/// A clone is the same client. After the load is over or has been stopped, calls have no effect.
#[doc(alias = "URLProtocolClient")]
pub struct UrlProtocolClient {
    line: Arc<Line>,
    task: Arc<UrlProtocolTask>,
}

impl UrlProtocolClient {
    pub(super) fn new(line: Arc<Line>, task: Arc<UrlProtocolTask>) -> Self {
        line.lock().clients += 1;
        Self { line, task }
    }

    /// The request to load, in the form that [`canonical_request`](super::UrlProtocol::canonical_request) returned.
    pub fn request(&self) -> &UrlRequest {
        self.task.current_request()
    }

    /// The task to load for.
    pub fn task(&self) -> &UrlProtocolTask {
        &self.task
    }

    /// Passes the response to the task: once, before any data. It is not cached. A second response fails the load.
    #[doc(alias = "urlProtocol(_:didReceive:cacheStoragePolicy:)")]
    pub fn did_receive_response(&self, response: impl Into<UrlResponse>) {
        self.head(Head::Response(response.into()));
    }

    /// Redirects the task to `request` and ends this load. The delegate decides; then the first protocol that claims the new
    /// request loads it. If the redirect is not followed, the task gets `response`, with an empty body.
    #[doc(alias = "urlProtocol(_:wasRedirectedTo:redirectResponse:)")]
    pub fn was_redirected(&self, request: UrlRequest, response: HttpUrlResponse) {
        self.head(Head::Redirect(Box::new(request), response.into()));
    }

    /// Passes the next data of the body, without what was passed before. Waits until the task has read earlier data, so
    /// that a suspended task or a slow delegate holds the protocol back. Delivers nothing unless it is awaited.
    ///
    /// # Errors
    /// The load is over or has been stopped: stop loading.
    #[doc(alias = "urlProtocol(_:didLoad:)")]
    pub async fn did_load(&self, data: impl Into<Bytes>) -> Result<()> {
        let mut data = data.into();
        poll_fn(|cx| self.line.poll_put(&mut data, cx)).await
    }

    /// Ends the load: the body is complete. Without a response the load fails.
    #[doc(alias = "urlProtocolDidFinishLoading(_:)")]
    pub fn did_finish_loading(&self) {
        self.line.change(|state| match state.stage {
            Stage::Head => state.fail(misuse("it finished without a response")),
            Stage::Body => state.end(Ok(())),
            Stage::Over => {}
        });
    }

    /// Ends the load with an error. The task reads earlier data first.
    #[doc(alias = "urlProtocol(_:didFailWithError:)")]
    pub fn did_fail(&self, error: UrlError) {
        self.line.change(|state| state.fail(error));
    }

    /// Waits until the load has been stopped, for a thread or another task that holds a clone of the client.
    /// Extension: no counterpart in Apple's API.
    pub async fn stopped(&self) {
        poll_fn(|cx| {
            let mut state = self.line.lock();
            if state.is_stopped {
                return Poll::Ready(());
            }
            state.wait(cx);
            Poll::Pending
        })
        .await;
    }

    /// Whether the load has been stopped. Then calls of the client have no effect. Extension: no counterpart in Apple's API.
    pub fn is_stopped(&self) -> bool {
        self.line.lock().is_stopped
    }

    fn head(&self, head: Head) {
        self.line.change(|state| match state.stage {
            Stage::Head => {
                state.stage = if matches!(head, Head::Redirect(..)) { Stage::Over } else { Stage::Body };
                state.head = Some(head);
            }
            Stage::Body => state.fail(misuse("it passed a second response")),
            Stage::Over => {}
        });
    }
}

impl Clone for UrlProtocolClient {
    fn clone(&self) -> Self {
        Self::new(self.line.clone(), self.task.clone())
    }
}

impl Drop for UrlProtocolClient {
    fn drop(&mut self) {
        self.line.change(|state| state.clients -= 1);
    }
}

impl fmt::Debug for UrlProtocolClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlProtocolClient").field("task", &self.task).finish()
    }
}

/// What comes before a body.
pub(super) enum Head {
    Response(UrlResponse),
    Redirect(Box<UrlRequest>, UrlResponse),
}

/// The channel between a protocol and its task.
#[derive(Default)]
pub(super) struct Line(Mutex<LineState>);

#[derive(Default)]
struct LineState {
    stage: Stage,
    head: Option<Head>,
    chunk: Option<Bytes>,
    failure: Option<UrlError>,
    is_stopped: bool,
    clients: usize,
    reader: Option<Waker>,
    /// Futures that wait to write a chunk, or for the end.
    writers: Vec<Waker>,
}

/// Which calls the protocol may make next.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Body,
    Over,
}

impl Line {
    /// The response or redirect, once it is there.
    pub(super) fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<Head>> {
        let mut state = self.lock();
        state.end_if_abandoned();
        match (state.head.take(), state.stage) {
            (Some(head), _) => Poll::Ready(Ok(head)),
            (None, Stage::Over) => Poll::Ready(Err(state.failure.take().unwrap_or_else(UrlError::cancelled))),
            (None, _) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next chunk; `None` at the end.
    pub(super) fn poll_chunk(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut state = self.lock();
        if let Some(chunk) = state.chunk.take() {
            let writers = std::mem::take(&mut state.writers);
            drop(state);
            writers.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(Ok(chunk)));
        }
        state.end_if_abandoned();
        if state.stage == Stage::Over {
            return Poll::Ready(state.failure.take().map(Err));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Fails the load, unless it is over.
    pub(super) fn fail(&self, error: UrlError) {
        self.change(|state| state.fail(error));
    }

    /// Ends the load from the task's side: later calls of the client have no effect.
    pub(super) fn stop(&self) {
        self.change(|state| {
            state.is_stopped = true;
            state.stage = Stage::Over;
            state.chunk = None;
        });
    }

    fn poll_put(&self, data: &mut Bytes, cx: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        match state.stage {
            Stage::Over => return Poll::Ready(Err(UrlError::cancelled())),
            Stage::Head => {
                drop(state);
                self.fail(misuse("it passed data before a response"));
                return Poll::Ready(Err(UrlError::cancelled()));
            }
            Stage::Body if data.is_empty() => return Poll::Ready(Ok(())),
            Stage::Body => {}
        }
        if state.chunk.is_some() {
            state.wait(cx);
            return Poll::Pending;
        }
        state.chunk = Some(std::mem::take(data));
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    /// Changes the state, and wakes the futures that wait for a change.
    fn change(&self, change: impl FnOnce(&mut LineState)) {
        let mut state = self.lock();
        change(&mut state);
        let reader = state.reader.take();
        let writers = match state.stage {
            Stage::Over => std::mem::take(&mut state.writers),
            Stage::Head | Stage::Body => Vec::new(),
        };
        drop(state);
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.0.lock()
    }
}

impl LineState {
    fn end(&mut self, result: Result<()>) {
        if self.stage != Stage::Over {
            self.stage = Stage::Over;
            self.failure = result.err();
        }
    }

    fn fail(&mut self, error: UrlError) {
        self.end(Err(error));
    }

    /// Called by the reader, not when the last client is dropped: a future drops its client before it returns its error.
    fn end_if_abandoned(&mut self) {
        if self.clients == 0 {
            self.fail(misuse("it let go of its client before it said that it has finished or failed"));
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.writers.push(cx.waker().clone());
        }
    }
}

fn misuse(what: &str) -> UrlError {
    let detail = format!("the custom protocol broke its contract: {what}");
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Delegate, detail)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn start() -> (Arc<Line>, UrlProtocolClient) {
        let request = Arc::new(UrlRequest::new("made:up".parse().unwrap()));
        let task = UrlProtocolTask::new(TaskDescription {
            identifier: 1,
            label: None,
            priority: 0.5,
            original: request.clone(),
            current: request,
        });
        let line = Arc::new(Line::default());
        (line.clone(), UrlProtocolClient::new(line, Arc::new(task)))
    }

    fn response() -> UrlResponse {
        UrlResponse::new("made:up".parse().unwrap(), None, None, None)
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn read(line: &Line) -> Poll<Option<Result<Bytes>>> {
        line.poll_chunk(&Context::from_waker(Waker::noop()))
    }

    fn head(line: &Line) -> Poll<Result<Head>> {
        line.poll_head(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_line_holds_one_chunk() {
        let (line, client) = start();
        client.did_receive_response(response());
        assert!(poll(client.did_load("a")).is_ready());
        let mut second = std::pin::pin!(client.did_load("b"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(read(&line), Poll::Ready(Some(Ok(chunk))) if chunk == "a"));
        assert!(matches!(second.poll(&mut cx), Poll::Ready(Ok(()))));
        client.did_finish_loading();
        assert!(matches!(read(&line), Poll::Ready(Some(Ok(chunk))) if chunk == "b"));
        assert!(matches!(read(&line), Poll::Ready(None)));
    }

    #[test]
    fn what_is_said_after_the_end_or_a_stop_is_not_heard() {
        let (line, client) = start();
        client.did_receive_response(response());
        client.did_fail(UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Body, "gone"));
        client.did_finish_loading();
        client.did_receive_response(response());
        assert!(matches!(poll(client.did_load("late")), Poll::Ready(Err(_))));
        assert!(head(&line).is_ready());
        let Poll::Ready(Some(Err(error))) = read(&line) else { panic!("it failed") };
        assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
        assert!(matches!(read(&line), Poll::Ready(None)));

        let (line, client) = start();
        line.stop();
        client.did_receive_response(response());
        assert!(client.is_stopped() && poll(client.stopped()).is_ready());
        assert!(matches!(poll(client.did_load("late")), Poll::Ready(Err(_))));
        assert!(line.lock().head.is_none() && line.lock().chunk.is_none());
    }

    #[test]
    fn misuse_is_a_failure_that_says_what_was_wrong() {
        type Misuse = fn(UrlProtocolClient);
        let misuses: [(Misuse, &str); 3] = [
            (|client| client.did_finish_loading(), "without a response"),
            (|client| assert!(poll(client.did_load("x")).is_ready()), "before a response"),
            (drop, "let go of its client"),
        ];
        for (misuse, what) in misuses {
            let (line, client) = start();
            misuse(client);
            let Poll::Ready(Err(error)) = head(&line) else { panic!("{what}") };
            assert!(error.to_string().contains(what), "{error}");
        }
        let (line, client) = start();
        client.did_receive_response(response());
        client.did_receive_response(response());
        assert!(head(&line).is_ready());
        assert!(matches!(read(&line), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn a_clone_keeps_the_load_alive() {
        let (line, client) = start();
        let clone = client.clone();
        drop(client);
        assert!(head(&line).is_pending());
        drop(clone);
        assert!(matches!(head(&line), Poll::Ready(Err(_))));
    }
}
