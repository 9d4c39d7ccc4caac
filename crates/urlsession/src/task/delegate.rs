//! `TaskDelegate`: everything a task tells and asks its application.
//!
//! Apple: *URLSessionTaskDelegate*, *URLSessionDataDelegate*. Order and threads are those of `dispatch`.

mod challenges;
pub(super) mod decision;
pub(super) mod dispatch;
pub(super) mod queue;
pub(super) mod shared_delegate;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::core::Live;
use super::handle::Task;
use super::metrics::TaskMetrics;
use super::session_shared::DelegateSlot;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{
    AuthChallengeDisposition, BodyStream, CachedUrlResponse, HttpUrlResponse, UrlAuthenticationChallenge,
    UrlRequest, UrlResponse,
};
use crate::task::delegate::decision::Decision;
use crate::task::kinds::handles::{DataTask, DownloadTask};
use crate::task::kinds::stream::StreamTask;

/// The events of a task. Every method has a default body that passes the call on to the session's delegate, so
/// that a task's own delegate holds only what it wants to see first. A session's delegate has nobody to pass on
/// to: there the default is to ignore an event, and to decide as documented.
///
/// Calls come one at a time and in order on the session's [`DelegateQueue`](super::DelegateQueue): creation, then
/// waiting for connectivity, redirects, informational responses and body progress, then response and data, then
/// what is to be cached, then metrics, and completion last. A delegate that panics fails that task and nothing else: the
/// error names the method and the panic's message, and nothing is done that the method was to decide (a redirect is not
/// followed, no credential is sent, nothing is cached, no body is sent). The same is true of a [`Decision`] whose future
/// panics and of a responder that a panic drops.
///
/// A method that is called for tasks of every kind has the task as a [`Task`]; one that is called for one kind only has the
/// handle of that kind, which dereferences to a [`Task`]. An `Arc` of a delegate is a delegate.
#[allow(unused_variables)]
#[doc(alias = "URLSessionTaskDelegate")]
#[doc(alias = "URLSessionDataDelegate")]
pub trait TaskDelegate: Send + Sync {
    /// The task was created. Called at once on the thread that creates it, before anything else, to configure it.
    #[doc(alias = "urlSession(_:didCreateTask:)")]
    fn did_create_task(&self, task: &Task) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_create_task(&task);
        }
    }

    /// No network may be used, and the task waits for one, as `waits_for_connectivity` says. Called once at most.
    #[doc(alias = "urlSession(_:taskIsWaitingForConnectivity:)")]
    fn task_is_waiting_for_connectivity(&self, task: &Task) {
        if let Some((next, task)) = task.next_delegate() {
            next.task_is_waiting_for_connectivity(&task);
        }
    }

    /// The server redirects; `new_request` is what would be loaded. Answer it, another request, or `None` to
    /// take the redirect response itself. Default: `new_request`.
    #[doc(alias = "urlSession(_:task:willPerformHTTPRedirection:newRequest:completionHandler:)")]
    #[doc(alias = "urlSession(_:task:willPerformHTTPRedirection:newRequest:)")]
    fn will_perform_http_redirection(
        &self,
        task: &Task,
        response: &HttpUrlResponse,
        new_request: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        match task.next_delegate() {
            Some((next, task)) => next.will_perform_http_redirection(&task, response, new_request),
            None => Decision::default_handling(),
        }
    }

    /// Called when a server or proxy issues an authentication challenge for this task. Not called for what concerns a connection (NTLM, Negotiate,
    /// client certificates and trust in a server), unless the session's delegate leaves
    /// [`did_receive_session_challenge`](crate::SessionDelegate::did_receive_session_challenge) at its default; the
    /// task's own delegate is asked of both, and before the session's. Default:
    /// [`PerformDefaultHandling`](AuthChallengeDisposition::PerformDefaultHandling).
    ///
    /// Asked of tasks in every style, also with a completion handler. One request is answered by credentials at most 20
    /// times, whoever gives them: then the response that asks is delivered as it is.
    #[doc(alias = "urlSession(_:task:didReceive:completionHandler:)")]
    #[doc(alias = "urlSession(_:task:didReceive:)")]
    fn did_receive_challenge(
        &self,
        task: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        match task.next_delegate() {
            // Of what concerns a connection the session's delegate is asked as such first.
            Some((next, task)) if !challenge.is_session_level() => {
                next.did_receive_challenge(&task, challenge)
            }
            _ => Decision::default_handling(),
        }
    }

    /// The request's body stream is needed again, after a redirect or a lost connection. Default: there is none,
    /// and the load fails with [`RequestBodyStreamExhausted`](crate::UrlErrorCode::RequestBodyStreamExhausted).
    #[doc(alias = "urlSession(_:task:needNewBodyStream:)")]
    #[doc(alias = "urlSession(_:needNewBodyStreamForTask:)")]
    fn need_new_body_stream(&self, task: &Task) -> Decision<Option<BodyStream>> {
        match task.next_delegate() {
            Some((next, task)) => next.need_new_body_stream(&task),
            None => Decision::default_handling(),
        }
    }

    /// An upload goes on where it was interrupted: what is needed of its body stream is what follows the first `offset`
    /// bytes. Default: [`need_new_body_stream`](Self::need_new_body_stream) is asked for the whole, of which the
    /// beginning is [skipped](BodyStream::skipping).
    ///
    /// The task's own delegate is asked in both ways before the session's is.
    #[doc(alias = "urlSession(_:task:needNewBodyStreamFrom:completionHandler:)")]
    #[doc(alias = "urlSession(_:needNewBodyStreamForTask:from:)")]
    fn need_new_body_stream_from(&self, task: &Task, offset: u64) -> Decision<Option<BodyStream>> {
        Decision::default_handling()
    }

    /// Body bytes have been sent: since the last call, in total, and how many there will be if that is known.
    #[doc(alias = "urlSession(_:task:didSendBodyData:totalBytesSent:totalBytesExpectedToSend:)")]
    fn did_send_body_data(
        &self,
        task: &Task,
        bytes_sent: u64,
        total_bytes_sent: u64,
        total_bytes_expected_to_send: Option<u64>,
    ) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_send_body_data(&task, bytes_sent, total_bytes_sent, total_bytes_expected_to_send);
        }
    }

    /// An informational response, 1xx but 101. One of 104 to an upload says that it can be resumed, or how much of it the
    /// server has (`Upload-Offset`).
    #[doc(alias = "urlSession(_:task:didReceiveInformationalResponse:)")]
    fn did_receive_informational_response(&self, task: &Task, response: &HttpUrlResponse) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_receive_informational_response(&task, response);
        }
    }

    /// The response head is here; no data is delivered until the answer. Default: allow.
    ///
    /// For a body of `multipart/x-mixed-replace` it is called once for each part, with the URL and the status of the
    /// whole response and the header fields of the part; data belongs to the last response. A malformed one fails
    /// with [`BadServerResponse`](crate::UrlErrorCode::BadServerResponse).
    ///
    /// Not called for tasks with a completion handler and for async calls.
    #[doc(alias = "urlSession(_:dataTask:didReceive:completionHandler:)")]
    fn did_receive_response(&self, task: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        match task.next_delegate() {
            Some((next, task)) => next.did_receive_response(&DataTask::of(task), response),
            None => Decision::default_handling(),
        }
    }

    /// Body bytes, decoded, new since the last call.
    ///
    /// Not called for tasks with a completion handler. For an async call only its own delegate sees them, beside
    /// the result. While this method runs, the server is held back.
    #[doc(alias = "urlSession(_:dataTask:didReceive:)")]
    fn did_receive_data(&self, task: &DataTask, data: Bytes) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_receive_data(&DataTask::of(task), data);
        }
    }

    /// The whole response could be cached; answer `proposed`, another in its place, or `None` to keep nothing. Comes
    /// after the last data. Default: `proposed`.
    ///
    /// Called only if all of this is so: the task has neither a completion handler nor is it an async call, the
    /// status is 200 to 299, the response came from the server, policies and header fields allow it to be kept, it is
    /// not larger than a twentieth of the cache. That it is called does not mean that the response will be found later.
    /// An ephemeral session has a cache too, unless `url_cache` is `None`. `proposed` holds the bytes as they came (see
    /// [`CachedUrlResponse::data`]); in an answer with other data, that is content.
    #[doc(alias = "urlSession(_:dataTask:willCacheResponse:completionHandler:)")]
    #[doc(alias = "urlSession(_:dataTask:willCacheResponse:)")]
    fn will_cache_response(
        &self,
        task: &DataTask,
        proposed: CachedUrlResponse,
    ) -> Decision<Option<CachedUrlResponse>> {
        match task.next_delegate() {
            Some((next, task)) => next.will_cache_response(&DataTask::of(task), proposed),
            None => Decision::default_handling(),
        }
    }

    /// The data task has become a download, as [`BecomeDownload`](ResponseDisposition::BecomeDownload) asked: nothing
    /// more is heard of the data task, the download has its identifier and goes on with its response.
    #[doc(alias = "urlSession(_:dataTask:didBecome:)")]
    fn did_become_download_task(&self, task: &DataTask, download: &DownloadTask) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_become_download_task(&DataTask::of(task), download);
        }
    }

    /// The data task has become a stream, as [`BecomeStream`](ResponseDisposition::BecomeStream) asked: nothing more is
    /// heard of the data task, the stream has its identifier and its connection.
    #[doc(alias = "urlSession(_:dataTask:didBecome:)")]
    fn did_become_stream_task(&self, task: &DataTask, stream: &StreamTask) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_become_stream_task(&DataTask::of(task), stream);
        }
    }

    /// Bytes have been written to the file of a download: since the last call, in total, and how many there will be if
    /// that is known. Calls that are not heard yet are merged.
    #[doc(alias = "urlSession(_:downloadTask:didWriteData:totalBytesWritten:totalBytesExpectedToWrite:)")]
    fn did_write_data(
        &self,
        task: &DownloadTask,
        bytes_written: u64,
        total_bytes_written: u64,
        total_bytes_expected_to_write: Option<u64>,
    ) {
        if let Some((next, task)) = task.next_delegate() {
            let (bytes, total, expected) =
                (bytes_written, total_bytes_written, total_bytes_expected_to_write);
            next.did_write_data(&DownloadTask::of(task), bytes, total, expected);
        }
    }

    /// A download goes on with what was here already: `offset` bytes that need not be loaded again; 0 if it had to begin
    /// anew, and [`DownloadTask::resume_failure`] says why. `expected_total_bytes` is the length of the whole, if that is
    /// known. Called once, when the server has answered, before any [`did_write_data`](Self::did_write_data), whose totals
    /// count from the offset. Not called if nothing was here.
    #[doc(alias = "urlSession(_:downloadTask:didResumeAtOffset:expectedTotalBytes:)")]
    fn did_resume_at_offset(&self, task: &DownloadTask, offset: u64, expected_total_bytes: Option<u64>) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_resume_at_offset(&DownloadTask::of(task), offset, expected_total_bytes);
        }
    }

    /// The server no longer gives the rest of a download that goes on with what is here: `response` has the status 401,
    /// 403, 404 or 410, or 400, which some stores answer when what signs a URL has expired. Answer a request for the same
    /// thing, mostly with a URL that has been signed anew, and the download goes on with that: if the server says that it
    /// is still what it was (`If-Range`), where it was, else from the beginning. Default: the task fails, and what is here
    /// is kept.
    ///
    /// Asked at most four times of a task, in every style, also with a completion handler; not of what begins from
    /// nothing, nor if the task has a closure for it ([`DownloadTask::set_on_expired_url`]). Not of Apple's.
    fn need_new_download_request(
        &self,
        task: &DownloadTask,
        response: &HttpUrlResponse,
    ) -> Decision<Option<UrlRequest>> {
        match task.next_delegate() {
            Some((next, task)) => next.need_new_download_request(&DownloadTask::of(task), response),
            None => Decision::default_handling(),
        }
    }

    /// The download is complete, in the file at `location`. Unless it has a
    /// [destination](DownloadTask::set_destination), open it or move it away in this call: it is removed when the call
    /// returns. [`did_complete`](Self::did_complete) follows.
    ///
    /// Not called for tasks with a completion handler and for async calls.
    #[doc(alias = "urlSession(_:downloadTask:didFinishDownloadingTo:)")]
    fn did_finish_downloading(&self, task: &DownloadTask, location: &Path) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_finish_downloading(&DownloadTask::of(task), location);
        }
    }

    /// Nothing more can be read of a stream: the other side has closed it, or it broke.
    #[doc(alias = "urlSession(_:readClosedFor:)")]
    fn read_closed(&self, task: &StreamTask) {
        if let Some((next, own)) = task.next_delegate() {
            next.read_closed(&task.by(own));
        }
    }

    /// Nothing more can be written to a stream: it never could, as that of a response, or it broke.
    #[doc(alias = "urlSession(_:writeClosedFor:)")]
    fn write_closed(&self, task: &StreamTask) {
        if let Some((next, own)) = task.next_delegate() {
            next.write_closed(&task.by(own));
        }
    }

    /// Everything that was measured; the call before the last.
    #[doc(alias = "urlSession(_:task:didFinishCollecting:)")]
    fn did_finish_collecting_metrics(&self, task: &Task, metrics: &TaskMetrics) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_finish_collecting_metrics(&task, metrics);
        }
    }

    /// The task is over: the last call, exactly once. `None` is success, whatever the status code.
    ///
    /// Not called for tasks with a completion handler and for async calls, which have their own end.
    #[doc(alias = "urlSession(_:task:didCompleteWithError:)")]
    fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_complete(&task, error);
        }
    }

    /// The delegate as a task holds it: an `Arc` as it is, anything else in one.
    #[doc(hidden)]
    fn into_shared_task_delegate(self) -> Arc<dyn TaskDelegate>
    where
        Self: Sized + 'static,
    {
        Arc::new(self)
    }
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "URLSession.ResponseDisposition")]
pub enum ResponseDisposition {
    /// Cancel the task.
    #[doc(alias = "cancel")]
    Cancel,
    /// Deliver the body.
    #[default]
    #[doc(alias = "allow")]
    Allow,
    /// Save the body in a file: the task becomes a [`DownloadTask`]. For a part of `multipart/x-mixed-replace` it is
    /// [`Allow`](Self::Allow).
    #[doc(alias = "becomeDownload")]
    BecomeDownload,
    /// Read the body by hand, and, after 101 (Switching Protocols), write to the connection: the task becomes a
    /// [`StreamTask`]. For a part of `multipart/x-mixed-replace` it is [`Allow`](Self::Allow).
    #[doc(alias = "becomeStream")]
    BecomeStream,
}

