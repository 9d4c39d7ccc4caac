//! `--har`: the log of the load, in a file of the user's choice.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use urlsession::metrics::{HarLog, TaskMetrics};

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
    create(file)
        .and_then(|mut file| file.write_all(log.as_bytes()))
        .map_err(|error| cannot(&file.display().to_string(), &error))
}

/// Makes the file, or empties it. Only its owner may read it: queries and bodies may hold secrets that are not known to be
/// any. What is not a regular file, such as a pipe, stays as it is.
fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

fn cannot(name: &str, error: &io::Error) -> Failure {
    Failure::Local(format!("cannot write the log to {name}: {error}"))
}
