//! The outgoing request body, for every wire: chunk by chunk, with its length checked against the announced length.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use urlsession_proto::field::title_case;

use super::expect_continue::ExpectContinue;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Attempt;
use crate::message::{BodyStream, BodyTrailers, Chunks, Trailers};

/// A request body, pulled by the wire.
pub(crate) struct Outgoing {
    source: Source,
    left: Option<u64>,
    expect_continue: ExpectContinue,
    /// What is sent after it.
    trailers: Option<Box<Trailing>>,
}

struct Trailing {
    trailers: Arc<Trailers>,
    of_this: Box<dyn BodyTrailers>,
}

enum Source {
    Done,
    Data(Bytes),
    /// A stream of which nothing was wanted yet: it can be sent another time.
    Untouched(BodyStream),
    Stream(Chunks),
}

impl Outgoing {
    pub(crate) fn none() -> Self {
        Self { source: Source::Done, left: Some(0), expect_continue: ExpectContinue::Given, trailers: None }
    }

    pub(crate) fn data(data: Bytes) -> Self {
        let left = Some(data.len() as u64);
        let source = if data.is_empty() { Source::Done } else { Source::Data(data) };
        Self { source, left, expect_continue: ExpectContinue::Given, trailers: None }
    }

    /// A stream of `length` bytes, or of any number of them.
    pub(crate) fn stream(body: BodyStream, length: Option<u64>) -> Self {
        let trailers = body
            .trailers()
            .map(|trailers| Box::new(Trailing { trailers: trailers.clone(), of_this: trailers.make() }));
        Self {
            source: Source::Untouched(body),
            left: length,
            expect_continue: ExpectContinue::Given,
            trailers,
        }
    }

    /// The same, to be sent once the server says that it wants it, or has not said so for this long.
    pub(crate) fn after_consent(mut self, patience: Duration) -> Self {
        if !self.is_done() {
            self.expect_continue = ExpectContinue::Wanted(patience);
        }
        self
    }

    /// The head is about to be sent.
    pub(super) fn ask_consent(&mut self, attempt: &Attempt<'_>) {
        self.expect_continue.ask(attempt);
    }

    /// An informational response has come.
    pub(super) fn on_informational(&mut self, status: StatusCode) {
        self.expect_continue.on_informational(status);
    }

    /// The final response has come; true if the body was waiting and is not wanted. It is given up then, unless
    /// `must_send`.
    pub(super) fn on_final(&mut self, status: StatusCode, must_send: bool) -> bool {
        let is_given_up = self.expect_continue.end(status) && !must_send;
        if is_given_up {
            self.source = Source::Done;
            self.trailers = None;
        }
        is_given_up
    }

    /// The number of bytes to send; `None` if unknown.
    pub(crate) fn length(&self) -> Option<u64> {
        self.left
    }

    /// The length that is announced; `None` if the body is sent in chunks, as one that trailers follow is.
    pub(crate) fn announced_length(&self) -> Option<u64> {
        self.left.filter(|_| self.trailers.is_none())
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// True if everything has been given that the wire was promised. A stream of known length may not have said yet that it
    /// has no more.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_done() || self.left == Some(0) && self.trailers.is_none()
    }

    /// The value of `Trailer`: the names of the fields that follow the body.
    pub(crate) fn announcement(&self) -> Option<String> {
        self.trailers.as_ref().map(|trailing| trailing.trailers.announcement())
    }

    /// After the last chunk: the fields that follow it.
    pub(crate) fn finish_trailers(&mut self) -> Result<Option<HeaderMap>> {
        let Some(trailing) = self.trailers.take() else { return Ok(None) };
        let fields = trailing.of_this.finish();
        match trailing.trailers.unannounced(&fields) {
            None => Ok(Some(fields)),
            Some(name) => {
                let detail = format!("the trailer field {:?} was not announced", title_case(name));
                Err(UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail))
            }
        }
    }

    /// The next bytes, never empty. A stream that ends before its length, or goes past it, is an error: sending
    /// on would make the rest of the connection part of the body.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        ready!(self.expect_continue.poll(cx));
        loop {
            let chunk = match &mut self.source {
                Source::Done => return Poll::Ready(None),
                Source::Data(data) => {
                    let data = std::mem::take(data);
                    self.source = Source::Done;
                    return Poll::Ready(Some(Ok(data)));
                }
                Source::Untouched(body) => {
                    let Some(chunks) = body.take() else {
                        self.source = Source::Done;
                        let taken = failure("the body stream is being sent by another load");
                        return Poll::Ready(Some(Err(taken)));
                    };
                    self.source = Source::Stream(chunks);
                    continue;
                }
                Source::Stream(chunks) => match chunks.as_mut().poll_next(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(chunk) => chunk,
                },
            };
            let result = match (chunk, self.left) {
                (Some(Ok(chunk)), _) if chunk.is_empty() => continue,
                (Some(Ok(chunk)), Some(left)) if chunk.len() as u64 > left => {
                    Some(Err(failure("the body stream gave more bytes than its announced length")))
                }
                (Some(Ok(chunk)), left) => {
                    self.left = left.map(|left| left - chunk.len() as u64);
                    if let Some(trailing) = &mut self.trailers {
                        trailing.of_this.update(&chunk);
                    }
                    return Poll::Ready(Some(Ok(chunk)));
                }
                (Some(Err(error)), _) => {
                    let detail = format!("the body could not be read: {error}");
                    Some(Err(failure(detail).with_source(error)))
                }
                (None, Some(left)) if left > 0 => {
                    Some(Err(failure("the body stream ended before its announced length")))
                }
                (None, _) => None,
            };
            self.source = Source::Done;
            return Poll::Ready(result);
        }
    }
}

fn failure(detail: impl Into<Cow<'static, str>>) -> UrlError {
    UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail)
}
