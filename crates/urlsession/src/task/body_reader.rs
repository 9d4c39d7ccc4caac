//! `Reading`: a response body being read by its task, in the task's style: collected, or delivered as it comes.
//!
//! Counting is done here; who is called, and how, is the business of `data_delivery` and `dispatch`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::core::{Core, Style};
use super::data_delivery::{Becomes, Conversion, Delivery};
use super::handles::DataTask;
use super::observe::TaskChange;
use super::run;
use super::upload::load;
use crate::env::{RuntimeHandle, SplicePipe};
use crate::error::Result;
use crate::load::{Body, ReadPause, Response, TransactionLog};
use crate::message::UrlResponse;

/// Loads, and collects the body in one piece.
pub(super) async fn collect(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<(Bytes, UrlResponse)> {
    let Response { head, mut body } = load(core, runtime, log).await?;
    let data = Reading::new(core, log, &mut body).collect(&head).await;
    Ok((data.map_err(|error| error.with_url(head.url()))?, head))
}

/// Loads, and delivers to the delegate what comes; up to the end, or to where the delegate wants another kind of task
/// to go on.
pub(super) async fn deliver(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<Option<Conversion>> {
    let Response { head, mut body } = load(core, runtime, log).await?;
    let delivered = Reading::new(core, log, &mut body).deliver(&head).await;
    match delivered.map_err(|error| error.with_url(head.url()))? {
        Some(becomes) => Ok(Some(Conversion { becomes, response: Response { head, body } })),
        None => Ok(None),
    }
}

/// A response body being read.
pub(super) struct Reading<'a> {
    core: &'a Arc<Core>,
    log: &'a mut TransactionLog,
    body: &'a mut Body,
    /// Another task will read on.
    goes_on: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(core: &'a Arc<Core>, log: &'a mut TransactionLog, body: &'a mut Body) -> Self {
        Self { core, log, body, goes_on: false }
    }

    /// The next chunk, counted.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        poll_chunk(self.core, self.body, cx)
    }

    /// The next bytes, put behind `pieces` and counted.
    pub(super) fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut Vec<Bytes>,
    ) -> Poll<Option<Result<usize>>> {
        counted(self.core, self.body, |body| body.poll_pieces(cx, pieces), |n| *n)
    }

    /// May the kernel take the next bytes to a file?
    pub(super) fn suits_splice(&self) -> bool {
        self.body.suits_splice()
    }

    /// At most `most` bytes taken by the splice pipe, counted; `None` if [`poll_next`](Self::poll_next) is to be asked.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        splice_pipe: &mut SplicePipe,
        most: u64,
    ) -> Poll<Option<Result<usize>>> {
        counted(self.core, self.body, |body| body.poll_splice(cx, splice_pipe, most), |n| *n)
    }

    /// Nothing of the body needs to come until this is dropped.
    pub(super) fn rest(&mut self) -> ReadPause {
        self.body.rest()
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// In one piece; if the body comes in one, without a copy.
    async fn collect(&mut self, head: &UrlResponse) -> Result<Bytes> {
        let target = if self.core.style == Style::Future { self.core.own_target() } else { None };
        let Some(mut chunk) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let in_pieces = self.core.live().prefers_incremental_delivery;
        let mut all: Option<BytesMut> = None;
        loop {
            if let Some(target) = target.as_ref().filter(|_| in_pieces) {
                // To clone the only handle costs an allocation: not for nobody.
                // In a box, as below: most loads do not carry it.
                Box::pin(self.core.deliver(target.clone(), chunk.clone())).await;
            }
            let Some(next) = self.next().await.transpose()? else { break };
            let all = all.get_or_insert_with(|| {
                let announced = head.expected_content_length().unwrap_or(0).min(TRUSTED_LENGTH) as usize;
                let mut all = BytesMut::with_capacity(announced.max(chunk.len() + next.len()));
                all.extend_from_slice(&chunk);
                all
            });
            all.extend_from_slice(&next);
            chunk = next;
        }
        let all = all.map_or(chunk, BytesMut::freeze);
        if let Some(target) = target.filter(|_| !in_pieces) {
            Box::pin(self.core.deliver(target, all.clone())).await;
        }
        Ok(all)
    }

    async fn deliver(&mut self, head: &UrlResponse) -> Result<Option<Becomes>> {
        let Some(target) = self.core.target() else {
            // Nobody listens; the body is read all the same, for its errors and for the connection.
            while self.next().await.transpose()?.is_some() {}
            return Ok(None);
        };
        let (mut delivery, becomes) = Delivery::begin(self.core, target, head).await?;
        if becomes.is_some() {
            self.goes_on = true;
            return Ok(becomes);
        }
        while let Some(chunk) = self.next().await.transpose()? {
            delivery.chunk(chunk).await?;
        }
        delivery.end().await?;
        self.ask_will_cache().await;
        Ok(None)
    }

    /// What could be cached is the application's to decide.
    async fn ask_will_cache(&mut self) {
        let Some(mut tap) = self.body.take_tap() else { return };
        let (Some(proposed), Some(target)) = (tap.proposal(), self.core.target()) else { return };
        let _excuse = self.core.activity.pause_idle();
        let theirs = proposed.clone();
        let asked = self.core.ask(target, "will_cache_response", move |delegate, task| {
            delegate.will_cache_response(&DataTask::of(task.clone()), theirs)
        });
        tap.decide(match asked.await {
            Ok(decision) => decision.unwrap_or(Some(proposed)),
            // The delegate panicked: what it might have refused is not kept.
            Err(_) => None,
        });
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // Also when the load is dropped in the middle.
        if !self.goes_on {
            run::close_transaction(self.core, self.log, self.body);
        }
    }
}

/// The next chunk, counted.
pub(super) fn poll_chunk(
    core: &Arc<Core>,
    body: &mut Body,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes>>> {
    counted(core, body, |body| body.poll_chunk(cx), Bytes::len)
}

/// Counts what moves while `body` is polled, and the `length` of what it gives.
fn counted<T>(
    core: &Arc<Core>,
    body: &mut Body,
    poll: impl FnOnce(&mut Body) -> Poll<Option<Result<T>>>,
    length: impl FnOnce(&T) -> usize,
) -> Poll<Option<Result<T>>> {
    // A body that always has more would not let this poll end, and the poll gate not have a say.
    if core.is_halted() {
        return Poll::Pending;
    }
    let (before, sent_before) = (body.wire_bytes(), body.sent_late());
    let given = poll(body);
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
    if let Poll::Ready(Some(Ok(given))) = &given {
        core.bytes.received.fetch_add(length(given) as u64, Relaxed);
        core.tell_watchers(TaskChange::Bytes);
    }
    given
}

/// What a server announces is believed up to this length; beyond it memory is taken as bytes come.
const TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;
