//! One run of loads, and one line of JSON that says what it cost: the peers' flags, our library.

use std::process::ExitCode;

use urlsession_bench::figures::{Samples, Watch, json};
use urlsession_bench::loads::{Loads, or_die};
use urlsession_bench::options::{Options, Style};

pub(super) fn main(arguments: &[String]) -> ExitCode {
    let options = or_die(Options::parse(arguments.iter().cloned()), "client");
    let loads = or_die(Loads::new(options.clone()), "client");
    let line = match options.style {
        // One runtime for warm-up and run: connections live and die with it.
        Style::Async => loads.runtime().block_on(async {
            warm_up(&options, loads.run_async(options.warmup).await);
            let watch = Watch::start();
            let samples = loads.run_async(options.requests).await;
            json(&options, samples, watch.read())
        }),
        _ => {
            warm_up(&options, loads.run(options.warmup));
            let watch = Watch::start();
            let samples = loads.run(options.requests);
            json(&options, samples, watch.read())
        }
    };
    println!("{line}");
    ExitCode::SUCCESS
}

fn warm_up(options: &Options, samples: Samples) {
    assert_eq!(samples.count(), options.warmup);
}
