//! `LocalLoader`: runs tasks in this process, on the library's own runtime, with the function of their kind.

use std::pin::pin;
use std::sync::Arc;

use super::data::{collect, deliver};
use super::{become_task, download};
use crate::configuration::Configuration;
use crate::env::{RuntimeHandle, not_started};
use crate::error::UrlError;
use crate::load::TransactionLog;
use crate::task::core::Core;
use crate::task::delegate::TaskDelegate;
use crate::task::delegate::queue::DelegateQueue;
use crate::task::kind::TaskKind;
use crate::task::loader::{Handler, Loader};
use crate::task::run::drive::drive;
use crate::task::run::finish::{finish, finish_with};
use crate::task::session_shared::{DelegateSlot, SessionShared};

struct LocalLoader;

impl Loader<Core> for LocalLoader {
    fn start(&self, core: Arc<Core>, handler: Option<Handler>) {
        let runtime = match RuntimeHandle::own() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&core, handler, not_started(error)),
        };
        runtime.clone().spawn(async move {
            match handler {
                Some(Handler::Data(handler)) => {
                    let mut log = TransactionLog::new();
                    let result = drive(&core, &runtime, pin!(collect(&core, &runtime, &mut log))).await;
                    finish_with(&core, result, &mut log, handler);
                }
                // In separate boxes: a future that few tasks need does not enlarge all tasks.
                Some(Handler::File(handler)) => {
                    let mut log = TransactionLog::new();
                    let result = Box::pin(download::saved(&core, &runtime, &mut log, None)).await;
                    finish_with(&core, result, &mut log, handler);
                }
                None => Box::pin(run(core, runtime)).await,
            }
        });
    }
}

/// Ends a task that cannot run.
fn fail(core: &Arc<Core>, handler: Option<Handler>, error: UrlError) {
    let mut log = TransactionLog::new();
    match handler {
        Some(Handler::Data(handler)) => finish_with(core, Err(error), &mut log, handler),
        Some(Handler::File(handler)) => finish_with(core, Err(error), &mut log, handler),
        None => finish(core, Some(error), &mut log),
    }
}

impl SessionShared<Core> {
    /// The shared part of a session whose tasks run in this process.
    pub(crate) fn local(
        config: Arc<Configuration>,
        delegate: Option<Arc<dyn TaskDelegate>>,
        queue: DelegateQueue,
    ) -> Self {
        Self::new(config, delegate.map(DelegateSlot::new), queue, Box::new(LocalLoader))
    }
}

/// Runs a task that has a delegate.
async fn run(core: Arc<Core>, runtime: RuntimeHandle) {
    let mut log = TransactionLog::new();
    if core.kind == TaskKind::Download {
        return download::run(core, runtime, log, None).await;
    }
    let result = drive(&core, &runtime, pin!(deliver(&core, &runtime, &mut log))).await;
    match result {
        Ok(Some(conversion)) => become_task::go_on(core, runtime, log, conversion).await,
        Ok(None) => finish(&core, None, &mut log),
        Err(error) => finish(&core, Some(error), &mut log),
    }
}
