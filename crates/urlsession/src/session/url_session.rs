//! `UrlSession`: the session that an application holds, and `SessionDelegate`: the events of a session beside those of its
//! tasks. A session makes tasks and ends them; it loads nothing itself.
//!
//! Apple: *URLSession*, *URLSessionDelegate*.

use parking_lot::Mutex;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, LazyLock, Weak};

use bytes::Bytes;

use crate::configuration::Configuration;
use crate::error::UrlError;
use crate::message::{
    AuthChallengeDisposition, BodyStream, CachedUrlResponse, HttpUrlResponse, UrlAuthenticationChallenge,
    UrlRequest, UrlResponse,
};
use crate::task::{
    Core, DataTask, Decision, DelegateQueue, DownloadTask, ResponseDisposition, SessionChallenge,
    SessionShared, StreamTask, Task, TaskDelegate, TaskKind, TaskMetrics, UploadTask,
    forward_to_task_delegate,
};

/// A session: a configuration, connections to share, a delegate, and the tasks made with them.
///
/// A clone is the same session. A session may be used from any thread. If a session is dropped without being invalidated, its
/// running tasks finish.
#[derive(Clone)]
#[doc(alias = "URLSession")]
pub struct UrlSession(pub(super) Arc<SessionInner>);

pub(super) struct SessionInner {
    pub(super) session: Arc<SessionShared<Core>>,
    delegate: Mutex<Option<Arc<dyn SessionDelegate>>>,
    description: Mutex<Option<Arc<str>>>,
    is_shared: bool,
}

impl UrlSession {
    /// The session of the process, with the default configuration and without a delegate. Invalidating it has no
    /// effect. Protocols can be [registered](crate::protocols::UrlProtocolClass::register_class) for it.
    pub fn shared() -> Self {
        static SHARED: LazyLock<UrlSession> = LazyLock::new(|| {
            let session = UrlSession::make(Configuration::default(), None, DelegateQueue::serial(), true);
            session.0.session.protocols.ask_registered();
            session
        });
        SHARED.clone()
    }

    /// A session without a delegate. The configuration is copied: changing it later has no effect.
    #[doc(alias = "init(configuration:)")]
    pub fn new(configuration: Configuration) -> Self {
        Self::make(configuration, None, DelegateQueue::serial(), false)
    }

    /// A session that calls `delegate` on `queue`, and keeps it until the session has become invalid. The delegate is a value
    /// or an `Arc` of one.
    #[doc(alias = "init(configuration:delegate:delegateQueue:)")]
    pub fn with_delegate(
        configuration: Configuration,
        delegate: impl SessionDelegate + 'static,
        queue: DelegateQueue,
    ) -> Self {
        let delegate = delegate.into_shared_session_delegate();
        Self::make(configuration, Some((delegate.clone(), delegate)), queue, false)
    }

    /// As [`with_delegate`](Self::with_delegate), for a delegate that receives the events of the session's tasks and not those
    /// of the session.
    pub fn with_task_delegate(
        configuration: Configuration,
        delegate: impl TaskDelegate + 'static,
        queue: DelegateQueue,
    ) -> Self {
        let delegate = delegate.into_shared_task_delegate();
        let of_session = Arc::new(OfTasks(delegate.clone()));
        Self::make(configuration, Some((of_session, delegate)), queue, false)
    }

    fn make(
        configuration: Configuration,
        delegate: Option<(Arc<dyn SessionDelegate>, Arc<dyn TaskDelegate>)>,
        queue: DelegateQueue,
        is_shared: bool,
    ) -> Self {
        let (delegate, of_tasks) = delegate.unzip();
        let session = Arc::new(SessionShared::local(Arc::new(configuration), of_tasks, queue));
        let session = Self(Arc::new(SessionInner {
            session,
            delegate: Mutex::new(delegate.clone()),
            description: Mutex::default(),
            is_shared,
        }));
        session.0.set_clock_of_stores();
        if let Some(delegate) = delegate {
            session
                .0
                .session
                .set_challenge_handler(Arc::new(SessionChallengeHandler::new(&session, delegate)));
        }
        session
    }

    /// A copy of the configuration.
    pub fn configuration(&self) -> Configuration {
        (*self.0.session.config).clone()
    }

    /// The delegate, until the session has become invalid.
    pub fn delegate(&self) -> Option<Arc<dyn SessionDelegate>> {
        self.0.delegate.lock().clone()
    }

    /// The queue of delegate calls and completion handlers.
    #[doc(alias = "delegateQueue")]
    pub fn delegate_queue(&self) -> DelegateQueue {
        self.0.session.queue.clone()
    }

    /// A label that the application has set. Default: `None`.
    #[doc(alias = "sessionDescription")]
    pub fn session_description(&self) -> Option<Arc<str>> {
        self.0.description.lock().clone()
    }

