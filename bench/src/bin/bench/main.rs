//! The measuring programs in one: what they share is most of them, and is linked once.

mod backpressure;
mod budget;
mod bulk;
mod cache;
mod client;
mod cookies;
mod scale;

use std::process::ExitCode;

use urlsession_bench::counting::Counting;
use urlsession_bench::remote::serve_if_asked;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    serve_if_asked();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Some((name, flags)) = arguments.split_first() else { return usage() };
    match (name.as_str(), flags) {
        ("budget", flags) => budget::main(flags),
        ("backpressure", flags) => backpressure::main(flags),
        ("bulk", flags) => bulk::main(flags),
        ("scale", flags) => scale::main(flags),
        ("client", flags) => client::main(flags),
        ("cache", []) => cache::main(),
        ("cookies", []) => cookies::main(),
        // The peers' harness starts a client with nothing before its flags.
        _ if name.starts_with("--") => client::main(&arguments),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("bench budget|backpressure|bulk|scale|cache|cookies|client [FLAGS]: see bench/README.md");
    ExitCode::FAILURE
}
