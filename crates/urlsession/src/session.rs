//! `UrlSession`: what an application holds. It makes tasks and ends them; it loads nothing itself.
//!
//! Apple: *URLSession*.

mod delegate;
mod herald;
mod publisher;

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;

pub use self::delegate::SessionDelegate;
pub use self::publisher::{DataTaskPublisher, DataTaskValues};
use crate::configuration::Configuration;
use crate::env::Place;
use crate::error::Result;
use crate::message::{IntoUrlRequest, UrlRequest, UrlResponse};
use crate::task::{
    BytesRequest, Core, Data, DataTask, DelegateQueue, Handler, Roster, Style, Task, TaskDelegate,
};

/// A session: a configuration, connections to share, a delegate, and the tasks made with them.
///
/// A clone is the same session. Usable from any thread. A session that is dropped without being invalidated lets
/// its running tasks finish.
#[derive(Clone)]
#[doc(alias = "URLSession")]
pub struct UrlSession(Arc<Inner>);

struct Inner {
    roster: Arc<Roster>,
    delegate: Mutex<Option<Arc<dyn SessionDelegate>>>,
    description: Mutex<Option<Arc<str>>>,
    is_shared: bool,
}

impl UrlSession {
    /// The session of the process, with the default configuration and without a delegate. Invalidating it has no
    /// effect.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlSession> =
            LazyLock::new(|| UrlSession::make(Configuration::default(), None, DelegateQueue::serial(), true));
        SHARED.clone()
    }

    /// A session without a delegate. The configuration is copied: changing it later has no effect.
    #[doc(alias = "init(configuration:)")]
    pub fn new(configuration: Configuration) -> Self {
        Self::make(configuration, None, DelegateQueue::serial(), false)
    }

    /// A session that calls `delegate` on `queue`, and keeps it until the session has become invalid.
    #[doc(alias = "init(configuration:delegate:delegateQueue:)")]
    pub fn with_delegate(
        configuration: Configuration,
        delegate: Arc<dyn SessionDelegate>,
        queue: DelegateQueue,
    ) -> Self {
        Self::make(configuration, Some(delegate), queue, false)
    }

    fn make(
        configuration: Configuration,
        delegate: Option<Arc<dyn SessionDelegate>>,
        queue: DelegateQueue,
        is_shared: bool,
    ) -> Self {
        let of_tasks = delegate.clone().map(|delegate| delegate as Arc<dyn TaskDelegate>);
        let roster = Arc::new(Roster::new(Arc::new(configuration), of_tasks, queue));
        let session = Self(Arc::new(Inner {
            roster,
            delegate: Mutex::new(delegate.clone()),
            description: Mutex::default(),
            is_shared,
        }));
        if let Some(delegate) = delegate {
            session.0.roster.set_herald(Arc::new(herald::Herald::new(&session, delegate)));
        }
        session
    }

    /// A copy of the configuration.
    pub fn configuration(&self) -> Configuration {
        (*self.0.roster.config).clone()
    }

    /// The delegate, until the session has become invalid.
    pub fn delegate(&self) -> Option<Arc<dyn SessionDelegate>> {
        self.0.delegate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The queue of delegate calls and completion handlers.
    #[doc(alias = "delegateQueue")]
    pub fn delegate_queue(&self) -> DelegateQueue {
        self.0.roster.queue.clone()
    }

    /// A label of the application's own.
    #[doc(alias = "sessionDescription")]
    pub fn session_description(&self) -> Option<Arc<str>> {
        self.0.description.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the label.
    pub fn set_session_description(&self, description: Option<&str>) {
        *self.0.description.lock().unwrap_or_else(PoisonError::into_inner) = description.map(Into::into);
    }

    /// A data task that tells the delegate of its response and its data. Created suspended.
    ///
    /// A malformed request gives a task that fails when it is resumed, as does an invalidated session.
    #[doc(alias = "dataTask(with:)")]
    pub fn data_task(&self, request: impl IntoUrlRequest) -> DataTask {
        self.create(request, Style::Delegate, None)
    }

    /// A data task that calls `handler` once, on the delegate queue, with body and response or with an error (the
    /// response, if one came, is then the task's). Created suspended.
    ///
    /// Of the delegate's methods those of response, data and completion are not called for it.
    #[doc(alias = "dataTask(with:completionHandler:)")]
    pub fn data_task_with_handler(
        &self,
        request: impl IntoUrlRequest,
        handler: impl FnOnce(Result<(Bytes, UrlResponse)>) + Send + 'static,
    ) -> DataTask {
        self.create(request, Style::Handler, Some(Box::new(handler)))
    }

    /// Loads to memory: a future of body and response.
    #[doc(alias = "data(for:delegate:)")]
    #[doc(alias = "data(from:delegate:)")]
    #[doc(alias = "data(for:)")]
    #[doc(alias = "data(from:)")]
    pub fn data(&self, request: impl IntoUrlRequest) -> Data {
        Data::new(self.core(request.into_url_request(), Style::Future, None))
    }

    /// Loads as a stream: a future of the body to come and the response.
    #[doc(alias = "bytes(for:delegate:)")]
    #[doc(alias = "bytes(from:delegate:)")]
    pub fn bytes(&self, request: impl IntoUrlRequest) -> BytesRequest {
        BytesRequest::new(self.core(request.into_url_request(), Style::Future, None))
    }

    /// Loads to memory, as often as it is asked to: a value that is awaited or streamed, each time with a new task.
    #[doc(alias = "dataTaskPublisher(for:)")]
    pub fn data_task_publisher(&self, request: impl IntoUrlRequest) -> DataTaskPublisher {
        DataTaskPublisher::new(request, self.clone())
    }

    /// Every task that has been resumed at least once (suspensions undone) and is neither cancelled nor over, by
    /// identifier.
    #[doc(alias = "getAllTasks(completionHandler:)")]
    #[doc(alias = "allTasks")]
    pub fn all_tasks(&self) -> Vec<Task> {
        self.0.roster.all().into_iter().filter(|core| core.is_outstanding()).map(Task::of).collect()
    }

    /// Writes what is only in memory to the stores and makes later loads use new connections. Tasks go on. Credentials
    /// are written at once, so the connections are all there is.
    #[doc(alias = "flush()")]
    pub async fn flush(&self) {
        self.0.roster.protocols.flush();
    }

    /// As [`flush`](Self::flush); `handler` is called on the delegate queue when it is done.
    #[doc(alias = "flush(completionHandler:)")]
    pub fn flush_with_handler(&self, handler: impl FnOnce() + Send + 'static) {
        self.0.roster.protocols.flush();
        self.0.roster.queue.add(handler);
    }

    /// Empties the stores of the session, then does as [`flush`](Self::flush). Tasks go on. What is emptied is the storage
    /// of credentials (the [shared](crate::UrlCredentialStorage::shared) one too, if it is the session's) and the TLS
    /// sessions, until this library has stores for cookies and cache.
    #[doc(alias = "reset()")]
    pub async fn reset(&self) {
        self.0.roster.reset(&Place::current()).await;
    }

    /// As [`reset`](Self::reset); `handler` is called on the delegate queue when it is done.
    #[doc(alias = "reset(completionHandler:)")]
    pub fn reset_with_handler(&self, handler: impl FnOnce() + Send + 'static) {
        let (roster, place) = (self.0.roster.clone(), Place::own());
        place.clone().spawn(async move {
            roster.reset(&place).await;
            roster.queue.add(handler);
        });
    }

    /// Takes no more tasks and lets the existing ones finish; then the delegate hears `did_become_invalid` and is
    /// released. Returns at once. No effect on the shared session.
    #[doc(alias = "finishTasksAndInvalidate()")]
    pub fn finish_tasks_and_invalidate(&self) {
        if self.0.is_shared {
            return;
        }
        // Weakly: a session that is dropped has nobody to tell.
        let (session, queue) = (self.clone(), self.0.roster.queue.clone());
        self.0.roster.close(move || {
            queue.add(move || {
                let delegate = session.0.delegate.lock().unwrap_or_else(PoisonError::into_inner).take();
                session.0.roster.protocols.flush();
                if let Some(delegate) = delegate {
                    delegate.did_become_invalid(&session, None);
                }
            });
        });
    }

    /// Cancels every task, then does as [`finish_tasks_and_invalidate`](Self::finish_tasks_and_invalidate). No
    /// effect on the shared session.
    #[doc(alias = "invalidateAndCancel()")]
    pub fn invalidate_and_cancel(&self) {
        if self.0.is_shared {
            return;
        }
        let tasks = self.0.roster.all();
        self.finish_tasks_and_invalidate();
        for task in tasks {
            task.cancel();
        }
    }

    fn create(&self, request: impl IntoUrlRequest, style: Style, handler: Option<Handler>) -> DataTask {
        DataTask::of(Task::of(self.core(request.into_url_request(), style, handler)))
    }

    fn core(&self, request: Result<UrlRequest>, style: Style, handler: Option<Handler>) -> Arc<Core> {
        let core = Core::new(&self.0.roster, request, style, handler);
        if let Some(delegate) = self.0.roster.delegate() {
            delegate.did_create_task(&Task::of(core.clone()));
        }
        core
    }
}

impl fmt::Debug for UrlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlSession").field("description", &self.session_description()).finish_non_exhaustive()
    }
}
