//! A task as the layers below see it. They have no other access to the task.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;

use super::core::{Core, Style};
use super::kind::TaskKind;
use super::observe::TaskChange;
use crate::error::Result;
use crate::load::{
    BoxFuture, ConnectionChallengeHandler, Priority, SentFields, TaskDescription, TaskEvents, TaskProperties,
    TaskQuestions, UploadLink, UploadPoint, Uploading,
};
use crate::message::{
    AuthChallengeDisposition, BodyStream, DigestAlgorithm, UrlAuthenticationChallenge, UrlRequest,
    UrlResponse,
};
use crate::task::delegate::dispatch::DelegateTarget;

/// The context of a task.
pub(super) struct CoreContext<'a>(pub(super) &'a Arc<Core>);

impl CoreContext<'_> {
    async fn whole_body(&self, target: Option<DelegateTarget>) -> Option<Option<BodyStream>> {
        let ask =
            self.0.ask(target?, "need_new_body_stream", |delegate, task| delegate.need_new_body_stream(task));
        or_stop(ask).await
    }

    async fn rest_of_body(&self, target: Option<DelegateTarget>, offset: u64) -> Option<Option<BodyStream>> {
        let ask = self.0.ask(target?, "need_new_body_stream_from", move |delegate, task| {
            delegate.need_new_body_stream_from(task, offset)
        });
        or_stop(ask).await
    }
}

/// The decision of a delegate. A load whose delegate has failed goes no further: the task has recorded the failure, which
/// ends the load before it is polled again.
async fn or_stop<T>(ask: impl Future<Output = Result<Option<T>>>) -> Option<T> {
    match ask.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}

impl TaskQuestions for CoreContext<'_> {
    fn redirect<'a>(
        &'a self,
        response: &'a UrlResponse,
        next: UrlRequest,
    ) -> BoxFuture<'a, Option<UrlRequest>> {
        Box::pin(async move {
            let (Some(target), Some(response)) = (self.0.target(), response.http()) else {
                return Some(next);
            };
            let proposed = next.clone();
            let answer = self.0.ask(target, "will_perform_http_redirection", move |delegate, task| {
                delegate.will_perform_http_redirection(task, &response, proposed)
            });
            or_stop(answer).await.unwrap_or(Some(next))
        })
    }

    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition> {
        Box::pin(async move { or_stop(self.0.challenged(challenge)).await.unwrap_or_default() })
    }

    fn challenger(&self) -> Option<Arc<dyn ConnectionChallengeHandler>> {
        self.wants_informational().then(|| self.0.clone() as _)
    }

    fn new_body_from(&self, offset: u64) -> BoxFuture<'_, Option<BodyStream>> {
        Box::pin(async move {
            if offset == 0 {
                return self.whole_body(self.0.target()).await?;
            }
            // A task's own delegate that supplies only whole bodies comes before another delegate that supplies parts.
            let own = (self.0.passing_target(), self.0.own_target());
            let session = self.0.session_target();
            for (asked, without_the_next) in [own, (session.clone(), session)] {
                if let Some(rest) = self.rest_of_body(asked, offset).await {
                    return rest;
                }
                if let Some(whole) = self.whole_body(without_the_next).await {
                    return Some(whole?.skipping(offset));
                }
            }
            None
        })
    }

    fn wants_will_cache(&self) -> bool {
        // Apple: for data and upload tasks.
        if self.0.style != Style::Delegate || !matches!(self.0.kind, TaskKind::Data | TaskKind::Upload) {
            return false;
        }
        let live = self.0.live();
        live.delegate.is_some() || live.session_delegate.is_some()
    }
}

impl TaskEvents for CoreContext<'_> {
    fn requesting(&self, request: &Arc<UrlRequest>) {
        let mut live = self.0.live();
        if live.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, request)) {
            return;
        }
        live.current = Some(request.clone());
        live.sent = None;
        drop(live);
        self.0.tell_watchers(TaskChange::CurrentRequest);
    }

    fn sends(&self, fields: &Arc<SentFields>, protocol: &'static str) {
        self.0.live().sent = Some((fields.clone(), protocol));
    }

    fn sent(&self, bytes: u64) {
        self.0.bytes.sent.fetch_add(bytes, AcqRel);
        self.0.report_sent();
        self.0.tell_watchers(TaskChange::Bytes);
    }

    fn was_sent(&self, bytes: u64) {
        self.0.bytes.of_earlier.fetch_add(bytes, AcqRel);
        self.sent(bytes);
    }

    fn wants_informational(&self) -> bool {
        let live = self.0.live();
        live.delegate.is_some() || live.session_delegate.is_some()
    }

    fn informational(&self, response: UrlResponse) {
        if let (Some(target), Some(response)) = (self.0.target(), response.http()) {
            self.0.notify(target, "did_receive_informational_response", move |delegate, task| {
                delegate.did_receive_informational_response(task, &response);
            });
        }
    }

    fn waiting_for_connectivity(&self) {
        if std::mem::replace(&mut self.0.live().has_waited, true) {
            return;
        }
        if let Some(target) = self.0.target() {
            self.0.notify(target, "task_is_waiting_for_connectivity", |delegate, task| {
                delegate.task_is_waiting_for_connectivity(task);
            });
        }
    }
}

