//! Stop: a download whose process is killed half-way, and the next one, which goes on.

use std::fs;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

use urlsession::environment::{Clock, SystemClock};
use urlsession_testkit::{Gate, Origin, Recorded, Reply, Wire, pattern};

use super::page::Page;
use super::{Outcome, PATIENCE, Stop, ensure};

pub(super) const STOP: Stop = Stop {
    title: "A download that is killed",
    why: "Nothing has to be downloaded twice: whoever asks for the same file at the same place goes on.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let folder = tempfile::tempdir()?;
    let half = Gate::new();
    let origin = film(half.clone());
    let path = folder.path().join("film");
    let download = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["download", "--progress", "-o"]).arg(&path).arg(origin.url("/film"));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    };

    let mut first = download()?;
    let note = folder.path().join(".film.urlsession-note");
    let noted = until(&mut first, || note.exists())?;
    first.kill()?;
    first.wait()?;
    ensure(noted, "how far it is, is noted while it is loaded")?;
    ensure(!path.exists(), "nobody sees half a film")?;
    page.say(format_args!("killed somewhere before byte {HALF} of {LENGTH}; the file is not there"));

    half.release();
    ensure(download()?.wait_with_output()?.status.success(), "the second download succeeds")?;
    let requests = origin.requests();
    let range = requests.last().and_then(|request| request.header("range")).unwrap_or_default().to_owned();
    page.say(format_args!("the second asks for {range} and gets the rest"));
    ensure(range.starts_with("bytes=") && range != "bytes=0-", "it asks for what is missing")?;
    ensure(fs::read(&path)? == pattern(0, LENGTH as usize), "the film is byte for byte what the server has")?;
    ensure(fs::read_dir(&folder)?.count() == 1, "nothing else is left")?;
    page.say("the file is there, whole and without leftovers\n");
    Ok(())
}

/// A server of one film, which pauses in the middle of it until the gate opens.
fn film(half: Gate) -> Origin {
    let answer = move |request: &Recorded| {
        let asked = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let first = asked.and_then(|range| range.strip_suffix('-')?.parse::<u64>().ok());
        match first.filter(|first| *first < LENGTH && request.header("if-range") == Some(TAG)) {
            Some(first) => Reply::new(206)
                .header("ETag", TAG)
                .header("Content-Range", format!("bytes {first}-{}/{LENGTH}", LENGTH - 1))
                .pattern(first, LENGTH - first),
            None => Reply::new(200).header("ETag", TAG).pattern(0, LENGTH).body_gate(HALF, half.clone()),
        }
    };
    Origin::builder().wire(Wire::H1).handler(answer).start()
}

/// Looks whenever the child says how far it is, until it is so; false if the child ends before, or patience does.
pub(super) fn until(child: &mut Child, is_so: impl Fn() -> bool) -> io::Result<bool> {
    let end = SystemClock.now() + PATIENCE;
    let Some(mut said) = child.stderr.take() else { return Ok(false) };
    let mut line = [0; 1024];
    while SystemClock.now() < end && said.read(&mut line)? > 0 {
        if is_so() {
            // Who speaks goes on speaking to somebody.
            child.stderr = Some(said);
            return Ok(true);
        }
    }
    Ok(false)
}

const TAG: &str = "\"first-cut\"";
const HALF: u64 = 4 << 20;
const LENGTH: u64 = 8 << 20;
