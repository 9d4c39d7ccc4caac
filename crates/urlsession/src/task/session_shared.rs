//! What the tasks of one session share, and the list of those that are not over.
//!
//! The session holds it; tasks hold it for as long as they live.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use slab::Slab;

use super::challenges::SessionChallenge;
use super::core::Core;
use super::delegate::TaskDelegate;
use super::queue::DelegateQueue;
use crate::configuration::Configuration;
use crate::protocol::Protocols;

pub(crate) struct SessionShared {
    pub(crate) config: Arc<Configuration>,
    pub(crate) protocols: Protocols,
    pub(crate) queue: DelegateQueue,
    tasks: Mutex<Tasks>,
}

struct Tasks {
    /// Of all tasks that are not over; a task nobody started lives only as long as the application holds it.
    list: Slab<Weak<Core>>,
    next_identifier: u64,
    delegate: Option<Arc<dyn TaskDelegate>>,
    challenge_handler: Option<Arc<dyn SessionChallenge>>,
    is_closed: bool,
    /// Called when the session is closed and the last task is over.
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

/// A place on the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskSlot(usize);

impl SessionShared {
    pub(crate) fn new(
        config: Arc<Configuration>,
        delegate: Option<Arc<dyn TaskDelegate>>,
        queue: DelegateQueue,
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
        Self { config, protocols, queue, tasks: Mutex::new(tasks) }
    }

    /// Enters a task: its identifier, its slot unless the session takes no more tasks, and the session's delegate.
    pub(super) fn enter(&self, task: &Weak<Core>) -> (u64, Option<TaskSlot>, Option<Arc<dyn TaskDelegate>>) {
        let mut tasks = self.lock();
        let identifier = tasks.next_identifier;
        tasks.next_identifier += 1;
        let slot = (!tasks.is_closed).then(|| TaskSlot(tasks.list.insert(task.clone())));
        (identifier, slot, tasks.delegate.clone())
    }

    /// Another task takes the slot of one.
    pub(super) fn reuse_slot(&self, slot: TaskSlot, task: &Arc<Core>) {
        if let Some(place) = self.lock().list.get_mut(slot.0) {
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

    fn end_if_due(&self, mut tasks: MutexGuard<'_, Tasks>) {
        if !tasks.is_closed || !tasks.list.is_empty() {
            return;
        }
        let (at_end, delegate, challenge_handler) =
            (tasks.at_end.take(), tasks.delegate.take(), tasks.challenge_handler.take());
        drop(tasks);
        if let Some(at_end) = at_end {
            at_end();
        }
        // The application's code may run when its delegate is dropped: not under the lock.
        drop((delegate, challenge_handler));
    }

    /// Who asks the session's delegate as such.
    pub(super) fn challenge_handler(&self) -> Option<Arc<dyn SessionChallenge>> {
        self.lock().challenge_handler.clone()
    }

    pub(crate) fn set_challenge_handler(&self, challenge_handler: Arc<dyn SessionChallenge>) {
        self.lock().challenge_handler = Some(challenge_handler);
    }

    /// Every task that is not over, by identifier.
    pub(crate) fn all(&self) -> Vec<Arc<Core>> {
        let mut all: Vec<_> = self.lock().list.iter().filter_map(|(_, task)| task.upgrade()).collect();
        all.sort_unstable_by_key(|task| task.identifier());
        all
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
