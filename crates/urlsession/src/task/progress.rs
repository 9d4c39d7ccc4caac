//! `Progress`: how much of an operation is complete, with controls that act on the operation. Apple: *Progress*.
//!
//! The progress of a task is a live view of its counters; a progress that the application creates is a tree.

pub(super) mod changes;
mod controls;
mod fraction;
mod speed;
mod tree;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(super) use self::controls::Controls;
use self::controls::{Act, Handler};
use self::fraction::Way;
use self::tree::{Node, Tree};
use super::byte_counts::UNKNOWN;
use super::core::Core;
use super::state::TaskState;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// How much of an operation is complete.
///
/// The progress of a task ([`Task::progress`](crate::Task::progress)) counts body bytes sent and received, together. A
/// progress that the application creates counts its own units, or has children that count for some of them: the progresses
/// of tasks, or further progresses of the application.
///
/// A clone is the same progress.
#[derive(Clone)]
#[doc(alias = "NSProgress")]
pub struct Progress(ProgressKind);

#[derive(Clone)]
enum ProgressKind {
    Task(Arc<Core>),
    Tree(Arc<Tree<Progress>>),
}

impl Progress {
    pub(super) fn of(core: Arc<Core>) -> Self {
        Self(ProgressKind::Task(core))
    }

    /// A progress with this number of units, none of which is completed.
    #[doc(alias = "init(totalUnitCount:)")]
    pub fn with_total_unit_count(units: u64) -> Self {
        Self(ProgressKind::Tree(Tree::new(units)))
    }

