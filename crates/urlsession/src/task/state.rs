//! The states of a task and what moves it between them. Pure. Apple: *URLSessionTask.State*.

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "URLSessionTask.State")]
pub enum TaskState {
    /// Transferring bytes, or ready to.
    #[doc(alias = "running")]
    Running = 0,
    /// Not started, or suspended: no bytes move, and the idle timeout stands still. The timeout for the whole resource runs
    /// from the first `resume`, and can end the task.
    #[doc(alias = "suspended")]
    Suspended = 1,
    /// Cancelled; its completion has not been delivered yet.
    #[doc(alias = "canceling")]
    Canceling = 2,
    /// Over: successful, failed, or cancelled.
    #[doc(alias = "completed")]
    Completed = 3,
}

/// The state, and the number of suspensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    state: TaskState,
    suspensions: u32,
}

impl Machine {
    /// Created suspended, once.
    pub(super) fn new() -> Self {
        Self { state: TaskState::Suspended, suspensions: 1 }
    }

    pub(super) fn state(self) -> TaskState {
        self.state
    }

    /// Every suspension needs a resumption; surplus resumptions do nothing. True if the task now runs.
    pub(super) fn resume(&mut self) -> bool {
        if self.state != TaskState::Suspended {
            return false;
        }
        self.suspensions -= 1;
        if self.suspensions > 0 {
            return false;
        }
        self.state = TaskState::Running;
        true
    }

    /// True if the task was running.
    pub(super) fn suspend(&mut self) -> bool {
        match self.state {
            TaskState::Running => {
                self.state = TaskState::Suspended;
                self.suspensions = 1;
                true
            }
            TaskState::Suspended => {
                self.suspensions = self.suspensions.saturating_add(1);
                false
            }
            TaskState::Canceling | TaskState::Completed => false,
        }
    }

    /// True if it was neither cancelled nor over.
    pub(super) fn cancel(&mut self) -> bool {
        if matches!(self.state, TaskState::Canceling | TaskState::Completed) {
            return false;
        }
        self.state = TaskState::Canceling;
        true
    }

    /// True the first time.
    pub(super) fn complete(&mut self) -> bool {
        let first = self.state != TaskState::Completed;
        self.state = TaskState::Completed;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspensions_are_counted() {
        let mut task = Machine::new();
        task.suspend();
        task.suspend();
        assert!(!task.resume() && !task.resume());
        assert_eq!(task.state(), TaskState::Suspended);
        assert!(task.resume());
        assert!(!task.resume(), "a surplus resumption does nothing");
        assert!(task.suspend(), "and is not saved up");
        assert_eq!(task.state(), TaskState::Suspended);
    }

    #[test]
    fn a_cancelled_task_cannot_be_resumed_or_suspended() {
        let mut task = Machine::new();
        assert!(task.cancel());
        assert!(!task.cancel() && !task.resume() && !task.suspend());
        assert_eq!(task.state(), TaskState::Canceling);
        assert!(task.complete() && !task.complete());
        assert!(!task.cancel());
        assert_eq!(task.state(), TaskState::Completed);
    }
}
