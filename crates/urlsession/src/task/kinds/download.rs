//! `DownloadFuture`: a response saved in a file, for a delegate, a handler or a future. Apple: *URLSessionDownloadTask*.
//!
//! The file is written on a separate thread, a batch at a time, unless the disk accepts the bytes at once. During a write
//! nothing is read, so that memory is bounded and a slow disk holds the server back. The state machine decides what to
//! request; the partial file decides what the file contains.

pub(in crate::task) mod digest;
pub(in crate::task) mod options;
mod partial;
mod partial_file;
mod preallocation;
mod resume_info;
mod shared_file;
mod stamp;
mod state_machine;
mod write_latency;
mod writing;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use self::digest::ContentDigest;
use self::options::{DownloadState, Taker};
use self::partial_file::PartialDownload;
use self::partial_file::PartialFile;
use self::resume_info::untrusted_servers;
use self::shared_file::SharedFile;
use self::state_machine::{DownloadStateMachine, Next};
use self::writing::Writing;
use super::handles::DownloadTask;
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::load::{BoxFuture, Response, TransactionLog};
use crate::message::{HttpUrlResponse, ResumeData, UrlRequest, UrlResponse};
use crate::task::core::{Core, Style};
use crate::task::delegate::TaskDelegate;
use crate::task::destination::DownloadDestination;
use crate::task::downloaded_file::DownloadedFile;
use crate::task::retry::RetryPolicy;
use crate::task::run::collect::Reading;
use crate::task::run::drive::{drive, load};
use crate::task::run::finish::{LogGuard, end_in_place, finish};
use crate::task::run::retrying::{Retries, Tried};
use crate::task::run::task_future::Loading;

/// The file and the response of a download. Await it on any executor, or block a plain thread with [`wait`](Self::wait).
///
/// Nothing is sent before the first poll. Dropping the future cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct DownloadFuture(Loading<(DownloadedFile, UrlResponse)>);

impl DownloadFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, runtime| {
            Box::pin(async move {
                let mut guard = LogGuard::new(&core);
                let result = saved(&core, &runtime, &mut guard.log, None).await;
                end_in_place(&core, &mut guard, result).await
            })
        }))
    }

    /// The task of this future, to observe, suspend or cancel it.
    pub fn task(&self) -> DownloadTask {
        DownloadTask::of(self.0.task())
    }

    /// Sets the destination of the file. The file is written beside the destination and appears there when it is complete.
    /// A partial file of an earlier download to this destination is resumed: see [`DownloadDestination`].
    ///
    /// ```no_run
    /// # use urlsession::{DownloadDestination, UrlSession};
    /// # async fn load() -> Result<(), urlsession::UrlError> {
    /// UrlSession::shared().download("https://example.com/a.iso").to("a.iso").await?;
    /// let anew = DownloadDestination::file("a.iso").overwriting();
    /// UrlSession::shared().download("https://example.com/a.iso").to(anew).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn to(self, destination: impl Into<DownloadDestination>) -> Self {
        // It cannot fail: the task has not been polled, so it has not been resumed.
        let _ = self.task().set_destination(Some(destination.into()));
        self
    }

    /// Sets the expected digest of the file; see [`DownloadTask::set_expected_digest`].
    ///
    /// ```no_run
    /// # use urlsession::uploads::ContentDigest;
    /// # use urlsession::UrlSession;
    /// # async fn load() -> Result<(), urlsession::UrlError> {
    /// let digest = ContentDigest::from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")?;
    /// UrlSession::shared().download("https://example.com/a.iso").expecting_digest(digest).to("a.iso").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn expecting_digest(self, digest: ContentDigest) -> Self {
        // It cannot fail, as above.
        let _ = self.task().set_expected_digest(Some(digest));
        self
    }

    /// Requests a digest from the server and checks it; see [`DownloadTask::set_checks_repr_digest`].
    pub fn checking_repr_digest(self) -> Self {
        // It cannot fail, as above.
        let _ = self.task().set_checks_repr_digest(true);
        self
    }

    /// Sets the closure that is called for another request when the server refuses the rest of a download that is being
    /// resumed (401, 403, 404, 410, or 400), for example because a signed URL has expired; see
    /// [`DownloadTask::set_on_expired_url`] and [`need_new_download_request`](TaskDelegate::need_new_download_request).
    ///
    /// ```no_run
    /// # use urlsession::{DownloadDestination, UrlRequest, UrlSession};
    /// # async fn signed() -> Option<UrlRequest> { None }
    /// # async fn load() -> Result<(), urlsession::UrlError> {
    /// // The URL is another one each time; the name says that it is the same download all the same.
    /// let destination = DownloadDestination::file("a.iso").identified_by("a.iso of release 7");
    /// let url = "https://example.com/a.iso?signature=old";
    /// UrlSession::shared().download(url).on_expired_url(|_| signed()).to(destination).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_expired_url<F, R>(self, refresh: F) -> Self
    where
        F: Fn(HttpUrlResponse) -> R + Send + Sync + 'static,
        R: Future<Output = Option<UrlRequest>> + Send + 'static,
    {
        // It cannot fail, as above.
        let _ = self.task().set_on_expired_url(refresh);
        self
    }

    /// Tries again, up to this number of times, after a temporary failure: `.retry(3)`, or a [`RetryPolicy`], which
    /// documents exactly what is tried again and when. A try continues with the bytes that are in the file already, if the
    /// server can send the rest (RFC 9110 §14). Extension: no counterpart in Apple's API.
    pub fn retry(mut self, policy: impl Into<RetryPolicy>) -> Self {
        self.0.core().set_retry(policy.into());
        self.0.start_by(|core, runtime| {
            Box::pin(async move {
                let mut guard = LogGuard::new(&core);
                let result = saved_with_retries(&core, &runtime, &mut guard.log).await;
                end_in_place(&core, &mut guard, result).await
            })
        });
        self
    }

    /// Sets the task's own delegate: it decides about redirects and receives the write progress, in addition to the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        self.0.set_delegate(delegate);
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
    pub fn wait(self) -> Result<(DownloadedFile, UrlResponse)> {
        self.0.wait()
    }
}