    /// Adds `child`, which counts for `pending_unit_count` units of this progress: as a fraction while it runs, and as
    /// completed once it is finished. Cancelling, pausing and resuming this progress act on the child, also if this
    /// progress was cancelled or paused before.
    ///
    /// # Errors
    /// If this is the progress of a task, which cannot have children, or if it is a descendant of `child`.
    #[doc(alias = "addChild(_:withPendingUnitCount:)")]
    pub fn add_child(&self, child: &Self, pending_unit_count: u64) -> Result<()> {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.add_child(child, pending_unit_count),
            ProgressKind::Task(_) => {
                let detail = "the progress of a task takes no children";
                Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail))
            }
        }
    }

    /// The total number of units; for a task the bytes to send and to receive, `None` while one of these two is not known.
    #[doc(alias = "totalUnitCount")]
    pub fn total_unit_count(&self) -> Option<u64> {
        match &self.0 {
            ProgressKind::Tree(tree) => Some(tree.total()),
            ProgressKind::Task(core) => {
                let (send, receive) = (core.bytes.to_send.load(Relaxed), core.bytes.to_receive.load(Relaxed));
                (send != UNKNOWN && receive != UNKNOWN).then(|| send.saturating_add(receive))
            }
        }
    }

    /// Sets the total number of units. No effect on the progress of a task.
    pub fn set_total_unit_count(&self, units: u64) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.set_total(units);
        }
    }

    /// Units completed so far, including those of finished children; for a task the bytes sent and received.
    #[doc(alias = "completedUnitCount")]
    pub fn completed_unit_count(&self) -> u64 {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.completed(),
            ProgressKind::Task(core) => {
                core.bytes.sent.load(Relaxed).saturating_add(core.bytes.received.load(Relaxed))
            }
        }
    }

    /// Sets the number of completed units, without those of children. No effect on the progress of a task.
    pub fn set_completed_unit_count(&self, units: u64) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.set_completed(units);
        }
    }

    /// From 0 to 1: 0 while the total is not known, 1 once the progress is finished.
    ///
    /// For a task without a body, the fraction of the bytes to receive. Sending a body counts for 95 percent of an upload
    /// task and for 5 percent of any other task. Receiving counts for the rest, once the server has announced the length.
    /// So the fraction of an upload increases while the body is sent, and the fraction of a task never decreases when its
    /// response begins.
    #[doc(alias = "fractionCompleted")]
    pub fn fraction_completed(&self) -> f64 {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.fraction(),
            ProgressKind::Task(_) if self.is_finished() => 1.0,
            ProgressKind::Task(core) => fraction_of(core).unwrap_or(0.0),
        }
    }

    /// Whether the total is not known; for an upload task, the total of the bytes to send. Without a task: whether neither
    /// a total nor a completed unit is set.
    #[doc(alias = "isIndeterminate")]
    pub fn is_indeterminate(&self) -> bool {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.is_indeterminate(),
            ProgressKind::Task(core) => fraction_of(core).is_none(),
        }
    }

    /// Whether the task has ended with success. Without a task: whether all units are completed.
    #[doc(alias = "isFinished")]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.is_finished(),
            ProgressKind::Task(core) => {
                let live = core.live();
                live.error.is_none() && live.state() == TaskState::Completed
            }
        }
    }

    /// Whether the progress was cancelled. The cancellation of a child does not cancel its parent.
    #[doc(alias = "isCancelled")]
    pub fn is_cancelled(&self) -> bool {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.is_cancelled(),
            ProgressKind::Task(core) => {
                let live = core.live();
                live.state() == TaskState::Canceling
                    || live.error.as_ref().is_some_and(|error| error.is_of_owner())
            }
        }
    }

    /// Whether the progress is paused, or the task suspended.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.is_paused(),
            ProgressKind::Task(core) => core.state() == TaskState::Suspended,
        }
    }

    /// Whether the user interface should offer to cancel. Default: `true`. [`cancel`](Self::cancel) works either way.
    #[doc(alias = "isCancellable")]
    pub fn is_cancellable(&self) -> bool {
        self.controls().is_none_or(Controls::is_cancellable)
    }

    /// Sets whether the user interface should offer to cancel.
    pub fn set_cancellable(&self, is_cancellable: bool) {
        self.controls_to_set().set_cancellable(is_cancellable);
    }

    /// Whether the user interface should offer to pause. Default: `true`. [`pause`](Self::pause) works either way.
    #[doc(alias = "isPausable")]
    pub fn is_pausable(&self) -> bool {
        self.controls().is_none_or(Controls::is_pausable)
    }

    /// Sets whether the user interface should offer to pause.
    pub fn set_pausable(&self, is_pausable: bool) {
        self.controls_to_set().set_pausable(is_pausable);
    }

    /// Cancels the progress: calls its handler, then cancels the children, or the task.
    #[doc(alias = "cancel()")]
    pub fn cancel(&self) {
        self.act(Act::Cancel);
    }

    /// Pauses the progress: calls its handler, then pauses the children, or suspends the task.
    #[doc(alias = "pause()")]
    pub fn pause(&self) {
        self.act(Act::Pause);
    }

    /// Resumes the progress: calls its handler, then resumes the children, or the task.
    #[doc(alias = "resume()")]
    pub fn resume(&self) {
        self.act(Act::Resume);
    }

    /// Sets the handler that is called when this progress or one above it is cancelled, on the thread that cancels it.
    /// Called once, and immediately if the progress is cancelled already. Not called if the task itself is cancelled.
    #[doc(alias = "cancellationHandler")]
    pub fn set_cancellation_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Cancel, Arc::new(handler));
        if let ProgressKind::Tree(tree) = &self.0
            && tree.is_cancelled()
        {
            tree.controls.call(Act::Cancel);
        }
    }

    /// Sets the handler that is called when this progress or one above it is paused, on the thread that pauses it. Not
    /// called while the progress is paused already.
    #[doc(alias = "pausingHandler")]
    pub fn set_pausing_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Pause, Arc::new(handler));
    }

    /// Sets the handler that is called when this progress or one above it is resumed, on the thread that resumes it. Not
    /// called while the progress is not paused.
    #[doc(alias = "resumingHandler")]
    pub fn set_resuming_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Resume, Arc::new(handler));
    }

    /// The completed fraction in English: `42% completed`.
    #[doc(alias = "localizedDescription")]
    pub fn localized_description(&self) -> String {
        format!("{}% completed", (self.fraction_completed() * 100.0).floor())
    }

    /// Bytes per second. For a task: the average since its creation, or over the last five seconds if this method is called
    /// that often; `None` unless the task is running. Without a task: the value that was set.
    pub fn throughput(&self) -> Option<u64> {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.controls.throughput(),
            ProgressKind::Task(core) => {
                let is_running = core.state() == TaskState::Running;
                let now = core.session.config.environment.clock.now();
                let moved = self.completed_unit_count().saturating_sub(core.bytes.of_earlier.load(Relaxed));
                let measure = || self.controls_to_set().measure(core.created.monotonic, now, moved);
                is_running.then(measure).flatten()
            }
        }
    }

    /// Sets the bytes per second. No effect on the progress of a task.
    pub fn set_throughput(&self, bytes_per_second: Option<u64>) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.controls.set_throughput(bytes_per_second);
        }
    }

    /// The remaining time. For a task: the remaining bytes divided by its [`throughput`](Self::throughput); `None` while
    /// one of these is not known, or if the throughput is 0. Without a task: the value that was set.
    #[doc(alias = "estimatedTimeRemaining")]
    pub fn estimated_time_remaining(&self) -> Option<Duration> {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.controls.time_remaining(),
            ProgressKind::Task(core) => {
                let rate = self.throughput().filter(|rate| *rate > 0)?;
                Duration::try_from_secs_f64(left_of(core)? as f64 / rate as f64).ok()
            }
        }
    }

    /// Sets the remaining time. No effect on the progress of a task.
    pub fn set_estimated_time_remaining(&self, time: Option<Duration>) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.controls.set_time_remaining(time);
        }
    }

    fn set_handler(&self, act: Act, handler: Handler) {
        // A task that is over needs no handler: it would only keep the values that the handler holds alive.
        if !matches!(&self.0, ProgressKind::Task(core) if core.state() == TaskState::Completed) {
            self.controls_to_set().set_handler(act, Some(handler));
        }
    }

    fn controls(&self) -> Option<&Controls> {
        match &self.0 {
            ProgressKind::Tree(tree) => Some(&tree.controls),
            ProgressKind::Task(core) => core.controls.get().map(|controls| &**controls),
        }
    }

    fn controls_to_set(&self) -> &Controls {
        match &self.0 {
            ProgressKind::Tree(tree) => &tree.controls,
            ProgressKind::Task(core) => core.controls.get_or_init(Default::default),
        }
    }

    fn children_since(&self, number: u64) -> Vec<(u64, Self)> {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.children_since(number),
            ProgressKind::Task(_) => Vec::new(),
        }
    }

    /// Whether no further change can follow. The changes of a task end by themselves.
    fn has_ended(&self) -> bool {
        matches!(self.0, ProgressKind::Tree(_)) && (self.is_finished() || self.is_cancelled())
    }
}

