//! The `urlsession` command.
fn main() {}
