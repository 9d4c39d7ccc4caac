//! How far a transfer is: a line on standard error that is written over and over. What a line says is in [`Line`], which
//! knows no clock and no terminal.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use urlsession::Task;
use urlsession::environment::{Clock, SystemClock};

use crate::args::{LoadArgs, ProgressArgs};
use crate::load::Seen;

/// Which of a task's bytes are counted.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// Whether it is shown.
pub(crate) fn is_wanted(args: &ProgressArgs, load: &LoadArgs) -> bool {
    let is_quiet = load.silent || load.json || args.no_progress;
    args.progress || !is_quiet && io::stderr().is_terminal()
}

/// Shows how far the task is for as long as the work takes.
pub(crate) fn during<T>(
    is_wanted: bool,
    task: &Task,
    direction: Direction,
    seen: &Seen,
    work: impl FnOnce() -> T,
) -> T {
    if !is_wanted {
        return work();
    }
    let (working, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let start = SystemClock.now();
            let mut line = Line::default();
            let mut draw = |ending: &str| {
                let (done, total) = match direction {
                    Direction::Up => (task.count_of_bytes_sent(), task.count_of_bytes_expected_to_send()),
                    Direction::Down => {
                        (task.count_of_bytes_received(), task.count_of_bytes_expected_to_receive())
                    }
                };
                let now = SystemClock.now().saturating_duration_since(start);
                let text = line.text(now, done, total, seen.resumed_at());
                // Back to the beginning, and away with what stands behind the end.
                let _ = io::stderr().write_all(format!("\r{text}\x1b[K{ending}").as_bytes());
            };
            while end.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Timeout) {
                draw("");
            }
            draw("\n");
        });
        let result = work();
        drop(working);
        result
    })
}

/// What a line says, from one drawing to the next.
#[derive(Default)]
struct Line {
    /// When there were how many bytes, over the last seconds.
    lately: VecDeque<(Duration, u64)>,
    /// What was here before it began.
    base: u64,
}

impl Line {
    fn text(&mut self, now: Duration, done: u64, total: Option<u64>, base: u64) -> String {
        if self.base != base || self.lately.back().is_some_and(|(_, before)| *before > done) {
            // It goes on after what is here, or begins anew: neither is speed.
            self.base = base;
            self.lately.clear();
            self.lately.push_back((now, base.min(done)));
        }
        self.lately.push_back((now, done));
        while self.lately.len() > 2 && self.lately.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.lately.pop_front();
        }
        let rate = self.rate();
        let rate_text = rate.map(|rate| format!("  {}/s", bytes(rate as u64))).unwrap_or_default();
        let Some(total) = total.filter(|total| *total > 0) else {
            return format!("{}{rate_text}", bytes(done));
        };
        let part = (done as f64 / total as f64).min(1.0);
        let filled = (part * WIDTH as f64) as usize;
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH - filled));
        let left = match rate {
            Some(rate) if done < total => format!("  {} left", clock((total - done) as f64 / rate)),
            _ => String::new(),
        };
        let percent = (part * 100.0) as u32;
        format!("{percent:>3}% {bar} {} of {}{rate_text}{left}", bytes(done), bytes(total))
    }

    /// Bytes a second, if there is one worth telling.
    fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (*self.lately.front()?, *self.lately.back()?);
        let seconds = (to - from).as_secs_f64();
        (seconds > 0.0 && after > before).then(|| (after - before) as f64 / seconds)
    }
}

fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.95 {
            return match unit {
                "B" => format!("{count} B"),
                unit => format!("{value:.1} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// Hours, minutes and seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.ceil().min(359_999.0) as u32;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Between two drawings.
const BETWEEN: Duration = Duration::from_millis(100);
/// The time over which speed is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// Of the bar, in cells.
const WIDTH: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_line_tells_part_speed_and_time_left() {
        let mut line = Line::default();
        let empty = "░".repeat(24);
        assert_eq!(line.text(at(0), 0, Some(2_000_000), 0), format!("  0% {empty} 0 B of 2.0 MB"));
        let half = format!("{}{}", "█".repeat(12), "░".repeat(12));
        assert_eq!(
            line.text(at(2), 1_000_000, Some(2_000_000), 0),
            format!(" 50% {half} 1.0 MB of 2.0 MB  500.0 kB/s  0:02 left")
        );
        let full = "█".repeat(24);
        assert_eq!(
            line.text(at(4), 2_000_000, Some(2_000_000), 0),
            format!("100% {full} 2.0 MB of 2.0 MB  500.0 kB/s")
        );
    }

    #[test]
    fn without_a_total_there_is_no_part() {
        let mut line = Line::default();
        line.text(at(0), 0, None, 0);
        assert_eq!(line.text(at(1), 1500, None, 0), "1.5 kB  1.5 kB/s");
    }

    #[test]
    fn speed_is_that_of_the_last_seconds_and_not_of_what_was_here_before() {
        let mut line = Line::default();
        line.text(at(0), 0, None, 0);
        line.text(at(1), 1_000_000, None, 0);
        for second in 2..=10 {
            line.text(at(second), 1_000_000, None, 0);
        }
        assert_eq!(line.text(at(11), 1_000_000, None, 0), "1.0 MB", "it stands");
        let mut resumed = Line::default();
        resumed.text(at(0), 0, Some(9000), 0);
        resumed.text(at(1), 5000, Some(9000), 5000);
        assert!(resumed.text(at(2), 6000, Some(9000), 5000).ends_with("  1.0 kB/s  0:03 left"));
    }

    #[test]
    fn sizes_and_times_are_short() {
        for (count, text) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (u64::MAX, "18446744.1 TB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(
            (clock(0.2), clock(61.0), clock(3661.0)),
            ("0:01".into(), "1:01".into(), "1:01:01".into())
        );
        assert_eq!(clock(f64::INFINITY), "99:59:59");
    }
}
