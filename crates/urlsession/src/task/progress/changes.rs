//! `ProgressChanges`: the changes of a progress, and of everything below it, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Progress, ProgressKind};
use crate::task::observe::Changes;

/// Yields the completed fraction each time a progress or one below it has changed. Unread changes are merged into one.
///
/// The stream of a task's progress ends with the task. Any other stream ends once the progress is finished or cancelled.
pub struct ProgressChanges {
    progress: Progress,
    own: Changes,
    own_is_over: bool,
    children: Vec<Self>,
    next_child: u64,
}

impl Progress {
    /// A stream of the completed fraction, with an item for each change of this progress or a child.
    pub fn changes(&self) -> ProgressChanges {
        let own = match &self.0 {
            ProgressKind::Tree(tree) => tree.watch(),
            ProgressKind::Task(core) => core.watch(),
        };
        ProgressChanges::new(self.clone(), own)
    }
}

impl ProgressChanges {
    pub(super) fn new(progress: Progress, own: Changes) -> Self {
        let mut this = Self { progress, own, own_is_over: false, children: Vec::new(), next_child: 0 };
        this.meet_children();
        this
    }

    /// Whether anything has changed. If not, `cx` is woken when it does.
    fn hear(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_heard = false;
        while !self.own_is_over {
            match Pin::new(&mut self.own).poll_next(cx) {
                Poll::Ready(Some(_)) => has_heard = true,
                Poll::Ready(None) => self.own_is_over = true,
                Poll::Pending => break,
            }
        }
        if has_heard {
            self.meet_children();
        }
        self.children.retain_mut(|child| {
            has_heard |= child.hear(cx);
            !child.own_is_over
        });
        has_heard
    }

    fn meet_children(&mut self) {
        for (number, child) in self.progress.children_since(self.next_child) {
            self.next_child = number + 1;
            self.children.push(child.changes());
        }
    }
}

impl Stream for ProgressChanges {
    type Item = f64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<f64>> {
        if self.hear(cx) {
            return Poll::Ready(Some(self.progress.fraction_completed()));
        }
        match self.own_is_over || self.progress.has_ended() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }
}

impl fmt::Debug for ProgressChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressChanges").field("progress", &self.progress).finish_non_exhaustive()
    }
}
