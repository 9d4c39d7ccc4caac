//! The kinds of tasks there are, and what a kind may add to the core of a task.

use std::any::Any;
use std::sync::Arc;

use crate::error::UrlError;

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// To get data into memory: a [`DataTask`](crate::DataTask).
    Data,
    /// To send a body: an [`UploadTask`](crate::UploadTask).
    Upload,
    /// To get a file: a [`DownloadTask`](crate::DownloadTask).
    Download,
    /// To read and write bytes: a [`StreamTask`](crate::StreamTask).
    Stream,
}

/// What a kind of task keeps in the core of a task, of type `T`. Its methods are called under the core's lock.
pub(super) trait KindState<T>: Any + Send {
    /// The task is over. What is to be called once the lock is let go.
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>>;

    /// What adds to the error of a task what it can be gone on with; `None` if it has it or there is nothing.
    fn leftovers(&self) -> Option<fn(&Arc<T>, UrlError) -> UrlError>;

    /// Whoever polls the task does so no more.
    fn let_go(&mut self);
}
