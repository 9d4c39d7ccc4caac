//! `Download`: a response saved in a file, for a delegate, a handler or a future. Apple: *URLSessionDownloadTask*.
//!
//! Writing happens beside the reactor, a batch at a time, unless the disk takes it at once; while it does, nothing is
//! read, so that memory is bounded and a slow disk holds the server back. What to ask for is the state machine's business, what
//! is in the file the partial file's.

mod digest;
mod options;
mod partial;
mod partial_file;
mod preallocation;
mod resume_info;
mod shared_file;
mod stamp;
mod state_machine;
mod write_latency;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::digest::ContentDigest;
pub(crate) use self::options::DownloadOptions;
use self::options::{Checks, Taker};
use self::partial_file::PartialDownload;
pub(super) use self::partial_file::PartialFile;
use self::resume_info::untrusted_servers;
pub(super) use self::shared_file::SharedFile;
use self::state_machine::{DownloadStateMachine, Next};
use self::write_latency::WriteLatency;
use super::body_reader::Reading;
use super::core::{Core, Style};
use super::delegate::TaskDelegate;
use super::destination::DownloadDestination;
use super::dispatch::DelegateTarget;
use super::downloaded_file::DownloadedFile;
use super::kind::DownloadTask;
use super::run;
use super::task_future::Loading;
use crate::env::{RuntimeHandle, SplicePipe, Timer};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ReadPause, Response, TransactionLog};
use crate::message::{HttpUrlResponse, InvalidHeaderField, ResumeData, UrlRequest, UrlResponse};

/// File and response of a download. Await it on any executor, or [`wait`](Self::wait) for it on a plain thread.
///
/// Nothing is sent before it is first polled. Dropping it cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct DownloadFuture(Loading<(DownloadedFile, UrlResponse)>);

impl DownloadFuture {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, runtime| {
            Box::pin(async move {
                let mut guard = run::LogGuard::new(&core);
                let result = saved(&core, &runtime, &mut guard.log, None).await;
                run::end_in_place(&core, &mut guard, result).await
            })
        }))
    }

    /// The task behind it, to observe, suspend or cancel it.
    pub fn task(&self) -> DownloadTask {
        DownloadTask::of(self.0.task())
    }

    /// Names where the file is to be. It is written beside that place and appears there when it is whole. What an earlier
    /// download to that place left is gone on with: see [`DownloadDestination`].
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

    /// Says what the file must hash to; see [`DownloadTask::set_expected_digest`].
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

    /// Asks the server for a digest and checks it; see [`DownloadTask::set_checks_repr_digest`].
    pub fn checking_repr_digest(self) -> Self {
        // It cannot fail, as above.
        let _ = self.task().set_checks_repr_digest(true);
        self
    }

    /// Is asked for another request when the server no longer gives the rest of a download that goes on with what is here
    /// (401, 403, 404, 410, or 400), as it does when the URL was signed for a time; see
    /// [`DownloadTask::set_on_expired_url`] and
    /// [`need_new_download_request`](TaskDelegate::need_new_download_request).
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

    /// A delegate of this task's own: it is asked about redirects and hears of what is written, beside the result.
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

/// Runs a download that talks to its delegate; from a response that is there already, if it was another task's.
pub(super) async fn run(
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
    run::finish(&core, result.err(), &mut log);
}

/// Saves, as the poll gate allows; an error carries what the download can be resumed with.
pub(super) async fn saved(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    response: Option<Response>,
) -> Result<(DownloadedFile, UrlResponse)> {
    let shared_file = SharedFile::default();
    core.live().shared_file = Some(shared_file.clone());
    let result = run::drive(core, runtime, pin!(save(core, runtime, log, response, &shared_file))).await;
    match result {
        Ok(saved) => Ok(saved),
        Err(error) => Err(left(core, runtime, shared_file, error).await),
    }
}

/// Loads, unless there is a response already, and saves the body.
async fn save(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    mut response: Option<Response>,
    shared_file: &SharedFile<PartialFile>,
) -> Result<(DownloadedFile, UrlResponse)> {
    let target = match core.style {
        Style::Delegate => core.target(),
        Style::Future => core.own_target(),
        Style::Handler => None,
    };
    let mut course =
        DownloadStateMachine::begin(core, runtime, shared_file, target.clone(), response.is_some()).await?;
    let checks = course.checks.clone();
    let mut writing = Writing { core, runtime, shared_file, checks, target, pace: WriteLatency::new() };
    loop {
        let (first, taken) = match response.take() {
            Some(response) => (0, response),
            None => (log.len(), run::load(core, runtime, log, course.request()?).await?),
        };
        let Response { head, mut body } = taken;
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
            return Ok((course.finish(&head).await.map_err(named)?, head));
        }
    }
}

