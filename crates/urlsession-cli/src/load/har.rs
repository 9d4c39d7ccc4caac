//! `--har`: the log of the load, in a file of the user's choice.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use urlsession::{HarLog, TaskMetrics};

use super::failure::Failure;

/// Writes the log of a load, if there was one.
pub(super) fn write(file: &Path, metrics: Option<&TaskMetrics>) -> Result<(), Failure> {
    let Some(metrics) = metrics else { return Ok(()) };
    let log = HarLog::from_iter(metrics.har_entries())
        .with_creator("urlsession", env!("CARGO_PKG_VERSION"))
        .to_json();
    if file.as_os_str() == "-" {
        return match io::stdout().write_all(log.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
            written => written.map_err(|error| cannot("standard output", &error)),
        };
    }
    fs::write(file, log).map_err(|error| cannot(&file.display().to_string(), &error))
}

fn cannot(name: &str, error: &io::Error) -> Failure {
    Failure::Local(format!("cannot write the log to {name}: {error}"))
}
