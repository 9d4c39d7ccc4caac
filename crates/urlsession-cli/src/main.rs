//! The `urlsession` command: its subcommands and its exit codes (0 done, 1 failed, 2 not understood).

mod args;
mod download;
mod get;
mod load;
mod progress;
mod show;
mod tour;
mod upload;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Get(args) => get::run(&args),
        Command::Upload(args) => upload::run(&args),
        Command::Download(args) => download::run(&args),
        Command::Tour => tour::run(),
    }
}
