//! Where the body goes: standard output or a file, written as it comes.

use std::fs::File;
use std::io::{self, StdoutLock, Write};
use std::path::{Component, Path};

use urlsession::UrlResponse;

use crate::args::GetArgs;
use crate::load::Failure;

/// An open output. A file that is not written to its end stays, as curl leaves it.
pub(super) struct Output {
    sink: Sink,
    name: String,
}

enum Sink {
    Stdout(StdoutLock<'static>),
    File(File),
}

impl Output {
    /// Opens what the options name, once there is a response to write.
    pub(super) fn open(args: &GetArgs, response: &UrlResponse) -> Result<Self, Failure> {
        if args.remote_name {
            return Self::create_new(&response.suggested_filename());
        }
        match &args.output {
            Some(path) if path.as_os_str() != "-" => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|error| cannot("create", &name, &error))?;
                Ok(Self { sink: Sink::File(file), name })
            }
            _ => Ok(Self { sink: Sink::Stdout(io::stdout().lock()), name: "standard output".into() }),
        }
    }

    /// The name is the server's choice: it may name a new file in this directory and nothing else. That the file
    /// is new also keeps links, which may lead elsewhere, from being followed.
    fn create_new(name: &str) -> Result<Self, Failure> {
        if !is_plain(name) {
            return Err(Failure::Local(format!(
                "the response suggests {name:?}, which is no file name; choose one with -o"
            )));
        }
        let file = File::create_new(name).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::Local(format!("{name} exists and -O does not overwrite it; choose a name with -o"))
            }
            _ => cannot("create", name, &error),
        })?;
        Ok(Self { sink: Sink::File(file), name: name.to_owned() })
    }

    /// Writes, and passes on at once.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.sink {
            Sink::Stdout(stdout) => stdout.write_all(bytes).and_then(|()| stdout.flush()),
            Sink::File(file) => file.write_all(bytes),
        };
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => cannot("write to", &self.name, &error),
        })
    }
}

/// Whether it is one component, the same on every system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let first = components.next();
    matches!(first, Some(Component::Normal(part)) if part == name)
        && components.next().is_none()
        && !name.contains(['/', '\\', ':', '\0'])
}

fn cannot(what: &str, name: &str, error: &io::Error) -> Failure {
    Failure::Local(format!("cannot {what} {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_leads_nowhere() {
        assert!(is_plain("report.pdf") && is_plain("..a") && is_plain("ünï code"));
        for name in ["", ".", "..", "/etc/passwd", "../x", "a/b", "a/", "./a", "a\\b", "c:x", "a\0"] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
