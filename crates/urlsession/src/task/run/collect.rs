//! `Reading`: a response body that its task reads, with the moved bytes counted. The kinds of tasks use the bytes.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;

use super::finish::close_transaction;
use crate::body::{Body, ReadPause, ReadTarget};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::TransactionLog;
use crate::task::byte_counts::UNKNOWN;
use crate::task::core::Core;
use crate::task::observe::TaskChange;

/// A response body that its task reads.
pub(in crate::task) struct Reading<'a> {
    pub(in crate::task) core: &'a Arc<Core>,
    log: &'a mut TransactionLog,
    pub(in crate::task) body: &'a mut Body,
    /// Whether another task will continue to read.
    pub(in crate::task) goes_on: bool,
}

impl<'a> Reading<'a> {
    pub(in crate::task) fn new(core: &'a Arc<Core>, log: &'a mut TransactionLog, body: &'a mut Body) -> Self {
        Self { core, log, body, goes_on: false }
    }

    /// The next chunk, counted.
    pub(in crate::task) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        poll_chunk(self.core, self.body, cx)
    }

    /// Reads the next bytes into the target, counted.
    pub(in crate::task) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        poll_read(self.core, self.body, cx, target)
    }

    /// Whether the kernel may move the next bytes to a file.
    pub(in crate::task) fn suits_splice(&self) -> bool {
        self.body.suits_splice()
    }

    /// The body need not be received until the returned value is dropped.
    pub(in crate::task) fn rest(&mut self) -> ReadPause {
        self.body.rest()
    }

    pub(in crate::task) async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // Also when the load is dropped before its end.
        if !self.goes_on {
            close_transaction(self.core, self.log, self.body);
        }
    }
}

/// Fails for a body whose announced length is more than the limit of the task. The announced length of a coded body is not
/// the length of its content.
pub(in crate::task) fn check_length(core: &Core, body: &Body) -> Result<()> {
    let length = core.bytes.to_receive.load(Relaxed);
    if length <= core.limit() || length == UNKNOWN || body.is_empty() || body.is_decoded() {
        return Ok(());
    }
    Err(too_long(core, &format!("the server announces {length} bytes,")))
}

#[cold]
fn too_long(core: &Core, what: &str) -> UrlError {
    let detail = format!("{what} longer than {} bytes, the limit of the load", core.limit());
    UrlError::new(UrlErrorCode::DataLengthExceedsMaximum, Phase::Body, detail)
}

/// The next chunk, counted.
pub(in crate::task) fn poll_chunk(
    core: &Arc<Core>,
    body: &mut Body,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes>>> {
    ReadTarget::chunk(|target| poll_read(core, body, cx, target))
}

/// Counts the bytes that move while `body` is polled, and the bytes that it returns.
fn poll_read(
    core: &Arc<Core>,
    body: &mut Body,
    cx: &mut Context<'_>,
    target: &mut ReadTarget<'_>,
) -> Poll<Option<Result<usize>>> {
    // A body that always has more bytes would never end this poll, and the poll gate could not act.
    if core.is_halted() {
        return Poll::Pending;
    }
    let (before, sent_before) = (body.wire_bytes(), body.sent_late());
    let given = body.poll_read(cx, target);
    let moved = body.wire_bytes().saturating_sub(before);
    if moved > 0 {
        core.activity.moved(moved as usize);
    }
    let sent = body.sent_late().saturating_sub(sent_before);
    if sent > 0 {
        core.activity.moved(sent as usize);
        core.bytes.sent.fetch_add(sent, AcqRel);
        core.report_sent();
        core.tell_watchers(TaskChange::Bytes);
    }
    if let Poll::Ready(Some(Ok(length))) = &given {
        if body.delivered() > core.limit() {
            return Poll::Ready(Some(Err(too_long(core, "the body is"))));
        }
        core.bytes.received.fetch_add(*length as u64, Relaxed);
        core.tell_watchers(TaskChange::Bytes);
    }
    given
}
