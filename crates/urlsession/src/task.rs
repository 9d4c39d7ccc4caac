//! Tasks: their handles, their states, and the one async function that runs each of them.
//!
//! A task knows its session only as a [`Roster`]. Which bytes go where is for `protocol` and below.

mod answer;
mod asking;
mod bytes;
mod cached;
mod core;
mod courier;
mod data;
mod deadlines;
mod delegate;
mod delivery;
mod governor;
mod handle;
mod har;
mod lines;
mod loading;
mod metrics;
mod observe;
mod parts;
mod progress;
mod queue;
mod roster;
mod run;
mod state;
mod text;

pub use self::answer::{Answer, Responder};
pub use self::bytes::{AsyncBytes, BytesRequest};
pub(crate) use self::core::{Core, Style};
pub use self::data::Data;
pub use self::delegate::{ResponseDisposition, TaskDelegate};
pub use self::handle::{DataTask, Task};
pub use self::har::{HarEntry, HarLog};
pub use self::lines::Lines;
pub use self::metrics::{DomainResolutionProtocol, ResourceFetchType, TaskMetrics, TransactionMetrics};
pub use self::observe::{Changes, StateChanges, TaskChange};
pub use self::progress::{Progress, ProgressChanges};
pub use self::queue::{DelegateQueue, Job};
pub(crate) use self::roster::Roster;
pub(crate) use self::run::Handler;
pub use self::state::TaskState;
pub use self::text::{Characters, UnicodeScalars};
