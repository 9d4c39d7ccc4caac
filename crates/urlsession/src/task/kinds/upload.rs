//! `UploadFuture`: an upload as a future of its response, and the form of a request for an upload. The protocol layers send
//! the body. Apple: *URLSessionUploadTask*.

mod digests;
pub(in crate::task) mod prepare;
pub(in crate::task) mod resuming;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::data::DataFuture;
use super::handles::UploadTask;
use crate::body::MultipartForm;
use crate::error::Result;
use crate::message::{BodyStream, DigestAlgorithm, UrlRequest, UrlResponse};
use crate::store::UploadRecords;
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::handle::Task;
use crate::task::retry::RetryPolicy;

/// The data to upload. It replaces a body of the request itself (Apple: *uploadTask(with:from:)*).
pub(crate) enum Payload<'a> {
    Data(Bytes),
    File(&'a Path),
    Form(MultipartForm),
    /// A stream that the delegate supplies.
    Stream,
}

/// The request with its payload.
pub(crate) fn to_upload(mut request: UrlRequest, payload: Payload<'_>) -> Result<UrlRequest> {
    match payload {
        Payload::Data(data) => request.set_http_body(data),
        Payload::File(path) => {
            let file = BodyStream::from_file(path).map_err(|error| error.with_url(request.url()))?;
            request.set_http_body_stream(file);
        }
        Payload::Form(form) => request.set_multipart_form(form),
        Payload::Stream => request.set_http_body_stream(BodyStream::of_delegate()),
    }
    Ok(request)
}

/// The body and the response of an upload. Await it on any executor, or block a plain thread with [`wait`](Self::wait).
///
/// Nothing is sent before the first poll. Dropping the future cancels the task. An upload that its server could resume is
/// then [given up](crate::Task::cancel), unless it is [resumable across runs](Self::resumable_across_runs) or started from
/// resume data: then the server keeps it.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct UploadFuture(DataFuture);

impl UploadFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(DataFuture::new(core))
    }

    /// The task of this future, to observe, suspend or cancel it.
    pub fn task(&self) -> UploadTask {
        UploadTask::of(Task::from(self.0.task()))
    }

    /// Sets the task's own delegate: it receives the send progress, in addition to the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        Self(self.0.delegate(delegate))
    }

    /// Blocks this thread until the load is done. It can be called anywhere, also inside an async runtime, whose thread it
    /// blocks.
    ///
    /// # Errors
    /// The errors of awaiting the future. In addition, it fails at once, without a load, where the wait could never end: in
    /// a delegate call, completion handler or decision of a session that has a delegate, if that session makes the load, or
    /// another session whose own calls wait for this one; and on the thread that serves the library's sockets. Spawn the
    /// load there, or use a task with a completion handler.
    pub fn wait(self) -> Result<(Bytes, UrlResponse)> {
        self.0.wait()
    }

    /// Sets the maximum length of the response body, in bytes; see [`DataFuture::limit`].
    pub fn limit(self, bytes: u64) -> Self {
        Self(self.0.limit(bytes))
    }

    /// Tries again, up to this number of times, after a temporary failure: `.retry(3)`, or a [`RetryPolicy`], which
    /// documents exactly what is tried again and when. An upload that its server can resume continues at the position that
    /// the server confirms; any other upload is sent again from the beginning. Extension: no counterpart in Apple's API.
    ///
    /// An upload by POST is not tried again unless [`assumes_idempotent`](field@RetryPolicy::assumes_idempotent) is set.
    pub fn retry(self, policy: impl Into<RetryPolicy>) -> Self {
        Self(self.0.retry(policy))
    }

    /// Sends digests of the body and checks the server's digest; see [`UploadTask::set_sends_digest`].
    ///
    /// ```no_run
    /// # use urlsession::uploads::DigestAlgorithm;
    /// # use urlsession::{UrlRequest, UrlSession};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut put = UrlRequest::new("https://example.com/a.iso".parse()?);
    /// put.set_http_method("PUT")?;
    /// UrlSession::shared().upload_from_file(put, "a.iso").sending_digest(DigestAlgorithm::Sha256).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sending_digest(self, algorithm: DigestAlgorithm) -> Self {
        // It cannot fail: the task has not been polled, so it has not been resumed.
        let _ = self.task().set_sends_digest(Some(algorithm));
        self
    }

    /// Same as [`UploadTask::set_resumable_across_runs`].
    pub fn resumable_across_runs(self, records: &UploadRecords) -> Self {
        self.task().set_resumable_across_runs(records);
        self
    }
}

impl Future for UploadFuture {
    type Output = Result<(Bytes, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for UploadFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadFuture").field("task", &**self.task()).finish()
    }
}
