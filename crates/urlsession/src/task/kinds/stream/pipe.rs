//! `Pipe`: the requested reads and writes of a stream task that are not done yet. [`stream_io`](super::stream_io) does
//! them.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;

use crate::env::{RuntimeHandle, Timer};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::task::core::Core;

/// The requested reads and writes of a stream task that are not done yet.
#[derive(Default)]
pub(crate) struct Pipe(Mutex<Asked>);

#[derive(Default)]
pub(in crate::task) struct Asked {
    pub(in crate::task) reads: VecDeque<Read>,
    pub(in crate::task) writes: VecDeque<Write>,
    /// Why no more reads are accepted.
    pub(in crate::task) no_reads: Option<UrlError>,
    pub(in crate::task) no_writes: Option<UrlError>,
}

pub(in crate::task) struct Read {
    pub(in crate::task) min: usize,
    pub(in crate::task) max: usize,
    pub(in crate::task) patience: Patience,
    pub(in crate::task) done: Done<(Bytes, bool)>,
}

pub(in crate::task) struct Write {
    pub(in crate::task) data: Bytes,
    pub(in crate::task) patience: Patience,
    pub(in crate::task) done: Done<()>,
}

type Done<T> = Box<dyn FnOnce(Result<T>) + Send>;

impl Read {
    pub(in crate::task) fn new(
        min: usize,
        max: usize,
        timeout: Duration,
        done: impl FnOnce(Result<(Bytes, bool)>) + Send + 'static,
    ) -> Self {
        let max = max.max(1);
        Self { min: min.clamp(1, max), max, patience: Patience::new(timeout), done: Box::new(done) }
    }
}

impl Write {
    pub(in crate::task) fn new(
        data: Bytes,
        timeout: Duration,
        done: impl FnOnce(Result<()>) + Send + 'static,
    ) -> Self {
        Self { data, patience: Patience::new(timeout), done: Box::new(done) }
    }
}

impl Pipe {
    pub(in crate::task) fn read(&self, core: &Core, read: Read) {
        let mut asked = self.lock();
        match asked.no_reads.clone() {
            Some(error) => {
                drop(asked);
                (read.done)(Err(error));
            }
            None => {
                asked.reads.push_back(read);
                drop(asked);
                core.wake();
            }
        }
    }

    pub(in crate::task) fn write(&self, core: &Core, write: Write) {
        let mut asked = self.lock();
        match asked.no_writes.clone() {
            Some(error) => {
                drop(asked);
                (write.done)(Err(error));
            }
            None => {
                asked.writes.push_back(write);
                drop(asked);
                core.wake();
            }
        }
    }

    pub(in crate::task) fn close_read(&self, core: &Core) {
        self.lock().no_reads.get_or_insert_with(|| closed("reading was closed"));
        core.wake();
    }

    pub(in crate::task) fn close_write(&self, core: &Core) {
        self.lock().no_writes.get_or_insert_with(|| closed("writing was closed"));
        core.wake();
    }

    /// Fails the reads requested so far, and later ones.
    pub(in crate::task) fn fail_reads(&self, error: &UrlError) {
        let mut asked = self.lock();
        asked.no_reads = Some(error.clone());
        let reads = std::mem::take(&mut asked.reads);
        drop(asked);
        reads.into_iter().for_each(|read| (read.done)(Err(error.clone())));
    }

    pub(in crate::task) fn fail_writes(&self, error: &UrlError) {
        let mut asked = self.lock();
        asked.no_writes = Some(error.clone());
        let writes = std::mem::take(&mut asked.writes);
        drop(asked);
        writes.into_iter().for_each(|write| (write.done)(Err(error.clone())));
    }

    pub(in crate::task) fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock()
    }
}

/// The timeout of a read or write, which starts when it is requested.
pub(in crate::task) struct Patience {
    timeout: Duration,
    timer: Option<Pin<Box<Timer>>>,
}

impl Patience {
    /// Zero is no timeout.
    fn new(timeout: Duration) -> Self {
        Self { timeout, timer: None }
    }

    pub(in crate::task) fn is_over(
        &mut self,
        core: &Core,
        runtime: &RuntimeHandle,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.timeout.is_zero() {
            return false;
        }
        let timer = self.timer.get_or_insert_with(|| {
            let clock = &*core.session.config.environment.clock;
            let now = clock.now();
            Box::pin(Timer::at(clock, runtime, now.checked_add(self.timeout).unwrap_or(now)))
        });
        timer.as_mut().poll(cx).is_ready()
    }
}

pub(in crate::task) fn closed(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::NetworkConnectionLost, Phase::Body, detail)
}
