//! The handles of data, upload and download tasks: each is a [`Task`] with more methods. Stream tasks have their own
//! module.
//!
//! Apple: *URLSessionDataTask*, *URLSessionUploadTask*, *URLSessionDownloadTask*.

use std::convert::identity;
use std::ops::Deref;

use crate::task::handle::Task;
use crate::task::kind::TaskKind;

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

        /// Returns the task unchanged as the error if it is of another kind.
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
    /// A task that sends a body from memory, a file or a stream, and delivers its response to memory as a [`DataTask`]
    /// does.
    #[doc(alias = "URLSessionUploadTask")]
    UploadTask: DataTask = DataTask::of, TaskKind::Upload
}

handle! {
    /// A task that saves its response in a file.
    #[doc(alias = "URLSessionDownloadTask")]
    DownloadTask: Task = identity, TaskKind::Download
}
