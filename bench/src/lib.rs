//! What the measuring programs share: flags, loads in every style of the API, and figures.
//!
//! `bin/bench` has the programs.

pub mod counting;
pub mod counts;
pub mod figures;
pub mod loads;
pub mod options;
pub mod remote;
pub mod usage;
