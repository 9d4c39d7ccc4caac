//! The run of a task of any kind: its load is driven, its body is read, and it is finished.

pub(super) mod collect;
mod deadlines;
pub(super) mod drive;
pub(super) mod finish;
pub(super) mod poll_gate;
pub(super) mod retrying;
pub(super) mod task_future;
