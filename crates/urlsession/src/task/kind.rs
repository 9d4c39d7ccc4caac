//! The kinds of tasks, and their handles: what each adds to [`Task`].
//!
//! Apple: *URLSessionDataTask*, *URLSessionUploadTask*, *URLSessionDownloadTask*. Stream tasks have a module of their own.

use std::convert::identity;
use std::ops::Deref;
use std::sync::Arc;

use super::handle::Task;
use super::stream::StreamTask;
use super::stream_io::Pipe;

/// What a task is for.
#[derive(Clone)]
pub(crate) enum Kind {
    Data,
    Upload,
    Download,
    Stream(Arc<Pipe>),
}

impl Kind {
    fn public(&self) -> TaskKind {
        match self {
            Self::Data => TaskKind::Data,
            Self::Upload => TaskKind::Upload,
            Self::Download => TaskKind::Download,
            Self::Stream(_) => TaskKind::Stream,
        }
    }
}

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// To get data into memory: a [`DataTask`].
    Data,
    /// To send a body: an [`UploadTask`].
    Upload,
    /// To get a file: a [`DownloadTask`].
    Download,
    /// To read and write bytes: a [`StreamTask`].
    Stream,
}

impl Task {
    /// What the task is for. The handle of that kind is had by `try_from`.
    pub fn kind(&self) -> TaskKind {
        self.core().kind.public()
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident: $base:ident = $of:expr, $is:pat) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[must_use = "a task does nothing until it is resumed"]
        pub struct $name($base);

        impl $name {
            pub(crate) fn of(task: Task) -> Self {
                Self($of(task))
            }
        }

        impl Deref for $name {
            type Target = $base;

            fn deref(&self) -> &$base {
                &self.0
            }
        }

        impl From<$name> for Task {
            fn from(task: $name) -> Self {
                task.0.into()
            }
        }

        /// Gives the task back if it is of another kind.
        impl TryFrom<Task> for $name {
            type Error = Task;

            fn try_from(task: Task) -> Result<Self, Task> {
                match task.kind() {
                    $is => Ok(Self::of(task)),
                    _ => Err(task),
                }
            }
        }
    };
}

handle! {
    /// A task that delivers its response to memory.
    #[doc(alias = "URLSessionDataTask")]
    DataTask: Task = identity, TaskKind::Data | TaskKind::Upload
}

handle! {
    /// A task that sends a body, of data, of a file or of a stream, and delivers its response to memory as a
    /// [`DataTask`] does.
    #[doc(alias = "URLSessionUploadTask")]
    UploadTask: DataTask = DataTask::of, TaskKind::Upload
}

handle! {
    /// A task that saves its response in a file.
    #[doc(alias = "URLSessionDownloadTask")]
    DownloadTask: Task = identity, TaskKind::Download
}

impl TryFrom<Task> for StreamTask {
    type Error = Task;

    fn try_from(task: Task) -> Result<Self, Task> {
        match task.core().kind.clone() {
            Kind::Stream(pipe) => Ok(Self::of(task, pipe)),
            _ => Err(task),
        }
    }
}