impl Future for DownloadFuture {
    type Output = Result<(DownloadedFile, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for DownloadFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadFuture").field("task", &*self.task()).finish()
    }
}

/// Runs a download that has a delegate; with an existing response if that comes from another task.
pub(in crate::task) async fn run(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    mut log: TransactionLog,
    response: Option<Response>,
) {
    let result = saved(&core, &runtime, &mut log, response).await.map(|(file, _)| {
        if let Some(target) = core.target() {
            core.notify(target, "did_finish_downloading", move |delegate, task| {
                delegate.did_finish_downloading(&DownloadTask::of(task.clone()), file.path());
            });
        }
    });
    finish(&core, result.err(), &mut log);
}

/// Saves the body, as the poll gate permits. An error contains the resume data of the download.
pub(in crate::task) async fn saved(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    response: Option<Response>,
) -> Result<(DownloadedFile, UrlResponse)> {
    let shared_file = begin(core);
    let result = drive(core, runtime, pin!(save(core, runtime, log, response, &shared_file, None))).await;
    match result {
        Ok(Tried::Done(saved)) => Ok(saved),
        Ok(Tried::Refused(_)) => unreachable!("there is one try only"),
        Err(error) => Err(left(core, runtime, shared_file, error).await),
    }
}

/// Same as [`saved`], with retries; each try continues with the file of the one before.
async fn saved_with_retries(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<(DownloadedFile, UrlResponse)> {
    let shared_file = begin(core);
    let result = drive(core, runtime, pin!(Retries::new(core, runtime).run(log, try_to_save))).await;
    match result {
        Ok(saved) => Ok(saved),
        Err(error) => Err(left(core, runtime, shared_file, error).await),
    }
}

fn try_to_save<'t>(
    retries: &'t Retries<'_>,
    log: &'t mut TransactionLog,
) -> BoxFuture<'t, Result<Tried<(DownloadedFile, UrlResponse)>>> {
    Box::pin(async move {
        let shared_file = retries
            .core
            .live()
            .kind_state_or_default::<DownloadState>()
            .shared_file
            .clone()
            .unwrap_or_default();
        save(retries.core, retries.runtime, log, None, &shared_file, Some(retries)).await
    })
}

