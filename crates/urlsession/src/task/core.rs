//! The core of a task: its properties, its state, and the wakers to call when it changes.
//!
//! Handles, futures and the running load all share one core. It runs nothing itself: the session's loader does. The state
//! that a kind of task adds is stored here, but its type is defined elsewhere.

use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};
use std::time::SystemTime;

use http::HeaderMap;

use super::byte_counts::{ByteCounts, UNKNOWN};
use super::kind::{KindState, TaskKind};
use super::loader::Handler;
use super::metrics::{Epoch, Measured};
use super::observe::{TaskChange, Watchers};
use super::progress::Controls;
use super::retry::RetryState;
use super::session_shared::{DelegateSlot, SessionShared, TaskSlot};
use super::state::{Machine, TaskState};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Activity, Priority, SentFields, events};
use crate::message::{UrlRequest, UrlResponse};

/// How the application receives the results of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Delegate methods.
    Delegate,
    /// A completion handler.
    Handler,
    /// A future, which the application polls in place.
    Future,
}

pub(crate) struct Core {
    identifier: u64,
    pub(super) kind: TaskKind,
    pub(super) style: Style,
    pub(super) session: Arc<SessionShared<Self>>,
    pub(super) activity: Activity,
    pub(super) created: Epoch,
    /// All log events of the task are within this span.
    pub(super) span: tracing::Span,
    pub(super) bytes: ByteCounts,
    /// The settings of its progress; few tasks have any.
    pub(super) controls: OnceLock<Box<Controls>>,
    priority: AtomicU32,
    /// The maximum length of the body, in bytes.
    limit: AtomicU64,
    /// Suspended, cancelled or failed: written under the lock of `live`, and read without it before each piece of a body.
    is_halted: AtomicBool,
    /// Whether the task was ever watched: set under the lock of `live`, and read without it before each change is reported.
    is_watched: AtomicBool,
    live: Mutex<Live>,
}

pub(super) struct Live {
    machine: Machine,
    slot: Option<TaskSlot>,
    has_started: bool,
    /// Whether it was ever running.
    pub(super) has_run: bool,
    /// Whether it has waited for connectivity.
    pub(super) has_waited: bool,
    pub(super) original: Option<Arc<UrlRequest>>,
    pub(super) current: Option<Arc<UrlRequest>>,
    /// The sent fields, and the protocol that sent them.
    pub(super) sent: Option<(Arc<SentFields>, &'static str)>,
    pub(super) response: Option<UrlResponse>,
    pub(super) response_trailers: Option<Box<HeaderMap>>,
    pub(super) error: Option<UrlError>,
    pub(super) measured: Measured,
    pub(super) description: Option<Arc<str>>,
    pub(super) prefers_incremental_delivery: bool,
    pub(super) hints: Hints,
    /// The state of the kind of the task; most tasks have none.
    pub(super) kind_state: Option<Box<dyn KindState<Core>>>,
    /// The retry state; most tasks have none.
    pub(super) retry: Option<Box<RetryState>>,
    pub(super) delegate: Option<DelegateSlot>,
    pub(super) session_delegate: Option<DelegateSlot>,
    handler: Option<Handler>,
    /// Why it is being cancelled, if its owner did not cancel it.
    failure: Option<UrlError>,
    waker: Option<Waker>,
    watchers: Watchers,
}

/// The values that an application sets for the scheduling of a task.
#[derive(Clone, Copy, Default)]
pub(super) struct Hints {
    pub(super) to_send: Option<u64>,
    pub(super) to_receive: Option<u64>,
    pub(super) earliest_begin: Option<SystemTime>,
}

/// What the running load must check before it continues.
pub(super) enum RunState {
    Go,
    Wait,
    Stop(UrlError),
}

impl Core {
    pub(crate) fn new(
        session: &Arc<SessionShared<Self>>,
        request: Result<UrlRequest>,
        kind: TaskKind,
        style: Style,
        handler: Option<Handler>,
    ) -> Arc<Self> {
        let clock = &session.config.environment.clock;
        let created = Epoch { monotonic: clock.now(), wall: clock.wall() };
        let (request, mut failure) = match request {
            Ok(request) => (Some(Arc::new(request)), None),
            Err(error) => (None, Some(error)),
        };
        let to_send = request.as_ref().map_or(0, |request| expected_to_send(request));
        // As Apple documents: such tasks always receive everything at once.
        let prefers_incremental_delivery = style != Style::Handler && !matches!(kind, TaskKind::Download);
        Arc::new_cyclic(|weak| {
            let (identifier, slot, session_delegate) = session.enter(weak);
            if slot.is_none() {
                let detail = "the session has been invalidated and takes no more tasks";
                failure = Some(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
            }
            Self {
                identifier,
                kind,
                style,
                session: session.clone(),
                activity: Activity::default(),
                created,
                span: events::task(session.number, identifier, kind, request.as_deref()),
                bytes: ByteCounts::new(to_send),
                controls: OnceLock::new(),
                priority: AtomicU32::new(DEFAULT_PRIORITY.to_bits()),
                limit: AtomicU64::new(u64::MAX),
                is_halted: AtomicBool::new(false),
                is_watched: AtomicBool::new(false),
                live: Mutex::new(Live {
                    machine: Machine::new(),
                    slot,
                    has_started: false,
                    has_run: false,
                    has_waited: false,
                    original: request.clone(),
                    current: request,
                    sent: None,
                    response: None,
                    response_trailers: None,
                    error: None,
                    measured: Measured::default(),
                    description: None,
                    prefers_incremental_delivery,
                    hints: Hints::default(),
                    kind_state: None,
                    retry: None,
                    delegate: None,
                    session_delegate,
                    handler,
                    failure,
                    waker: None,
                    watchers: Watchers::default(),
                }),
            }
        })
    }

    pub(crate) fn identifier(&self) -> u64 {
        self.identifier
    }

    /// The current request, or the original one, with its own fields.
    pub(super) fn requested(&self) -> Option<Arc<UrlRequest>> {
        let live = self.live();
        live.current.clone().or_else(|| live.original.clone())
    }

    pub(super) fn is_upload(&self) -> bool {
        matches!(self.kind, TaskKind::Upload)
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock()
    }

    pub(super) fn state(&self) -> TaskState {
        self.live().machine.state()
    }

    /// Whether it was ever running, and is neither cancelled nor over.
    pub(crate) fn is_outstanding(&self) -> bool {
        let live = self.live();
        live.has_run && matches!(live.machine.state(), TaskState::Running | TaskState::Suspended)
    }

    /// Whether it is neither cancelled nor over.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self.state(), TaskState::Running | TaskState::Suspended)
    }

