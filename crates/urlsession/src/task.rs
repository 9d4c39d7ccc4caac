//! Tasks: their handles, their states, and the one async function that runs each of them.
//!
//! A task knows its session only as a [`Roster`]. Which bytes go where is for `protocol` and below.

mod answer;
mod asking;
mod bytes;
mod convert;
mod core;
mod courier;
mod data;
mod deadlines;
mod delegate;
mod delivery;
mod download;
mod governor;
mod handle;
mod har;
mod kind;
mod lines;
mod loading;
mod metrics;
mod observe;
mod parts;
mod pipe;
mod progress;
mod queue;
mod reading;
mod roster;
mod run;
mod state;
mod stream;
mod temporary_file;
mod text;
mod upload;

pub use self::answer::{Answer, Responder};
pub use self::bytes::{AsyncBytes, BytesRequest};
pub(crate) use self::core::{Core, Style};
pub use self::data::Data;
pub use self::delegate::{ResponseDisposition, TaskDelegate};
pub use self::download::Download;
pub use self::handle::Task;
pub use self::har::{HarEntry, HarLog};
pub(crate) use self::kind::Kind;
pub use self::kind::{DataTask, DownloadTask, TaskKind, UploadTask};
pub use self::lines::Lines;
pub use self::metrics::{DomainResolutionProtocol, ResourceFetchType, TaskMetrics, TransactionMetrics};
pub use self::observe::{Changes, StateChanges, TaskChange};
pub use self::progress::{Progress, ProgressChanges};
pub use self::queue::{DelegateQueue, Job};
pub(crate) use self::roster::Roster;
pub(crate) use self::run::Handler;
pub use self::state::TaskState;
pub use self::stream::StreamTask;
pub use self::temporary_file::{PersistError, TemporaryFile};
pub use self::text::{Characters, UnicodeScalars};
pub use self::upload::Upload;
pub(crate) use self::upload::{Payload, to_upload};
