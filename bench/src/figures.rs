//! From what happened in a run to the one line of JSON that describes it.

use std::time::{Duration, Instant};

use crate::options::Options;
use crate::usage::{CpuTime, peak_rss_kib};

/// The loads of one worker or of all.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// How long each load took, in nanoseconds.
    nanoseconds: Vec<u32>,
    bytes: u64,
    /// The least processor time of a load.
    least_cpu: Option<Duration>,
}

impl Samples {
    /// With space for `count` loads, so that recording them allocates nothing.
    pub fn with_room(count: usize) -> Self {
        Self { nanoseconds: Vec::with_capacity(count), bytes: 0, least_cpu: None }
    }

    /// Records a load that began at `start` and moved `bytes`.
    pub fn record(&mut self, start: Instant, bytes: u64) {
        let elapsed = start.elapsed().as_nanos();
        self.nanoseconds.push(u32::try_from(elapsed).unwrap_or(u32::MAX));
        self.bytes += bytes;
    }

    /// Records what the process used for the load, if it made no other meanwhile.
    pub fn record_cpu(&mut self, time: Duration) {
        self.least_cpu = Some(self.least_cpu.map_or(time, |least| least.min(time)));
    }

    /// Adds another worker's.
    pub fn absorb(&mut self, other: &Self) {
        self.nanoseconds.extend_from_slice(&other.nanoseconds);
        self.bytes += other.bytes;
        self.least_cpu = self.least_cpu.into_iter().chain(other.least_cpu).min();
    }

    /// How many loads there were.
    pub fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// Body bytes moved in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The load that `share` of all loads were at most as slow as, in microseconds; sorts.
    fn percentile(&mut self, share: f64) -> f64 {
        self.nanoseconds.sort_unstable();
        let last = self.nanoseconds.len().saturating_sub(1);
        let at = ((self.nanoseconds.len() as f64 * share) as usize).min(last);
        self.nanoseconds.get(at).map_or(0.0, |ns| f64::from(*ns) / 1e3)
    }
}

/// A stop watch for time and processor time.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    start: Instant,
    cpu: CpuTime,
}

/// What a [`Watch`] shows.
#[derive(Clone, Copy, Debug)]
pub struct Elapsed {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Of all threads.
    pub cpu: CpuTime,
}

impl Watch {
    /// Starts it.
    pub fn start() -> Self {
        Self { cpu: CpuTime::now(), start: Instant::now() }
    }

    /// Reads it.
    pub fn read(self) -> Elapsed {
        Elapsed { wall: self.start.elapsed(), cpu: CpuTime::now().since(self.cpu) }
    }
}

/// One line of JSON, with the keys the comparison scripts read.
pub fn json(options: &Options, mut samples: Samples, elapsed: Elapsed) -> String {
    let count = samples.count().max(1) as f64;
    let wall = elapsed.wall.as_secs_f64().max(1e-9);
    let megabytes = samples.bytes() as f64 / f64::from(1 << 20);
    let fields = [
        ("peer", format!("\"urlsession {}\"", options.style.name())),
        ("mode", format!("\"{}\"", options.mode.name())),
        ("http", options.http.to_string()),
        ("requests", samples.count().to_string()),
        ("errors", "0".into()),
        ("bytes", samples.bytes().to_string()),
        ("wall_s", format!("{wall:.6}")),
        ("rps", format!("{:.1}", count / wall)),
        ("mib_s", format!("{:.1}", megabytes / wall)),
        ("p50_us", format!("{:.1}", samples.percentile(0.50))),
        ("p95_us", format!("{:.1}", samples.percentile(0.95))),
        ("p99_us", format!("{:.1}", samples.percentile(0.99))),
        ("user_s", format!("{:.6}", elapsed.cpu.user.as_secs_f64())),
        ("sys_s", format!("{:.6}", elapsed.cpu.system.as_secs_f64())),
        ("cpu_us_per_req", format!("{:.3}", elapsed.cpu.total().as_secs_f64() * 1e6 / count)),
        ("least_wall_s", format!("{:.6}", samples.percentile(0.0) / 1e6)),
        ("least_cpu_s", samples.least_cpu.map_or("null".into(), |time| format!("{:.6}", time.as_secs_f64()))),
        ("peak_rss_kib", peak_rss_kib().to_string()),
    ];
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_loads() {
        let nanoseconds = (1..=100).rev().map(|i| i * 1000).collect();
        let mut samples = Samples { nanoseconds, ..Samples::default() };
        assert_eq!([0.0, 0.5, 0.99].map(|share| samples.percentile(share)), [1.0, 51.0, 100.0]);
        assert_eq!(Samples::default().percentile(0.5), 0.0);
    }

    #[test]
    fn the_least_processor_time_is_that_of_all_workers() {
        let (mut one, mut other) = (Samples::default(), Samples::default());
        [3, 1, 2].into_iter().for_each(|time| one.record_cpu(Duration::from_secs(time)));
        other.absorb(&one);
        other.absorb(&Samples::default());
        assert_eq!(other.least_cpu, Some(Duration::from_secs(1)));
    }
}