    /// The maximum length of the body, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// A longer body fails the load.
    pub(super) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
    }

    /// True if the current poll must move no more bytes. The code that halts the load polls it again.
    pub(super) fn is_halted(&self) -> bool {
        self.is_halted.load(Relaxed)
    }

    pub(crate) fn resume(self: &Arc<Self>) {
        let mut live = self.live();
        if live.machine.resume() {
            self.is_halted.store(false, Relaxed);
            live.has_run = true;
            // The time of the suspension does not count as idle.
            self.activity.moved(1);
            self.go(live, TaskState::Running);
        }
    }

    pub(crate) fn suspend(self: &Arc<Self>) {
        let mut live = self.live();
        if live.machine.suspend() {
            self.is_halted.store(true, Relaxed);
            let wakers = live.change(TaskChange::State(TaskState::Suspended));
            drop(live);
            events::task_state(&self.span, TaskState::Suspended);
            wakers.wake();
        }
    }

    pub(crate) fn cancel(self: &Arc<Self>) {
        let mut live = self.live();
        if live.machine.cancel() {
            self.is_halted.store(true, Relaxed);
            self.go(live, TaskState::Canceling);
        }
    }

    /// Cancels with an error other than the owner's cancellation.
    pub(super) fn fail(self: &Arc<Self>, error: UrlError) {
        self.live().failure.get_or_insert(error);
        self.cancel();
    }

    /// The error that it failed with, or the cancellation.
    pub(super) fn failure(&self) -> UrlError {
        self.live().failure.clone().unwrap_or_else(UrlError::cancelled)
    }

    /// Why it is being cancelled, if its owner did not cancel it and the load has not received the error yet.
    pub(super) fn take_failure(&self) -> Option<UrlError> {
        self.live().failure.take()
    }

