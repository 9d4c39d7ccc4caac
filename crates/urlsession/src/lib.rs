//! A URL loading system.
