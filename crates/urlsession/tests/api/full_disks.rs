//! Disks that are full at any byte: nothing is published, what was written is kept as it is, and is gone on with as soon
//! as there is space.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use rustix::process::{Resource, Rlimit, setrlimit};
use urlsession::{DownloadDestination, ResumeData, UrlError, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Recorded, Reply, Wire, pattern};

use crate::support::ranges::{asked, tagged};
use crate::support::*;

const MIB: u64 = 1024 * 1024;

/// A file of any length, with or without a word of it, in whole or from where it is asked for.
struct Server {
    origin: Origin,
    session: UrlSession,
    /// Length, and whether it is announced.
    file: Arc<Mutex<(u64, bool)>>,
    /// The whole breaks off in the middle.
    cut: Arc<AtomicBool>,
}

impl Server {
    fn start(wire: Wire) -> Self {
        let file = Arc::new(Mutex::new((0, true)));
        let cut = Arc::new(AtomicBool::new(false));
        let (served, is_cut) = (file.clone(), cut.clone());
        let answer = move |request: &Recorded| {
            let (length, is_announced) = *served.lock().unwrap();
            let framed = |reply: Reply| if is_announced { reply } else { reply.no_length() };
            if request.header("if-range") != Some("\"v1\"") {
                let whole = framed(tagged(200).pattern(0, length));
                return if is_cut.load(Relaxed) { whole.truncate_at(length / 2) } else { whole };
            }
            let first = asked(request);
            let range = format!("bytes {first}-{}/{length}", length - 1);
            framed(tagged(206).header("Content-Range", range).pattern(first, length - first))
        };
        let origin = Origin::builder().wire(wire).handler(answer).start();
        let session = session(&origin);
        Self { origin, session, file, cut }
    }

    fn serve(&self, length: u64, is_announced: bool) -> &Self {
        *self.file.lock().unwrap() = (length, is_announced);
        self
    }

    fn url(&self) -> String {
        self.origin.url("/file.bin")
    }

    /// Downloads to a path, or to a temporary file.
    fn download(&self, to: Option<&Path>) -> Result<Vec<u8>, UrlError> {
        let download = self.session.download(self.url());
        let download = match to {
            Some(to) => download.to(to),
            None => download,
        };
        download.wait().map(|(file, _)| fs::read(file.path()).unwrap())
    }

    /// Goes on by resume data, or by the path alone: the whole file, and where it went on.
    fn go_on(&self, data: Option<ResumeData>, to: Option<&Path>) -> (Vec<u8>, Option<u64>) {
        let recorder = Recorder::new();
        let download = match (data, to) {
            (Some(data), _) => self.session.download_resume_from(data),
            (None, Some(to)) => self.session.download(self.url()).to(to),
            (None, None) => self.session.download(self.url()),
        };
        let (file, _) = download.delegate(recorder.clone()).wait().unwrap();
        let offset = recorder.log().resumed.first().map(|(offset, _)| *offset);
        (fs::read(file.path()).unwrap(), offset)
    }
}

/// The error of a disk on which there is no space.
#[track_caller]
fn is_no_room(error: &UrlError) {
    assert_eq!(error.code(), UrlErrorCode::CannotWriteToFile, "{error}");
    assert!(error.to_string().contains("no space"), "{error}");
}

