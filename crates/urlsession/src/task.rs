//! Tasks: their handles, their states, and the one async function that runs each of them.
//!
//! A task knows its session only as a [`SessionShared`]. `protocol` and the layers below decide which bytes go where.

mod byte_counts;
#[cfg(feature = "cache")]
mod cached_response_of_task;
mod context;
mod cookies_of_task;
mod core;
mod delegate;
mod destination;
mod downloaded_file;
mod handle;
#[cfg(feature = "har")]
mod har;
mod kind;
mod kinds;
mod loader;
mod metrics;
mod observe;
mod progress;
mod retry;
mod run;
mod session_shared;
#[cfg_attr(not(test), expect(dead_code, reason = "for sessions whose tasks another process runs"))]
mod snapshot;
mod state;

pub(crate) use self::core::{Core, Style};
pub use self::delegate::decision::{Decision, Responder};
pub use self::delegate::queue::{DelegateQueue, QueueJob};
pub(crate) use self::delegate::shared_delegate::forward_to_task_delegate;
pub use self::delegate::{ResponseDisposition, TaskDelegate};
pub use self::destination::DownloadDestination;
pub use self::downloaded_file::{DownloadedFile, PersistError};
pub use self::handle::Task;
#[cfg(feature = "har")]
pub use self::har::{HarEntry, HarLog};
pub use self::kind::TaskKind;
pub use self::kinds::data::DataFuture;
pub use self::kinds::data::async_bytes::{AsyncBytes, BytesFuture, SingleBytes};
pub use self::kinds::data::readers::{BlockingReader, FuturesReader};
pub use self::kinds::data::text::{Characters, Lines, UnicodeScalars};
pub use self::kinds::download::DownloadFuture;
pub use self::kinds::download::digest::ContentDigest;
pub(crate) use self::kinds::download::flushing;
pub(crate) use self::kinds::download::options::DownloadOptions;
pub use self::kinds::handles::{DataTask, DownloadTask, UploadTask};
pub use self::kinds::stream::StreamTask;
pub use self::kinds::upload::UploadFuture;
pub(crate) use self::kinds::upload::resuming::open as open_resume_data;
pub(crate) use self::kinds::upload::{Payload, to_upload};
pub(crate) use self::loader::Handler;
pub use self::metrics::{ResourceFetchType, TaskMetrics, TransactionMetrics};
pub use self::observe::{Changes, StateChanges, TaskChange};
pub use self::progress::Progress;
pub use self::progress::changes::ProgressChanges;
pub use self::retry::RetryPolicy;
pub(crate) use self::session_shared::{SessionChallenge, SessionShared};
pub use self::state::TaskState;
