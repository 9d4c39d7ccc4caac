//! A data task that becomes a download or a stream: the conversion. The modules of the new task run it.
//!
//! Apple: *URLSession.ResponseDisposition*. Apple does not document that the new task keeps the identifier; here it keeps
//! the identifier, so that an application can follow the task.

use std::sync::Arc;

use super::download;
use super::handles::{DataTask, DownloadTask};
use super::stream::StreamTask;
use crate::env::RuntimeHandle;
use crate::load::TransactionLog;
use crate::task::core::Core;
use crate::task::handle::Task;
use crate::task::kind::{KindState, TaskKind};
use crate::task::kinds::data::delivery::{Becomes, Conversion};
use crate::task::kinds::stream::pipe::Pipe;
use crate::task::kinds::stream::stream_io;

/// Calls the delegate, ends the data task, and runs the new task.
pub(in crate::task) async fn go_on(
    core: Arc<Core>,
    runtime: RuntimeHandle,
    log: TransactionLog,
    conversion: Conversion,
) {
    let Conversion { becomes, response } = conversion;
    let target = core.target();
    let pipe = match becomes {
        Becomes::Download => None,
        Becomes::Stream => Some(Arc::new(Pipe::default())),
    };
    let kind = if pipe.is_some() { TaskKind::Stream } else { TaskKind::Download };
    let kind_state = pipe.clone().map(|pipe| Box::new(pipe) as Box<dyn KindState<Core>>);
    let (successor, completed) = core.hand_over(kind, kind_state);
    // The call belongs to the new task: a panic fails the new task.
    let theirs = pipe.clone();
    successor.enqueue("did_become", move |new| {
        let task = Task::of(new.clone());
        match (target, theirs) {
            (Some(target), Some(pipe)) => {
                let stream = StreamTask::of(task, pipe);
                new.call(target, "did_become_stream_task", |delegate, task| {
                    delegate.did_become_stream_task(&DataTask::of(task.clone()), &stream);
                });
            }
            (Some(target), None) => {
                let download = DownloadTask::of(task);
                new.call(target, "did_become_download_task", |delegate, task| {
                    delegate.did_become_download_task(&DataTask::of(task.clone()), &download);
                });
            }
            (None, _) => {}
        }
        completed.leave();
    });
    match pipe {
        Some(pipe) => stream_io::run(successor, pipe, runtime, log, response).await,
        None => download::run(successor, runtime, log, Some(response)).await,
    }
}
