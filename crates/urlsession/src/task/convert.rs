//! A data task that becomes a download or a stream: the switch. What the new task does is its own business.
//!
//! Apple: *URLSession.ResponseDisposition*. That the new task keeps the identifier is not documented there; here it
//! does, so that an application can follow it.

use std::sync::Arc;

use super::core::Core;
use super::download;
use super::handle::Task;
use super::kind::{DataTask, DownloadTask, Kind};
use super::pipe::{self, Pipe};
use super::stream::StreamTask;
use crate::env::Place;
use crate::load::{Log, Response};

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
pub(super) async fn go_on(core: Arc<Core>, place: Place, log: Log, conversion: Conversion) {
    let Conversion { becomes, response } = conversion;
    let audience = core.audience();
    let kind = match becomes {
        Becomes::Download => Kind::Download,
        Becomes::Stream => Kind::Stream(Arc::new(Pipe::default())),
    };
    let (successor, completed) = core.hand_over(kind.clone());
    // On behalf of the new task: a panic fails that one.
    successor.enqueue("did_become", move |new| {
        let task = Task::of(new.clone());
        match (audience, kind) {
            (Some(audience), Kind::Stream(pipe)) => {
                let stream = StreamTask::of(task, pipe);
                new.call(audience, "did_become_stream_task", |delegate, task| {
                    delegate.did_become_stream_task(&DataTask::of(task.clone()), &stream);
                });
            }
            (Some(audience), _) => {
                let download = DownloadTask::of(task);
                new.call(audience, "did_become_download_task", |delegate, task| {
                    delegate.did_become_download_task(&DataTask::of(task.clone()), &download);
                });
            }
            (None, _) => {}
        }
        completed.leave();
    });
    match &successor.kind {
        Kind::Stream(pipe) => pipe::run(successor.clone(), pipe.clone(), place, log, response).await,
        _ => download::run(successor, place, log, Some(response)).await,
    }
}