    /// The state has changed to one in which the task must be polled: starts the task if it is not polled yet.
    fn go(self: &Arc<Self>, mut live: MutexGuard<'_, Live>, state: TaskState) {
        let starts = !std::mem::replace(&mut live.has_started, true) && self.style != Style::Future;
        let handler = if starts { live.handler.take() } else { None };
        let wakers = live.change(TaskChange::State(state));
        drop(live);
        events::task_state(&self.span, state);
        wakers.wake();
        if starts {
            self.session.loader.start(self.clone(), handler);
        }
    }

    /// Ends this task without a call to its delegate: a task of another kind takes its place on the session's list, with
    /// its identifier and its properties, and continues.
    pub(super) fn hand_over(
        self: &Arc<Self>,
        kind: TaskKind,
        kind_state: Option<Box<dyn KindState<Self>>>,
    ) -> (Arc<Self>, Completed) {
        let mut live = self.live();
        let slot = live.slot.take();
        let successor = Arc::new(Self {
            identifier: self.identifier,
            kind,
            style: self.style,
            session: self.session.clone(),
            activity: Activity::default(),
            created: self.created,
            span: self.span.clone(),
            bytes: ByteCounts::new(self.bytes.to_send.load(Relaxed)),
            controls: OnceLock::new(),
            priority: AtomicU32::new(self.priority.load(Relaxed)),
            limit: AtomicU64::new(u64::MAX),
            is_halted: AtomicBool::new(self.is_halted()),
            is_watched: AtomicBool::new(false),
            live: Mutex::new(Live {
                machine: live.machine,
                slot,
                has_started: true,
                has_run: true,
                has_waited: live.has_waited,
                original: live.original.clone(),
                current: live.current.clone(),
                sent: live.sent.clone(),
                response: live.response.clone(),
                response_trailers: None,
                error: None,
                measured: Measured::default(),
                description: live.description.clone(),
                prefers_incremental_delivery: false,
                hints: live.hints,
                kind_state,
                retry: None,
                delegate: live.delegate.clone(),
                session_delegate: live.session_delegate.clone(),
                handler: None,
                failure: live.failure.take(),
                waker: None,
                watchers: Watchers::default(),
            }),
        });
        successor.bytes.sent.store(self.bytes.sent.load(Relaxed), Relaxed);
        successor.bytes.to_receive.store(self.bytes.to_receive.load(Relaxed), Relaxed);
        live.machine.complete();
        let Wakers { load, watchers } = live.change(TaskChange::State(TaskState::Completed));
        drop(live);
        drop(load);
        if let Some(slot) = slot {
            self.session.reuse_slot(slot, &successor);
        }
        watchers.into_iter().for_each(Waker::wake);
        (successor, Completed(Some(self.clone())))
    }

