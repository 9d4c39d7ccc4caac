//! The room alone.
