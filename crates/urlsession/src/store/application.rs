//! What the stores of an application have in common: how they say that something went wrong, and that a panic of theirs is no
//! more than that.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a method of an application's own store gives: any error will do. It costs what could have been kept, a warning
/// (`tracing`) and no load. Not of Apple's.
pub type BackendResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A panic is an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> BackendResult<T>) -> BackendResult<T> {
    // What the application holds is its own to keep whole.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("it panicked".into()))
}
