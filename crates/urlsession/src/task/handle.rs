//! `Task`: a cheap handle of any task. A clone is the same task. Each kind of task adds its methods in its own module.
//!
//! Apple: *URLSessionTask*.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use http::HeaderMap;

use super::byte_counts::UNKNOWN;
use super::core::{Core, DEFAULT_PRIORITY};
use super::kind::TaskKind;
use super::metrics::TaskMetrics;
use super::observe::{Changes, StateChanges};
use super::progress::Progress;
use super::state::TaskState;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Priority, WaitReason};
use crate::message::{UrlRequest, UrlResponse};
use crate::transport::{Shown, as_sent};

/// A task of a session. Created suspended: [`resume`](Self::resume) starts it.
#[derive(Clone)]
#[doc(alias = "URLSessionTask")]
pub struct Task {
    core: Arc<Core>,
    /// Whether this handle belongs to a call to the task's own delegate, which passes calls on to the session's delegate.
    passes_on: bool,
}

impl Task {
    /// 0.5
    #[doc(alias = "defaultPriority")]
    pub const DEFAULT_PRIORITY: f32 = DEFAULT_PRIORITY;
    /// 0.25
    #[doc(alias = "lowPriority")]
    pub const LOW_PRIORITY: f32 = 0.25;
    /// 0.75
    #[doc(alias = "highPriority")]
    pub const HIGH_PRIORITY: f32 = 0.75;

    pub(crate) fn of(core: Arc<Core>) -> Self {
        Self { core, passes_on: false }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn passing_on(core: Arc<Core>) -> Self {
        Self { core, passes_on: true }
    }

    pub(super) fn passes_on(&self) -> bool {
        self.passes_on
    }

    /// The kind of the task. `try_from` gives the handle of that kind.
    pub fn kind(&self) -> TaskKind {
        self.core.kind
    }

    /// Unique within the session, from 1.
    #[doc(alias = "taskIdentifier")]
    pub fn task_identifier(&self) -> u64 {
        self.core.identifier()
    }

    /// A label that the application sets. Default: `None`.
    #[doc(alias = "taskDescription")]
    pub fn task_description(&self) -> Option<Arc<str>> {
        self.core.live().description.clone()
    }

    /// Changes the label.
    pub fn set_task_description(&self, description: Option<&str>) {
        self.core.live().description = description.map(Into::into);
    }

    /// The current state of the task.
    pub fn state(&self) -> TaskState {
        self.core.state()
    }

    /// What a running task waits for before it can send; `None` when the task waits only for the server. Extension: no
    /// counterpart in Apple's API.
    pub fn why_waiting(&self) -> Option<WaitReason> {
        self.core.activity.why_waiting()
    }

    /// Starts the task, or undoes one [`suspend`](Self::suspend). A surplus call does nothing, nor does a call after the
    /// task was cancelled or is over.
    #[doc(alias = "resume()")]
    pub fn resume(&self) {
        self.core.resume();
    }

    /// Stops the task until [`resume`](Self::resume) is called once more. Nothing is read or sent. The timeout of the
    /// request stands still; the timeout of the whole resource continues. The server is held back, so that nothing is lost.
    /// Events that are on the way already are still delivered.
    #[doc(alias = "suspend()")]
    pub fn suspend(&self) {
        self.core.suspend();
    }

    /// Cancels the task: it ends with [`Cancelled`](UrlErrorCode::Cancelled), unless it has ended before.
    ///
    /// An upload that its server could resume is given up: the library sends one `DELETE` of the upload's URL in the
    /// background, with the known credentials and without a call to a delegate. A server that does not receive it within 5
    /// seconds keeps the upload until the server discards it. The same happens when the session is
    /// [invalidated](crate::UrlSession::invalidate_and_cancel), whose connections stay open until that is done. See
    /// [`UploadTask::cancel_by_producing_resume_data`](crate::UploadTask::cancel_by_producing_resume_data).
    #[doc(alias = "cancel()")]
    pub fn cancel(&self) {
        self.core.cancel();
    }

    /// The request that the task was created with; `None` if the request was malformed.
    #[doc(alias = "originalRequest")]
    pub fn original_request(&self) -> Option<Arc<UrlRequest>> {
        self.core.live().original.clone()
    }

    /// The request that is being loaded. It differs from the original request after a redirect, and once it is sent: it
    /// then has the header fields that were sent, including those of the configuration, of the library and of the protocol.
    /// It can be loaded again, also with another URL or body. Fields that were added for this one exchange are left out:
    /// `Host`, cookies of the store, credentials, the fields of the cache and its policy, and the fields of the body, the
    /// upload and the task's priority. The [metrics](crate::metrics::TransactionMetrics::request) have all fields. Watchers
    /// are notified of redirects, but not of a change of the fields.
    #[doc(alias = "currentRequest")]
    pub fn current_request(&self) -> Option<Arc<UrlRequest>> {
        let live = self.core.live();
        let current = live.current.clone()?;
        let Some((sent, protocol)) = live.sent.clone() else { return Some(current) };
        drop(live);
        Some(as_sent(&current, &sent, protocol, Shown::Lasting).into())
    }

    /// The response, once its head has been received.
    pub fn response(&self) -> Option<UrlResponse> {
        self.core.live().response.clone()
    }

    /// The fields that the server sent after the body (RFC 9110 §6.5), once the body has been read to its end; `None` if
    /// there were none. Fields that are not permitted in trailers are left out (RFC 9110 §6.5.1). A cached response has
    /// none. Extension: no counterpart in Apple's API.
    pub fn response_trailers(&self) -> Option<HeaderMap> {
        self.core.live().response_trailers.as_deref().cloned()
    }

    /// Why the task failed; `None` while it is active and after success. A status of 404 is no error.
    pub fn error(&self) -> Option<UrlError> {
        self.core.live().error.clone()
    }

    /// The metrics of the task, once it is over: the same value that
    /// [`did_finish_collecting_metrics`](crate::TaskDelegate::did_finish_collecting_metrics) receives, also for tasks
    /// without a delegate. `None` before.
    pub fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        self.core.live().measured.metrics(self.core.created)
    }

