//! `Download`: a response saved in a file, for a delegate, a handler or a future. Apple: *URLSessionDownloadTask*.
//!
//! Writing happens beside the reactor, a batch at a time; while it does, nothing is read, so that memory is bounded and
//! a slow disk holds the server back.

use std::fmt;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::core::{Core, Style};
use super::courier::Audience;
use super::delegate::TaskDelegate;
use super::destination::{DownloadDestination, Draft};
use super::downloaded_file::DownloadedFile;
use super::kind::DownloadTask;
use super::loading::Loading;
use super::reading::Reading;
use super::run;
use crate::env::Place;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Log, Response};
use crate::message::UrlResponse;

/// File and response of a download. Await it on any executor, or [`wait`](Self::wait) for it on a plain thread.
///
/// Nothing is sent before it is first polled. Dropping it cancels the task.
#[must_use = "a load does nothing unless it is awaited or waited for"]
pub struct Download(Loading<(DownloadedFile, UrlResponse)>);

impl Download {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Loading::new(core, |core, place| {
            Box::pin(run::in_place(core, place, async |core, place, log| save(core, place, log, None).await))
        }))
    }

    /// The task behind it, to observe, suspend or cancel it.
    pub fn task(&self) -> DownloadTask {
        DownloadTask::of(self.0.task())
    }

    /// Names where the file is to be. It is written beside that place and appears there when it is whole.
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

    /// A delegate of this task's own: it is asked about redirects and hears of what is written, beside the result.
    pub fn delegate(self, delegate: impl TaskDelegate + 'static) -> Self {
        self.0.set_delegate(delegate);
        self
    }

    /// Waits on this thread. It may be called anywhere, also inside an async runtime, whose thread it blocks.
    ///
    /// # Errors
    /// As awaiting it.
    pub fn wait(self) -> Result<(DownloadedFile, UrlResponse)> {
        self.0.wait()
    }
}

impl Future for Download {
    type Output = Result<(DownloadedFile, UrlResponse)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("task", &*self.task()).finish()
    }
}

impl DownloadTask {
    /// Where the file is to be; `None` is a temporary file.
    pub fn destination(&self) -> Option<DownloadDestination> {
        self.core().live().destination.as_deref().cloned()
    }

    /// Names where the file is to be. Not of Apple's.
    ///
    /// # Errors
    /// After the first `resume`.
    pub fn set_destination(&self, destination: Option<DownloadDestination>) -> Result<()> {
        let mut live = self.core().live();
        if live.has_run || live.error.is_some() {
            let detail = "a download's destination is set before the task is resumed";
            return Err(UrlError::new(UrlErrorCode::Unknown, Phase::Request, detail));
        }
        live.destination = destination.map(Box::new);
        Ok(())
    }
}

/// Runs a download that talks to its delegate; from a response that is there already, if it was another task's.
pub(super) async fn run(core: Arc<Core>, place: Place, mut log: Log, response: Option<Response>) {
    let work = async {
        let (file, _) = save(&core, &place, &mut log, response).await?;
        if let Some(audience) = core.audience() {
            core.tell(audience, "did_finish_downloading", move |delegate, task| {
                delegate.did_finish_downloading(&DownloadTask::of(task.clone()), file.path());
            });
        }
        Ok(())
    };
    let result = run::governed(&core, &place, pin!(work)).await;
    run::finish(&core, result.err(), &mut log);
}

/// Loads, unless there is a response already, and saves the body.
pub(super) async fn save(
    core: &Arc<Core>,
    place: &Place,
    log: &mut Log,
    response: Option<Response>,
) -> Result<(DownloadedFile, UrlResponse)> {
    let Response { head, mut body } = match response {
        Some(response) => response,
        None => run::load(core, place, log).await?,
    };
    let audience = match core.style {
        Style::Delegate => core.audience(),
        Style::Future => core.own_audience(),
        Style::Handler => None,
    };
    let mut reading = Reading::new(core, log, &mut body);
    let file = write_all(core, place, &mut reading, &head, audience).await;
    drop(reading);
    Ok((file.map_err(|error| error.with_url(head.url()))?, head))
}

async fn write_all(
    core: &Arc<Core>,
    place: &Place,
    reading: &mut Reading<'_>,
    head: &UrlResponse,
    audience: Option<Audience>,
) -> Result<DownloadedFile> {
    let destination =
        core.live().destination.clone().map(|destination| (destination, head.suggested_filename()));
    let create = move || match destination {
        None => DownloadedFile::create().map(|(target, file)| (Target::Temporary(target), file)),
        Some((destination, suggested)) => {
            Draft::create(&destination, &suggested).map(|(draft, file)| (Target::Draft(draft), file))
        }
    };
    let (target, mut file) = beside(core, place, create).await?;
    let (mut batch, mut length, mut total) = (Vec::new(), 0, 0);
    loop {
        let next = poll_fn(|cx| match reading.poll_next(cx) {
            // What has come is written while more is on its way.
            Poll::Pending if length > 0 => Poll::Ready(Next::Pause),
            poll => poll.map(Next::Chunk),
        });
        let end = match next.await {
            Next::Chunk(Some(Ok(chunk))) => {
                length += chunk.len();
                batch.push(chunk);
                if length < BATCH {
                    continue;
                }
                None
            }
            // What came before is written all the same.
            Next::Chunk(Some(Err(error))) => Some(Err(of_download(error))),
            Next::Chunk(None) => Some(Ok(())),
            Next::Pause => None,
        };
        if length > 0 {
            let chunks = std::mem::take(&mut batch);
            file = beside(core, place, move || {
                write_chunks(&mut file, &chunks)?;
                Ok(file)
            })
            .await?;
            total += std::mem::take(&mut length) as u64;
            core.bytes.written.store(total, Relaxed);
            if let Some(audience) = &audience {
                core.report_written(audience);
            }
        }
        if let Some(end) = end {
            end?;
            return match target {
                Target::Temporary(mut target) => {
                    target.set_length(total);
                    Ok(target)
                }
                Target::Draft(draft) => beside(core, place, move || draft.publish(&file, total)).await,
            };
        }
    }
}

/// What is written to.
enum Target {
    Temporary(DownloadedFile),
    Draft(Draft),
}

enum Next {
    Chunk(Option<Result<Bytes>>),
    /// Nothing has come yet, and there is something to write.
    Pause,
}

/// Work on the disk, whose time is not the server's.
async fn beside<T: Send + 'static>(
    core: &Core,
    place: &Place,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let _excuse = core.meter.excuse();
    place.blocking(work).await.unwrap_or_else(|| {
        let detail = "the runtime that was writing the file has been shut down";
        Err(UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail))
    })
}

fn write_chunks(file: &mut File, chunks: &[Bytes]) -> Result<()> {
    let mut slices = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect::<Vec<_>>();
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(unwritten(io::ErrorKind::WriteZero.into())),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unwritten(error)),
        }
    }
    Ok(())
}

fn unwritten(error: io::Error) -> UrlError {
    let detail = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "there is no room for the downloaded file"
        }
        _ => "the downloaded file could not be written",
    };
    UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail).with_source(error)
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
const BATCH: usize = 256 * 1024;
