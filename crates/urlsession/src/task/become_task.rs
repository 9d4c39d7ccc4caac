//! A data task that becomes a download or a stream: the switch. What the new task does is its own business.
//!
//! Apple: *URLSession.ResponseDisposition*. That the new task keeps the identifier is not documented there; here it
//! does, so that an application can follow it.

use std::sync::Arc;

use super::core::Core;
use super::download;
use super::handle::Task;
use super::kind::{DataTask, DownloadTask, Kind};
use super::stream::StreamTask;
use super::stream_io::{self, Pipe};
use crate::env::RuntimeHandle;
use crate::load::{Response, TransactionLog};

/// What the delegate wants a response to be read by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    Download,
    Stream,
}

/// A response for another task to go on with.
pub(super) struct Conversion {
    pub(super) becomes: Becomes,
    pub(super) response: Response,
}

/// Tells the delegate, ends the data task, and runs the new one.
pub(super) async fn go_on(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    log: TransactionLog,
    conversion: Conversion,
) {
    let Conversion { becomes, response } = conversion;
    let target = core.target();
    let kind = match becomes {
        Becomes::Download => Kind::Download,
        Becomes::Stream => Kind::Stream(Arc::new(Pipe::default())),
    };
    let (successor, completed) = core.hand_over(kind.clone());
    // On behalf of the new task: a panic fails that one.
    successor.enqueue("did_become", move |new| {
        let task = Task::of(new.clone());
        match (target, kind) {
            (Some(target), Kind::Stream(pipe)) => {
                let stream = StreamTask::of(task, pipe);
                new.call(target, "did_become_stream_task", |delegate, task| {
                    delegate.did_become_stream_task(&DataTask::of(task.clone()), &stream);
                });
            }
            (Some(target), _) => {
                let download = DownloadTask::of(task);
                new.call(target, "did_become_download_task", |delegate, task| {
                    delegate.did_become_download_task(&DataTask::of(task.clone()), &download);
                });
            }
            (None, _) => {}
        }
        completed.leave();
    });
    match &successor.kind {
        Kind::Stream(pipe) => stream_io::run(successor.clone(), pipe.clone(), runtime, log, response).await,
        _ => download::run(successor, runtime, log, Some(response)).await,
    }
}
