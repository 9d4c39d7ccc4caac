//! Observation: a task's changes as a stream. Apple: "all task properties support key-value observing".
//!
//! A slow watcher costs a bounded amount of memory: changes of the same property are merged.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::state::TaskState;

/// A property of a task that has changed; its value is read from the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskChange {
    /// The state; contains the new state.
    State(TaskState),
    /// `current_request`
    CurrentRequest,
    /// `response`
    Response,
    /// One of the byte counts.
    Bytes,
}

/// The watchers of a task.
#[derive(Default)]
pub(super) struct Watchers(Vec<Weak<Mutex<Watcher>>>);

struct Watcher {
    changes: VecDeque<TaskChange>,
    is_over: bool,
    waker: Option<Waker>,
}

impl Watchers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, is_over: bool) -> Changes {
        let watcher = Arc::new(Mutex::new(Watcher { changes: VecDeque::new(), is_over, waker: None }));
        self.0.retain(|watcher| watcher.strong_count() > 0);
        self.0.push(Arc::downgrade(&watcher));
        Changes(watcher)
    }

    /// Records a change. The returned wakers are to be called outside every lock.
    #[must_use]
    pub(super) fn notify(&mut self, change: TaskChange) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.0.retain(|watcher| {
            let Some(watcher) = watcher.upgrade() else { return false };
            let mut watcher = watcher.lock();
            // An unread change of a property covers a further change of it, except for states, which are few.
            if matches!(change, TaskChange::State(_)) || !watcher.changes.contains(&change) {
                watcher.changes.push_back(change);
            }
            if watcher.changes.len() > MOST {
                watcher.changes.pop_front();
            }
            watcher.is_over |= change == TaskChange::State(TaskState::Completed);
            wakers.extend(watcher.waker.take());
            true
        });
        wakers
    }
}

/// The changes of a task, until the task is over.
pub struct Changes(Arc<Mutex<Watcher>>);

impl Stream for Changes {
    type Item = TaskChange;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaskChange>> {
        let mut watcher = self.0.lock();
        match watcher.changes.pop_front() {
            Some(change) => Poll::Ready(Some(change)),
            None if watcher.is_over => Poll::Ready(None),
            None => {
                watcher.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

/// The states of a task in order, until the task is over.
#[derive(Debug)]
pub struct StateChanges(pub(super) Changes);

impl Stream for StateChanges {
    type Item = TaskState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TaskState>> {
        loop {
            match Pin::new(&mut self.0).poll_next(cx) {
                Poll::Ready(Some(TaskChange::State(state))) => return Poll::Ready(Some(state)),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The maximum number of unread changes for one watcher: a task that is suspended and resumed in a loop must not use
/// unbounded memory.
const MOST: usize = 64;
