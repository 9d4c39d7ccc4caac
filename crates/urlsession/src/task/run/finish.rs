//! The end of a run: the metrics, the last calls to the application, and the rest of the load's log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use super::drive::drive;
use crate::body::Body;
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::load::{TransactionLog, events};
use crate::task::core::{Core, Style};
use crate::task::delegate::dispatch::{DelegateTarget, dropped_by_queue};
use crate::task::loader::HandlerOf;

/// Runs a task in place.
pub(in crate::task) async fn in_place<T>(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    load: impl AsyncFnOnce(&Arc<Core>, &RuntimeHandle, &mut TransactionLog) -> Result<T>,
) -> Result<T> {
    let mut guard = LogGuard::new(&core);
    let result = drive(&core, &runtime, pin!(load(&core, &runtime, &mut guard.log))).await;
    end_in_place(&core, &mut guard, result).await
}

/// Ends a task that ran in place.
pub(in crate::task) async fn end_in_place<T>(
    core: &Arc<Core>,
    guard: &mut LogGuard<'_>,
    result: Result<T>,
) -> Result<T> {
    let answer = result.map_err(|error| core.final_error(error));
    let error = answer.as_ref().err().cloned();
    if core.target().is_none() {
        measure(core, &mut guard.log, error.as_ref());
        core.complete(error);
        return answer;
    }
    finish(core, error, &mut guard.log);
    // In a call of that queue, which polls this, a wait would never end, because the call must return first.
    if !core.session.queue.is_in_call() {
        core.flush().await;
    }
    // A delegate that panicked after the load had ended takes precedence here too.
    match core.live().error.clone() {
        Some(error) => Err(error),
        None => answer,
    }
}

/// Records how the last transaction ended.
pub(in crate::task) fn close_transaction(core: &Core, log: &mut TransactionLog, body: &Body) {
    if let Some(trailers) = body.trailers() {
        core.live().response_trailers = Some(Box::new(trailers.clone()));
    }
    if let Some(transaction) = log.last_mut().filter(|transaction| transaction.response_end.is_none()) {
        // When the last byte came, which may be long before the reader reads it.
        let start = transaction.response_start.filter(|_| body.came_whole());
        let end = || start.unwrap_or_else(|| core.session.config.environment.clock.now());
        transaction.response_end = body.has_ended().then(end);
        transaction.response_body_bytes = body.wire_bytes();
        transaction.response_body_bytes_after_decoding = body.delivered();
        transaction.request_body_bytes += body.sent_late();
    }
}

/// The log of a load that its owner may drop before its end: the task keeps the log then.
pub(in crate::task) struct LogGuard<'a> {
    core: &'a Core,
    pub(in crate::task) log: TransactionLog,
}

impl<'a> LogGuard<'a> {
    pub(in crate::task) fn new(core: &'a Core) -> Self {
        Self { core, log: TransactionLog::new() }
    }
}

impl Drop for LogGuard<'_> {
    fn drop(&mut self) {
        if !self.log.is_empty() {
            measure(self.core, &mut self.log, Some(&UrlError::cancelled()));
        }
    }
}

/// Keeps the recorded log for later readers.
fn measure(core: &Core, log: &mut TransactionLog, error: Option<&UrlError>) {
    let last = log.last_mut();
    let read = match (error, last) {
        (None, Some(last)) => last.response_end,
        (Some(error), Some(last)) => {
            last.error = Some(core.name_url(error.clone()));
            None
        }
        (_, None) => None,
    };
    if let Some(last) = log.last() {
        let _within = core.span.enter();
        events::transaction_ended(log.len(), last);
    }
    // A body that was read to its end has its end date already: the clock is not read without need.
    let end = read.unwrap_or_else(|| core.session.config.environment.clock.now());
    core.live().measured.keep(log, end);
}

/// Reports the end to the application: metrics, then completion, once.
pub(in crate::task) fn finish(core: &Arc<Core>, error: Option<UrlError>, log: &mut TransactionLog) {
    let error = error.map(|error| core.final_error(error));
    measure(core, log, error.as_ref());
    let Some(target) = core.target() else { return core.complete(error) };
    tell_metrics(core, &target);
    let last = Last::new(core);
    core.session.queue.add(move || {
        let Some(last) = last.begin() else { return };
        // A delegate that panicked takes precedence: the load may have failed without its decision, or not have waited for
        // it.
        let error = last.take_failure().or(error);
        // The properties are final when the application is notified of the end.
        let completed = last.begin_completion(error.clone());
        if last.style == Style::Delegate {
            last.call(target, "did_complete", |delegate, task| delegate.did_complete(task, error.as_ref()));
        }
        completed.leave();
    });
}

/// The last call of a task, waiting in the delegate queue. If the queue drops it, the task is over nevertheless: its state,
/// its error and its watchers show it.
struct Last(Option<Arc<Core>>);

impl Last {
    fn new(core: &Arc<Core>) -> Self {
        Self(Some(core.clone()))
    }

    /// Its task, once.
    fn begin(mut self) -> Option<Arc<Core>> {
        self.0.take()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(core) = self.0.take() {
            let error = core.take_failure().unwrap_or_else(|| dropped_by_queue(&core, "its completion"));
            core.complete(Some(core.name_url(error)));
        }
    }
}

/// Same as `finish`, with a handler in place of the delegate's last call.
pub(in crate::task) fn finish_with<T: Send + 'static>(
    core: &Arc<Core>,
    result: Result<T>,
    log: &mut TransactionLog,
    handler: HandlerOf<T>,
) {
    let result = result.map_err(|error| core.final_error(error));
    let error = result.as_ref().err().cloned();
    measure(core, log, error.as_ref());
    if let Some(target) = core.target() {
        tell_metrics(core, &target);
    }
    let last = Last::new(core);
    core.session.queue.add(move || {
        let Some(last) = last.begin() else { return };
        let result = last.take_failure().map_or(result, Err);
        let completed = last.begin_completion(result.as_ref().err().cloned());
        let _ = catch_unwind(AssertUnwindSafe(move || handler(result)));
        completed.leave();
    });
}

fn tell_metrics(core: &Arc<Core>, target: &DelegateTarget) {
    let Some(metrics) = core.live().measured.metrics(core.created) else { return };
    core.notify(target.clone(), "did_finish_collecting_metrics", move |delegate, task| {
        delegate.did_finish_collecting_metrics(task, &metrics);
    });
}