/// The delegates of a task.
impl Task {
    /// In a call to the task's own delegate: the session's delegate and the handle to call it with. This is what
    /// the default methods of [`TaskDelegate`] use, and what an own method calls to pass an event on.
    pub fn next_delegate(&self) -> Option<(Arc<dyn TaskDelegate>, Self)> {
        if !self.passes_on() {
            return None;
        }
        let next = self.core().live().delegate_of_session()?;
        Some((next, Self::of(self.core().clone())))
    }

    /// The task's own delegate, until the task is over.
    pub fn delegate(&self) -> Option<Arc<dyn TaskDelegate>> {
        self.core().live().own_delegate()
    }

    /// Sets the task's own delegate, which is asked before the session's: a delegate or an `Arc` of one.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first [`resume`](Self::resume), or once the task is over: the delegate
    /// cannot be set then, and stays what it was.
    pub fn set_delegate(&self, delegate: impl TaskDelegate + 'static) -> Result<()> {
        self.replace_delegate(Some(DelegateSlot::new(delegate.into_shared_task_delegate())))
    }

    /// Takes the task's own delegate away: the session's is asked alone.
    ///
    /// # Errors
    /// As [`set_delegate`](Self::set_delegate).
    pub fn remove_delegate(&self) -> Result<()> {
        self.replace_delegate(None)
    }

    fn replace_delegate(&self, delegate: Option<DelegateSlot>) -> Result<()> {
        let mut live = self.core().live();
        if live.has_run || live.error.is_some() {
            let detail = "the delegate cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        let old = std::mem::replace(&mut live.delegate, delegate);
        drop(live);
        drop(old);
        Ok(())
    }
}

impl Live {
    /// The task's own delegate.
    pub(super) fn own_delegate(&self) -> Option<Arc<dyn TaskDelegate>> {
        self.delegate.as_ref()?.get().cloned()
    }

    /// The delegate of the task's session.
    pub(super) fn delegate_of_session(&self) -> Option<Arc<dyn TaskDelegate>> {
        self.session_delegate.as_ref()?.get().cloned()
    }
}
