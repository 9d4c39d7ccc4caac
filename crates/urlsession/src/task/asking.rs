//! A task as the layers below see it: the one road up.

use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;

use super::core::{Core, Style};
use super::kind::Kind;
use super::observe::TaskChange;
use crate::load::{Ask, BoxFuture, Challenger, Priority, UploadPoint, Uploading, UrlProtocolTask};
use crate::message::{
    AuthChallengeDisposition, BodyStream, UrlAuthenticationChallenge, UrlRequest, UrlResponse,
};

/// Speaks for a task.
pub(super) struct Asking<'a>(pub(super) &'a Arc<Core>);

impl Ask for Asking<'_> {
    fn redirect<'a>(
        &'a self,
        response: &'a UrlResponse,
        next: UrlRequest,
    ) -> BoxFuture<'a, Option<UrlRequest>> {
        Box::pin(async move {
            let (Some(audience), Some(response)) = (self.0.audience(), response.http()) else {
                return Some(next);
            };
            let proposed = next.clone();
            let answer = self.0.ask(audience, "will_perform_http_redirection", move |delegate, task| {
                delegate.will_perform_http_redirection(task, &response, proposed)
            });
            answer.await.unwrap_or(Some(next))
        })
    }

    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition> {
        Box::pin(async move { self.0.challenged(challenge).await.unwrap_or_default() })
    }

    fn new_body(&self) -> BoxFuture<'_, Option<BodyStream>> {
        Box::pin(async move {
            let audience = self.0.audience()?;
            self.0
                .ask(audience, "need_new_body_stream", |delegate, task| delegate.need_new_body_stream(task))
                .await?
        })
    }

    fn described(&self, current: &Arc<UrlRequest>) -> UrlProtocolTask {
        let live = self.0.live();
        UrlProtocolTask {
            identifier: self.0.identifier(),
            description: live.description.clone(),
            priority: self.0.priority(),
            original: live.original.clone().unwrap_or_else(|| current.clone()),
            current: current.clone(),
        }
    }

    fn requesting(&self, request: &Arc<UrlRequest>) {
        let mut live = self.0.live();
        if live.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, request)) {
            return;
        }
        live.current = Some(request.clone());
        drop(live);
        self.0.tell_watchers(TaskChange::CurrentRequest);
    }

    fn sent(&self, bytes: u64) {
        self.0.bytes.sent.fetch_add(bytes, AcqRel);
        self.0.report_sent();
        self.0.tell_watchers(TaskChange::Bytes);
    }

    fn wants_informational(&self) -> bool {
        let live = self.0.live();
        live.delegate.is_some() || live.session_delegate.is_some()
    }

    fn informational(&self, response: UrlResponse) {
        if let (Some(audience), Some(response)) = (self.0.audience(), response.http()) {
            self.0.tell(audience, "did_receive_informational_response", move |delegate, task| {
                delegate.did_receive_informational_response(task, &response);
            });
        }
    }

    fn waiting_for_connectivity(&self) {
        if std::mem::replace(&mut self.0.live().has_waited, true) {
            return;
        }
        if let Some(audience) = self.0.audience() {
            self.0.tell(audience, "task_is_waiting_for_connectivity", |delegate, task| {
                delegate.task_is_waiting_for_connectivity(task);
            });
        }
    }

    fn challenger(&self) -> Option<Arc<dyn Challenger>> {
        self.wants_informational().then(|| self.0.clone() as _)
    }

    /// Apple caches nothing that goes to a file (*Accessing cached data*).
    fn goes_to_file(&self) -> bool {
        matches!(self.0.kind, Kind::Download)
    }

    fn wants_will_cache(&self) -> bool {
        // Apple: of data and upload tasks.
        if self.0.style != Style::Delegate || !matches!(self.0.kind, Kind::Data | Kind::Upload) {
            return false;
        }
        let live = self.0.live();
        live.delegate.is_some() || live.session_delegate.is_some()
    }

    fn upload(&self) -> Option<Uploading> {
        self.0.uploading()
    }

    fn upload_stands(&self, point: Option<UploadPoint>) {
        self.0.upload_stands(point);
    }

    fn priority(&self) -> f32 {
        self.0.priority()
    }

    fn lasting_priority(&self) -> Arc<dyn Priority> {
        self.0.clone()
    }
}
