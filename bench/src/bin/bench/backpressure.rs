//! A slow reader must hold the server back: what a task keeps in memory does not grow with the body.
//!
//! A delegate that takes 1 ms for every piece of data, and a reader of a byte stream that rests 1 ms between two,
//! against a body sent at full speed, over every wire. Each case is a process of its own, judged by its `VmHWM`.
//! And a reader that does not rest, against 20 GiB, of which nothing may stay. `--quick` takes smaller bodies for those that
//! rest.

use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use urlsession::{Bytes, DataTask, DelegateQueue, Task, TaskDelegate, Url, UrlError, UrlSession};
use urlsession_bench::loads::{die, next_chunk, or_die};
use urlsession_bench::options::Options;
use urlsession_bench::remote::{Remote, again};
use urlsession_bench::usage::peak_rss_kib;
use urlsession_testkit::Wire;

struct Reader {
    name: &'static str,
    /// Bytes it reads, and with `--quick`.
    size: [u64; 2],
    /// KiB that may be resident meanwhile.
    limit: u64,
}

const READERS: [Reader; 3] = [
    Reader { name: "delegate", size: [GIB, GIB / 4], limit: 24 * 1024 },
    Reader { name: "bytes", size: [GIB, GIB / 4], limit: 24 * 1024 },
    Reader { name: "swift", size: [20 * GIB; 2], limit: 16 * 1024 },
];
const WIRES: [(&str, Wire); 3] = [("h1", Wire::H1), ("TLS h1", Wire::TlsH1), ("TLS h2", Wire::TlsH2)];

pub(super) fn main(arguments: &[String]) -> ExitCode {
    match arguments {
        [] => check(0),
        [quick] if quick == "--quick" => check(1),
        [reader, http, url, ca] => {
            let mut options = Options::get(or_die(Url::parse(url), "the URL"));
            options.http = if http == "2" { 2 } else { 1 };
            options.ca = Some(ca.into());
            let (bytes, pieces) = match reader.as_str() {
                "delegate" => read_by_delegate(&options),
                "swift" => read_as_bytes(&options, Duration::ZERO),
                _ => read_as_bytes(&options, PAUSE),
            };
            println!("{} {bytes} {pieces}", peak_rss_kib());
            ExitCode::SUCCESS
        }
        _ => die("backpressure [--quick]"),
    }
}

/// With the first or the second of the readers' sizes.
fn check(which: usize) -> ExitCode {
    let origins = WIRES.map(|(name, wire)| (name, wire, Remote::start(wire)));
    println!("a pause of {PAUSE:?} after each piece; of swift none\n");
    println!(
        "{:<9} {:<7} {:>7} {:>10} {:>8} {:>9} {:>10} {:>8}",
        "reader", "wire", "MiB", "VmHWM KiB", "at most", "pieces", "mean size", "s"
    );
    // All at once: they rest most of the time.
    let results: Vec<_> = thread::scope(|scope| {
        let cases = READERS.iter().flat_map(|reader| origins.iter().map(move |origin| (reader, origin)));
        let run = |(reader, origin)| scope.spawn(move || run_case(reader, origin, reader.size[which]));
        let cases: Vec<_> = cases.map(run).collect();
        cases.into_iter().map(|case| case.join().unwrap_or_else(|_| die("a case panicked"))).collect()
    });
    if results.into_iter().all(|kept| kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case in a process of its own; true if it stayed within the limit.
fn run_case(reader: &Reader, (name, wire, origin): &(&str, Wire, Remote), size: u64) -> bool {
    let start = Instant::now();
    let Reader { name: reader, limit, .. } = *reader;
    let http = if *wire == Wire::TlsH2 { "2" } else { "1" };
    let mut command = again("backpressure");
    command.args([reader, http, origin.body_url(size).as_str()]).arg(origin.ca());
    let output = or_die(command.output(), "starting a case");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [peak, bytes, pieces] = numbers[..] else {
        die(&format!("{reader} over {name}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    let (mean, seconds) = (bytes / pieces.max(1), start.elapsed().as_secs_f64());
    let mib = size >> 20;
    println!("{reader:<9} {name:<7} {mib:>7} {peak:>10} {limit:>8} {pieces:>9} {mean:>10} {seconds:>8.1}");
    if bytes != size {
        eprintln!("{reader} over {name}: {bytes} bytes came of {size}");
    }
    if peak > limit {
        eprintln!(
            "{reader} over {name}: {peak} KiB resident, more than {limit}; the server was not held back"
        );
    }
    // No figure at all is no proof either.
    peak > 0 && peak <= limit && bytes == size
}

/// Bytes and pieces that a slow delegate got.
fn read_by_delegate(options: &Options) -> (u64, u64) {
    let (sender, over) = channel();
    let delegate = Arc::new(Slow { got: Mutex::default(), over: Mutex::new(sender) });
    let configuration = or_die(options.configuration(), "the configuration");
    let session = UrlSession::with_task_delegate(configuration, delegate.clone(), DelegateQueue::serial());
    session.data_task(&options.url).resume();
    or_die(over.recv(), "waiting for the task");
    *delegate.got.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Slow {
    got: Mutex<(u64, u64)>,
    over: Mutex<Sender<()>>,
}

impl TaskDelegate for Slow {
    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        {
            let mut got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
            *got = (got.0 + data.len() as u64, got.1 + 1);
        }
        thread::sleep(PAUSE);
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        if let Some(error) = error {
            die(&format!("the load: {error}"));
        }
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        or_die(over.send(()), "telling the main thread");
    }
}

/// Bytes and pieces that a slow reader got. It rests on a timer, so that a connection's driver could run ahead.
fn read_as_bytes(options: &Options, pause: Duration) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    or_die(runtime, "starting a runtime").block_on(async {
        let session = UrlSession::new(or_die(options.configuration(), "the configuration"));
        let (mut body, _) = or_die(session.bytes(&options.url).await, "the load");
        let mut got = (0, 0);
        while let Some(chunk) = next_chunk(&mut body).await {
            got = (got.0 + chunk.len() as u64, got.1 + 1);
            drop(chunk);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        got
    })
}

const PAUSE: Duration = Duration::from_millis(1);

const GIB: u64 = 1 << 30;