    /// Response body bytes delivered so far, after decoding.
    #[doc(alias = "countOfBytesReceived")]
    pub fn count_of_bytes_received(&self) -> u64 {
        self.core.bytes.received.load(Relaxed)
    }

    /// Request body bytes sent so far. Bytes that are sent again are counted again.
    #[doc(alias = "countOfBytesSent")]
    pub fn count_of_bytes_sent(&self) -> u64 {
        self.core.bytes.sent.load(Relaxed)
    }

    /// Response body bytes that the server announced; `None` if it announced no length, or the length of a coded body,
    /// which changes when the body is decoded.
    #[doc(alias = "countOfBytesExpectedToReceive")]
    pub fn count_of_bytes_expected_to_receive(&self) -> Option<u64> {
        known(&self.core.bytes.to_receive)
    }

    /// Request body bytes to send: 0 without a body, `None` for a stream of unknown length.
    #[doc(alias = "countOfBytesExpectedToSend")]
    pub fn count_of_bytes_expected_to_send(&self) -> Option<u64> {
        known(&self.core.bytes.to_send)
    }

    /// From 0 to 1. It decides which task gets a connection first when connections are scarce, and, on HTTP/2, which
    /// response the server sends first (RFC 9218).
    pub fn priority(&self) -> f32 {
        self.core.priority()
    }

    /// Changes the priority; values outside 0 to 1 are clamped, NaN is ignored.
    ///
    /// It can be called at any time. A task that waits for a connection moves to its new place in the queue, behind those
    /// that already have that priority. A task that awaits or reads a response over HTTP/2 sends the new priority to the
    /// server in a PRIORITY_UPDATE frame (RFC 9218 §7.1); a suspended task sends it when it is resumed. HTTP/1.1 cannot
    /// change the priority of a request that the server already has.
    pub fn set_priority(&self, priority: f32) {
        self.core.set_priority(priority);
    }

    /// Whether the delegate receives data as it comes. Default: `true`, except for tasks with a completion handler, which
    /// always receive everything at once.
    #[doc(alias = "prefersIncrementalDelivery")]
    pub fn prefers_incremental_delivery(&self) -> bool {
        self.core.live().prefers_incremental_delivery
    }

    /// With `false` the delegate receives the data in one piece once all of it has come; for a body of parts, each part in
    /// one piece. The piece is held in memory and is as long as the body, without a limit. A load that fails delivers none
    /// of it.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_prefers_incremental_delivery(&self, prefers: bool) -> Result<()> {
        let mut live = self.core.live();
        if live.has_run || live.error.is_some() {
            let detail = "`prefers_incremental_delivery` cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        live.prefers_incremental_delivery = prefers;
        Ok(())
    }

    /// How many bytes the application expects the task to send, heads included; `None` if the application has not set it.
    /// Stored only: background sessions will schedule their tasks by it.
    #[doc(alias = "countOfBytesClientExpectsToSend")]
    pub fn count_of_bytes_client_expects_to_send(&self) -> Option<u64> {
        self.core.live().hints.to_send
    }

    /// Sets [`count_of_bytes_client_expects_to_send`](Self::count_of_bytes_client_expects_to_send), which is only stored.
    pub fn set_count_of_bytes_client_expects_to_send(&self, bytes: Option<u64>) {
        self.core.live().hints.to_send = bytes;
    }

    /// How many bytes the application expects the task to receive, heads included; `None` if the application has not set
    /// it. Stored only: background sessions will schedule their tasks by it.
    #[doc(alias = "countOfBytesClientExpectsToReceive")]
    pub fn count_of_bytes_client_expects_to_receive(&self) -> Option<u64> {
        self.core.live().hints.to_receive
    }

    /// Sets [`count_of_bytes_client_expects_to_receive`](Self::count_of_bytes_client_expects_to_receive), which is only
    /// stored.
    pub fn set_count_of_bytes_client_expects_to_receive(&self, bytes: Option<u64>) {
        self.core.live().hints.to_receive = bytes;
    }

    /// The earliest time at which the task is to begin; `None` is at once. Stored only: it is for background
    /// sessions. Any other task begins when it is resumed.
    #[doc(alias = "earliestBeginDate")]
    pub fn earliest_begin_date(&self) -> Option<SystemTime> {
        self.core.live().hints.earliest_begin
    }

    /// Sets [`earliest_begin_date`](Self::earliest_begin_date), which is only stored.
    pub fn set_earliest_begin_date(&self, date: Option<SystemTime>) {
        self.core.live().hints.earliest_begin = date;
    }

    /// Progress of the transfer. Cancelling, pausing and resuming the progress act on the task.
    pub fn progress(&self) -> Progress {
        Progress::of(self.core.clone())
    }

    /// Changes of the task's properties, until it is over.
    pub fn observe(&self) -> Changes {
        self.core.watch()
    }

    /// Changes of the task's state, until it is over.
    pub fn state_changes(&self) -> StateChanges {
        StateChanges(self.core.watch())
    }
}

fn known(count: &AtomicU64) -> Option<u64> {
    Some(count.load(Relaxed)).filter(|count| *count != UNKNOWN)
}

/// Handles are equal if they belong to the same task.
impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for Task {}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("identifier", &self.task_identifier())
            .field("state", &self.state())
            .field("request", &self.current_request())
            .finish_non_exhaustive()
    }
}
