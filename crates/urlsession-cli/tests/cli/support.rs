//! Running the binary, and directories to run it in.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use urlsession_testkit::{Origin, Recorded};

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Asserts success, and gives standard output.
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.text()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }
}

/// The binary, to be run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_urlsession"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What the user has is not touched.
    static DATA: LazyLock<PathBuf> = LazyLock::new(directory);
    with_data(&mut command, &DATA);
    command
}

/// Where the command keeps what outlives it, on whichever platform.
pub(crate) fn with_data<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    let name = match (cfg!(windows), cfg!(target_vendor = "apple")) {
        (true, _) => "LOCALAPPDATA",
        (_, true) => "HOME",
        _ => "XDG_DATA_HOME",
    };
    command.env(name, folder)
}

/// `urlsession get` with these arguments.
pub(crate) fn get(args: &[&str]) -> Run {
    run(command(&["get"]).args(args))
}

/// `urlsession download` with these arguments, in a directory.
pub(crate) fn download_in(directory: &Path, args: &[&str]) -> Run {
    run(command(&["download"]).args(args).current_dir(directory))
}

/// `urlsession upload` with these arguments.
pub(crate) fn upload(args: &[&str]) -> Run {
    run(command(&["upload"]).args(args))
}

/// `urlsession get` in a directory.
pub(crate) fn get_in(directory: &Path, args: &[&str]) -> Run {
    run(command(&["get"]).args(args).current_dir(directory))
}

/// The same with something on standard input.
pub(crate) fn get_reading(stdin: &[u8], args: &[&str]) -> Run {
    reading("get", stdin, args)
}

/// A command with something on standard input.
pub(crate) fn reading(name: &str, stdin: &[u8], args: &[&str]) -> Run {
    let mut child = begun(|| command(&[name]).args(args).stdin(Stdio::piped()).spawn());
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    finished(child.wait_with_output().unwrap())
}

pub(crate) fn run(command: &mut Command) -> Run {
    finished(begun(|| command.output()))
}

/// Begins a process. Wine cannot at times (`ERROR_INTERNAL_ERROR`, seen once in several runs of all), and can the next time.
pub(crate) fn begun<T>(mut begin: impl FnMut() -> io::Result<T>) -> T {
    const INTERNAL_ERROR: i32 = 1359;
    for _ in 0..3 {
        match begin() {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(INTERNAL_ERROR) => {}
            result => return result.unwrap(),
        }
    }
    begin().unwrap()
}

fn finished(output: std::process::Output) -> Run {
    let stderr = String::from_utf8(output.stderr).unwrap();
    Run { code: output.status.code(), stdout: output.stdout, stderr }
}

/// An empty directory of the test's own.
pub(crate) fn directory() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    // Built elsewhere for Windows it has no drive, and a folder without one is not taken for where data is kept.
    let path = std::path::absolute(env!("CARGO_TARGET_TMPDIR")).unwrap().join(name);
    // Left over from a process of the same number.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A file with the origin's root certificate.
pub(crate) fn authority(origin: &Origin) -> String {
    let path = directory().join("root.pem");
    fs::write(&path, origin.trust_anchor_pem()).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// The one request the origin got.
pub(crate) fn only_request(origin: &Origin) -> Recorded {
    let mut requests = origin.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
