//! Many tasks at once: ten thousand on six connections, a hundred thousand that nobody starts, a thousand that wait.
//!
//! The first must end in the order of their creation, give or take the connections, and cost a bounded amount of memory,
//! judged by `VmHWM`; the last must wait at the same time. Each case is a process of its own.

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use urlsession::{Url, UrlSession};
use urlsession_bench::loads::{Loads, die, or_die};
use urlsession_bench::options::Options;
use urlsession_bench::remote::{Remote, again};
use urlsession_bench::usage::peak_rss_kib;
use urlsession_testkit::Wire;

const QUEUED: usize = 10_000;
const UNSTARTED: usize = 100_000;
const LIMIT_KIB: u64 = 60 * 1024;
const CONNECTIONS: usize = 6;

const SLOW: usize = 1_000;
/// How long the server thinks about each slow answer.
const DELAY: Duration = Duration::from_millis(200);
/// Multiples of the delay in which all of them should be there, and must be on a machine that has other work.
const GOAL: f64 = 1.3;
const LIMIT: f64 = 2.0;
/// How often a machine that has other work may try.
const TRIES: usize = 3;

pub(super) fn main(arguments: &[String]) -> ExitCode {
    match arguments {
        [] => check(),
        [case, url] if case == "queue" => queue(&Options::get(or_die(Url::parse(url), "the URL"))),
        [case, url] if case == "unstarted" => unstarted(or_die(Url::parse(url), "the URL")),
        [case] if case == "slow" => check_slow(),
        [case, http, url, ca] if case == "slow" => slow(http, or_die(Url::parse(url), "the URL"), ca),
        _ => die("scale [slow]"),
    }
}

fn check() -> ExitCode {
    let origin = Remote::start(Wire::H1);
    let run = |case: &str| {
        let status = again("scale").args([case, origin.body_url(1024).as_str()]).status();
        or_die(status, "starting a case").success()
    };
    // All are run, whatever the first says.
    let good = run("queue") & run("unstarted");
    drop(origin);
    if good & (check_slow() == ExitCode::SUCCESS) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check_slow() -> ExitCode {
    let run = |wire: Wire, http: &str| {
        let origin = Remote::start(wire);
        let url = origin.delayed_url(DELAY);
        // Other work of the machine makes it slower, never faster: once is enough.
        (0..TRIES).any(|_| {
            let arguments = ["slow", http, url.as_str()];
            let status = again("scale").args(arguments).arg(origin.ca()).status();
            or_die(status, "starting a case").success()
        })
    };
    if run(Wire::H1, "1") & run(Wire::TlsH2, "2") { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

/// Loads slow answers at the same time, first over connections that have to be made, then over those that are there.
fn slow(http: &str, url: Url, ca: &str) -> ExitCode {
    let options = Options {
        http: if http == "2" { 2 } else { 1 },
        ca: Some(ca.into()),
        connections: SLOW,
        concurrency: SLOW,
        ..Options::get(url)
    };
    let loads = or_die(Loads::new(options), "the session");
    let runtime = loads.runtime();
    let times = [(); 2].map(|()| {
        let start = Instant::now();
        let samples = runtime.block_on(loads.run_async(SLOW));
        assert_eq!(samples.bytes(), 4 * SLOW as u64, "every body is there");
        start.elapsed()
    });
    let in_delays = |time: Duration| time.as_secs_f64() / DELAY.as_secs_f64();
    let [cold, warm] = times.map(in_delays);
    let verdict = if cold.max(warm) < GOAL { "good" } else { "slower than it should be" };
    println!(
        "slow: {SLOW} answers of {DELAY:?} each at once over HTTP/{http}: {:.0?} ({cold:.2} times the delay) with new \
         connections, {:.0?} ({warm:.2}) with kept ones; {} KiB: {verdict}",
        times[0],
        times[1],
        peak_rss_kib()
    );
    if cold.max(warm) < LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
