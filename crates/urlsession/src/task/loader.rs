//! `Loader`: who runs the tasks of a session that nobody polls. A session is given one; the core of a task knows no other
//! way to begin.

use std::sync::Arc;

use bytes::Bytes;

use super::downloaded_file::DownloadedFile;
use crate::error::Result;
use crate::message::UrlResponse;

/// Runs tasks of type `T`: in this process, or by another.
pub(crate) trait Loader<T>: Send + Sync {
    /// Runs a task that has been resumed for the first time, up to its end, of which `handler` is told if there is one, and
    /// else its delegates.
    fn start(&self, task: Arc<T>, handler: Option<Handler>);
}

/// Called once with what a task got.
pub(crate) enum Handler {
    Data(HandlerOf<(Bytes, UrlResponse)>),
    File(HandlerOf<(DownloadedFile, UrlResponse)>),
}

pub(crate) type HandlerOf<T> = Box<dyn FnOnce(Result<T>) + Send>;
