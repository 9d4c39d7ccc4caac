//! `Writing`: writes a body to the file of a download, a batch at a time.
//!
//! It writes on another thread, unless the disk accepts the bytes at once; during a write nothing is read.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::digest::Checks;
use super::partial_file::PartialFile;
use super::shared_file::SharedFile;
use super::write_latency::WriteLatency;
use crate::body::{ReadPause, ReadTarget};
use crate::env::{RuntimeHandle, SplicePipe, Timer};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::task::byte_counts::UNKNOWN;
use crate::task::core::Core;
use crate::task::delegate::dispatch::DelegateTarget;
use crate::task::kinds::handles::DownloadTask;
use crate::task::run::collect::Reading;

/// A body that is written to the file.
pub(super) struct Writing<'a> {
    core: &'a Arc<Core>,
    runtime: &'a RuntimeHandle,
    shared_file: &'a SharedFile<PartialFile>,
    checks: Arc<Checks>,
    target: Option<DelegateTarget>,
    pace: WriteLatency,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        runtime: &'a RuntimeHandle,
        shared_file: &'a SharedFile<PartialFile>,
        checks: Arc<Checks>,
        target: Option<DelegateTarget>,
    ) -> Self {
        Self { core, runtime, shared_file, checks, target, pace: WriteLatency::new() }
    }

    /// Up to the end of the body, which must be at `end`.
    pub(super) async fn write_all(&mut self, reading: &mut Reading<'_>, end: Option<u64>) -> Result<()> {
        let mut position = self.core.bytes.written.load(Relaxed);
        let mut length = 0;
        let mut patience = pin!(None::<Timer>);
        let mut may_splice = self.shared_file.with(|partial_file| Ok(partial_file.suits_splice()))?;
        loop {
            let mut come = None;
            if may_splice && length == 0 && reading.suits_splice() {
                may_splice = false;
                come = self.splice(reading, end, &mut position).await?;
            }
            let next = match come {
                Some(come) => Read::More(Some(Ok(come))),
                None => {
                    let space = end.map_or(u64::MAX, |end| end - position - length as u64);
                    let read = poll_fn(|cx| match self.poll_batch(cx, reading, space, None) {
                        // Received bytes wait for further bytes, but not long.
                        Poll::Pending if length > 0 => {
                            if patience.is_none() {
                                patience.set(Some(self.patience()));
                            }
                            let timer = patience.as_mut().as_pin_mut();
                            timer.map_or(Poll::Pending, |timer| timer.poll(cx)).map(|()| Read::Pause)
                        }
                        poll => poll.map(Read::More),
                    });
                    read.await
                }
            };
            let over = match next {
                Read::More(Some(Ok(Come { bytes, pieces, is_more }))) => {
                    length += bytes;
                    let is_for_kernel = may_splice && reading.suits_splice();
                    if length < BATCH && pieces < MOST_PIECES && !is_more && !is_for_kernel {
                        continue;
                    }
                    is_more.then(|| Err(unannounced("the server sent more than it had announced")))
                }
                // The bytes before the error are written nevertheless.
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
                // Some bytes of the batch may have been flushed.
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

    /// Receives bytes into the pipe, or into the batch, without the bytes beyond `space`.
    fn poll_batch(
        &self,
        cx: &mut Context<'_>,
        reading: &mut Reading<'_>,
        space: u64,
        pipe: Option<&mut SplicePipe>,
    ) -> Poll<Option<Result<Come>>> {
        let mut batch = self.shared_file.batch();
        let mut target = match pipe {
            Some(pipe) => ReadTarget::Splice { pipe, most: space, pieces: &mut batch },
            None => ReadTarget::Pieces(&mut batch),
        };
        reading.poll_read(cx, &mut target).map_ok(|come| {
            let excess = (come as u64).saturating_sub(space) as usize;
            if excess > 0 {
                cut(&mut batch, excess);
            }
            Come { bytes: come - excess, pieces: batch.len(), is_more: excess > 0 }
        })
    }

    /// The timer that ends the wait for more bytes to write.
    fn patience(&self) -> Timer {
        let clock = &*self.core.session.config.environment.clock;
        Timer::at(clock, self.runtime, clock.now() + PATIENCE)
    }

    /// Lets the kernel write the bytes, as far as it can or to `end`. Bytes that came another way, if any, are in the
    /// batch.
    async fn splice(
        &mut self,
        reading: &mut Reading<'_>,
        end: Option<u64>,
        position: &mut u64,
    ) -> Result<Option<Come>> {
        let Some(mut splice_pipe) = SplicePipe::new() else { return Ok(None) };
        while splice_pipe.is_good() {
            let space = end.map_or(u64::MAX, |end| end - *position);
            let come = poll_fn(|cx| self.poll_batch(cx, reading, space, Some(&mut splice_pipe))).await;
            match come.transpose().map_err(of_download)? {
                None => break,
                Some(come) if come.pieces > 0 || come.is_more => return Ok(Some(come)),
                Some(_) => {
                    let work = move |partial_file: &mut PartialFile| {
                        partial_file.write_from(&mut splice_pipe).map(|()| splice_pipe)
                    };
                    (*position, splice_pipe) = self.write(reading, work).await?;
                }
            }
        }
        Ok(None)
    }

    /// The end of the file afterwards. If the disk accepts the bytes at once, they are written on this thread: another
    /// thread would cost more.
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

    /// This work waits for the disk.
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

impl Core {
    /// Reports bytes written to a file, in the same way as `report_sent`.
    fn report_written(self: &Arc<Self>, target: &DelegateTarget) {
        if self.bytes.written_report.begin() {
            return;
        }
        let core = self.clone();
        self.notify(target.clone(), "did_write_data", move |delegate, task| {
            let (new, total) = core.bytes.written_report.end(&core.bytes.written);
            let expected = Some(core.bytes.to_receive.load(Relaxed)).filter(|expected| *expected != UNKNOWN);
            if new > 0 {
                delegate.did_write_data(&DownloadTask::of(task.clone()), new, total, expected);
            }
        });
    }
}

enum Read {
    More(Option<Result<Come>>),
    /// Nothing has come yet, and there is something to write.
    Pause,
}

/// The received bytes.
struct Come {
    bytes: usize,
    /// The number of pieces in the batch now: 0 if the kernel has taken the bytes.
    pieces: usize,
    /// Whether there are more bytes than wanted.
    is_more: bool,
}

/// Work on the disk, whose time does not count for the server's timeout. The connection rests until it is done, and the
/// task continues first: it uses the received bytes before more are read.
pub(super) async fn beside<T: Send + 'static>(
    core: &Core,
    runtime: &RuntimeHandle,
    resting: ReadPause,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let _pause = core.activity.pause_idle();
    runtime.blocking_with(resting, work).await.unwrap_or_else(|error| {
        let detail = format!("the received bytes could not be written to disk: {error}");
        Err(UrlError::new(UrlErrorCode::CannotWriteToFile, Phase::Disk, detail).with_source(error))
    })
}

/// Removes the last `excess` bytes.
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

/// A download has its own error codes for bodies that cannot be decoded.
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

/// The maximum number of pieces in one write: small pieces keep the large buffers that they came in.
const MOST_PIECES: usize = 256;

/// How long a smaller batch waits for more bytes.
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
