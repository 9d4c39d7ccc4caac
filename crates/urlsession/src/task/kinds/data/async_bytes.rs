//! `AsyncBytes`: a body read as it comes, at the reader's pace. Apple: *URLSession.AsyncBytes*.
//!
//! Unread bytes stay with the sender: between two reads at most one chunk is held.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;

use crate::body::Body;
use crate::env::{RuntimeHandle, Wait, block_on, wait_on_this_thread};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BoxFuture, Response, TransactionLog};
use crate::message::UrlResponse;
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::handle::Task;
use crate::task::kinds::handles::DataTask;
use crate::task::retry::RetryPolicy;
use crate::task::run::collect::{check_length, poll_chunk};
use crate::task::run::drive;
use crate::task::run::finish::{LogGuard, close_transaction, finish};
use crate::task::run::poll_gate::PollGate;
use crate::task::run::retrying::{Retries, Tried};
use crate::task::run::task_future::Loading;

/// The head of a response, and its body to be read: await the future, or block with [`wait`](Self::wait).
///
/// Nothing is sent before the first poll. Dropping the future cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct BytesFuture(Loading<(AsyncBytes, UrlResponse)>);

impl BytesFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, runtime| Box::pin(open(core, runtime, head))))
    }

    /// The task of this future.
    pub fn task(&self) -> DataTask {
        DataTask::of(self.0.task())
    }

    /// Sets the task's own delegate. It does not receive the response and the data.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        self.0.set_delegate(delegate);
        self
    }

    /// Sets the maximum length of the body, in bytes, after decoding; see [`DataFuture::limit`](crate::DataFuture::limit).
    /// A longer body fails this future if the server announces its length, otherwise the read that would go beyond the
    /// limit.
    pub fn limit(self, bytes: u64) -> Self {
        self.0.core().set_limit(bytes);
        self
    }

    /// Tries again, up to this number of times, after a temporary failure before the head has been received: `.retry(3)`,
    /// or a [`RetryPolicy`], which documents exactly what is tried again and when. A failure while the body is read is not
    /// retried, because the reader has received a part of the body already. Extension: no counterpart in Apple's API.
    pub fn retry(mut self, policy: impl Into<RetryPolicy>) -> Self {
        self.0.core().set_retry(policy.into());
        self.0.start_by(|core, runtime| Box::pin(open(core, runtime, head_with_retries)));
        self
    }

    /// Blocks this thread until the head has been received. The body can then be read with [`AsyncBytes::wait_chunk`] or
    /// [`AsyncBytes::blocking`].
    ///
    /// # Errors
    /// The errors of awaiting the future.
    pub fn wait(self) -> Result<(AsyncBytes, UrlResponse)> {
        self.0.wait()
    }
}

impl Future for BytesFuture {
    type Output = Result<(AsyncBytes, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

async fn open(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    load: impl AsyncFnOnce(&Arc<Core>, &RuntimeHandle, &mut TransactionLog) -> Result<Response>,
) -> Result<(AsyncBytes, UrlResponse)> {
    let mut gate = Box::pin(PollGate::new(core.clone(), runtime.clone()));
    let mut guard = LogGuard::new(&core);
    let result = {
        let mut load = std::pin::pin!(load(&core, &runtime, &mut guard.log));
        poll_fn(|cx| gate.as_mut().poll(cx, |cx| load.as_mut().poll(cx))).await
    };
    match result {
        Ok(Response { head, body }) => {
            let log = std::mem::take(&mut guard.log);
            let reading = Some(Reading { body, log });
            Ok((AsyncBytes { core: core.clone(), gate, reading, rest: Bytes::new() }, head))
        }
        Err(error) => {
            let error = core.name_url(error);
            finish(&core, Some(error.clone()), &mut guard.log);
            Err(error)
        }
    }
}

async fn head(core: &Arc<Core>, runtime: &RuntimeHandle, log: &mut TransactionLog) -> Result<Response> {
    let response = drive::load(core, runtime, log, None).await?;
    check_length(core, &response.body).map_err(|error| error.with_url(response.head.url()))?;
    Ok(response)
}

async fn head_with_retries(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<Response> {
    Retries::new(core, runtime).run(log, try_head).await
}

fn try_head<'t>(
    retries: &'t Retries<'_>,
    log: &'t mut TransactionLog,
) -> BoxFuture<'t, Result<Tried<Response>>> {
    Box::pin(async move {
        let core = retries.core;
        let Response { head, body } = drive::load(core, retries.runtime, log, None).await?;
        let body = match retries.after_response(&head, body, log).await {
            Ok(pause) => return Ok(Tried::Refused(pause)),
            Err(body) => body,
        };
        check_length(core, &body).map_err(|error| error.with_url(head.url()))?;
        Ok(Tried::Done(Response { head, body }))
    })
}

/// The decoded body of a response as it comes: as [chunks](Self::chunk), also as a [`Stream`], as single
/// [bytes](Self::bytes), or as text: [`lines`](Self::lines), [`characters`](Self::characters) or
/// [`unicode_scalars`](Self::unicode_scalars).
///
/// It implements tokio's `AsyncRead`, which works on any executor. [`futures_reader`](Self::futures_reader) gives the
/// `AsyncRead` of `futures-io`, and [`blocking`](Self::blocking) gives [`std::io::Read`] for a plain thread.
///
/// Reading slowly holds the server back. Dropping it before its end cancels the task.
#[doc(alias = "URLSession.AsyncBytes")]
pub struct AsyncBytes {
    core: Arc<Core>,
    gate: Pin<Box<PollGate>>,
    reading: Option<Reading>,
    /// The unread rest of a chunk that a read took only partly.
    rest: Bytes,
}

struct Reading {
    body: Body,
    log: TransactionLog,
}

impl AsyncBytes {
    /// The task that loads the body.
    pub fn task(&self) -> DataTask {
        DataTask::of(Task::of(self.core.clone()))
    }

