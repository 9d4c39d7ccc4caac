//! The kinds of tasks, and what a kind can add to the core of a task.

use std::any::Any;
use std::sync::Arc;

use crate::error::UrlError;

/// The kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// Loads data into memory: a [`DataTask`](crate::DataTask).
    Data,
    /// Sends a body: an [`UploadTask`](crate::UploadTask).
    Upload,
    /// Loads a file: a [`DownloadTask`](crate::DownloadTask).
    Download,
    /// Reads and writes bytes: a [`StreamTask`](crate::StreamTask).
    Stream,
}

/// The state that a kind of task keeps in the core of a task of type `T`. Its methods are called under the core's lock.
pub(super) trait KindState<T>: Any + Send {
    /// Called when the task is over. Returns what is to be called once the lock is released.
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>>;

    /// The function that adds resume data to the error of a task; `None` if the error has it already or there is none.
    fn leftovers(&self) -> Option<fn(&Arc<T>, UrlError) -> UrlError>;

    /// Called when the task is no longer polled.
    fn let_go(&mut self);
}
