//! The `urlsession` command: its subcommands and its exit codes (0 done, 1 failed, 2 not understood).

mod args;
mod get;
mod show;
mod tour;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Get(args) => get::run(&args),
        Command::Tour => tour::run(),
    }
}
