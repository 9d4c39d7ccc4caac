//! Which challenge handler decides about the server of a connection, and which one has decided.

use parking_lot::Mutex;
use std::sync::Arc;

use crate::message::ServerTrust;

/// Decides about the connections of a task: the platform or a delegate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Decider {
    /// There is no delegate.
    #[default]
    Platform,
    /// The session's delegate, for the task with this identifier.
    Session(u64),
    /// The own delegate of the task with this identifier.
    Task(u64),
}

/// Which handler decided a challenge of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DecidedBy {
    /// No delegate: it is the default handling.
    Default,
    /// The session's delegate, as the delegate of the session.
    Session,
    /// The task's own delegate, or the session's delegate as that of the task: for this task.
    Task,
}

/// The certificates of a server, and the delegates that have evaluated them beside the platform.
#[derive(Clone, Debug)]
pub(crate) struct PeerRecord {
    pub(crate) trust: ServerTrust,
    judges: Arc<Mutex<Judges>>,
}

#[derive(Debug, Default)]
struct Judges {
    is_session: bool,
    /// The tasks whose own delegates have evaluated the certificates, the latest last.
    tasks: Vec<u64>,
}

impl PeerRecord {
    /// Of a connection that `decider` has judged in its handshake.
    pub(crate) fn new(trust: ServerTrust, decider: Decider) -> Self {
        let record = Self { trust, judges: Arc::default() };
        record.add_judge(decider);
        record
    }

    /// True if `decider` has nothing to say about the server any more.
    pub(crate) fn is_judged_by(&self, decider: Decider) -> bool {
        let judges = self.judges.lock();
        match decider {
            Decider::Platform => true,
            Decider::Session(_) => judges.is_session,
            Decider::Task(task) => judges.tasks.contains(&task),
        }
    }

    /// Takes note that `decider` has judged the server.
    pub(crate) fn add_judge(&self, decider: Decider) {
        let mut judges = self.judges.lock();
        match decider {
            Decider::Platform => {}
            Decider::Session(_) => judges.is_session = true,
            Decider::Task(task) => {
                if judges.tasks.len() == MOST_JUDGES {
                    judges.tasks.remove(0);
                }
                judges.tasks.push(task);
            }
        }
    }
}

/// A task that is forgotten is asked again.
const MOST_JUDGES: usize = 16;
