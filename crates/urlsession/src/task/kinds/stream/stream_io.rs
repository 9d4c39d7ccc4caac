//! Runs a stream task: does its reads and writes in order, at one end of a connection or of a response body.
//!
//! The poll gate decides when it runs.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::pipe::{Pipe, closed};
use crate::body::{Body, Duplex};
use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Response, TransactionLog};
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::kinds::stream::StreamTask;
use crate::task::run::collect::poll_chunk;
use crate::task::run::drive::drive;
use crate::task::run::finish::{close_transaction, finish};

/// Runs a stream task with the connection or body that a response left.
pub(in crate::task) async fn run(
    core: Arc<Core>,
    pipe: Arc<Pipe>,
    runtime: RuntimeHandle,
    mut log: TransactionLog,
    response: Response,
) {
    let mut source = Source::of(response.body);
    let result = {
        // The time without a requested read does not count as idle time of the server.
        let _pause = core.activity.pause_idle();
        let mut ends = Ends {
            core: &core,
            pipe: &pipe,
            runtime: &runtime,
            source: &mut source,
            buffer: BytesMut::new(),
            is_at_end: false,
            is_shut: false,
        };
        ends.tell_if_read_only();
        drive(&core, &runtime, poll_fn(|cx| ends.poll(cx).map(Ok))).await
    };
    let last = result.err();
    let over = last.clone().unwrap_or_else(|| closed("the stream has ended"));
    pipe.fail_reads(&over);
    pipe.fail_writes(&over);
    if let Source::Body(body) = &source {
        close_transaction(&core, &mut log, body);
    }
    finish(&core, last, &mut log);
}

enum Source {
    Connection(Box<dyn Duplex>),
    Body(Body),
}

impl Source {
    fn of(mut body: Body) -> Self {
        match body.upgrade() {
            Some(connection) => Self::Connection(connection),
            None => Self::Body(body),
        }
    }
}

/// Both directions, while the task runs.
struct Ends<'a> {
    core: &'a Arc<Core>,
    pipe: &'a Arc<Pipe>,
    runtime: &'a RuntimeHandle,
    source: &'a mut Source,
    /// Received and not yet requested: fewer bytes than the minimum of one read, unless the other side sent more at once.
    buffer: BytesMut,
    is_at_end: bool,
    /// The writing side is closed, and the other side has been notified.
    is_shut: bool,
}

