//! `Data`: a data task as a future. Whoever polls it drives the load; dropping it cancels the task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::core::Core;
use super::delegate::TaskDelegate;
use super::handle::{DataTask, Task};
use super::run;
use crate::env::{Place, block_on};
use crate::error::{Result, UrlError};
use crate::load::{BoxFuture, Log};
use crate::message::UrlResponse;

/// Body and response of a data task. Await it on any executor, or [`wait`](Self::wait) for it on a plain thread.
///
/// Nothing is sent before it is first polled. The load runs in the polls: on the caller's tokio runtime if there
/// is one, otherwise woken by the library's own. Dropping it cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct Data {
    core: Arc<Core>,
    load: Option<BoxFuture<'static, Result<(Bytes, UrlResponse)>>>,
    is_done: bool,
}

impl Data {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, load: None, is_done: false }
    }

    /// The task behind it, to observe, suspend or cancel it.
    pub fn task(&self) -> DataTask {
        DataTask::of(Task::of(self.core.clone()))
    }

    /// A delegate of this task's own: it is asked about redirects and sees data as it comes, beside the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        // It cannot fail: the task has not been polled, so it has not been resumed.
        let _ = self.task().set_delegate(Some(Arc::new(delegate)));
        self
    }

    /// Waits on this thread. It may be called anywhere, also inside an async runtime, whose thread it blocks.
    ///
    /// # Errors
    /// As awaiting it.
    pub fn wait(mut self) -> Result<(Bytes, UrlResponse)> {
        // The runtime of this thread cannot serve a load that blocks it.
        self.begin(Place::own());
        block_on(self)
    }

    fn begin(&mut self, place: Place) {
        self.core.resume();
        self.load = Some(Box::pin(run::collect(self.core.clone(), place)));
    }
}

impl Future for Data {
    type Output = Result<(Bytes, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.load.is_none() && !self.is_done {
            self.begin(Place::current());
        }
        let Some(load) = &mut self.load else { return Poll::Ready(Err(UrlError::cancelled())) };
        let poll = load.as_mut().poll(cx);
        if poll.is_ready() {
            self.is_done = true;
            self.load = None;
        }
        poll
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if !self.is_done {
            self.load = None;
            abandon(&self.core);
        }
    }
}

/// The future of a task was dropped: it ends cancelled.
pub(super) fn abandon(core: &Arc<Core>) {
    core.cancel();
    run::finish(core, Err(UrlError::cancelled()), &mut Log::new(), None);
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data").field("task", &*self.task()).finish()
    }
}
