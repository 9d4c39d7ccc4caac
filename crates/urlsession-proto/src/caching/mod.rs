//! Caching: what a response allows and how old it is (RFC 9111, RFC 5861, RFC 8246), as a private cache reads it.
//!
//! Times are whole seconds since 1970, handed in. What to do with an answer, a cache's policy, is decided elsewhere.

mod control;
mod freshness;
mod storing;

pub use control::CacheControl;
pub use freshness::{Freshness, Reuse, Times, Why};
pub use storing::{
    NotStorable, Vary, connection_fields, has_validator, is_blank, merged, says_something, storable, updates,
    vary,
};
