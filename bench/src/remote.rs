//! The origin in a process of its own, so that only the client's work and memory are counted.
//!
//! A program that starts one calls [`serve_if_asked`] first thing: the other process is the same program.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use urlsession::Url;
use urlsession_testkit::{Origin, Reply, Wire};

use crate::loads::{die, or_die};

/// An origin in another process, until this is dropped.
#[derive(Debug)]
pub struct Remote {
    process: Child,
    base: Url,
    ca: PathBuf,
}

impl Remote {
    /// Starts one.
    pub fn start(wire: Wire) -> Self {
        let process = again(SERVE).arg(name(wire)).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = or_die(process, "starting the origin");
        let mut lines = BufReader::new(process.stdout.take().unwrap_or_else(|| die("no output"))).lines();
        let mut line = || or_die(lines.next().unwrap_or_else(|| die("the origin ended")), "the origin");
        let base = or_die(Url::parse(&line()), "the origin's URL");
        let ca = PathBuf::from(line());
        Self { process, base, ca }
    }

    /// The URL of a body of `bytes` bytes.
    pub fn body_url(&self, bytes: u64) -> Url {
        or_die(self.base.join(&format!("/bytes/{bytes}")), "the origin's URL")
    }

    /// The URL of a short body that comes after `delay`.
    pub fn delayed_url(&self, delay: Duration) -> Url {
        or_die(self.base.join(&format!("/delay/{}", delay.as_millis())), "the origin's URL")
    }

    /// A PEM file with the origin's authority.
    pub fn ca(&self) -> &Path {
        &self.ca
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The same program, asked for one of its programs.
pub fn again(name: &str) -> Command {
    let mut command = Command::new(or_die(std::env::current_exe(), "the program's own path"));
    command.arg(name);
    command
}

/// The first argument that makes a program an origin.
const SERVE: &str = "serve";

fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::H1 => "h1",
        Wire::TlsH1 => "tls-h1",
        Wire::TlsH2 => "tls-h2",
    }
}

/// In the process that is to be the origin: serves until its input ends, and does not return.
pub fn serve_if_asked() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [serve, wanted] = &arguments[..] else { return };
    if serve != SERVE {
        return;
    }
    let wires = [Wire::H1, Wire::TlsH1, Wire::TlsH2];
    let wire = wires.into_iter().find(|wire| name(*wire) == wanted).unwrap_or_else(|| die("no such wire"));
    let origin = Origin::builder()
        .wire(wire)
        .h2_settings(MOST_STREAMS, WINDOW)
        .handler(|request| answer(request.path()))
        .start();
    let ca = std::env::temp_dir().join(format!("urlsession-bench-{}.pem", std::process::id()));
    or_die(std::fs::write(&ca, origin.trust_anchor_pem()), "writing the authority");
    // By address: a name would be looked up, which is not what is measured.
    let scheme = if wire.is_tls() { "https" } else { "http" };
    println!("{scheme}://127.0.0.1:{}/\n{}", origin.port(), ca.display());
    // Until the other end closes; whatever is written there is not for us.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // What is left behind in the temporary directory harms nobody.
    let _ = std::fs::remove_file(&ca);
    std::process::exit(0);
}

/// `/bytes/N` with as few fields as a server sends; `/delay/N` with the same after N milliseconds.
fn answer(path: &str) -> Reply {
    if let Some(delay) = path.strip_prefix("/delay/").and_then(|delay| delay.parse().ok()) {
        return Reply::new(200).body("late").delay(Duration::from_millis(delay));
    }
    match path.strip_prefix("/bytes/").and_then(|count| count.parse().ok()) {
        Some(count) => Reply::new(200).header("Date", "Tue, 01 Jan 2030 00:00:00 GMT").endless(count),
        None => Reply::new(404),
    }
}

/// HTTP/2 streams at the same time: one for each load of the largest crowd.
const MOST_STREAMS: u32 = 1000;

const WINDOW: u32 = 1 << 20;
