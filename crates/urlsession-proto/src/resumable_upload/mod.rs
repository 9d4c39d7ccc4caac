//! Resumable uploads (draft-ietf-httpbis-resumable-upload): what is sent, what is read, and what follows from it.
//!
//! [`Dialect`] writes the fields of requests, [`UploadFields`] reads those of responses, [`Limits`] cuts a body into
//! parts, [`Problem`] reads what a refusal says, and the functions of [`next`] say what to do after each response. Who
//! sends, waits, or gives up trying is not decided here.

mod dialect;
mod fields;
mod limits;
pub mod next;
mod problem;

pub use self::dialect::Dialect;
pub use self::fields::UploadFields;
pub use self::limits::{Limits, Part};
pub use self::next::{Next, Reply, Stop};
pub use self::problem::Problem;
