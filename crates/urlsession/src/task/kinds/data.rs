//! `DataFuture`: a data task as a future of its whole body. Apple: *data(for:delegate:)*.

pub(in crate::task) mod async_bytes;
pub(in crate::task) mod delivery;
mod mixed_replace;
pub(in crate::task) mod readers;
pub(in crate::task) mod text;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use self::delivery::{Becomes, Conversion, Delivery};
use super::handles::DataTask;
use super::upload::prepare::load;
use crate::env::RuntimeHandle;
use crate::error::Result;
use crate::load::{BoxFuture, Response, TransactionLog};
use crate::message::UrlResponse;
use crate::task::core::{Core, Style};
use crate::task::delegate::TaskDelegate;
use crate::task::retry::RetryPolicy;
use crate::task::run::collect::{Reading, check_length};
use crate::task::run::finish::in_place;
use crate::task::run::retrying::{Retries, Tried};
use crate::task::run::task_future::Loading;

/// The body and the response of a data task. Await it on any executor, or block a plain thread with [`wait`](Self::wait).
///
/// Nothing is sent before the first poll. The load runs in the polls: on the caller's tokio runtime if that has I/O and
/// time drivers, otherwise with the library's own runtime. Dropping the future cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct DataFuture(Loading<(Bytes, UrlResponse)>);

impl DataFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, runtime| Box::pin(in_place(core, runtime, collect))))
    }

    /// The task of this future, to observe, suspend or cancel it.
    pub fn task(&self) -> DataTask {
        DataTask::of(self.0.task())
    }

    /// Sets the task's own delegate: it decides about redirects and receives data as it comes, in addition to the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        self.0.set_delegate(delegate);
        self
    }

    /// Sets the maximum length of the body, in bytes, after decoding. Default: no limit. A longer body fails the load with
    /// [`DataLengthExceedsMaximum`](crate::UrlErrorCode::DataLengthExceedsMaximum): before a byte of it is read if the
    /// server announces the length and the body is not coded, otherwise as soon as more bytes have come. The received bytes
    /// are dropped, and the connection is closed (over HTTP/2 the stream is reset). Extension: no counterpart in Apple's
    /// API.
    ///
    /// ```no_run
    /// # use urlsession::{DataResponse, UrlSession};
    /// # async fn load() -> urlsession::Result<()> {
    /// let answer = UrlSession::shared().data("https://example.com/").limit(1024 * 1024).await?;
    /// println!("{}", answer.text());
    /// # Ok(())
    /// # }
    /// ```
    pub fn limit(self, bytes: u64) -> Self {
        self.0.core().set_limit(bytes);
        self
    }

    /// Tries again, up to this number of times, after a temporary failure: `.retry(3)`, or a [`RetryPolicy`], which
    /// documents exactly what is tried again and when. Extension: no counterpart in Apple's API.
    pub fn retry(mut self, policy: impl Into<RetryPolicy>) -> Self {
        self.0.core().set_retry(policy.into());
        self.0.start_by(|core, runtime| Box::pin(in_place(core, runtime, collect_with_retries)));
        self
    }

    /// Blocks this thread until the load is done. It can be called anywhere, also inside an async runtime, whose thread it
    /// blocks.
    ///
    /// # Errors
    /// The errors of awaiting the future. In addition, it fails at once, without a load, where the wait could never end: in
    /// a delegate call, completion handler or decision of a session that has a delegate, if that session makes the load, or
    /// another session whose own calls wait for this one; and on the thread that serves the library's sockets. Spawn the
    /// load there, or use a task with a completion handler.
    pub fn wait(self) -> Result<(Bytes, UrlResponse)> {
        self.0.wait()
    }
}

impl Future for DataFuture {
    type Output = Result<(Bytes, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for DataFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFuture").field("task", &*self.task()).finish()
    }
}

