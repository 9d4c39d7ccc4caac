//! `Loader`: who runs the tasks of a session that nobody polls. A session is given one; the core of a task knows no other
//! way to begin.
//!
//! A future (`DataFuture`, `BytesFuture`, `UploadFuture`, `DownloadFuture`) does not come here. It is polled by its caller,
//! in place, so that its load costs no spawn and ends with the caller: it is local by what it is. A session whose tasks
//! another process runs has no use for that, and Apple's background sessions take neither completion handlers nor async
//! methods either. Such a session refuses a future where it is made: the core of its task is made with an error in the
//! place of a request (`Core::new`), as for a malformed one, and the first poll gives it. `snapshot` is what such a loader
//! sends.

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
