//! `Progress`: how far something has come, with a way back to its controls. Apple: *Progress*.
//!
//! A task's is a live view of its counters; one of the application's own is a tree.

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

/// How far something has come.
///
/// Of a task ([`Task::progress`](crate::Task::progress)): body bytes sent and received, together. Or one of the
/// application's own, whose units it counts itself or leaves to children: tasks' progresses, or more of its own.
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

    /// A progress of so many units, none of which is completed.
    #[doc(alias = "init(totalUnitCount:)")]
    pub fn with_total_unit_count(units: u64) -> Self {
        Self(ProgressKind::Tree(Tree::new(units)))
    }

    /// Lets `child` count for `pending_unit_count` of this progress's units: as a fraction while it is under way, and
    /// as completed once it is finished. Cancelling, pausing and resuming this progress act on the child, also if
    /// this one was cancelled or paused before.
    ///
    /// # Errors
    /// If this is the progress of a task, which counts for itself, or if it is a descendant of `child`.
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

    /// All units; for a task the bytes to send and to receive, `None` while one of them is not known.
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

    /// Changes the number of all units. No effect on the progress of a task.
    pub fn set_total_unit_count(&self, units: u64) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.set_total(units);
        }
    }

    /// Units completed so far, with those of finished children; for a task the bytes sent and received.
    #[doc(alias = "completedUnitCount")]
    pub fn completed_unit_count(&self) -> u64 {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.completed(),
            ProgressKind::Task(core) => {
                core.bytes.sent.load(Relaxed).saturating_add(core.bytes.received.load(Relaxed))
            }
        }
    }

    /// Changes the number of units completed, those of children not counted. No effect on the progress of a task.
    pub fn set_completed_unit_count(&self, units: u64) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.set_completed(units);
        }
    }

    /// From 0 to 1; 0 while the total is not known, 1 when it is finished.
    ///
    /// Of a task without a body: of the bytes to receive. Sending a body is 95 hundredths of an upload task and 5 of any
    /// other, and receiving is the rest, which counts once the server has said how long it is: the fraction of an upload
    /// moves while it is sent, and that of no task goes back when its response begins.
    #[doc(alias = "fractionCompleted")]
    pub fn fraction_completed(&self) -> f64 {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.fraction(),
            ProgressKind::Task(_) if self.is_finished() => 1.0,
            ProgressKind::Task(core) => fraction_of(core).unwrap_or(0.0),
        }
    }

    /// Whether the total is not known; for an upload task, of what is sent. Without a task: whether neither a total nor a
    /// completed unit is set.
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

    /// Whether it was cancelled. A parent is not by the cancellation of its children.
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

    /// Whether it is paused, or the task suspended.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        match &self.0 {
            ProgressKind::Tree(tree) => tree.is_paused(),
            ProgressKind::Task(core) => core.state() == TaskState::Suspended,
        }
    }

    /// Whether a user should be offered to cancel. Default: `true`; [`cancel`](Self::cancel) works either
    /// way.
    #[doc(alias = "isCancellable")]
    pub fn is_cancellable(&self) -> bool {
        self.controls().is_none_or(Controls::is_cancellable)
    }

    /// Sets whether cancelling is to be offered.
    pub fn set_cancellable(&self, is_cancellable: bool) {
        self.controls_to_set().set_cancellable(is_cancellable);
    }

    /// Whether a user should be offered to pause. Default: `true`; [`pause`](Self::pause) works either way.
    #[doc(alias = "isPausable")]
    pub fn is_pausable(&self) -> bool {
        self.controls().is_none_or(Controls::is_pausable)
    }

    /// Sets whether pausing is to be offered.
    pub fn set_pausable(&self, is_pausable: bool) {
        self.controls_to_set().set_pausable(is_pausable);
    }

    /// Cancels it: calls its handler, then cancels the children, or the task.
    #[doc(alias = "cancel()")]
    pub fn cancel(&self) {
        self.act(Act::Cancel);
    }

    /// Pauses it: calls its handler, then pauses the children, or suspends the task.
    #[doc(alias = "pause()")]
    pub fn pause(&self) {
        self.act(Act::Pause);
    }

    /// Resumes it: calls its handler, then resumes the children, or the task.
    #[doc(alias = "resume()")]
    pub fn resume(&self) {
        self.act(Act::Resume);
    }

    /// Called on the thread that cancels this progress or one above it; once, and at once if that has happened
    /// already. Not called if a task is cancelled by itself.
    #[doc(alias = "cancellationHandler")]
    pub fn set_cancellation_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Cancel, Arc::new(handler));
        if let ProgressKind::Tree(tree) = &self.0
            && tree.is_cancelled()
        {
            tree.controls.call(Act::Cancel);
        }
    }

    /// Called on the thread that pauses this progress or one above it, each time it was not paused.
    #[doc(alias = "pausingHandler")]
    pub fn set_pausing_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Pause, Arc::new(handler));
    }

    /// Called on the thread that resumes this progress or one above it, each time it was paused.
    #[doc(alias = "resumingHandler")]
    pub fn set_resuming_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.set_handler(Act::Resume, Arc::new(handler));
    }

    /// The fraction in words, in English: `42% completed`.
    #[doc(alias = "localizedDescription")]
    pub fn localized_description(&self) -> String {
        format!("{}% completed", (self.fraction_completed() * 100.0).floor())
    }

    /// Bytes a second. Of a task: those sent and received since its creation, or over the last five seconds if it is asked
    /// that often; `None` unless it is running. Without a task: what was set.
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

    /// Sets the bytes a second. No effect on the progress of a task.
    pub fn set_throughput(&self, bytes_per_second: Option<u64>) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.controls.set_throughput(bytes_per_second);
        }
    }

    /// How long the rest takes. Of a task: what is left at its [`throughput`](Self::throughput); `None` while one of them is
    /// not known, or nothing moves. Without a task: what was set.
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

    /// Sets how long the rest takes. No effect on the progress of a task.
    pub fn set_estimated_time_remaining(&self, time: Option<Duration>) {
        if let ProgressKind::Tree(tree) = &self.0 {
            tree.controls.set_time_remaining(time);
        }
    }

    fn set_handler(&self, act: Act, handler: Handler) {
        // A task that is over needs none: it would only keep alive what the handler holds.
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

    /// Whether there is nothing more to hear of it. A task's own changes end by themselves.
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

/// Bytes to move yet; `None` while they are not known.
fn left_of(core: &Core) -> Option<u64> {
    let (sending, receiving) = ways(core);
    fraction::left(&sending, &receiving, core.is_upload())
}

/// What is sent, and what is received.
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