    /// The body byte by byte, as in Apple's API. A byte costs neither an allocation nor a read, because the bytes of a
    /// received chunk are returned in place.
    pub fn bytes(self) -> SingleBytes {
        SingleBytes { bytes: self, chunk: Bytes::new() }
    }

    /// The next chunk, never empty; `None` at the end.
    ///
    /// # Errors
    /// The errors of a load. Nothing comes after an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_chunk(cx)).await.transpose()
    }

    /// The next chunk. Blocks this thread; for bodies opened with [`BytesFuture::wait`].
    ///
    /// # Errors
    /// The errors of [`chunk`](Self::chunk). Also if this thread serves the library's sockets, such as the thread of a
    /// custom protocol.
    pub fn wait_chunk(&mut self) -> Option<Result<Bytes>> {
        block_on(poll_fn(|cx| self.poll_chunk(cx)))
    }

    /// The next chunk, never empty; `None` at the end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        if wait_on_this_thread() == Wait::BlockingIo {
            let detail =
                "blocking read on the library's thread, which serves its sockets; use another thread";
            let error = self.core.name_url(UrlError::new(UrlErrorCode::Cancelled, Phase::Delegate, detail));
            self.end(Some(error.clone()));
            return Poll::Ready(Some(Err(error)));
        }
        let core = &self.core;
        let poll = self.gate.as_mut().poll(cx, |cx| match poll_chunk(core, &mut reading.body, cx) {
            Poll::Ready(chunk) => Poll::Ready(chunk.transpose()),
            Poll::Pending => Poll::Pending,
        });
        match ready!(poll) {
            Ok(Some(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Ok(None) => {
                self.end(None);
                Poll::Ready(None)
            }
            Err(error) => {
                let error = core.name_url(error);
                self.end(Some(error.clone()));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn end(&mut self, error: Option<UrlError>) {
        let Some(Reading { body, mut log }) = self.reading.take() else { return };
        close_transaction(&self.core, &mut log, &body);
        drop(body);
        finish(&self.core, error, &mut log);
    }

    /// Bytes for a reader, at most `most`; empty at the end.
    pub(super) fn poll_some(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        match ready!(self.poll_chunk(cx)) {
            None => Poll::Ready(Ok(Bytes::new())),
            Some(Err(error)) => Poll::Ready(Err(error.into())),
            Some(Ok(mut chunk)) => {
                let some = chunk.split_to(most.min(chunk.len()));
                self.rest = chunk;
                Poll::Ready(Ok(some))
            }
        }
    }
}

/// The single bytes of an [`AsyncBytes`]: a [`Stream`], or [`next_byte`](Self::next_byte). Dropping it before its end
/// cancels the task.
#[doc(alias = "URLSession.AsyncBytes.Iterator")]
pub struct SingleBytes {
    bytes: AsyncBytes,
    /// The rest of the last chunk, which has not been returned yet.
    chunk: Bytes,
}

impl SingleBytes {
    /// The [`AsyncBytes`] that this reads from. It does not contain bytes that were received and not returned yet.
    pub fn bytes(&self) -> &AsyncBytes {
        &self.bytes
    }

    /// The next byte; `None` at the end. Nothing is lost if this future is dropped before it is ready.
    ///
    /// # Errors
    /// The errors of [`AsyncBytes::chunk`].
    #[doc(alias = "next()")]
    pub async fn next_byte(&mut self) -> Option<Result<u8>> {
        poll_fn(|cx| self.poll_byte(cx)).await
    }

    /// The next byte. Blocks this thread.
    ///
    /// # Errors
    /// The errors of [`AsyncBytes::wait_chunk`].
    pub fn wait_byte(&mut self) -> Option<Result<u8>> {
        block_on(poll_fn(|cx| self.poll_byte(cx)))
    }

    /// The next byte; `None` at the end.
    #[inline]
    pub fn poll_byte(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<u8>>> {
        if self.chunk.is_empty() {
            match ready!(self.bytes.poll_chunk(cx)) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(self.chunk.get_u8())))
    }
}

impl Stream for SingleBytes {
    type Item = Result<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_byte(cx)
    }
}

impl fmt::Debug for SingleBytes {
    // The bytes themselves are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.fmt(f)
    }
}

impl Stream for AsyncBytes {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

/// Errors of a load become [`io::Error`]s; [`get_ref`](io::Error::get_ref) gives the original error.
impl tokio::io::AsyncRead for AsyncBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            let some = ready!(self.poll_some(cx, buf.remaining()))?;
            buf.put_slice(&some);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for AsyncBytes {
    fn drop(&mut self) {
        if self.reading.is_some() {
            self.core.cancel();
            self.end(Some(UrlError::cancelled()));
        }
    }
}

impl fmt::Debug for AsyncBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncBytes").field("task", &*self.task()).finish()
    }
}

impl fmt::Debug for BytesFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesFuture").field("task", &*self.task()).finish()
    }
}
