//! `Progress` of a task: a live view of its counters with a way back to its controls. Apple: *Progress*.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::core::{Core, UNKNOWN};
use super::observe::Changes;
use super::state::TaskState;

/// How far a task has come: body bytes sent and received, together.
#[derive(Clone)]
#[doc(alias = "NSProgress")]
pub struct Progress(Arc<Core>);

impl Progress {
    pub(super) fn of(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Bytes to send and to receive; `None` while one of them is not known.
    #[doc(alias = "totalUnitCount")]
    pub fn total_unit_count(&self) -> Option<u64> {
        let bytes = &self.0.bytes;
        let (send, receive) = (bytes.to_send.load(Relaxed), bytes.to_receive.load(Relaxed));
        (send != UNKNOWN && receive != UNKNOWN).then(|| send.saturating_add(receive))
    }

    /// Bytes sent and received so far.
    #[doc(alias = "completedUnitCount")]
    pub fn completed_unit_count(&self) -> u64 {
        self.0.bytes.sent.load(Relaxed).saturating_add(self.0.bytes.received.load(Relaxed))
    }

    /// From 0 to 1; 0 while the total is not known, 1 when the task has succeeded.
    #[doc(alias = "fractionCompleted")]
    pub fn fraction_completed(&self) -> f64 {
        if self.is_finished() {
            return 1.0;
        }
        match self.total_unit_count() {
            None | Some(0) => 0.0,
            Some(total) => (self.completed_unit_count() as f64 / total as f64).min(1.0),
        }
    }

    /// Is the total not known?
    #[doc(alias = "isIndeterminate")]
    pub fn is_indeterminate(&self) -> bool {
        self.total_unit_count().is_none()
    }

    /// Has the task ended with success?
    #[doc(alias = "isFinished")]
    pub fn is_finished(&self) -> bool {
        let live = self.0.live();
        live.error.is_none() && live.state() == TaskState::Completed
    }

    /// Was the task cancelled?
    #[doc(alias = "isCancelled")]
    pub fn is_cancelled(&self) -> bool {
        let live = self.0.live();
        live.state() == TaskState::Canceling
            || live.error.as_ref().is_some_and(|error| error.code() == crate::error::UrlErrorCode::Cancelled)
    }

    /// Is the task suspended?
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        self.0.state() == TaskState::Suspended
    }

    /// Cancels the task.
    #[doc(alias = "cancel()")]
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Suspends the task.
    #[doc(alias = "pause()")]
    pub fn pause(&self) {
        self.0.suspend();
    }

    /// Resumes the task.
    #[doc(alias = "resume()")]
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Changes of the task, among them those of its bytes.
    pub fn changes(&self) -> Changes {
        self.0.watch()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("completed", &self.completed_unit_count())
            .field("total", &self.total_unit_count())
            .finish()
    }
}
