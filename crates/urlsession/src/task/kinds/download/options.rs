//! `DownloadOptions`: what an application has asked of a download, beside its request: where to, what to check, what to resume,
//! and who waits for its resume data. How it is done is for the others in this module.

use std::future::Future;
use std::sync::Arc;

use super::digest::{Checks, ContentDigest};
use super::partial_file::PartialFile;
use super::resume_info::ResumeRecord;
use super::shared_file::SharedFile;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{HttpUrlResponse, ResumeData, ResumeFailure, UrlRequest};
use crate::task::core::{Core, Live};
use crate::task::delegate::decision::Decision;
use crate::task::destination::DownloadDestination;
use crate::task::kind::KindState;
use crate::task::kinds::handles::DownloadTask;
use crate::task::state::TaskState;

/// Of one download; few have any.
#[derive(Default)]
pub(crate) struct DownloadOptions {
    pub(super) destination: Option<DownloadDestination>,
    pub(super) checks: Checks,
    /// What it is to resume, as it was given and as it was read.
    pub(super) given: Option<(ResumeData, ResumeRecord)>,
    pub(super) failure: Option<ResumeFailure>,
    /// Whom to ask for another request, in the place of a delegate.
    pub(super) refresh: Option<Arc<Refresh>>,
    takers: Vec<Taker>,
}

/// Gives another request for what the server refuses to go on with.
pub(super) type Refresh = dyn Fn(HttpUrlResponse) -> Decision<Option<UrlRequest>> + Send + Sync;

/// Who waits for resume data. Called once, on any thread.
pub(crate) type Taker = Box<dyn FnOnce(Option<ResumeData>) + Send>;

impl DownloadOptions {
    /// Those of resume data, with the request they resume.
    pub(crate) fn resuming(data: ResumeData) -> Result<(UrlRequest, Self)> {
        let noted = ResumeRecord::open(&data)?;
        let destination = match &noted.place {
            super::resume_info::PartialLocation::Destined(destination) => Some(destination.clone()),
            super::resume_info::PartialLocation::Temporary(_) => None,
        };
        let checks = Checks { expected: noted.expected.clone(), of_response: noted.checks_repr_digest };
        let request = noted.resume_info.request.clone();
        Ok((request, Self { destination, checks, given: Some((data, noted)), ..Self::default() }))
    }

    pub(super) fn take_takers(&mut self) -> Vec<Taker> {
        std::mem::take(&mut self.takers)
    }
}

/// What a download keeps in the core of its task.
#[derive(Default)]
pub(super) struct DownloadState {
    pub(super) options: DownloadOptions,
    /// Where a download that has begun is written.
    pub(super) shared_file: Option<SharedFile<PartialFile>>,
}

impl KindState<Core> for DownloadState {
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let takers = self.options.take_takers();
        if takers.is_empty() {
            return None;
        }
        // There is nothing to be resumed.
        Some(Box::new(|| takers.into_iter().for_each(|taker| taker(None))))
    }

    fn leftovers(&self) -> Option<fn(&Arc<Core>, UrlError) -> UrlError> {
        None
    }

    fn let_go(&mut self) {}
}

impl Core {
    pub(crate) fn set_download_options(&self, options: DownloadOptions) {
        self.live().kind_state_or_default::<DownloadState>().options = options;
    }

    /// Changes what is asked of it.
    fn change_options(&self, change: impl FnOnce(&mut DownloadOptions)) -> Result<()> {
        let mut live = self.live();
        if live.has_run || live.error.is_some() {
            let detail = "what a download is to do cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        change(live.download_options_mut());
        Ok(())
    }

    /// Cancels it; `taker` hears what it can be resumed with.
    fn cancel_for(self: &Arc<Self>, taker: Taker) {
        let mut live = self.live();
        if live.state() == TaskState::Completed {
            drop(live);
            taker(None);
            return;
        }
        live.download_options_mut().takers.push(taker);
        drop(live);
        self.cancel();
    }
}

impl Live {
    pub(super) fn download_options(&self) -> Option<&DownloadOptions> {
        Some(&self.kind_state::<DownloadState>()?.options)
    }

    pub(super) fn download_options_mut(&mut self) -> &mut DownloadOptions {
        &mut self.kind_state_or_default::<DownloadState>().options
    }
}

impl DownloadTask {
    /// Where the file is to be; `None` is a temporary file.
    pub fn destination(&self) -> Option<DownloadDestination> {
        self.core().live().download_options()?.destination.clone()
    }

