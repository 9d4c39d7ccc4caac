//! `Delivery`: the calls to the delegate of a task between the head and the end of its body: a response, or one for each
//! part, and data, as it comes or in one piece. `dispatch` makes the calls.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use super::mixed_replace::{Part, Parts};
use crate::error::{Result, UrlError};
use crate::load::Response;
use crate::message::UrlResponse;
use crate::task::core::Core;
use crate::task::delegate::ResponseDisposition;
use crate::task::delegate::dispatch::DelegateTarget;
use crate::task::kinds::handles::DataTask;

pub(in crate::task) struct Delivery {
    core: Arc<Core>,
    target: DelegateTarget,
    /// A body of parts, and, until its first byte, the response of the whole.
    parts: Option<Parts>,
    unheard: Option<UrlResponse>,
    /// The data of the last response, if it is to be delivered in one piece.
    gathered: Option<BytesMut>,
}

impl Delivery {
    /// The head has been received. It is delivered at once, unless there will be one for each part.
    pub(in crate::task) async fn begin(
        core: &Arc<Core>,
        target: DelegateTarget,
        head: &UrlResponse,
    ) -> Result<(Self, Option<Becomes>)> {
        let parts = Parts::of(head)?;
        let gathered = (!core.live().prefers_incremental_delivery).then(BytesMut::new);
        let mut this = Self { core: core.clone(), target, parts, unheard: Some(head.clone()), gathered };
        let becomes = if this.parts.is_none() { this.hear_of_whole().await? } else { None };
        Ok((this, becomes))
    }

    /// More of the body has been received.
    pub(in crate::task) async fn chunk(&mut self, chunk: Bytes) -> Result<()> {
        self.unheard = None;
        let Some(parts) = &mut self.parts else {
            self.data(chunk).await;
            return Ok(());
        };
        parts.push(&chunk);
        while let Some(part) = self.parts.as_mut().map_or(Ok(None), Parts::next)? {
            match part {
                // Only a whole response can become another task.
                Part::Response(response) => drop(self.response(response).await?),
                Part::Data(data) => self.data(data).await,
            }
        }
        Ok(())
    }

    /// The body has ended.
    pub(in crate::task) async fn end(mut self) -> Result<()> {
        if self.unheard.is_some() {
            // Without a body there are no parts, for example in the answer to a HEAD.
            return self.hear_of_whole().await.map(drop);
        }
        if let Some(rest) = self.parts.as_mut().map_or(Ok(None), Parts::finish)? {
            self.data(rest).await;
        }
        self.deliver_gathered().await;
        Ok(())
    }

    async fn hear_of_whole(&mut self) -> Result<Option<Becomes>> {
        match self.unheard.take() {
            Some(head) => self.response(head).await,
            None => Ok(None),
        }
    }

    async fn response(&mut self, response: UrlResponse) -> Result<Option<Becomes>> {
        self.deliver_gathered().await;
        let disposition = {
            let _pause = self.core.activity.pause_idle();
            let ask = self.core.ask(self.target.clone(), "did_receive_response", move |delegate, task| {
                delegate.did_receive_response(&DataTask::of(task.clone()), &response)
            });
            ask.await?.unwrap_or_default()
        };
        match disposition {
            ResponseDisposition::Cancel => {
                self.core.cancel();
                Err(UrlError::cancelled())
            }
            ResponseDisposition::Allow => Ok(None),
            ResponseDisposition::BecomeDownload => Ok(Some(Becomes::Download)),
            ResponseDisposition::BecomeStream => Ok(Some(Becomes::Stream)),
        }
    }

    async fn data(&mut self, data: Bytes) {
        if let Some(gathered) = &mut self.gathered {
            gathered.extend_from_slice(&data);
            return;
        }
        self.core.deliver(self.target.clone(), data).await;
    }

    async fn deliver_gathered(&mut self) {
        let gathered = self.gathered.as_mut().map(BytesMut::split).filter(|data| !data.is_empty());
        if let Some(data) = gathered {
            self.core.deliver(self.target.clone(), data.freeze()).await;
        }
    }
}

/// The kind of task that the delegate wants to read a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::task) enum Becomes {
    Download,
    Stream,
}

/// A response that another task continues.
pub(in crate::task) struct Conversion {
    pub(in crate::task) becomes: Becomes,
    pub(in crate::task) response: Response,
}

impl Core {
    /// Delivers body bytes. While the delegate is behind, the load waits: the bound is one chunk more than [`IN_DELIVERY`].
    pub(in crate::task) async fn deliver(self: &Arc<Self>, target: DelegateTarget, data: Bytes) {
        let length = data.len() as u64;
        let in_delivery = &self.bytes.in_delivery;
        if in_delivery.load(Acquire) > IN_DELIVERY {
            // The time of the delegate does not count for the server's timeout.
            let _pause = self.activity.pause_idle();
            poll_fn(|_| match in_delivery.load(Acquire) > IN_DELIVERY {
                // Every decrease of the count wakes the whole task, which polls this again.
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
        in_delivery.fetch_add(length, AcqRel);
        self.enqueue("did_receive_data", move |core| {
            core.call(target, "did_receive_data", |delegate, task| {
                delegate.did_receive_data(&DataTask::of(task.clone()), data);
            });
            core.bytes.in_delivery.fetch_sub(length, AcqRel);
            core.wake();
        });
    }
}

/// Body bytes that may wait for a delegate.
const IN_DELIVERY: u64 = 256 * 1024;
