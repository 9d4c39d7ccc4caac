//! `urlsession tour`: what the library does, stop by stop, against servers of its own on this machine.
//!
//! A stop is a file that says what it shows, why that matters, and checks that it is so. A new capability is a
//! new file and a line in [`STOPS`].

mod auth;
mod cache;
mod closed;
mod cookies;
mod custom;
mod errors;
mod gzip;
mod har;
mod hints;
mod kinds;
mod lines;
mod network;
mod page;
mod redirects;
mod resume;
mod resume_upload;
mod security;
mod styles;
mod suspend;
mod trust;
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use urlsession::Configuration;
use urlsession::environment::{Clock, SystemClock};
use urlsession_testkit::Origin;

use self::page::Page;

const STOPS: &[Stop] = &[
    styles::STOP,
    redirects::STOP,
    auth::STOP,
    security::STOP,
    trust::STOP,
    gzip::STOP,
    cache::STOP,
    closed::STOP,
    cookies::STOP,
    hints::STOP,
    lines::STOP,
    suspend::STOP,
    resume::STOP,
    resume_upload::STOP,
    kinds::STOP,
    network::STOP,
    custom::STOP,
    har::STOP,
    errors::STOP,
];

/// One thing to see.
struct Stop {
    title: &'static str,
    /// One sentence: why it matters.
    why: &'static str,
    visit: fn(&mut Page) -> Outcome,
}

/// An error is a promise the library did not keep.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Visits every stop.
pub(crate) fn run() -> ExitCode {
    let began = SystemClock.now();
    let mut page = Page::new();
    let mut wrong = 0;
    for (number, stop) in (1..).zip(STOPS) {
        page.heading(number, stop.title, stop.why);
        if let Err(why) = visit(stop, &mut page) {
            wrong += 1;
            page.say(format_args!("WRONG: {why}"));
        }
    }
    let seconds = (SystemClock.now() - began).as_secs_f64();
    match wrong {
        0 => page.close(format_args!("{} stops, all as they should be, in {seconds:.1} s", STOPS.len())),
        _ => page.close(format_args!("{wrong} of {} stops went wrong", STOPS.len())),
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A panic is an outcome too: the other stops are still worth seeing.
fn visit(stop: &Stop, page: &mut Page) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| (stop.visit)(page))).unwrap_or_else(|_| Err("it panicked".into()))
}

/// Says what should have been, if it is not.
fn ensure(is_so: bool, what: impl Into<String>) -> Outcome {
    if is_so { Ok(()) } else { Err(what.into().into()) }
}

/// A configuration that trusts the origin's certificate.
fn trusting(origin: &Origin) -> Configuration {
    Configuration::ephemeral().additional_trust_anchors([origin.trust_anchor_der()])
}

/// How long a stop waits for what must come; never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(10);
