//! A progress that the application creates: units that it counts itself, and children that count for some of them.
//!
//! Every value is computed when it is read: a child does not know its parents. Locks are taken from parent to child, and no
//! lock is held while handlers and wakers run.

use parking_lot::{Mutex, MutexGuard};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use super::controls::{Act, Controls};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::task::observe::{Changes, TaskChange, Watchers};

/// What can be a child: a tree, or a progress of a task.
pub(super) trait Node: Clone + Sized {
    fn fraction_completed(&self) -> f64;

    fn is_finished(&self) -> bool;

    fn act(&self, act: Act);

    /// Whether `tree` is this node, or below it.
    fn contains(&self, tree: &Arc<Tree<Self>>) -> bool;
}

pub(super) struct Tree<N> {
    pub(super) controls: Controls,
    state: Mutex<TreeState<N>>,
}

struct TreeState<N> {
    total: u64,
    completed: u64,
    /// The units of children that have finished and are no longer held.
    of_finished: u64,
    children: Vec<Child<N>>,
    next_number: u64,
    is_cancelled: bool,
    is_paused: bool,
    watchers: Watchers,
}

struct Child<N> {
    /// Increases from child to child.
    number: u64,
    progress: N,
    pending: u64,
}

/// Only one child is added at a time, so that two calls cannot make a cycle together.
static ADDING: Mutex<()> = Mutex::new(());

impl<N: Node> Tree<N> {
    pub(super) fn new(total: u64) -> Arc<Self> {
        let state = TreeState {
            total,
            completed: 0,
            of_finished: 0,
            children: Vec::new(),
            next_number: 0,
            is_cancelled: false,
            is_paused: false,
            watchers: Watchers::default(),
        };
        Arc::new(Self { controls: Controls::default(), state: Mutex::new(state) })
    }

    pub(super) fn add_child(self: &Arc<Self>, child: &N, pending: u64) -> Result<()> {
        let adding = ADDING.lock();
        if child.contains(self) {
            let detail = "a progress cannot be a child of its own child";
            return Err(UrlError::new(UrlErrorCode::Cancelled, Phase::Request, detail));
        }
        let mut state = self.state();
        // An application that adds children for a long time does not keep tasks that are over.
        let finished =
            state.children.extract_if(.., |child| child.progress.is_finished()).collect::<Vec<_>>();
        state.of_finished =
            finished.iter().fold(state.of_finished, |sum, child| sum.saturating_add(child.pending));
        let number = state.next_number;
        state.next_number += 1;
        state.children.push(Child { number, progress: child.clone(), pending });
        let (is_cancelled, is_paused) = (state.is_cancelled, state.is_paused);
        let wakers = state.watchers.notify(TaskChange::Bytes);
        drop(state);
        drop(adding);
        drop(finished);
        wakers.into_iter().for_each(Waker::wake);
        if is_cancelled {
            child.act(Act::Cancel);
        } else if is_paused {
            child.act(Act::Pause);
        }
        Ok(())
    }

    /// Whether `other` is this tree, or anywhere below it.
    pub(super) fn contains(&self, other: &Arc<Self>) -> bool {
        std::ptr::eq(self, Arc::as_ptr(other))
            || self.state().children.iter().any(|child| child.progress.contains(other))
    }

    pub(super) fn set_completed(&self, units: u64) {
        self.change(|state| state.completed = units);
    }

    pub(super) fn set_total(&self, units: u64) {
        self.change(|state| state.total = units);
    }

    fn change(&self, change: impl FnOnce(&mut TreeState<N>)) {
        let mut state = self.state();
        change(&mut state);
        let wakers = state.watchers.notify(TaskChange::Bytes);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn total(&self) -> u64 {
        self.state().total
    }

    pub(super) fn completed(&self) -> u64 {
        self.state().completed()
    }

    pub(super) fn fraction(&self) -> f64 {
        let state = self.state();
        if state.is_indeterminate() {
            return 0.0;
        }
        let of_children = |child: &Child<N>| child.pending as f64 * child.progress.fraction_completed();
        let own = state.completed.saturating_add(state.of_finished) as f64;
        let completed = own + state.children.iter().map(of_children).sum::<f64>();
        // Without a total, any completed unit is everything.
        if completed >= state.total as f64 { 1.0 } else { completed / state.total as f64 }
    }

    pub(super) fn is_indeterminate(&self) -> bool {
        self.state().is_indeterminate()
    }

    pub(super) fn is_finished(&self) -> bool {
        let state = self.state();
        !state.is_indeterminate() && state.completed() >= state.total
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// Its own handler first, then the children.
    pub(super) fn act(&self, act: Act) {
        let mut state = self.state();
        let has_changed = match act {
            Act::Cancel => !std::mem::replace(&mut state.is_cancelled, true),
            Act::Pause => !std::mem::replace(&mut state.is_paused, true),
            Act::Resume => std::mem::replace(&mut state.is_paused, false),
        };
        // Suspensions of a task are counted: one pause is one suspension. A surplus resumption does nothing to a task that
        // runs, and starts a task that never ran.
        let children = if has_changed || act == Act::Resume { state.since(0) } else { Vec::new() };
        let wakers = if has_changed { state.watchers.notify(TaskChange::Bytes) } else { Vec::new() };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        let act_on_children = || act_on_each(children.into_iter().map(|(_, child)| child), act);
        match has_changed {
            true => self.controls.call_before(act, act_on_children),
            false => act_on_children(),
        }
    }

    pub(super) fn watch(&self) -> Changes {
        self.state().watchers.add(false)
    }

    /// The children with this number or a higher one.
    pub(super) fn children_since(&self, number: u64) -> Vec<(u64, N)> {
        self.state().since(number)
    }

    fn state(&self) -> MutexGuard<'_, TreeState<N>> {
        self.state.lock()
    }
}

/// Acts on every child, also if the handler of one panics.
fn act_on_each<N: Node>(mut children: impl Iterator<Item = N>, act: Act) {
    if let Some(child) = children.next() {
        let acted = catch_unwind(AssertUnwindSafe(|| child.act(act)));
        act_on_each(children, act);
        if let Err(panic) = acted {
            resume_unwind(panic);
        }
    }
}

impl<N: Node> TreeState<N> {
    fn completed(&self) -> u64 {
        let finished = self.children.iter().filter(|child| child.progress.is_finished());
        let of_children = finished.map(|child| child.pending).fold(self.of_finished, u64::saturating_add);
        self.completed.saturating_add(of_children)
    }

    fn is_indeterminate(&self) -> bool {
        self.total == 0 && self.completed() == 0
    }

    fn since(&self, number: u64) -> Vec<(u64, N)> {
        let new = self.children.iter().filter(|child| child.number >= number);
        new.map(|child| (child.number, child.progress.clone())).collect()
    }
}
