//! Permits polling a task's load only while the task may run, and ends the load when the task is cancelled or timed out.
//!
//! A suspended load is not polled: it reads nothing, so the sender is held back. Only its total time continues.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;

use super::deadlines::{Deadlines, Verdict};
use crate::env::{RuntimeHandle, Timer};
use crate::error::Result;
use crate::task::core::{Core, RunState};
use crate::task::delegate::dispatch::panicked;

pin_project! {
    /// Stands between a task and the code that polls its load.
    pub(crate) struct PollGate {
        core: Arc<Core>,
        runtime: RuntimeHandle,
        deadlines: Option<Deadlines>,
        timer_at: Option<Instant>,
        #[pin]
        timer: Option<Timer>,
    }
}

impl PollGate {
    pub(in crate::task) fn new(core: Arc<Core>, runtime: RuntimeHandle) -> Self {
        Self { core, runtime, deadlines: None, timer_at: None, timer: None }
    }

    pub(in crate::task) fn poll<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        load: impl FnOnce(&mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let mut this = self.project();
        let mut is_suspended = match this.core.run_state(cx) {
            RunState::Go => false,
            RunState::Wait => true,
            RunState::Stop(error) => return Poll::Ready(Err(error)),
        };
        if !is_suspended {
            let _within = this.core.span.enter();
            // Bodies, resolvers and other code of the application are polled with it; a panic there fails this task.
            let polled = catch_unwind(AssertUnwindSafe(|| load(cx))).unwrap_or_else(|panic| {
                this.core.fail(panicked("the load", &*panic));
                Poll::Ready(Err(this.core.failure()))
            });
            match polled {
                // Cancelled within this poll: the cancellation came first, and may be the reason for the failure.
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(match this.core.run_state(cx) {
                        RunState::Stop(stopped) => stopped,
                        RunState::Go | RunState::Wait => error,
                    }));
                }
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => {}
            }
        }
        // Nothing is ready: only now is the clock read.
        let clock = &*this.core.session.config.environment.clock;
        let now = clock.now();
        let deadlines = this.deadlines.get_or_insert_with(|| deadlines(this.core, now));
        if deadlines.has_moved(this.core.activity.total()) {
            deadlines.restart(now);
        }
        let mut now = now;
        loop {
            // A suspended task is not idle, but its total time continues.
            match deadlines.verdict(now, is_suspended || this.core.activity.is_idle_paused()) {
                Some(Verdict::TimedOut(_) | Verdict::Idle(_))
                    if !is_suspended && matches!(this.core.run_state(cx), RunState::Wait) =>
                {
                    // Suspended in the meantime.
                    is_suspended = true;
                }
                Some(Verdict::Idle(error)) if this.core.ends_try(&error) => {
                    // The load may try again: it is polled once more, and finds the timeout.
                    deadlines.restart(now);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Verdict::TimedOut(error) | Verdict::Idle(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Pending,
                Some(Verdict::WaitUntil(deadline)) => {
                    // A timer that fires too early is set again; one that would fire too late is replaced.
                    if this.timer_at.is_none_or(|at| at > deadline) {
                        this.timer.set(Some(Timer::at(clock, this.runtime, deadline)));
                        *this.timer_at = Some(deadline);
                    }
                    match this.timer.as_mut().as_pin_mut().map(|timer| timer.poll(cx)) {
                        Some(Poll::Ready(())) => {
                            *this.timer_at = None;
                            now = clock.now();
                        }
                        Some(Poll::Pending) | None => return Poll::Pending,
                    }
                }
            }
        }
    }
}

/// The request's own timeout wins over the configuration's.
fn deadlines(core: &Core, now: Instant) -> Deadlines {
    let config = &core.session.config;
    let own = core.live().original.as_ref().and_then(|request| request.timeout_interval());
    Deadlines::new(
        own.unwrap_or(config.timeout_interval_for_request),
        config.timeout_interval_for_resource,
        now,
    )
}