/// The length of what is kept, which is the beginning of the file and nothing else; `None` if nothing is.
#[track_caller]
fn kept(folder: &Path, whole: &[u8]) -> Option<u64> {
    let kept = fs::read(folder.join(".a.bin.urlsession-part")).ok()?;
    assert!(whole.starts_with(&kept), "{} bytes", kept.len());
    Some(kept.len() as u64)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A small file system of its own; `None` without the right to mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if !mount.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no right to mount a file system");
            return None;
        }
        let small = Self(folder);
        fs::create_dir(small.folder()).unwrap();
        Some(small)
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("folder")
    }

    /// Leaves space for so many bytes, of those that there are.
    fn fill(&self, all: u64, space: u64) {
        let ballast = vec![7; (all - space) as usize];
        // A file that was removed has its space until whoever still had it open has closed it.
        wait_until(|| fs::write(self.ballast(), &ballast).is_ok());
    }

    fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_full_after_any_page_keeps_what_it_took_and_goes_on_when_there_is_room() {
    let page = rustix::param::page_size() as u64;
    let (length, most) = (24 * page + 5, 25);
    let all = 64 * page;
    let whole = pattern(0, length as usize);
    let Some(small) = Small::mount(all) else { return };
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    for wire in WIRES {
        let server = Server::start(wire);
        // Each page count in four ways.
        for case in 0..(most + 1) * 4 {
            let (pages, is_announced, by_data) = (case / 4, case & 1 == 0, case & 2 == 0);
            let case = format!("{wire:?}, {pages} pages, announced: {is_announced}, by data: {by_data}");
            server.serve(length, is_announced);
            small.fill(all, pages * page);
            let result = server.download(Some(&path));
            if pages == most {
                assert!(result.unwrap() == whole, "{case}");
                assert_eq!(names(&folder), ["a.bin"], "{case}");
            } else {
                let error = result.unwrap_err();
                is_no_room(&error);
                assert!(!path.exists(), "{case}");
                // The last page is given up for the note, if it is not the only one.
                let expected = match pages {
                    0 => None,
                    1 => Some(page),
                    pages => Some((pages - 1) * page),
                };
                assert_eq!(kept(&folder, &whole), expected, "{case}");
                let data = error.resume_data();
                assert_eq!(data.is_some(), pages > 0, "{case}");
                // Without space another try loses nothing but a page.
                let again = (pages > 3 && !by_data).then(|| {
                    is_no_room(&server.download(Some(&path)).unwrap_err());
                    kept(&folder, &whole).unwrap()
                });
                assert!(again.is_none_or(|again| again >= (pages - 2) * page), "{case}: {again:?}");
                small.empty();
                let (found, offset) = server.go_on(data.filter(|_| by_data), Some(&path));
                assert!(found == whole, "{case}");
                let is_noted = pages > 1;
                let expected = again.or(expected).filter(|_| by_data || is_noted);
                assert_eq!(offset, expected, "{case}");
                assert_eq!(names(&folder), ["a.bin"], "{case}");
            }
            fs::remove_file(&path).unwrap();
            let _ = fs::remove_file(small.ballast());
        }
    }
}

#[test]
fn a_disk_that_fills_up_while_it_is_noted_how_far_it_is_costs_no_more_than_the_note() {
    let page = rustix::param::page_size() as u64;
    let (length, all) = (3 * MIB + 5, 4 * MIB);
    let whole = pattern(0, length as usize);
    let Some(small) = Small::mount(all) else { return };
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    for wire in WIRES {
        let server = Server::start(wire);
        server.serve(length, false);
        // It is noted after each MiB.
        for pages in [1, 2].iter().flat_map(|mib| mib * MIB / page - 2..mib * MIB / page + 5) {
            small.fill(all, pages * page);
            is_no_room(&server.download(Some(&path)).unwrap_err());
            let kept = kept(&folder, &whole).unwrap();
            assert!(kept.is_multiple_of(page) && kept >= (pages - 2) * page, "{wire:?}, {pages}: {kept}");
            assert_eq!(names(&folder), [".a.bin.urlsession-note", ".a.bin.urlsession-part"]);
            small.empty();
            let (found, offset) = server.go_on(None, Some(&path));
            assert!(found == whole && offset == Some(kept), "{wire:?}, {pages}: {offset:?}");
            assert_eq!(names(&folder), ["a.bin"]);
            fs::remove_file(&path).unwrap();
        }
    }
}

/// Set for the child of the test below.
const CHILD: &str = "URLSESSION_TEST_FULL_DISK";

