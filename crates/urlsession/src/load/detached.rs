//! `DetachedContext`: the task of a load that has none. It answers every question as an application without a delegate does, and
//! follows no redirect. Stand-ins of tests build on it: they answer by themselves what `DetachedAnswers` lists.

use parking_lot::Mutex;
use std::sync::Arc;

use super::{
    BoxFuture, ConnectionChallengeHandler, Priority, SentFields, TaskDescription, TaskEvents, TaskProperties,
    TaskQuestions, UploadLink, UploadPoint, Uploading,
};
use crate::message::{
    AuthChallengeDisposition, BodyStream, DigestAlgorithm, UrlAuthenticationChallenge, UrlRequest,
    UrlResponse,
};

#[derive(Default)]
pub(crate) struct DetachedContext {
    uploading: Mutex<Option<Uploading>>,
}

impl DetachedContext {
    /// Of a task that has given up its upload.
    pub(crate) fn giving_up(point: UploadPoint) -> Self {
        Self { uploading: Mutex::new(Some(Uploading::GivenUp(Box::new(point)))) }
    }
}

impl DetachedAnswers for DetachedContext {
    fn upload(&self) -> Option<Uploading> {
        self.uploading.lock().take()
    }
}

/// What a load without a task may answer by itself. To everything else nobody answers.
pub(crate) trait DetachedAnswers: Send + Sync {
    fn follow(&self, _next: UrlRequest) -> Option<UrlRequest> {
        None
    }

    fn answer(&self, _challenge: &UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        AuthChallengeDisposition::PerformDefaultHandling
    }

    fn upload(&self) -> Option<Uploading> {
        None
    }
}

impl<T: DetachedAnswers> TaskQuestions for T {
    fn redirect<'a>(&'a self, _: &'a UrlResponse, next: UrlRequest) -> BoxFuture<'a, Option<UrlRequest>> {
        Box::pin(async move { self.follow(next) })
    }

    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition> {
        Box::pin(async move { self.answer(challenge) })
    }

    fn challenger(&self) -> Option<Arc<dyn ConnectionChallengeHandler>> {
        None
    }

    fn new_body_from(&self, _: u64) -> BoxFuture<'_, Option<BodyStream>> {
        Box::pin(async { None })
    }

    fn wants_will_cache(&self) -> bool {
        false
    }
}

impl<T: DetachedAnswers> TaskEvents for T {
    fn requesting(&self, _: &Arc<UrlRequest>) {}

    fn sends(&self, _: &Arc<SentFields>, _: &'static str) {}

    fn sent(&self, _: u64) {}

    fn was_sent(&self, _: u64) {}

    fn wants_informational(&self) -> bool {
        false
    }

    fn informational(&self, _: UrlResponse) {}

    fn waiting_for_connectivity(&self) {}
}

impl<T: DetachedAnswers> TaskProperties for T {
    fn described(&self, current: &Arc<UrlRequest>) -> TaskDescription {
        TaskDescription {
            identifier: 0,
            label: None,
            priority: MEDIUM,
            original: current.clone(),
            current: current.clone(),
        }
    }

    fn is_halted(&self) -> bool {
        false
    }

    fn goes_to_file(&self) -> bool {
        false
    }

    fn priority(&self) -> f32 {
        MEDIUM
    }

    fn lasting_priority(&self) -> Arc<dyn Priority> {
        Arc::new(Medium)
    }
}

impl<T: DetachedAnswers> UploadLink for T {
    fn upload(&self) -> Option<Uploading> {
        DetachedAnswers::upload(self)
    }

    fn digest(&self) -> Option<DigestAlgorithm> {
        None
    }

    fn upload_stands(&self, _: Option<UploadPoint>) {}
}

struct Medium;

impl Priority for Medium {
    fn priority(&self) -> f32 {
        MEDIUM
    }
}

/// `URLSessionTask.defaultPriority`
const MEDIUM: f32 = 0.5;
