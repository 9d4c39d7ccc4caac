//! Many tasks at once: ten thousand on six connections, and a hundred thousand that nobody starts.
//!
//! They must end in the order of their creation, give or take the connections, and cost a bounded amount of memory.
//! Each case is a process of its own, judged by its `VmHWM`.

use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::time::Instant;

use urlsession::{Url, UrlSession};
use urlsession_bench::loads::{die, or_die};
use urlsession_bench::options::Options;
use urlsession_bench::remote::{Remote, serve_if_asked};
use urlsession_bench::usage::peak_rss_kib;
use urlsession_testkit::Wire;

const QUEUED: usize = 10_000;
const UNSTARTED: usize = 100_000;
const LIMIT_KIB: u64 = 60 * 1024;
const CONNECTIONS: usize = 6;

fn main() -> ExitCode {
    serve_if_asked();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => check(),
        [case, url] if case == "queue" => queue(&Options::get(or_die(Url::parse(url), "the URL"))),
        [case, url] if case == "unstarted" => unstarted(or_die(Url::parse(url), "the URL")),
        _ => die("scale"),
    }
}

fn check() -> ExitCode {
    let origin = Remote::start(Wire::H1);
    let program = or_die(std::env::current_exe(), "the program's own path");
    let run = |case: &str| {
        let status = Command::new(&program).args([case, origin.body_url(1024).as_str()]).status();
        or_die(status, "starting a case").success()
    };
    // Both are run, whatever the first says.
    if run("queue") & run("unstarted") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Resumes all tasks at once and sees in which order they end.
fn queue(options: &Options) -> ExitCode {
    let mut configuration = or_die(options.configuration(), "the configuration");
    configuration.http_maximum_connections_per_host = CONNECTIONS;
    let session = UrlSession::new(configuration);
    let (sender, ended) = channel();
    let start = Instant::now();
    for number in 0..QUEUED {
        let sender = sender.clone();
        let task = session.data_task_with_handler(&options.url, move |result| {
            // The receiver waits for every one of them.
            let _ = sender.send((number, result.is_ok()));
        });
        task.resume();
    }
    let created = start.elapsed();
    let listing = Instant::now();
    let listed = session.all_tasks().len();
    let listing = listing.elapsed();
    let order: Vec<_> = ended.iter().take(QUEUED).collect();
    let displaced = order.iter().enumerate().map(|(at, (number, _))| at.abs_diff(*number)).max().unwrap_or(0);
    let failed = order.iter().filter(|(_, good)| !good).count();
    let peak = peak_rss_kib();
    println!(
        "queue: {QUEUED} tasks over {CONNECTIONS} connections: created in {created:.2?}, {listed} listed in \
         {listing:.2?}, over in {:.2?}; {failed} failed, none more than {displaced} from its place; {peak} KiB",
        start.elapsed()
    );
    let good = failed == 0 && displaced < 2 * CONNECTIONS && (1..=LIMIT_KIB).contains(&peak);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Creates and drops tasks that nobody resumes.
fn unstarted(url: Url) -> ExitCode {
    let session = UrlSession::new(urlsession::Configuration::ephemeral());
    let create = || (0..UNSTARTED).for_each(|_| drop(session.data_task(&url)));
    create();
    let before = peak_rss_kib();
    create();
    let after = peak_rss_kib();
    println!("unstarted: {UNSTARTED} tasks created and dropped twice: {before} KiB, then {after} KiB");
    if before > 0 && after <= before + 64 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
