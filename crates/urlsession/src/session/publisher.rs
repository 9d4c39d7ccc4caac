//! `DataTaskPublisher`: a load that can be made again and again. Each time is a task of its own.
//!
//! Apple: *URLSession.DataTaskPublisher*.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::url_session::UrlSession;
use crate::error::Result;
use crate::message::{IntoUrlRequest, UrlRequest, UrlResponse};
use crate::task::{DataFuture, TaskKind};

/// A request and the session to load it with: a value to keep, clone and pass on. Nothing is loaded and no task is made before
/// the publisher is awaited or streamed; each time makes a task of its own.
///
/// Await it, or a reference to it, for one result; stream it by [`values`](Self::values); from blocking code,
/// `publisher.into_future().wait()`. Dropping the future or the stream cancels its task.
///
/// A request with a body stream can be loaded once: the stream is read only once, and the next task fails with
/// [`RequestBodyStreamExhausted`](crate::UrlErrorCode::RequestBodyStreamExhausted) unless the delegate supplies another.
#[derive(Clone)]
#[must_use = "a publisher does nothing unless it is awaited or streamed"]
#[doc(alias = "URLSession.DataTaskPublisher")]
pub struct DataTaskPublisher {
    request: Result<UrlRequest>,
    session: UrlSession,
}

impl DataTaskPublisher {
    /// The same as [`UrlSession::data_task_publisher`].
    #[doc(alias = "init(request:session:)")]
    pub fn new(request: impl IntoUrlRequest, session: UrlSession) -> Self {
        Self { request: request.into_url_request(), session }
    }

    /// The request of each task. `None` if the request is malformed: each task then fails with that error.
    pub fn request(&self) -> Option<&UrlRequest> {
        self.request.as_ref().ok()
    }

    /// The session that makes the tasks.
    pub fn session(&self) -> &UrlSession {
        &self.session
    }

    /// One result and then the end. The task is made by the first poll.
    #[doc(alias = "receive(subscriber:)")]
    pub fn values(&self) -> DataTaskValues {
        DataTaskValues(Values::Waiting(Box::new(self.clone())))
    }

    fn load(self) -> DataFuture {
        DataFuture::new(self.session.future(self.request, TaskKind::Data))
    }
}

impl IntoFuture for DataTaskPublisher {
    type Output = Result<(Bytes, UrlResponse)>;
    type IntoFuture = DataFuture;

    fn into_future(self) -> DataFuture {
        self.load()
    }
}

impl IntoFuture for &DataTaskPublisher {
    type Output = Result<(Bytes, UrlResponse)>;
    type IntoFuture = DataFuture;

    fn into_future(self) -> DataFuture {
        self.clone().load()
    }
}

/// The one result of one task of a [`DataTaskPublisher`], as a [`Stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct DataTaskValues(Values);

enum Values {
    Waiting(Box<DataTaskPublisher>),
    Loading(DataFuture),
    Over,
}

impl Stream for DataTaskValues {
    type Item = Result<(Bytes, UrlResponse)>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Values::Waiting(_) = self.0
            && let Values::Waiting(publisher) = std::mem::replace(&mut self.0, Values::Over)
        {
            self.0 = Values::Loading(publisher.load());
        }
        let Values::Loading(load) = &mut self.0 else { return Poll::Ready(None) };
        let result = ready!(Pin::new(load).poll(cx));
        self.0 = Values::Over;
        Poll::Ready(Some(result))
    }
}

impl fmt::Debug for DataTaskPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataTaskPublisher").field("request", &self.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for DataTaskValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Values::Waiting(publisher) => f.debug_tuple("DataTaskValues").field(publisher).finish(),
            Values::Loading(load) => f.debug_tuple("DataTaskValues").field(load).finish(),
            Values::Over => f.write_str("DataTaskValues"),
        }
    }
}
