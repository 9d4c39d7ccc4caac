//! `Loader`: runs the tasks of a session that no future polls. Each session has one loader; the core of a task has no other
//! way to begin.
//!
//! A future (`DataFuture`, `BytesFuture`, `UploadFuture`, `DownloadFuture`) does not use the loader. Its caller polls it in
//! place, so that its load costs no spawn and ends with the caller: a future is always local. A session whose tasks run in
//! another process cannot use futures, and Apple's background sessions accept neither completion handlers nor async methods
//! either. Such a session refuses a future where it is made: the core of its task is made with an error in the place of a
//! request (`Core::new`), as for a malformed request, and the first poll returns the error. Such a loader sends a
//! `snapshot`.

use std::sync::Arc;

use bytes::Bytes;

use super::downloaded_file::DownloadedFile;
use crate::error::Result;
use crate::message::UrlResponse;

/// Runs tasks of type `T`: in this process, or by another.
pub(crate) trait Loader<T>: Send + Sync {
    /// Runs a task that has been resumed for the first time, up to its end. The result goes to `handler` if there is one,
    /// otherwise to the task's delegates.
    fn start(&self, task: Arc<T>, handler: Option<Handler>);
}

/// Called once with the result of a task.
pub(crate) enum Handler {
    Data(HandlerOf<(Bytes, UrlResponse)>),
    File(HandlerOf<(DownloadedFile, UrlResponse)>),
}

pub(crate) type HandlerOf<T> = Box<dyn FnOnce(Result<T>) + Send>;
