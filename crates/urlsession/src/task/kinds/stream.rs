//! `StreamTask`: bytes read and written by hand. Apple: *URLSessionStreamTask*.
//!
//! Here are the handle and its calls; what they wait for is done by [`stream_io`](crate::task::kinds::stream::stream_io).

pub(in crate::task) mod pipe;
pub(in crate::task) mod stream_io;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Result, UrlError};
use crate::task::core::Core;
use crate::task::delegate::decision::Decision;
use crate::task::handle::Task;
use crate::task::kind::KindState;
use crate::task::kinds::stream::pipe::{Pipe, Read, Write};

/// A task that reads and writes bytes: what a data task becomes when its delegate answers
/// [`BecomeStream`](crate::task::ResponseDisposition::BecomeStream).
///
/// After a response of 101 (Switching Protocols) it reads and writes the connection, which is no longer the session's
/// to share. Of any other response it reads the body, decoded, and can write nothing.
///
/// Reads are done in order, one at a time, and so are writes; nothing is read that nobody has asked for. The task is
/// over when both directions are closed.
#[derive(Clone)]
#[doc(alias = "URLSessionStreamTask")]
pub struct StreamTask {
    task: Task,
    pipe: Arc<Pipe>,
}

impl StreamTask {
    pub(in crate::task) fn of(task: Task, pipe: Arc<Pipe>) -> Self {
        Self { task, pipe }
    }

    /// The same stream by another handle of its task.
    pub(in crate::task) fn by(&self, task: Task) -> Self {
        Self::of(task, self.pipe.clone())
    }

    /// Reads at least `min` bytes and at most `max`, fewer only at the end, of which the second value tells. The
    /// timeout is counted from this call; zero is none.
    ///
    /// # Errors
    /// [`TimedOut`](crate::UrlErrorCode::TimedOut), or what broke the stream: then later reads fail too.
    #[doc(alias = "readData(ofMinLength:maxLength:timeout:)")]
    pub fn read_data(
        &self,
        min: usize,
        max: usize,
        timeout: Duration,
    ) -> impl Future<Output = Result<(Bytes, bool)>> + Send + use<> {
        let (answer, responder) = Decision::deferred();
        self.pipe.read(self.task.core(), Read::new(min, max, timeout, |result| responder.answer(result)));
        async { answer.resolve().await.ok().flatten().unwrap_or_else(|| Err(UrlError::cancelled())) }
    }

    /// As [`read_data`](Self::read_data); `handler` is called on the delegate queue.
    #[doc(alias = "readData(ofMinLength:maxLength:timeout:completionHandler:)")]
    pub fn read_data_with_handler(
        &self,
        min: usize,
        max: usize,
        timeout: Duration,
        handler: impl FnOnce(Result<(Bytes, bool)>) + Send + 'static,
    ) {
        let core = self.task.core().clone();
        let done = move |result| core.enqueue("a read's handler", move |_| handler(result));
        self.pipe.read(self.task.core(), Read::new(min, max, timeout, done));
    }

    /// Writes all of `data`, after what was given before: done when the system has taken it. The timeout is counted
    /// from this call; zero is none.
    ///
    /// # Errors
    /// [`TimedOut`](crate::UrlErrorCode::TimedOut), or what broke the stream: then later writes fail too. Part of the
    /// data may have been written.
    #[doc(alias = "write(_:timeout:)")]
    pub fn write<D: Into<Bytes>>(
        &self,
        data: D,
        timeout: Duration,
    ) -> impl Future<Output = Result<()>> + Send + use<D> {
        let (answer, responder) = Decision::deferred();
        let done = |result| responder.answer(result);
        self.pipe.write(self.task.core(), Write::new(data.into(), timeout, done));
        async { answer.resolve().await.ok().flatten().unwrap_or_else(|| Err(UrlError::cancelled())) }
    }

    /// As [`write`](Self::write); `handler` is called on the delegate queue.
    #[doc(alias = "write(_:timeout:completionHandler:)")]
    pub fn write_with_handler(
        &self,
        data: impl Into<Bytes>,
        timeout: Duration,
        handler: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let core = self.task.core().clone();
        let done = move |result| core.enqueue("a write's handler", move |_| handler(result));
        self.pipe.write(self.task.core(), Write::new(data.into(), timeout, done));
    }

    /// Reads nothing more after the reads given so far; later ones fail.
    #[doc(alias = "closeRead()")]
    pub fn close_read(&self) {
        self.pipe.close_read(self.task.core());
    }

    /// Writes nothing more after the writes given so far, and tells the other side; later ones fail. Reading goes on.
    #[doc(alias = "closeWrite()")]
    pub fn close_write(&self) {
        self.pipe.close_write(self.task.core());
    }
}

/// Gives the task back if it is of another kind.
impl TryFrom<Task> for StreamTask {
    type Error = Task;

    fn try_from(task: Task) -> std::result::Result<Self, Task> {
        let pipe = task.core().live().kind_state::<Arc<Pipe>>().cloned();
        match pipe {
            Some(pipe) => Ok(Self::of(task, pipe)),
            None => Err(task),
        }
    }
}

impl KindState<Core> for Arc<Pipe> {
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }

    fn leftovers(&self) -> Option<fn(&Arc<Core>, UrlError) -> UrlError> {
        None
    }

    fn let_go(&mut self) {}
}

impl Deref for StreamTask {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

impl From<StreamTask> for Task {
    fn from(stream: StreamTask) -> Self {
        stream.task
    }
}

impl PartialEq for StreamTask {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task
    }
}

impl Eq for StreamTask {}

impl fmt::Debug for StreamTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamTask").field(&self.task).finish()
    }
}
