//! What the backends of an application have in common: how they report errors, and that a panic is treated as an error.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The result of a method of an application's own store. Any error type is allowed. After an error the data may not be
/// stored and a warning (`tracing`) is logged, but no load fails. Extension: no counterpart in Apple's API.
pub type BackendResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A panic is an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> BackendResult<T>) -> BackendResult<T> {
    // What the application holds is its own to keep whole.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("it panicked".into()))
}
