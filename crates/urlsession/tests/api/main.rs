//! The house: sessions and tasks as applications use them, over every wire, against the embedded origin.

#[allow(unreachable_pub)] // shared by the modules of this one crate
mod support;

mod data;
