//! What a hit costs, in process: from memory in nanoseconds, and a mebibyte from disk beside reading a file.
//!
//! Fails above the limits. A hit from memory touches no socket; the origin is asked once for each body. On a machine that
//! others use, too, whatever else runs can only make a piece of work slower: hits are counted in short runs of which the
//! fastest is judged, and the disk by the quickest quarter of its hits beside that of the readings they took turns with.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use urlsession::cache::UrlCache;
use urlsession::{Configuration, Url, UrlSession};
use urlsession_bench::loads::{die, or_die};
use urlsession_testkit::{Origin, Reply, Wire};

/// Hits from memory in a run, and runs.
const HITS: u32 = 20_000;
const RUNS: usize = 20;
const MOST_PER_HIT: Duration = Duration::from_micros(10);
const LEAST_PER_SECOND: f64 = 200_000.0;
const MEBIBYTE: usize = 1024 * 1024;
/// Hits from disk, and readings of the file.
const READS: usize = 2_000;
const MOST_BESIDE_FILE: f64 = 1.3;

pub(super) fn main() -> ExitCode {
    let runtime = or_die(tokio::runtime::Builder::new_current_thread().enable_all().build(), "a runtime");
    let origin = Origin::start(Wire::H1);
    let memory = runtime.block_on(memory(&origin));
    let disk = runtime.block_on(disk(&origin));
    if memory & disk { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn kept(origin: &Origin, path: &str, length: u64) -> Url {
    let reply = Reply::new(200).header("Cache-Control", "max-age=86400").header("Content-Type", "text/plain");
    origin.enqueue(path, reply.endless(length));
    or_die(Url::parse(&origin.url(path)), "the URL")
}

/// One after the other, on one thread.
async fn memory(origin: &Origin) -> bool {
    let session = UrlSession::new(Configuration::ephemeral());
    let url = kept(origin, "/small", 1024);
    or_die(session.data(&url).await, "the first load");
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..HITS {
            let (data, _) = or_die(session.data(&url).await, "a hit");
            assert_eq!(black_box(data).len(), 1024);
        }
        fastest = fastest.min(start.elapsed());
    }
    let (each, rate) = (fastest / HITS, f64::from(HITS) / fastest.as_secs_f64());
    println!("memory: {each:.2?} a hit, {rate:.0} hits a second on one core");
    assert_eq!(origin.requests().len(), 1);
    each < MOST_PER_HIT && rate >= LEAST_PER_SECOND
}

/// A mebibyte from the cache's disk and from a file, by turns.
async fn disk(origin: &Origin) -> bool {
    let folder = std::env::temp_dir().join(format!("urlsession-bench-cache-{}", std::process::id()));
    or_die(std::fs::create_dir_all(&folder), "the folder");
    let configuration =
        Configuration::ephemeral().url_cache(UrlCache::new(0, 100 << 20, Some(folder.clone())));
    let session = UrlSession::new(configuration);
    let url = kept(origin, "/large", MEBIBYTE as u64);
    let (data, _) = or_die(session.data(&url).await, "the first load");
    let file = folder.join("beside");
    or_die(std::fs::write(&file, &data), "the file");
    let (mut hits, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..READS {
        let start = Instant::now();
        let (data, _) = or_die(session.data(&url).await, "a hit");
        assert_eq!(black_box(data).len(), MEBIBYTE);
        hits.push(start.elapsed());
        let start = Instant::now();
        assert_eq!(black_box(or_die(std::fs::read(&file), "the file")).len(), MEBIBYTE);
        reads.push(start.elapsed());
    }
    if origin.requests().len() != 2 {
        die("a hit was none");
    }
    let _ = std::fs::remove_dir_all(&folder);
    let (hit, read) = (quick(hits), quick(reads));
    let ratio = hit.as_secs_f64() / read.as_secs_f64();
    println!("disk: {hit:.0?} for a mebibyte, {read:.0?} to read a file of it: {ratio:.2} times");
    ratio <= MOST_BESIDE_FILE
}

/// A quarter were quicker.
fn quick(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 4]
}