/// Loads the body and collects it in one piece.
pub(in crate::task) async fn collect(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<(Bytes, UrlResponse)> {
    let Response { head, mut body } = load(core, runtime, log).await?;
    check_length(core, &body).map_err(|error| error.with_url(head.url()))?;
    let data = Reading::new(core, log, &mut body).collect(&head).await;
    Ok((data.map_err(|error| error.with_url(head.url()))?, head))
}

/// Same as [`collect`], with retries.
async fn collect_with_retries(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<(Bytes, UrlResponse)> {
    Retries::new(core, runtime).run(log, try_to_collect).await
}

fn try_to_collect<'t>(
    retries: &'t Retries<'_>,
    log: &'t mut TransactionLog,
) -> BoxFuture<'t, Result<Tried<(Bytes, UrlResponse)>>> {
    Box::pin(async move {
        let core = retries.core;
        let Response { head, body } = load(core, retries.runtime, log).await?;
        let mut body = match retries.after_response(&head, body, log).await {
            Ok(pause) => return Ok(Tried::Refused(pause)),
            Err(body) => body,
        };
        check_length(core, &body).map_err(|error| error.with_url(head.url()))?;
        let data = Reading::new(core, log, &mut body).collect(&head).await;
        Ok(Tried::Done((data.map_err(|error| error.with_url(head.url()))?, head)))
    })
}

/// Loads the body and delivers it to the delegate, up to the end, or up to where the delegate wants another kind of task to
/// continue.
pub(in crate::task) async fn deliver(
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

impl Reading<'_> {
    /// Collects the body in one piece; without a copy if the body comes in one piece.
    async fn collect(&mut self, head: &UrlResponse) -> Result<Bytes> {
        let target = if self.core.style == Style::Future { self.core.own_target() } else { None };
        let Some(mut chunk) = self.next().await.transpose()? else { return Ok(Bytes::new()) };
        let in_pieces = self.core.live().prefers_incremental_delivery;
        let mut all: Option<BytesMut> = None;
        loop {
            if let Some(target) = target.as_ref().filter(|_| in_pieces) {
                // Cloning the only handle costs an allocation, which is avoided without a delegate. In a box, as below:
                // most loads do not need it.
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
            // There is no delegate; the body is read nevertheless, for its errors and for the connection.
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

    /// The application decides whether a cacheable response is cached.
    async fn ask_will_cache(&mut self) {
        let Some(mut observer) = self.body.take_observer() else { return };
        let (Some(proposed), Some(target)) = (observer.proposal(), self.core.target()) else { return };
        let _pause = self.core.activity.pause_idle();
        let theirs = proposed.clone();
        let asked = self.core.ask(target, "will_cache_response", move |delegate, task| {
            delegate.will_cache_response(&DataTask::of(task.clone()), theirs)
        });
        observer.decide(match asked.await {
            Ok(decision) => decision.unwrap_or(Some(proposed)),
            // The delegate panicked: a response that it might have refused is not kept.
            Err(_) => None,
        });
    }
}

/// An announced length is allocated in advance up to this size; beyond it memory is allocated as bytes come.
const TRUSTED_LENGTH: u64 = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use crate::env::RuntimeHandle;
    use crate::message::UrlRequest;
    use crate::task::core::Style;
    use crate::task::delegate::queue::DelegateQueue;
    use crate::task::kind::TaskKind;
    use crate::task::session_shared::SessionShared;

    /// As `protocol::http`'s test of the load below it.
    #[test]
    fn what_a_data_task_needs_while_it_waits_is_a_small_allocation() {
        let session = Arc::new(SessionShared::local(
            Configuration::ephemeral().into(),
            None,
            DelegateQueue::on(|_| {}),
        ));
        let request = UrlRequest::new("http://a/".parse().unwrap());
        let core = Core::new(&session, Ok(request), TaskKind::Data, Style::Future, None);
        let run = in_place(core, RuntimeHandle::own().unwrap(), collect);
        assert!(size_of_val(&run) <= 1032, "{} bytes", size_of_val(&run));
    }
}
