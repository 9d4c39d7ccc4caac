//! `Loading`: a task whose caller polls its load in place. Dropping it cancels the task.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::finish::finish;
use crate::env::{RuntimeHandle, Wait, block_on, not_started, wait_on_this_thread};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BoxFuture, TransactionLog};
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::delegate::queue::{QueueWait, WaitsForItself};
use crate::task::handle::Task;

/// The result of a task, to be awaited.
pub(in crate::task) struct Loading<T> {
    core: Arc<Core>,
    start: fn(Arc<Core>, RuntimeHandle) -> BoxFuture<'static, Result<T>>,
    load: Option<BoxFuture<'static, Result<T>>>,
    is_done: bool,
    /// A call of a queue is blocked until this is done.
    wait: Option<QueueWait>,
}

impl<T> Loading<T> {
    /// Nothing happens before the first poll, which calls `start`.
    pub(in crate::task) fn new(
        core: Arc<Core>,
        start: fn(Arc<Core>, RuntimeHandle) -> BoxFuture<'static, Result<T>>,
    ) -> Self {
        Self { core, start, load: None, is_done: false, wait: None }
    }

    pub(in crate::task) fn core(&self) -> &Core {
        &self.core
    }

    /// Begins in another way. No effect once it has been polled.
    pub(in crate::task) fn start_by(
        &mut self,
        start: fn(Arc<Core>, RuntimeHandle) -> BoxFuture<'static, Result<T>>,
    ) {
        self.start = start;
    }

    pub(in crate::task) fn task(&self) -> Task {
        Task::of(self.core.clone())
    }

    pub(in crate::task) fn set_delegate(&self, delegate: impl TaskDelegate + 'static) {
        // It cannot fail: the task has not been polled, so it has not been resumed.
        let _ = self.task().set_delegate(delegate);
    }

    /// Blocks this thread, with the library's own runtime: the runtime of this thread cannot serve a load that blocks it.
    pub(in crate::task) fn wait(mut self) -> Result<T> {
        match RuntimeHandle::own() {
            Ok(own) => self.begin(own),
            Err(error) => return Err(self.fails(not_started(error))),
        }
        block_on(self)
    }

    /// Fails if the load cannot end while this thread waits for it.
    fn check_wait(&mut self) -> Result<()> {
        let wait = wait_on_this_thread();
        if wait == Wait::BlockingIo {
            return Err(self.fails(misused("on the thread of the library that serves its sockets")));
        }
        let queue = &self.core.session.queue;
        let blocks = wait == Wait::Blocking || queue.is_in_blocking_call();
        // Without a delegate the load makes no calls there.
        if blocks && self.wait.is_none() && self.core.target().is_some() {
            match queue.begin_wait() {
                Ok(wait) => self.wait = wait,
                Err(WaitsForItself) => {
                    let place = "in a call of the delegate queue that its own delegate is called on";
                    return Err(self.fails(misused(place)));
                }
            }
        }
        Ok(())
    }

    /// Ends the task before its load has begun, or during the load.
    fn fails(&mut self, error: UrlError) -> UrlError {
        let error = self.core.name_url(error);
        self.load = None;
        self.is_done = true;
        self.core.fail(error.clone());
        finish(&self.core, Some(error.clone()), &mut TransactionLog::new());
        error
    }

    fn begin(&mut self, runtime: RuntimeHandle) {
        self.core.resume();
        self.load = Some((self.start)(self.core.clone(), runtime));
    }
}

fn misused(place: &str) -> UrlError {
    let detail = format!(
        "the load was waited for {place}, which must return before the load can end; spawn it, or use a task with \
         a completion handler"
    );
    UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail)
}

impl<T> Future for Loading<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_done {
            self.check_wait()?;
        }
        if self.load.is_none() && !self.is_done {
            match RuntimeHandle::current() {
                Ok(runtime) => self.begin(runtime),
                Err(error) => return Poll::Ready(Err(self.fails(not_started(error)))),
            }
        }
        let Some(load) = &mut self.load else { return Poll::Ready(Err(UrlError::cancelled())) };
        let poll = load.as_mut().poll(cx);
        if poll.is_ready() {
            self.is_done = true;
            self.load = None;
            self.wait = None;
        }
        poll
    }
}

impl<T> Drop for Loading<T> {
    fn drop(&mut self) {
        if !self.is_done {
            self.load = None;
            self.core.let_go();
            self.core.cancel();
            finish(&self.core, Some(UrlError::cancelled()), &mut TransactionLog::new());
        }
    }
}