    /// Names where the file is to be. Not of Apple's.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_destination(&self, destination: Option<DownloadDestination>) -> Result<()> {
        self.core().change_options(|options| options.destination = destination)
    }

    /// What the file must hash to; `None` is anything.
    pub fn expected_digest(&self) -> Option<ContentDigest> {
        self.core().live().download_options()?.checks.expected.clone()
    }

    /// Says what the file must hash to. It is checked before anybody sees the file: one that is not as expected is
    /// removed, and the task fails with [`BadServerResponse`](UrlErrorCode::BadServerResponse). Of a resumed download
    /// what is already here is hashed, too. Not of Apple's.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_expected_digest(&self, digest: Option<ContentDigest>) -> Result<()> {
        self.core().change_options(|options| options.checks.expected = digest)
    }

    /// Whether the file is checked against the server's own digests.
    pub fn checks_repr_digest(&self) -> bool {
        self.core().live().download_options().is_some_and(|options| options.checks.of_response)
    }

    /// Asks the server for a digest of what it sends (`Want-Repr-Digest`, RFC 9530) and checks the file against every
    /// SHA-256 and SHA-512 digest that it gives, as [`set_expected_digest`](Self::set_expected_digest) does; `false` by
    /// default. A server that gives none passes. The answer is asked for uncoded; one that is coded all the same and
    /// has a digest fails, because the digest is of the coded bytes. Not of Apple's.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_checks_repr_digest(&self, checks: bool) -> Result<()> {
        self.core().change_options(|options| options.checks.of_response = checks)
    }

    /// Gives a closure that is asked, in the place of
    /// [`need_new_download_request`](crate::TaskDelegate::need_new_download_request), when the server no longer gives the
    /// rest of a download that goes on with what is here; `response` is its refusal. The task waits for the future; `None`
    /// is no other request, and the task fails. Not of Apple's.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_on_expired_url<F, R>(&self, refresh: F) -> Result<()>
    where
        F: Fn(HttpUrlResponse) -> R + Send + Sync + 'static,
        R: Future<Output = Option<UrlRequest>> + Send + 'static,
    {
        let refresh = Arc::new(refresh);
        let ask: Arc<Refresh> = Arc::new(move |response| {
            let refresh = refresh.clone();
            // A panic of the closure is one of the future.
            Decision::later(async move { refresh(response).await })
        });
        self.core().change_options(|options| options.refresh = Some(ask))
    }

    /// Why what was here already of this download was of no use, so that it began anew, or why it was refused; `None` if
    /// there was nothing, or if it went on from there. Not of Apple's.
    pub fn resume_failure(&self) -> Option<ResumeFailure> {
        self.core().live().download_options()?.failure
    }

    /// Cancels the task and gives what it can be resumed with; `None` if it cannot be or is over already. It can if it is
    /// a `GET` over HTTP with the answer 200, uncoded, with a strong entity tag or a `Last-Modified` that is strong (RFC
    /// 9110 §8.8.2.2), without `Accept-Ranges: none`, and if anything has been written.
    ///
    /// The task is cancelled at once, whether or not the future is awaited. What is here of a download without a
    /// [destination](Self::set_destination) stays in the system's folder for temporary files until it is resumed or the
    /// system removes it.
    #[doc(alias = "cancelByProducingResumeData()")]
    pub fn cancel_by_producing_resume_data(&self) -> impl Future<Output = Option<ResumeData>> + Send + use<> {
        let (answer, responder) = Decision::deferred();
        // Not by way of the delegate queue, one of whose calls may be waiting for this.
        self.core().cancel_for(Box::new(|data| responder.answer(data)));
        async { answer.resolve().await.ok().flatten().flatten() }
    }

    /// As [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data); `handler` is called once, on the
    /// delegate queue.
    #[doc(alias = "cancel(byProducingResumeData:)")]
    pub fn cancel_by_producing_resume_data_with_handler(
        &self,
        handler: impl FnOnce(Option<ResumeData>) + Send + 'static,
    ) {
        let queue = self.core().session.queue.clone();
        self.core().cancel_for(Box::new(move |data| queue.add(move || handler(data))));
    }
}
