//! `DownloadOptions`: what an application has set for a download, in addition to its request: the destination, the checks,
//! the resume data, and the callers that wait for its resume data. The other modules here implement these options.

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

/// The options of one download; most downloads have none.
#[derive(Default)]
pub(crate) struct DownloadOptions {
    pub(super) destination: Option<DownloadDestination>,
    pub(super) checks: Checks,
    /// The resume data, as it was given and as it was read.
    pub(super) given: Option<(ResumeData, ResumeRecord)>,
    pub(super) failure: Option<ResumeFailure>,
    /// The closure that supplies another request, in place of a delegate.
    pub(super) refresh: Option<Arc<Refresh>>,
    takers: Vec<Taker>,
}

/// Supplies another request when the server refuses to continue.
pub(super) type Refresh = dyn Fn(HttpUrlResponse) -> Decision<Option<UrlRequest>> + Send + Sync;

/// A caller that waits for resume data. Called once, on any thread.
pub(crate) type Taker = Box<dyn FnOnce(Option<ResumeData>) + Send>;

impl DownloadOptions {
    /// The options from resume data, with the request to resume.
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

/// The state that a download keeps in the core of its task.
#[derive(Default)]
pub(super) struct DownloadState {
    pub(super) options: DownloadOptions,
    /// The file that a running download writes.
    pub(super) shared_file: Option<SharedFile<PartialFile>>,
}

impl KindState<Core> for DownloadState {
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let takers = self.options.take_takers();
        if takers.is_empty() {
            return None;
        }
        // There is nothing to resume.
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

    /// Changes the options.
    fn change_options(&self, change: impl FnOnce(&mut DownloadOptions)) -> Result<()> {
        let mut live = self.live();
        if live.has_run || live.error.is_some() {
            let detail = "the options of a download cannot be set after `resume()`";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        change(live.download_options_mut());
        Ok(())
    }

    /// Cancels the download; `taker` receives the resume data.
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
    /// The destination of the file; `None` is a temporary file. Default: `None`.
    pub fn destination(&self) -> Option<DownloadDestination> {
        self.core().live().download_options()?.destination.clone()
    }

    /// Sets the destination of the file; `None` is a temporary file. Extension: no counterpart in Apple's API.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_destination(&self, destination: Option<DownloadDestination>) -> Result<()> {
        self.core().change_options(|options| options.destination = destination)
    }

    /// The expected digest of the file; `None` permits any content. Default: `None`.
    pub fn expected_digest(&self) -> Option<ContentDigest> {
        self.core().live().download_options()?.checks.expected.clone()
    }

    /// Sets the expected digest of the file. It is checked before the file is published: a file with another digest is
    /// removed, and the task fails with [`BadServerResponse`](UrlErrorCode::BadServerResponse). For a resumed download the
    /// existing part of the file is hashed, too. Extension: no counterpart in Apple's API.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_expected_digest(&self, digest: Option<ContentDigest>) -> Result<()> {
        self.core().change_options(|options| options.checks.expected = digest)
    }

    /// Whether the file is checked against the digests that the server sends. Default: `false`.
    pub fn checks_repr_digest(&self) -> bool {
        self.core().live().download_options().is_some_and(|options| options.checks.of_response)
    }

    /// Sets whether to request a digest of the content from the server (`Want-Repr-Digest`, RFC 9530) and to check the file
    /// against every SHA-256 and SHA-512 digest in the response, as [`set_expected_digest`](Self::set_expected_digest)
    /// does. Default: `false`. A response without a digest passes. The response is requested uncoded. A response that is
    /// coded nevertheless and has a digest fails, because the digest is of the coded bytes. Extension: no counterpart in
    /// Apple's API.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_checks_repr_digest(&self, checks: bool) -> Result<()> {
        self.core().change_options(|options| options.checks.of_response = checks)
    }

    /// Sets the closure that is called, in place of
    /// [`need_new_download_request`](crate::TaskDelegate::need_new_download_request), when the server refuses the rest of a
    /// download that is being resumed; `response` is the refusal. The task waits for the future. If the future returns
    /// `None`, the task fails. Extension: no counterpart in Apple's API.
    ///
    /// # Errors
    /// [`Cancelled`](UrlErrorCode::Cancelled) after the first `resume`.
    pub fn set_on_expired_url<F, R>(&self, refresh: F) -> Result<()>
    where
        F: Fn(HttpUrlResponse) -> R + Send + Sync + 'static,
        R: Future<Output = Option<UrlRequest>> + Send + 'static,
    {
        let refresh = Arc::new(refresh);
        let ask: Arc<Refresh> = Arc::new(move |response| {
            let refresh = refresh.clone();
            // A panic of the closure is handled as a panic of the future.
            Decision::later(async move { refresh(response).await })
        });
        self.core().change_options(|options| options.refresh = Some(ask))
    }

    /// Why an existing part of this download could not be used, so that the download started from the beginning or was
    /// refused; `None` if there was no existing part, or if the download resumed from it. Extension: no counterpart in
    /// Apple's API.
    pub fn resume_failure(&self) -> Option<ResumeFailure> {
        self.core().live().download_options()?.failure
    }

    /// Cancels the task and returns its resume data; `None` if the download cannot be resumed or is over already. A
    /// download can be resumed if it is a `GET` over HTTP with the status 200, uncoded, with a strong entity tag or a
    /// `Last-Modified` that is strong (RFC 9110 §8.8.2.2), without `Accept-Ranges: none`, and if any bytes have been
    /// written.
    ///
    /// The task is cancelled at once, whether or not the future is awaited. The partial file of a download without a
    /// [destination](Self::set_destination) stays in the system's folder for temporary files until it is resumed or the
    /// system removes it.
    #[doc(alias = "cancelByProducingResumeData()")]
    pub fn cancel_by_producing_resume_data(&self) -> impl Future<Output = Option<ResumeData>> + Send + use<> {
        let (answer, responder) = Decision::deferred();
        // Not on the delegate queue, because one of its calls may be waiting for this.
        self.core().cancel_for(Box::new(|data| responder.answer(data)));
        async { answer.resolve().await.ok().flatten().flatten() }
    }

    /// Same as [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data); `handler` is called once, on the
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
