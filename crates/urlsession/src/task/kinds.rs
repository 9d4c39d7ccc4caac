//! What each kind of task adds to what all have in common, and who runs them all.

pub(super) mod data;
pub(super) mod download;
pub(super) mod handles;
pub(super) mod stream;
pub(super) mod upload;

mod become_task;
pub(super) mod local_loader;
