//! Downloads whose process is killed, after any step that it takes on its files.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use urlsession::{Configuration, UrlSession};
use urlsession_testkit::{Reply, Wire, pattern};

use crate::support::ranges::*;
use crate::support::watch::Watch;

/// How often the child of the test below is killed.
const KILLS: u32 = 200;

/// Where the child of the test below downloads to and from; not set in a run of the tests themselves.
const CHILD: &str = "URLSESSION_TEST_DOWNLOAD";

#[test]
#[ignore = "the child of the test below"]
fn child_that_downloads() {
    let Ok(job) = std::env::var(CHILD) else { return };
    let (url, path) = job.split_once(' ').unwrap();
    let session = UrlSession::new(Configuration::ephemeral());
    session.download(url).to(PathBuf::from(path)).wait().unwrap();
}

#[test]
fn a_process_killed_at_any_moment_loses_no_byte_and_adds_none() {
    const SIZE: u64 = 20 << 20;
    let ranges = Ranges::start(Wire::H1);
    // Slow enough that most are killed while they write.
    let serve = |request: &urlsession_testkit::Recorded| {
        let slow = |reply: Reply| reply.gap(Duration::from_millis(1));
        match request.header("if-range") {
            Some("\"v1\"") => {
                let first = asked(request);
                let range = format!("bytes {first}-{}/{SIZE}", SIZE - 1);
                slow(tagged(206).header("Content-Range", range).pattern(first, SIZE - first))
            }
            _ => slow(tagged(200).pattern(0, SIZE)),
        }
    };
    for _ in 0..2000 {
        ranges.then(serve);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let expected = pattern(0, SIZE as usize);
    let watch = Watch::of(folder.path());
    let start = Instant::now();
    let (mut kills, mut whole_files, mut seed) = (0_u32, 0_u32, 0x9e37_79b9_7f4a_7c15_u64);
    while kills < KILLS && start.elapsed() < Duration::from_secs(180) {
        watch.drain();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "killed_downloads::child_that_downloads"])
            .env(CHILD, format!("{} {}", ranges.url(), path.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pipe = File::from(OwnedFd::from(child.stdout.take().unwrap()));
        // xorshift: the moments are the same in every run, what happens in them is not.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // So many steps on its files, of some sixty: it finds what is here, writes, notes and publishes.
        let steps = seed % 48;
        let ended = match watch.wait(steps as usize, &pipe) {
            true => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                None
            }
            false => Some(child.wait().unwrap()),
        };
        if path.exists() {
            assert!(fs::read(&path).unwrap() == expected, "after {kills} kills");
            fs::remove_file(&path).unwrap();
            whole_files += 1;
        } else {
            assert!(ended.is_none(), "it ended without its file: {ended:?}");
        }
    }
    let (file, _) = ranges.download().to(&path).wait().unwrap();
    assert!(fs::read(file.path()).unwrap() == expected);
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the file is left");
    let resumed = ranges.origin.requests().iter().filter(|request| request.header("range").is_some()).count();
    eprintln!("{kills} kills, {resumed} resumed, {whole_files} whole files");
    assert!(
        kills == KILLS && resumed > KILLS as usize / 4,
        "{kills} kills, {resumed} resumed, {whole_files} whole"
    );
}