    /// Changes the label.
    pub fn set_session_description(&self, description: Option<&str>) {
        *self.0.description.lock() = description.map(Into::into);
    }

    /// Every task that has been resumed at least once (suspensions undone) and is neither cancelled nor complete, in the order
    /// of identifiers.
    #[doc(alias = "getAllTasks(completionHandler:)")]
    #[doc(alias = "allTasks")]
    pub fn all_tasks(&self) -> Vec<Task> {
        self.0.session.all().into_iter().filter(|core| core.is_outstanding()).map(Task::of).collect()
    }

    /// The data, upload and download tasks among [`all_tasks`](Self::all_tasks), each list in the order of identifiers.
    #[doc(alias = "getTasksWithCompletionHandler(_:)")]
    pub fn tasks(&self) -> Tasks {
        let mut tasks = Tasks::default();
        for task in self.all_tasks() {
            match task.kind() {
                TaskKind::Data => tasks.data.push(DataTask::of(task)),
                TaskKind::Upload => tasks.upload.push(UploadTask::of(task)),
                TaskKind::Download => tasks.download.push(DownloadTask::of(task)),
                TaskKind::Stream => {}
            }
        }
        tasks
    }

    /// Writes what is only in memory to the stores, makes sure that nothing of what was removed from them is left in their
    /// files, and makes later loads use new connections. Tasks go on. When the call ends, the bytes that downloads have
    /// received so far are on the disk, and recorded where downloads can be resumed by their
    /// [destination](crate::DownloadDestination).
    #[doc(alias = "flush()")]
    pub async fn flush(&self) {
        self.0.session.protocols.flush();
        self.0.flush().await;
    }

    /// As [`flush`](Self::flush); `handler` is called on the delegate queue when it is done.
    #[doc(alias = "flush(completionHandler:)")]
    pub fn flush_with_handler(&self, handler: impl FnOnce() + Send + 'static) {
        self.0.session.protocols.flush();
        self.0.clone().then(handler);
    }

    /// Empties the stores of the session, forgets its TLS sessions, then does as [`flush`](Self::flush). Tasks go on; the
    /// responses that they are loading now are not cached. Other sessions that share a store with this session find it empty
    /// too.
    ///
    /// When the call ends, no file of the stores contains anything of their earlier content, unless another process has been
    /// reading a file for ten seconds: then the content of that file is removed at the next opportunity.
    #[doc(alias = "reset()")]
    pub async fn reset(&self) {
        self.0.reset().await;
        self.0.flush().await;
    }

    /// As [`reset`](Self::reset); `handler` is called on the delegate queue when it is done.
    #[doc(alias = "reset(completionHandler:)")]
    pub fn reset_with_handler(&self, handler: impl FnOnce() + Send + 'static) {
        self.0.clone().reset_then(handler);
    }

    /// Accepts no more tasks and lets the existing ones finish; then `did_become_invalid` is called and the delegate is
    /// released. Returns at once. No effect on the shared session.
    ///
    /// Existing tasks make all their calls as without this call, up to their completion, also tasks that are resumed only
    /// later; `did_become_invalid` is the session's last call. A task that is created afterwards fails with
    /// [`Cancelled`](crate::UrlErrorCode::Cancelled) when it is resumed, without a load: its completion handler is called, or
    /// its future returns the error. Of the delegate methods it calls `did_create_task`, metrics and `did_complete`. Once the
    /// session's delegate is released, it calls only those of its own delegate.
    #[doc(alias = "finishTasksAndInvalidate()")]
    pub fn finish_tasks_and_invalidate(&self) {
        if self.0.is_shared {
            return;
        }
        // Weakly: a session that is dropped has no delegate to notify.
        let (session, queue) = (self.clone(), self.0.session.queue.clone());
        self.0.session.close(move || {
            let last = LastCall(session);
            queue.add(move || {
                if let Some(delegate) = last.release() {
                    delegate.did_become_invalid(&last.0, None);
                }
            });
        });
    }

    /// Cancels every task, then does as [`finish_tasks_and_invalidate`](Self::finish_tasks_and_invalidate). No
    /// effect on the shared session.
    ///
    /// Each task still calls its completion handler, or metrics and `did_complete`, with
    /// [`Cancelled`](crate::UrlErrorCode::Cancelled). Calls that were on their way to the delegate before are still made.
    #[doc(alias = "invalidateAndCancel()")]
    pub fn invalidate_and_cancel(&self) {
        if self.0.is_shared {
            return;
        }
        let tasks = self.0.session.all();
        self.finish_tasks_and_invalidate();
        for task in tasks {
            task.cancel();
        }
    }
}

/// The last call to a session's delegate, on its way to the delegate queue. If the queue drops the call, the delegate is still
/// released.
struct LastCall(UrlSession);

