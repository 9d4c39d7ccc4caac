//! The courier: carries a task's events to its delegate on the session's queue, and brings answers back.
//!
//! It keeps order, holds the load back when the delegate is slow, and turns a panic into the task's failure.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Poll;

use bytes::Bytes;

use super::answer::Answer;
use super::core::{Core, UNKNOWN};
use super::delegate::TaskDelegate;
use super::handle::Task;
use super::kind::{DataTask, DownloadTask};
use crate::error::{Phase, UrlError, UrlErrorCode};

/// Whom to call, and with which handle: the one given to a task's own delegate passes on to the session's.
#[derive(Clone)]
pub(super) struct Audience {
    delegate: Arc<dyn TaskDelegate>,
    task: Task,
}

impl Core {
    /// The task's own delegate, else the session's; `None` if nobody listens.
    pub(super) fn audience(self: &Arc<Self>) -> Option<Audience> {
        let live = self.live();
        if let Some(delegate) = live.delegate.clone() {
            return Some(Audience { delegate, task: Task::passing_on(self.clone()) });
        }
        let delegate = live.session_delegate.clone()?;
        drop(live);
        Some(Audience { delegate, task: Task::of(self.clone()) })
    }

    /// The task's own delegate, which passes on what it does not want.
    pub(super) fn passing_audience(self: &Arc<Self>) -> Option<Audience> {
        let delegate = self.live().delegate.clone()?;
        Some(Audience { delegate, task: Task::passing_on(self.clone()) })
    }

    /// Only the session's delegate.
    pub(super) fn session_audience(self: &Arc<Self>) -> Option<Audience> {
        let delegate = self.live().session_delegate.clone()?;
        Some(Audience { delegate, task: Task::of(self.clone()) })
    }

    /// Only the task's own delegate, which passes nothing on.
    pub(super) fn own_audience(self: &Arc<Self>) -> Option<Audience> {
        let delegate = self.live().delegate.clone()?;
        Some(Audience { delegate, task: Task::of(self.clone()) })
    }

    /// Calls the delegate, some time, in order.
    pub(super) fn tell(
        self: &Arc<Self>,
        audience: Audience,
        what: &'static str,
        call: impl FnOnce(&dyn TaskDelegate, &Task) + Send + 'static,
    ) {
        let core = self.clone();
        self.roster.queue.add(move || core.call(audience, what, call));
    }

    /// Calls the delegate on this thread.
    pub(super) fn call(
        self: &Arc<Self>,
        audience: Audience,
        what: &'static str,
        call: impl FnOnce(&dyn TaskDelegate, &Task),
    ) {
        let Audience { delegate, task } = audience;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(move || call(&*delegate, &task))) {
            self.fail(panicked(what, &*panic));
        }
    }

    /// Asks the delegate; `None` is the default. A panic gives the default too and fails the task.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        audience: Audience,
        what: &'static str,
        question: impl FnOnce(&dyn TaskDelegate, &Task) -> Answer<T> + Send + 'static,
    ) -> Option<T> {
        let (asked, responder) = Answer::deferred();
        self.tell(audience, what, move |delegate, task| responder.answer(question(delegate, task)));
        self.decided(what, asked.resolve().await?).await
    }

    /// What the application decides, sooner or later; `None` for the default.
    pub(super) async fn decided<T: Send + 'static>(
        self: &Arc<Self>,
        what: &'static str,
        answer: Answer<T>,
    ) -> Option<T> {
        let mut decision = pin!(answer.resolve());
        poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| decision.as_mut().poll(cx))).unwrap_or_else(|panic| {
                self.fail(panicked(what, &*panic));
                Poll::Ready(None)
            })
        })
        .await
    }

    /// Delivers body bytes. While the delegate has not kept up, the load waits: the bound is one chunk more than
    /// [`IN_DELIVERY`].
    pub(super) async fn deliver(self: &Arc<Self>, audience: Audience, data: Bytes) {
        let length = data.len() as u64;
        let in_delivery = &self.bytes.in_delivery;
        if in_delivery.load(Acquire) > IN_DELIVERY {
            // The delegate's time is not the server's.
            let _excuse = self.meter.excuse();
            poll_fn(|_| match in_delivery.load(Acquire) > IN_DELIVERY {
                // Whoever takes from the count wakes the whole task, which polls this again.
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
        in_delivery.fetch_add(length, AcqRel);
        let core = self.clone();
        self.roster.queue.add(move || {
            core.call(audience, "did_receive_data", |delegate, task| {
                delegate.did_receive_data(&DataTask::of(task.clone()), data);
            });
            core.bytes.in_delivery.fetch_sub(length, AcqRel);
            core.wake();
        });
    }

    /// Reports sent body bytes; reports that nobody has heard yet are merged.
    pub(super) fn report_sent(self: &Arc<Self>) {
        if self.bytes.sent_report.begin() {
            return;
        }
        let Some(audience) = self.audience() else { return };
        let core = self.clone();
        self.tell(audience, "did_send_body_data", move |delegate, task| {
            let (bytes, total) = core.bytes.sent_report.end(&core.bytes.sent);
            let expected = Some(core.bytes.to_send.load(Relaxed)).filter(|expected| *expected != UNKNOWN);
            if bytes > 0 {
                delegate.did_send_body_data(task, bytes, total, expected);
            }
        });
    }

    /// Reports bytes written to a file, as `report_sent` does.
    pub(super) fn report_written(self: &Arc<Self>, audience: &Audience) {
        if self.bytes.written_report.begin() {
            return;
        }
        let core = self.clone();
        self.tell(audience.clone(), "did_write_data", move |delegate, task| {
            let (new, total) = core.bytes.written_report.end(&core.bytes.written);
            let expected = Some(core.bytes.to_receive.load(Relaxed)).filter(|expected| *expected != UNKNOWN);
            if new > 0 {
                delegate.did_write_data(&DownloadTask::of(task.clone()), new, total, expected);
            }
        });
    }

    /// Waits until everything told so far has been heard.
    pub(super) async fn heard(self: &Arc<Self>) {
        let (answer, responder) = Answer::deferred();
        self.roster.queue.add(move || responder.answer(()));
        answer.resolve().await;
    }
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> UrlError {
    let message =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let detail = format!("the delegate panicked in {what}: {}", message.unwrap_or("no message"));
    UrlError::new(UrlErrorCode::Unknown, Phase::Delegate, detail)
}

/// Body bytes that may wait for a delegate.
const IN_DELIVERY: u64 = 256 * 1024;
