//! The steps before an upload is sent: digests are made, and a record of an earlier run is looked up.

use std::future::Future;
use std::sync::Arc;

use crate::env::RuntimeHandle;
use crate::error::Result;
use crate::load::{Response, TransactionLog};
use crate::message::UrlRequest;
use crate::task::core::Core;
use crate::task::kind::TaskKind;
use crate::task::run::drive;

/// Loads the head, of an upload or of a data task.
pub(in crate::task) fn load<'a>(
    core: &'a Arc<Core>,
    runtime: &'a RuntimeHandle,
    log: &'a mut TransactionLog,
) -> impl Future<Output = Result<Response>> + Send + 'a {
    let prepares = core.kind == TaskKind::Upload && core.prepares_upload();
    // Not an `async fn`, which would store its arguments twice.
    async move {
        // In a box of its own: it does not enlarge other loads.
        if prepares {
            return Box::pin(load_prepared(core, runtime, log)).await;
        }
        drive::load(core, runtime, log, None).await
    }
}

/// An upload that needs preparation before it is sent.
async fn load_prepared(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
) -> Result<Response> {
    let digests = core.digests(runtime).await?;
    let request = digests.as_ref().map(|digests| digests.request.clone());
    let response = match core.keeps_record() {
        true => load_recorded(core, runtime, log, request).await?,
        false => drive::load(core, runtime, log, request).await?,
    };
    match digests {
        Some(digests) => digests.check(core, runtime, response).await,
        None => Ok(response),
    }
}

/// An upload that is recorded for later runs, and may have been recorded by an earlier run.
async fn load_recorded(
    core: &Arc<Core>,
    runtime: &RuntimeHandle,
    log: &mut TransactionLog,
    request: Option<Arc<UrlRequest>>,
) -> Result<Response> {
    core.look_up(runtime).await;
    let goes_on = core.has_record();
    let mut result = drive::load(core, runtime, log, request.clone()).await;
    if goes_on && result.as_ref().is_err_and(|error| error.resume_failure().is_some()) {
        // The recorded upload cannot continue; the application asked for an upload, not for that particular one.
        core.forget_record(runtime).await;
        result = drive::load(core, runtime, log, request).await;
    }
    if result.is_ok() || !core.has_leftovers() {
        core.forget_record(runtime).await;
    }
    result
}