    /// Whether the load may continue. If not, `cx` is woken when that changes.
    pub(super) fn run_state(&self, cx: &Context<'_>) -> RunState {
        let mut live = self.live();
        match &mut live.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => live.waker = Some(cx.waker().clone()),
        }
        match live.machine.state() {
            TaskState::Running => match live.failure.take() {
                Some(failure) => RunState::Stop(failure),
                None => RunState::Go,
            },
            TaskState::Suspended => RunState::Wait,
            TaskState::Canceling | TaskState::Completed => {
                RunState::Stop(live.failure.take().unwrap_or_else(UrlError::cancelled))
            }
        }
    }

    /// Polls the load again: something inside the task that it waits for has changed.
    pub(super) fn wake(&self) {
        let waker = self.live().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Adds the failed URL to the error, if the error has none.
    pub(super) fn name_url(&self, error: UrlError) -> UrlError {
        let original = self.live().original.clone();
        match original {
            Some(request) => error.with_url_in(request.url(), request.effective_zone_id()),
            None => error,
        }
    }

    /// The error that the task ends with: it has the failed URL and the resume data of the task.
    pub(super) fn final_error(self: &Arc<Self>, error: UrlError) -> UrlError {
        let error = self.name_url(error);
        let leftovers = self.live().kind_state.as_ref().and_then(|state| state.leftovers());
        match leftovers {
            Some(add) => add(self, error),
            None => error,
        }
    }

    /// Called when the task is no longer polled.
    pub(super) fn let_go(&self) {
        if let Some(state) = &mut self.live().kind_state {
            state.let_go();
        }
    }

    /// The task is over: state and error are final.
    pub(super) fn complete(self: &Arc<Self>, error: Option<UrlError>) {
        self.begin_completion(error).leave();
    }

    /// Same as `complete`, but the last call to the application is made before the session is notified.
    pub(super) fn begin_completion(self: &Arc<Self>, error: Option<UrlError>) -> Completed {
        let mut live = self.live();
        if !live.machine.complete() {
            return Completed(None);
        }
        let told = events::tells_ends().then(|| error.clone());
        live.error = error;
        let last_call = live.kind_state.as_mut().and_then(|state| state.end());
        // The code that polls the load also completes it: the waker is dropped, not called.
        let Wakers { load, watchers } = live.change(TaskChange::State(TaskState::Completed));
        drop(live);
        drop(load);
        if let Some(error) = told {
            let (sent, received) = (self.bytes.sent.load(Relaxed), self.bytes.received.load(Relaxed));
            events::task_finished(&self.span, error.as_ref(), sent, received);
        }
        if let Some(call) = last_call {
            call();
        }
        watchers.into_iter().for_each(Waker::wake);
        Completed(Some(self.clone()))
    }

    pub(super) fn tell_watchers(&self, change: TaskChange) {
        if !self.is_watched.load(Acquire) {
            return;
        }
        let mut live = self.live();
        if !live.watchers.is_empty() {
            let wakers = live.watchers.notify(change);
            drop(live);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn watch(&self) -> super::observe::Changes {
        let mut live = self.live();
        let is_over = live.machine.state() == TaskState::Completed;
        self.is_watched.store(true, Release);
        live.watchers.add(is_over)
    }

    /// The load is polled: the layers that use the priority read it then.
    pub(super) fn set_priority(&self, priority: f32) {
        if priority.is_nan() {
            return;
        }
        let new = priority.clamp(0.0, 1.0).to_bits();
        if self.priority.swap(new, Relaxed) != new {
            self.wake();
        }
    }
}

impl Priority for Core {
    fn priority(&self) -> f32 {
        f32::from_bits(self.priority.load(Relaxed))
    }
}

/// A task that is over, but still has its delegates and its place on its session's list.
pub(super) struct Completed(Option<Arc<Core>>);

impl Completed {
    pub(super) fn leave(self) {
        let Some(core) = self.0 else { return };
        let mut live = core.live();
        let released = (live.delegate.take(), live.session_delegate.take());
        let slot = live.slot.take();
        drop(live);
        // The application's code may run here: not under the lock.
        drop(released);
        if let Some(controls) = core.controls.get() {
            controls.clear();
        }
        if let Some(slot) = slot {
            core.session.leave(slot);
        }
    }
}

impl Live {
    pub(super) fn state(&self) -> TaskState {
        self.machine.state()
    }

    /// The state of the task's kind, if there is any.
    pub(super) fn kind_state<S: KindState<Core>>(&self) -> Option<&S> {
        let state: &dyn Any = self.kind_state.as_deref()?;
        state.downcast_ref()
    }

    pub(super) fn kind_state_mut<S: KindState<Core>>(&mut self) -> Option<&mut S> {
        let state: &mut dyn Any = self.kind_state.as_deref_mut()?;
        state.downcast_mut()
    }

    /// The same; created if it does not exist yet.
    pub(super) fn kind_state_or_default<S: KindState<Core> + Default>(&mut self) -> &mut S {
        if self.kind_state::<S>().is_none() {
            self.kind_state = Some(Box::<S>::default());
        }
        match self.kind_state_mut() {
            Some(state) => state,
            None => unreachable!("it has just been put there"),
        }
    }

    /// The wakers to call for a change, once the lock is released: those of watchers, and of the load.
    fn change(&mut self, change: TaskChange) -> Wakers {
        let watchers = if self.watchers.is_empty() { Vec::new() } else { self.watchers.notify(change) };
        Wakers { load: self.waker.take(), watchers }
    }
}

struct Wakers {
    load: Option<Waker>,
    watchers: Vec<Waker>,
}

impl Wakers {
    fn wake(self) {
        self.load.into_iter().chain(self.watchers).for_each(Waker::wake);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(slot) = self.live().slot.take() {
            self.session.leave(slot);
        }
    }
}

/// From the body's length, else an explicit `Content-Length`.
fn expected_to_send(request: &UrlRequest) -> u64 {
    let announced = || request.value("content-length")?.trim().parse().ok();
    request.content().length().or_else(announced).unwrap_or(UNKNOWN)
}

/// `URLSessionTask.defaultPriority`
pub(super) const DEFAULT_PRIORITY: f32 = 0.5;