/// From now on files of this process may not be longer.
fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
#[ignore = "the child of the test below, which must not be killed for writing too much"]
fn child_whose_files_may_not_be_long() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (folder, path) = (folder.path(), folder.path().join("a.bin"));
    let try_at = |server: &Server, whole: &[u8], at: u64, is_announced: bool| {
        let case = format!("{:?}, {at} of {}, announced: {is_announced}", server.origin.wire(), whole.len());
        server.serve(whole.len() as u64, is_announced);
        let short = |to: Option<&Path>| {
            limit(Some(at));
            let result = server.download(to);
            limit(None);
            let error = result.expect_err(&case);
            is_no_room(&error);
            assert!(!path.exists(), "{case}");
            error.resume_data()
        };
        for to in [None, Some(&*path)] {
            // By resume data, to the byte.
            let data = short(to);
            assert_eq!(data.is_some(), at > 0, "{case}");
            if to.is_some() {
                assert_eq!(kept(folder, whole), (at > 0).then_some(at), "{case}");
            }
            let (found, offset) = server.go_on(data, to);
            assert!(found == whole && offset == (at > 0).then_some(at), "{case}: {offset:?}");
            if to.is_some() {
                assert_eq!(names(folder), ["a.bin"], "{case}");
                fs::remove_file(&path).unwrap();
            }
        }
        // By the path, if the note is not too long, too.
        drop(short(Some(&path)));
        let is_noted = folder.join(".a.bin.urlsession-note").exists();
        assert!(is_noted || at < 1024, "{case}");
        let (found, offset) = server.go_on(None, Some(&path));
        assert!(found == whole && offset == Some(at).filter(|_| is_noted), "{case}: {offset:?}");
        assert_eq!(names(folder), ["a.bin"], "{case}");
        fs::remove_file(&path).unwrap();
    };
    let (small, large) = (pattern(0, 300), pattern(0, 200_000));
    let edges = [4096, 16_384, 65_536, 131_072, 200_000];
    for wire in WIRES {
        let server = Server::start(wire);
        for is_announced in [true, false] {
            let step = if wire == Wire::H1 { 1 } else { 23 };
            for at in (0..300).step_by(step).chain([299]) {
                try_at(&server, &small, at, is_announced);
            }
            for at in edges.iter().flat_map(|edge| edge - 2..edge + 3).filter(|at| *at < 200_000) {
                try_at(&server, &large, at, is_announced);
            }
        }
    }
    eprintln!("all of it");
}

#[test]
fn a_disk_that_is_full_after_any_byte_keeps_exactly_those_before() {
    // Thousands of files come to a disk: to one in memory, where there is one.
    let shared_memory = Path::new("/dev/shm");
    let folder = match shared_memory.is_dir() {
        true => tempfile::tempdir_in(shared_memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    // Who writes beyond the limit is killed, unless it ignores the signal; what is ignored stays so in a child.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "full_disks::child_whose_files_may_not_be_long"])
        .env(CHILD, "yes")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("all of it"), "{}\n{said}", child.status);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_download_led_to_a_full_disk_is_kept_where_it_was() {
    let page = rustix::param::page_size() as u64;
    let all = 64 * page;
    let Some(small) = Small::mount(all) else { return };
    let server = Server::start(Wire::H1);
    let length = 24 * page + 5;
    server.serve(length, true);
    let whole = pattern(0, length as usize);
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("a.bin");
    for pages in 0..25 {
        server.cut.store(true, Relaxed);
        let data = server.download(Some(&to)).unwrap_err().resume_data().unwrap();
        server.cut.store(false, Relaxed);
        small.fill(all, pages * page);
        let error = server.session.download_resume_from(data).to(&path).wait().unwrap_err();
        is_no_room(&error);
        assert!(names(&folder).is_empty(), "{pages}");
        small.empty();
        let data = error.resume_data().expect("it is whole where it was");
        let (file, _) = server.session.download_resume_from(data).to(&path).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == whole, "{pages}");
        assert!(names(elsewhere.path()).is_empty());
        fs::remove_file(&path).unwrap();
    }
}

/// What is free where a file is, in bytes.
fn free(folder: &Path) -> u64 {
    let space = rustix::fs::statvfs(folder).unwrap();
    space.f_bfree * space.f_frsize
}

#[test]
fn a_server_that_promises_much_and_sends_little_does_not_take_the_disk() {
    let all = 64 * MIB;
    let Some(small) = Small::mount(all) else { return };
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    on_every_wire(|origin| {
        // Not even a second time, with what there is by now.
        for sent in [2 * MIB, 20 * MIB] {
            let gate = origin.hold();
            let promise = tagged(200).pattern(0, 60 * MIB).body_gate(sent, gate.clone());
            origin.enqueue("/promise", promise);
            let (session, recorder) = recorded(origin);
            let task = session.download_task(origin.url("/promise"));
            task.set_destination(Some(DownloadDestination::file(&path).without_resuming())).unwrap();
            task.resume();
            recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == sent));
            let taken = all - free(&folder);
            // An eighth of what was free, and the notes.
            assert!(taken <= sent + 8 * MIB + 16 * 1024, "{:?}: {taken} of {sent}", origin.wire());
            // Some of it is taken always: the file is not laid out piece by piece.
            assert!(taken > sent + MIB, "{:?}: {taken} of {sent}", origin.wire());
            task.cancel();
            recorder.completed(1);
            gate.release();
            assert!(names(&folder).is_empty() && free(&folder) > all - MIB);
        }
    });
}