/// What a download that failed leaves: resume data in its error and for who waits for it, or nothing at all.
async fn left(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    shared_file: SharedFile<PartialFile>,
    error: UrlError,
) -> UrlError {
    let (checks, takers, given) = match &mut core.live().orders {
        Some(orders) => {
            let given = orders.given.as_ref().map(|(data, _)| data.clone());
            (orders.checks.clone(), orders.take_takers(), given)
        }
        None => Default::default(),
    };
    let is_wanted = !takers.is_empty() || !error.is_of_owner();
    let work = move || {
        // Whoever is still writing comes first.
        let partial_file = shared_file.lock().take();
        (partial_file.is_some(), partial_file.and_then(|partial_file| partial_file.leave(&checks, is_wanted)))
    };
    let (data, path) = match runtime.blocking(work).await {
        Some((_, Some(PartialDownload { data, path }))) => (Some(data), path),
        // It has not been touched.
        Some((false, None)) => (given, None),
        Some((true, None)) | None => (None, None),
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

/// What completes when all that has come of a download is on the disk; it blocks. `None` if the task is none or has not
/// begun.
pub(crate) fn flushing(core: &Arc<Core>) -> Option<impl FnOnce() + Send + use<>> {
    let live = core.live();
    let shared_file = live.shared_file.clone()?;
    let checks = live.orders.as_ref().map(|orders| orders.checks.clone()).unwrap_or_default();
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

/// A body on its way into the file.
struct Writing<'a> {
    core: &'a Arc<Core>,
    runtime: &'a RuntimeHandle,
    shared_file: &'a SharedFile<PartialFile>,
    checks: Arc<Checks>,
    target: Option<DelegateTarget>,
    pace: WriteLatency,
}

impl Writing<'_> {
    /// Up to the end of the body, which must be at `end`.
    async fn write_all(&mut self, reading: &mut Reading<'_>, end: Option<u64>) -> Result<()> {
        let mut position = self.core.bytes.written.load(Relaxed);
        let mut length = 0;
        let mut patience = pin!(None::<Timer>);
        let mut may_splice = self.shared_file.with(|partial_file| Ok(partial_file.suits_splice()))?;
        loop {
            if may_splice && length == 0 && reading.suits_splice() {
                may_splice = self.splice(reading, end, &mut position).await?;
            }
            let room = end.map_or(u64::MAX, |end| end - position - length as u64);
            let next = poll_fn(|cx| match self.poll_batch(cx, reading, room) {
                // What has come waits for what is on its way, but not long.
                Poll::Pending if length > 0 => {
                    if patience.is_none() {
                        patience.set(Some(self.patience()));
                    }
                    let timer = patience.as_mut().as_pin_mut();
                    timer.map_or(Poll::Pending, |timer| timer.poll(cx)).map(|()| Read::Pause)
                }
                poll => poll.map(Read::More),
            });
            let over = match next.await {
                Read::More(Some(Ok(Come { bytes, pieces, is_more }))) => {
                    length += bytes;
                    let is_for_kernel = may_splice && reading.suits_splice();
                    if length < BATCH && pieces < MOST_PIECES && !is_more && !is_for_kernel {
                        continue;
                    }
                    is_more.then(|| Err(unannounced("the server sent more than it had announced")))
                }
                // What came before is written all the same.
                Read::More(Some(Err(error))) => Some(Err(of_download(error))),
                Read::More(None) if end.is_some_and(|end| position + (length as u64) < end) => {
                    Some(Err(unannounced("the server sent less than it had announced")))
                }
                Read::More(None) => Some(Ok(())),
                Read::Pause => None,
            };
            if length > 0 {
                length = 0;
                patience.set(None);
                // Some of it may have been flushed.
                let shared_file = self.shared_file.clone();
                position = self
                    .write(reading, move |partial_file| {
                        let batch = shared_file.take_batch(partial_file);
                        partial_file.write(&batch)
                    })
                    .await?
                    .0;
            }
            if let Some(over) = over {
                return over;
            }
        }
    }

    /// Takes what comes into the batch, but for what is more than `room`.
    fn poll_batch(
        &self,
        cx: &mut Context<'_>,
        reading: &mut Reading<'_>,
        room: u64,
    ) -> Poll<Option<Result<Come>>> {
        let mut batch = self.shared_file.batch();
        reading.poll_pieces(cx, &mut batch).map_ok(|come| {
            let excess = (come as u64).saturating_sub(room) as usize;
            if excess > 0 {
                cut(&mut batch, excess);
            }
            Come { bytes: come - excess, pieces: batch.len(), is_more: excess > 0 }
        })
    }

    /// What ends the wait for more to write with what is here.
    fn patience(&self) -> Timer {
        let clock = &*self.core.session.config.environment.clock;
        Timer::at(clock, self.runtime, clock.now() + PATIENCE)
    }

    /// Lets the kernel write what comes, up to where it can or to `end`. False if it is not to be tried again.
    async fn splice(
        &mut self,
        reading: &mut Reading<'_>,
        end: Option<u64>,
        position: &mut u64,
    ) -> Result<bool> {
        let Some(mut splice_pipe) = SplicePipe::new() else { return Ok(false) };
        while splice_pipe.is_good() {
            let room = end.map_or(u64::MAX, |end| end - *position);
            let taken = poll_fn(|cx| reading.poll_splice(cx, &mut splice_pipe, room)).await;
            let Some(taken) = taken.transpose().map_err(of_download)? else { break };
            if taken > 0 {
                let work = move |partial_file: &mut PartialFile| {
                    partial_file.write_from(&mut splice_pipe).map(|()| splice_pipe)
                };
                (*position, splice_pipe) = self.write(reading, work).await?;
            }
        }
        Ok(false)
    }

    /// Where the file ends then. What the disk takes at once is written here: another thread would cost more than that.
    async fn write<T: Send + 'static>(
        &mut self,
        reading: &mut Reading<'_>,
        work: impl FnOnce(&mut PartialFile) -> Result<T> + Send + 'static,
    ) -> Result<(u64, T)> {
        let clock = self.core.session.config.environment.clock.clone();
        let start = clock.now();
        let (position, done) = if self.pace.is_quick() {
            let (written, is_due) = self.shared_file.with(|partial_file| {
                let done = work(partial_file)?;
                Ok(((partial_file.position(), done), partial_file.is_tending_due(start)))
            })?;
            self.pace.wrote(clock.now().saturating_duration_since(start));
            if is_due {
                self.tend(start, reading.rest()).await?;
            }
            written
        } else {
            let (shared_file, checks) = (self.shared_file.clone(), self.checks.clone());
            let work = move || {
                shared_file.with(|partial_file| {
                    let start = clock.now();
                    let done = work(partial_file)?;
                    let time = clock.now().saturating_duration_since(start);
                    partial_file.tend(&checks, start);
                    Ok(((partial_file.position(), done), time))
                })
            };
            let (written, time) = beside(self.core, self.runtime, reading.rest(), work).await?;
            self.pace.wrote(time);
            written
        };
        self.core.bytes.written.store(position, Relaxed);
        if let Some(target) = &self.target {
            self.core.report_written(target);
        }
        Ok((position, done))
    }

    /// To tend the file waits for the disk.
    async fn tend(&self, now: Instant, resting: ReadPause) -> Result<()> {
        let (shared_file, checks) = (self.shared_file.clone(), self.checks.clone());
        let work = move || {
            shared_file.with(|partial_file| {
                partial_file.tend(&checks, now);
                Ok(())
            })
        };
        beside(self.core, self.runtime, resting, work).await
    }
}