impl Node for Progress {
    fn fraction_completed(&self) -> f64 {
        Self::fraction_completed(self)
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }

    fn act(&self, act: Act) {
        let core = match &self.0 {
            ProgressKind::Tree(tree) => return tree.act(act),
            ProgressKind::Task(core) => core,
        };
        let state = core.state();
        let changes = match act {
            Act::Cancel => matches!(state, TaskState::Running | TaskState::Suspended),
            Act::Pause => state == TaskState::Running,
            Act::Resume => state == TaskState::Suspended,
        };
        let act_on_task = || match act {
            Act::Cancel => core.cancel(),
            Act::Pause => core.suspend(),
            Act::Resume => core.resume(),
        };
        match core.controls.get().filter(|_| changes) {
            Some(controls) => controls.call_before(act, act_on_task),
            None => act_on_task(),
        }
    }

    fn contains(&self, tree: &Arc<Tree<Self>>) -> bool {
        matches!(&self.0, ProgressKind::Tree(own) if own.contains(tree))
    }
}

/// `None` while the total is not known.
fn fraction_of(core: &Core) -> Option<f64> {
    let (sending, receiving) = ways(core);
    fraction::of(&sending, &receiving, core.is_upload())
}

/// Remaining bytes; `None` while they are not known.
fn left_of(core: &Core) -> Option<u64> {
    let (sending, receiving) = ways(core);
    fraction::left(&sending, &receiving, core.is_upload())
}

/// The counts of sending, and of receiving.
fn ways(core: &Core) -> (Way, Way) {
    let way = |done: &AtomicU64, all: &AtomicU64| Way {
        done: done.load(Relaxed),
        all: Some(all.load(Relaxed)).filter(|all| *all != UNKNOWN),
    };
    let bytes = &core.bytes;
    (way(&bytes.sent, &bytes.to_send), way(&bytes.received, &bytes.to_receive))
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("completed", &self.completed_unit_count())
            .field("total", &self.total_unit_count())
            .finish()
    }
}
