//! `Task`: a cheap handle of any task. A clone is the same task. What the kinds add is in modules of their own.
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
    /// Whether this is the handle of a call to the task's own delegate, which passes on to the session's.
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

    /// What the task is for. The handle of that kind is had by `try_from`.
    pub fn kind(&self) -> TaskKind {
        self.core.kind
    }

    /// Unique within the session, from 1 on.
    #[doc(alias = "taskIdentifier")]
    pub fn task_identifier(&self) -> u64 {
        self.core.identifier()
    }

    /// A label of the application's own.
    #[doc(alias = "taskDescription")]
    pub fn task_description(&self) -> Option<Arc<str>> {
        self.core.live().description.clone()
    }

    /// Changes the label.
    pub fn set_task_description(&self, description: Option<&str>) {
        self.core.live().description = description.map(Into::into);
    }

    /// What the task is doing.
    pub fn state(&self) -> TaskState {
        self.core.state()
    }

    /// What a running task waits for, if it could not begin to send yet; `None` when it waits for nothing but the
    /// server. Not of Apple's.
    pub fn why_waiting(&self) -> Option<WaitReason> {
        self.core.activity.why_waiting()
    }

    /// Starts the task, or undoes one [`suspend`](Self::suspend). Surplus calls do nothing, nor does a call after
    /// the task was cancelled or is over.
    #[doc(alias = "resume()")]
    pub fn resume(&self) {
        self.core.resume();
    }

    /// Stops the task until it is resumed once more: nothing is read or sent, and the request's timeout stands
    /// still; that of the whole resource goes on. The server is held back, so that nothing is lost; events already on the way are still delivered.
    #[doc(alias = "suspend()")]
    pub fn suspend(&self) {
        self.core.suspend();
    }

    /// Cancels the task: it ends with [`Cancelled`](UrlErrorCode::Cancelled), unless it has ended before.
    ///
    /// An upload that its server could resume is given up: the server is told so (`DELETE` of the upload's URL), behind the
    /// task and once, with the credentials that are known and nobody being asked; one that does not hear of it, or not
    /// within 5 seconds, keeps the upload for as long as it likes. Likewise when the session is
    /// [invalidated](crate::UrlSession::invalidate_and_cancel), whose connections last until that is done. See
    /// [`UploadTask::cancel_by_producing_resume_data`](crate::UploadTask::cancel_by_producing_resume_data).
    #[doc(alias = "cancel()")]
    pub fn cancel(&self) {
        self.core.cancel();
    }

    /// The request the task was created with; `None` if there was none, because it was malformed.
    #[doc(alias = "originalRequest")]
    pub fn original_request(&self) -> Option<Arc<UrlRequest>> {
        self.core.live().original.clone()
    }

    /// The request being loaded: differs from the original one after a redirect, and once it is sent: then it has the header
    /// fields that were sent, those of the configuration, of the library and of the wire too. It can be loaded again, also
    /// with another URL or body: what was added for this one exchange is left out, which is the `Host`, cookies of the store,
    /// credentials, what the cache and its policy add, and what belongs to the body, the upload or the task's priority. The
    /// [metrics](crate::metrics::TransactionMetrics::request) have all fields. Watchers hear of redirects, and not of the fields.
    #[doc(alias = "currentRequest")]
    pub fn current_request(&self) -> Option<Arc<UrlRequest>> {
        let live = self.core.live();
        let current = live.current.clone()?;
        let Some((sent, protocol)) = live.sent.clone() else { return Some(current) };
        drop(live);
        Some(as_sent(&current, &sent, protocol, Shown::Lasting).into())
    }

    /// The response, once its head is here.
    pub fn response(&self) -> Option<UrlResponse> {
        self.core.live().response.clone()
    }

    /// The fields the server sent after the body (RFC 9110 §6.5), once that has been read to its end; `None` if there were
    /// none. Those that mean nothing there are left out (RFC 9110 §6.5.1). A cached response has none. Not of Apple's.
    pub fn response_trailers(&self) -> Option<HeaderMap> {
        self.core.live().response_trailers.as_deref().cloned()
    }

    /// Why the task failed; `None` while it is active and after success. A status of 404 is no error.
    pub fn error(&self) -> Option<UrlError> {
        self.core.live().error.clone()
    }

    /// What was measured, once the task is over: the same value as
    /// [`did_finish_collecting_metrics`](crate::TaskDelegate::did_finish_collecting_metrics) gets, for tasks without a
    /// delegate too. `None` before.
    pub fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        self.core.live().measured.metrics(self.core.created)
    }

    /// Response body bytes delivered so far, after decoding.
    #[doc(alias = "countOfBytesReceived")]
    pub fn count_of_bytes_received(&self) -> u64 {
        self.core.bytes.received.load(Relaxed)
    }

    /// Request body bytes sent so far; counts again what is sent again.
    #[doc(alias = "countOfBytesSent")]
    pub fn count_of_bytes_sent(&self) -> u64 {
        self.core.bytes.sent.load(Relaxed)
    }

    /// Response body bytes the server announced; `None` if it did not, or announced those of a coded body, which is longer or
    /// shorter when it is decoded.
    #[doc(alias = "countOfBytesExpectedToReceive")]
    pub fn count_of_bytes_expected_to_receive(&self) -> Option<u64> {
        known(&self.core.bytes.to_receive)
    }

    /// Request body bytes to send: 0 without a body, `None` for a stream of unknown length.
    #[doc(alias = "countOfBytesExpectedToSend")]
    pub fn count_of_bytes_expected_to_send(&self) -> Option<u64> {
        known(&self.core.bytes.to_send)
    }

    /// From 0 to 1: who gets a connection first when they are scarce, and, on HTTP/2, whose response the server is
    /// to send first (RFC 9218).
    pub fn priority(&self) -> f32 {
        self.core.priority()
    }

    /// Changes the priority; values outside 0 to 1 are clamped, NaN is ignored.
    ///
    /// At any time: a task that waits for a connection moves to its new place in the queue, behind those that
    /// already have that priority; one whose response is awaited or read over HTTP/2 tells the server in a
    /// PRIORITY_UPDATE frame (RFC 9218 §7.1), a suspended one when it is resumed. HTTP/1.1 has no way to tell a server
    /// that has the request.
    pub fn set_priority(&self, priority: f32) {
        self.core.set_priority(priority);
    }

    /// Whether the delegate receives data as it comes. Default: `true`, except for tasks with a completion handler,
    /// which get everything at once in any case.
    #[doc(alias = "prefersIncrementalDelivery")]
    pub fn prefers_incremental_delivery(&self) -> bool {
        self.core.live().prefers_incremental_delivery
    }

    /// With `false` the delegate gets the data in one piece once all of it is here; of a body of parts, each part's.
    /// The piece is held in memory and is as long as the body is, without a limit. A load that fails delivers
    /// nothing of it.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_prefers_incremental_delivery(&self, prefers: bool) -> Result<()> {
        let mut live = self.core.live();
        if live.has_run || live.error.is_some() {
            let detail = "`prefers_incremental_delivery` cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        live.prefers_incremental_delivery = prefers;
        Ok(())
    }

    /// How many bytes the application expects the task to send, heads included; `None` if it does not say. Stored
    /// only: background sessions are scheduled by it, and no other.
    #[doc(alias = "countOfBytesClientExpectsToSend")]
    pub fn count_of_bytes_client_expects_to_send(&self) -> Option<u64> {
        self.core.live().hints.to_send
    }

    /// Changes [`count_of_bytes_client_expects_to_send`](Self::count_of_bytes_client_expects_to_send), which is stored only.
    pub fn set_count_of_bytes_client_expects_to_send(&self, bytes: Option<u64>) {
        self.core.live().hints.to_send = bytes;
    }

    /// How many bytes the application expects the task to receive, heads included; `None` if it does not say. Stored
    /// only: background sessions are scheduled by it, and no other.
    #[doc(alias = "countOfBytesClientExpectsToReceive")]
    pub fn count_of_bytes_client_expects_to_receive(&self) -> Option<u64> {
        self.core.live().hints.to_receive
    }

    /// Changes [`count_of_bytes_client_expects_to_receive`](Self::count_of_bytes_client_expects_to_receive), which is stored
    /// only.
    pub fn set_count_of_bytes_client_expects_to_receive(&self, bytes: Option<u64>) {
        self.core.live().hints.to_receive = bytes;
    }

    /// Not before when the task is to begin; `None` is at once. Stored only: it is of background sessions; any other
    /// task begins when it is resumed.
    #[doc(alias = "earliestBeginDate")]
    pub fn earliest_begin_date(&self) -> Option<SystemTime> {
        self.core.live().hints.earliest_begin
    }

    /// Changes [`earliest_begin_date`](Self::earliest_begin_date), which is stored only.
    pub fn set_earliest_begin_date(&self, date: Option<SystemTime>) {
        self.core.live().hints.earliest_begin = date;
    }

    /// Progress of the transfer; cancelling, pausing and resuming it act on the task.
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

/// Handles are equal if they are of the same task.
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