impl TaskProperties for CoreContext<'_> {
    fn described(&self, current: &Arc<UrlRequest>) -> TaskDescription {
        let live = self.0.live();
        TaskDescription {
            identifier: self.0.identifier(),
            label: live.description.clone(),
            priority: self.0.priority(),
            original: live.original.clone().unwrap_or_else(|| current.clone()),
            current: current.clone(),
        }
    }

    fn is_halted(&self) -> bool {
        self.0.is_halted()
    }

    /// Apple caches no response that is saved in a file (*Accessing cached data*).
    fn goes_to_file(&self) -> bool {
        self.0.kind == TaskKind::Download
    }

    fn priority(&self) -> f32 {
        self.0.priority()
    }

    fn lasting_priority(&self) -> Arc<dyn Priority> {
        self.0.clone()
    }
}

impl UploadLink for CoreContext<'_> {
    fn upload(&self) -> Option<Uploading> {
        self.0.uploading()
    }

    fn digest(&self) -> Option<DigestAlgorithm> {
        self.0.upload_digest()
    }

    fn upload_stands(&self, point: Option<UploadPoint>) {
        self.0.upload_stands(point);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;
    use crate::configuration::Configuration;
    use crate::env::block_on;
    use crate::task::session_shared::{DelegateSlot, SessionShared};
    use crate::task::{Decision, DelegateQueue, Task, TaskDelegate};

    /// Supplies parts, whole bodies, both or neither.
    struct Giving {
        part: Option<&'static str>,
        whole: Option<&'static str>,
    }

    fn given(text: Option<&'static str>) -> Decision<Option<BodyStream>> {
        text.map_or_else(Decision::default_handling, |text| {
            Some(BodyStream::from_reader(text.as_bytes())).into()
        })
    }

    impl TaskDelegate for Giving {
        fn need_new_body_stream(&self, task: &Task) -> Decision<Option<BodyStream>> {
            match task.next_delegate() {
                Some((next, task)) if self.whole.is_none() => next.need_new_body_stream(&task),
                _ => given(self.whole),
            }
        }

        fn need_new_body_stream_from(&self, _: &Task, _: u64) -> Decision<Option<BodyStream>> {
            given(self.part)
        }
    }

    fn ask(own: Option<Giving>, session: Option<Giving>, offset: u64) -> Option<String> {
        let session = session.map(|delegate| Arc::new(delegate) as Arc<dyn TaskDelegate>);
        let session = Arc::new(SessionShared::local(
            Configuration::ephemeral().into(),
            session,
            DelegateQueue::serial(),
        ));
        let request = UrlRequest::new("http://a/".parse().unwrap());
        let core = Core::new(&session, Ok(request), TaskKind::Upload, Style::Delegate, None);
        core.live().delegate =
            own.map(|delegate| DelegateSlot::new(Arc::new(delegate) as Arc<dyn TaskDelegate>));
        let mut chunks = block_on(CoreContext(&core).new_body_from(offset))?.take()?;
        let next = |cx: &mut Context<'_>| chunks.as_mut().poll_next(cx);
        Some(String::from_utf8(block_on(std::future::poll_fn(next))?.unwrap().to_vec()).unwrap())
    }

    #[test]
    fn the_rest_of_a_body_is_had_from_who_gives_parts_else_wholes_the_task_s_own_delegate_first() {
        let giving = |part, whole| Some(Giving { part, whole });
        let neither = || giving(None, None);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(ask(None, giving(Some("part"), Some("whole")), 2), text("part"));
        assert_eq!(ask(None, giving(None, Some("whole")), 2), text("ole"));
        assert_eq!(ask(giving(None, Some("whole")), giving(Some("part"), None), 2), text("ole"));
        assert_eq!(ask(neither(), giving(Some("part"), Some("whole")), 2), text("part"));
        assert_eq!(ask(neither(), giving(None, Some("whole")), 2), text("ole"));
        assert_eq!(ask(neither(), giving(Some("part"), Some("whole")), 0), text("whole"));
        assert_eq!(ask(neither(), neither(), 2), None);
        assert_eq!(ask(None, None, 2), None);
    }
}
