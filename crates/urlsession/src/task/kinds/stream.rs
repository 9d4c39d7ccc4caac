//! `StreamTask`: bytes read and written explicitly. Apple: *URLSessionStreamTask*.
//!
//! This module has the handle and its calls; [`stream_io`](crate::task::kinds::stream::stream_io) does the reads and
//! writes.

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

/// A task that reads and writes bytes. A data task becomes a stream task when its delegate returns
/// [`BecomeStream`](crate::task::ResponseDisposition::BecomeStream).
///
/// After a 101 (Switching Protocols) response it reads and writes the connection, which the session no longer uses for
/// other tasks. For any other response it reads the decoded body, and writing fails.
///
/// Reads are done in order, one at a time, and so are writes. Nothing is read before a read is requested. The task is over
/// when both directions are closed.
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

    /// The same stream with another handle of its task.
    pub(in crate::task) fn by(&self, task: Task) -> Self {
        Self::of(task, self.pipe.clone())
    }

    /// Reads at least `min` bytes and at most `max` bytes. It returns fewer bytes only at the end. The second value is
    /// whether the end was reached. The timeout starts with this call; zero is no timeout.
    ///
    /// # Errors
    /// [`TimedOut`](crate::UrlErrorCode::TimedOut), or the error that broke the stream: later reads then fail too.
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

    /// Same as [`read_data`](Self::read_data); `handler` is called on the delegate queue.
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

    /// Writes all of `data`, after the data of earlier calls. The write is done when the system has accepted the data. The
    /// timeout starts with this call; zero is no timeout.
    ///
    /// # Errors
    /// [`TimedOut`](crate::UrlErrorCode::TimedOut), or the error that broke the stream: later writes then fail too. Part of
    /// the data may have been written.
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

    /// Same as [`write`](Self::write); `handler` is called on the delegate queue.
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

    /// Closes the reading side after the reads that were requested so far; later reads fail.
    #[doc(alias = "closeRead()")]
    pub fn close_read(&self) {
        self.pipe.close_read(self.task.core());
    }

    /// Closes the writing side after the writes that were requested so far, and notifies the other side; later writes fail.
    /// Reading continues.
    #[doc(alias = "closeWrite()")]
    pub fn close_write(&self) {
        self.pipe.close_write(self.task.core());
    }
}

/// Returns the task unchanged as the error if it is of another kind.
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