#[test]
fn a_disk_that_others_fill_meanwhile_takes_what_it_has_room_for() {
    let all = 32 * MIB;
    let Some(small) = Small::mount(all) else { return };
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    let (length, at) = (20 * MIB, 6 * MIB);
    let whole = pattern(0, length as usize);
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/file", tagged(200).pattern(0, length).body_gate(at, gate.clone()));
        let task = session.download_task(origin.url("/file"));
        task.set_destination(Some(DownloadDestination::file(&path))).unwrap();
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == at));
        // All that has not been taken yet.
        small.fill(free(&folder), 0);
        gate.release();
        is_no_room(recorder.completed(1).completions[0].as_ref().unwrap());
        let kept = kept(&folder, &whole).unwrap();
        assert!((at + MIB..length).contains(&kept), "{:?}: {kept}", origin.wire());
        small.empty();
        let range = format!("bytes {kept}-{}/{length}", length - 1);
        let rest = tagged(206).header("Content-Range", range).pattern(kept, length - kept);
        origin.enqueue("/file", rest);
        let (file, _) = session.download(origin.url("/file")).to(&path).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == whole);
        fs::remove_file(&path).unwrap();
    });
}

#[test]
fn what_does_not_fit_fails_before_its_body_and_what_just_fits_is_downloaded() {
    let all = 16 * MIB;
    let Some(small) = Small::mount(all) else { return };
    let (folder, path) = (small.folder(), small.folder().join("a.bin"));
    let to = || Some(DownloadDestination::file(&path));
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/large", tagged(200).pattern(0, all + 1).body_gate(0, gate.clone()));
        let task = session.download_task(origin.url("/large"));
        task.set_destination(to()).unwrap();
        task.resume();
        let log = recorder.completed(1);
        is_no_room(log.completions[0].as_ref().unwrap());
        assert_eq!(log.written, []);
        assert!(names(&folder).is_empty() && free(&folder) > all - MIB);
        gate.release();

        // Of what is here, as much as there is space for is missing, and a byte.
        let (first, rest) = (4 * MIB, 12 * MIB);
        let length = first + rest;
        origin.enqueue("/file", tagged(200).pattern(0, length).truncate_at(first));
        let broken = session.download(origin.url("/file")).to(&path).wait().unwrap_err();
        assert_eq!(broken.code(), UrlErrorCode::NetworkConnectionLost);
        let gate = origin.hold();
        let part = move || {
            let range = format!("bytes {first}-{}/{length}", length - 1);
            tagged(206).header("Content-Range", range).pattern(first, rest)
        };
        origin.enqueue("/file", part().body_gate(0, gate.clone()));
        is_no_room(&session.download(origin.url("/file")).to(&path).wait().unwrap_err());
        gate.release();
        assert_eq!(names(&folder).len(), 2, "what is here is kept");
        let free = free(&folder);
        assert!(free < rest && free > rest - 16 * 1024, "only the note is in the way: {free}");

        let length = all - 64 * 1024;
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        origin.enqueue("/fits", tagged(200).pattern(0, length));
        let (file, _) = session.download(origin.url("/fits")).to(&path).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == pattern(0, length as usize));
        fs::remove_file(&path).unwrap();
    });
}