enum Read {
    More(Option<Result<Come>>),
    /// Nothing has come yet, and there is something to write.
    Pause,
}

/// What was put into the batch.
struct Come {
    bytes: usize,
    /// That are in the batch now.
    pieces: usize,
    /// Than is wanted.
    is_more: bool,
}

/// Work on the disk, whose time is not the server's. The connection rests until it is done, and the
/// task goes first: it takes what is here before more is read.
async fn beside<T: Send + 'static>(
    core: &Core,
    runtime: &RuntimeHandle,
    resting: ReadPause,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let _excuse = core.activity.pause_idle();
    runtime.blocking_with(resting, work).await.unwrap_or_else(|| {
        let detail = "the runtime that was writing the file has been shut down";
        Err(UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail))
    })
}

/// Leaves the last `excess` bytes off.
fn cut(pieces: &mut Vec<Bytes>, mut excess: usize) {
    while let Some(last) = pieces.last_mut()
        && excess > 0
    {
        let n = excess.min(last.len());
        last.truncate(last.len() - n);
        excess -= n;
        if last.is_empty() {
            pieces.pop();
        }
    }
}

fn unannounced(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Body, detail)
}

/// A validator that was a field's value is not one any more.
fn cannot_resume(error: InvalidHeaderField) -> UrlError {
    let detail = "what the download would be resumed by cannot be sent";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Request, detail).with_source(error)
}

/// A download has codes of its own for what cannot be decoded.
fn of_download(error: UrlError) -> UrlError {
    let code = match (error.phase(), error.code()) {
        (Phase::Decode, UrlErrorCode::CannotDecodeContentData) => {
            UrlErrorCode::DownloadDecodingFailedToComplete
        }
        (Phase::Decode, UrlErrorCode::CannotDecodeRawData) => UrlErrorCode::DownloadDecodingFailedMidStream,
        _ => return error,
    };
    UrlError::new(code, Phase::Decode, error.detail().to_owned()).with_source(error)
}

/// Bytes written at once.
const BATCH: usize = 1024 * 1024;

/// Pieces written at once: small ones keep the large buffers they came in.
const MOST_PIECES: usize = 256;

/// How long fewer wait for more.
const PATIENCE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excess_is_left_off_over_pieces() {
        let left = |excess: usize| {
            let mut pieces = vec![Bytes::from_static(b"abc"), Bytes::from_static(b"de")];
            cut(&mut pieces, excess);
            pieces.concat()
        };
        assert_eq!(
            [left(0), left(1), left(2), left(4), left(5)],
            [&b"abcde"[..], b"abcd", b"abc", b"a", b""]
        );
    }
}
