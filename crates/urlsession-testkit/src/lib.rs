//! In-process origins for tests of URL loading.
