//! `TaskDelegate`: the events that a task reports to its application, and the decisions that it requests.
//!
//! Apple: *URLSessionTaskDelegate*, *URLSessionDataDelegate*. `dispatch` defines the order and the threads of the calls.

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

/// The events of a task. Every method has a default body that passes the call on to the session's delegate, so that a
/// task's own delegate implements only the events that it needs. A session's delegate has no further delegate: there the
/// default ignores an event, and decides as documented.
///
/// Calls come one at a time and in order on the session's [`DelegateQueue`](super::DelegateQueue): creation, then waiting
/// for connectivity, redirects, informational responses and body progress, then response and data, then the caching
/// decision, then metrics, and completion last. A delegate that panics fails that task and no other: the error names the
/// method and the panic's message, and the action that the method was to decide does not take place (a redirect is not
/// followed, no credential is sent, nothing is cached, no body is sent). The same is true of a [`Decision`] whose future
/// panics and of a responder that a panic drops.
///
/// A method that is called for tasks of every kind receives a [`Task`]. A method that is called for one kind only receives
/// the handle of that kind, which dereferences to a [`Task`]. An `Arc` of a delegate is a delegate.
#[allow(unused_variables)]
#[doc(alias = "URLSessionTaskDelegate")]
#[doc(alias = "URLSessionDataDelegate")]
pub trait TaskDelegate: Send + Sync {
    /// Called when the task has been created, before any other call, on the thread that creates the task. Configure the
    /// task here.
    #[doc(alias = "urlSession(_:didCreateTask:)")]
    fn did_create_task(&self, task: &Task) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_create_task(&task);
        }
    }

    /// Called when no permitted network is available and the task waits for one (see `waits_for_connectivity`). Called at
    /// most once.
    #[doc(alias = "urlSession(_:taskIsWaitingForConnectivity:)")]
    fn task_is_waiting_for_connectivity(&self, task: &Task) {
        if let Some((next, task)) = task.next_delegate() {
            next.task_is_waiting_for_connectivity(&task);
        }
    }

    /// Called when the server redirects the task; `new_request` is the request to the new location. Return `new_request`,
    /// another request, or `None` to take the redirect response itself as the response. Default: `new_request`.
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

    /// Called when a server or proxy issues an authentication challenge for this task. Challenges about a connection (NTLM,
    /// Negotiate, client certificates and server trust) go to the session's delegate in
    /// [`did_receive_session_challenge`](crate::SessionDelegate::did_receive_session_challenge), and come here only if that
    /// method has its default body. The task's own delegate receives both kinds of challenges, before the session's
    /// delegate. Default: [`PerformDefaultHandling`](AuthChallengeDisposition::PerformDefaultHandling).
    ///
    /// Called for tasks in every style, also with a completion handler. One request is answered by credentials at most 20
    /// times, from all sources together. After that the response with the challenge is delivered as it is.
    #[doc(alias = "urlSession(_:task:didReceive:completionHandler:)")]
    #[doc(alias = "urlSession(_:task:didReceive:)")]
    fn did_receive_challenge(
        &self,
        task: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        match task.next_delegate() {
            // The session's delegate receives a challenge about a connection in its own method first.
            Some((next, task)) if !challenge.is_session_level() => {
                next.did_receive_challenge(&task, challenge)
            }
            _ => Decision::default_handling(),
        }
    }

    /// Called when the load needs the request's body stream: at the start of an upload with a streamed request, and again
    /// after a redirect or a lost connection. Default: no stream, and the load fails with
    /// [`RequestBodyStreamExhausted`](crate::UrlErrorCode::RequestBodyStreamExhausted).
    #[doc(alias = "urlSession(_:task:needNewBodyStream:)")]
    #[doc(alias = "urlSession(_:needNewBodyStreamForTask:)")]
    fn need_new_body_stream(&self, task: &Task) -> Decision<Option<BodyStream>> {
        match task.next_delegate() {
            Some((next, task)) => next.need_new_body_stream(&task),
            None => Decision::default_handling(),
        }
    }

    /// Called when an interrupted upload resumes: return the part of the body stream that follows the first `offset` bytes.
    /// Default: calls [`need_new_body_stream`](Self::need_new_body_stream) for the whole stream and
    /// [skips](BodyStream::skipping) the first `offset` bytes.
    ///
    /// Both methods of the task's own delegate are called before those of the session's delegate.
    #[doc(alias = "urlSession(_:task:needNewBodyStreamFrom:completionHandler:)")]
    #[doc(alias = "urlSession(_:needNewBodyStreamForTask:from:)")]
    fn need_new_body_stream_from(&self, task: &Task, offset: u64) -> Decision<Option<BodyStream>> {
        Decision::default_handling()
    }

    /// Called when body bytes have been sent. The counts are in bytes: sent since the last call, sent in total, and
    /// expected in total, if that is known.
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

    /// Called for each informational response (1xx) except 101. A 104 response to an upload says that the upload can be
    /// resumed, or how much of it the server has (`Upload-Offset`).
    #[doc(alias = "urlSession(_:task:didReceiveInformationalResponse:)")]
    fn did_receive_informational_response(&self, task: &Task, response: &HttpUrlResponse) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_receive_informational_response(&task, response);
        }
    }

    /// Called when the response head has been received. No data is delivered until this method has decided. Default: allow.
    ///
    /// For a body of `multipart/x-mixed-replace` it is called once for each part, with the URL and the status of the whole
    /// response and the header fields of the part. Data belongs to the latest response. A malformed body fails with
    /// [`BadServerResponse`](crate::UrlErrorCode::BadServerResponse).
    ///
    /// Not called for tasks with a completion handler and for async calls.
    #[doc(alias = "urlSession(_:dataTask:didReceive:completionHandler:)")]
    fn did_receive_response(&self, task: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        match task.next_delegate() {
            Some((next, task)) => next.did_receive_response(&DataTask::of(task), response),
            None => Decision::default_handling(),
        }
    }

    /// Called with the decoded body bytes that have come since the last call.
    ///
    /// Not called for tasks with a completion handler. For an async call only the task's own delegate receives the data, in
    /// addition to the result. While this method runs, the server is held back.
    #[doc(alias = "urlSession(_:dataTask:didReceive:)")]
    fn did_receive_data(&self, task: &DataTask, data: Bytes) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_receive_data(&DataTask::of(task), data);
        }
    }

    /// Called when the whole response can be cached, after the last data. Return `proposed`, another response in its place,
    /// or `None` to cache nothing. Default: `proposed`.
    ///
    /// Called only if all of these conditions are true: the task has no completion handler and is not an async call, the
    /// status is 200 to 299, the response came from the server, policies and header fields permit caching, and the response
    /// is not larger than a twentieth of the cache. The call does not guarantee that the response is in the cache later. An
    /// ephemeral session has a cache too, unless `url_cache` is `None`. `proposed` holds the bytes as they came (see
    /// [`CachedUrlResponse::data`]). A returned response with other data holds decoded content.
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

    /// Called when the data task has become a download, after [`BecomeDownload`](ResponseDisposition::BecomeDownload). The
    /// data task makes no further calls. The download has the same identifier and continues with the same response.
    #[doc(alias = "urlSession(_:dataTask:didBecome:)")]
    fn did_become_download_task(&self, task: &DataTask, download: &DownloadTask) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_become_download_task(&DataTask::of(task), download);
        }
    }

    /// Called when the data task has become a stream, after [`BecomeStream`](ResponseDisposition::BecomeStream). The data
    /// task makes no further calls. The stream has the same identifier and the same connection.
    #[doc(alias = "urlSession(_:dataTask:didBecome:)")]
    fn did_become_stream_task(&self, task: &DataTask, stream: &StreamTask) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_become_stream_task(&DataTask::of(task), stream);
        }
    }

    /// Called when bytes have been written to the file of a download. The counts are in bytes: written since the last call,
    /// written in total, and expected in total, if that is known. Reports that have not been delivered yet are merged into
    /// one.
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

    /// Called when a download resumes. The first `offset` bytes are in the file already and are not loaded again. `offset`
    /// is 0 if the download had to start from the beginning; [`DownloadTask::resume_failure`] then gives the reason.
    /// `expected_total_bytes` is the length of the whole file, if that is known. Called once, when the server has answered,
    /// before any [`did_write_data`](Self::did_write_data), whose totals include `offset`. Not called if there was nothing
    /// to resume.
    #[doc(alias = "urlSession(_:downloadTask:didResumeAtOffset:expectedTotalBytes:)")]
    fn did_resume_at_offset(&self, task: &DownloadTask, offset: u64, expected_total_bytes: Option<u64>) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_resume_at_offset(&DownloadTask::of(task), offset, expected_total_bytes);
        }
    }

    /// Called when the server refuses the rest of a download that is being resumed. `response` has the status 401, 403, 404
    /// or 410, or 400, which some stores send for an expired signed URL. Return a request for the same file, usually with a
    /// newly signed URL. The download then continues with that request: at the current position if the server confirms that
    /// the file is unchanged (`If-Range`), otherwise from the beginning. Default: the task fails, and the partial file is
    /// kept.
    ///
    /// Called at most four times for a task, in every style, also with a completion handler. Not called for a download that
    /// starts from the beginning, nor if the task has a closure for this purpose ([`DownloadTask::set_on_expired_url`]).
    /// Extension: no counterpart in Apple's API.
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

    /// Called when the download is complete; the file is at `location`. Unless the task has a
    /// [destination](DownloadTask::set_destination), open the file or move it away in this call: it is removed when the
    /// call returns. [`did_complete`](Self::did_complete) follows.
    ///
    /// Not called for tasks with a completion handler and for async calls.
    #[doc(alias = "urlSession(_:downloadTask:didFinishDownloadingTo:)")]
    fn did_finish_downloading(&self, task: &DownloadTask, location: &Path) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_finish_downloading(&DownloadTask::of(task), location);
        }
    }

    /// Called when nothing more can be read from a stream, because the other side closed the stream or the connection
    /// broke.
    #[doc(alias = "urlSession(_:readClosedFor:)")]
    fn read_closed(&self, task: &StreamTask) {
        if let Some((next, own)) = task.next_delegate() {
            next.read_closed(&task.by(own));
        }
    }

    /// Called when nothing more can be written to a stream, because the connection broke, or because the stream is the body
    /// of a response, which cannot be written.
    #[doc(alias = "urlSession(_:writeClosedFor:)")]
    fn write_closed(&self, task: &StreamTask) {
        if let Some((next, own)) = task.next_delegate() {
            next.write_closed(&task.by(own));
        }
    }

    /// Called with the metrics of the task, directly before the last call.
    #[doc(alias = "urlSession(_:task:didFinishCollecting:)")]
    fn did_finish_collecting_metrics(&self, task: &Task, metrics: &TaskMetrics) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_finish_collecting_metrics(&task, metrics);
        }
    }

    /// Called when the task is over: the last call, exactly once. An `error` of `None` is success, whatever the status
    /// code.
    ///
    /// Not called for tasks with a completion handler and for async calls, which report their end themselves.
    #[doc(alias = "urlSession(_:task:didCompleteWithError:)")]
    fn did_complete(&self, task: &Task, error: Option<&UrlError>) {
        if let Some((next, task)) = task.next_delegate() {
            next.did_complete(&task, error);
        }
    }

    /// The delegate in the form that a task holds: an `Arc` unchanged, any other delegate in a new `Arc`.
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
    /// Save the body in a file: the task becomes a [`DownloadTask`]. For a part of `multipart/x-mixed-replace` this is the
    /// same as [`Allow`](Self::Allow).
    #[doc(alias = "becomeDownload")]
    BecomeDownload,
    /// Read the body explicitly, and, after 101 (Switching Protocols), write to the connection: the task becomes a
    /// [`StreamTask`]. For a part of `multipart/x-mixed-replace` this is the same as [`Allow`](Self::Allow).
    #[doc(alias = "becomeStream")]
    BecomeStream,
}

/// The delegates of a task.
impl Task {
    /// In a call to the task's own delegate: the session's delegate, and the task handle to pass to it. The default methods
    /// of [`TaskDelegate`] use this. A method that you implement calls it to pass an event on.
    pub fn next_delegate(&self) -> Option<(Arc<dyn TaskDelegate>, Self)> {
        if !self.passes_on() {
            return None;
        }
        let next = self.core().live().delegate_of_session()?;
        Some((next, Self::of(self.core().clone())))
    }

    /// The task's own delegate. `None` once the task is over.
    pub fn delegate(&self) -> Option<Arc<dyn TaskDelegate>> {
        self.core().live().own_delegate()
    }

    /// Sets the task's own delegate, which is called before the session's delegate. `delegate` is a delegate or an `Arc` of
    /// one.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first [`resume`](Self::resume), or once the task is over. The
    /// delegate then stays unchanged.
    pub fn set_delegate(&self, delegate: impl TaskDelegate + 'static) -> Result<()> {
        self.replace_delegate(Some(DelegateSlot::new(delegate.into_shared_task_delegate())))
    }

    /// Removes the task's own delegate: only the session's delegate is called.
    ///
    /// # Errors
    /// Same as [`set_delegate`](Self::set_delegate).
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
