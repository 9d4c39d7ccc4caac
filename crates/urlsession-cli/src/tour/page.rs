//! What the tour is printed on. If nobody reads any more, the tour goes on in silence.

use std::fmt::Display;
use std::io::{self, Write};

use urlsession::metrics::TaskMetrics;

use crate::show;

/// Standard output, with the tour's layout.
pub(super) struct Page(io::Stdout);

impl Page {
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }

    pub(super) fn heading(&mut self, number: usize, title: &str, why: &str) {
        self.write(&format!("{number}. {title}\n   {why}\n\n"));
    }

    /// A line about what happened.
    pub(super) fn say(&mut self, line: impl Display) {
        self.write(&format!("   {line}\n"));
    }

    /// The timelines of a task, and an empty line after them.
    pub(super) fn timelines(&mut self, metrics: &TaskMetrics) {
        self.write(&format!("{}\n", show::timelines(Some(metrics), "     ")));
    }

    /// The last line.
    pub(super) fn close(&mut self, line: impl Display) {
        self.write(&format!("{line}\n"));
    }

    fn write(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush());
    }
}