fn begin(core: &Core) -> SharedFile<PartialFile> {
    let shared_file = SharedFile::default();
    core.live().kind_state_or_default::<DownloadState>().shared_file = Some(shared_file.clone());
    shared_file
}

/// Loads the response, unless there is one already, and saves the body.
async fn save(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    mut response: Option<Response>,
    shared_file: &SharedFile<PartialFile>,
    retries: Option<&Retries<'_>>,
) -> Result<Tried<(DownloadedFile, UrlResponse)>> {
    let target = match core.style {
        Style::Delegate => core.target(),
        Style::Future => core.own_target(),
        Style::Handler => None,
    };
    let mut course =
        DownloadStateMachine::begin(core, runtime, shared_file, target.clone(), response.is_some()).await?;
    let checks = course.checks.clone();
    let mut writing = Writing::new(core, runtime, shared_file, checks, target);
    loop {
        let (first, taken) = match response.take() {
            Some(response) => (0, response),
            None => (log.len(), load(core, runtime, log, course.request()?).await?),
        };
        let Response { head, mut body } = taken;
        if let Some(retries) = retries {
            body = match retries.after_response(&head, body, log).await {
                Ok(pause) => return Ok(Tried::Refused(pause)),
                Err(body) => body,
            };
        }
        let untrusted = untrusted_servers(log.get(first..).unwrap_or_default());
        let named = |error: UrlError| error.with_url(head.url());
        let next = {
            course.is_decoded = body.is_decoded();
            let mut reading = Reading::new(core, log, &mut body);
            let next = course.answer(&head, untrusted, reading.rest()).await;
            match next.map_err(named)? {
                Next::Read(end) => {
                    writing.write_all(&mut reading, end).await.map_err(named)?;
                    if end.is_some() { course.after_part() } else { Next::Done }
                }
                next => next,
            }
        };
        if next == Next::Done {
            return Ok(Tried::Done((course.finish(&head).await.map_err(named)?, head)));
        }
    }
}

/// What a failed download leaves: resume data in its error and for the callers that wait for it, or nothing.
async fn left(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    shared_file: SharedFile<PartialFile>,
    error: UrlError,
) -> UrlError {
    let (checks, takers, given) = {
        let mut live = core.live();
        let options = live.download_options_mut();
        let given = options.given.as_ref().map(|(data, _)| data.clone());
        (options.checks.clone(), options.take_takers(), given)
    };
    let is_wanted = !takers.is_empty() || !error.is_of_owner();
    let work = move || {
        // A write that is still running finishes first.
        let partial_file = shared_file.lock().take();
        (partial_file.is_some(), partial_file.and_then(|partial_file| partial_file.leave(&checks, is_wanted)))
    };
    let (data, path) = match runtime.blocking(work).await {
        Ok((_, Some(PartialDownload { data, path }))) => (Some(data), path),
        // The data was not used.
        Ok((false, None)) => (given, None),
        Ok((true, None)) | Err(_) => (None, None),
    };
    let Some(data) = data.filter(|_| is_wanted) else {
        give(takers, None);
        return error;
    };
    if takers.is_empty() {
        return error.with_resume_data(data, move || PartialDownload::keep(path));
    }
    PartialDownload::keep(path);
    give(takers, Some(data.clone()));
    error.with_resume_data(data, || {})
}

fn give(takers: Vec<Taker>, data: Option<ResumeData>) {
    for taker in takers {
        taker(data.clone());
    }
}

/// A function that completes when all received bytes of a download are on the disk; it blocks. `None` if the task is not a
/// download or has not begun.
pub(crate) fn flushing(core: &Arc<Core>) -> Option<impl FnOnce() + Send + use<>> {
    let live = core.live();
    let state = live.kind_state::<DownloadState>()?;
    let (shared_file, checks) = (state.shared_file.clone()?, state.options.checks.clone());
    drop(live);
    let clock = core.session.config.environment.clock.clone();
    Some(move || {
        let mut guard = shared_file.lock();
        if let Some(partial_file) = &mut *guard {
            let batch = shared_file.take_batch(partial_file);
            partial_file.flush(&batch, &checks, clock.now());
        }
    })
}