impl LastCall {
    fn release(&self) -> Option<Arc<dyn SessionDelegate>> {
        let delegate = self.0.0.delegate.lock().take();
        self.0.0.session.protocols.flush();
        delegate
    }
}

impl Drop for LastCall {
    fn drop(&mut self) {
        self.release();
    }
}

/// The tasks of a session by their kind; see [`UrlSession::tasks`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tasks {
    /// Data tasks.
    pub data: Vec<DataTask>,
    /// Upload tasks.
    pub upload: Vec<UploadTask>,
    /// Download tasks.
    pub download: Vec<DownloadTask>,
}

impl fmt::Debug for UrlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlSession").field("description", &self.session_description()).finish_non_exhaustive()
    }
}

/// The delegate of a session: receives the events of every task, and the end of the session. An `Arc` of a delegate is a
/// delegate.
#[doc(alias = "URLSessionDelegate")]
pub trait SessionDelegate: TaskDelegate {
    /// Called when a server or proxy issues an authentication challenge for a connection that many tasks may use: NTLM,
    /// Negotiate, client certificates and trust in a server. Default: calls [`TaskDelegate::did_receive_challenge`] for the
    /// task. [`Decision::default_handling`] and a responder that is dropped have the same effect.
    #[doc(alias = "urlSession(_:didReceive:completionHandler:)")]
    #[doc(alias = "urlSession(_:didReceive:)")]
    fn did_receive_session_challenge(
        &self,
        session: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        let _ = (session, challenge);
        Decision::default_handling()
    }

    /// Called when the session has become invalid; this is its last call. `error` is `None` if the application invalidated the
    /// session.
    #[doc(alias = "urlSession(_:didBecomeInvalidWithError:)")]
    fn did_become_invalid(&self, session: &UrlSession, error: Option<&UrlError>) {
        let _ = (session, error);
    }

    /// The delegate as a session holds it: an `Arc` as it is, anything else in one.
    #[doc(hidden)]
    fn into_shared_session_delegate(self) -> Arc<dyn SessionDelegate>
    where
        Self: Sized + 'static,
    {
        Arc::new(self)
    }
}

/// The methods of [`SessionDelegate`] for types that dereference to a delegate.
macro_rules! forward_to_session_delegate {
    () => {
        fn did_receive_session_challenge(
            &self,
            session: &UrlSession,
            challenge: &UrlAuthenticationChallenge,
        ) -> Decision<AuthChallengeDisposition> {
            (**self).did_receive_session_challenge(session, challenge)
        }

        fn did_become_invalid(&self, session: &UrlSession, error: Option<&UrlError>) {
            (**self).did_become_invalid(session, error)
        }
    };
}

impl<D: SessionDelegate> SessionDelegate for Arc<D> {
    forward_to_session_delegate!();

    fn into_shared_session_delegate(self) -> Arc<dyn SessionDelegate>
    where
        Self: Sized + 'static,
    {
        self
    }
}

impl TaskDelegate for Arc<dyn SessionDelegate> {
    forward_to_task_delegate!();
}

impl SessionDelegate for Arc<dyn SessionDelegate> {
    forward_to_session_delegate!();

    fn into_shared_session_delegate(self) -> Arc<dyn SessionDelegate> {
        self
    }
}

/// A delegate that receives the events of tasks only.
struct OfTasks(Arc<dyn TaskDelegate>);

impl Deref for OfTasks {
    type Target = dyn TaskDelegate;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl TaskDelegate for OfTasks {
    forward_to_task_delegate!();
}

impl SessionDelegate for OfTasks {}

/// Passes the challenges of tasks to the session's delegate.
struct SessionChallengeHandler {
    session: Weak<SessionInner>,
    shared: Weak<SessionShared<Core>>,
    delegate: Arc<dyn SessionDelegate>,
}

impl SessionChallengeHandler {
    fn new(session: &UrlSession, delegate: Arc<dyn SessionDelegate>) -> Self {
        let shared = Arc::downgrade(&session.0.session);
        Self { session: Arc::downgrade(&session.0), shared, delegate }
    }

    /// The session. If the application has dropped it while tasks run, an equivalent handle: the state that tasks need still
    /// exists. `None` once no task is left.
    fn session(&self) -> Option<UrlSession> {
        if let Some(session) = self.session.upgrade() {
            return Some(UrlSession(session));
        }
        Some(UrlSession(Arc::new(SessionInner {
            session: self.shared.upgrade()?,
            delegate: Mutex::new(Some(self.delegate.clone())),
            description: Mutex::default(),
            is_shared: false,
        })))
    }
}

impl SessionChallenge for SessionChallengeHandler {
    fn challenged(&self, challenge: &UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition> {
        match self.session() {
            Some(session) => self.delegate.did_receive_session_challenge(&session, challenge),
            None => Decision::default_handling(),
        }
    }
}
