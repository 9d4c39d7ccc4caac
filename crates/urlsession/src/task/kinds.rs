//! What each kind of task adds to the common part, and the loader that runs tasks of all kinds.

pub(super) mod data;
pub(super) mod download;
pub(super) mod handles;
pub(super) mod stream;
pub(super) mod upload;

mod become_task;
pub(super) mod local_loader;
