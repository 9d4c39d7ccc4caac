//! `DataFuture`: a data task as a future of its whole body. Apple: *data(for:delegate:)*.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::core::Core;
use super::delegate::TaskDelegate;
use super::handles::DataTask;
use super::task_future::Loading;
use super::{body_reader, run};
use crate::error::Result;
use crate::message::UrlResponse;

/// Body and response of a data task. Await it on any executor, or [`wait`](Self::wait) for it on a plain thread.
///
/// Nothing is sent before it is first polled. The load runs in the polls: on the caller's tokio runtime if there
/// is one with I/O and time drivers, otherwise woken by the library's own. Dropping it cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct DataFuture(Loading<(Bytes, UrlResponse)>);

impl DataFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, runtime| Box::pin(run::in_place(core, runtime, body_reader::collect))))
    }

    /// The task behind it, to observe, suspend or cancel it.
    pub fn task(&self) -> DataTask {
        DataTask::of(self.0.task())
    }

    /// A delegate of this task's own: it is asked about redirects and sees data as it comes, beside the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        self.0.set_delegate(delegate);
        self
    }

    /// Waits on this thread. It may be called anywhere, also inside an async runtime, whose thread it blocks.
    ///
    /// # Errors
    /// As awaiting it. At once, without a load, where it could never end: in a delegate call, completion handler or
    /// decision of a session that has a delegate, if that session makes the load, or another session whose own calls
    /// wait for this one; and on the thread that serves the library's sockets. Spawn the load there, or use a task with a
    /// completion handler.
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

#[cfg(test)]
mod tests {
    use super::super::core::Style;
    use super::super::kind::TaskKind;
    use super::super::queue::DelegateQueue;
    use super::super::session_shared::SessionShared;
    use super::*;
    use crate::configuration::Configuration;
    use crate::env::RuntimeHandle;
    use crate::message::UrlRequest;

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
        let run = run::in_place(core, RuntimeHandle::own(), body_reader::collect);
        assert!(size_of_val(&run) <= 1032, "{} bytes", size_of_val(&run));
    }
}