impl Ends<'_> {
    fn tell_if_read_only(&mut self) {
        if let Source::Body(_) = self.source {
            self.pipe.fail_writes(&closed(
                "the stream is a response body; writing needs a 101 (Switching Protocols) response",
            ));
            self.is_shut = true;
            self.notify("write_closed", |delegate, stream| delegate.write_closed(stream));
        }
    }

    /// Ready when both directions are closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.do_writes(cx);
        let reads_on = self.do_reads(cx);
        match reads_on || !self.is_shut {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Does the reads that are possible; false when nothing more will be read.
    fn do_reads(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let mut asked = self.pipe.lock();
            let Some(read) = asked.reads.front_mut() else {
                let is_over = self.is_at_end && self.buffer.is_empty() && self.is_shut;
                return asked.no_reads.is_none() && !is_over;
            };
            if self.buffer.len() >= read.min || self.is_at_end {
                let data = self.buffer.split_to(read.max.min(self.buffer.len())).freeze();
                let is_last = self.is_at_end && self.buffer.is_empty();
                let read = asked.reads.pop_front();
                drop(asked);
                if let Some(read) = read {
                    (read.done)(Ok((data, is_last)));
                }
                continue;
            }
            let is_late = read.patience.is_over(self.core, self.runtime, cx);
            drop(asked);
            match self.fill(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => {
                    self.is_at_end = true;
                    self.notify("read_closed", |delegate, stream| delegate.read_closed(stream));
                }
                Poll::Ready(Err(error)) => {
                    self.is_at_end = true;
                    self.pipe.fail_reads(&error);
                    self.notify("read_closed", |delegate, stream| delegate.read_closed(stream));
                }
                // The bytes of a late read stay for the next read.
                Poll::Pending if is_late => {
                    let late = self.pipe.lock().reads.pop_front();
                    if let Some(read) = late {
                        (read.done)(Err(timed_out("nothing was read in time")));
                    }
                }
                Poll::Pending => return true,
            }
        }
    }

    /// Reads once; false at the end.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        match self.source {
            Source::Body(body) => poll_chunk(self.core, body, cx).map(|chunk| match chunk {
                Some(chunk) => chunk.map(|chunk| {
                    self.buffer.extend_from_slice(&chunk);
                    true
                }),
                None => Ok(false),
            }),
            Source::Connection(connection) => {
                self.buffer.reserve(READ_SIZE);
                pin!(connection.read_buf(&mut self.buffer)).poll(cx).map(|read| match read {
                    Ok(n) => {
                        self.core.bytes.received.fetch_add(n as u64, std::sync::atomic::Ordering::Relaxed);
                        Ok(n > 0)
                    }
                    Err(error) => Err(broke(error)),
                })
            }
        }
    }

    fn do_writes(&mut self, cx: &mut Context<'_>) {
        while !self.is_shut {
            let Source::Connection(connection) = &mut *self.source else { return };
            let mut connection = Pin::new(connection);
            let mut asked = self.pipe.lock();
            let no_more = asked.no_writes.is_some();
            let step = match asked.writes.front_mut() {
                None if no_more => connection.poll_shutdown(cx).map_ok(|()| Step::Shut),
                None => return,
                Some(write) if write.data.is_empty() => connection.poll_flush(cx).map_ok(|()| Step::Done),
                Some(write) => match connection.as_mut().poll_write(cx, &write.data) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => {
                        write.data.advance(n);
                        Poll::Ready(Ok(Step::Wrote(n)))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending if write.patience.is_over(self.core, self.runtime, cx) => {
                        Poll::Ready(Ok(Step::Late))
                    }
                    Poll::Pending => Poll::Pending,
                },
            };
            let finished = match &step {
                Poll::Ready(Ok(Step::Done | Step::Late)) => asked.writes.pop_front(),
                _ => None,
            };
            drop(asked);
            match (step, finished) {
                (Poll::Pending, _) => return,
                (Poll::Ready(Ok(Step::Wrote(n))), _) => {
                    self.core.bytes.sent.fetch_add(n as u64, std::sync::atomic::Ordering::Relaxed);
                }
                (Poll::Ready(Ok(Step::Done)), Some(write)) => (write.done)(Ok(())),
                (Poll::Ready(Ok(Step::Late)), Some(write)) => {
                    // Part of the data may have been sent: data after it would be misplaced.
                    let error = timed_out("the data could not be written in time");
                    (write.done)(Err(error.clone()));
                    self.stop_writing(&error);
                }
                (Poll::Ready(Ok(_)), _) => self.is_shut = true,
                (Poll::Ready(Err(error)), _) => self.stop_writing(&broke(error)),
            }
        }
    }

    fn stop_writing(&mut self, error: &UrlError) {
        self.is_shut = true;
        self.pipe.fail_writes(error);
        self.notify("write_closed", |delegate, stream| delegate.write_closed(stream));
    }

    fn notify(&self, what: &'static str, call: fn(&dyn TaskDelegate, &StreamTask)) {
        let Some(target) = self.core.target() else { return };
        let pipe = self.pipe.clone();
        self.core.notify(target, what, move |delegate, task| {
            call(delegate, &StreamTask::of(task.clone(), pipe));
        });
    }
}

enum Step {
    Wrote(usize),
    Done,
    Shut,
    Late,
}

fn broke(error: io::Error) -> UrlError {
    closed("the connection broke").with_source(error)
}

fn timed_out(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::TimedOut, Phase::Body, detail)
}

/// Bytes of a connection read at once.
const READ_SIZE: usize = 16 * 1024;
