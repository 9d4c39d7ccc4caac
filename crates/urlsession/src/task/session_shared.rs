//! What the tasks of one session share, and the list of the tasks that are not over.
//!
//! The session holds it, and its tasks hold it for as long as they live. It depends neither on the type of a task nor on
//! the calls to delegates.

use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::sync::{Arc, Weak};

use slab::Slab;

use super::loader::Loader;
use crate::configuration::Configuration;
use crate::load::events;
use crate::message::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use crate::protocol::Protocols;
use crate::task::delegate::decision::Decision;
use crate::task::delegate::queue::DelegateQueue;

/// The state that tasks of type `T` share.
pub(crate) struct SessionShared<T> {
    pub(crate) config: Arc<Configuration>,
    pub(crate) protocols: Protocols,
    pub(crate) queue: DelegateQueue,
    /// The number of the session in this process, for logs.
    pub(super) number: u64,
    pub(super) loader: Box<dyn Loader<T>>,
    tasks: Mutex<Tasks<T>>,
}

struct Tasks<T> {
    /// All tasks that are not over, with their identifiers; a task that was never started lives only as long as the
    /// application holds it.
    list: Slab<(u64, Weak<T>)>,
    next_identifier: u64,
    delegate: Option<DelegateSlot>,
    challenge_handler: Option<Arc<dyn SessionChallenge>>,
    is_closed: bool,
    /// Called when the session is closed and the last task is over.
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

/// A place on the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskSlot(usize);

/// The challenge method of the session's delegate, as far as a task needs it.
pub(crate) trait SessionChallenge: Send + Sync {
    /// Called on the delegate queue.
    fn challenged(&self, challenge: &UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition>;
}

/// A delegate for code that stores it without calling it. A clone is the same delegate.
#[derive(Clone)]
pub(super) struct DelegateSlot(Arc<dyn Any + Send + Sync>);

impl DelegateSlot {
    pub(super) fn new<D: Any + Send + Sync>(delegate: D) -> Self {
        Self(Arc::new(delegate))
    }

    /// The delegate, for code that knows its type.
    pub(super) fn get<D: Any>(&self) -> Option<&D> {
        self.0.downcast_ref()
    }
}

impl<T> SessionShared<T> {
    pub(super) fn new(
        config: Arc<Configuration>,
        delegate: Option<DelegateSlot>,
        queue: DelegateQueue,
        loader: Box<dyn Loader<T>>,
    ) -> Self {
        let protocols = Protocols::new(&config);
        let tasks = Tasks {
            list: Slab::new(),
            next_identifier: 1,
            delegate,
            challenge_handler: None,
            is_closed: false,
            at_end: None,
        };
        let number = events::session_created();
        Self { config, protocols, queue, number, loader, tasks: Mutex::new(tasks) }
    }

    /// Enters a task: its identifier, its slot unless the session takes no more tasks, and the session's delegate.
    pub(super) fn enter(&self, task: &Weak<T>) -> (u64, Option<TaskSlot>, Option<DelegateSlot>) {
        let mut tasks = self.lock();
        let identifier = tasks.next_identifier;
        tasks.next_identifier += 1;
        let slot = (!tasks.is_closed).then(|| TaskSlot(tasks.list.insert((identifier, task.clone()))));
        (identifier, slot, tasks.delegate.clone())
    }

    /// Another task takes the slot of one.
    pub(super) fn reuse_slot(&self, slot: TaskSlot, task: &Arc<T>) {
        if let Some((_, place)) = self.lock().list.get_mut(slot.0) {
            *place = Arc::downgrade(task);
        }
    }

    /// A task is over, or was dropped before it began.
    pub(super) fn leave(&self, slot: TaskSlot) {
        let mut tasks = self.lock();
        tasks.list.try_remove(slot.0);
        self.end_if_due(tasks);
    }

    /// Takes no more tasks; `at_end` is called when the last one is over, at once if there is none.
    pub(crate) fn close(&self, at_end: impl FnOnce() + Send + 'static) {
        let mut tasks = self.lock();
        if !std::mem::replace(&mut tasks.is_closed, true) {
            tasks.at_end = Some(Box::new(at_end));
        }
        self.end_if_due(tasks);
    }

    fn end_if_due(&self, mut tasks: MutexGuard<'_, Tasks<T>>) {
        if !tasks.is_closed || !tasks.list.is_empty() {
            return;
        }
        let (at_end, delegate, challenge_handler) =
            (tasks.at_end.take(), tasks.delegate.take(), tasks.challenge_handler.take());
        drop(tasks);
        if let Some(at_end) = at_end {
            events::session_invalidated(self.number);
            at_end();
        }
        // The application's code may run when its delegate is dropped: not under the lock.
        drop((delegate, challenge_handler));
    }

    /// The handler that calls the challenge method of the session's delegate.
    pub(super) fn challenge_handler(&self) -> Option<Arc<dyn SessionChallenge>> {
        self.lock().challenge_handler.clone()
    }

    pub(crate) fn set_challenge_handler(&self, challenge_handler: Arc<dyn SessionChallenge>) {
        self.lock().challenge_handler = Some(challenge_handler);
    }

    /// Every task that is not over, by identifier.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let upgrade = |(identifier, task): &(u64, Weak<T>)| Some((*identifier, task.upgrade()?));
        let mut all: Vec<_> = self.lock().list.iter().filter_map(|(_, entry)| upgrade(entry)).collect();
        all.sort_unstable_by_key(|(identifier, _)| *identifier);
        all.into_iter().map(|(_, task)| task).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks<T>> {
        self.tasks.lock()
    }
}
