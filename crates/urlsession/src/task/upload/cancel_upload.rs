//! What becomes of an upload whose task is cancelled and that nobody goes on with: its server is told so, behind the task,
//! and its record goes.

use std::sync::Arc;

use super::super::core::Core;
use super::super::state::TaskState;
use super::resuming::Resuming;
use crate::env::RuntimeHandle;
use crate::error::UrlError;
use crate::load::{Activity, Attempt, DetachedContext, TransactionLog};

impl Core {
    /// The task has ended with this. If its owner has cancelled it, the server is told that the upload is given up; nobody
    /// waits for that, and nobody is asked anything for it.
    pub(in super::super) fn give_up_if_cancelled(self: &Arc<Self>, error: &UrlError) {
        let point = {
            let mut live = self.live();
            let is_cancelled = error.is_of_owner() && live.state() == TaskState::Canceling;
            let has_run = live.has_run;
            let resuming = live.kind_state_mut::<Resuming>();
            let resuming = resuming.filter(|resuming| is_cancelled && has_run && !resuming.is_kept);
            resuming.and_then(|resuming| resuming.point.take())
        };
        let (Some(point), Some(request)) = (point, self.live().current.clone()) else { return };
        let core = self.clone();
        let runtime = RuntimeHandle::own();
        runtime.clone().spawn(async move {
            core.forget_record(&runtime).await;
            let session = core.session.clone();
            // The task itself is over.
            drop(core);
            let mut request = (*request).clone();
            request.remove_http_body();
            let (context, activity, mut log) =
                (DetachedContext::giving_up(point), Activity::default(), TransactionLog::new());
            let clock = &*session.config.environment.clock;
            let attempt = Attempt::new(Arc::new(request), &context, &activity, &mut log, &runtime, clock);
            // A server that is not reached forgets the upload in its own time.
            let _ = session.protocols.load_http(attempt).await;
        });
    }
}
