//! What the measuring programs share: flags, loads in every style of the API, and figures.
//!
//! The programs are `client` (one run, one JSON line), `bulk` (large files, by turns with reqwest), `budget` (costs held to
//! `budgets.tsv`) and `backpressure` (memory of slow readers).

pub mod counting;
pub mod counts;
pub mod figures;
pub mod loads;
pub mod options;
pub mod remote;
pub mod usage;
