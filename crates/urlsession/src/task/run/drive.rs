//! The load of a running task: it starts with the task's request, and is polled as its poll gate permits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::poll_gate::PollGate;
use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Response, TransactionLog};
use crate::message::UrlRequest;
use crate::task::context::CoreContext;
use crate::task::core::Core;
use crate::task::kind::TaskKind;
use crate::task::observe::TaskChange;

/// Polls `load` as the poll gate permits. The caller pins it: moving it here would need its memory twice.
pub(in crate::task) fn drive<T>(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    load: impl Future<Output = Result<T>> + Unpin,
) -> impl Future<Output = Result<T>> {
    Driven { gate: PollGate::new(core.clone(), runtime.clone()), load }
}

pin_project! {
    struct Driven<L> {
        #[pin]
        gate: PollGate,
        load: L,
    }
}

impl<T, L: Future<Output = Result<T>> + Unpin> Future for Driven<L> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.gate.poll(cx, |cx| Pin::new(this.load).poll(cx))
    }
}

/// Loads the head; with another request than the task's own, if there is one.
pub(in crate::task) async fn load(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    other: Option<Arc<UrlRequest>>,
) -> Result<Response> {
    let request = other.or_else(|| core.live().original.clone());
    let Some(request) = request else {
        return Err(UrlError::new(
            UrlErrorCode::UnsupportedUrl,
            Phase::Request,
            "a task without a request was started",
        ));
    };
    let context = CoreContext(core);
    let clock = &*core.session.config.environment.clock;
    let mut attempt = Attempt::new(request, &context, &core.activity, log, runtime, clock);
    let response = core.session.protocols.load(&mut attempt).await?;
    // A part of a download is shorter than the download: the code that joins the parts knows the whole length. A coded body
    // has another length than its content.
    let is_part = core.kind == TaskKind::Download && response.head.status_code() == Some(206);
    let is_unlike_head = is_part || response.body.is_decoded();
    if let Some(length) = response.head.expected_content_length().filter(|_| !is_unlike_head) {
        core.bytes.to_receive.store(length, Relaxed);
    }
    core.live().response = Some(response.head.clone());
    core.tell_watchers(TaskChange::Response);
    Ok(response)
}
