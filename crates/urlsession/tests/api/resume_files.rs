//! Downloads on disk: what stays at a destination until it is whole, what is gone on with, and what is not trusted.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use urlsession::uploads::ContentDigest;
use urlsession::{DownloadDestination, ResumeFailure, UrlError, UrlErrorCode};
use urlsession_testkit::{Reply, Wire, pattern};

use crate::support::ranges::*;
use crate::support::*;

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names = names.collect::<Vec<_>>();
    names.sort();
    names
}

/// Breaks after about `at` bytes, on the way to `to`.
fn break_at(ranges: &Ranges, at: u64, to: impl Into<DownloadDestination>) -> UrlError {
    ranges.then(move |_| whole().truncate_at(at));
    ranges.download().to(to).wait().unwrap_err()
}

/// Goes on to `to`: the offset told, if any, and why it is not another.
fn go_on(
    ranges: &Ranges,
    to: impl Into<DownloadDestination>,
) -> Result<(Option<u64>, Option<ResumeFailure>), UrlError> {
    let recorder = Recorder::new();
    let download = ranges.download().to(to).delegate(recorder.clone());
    let task = download.task();
    let (file, _) = download.wait()?;
    assert!(fs::read(file.path()).unwrap() == content());
    Ok((recorder.log().resumed.first().map(|(offset, _)| *offset), task.resume_failure()))
}

const LEFT: [&str; 2] = [".a.bin.urlsession-note", ".a.bin.urlsession-part"];

#[test]
fn a_download_to_a_path_goes_on_there_and_leaves_nothing_else() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        break_at(ranges, 150_001, &path);
        assert_eq!(names(folder.path()), LEFT);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join(LEFT[0])).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "a URL may be a secret");
        }
        let (offset, failure) = go_on(ranges, &path).unwrap();
        assert!(offset.unwrap() > 0 && failure.is_none());
        assert_eq!(names(folder.path()), ["a.bin"]);

        // Cancelled, and from then on in steps.
        let path = folder.path().join("b.bin");
        let gate = ranges.origin.hold();
        let held = gate.clone();
        ranges.then(move |_| whole().body_gate(150_001, held.clone()));
        let (session, recorder) = recorded(&ranges.origin);
        let task = session.download_task(ranges.url());
        task.set_destination(Some(path.clone().into())).unwrap();
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 150_001));
        task.cancel();
        assert!(recorder.completed(1).completions[0].as_ref().unwrap().resume_data().is_none());
        gate.release();
        ranges.then(|request| part(asked(request), LENGTH).truncate_at(1_003));
        assert!(go_on(ranges, &path).is_err());
        let (offset, failure) = go_on(ranges, &path).unwrap();
        assert!(offset.unwrap() >= 150_001 && failure.is_none());
        assert_eq!(names(folder.path()), ["a.bin", "b.bin"]);
    });
}

#[test]
fn a_download_into_a_folder_goes_on_though_its_name_comes_with_the_answer() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        let to = DownloadDestination::in_folder(folder.path());
        break_at(ranges, 150_001, to.clone());
        assert_eq!(names(folder.path()).len(), 2);
        ranges.then(|request| {
            part(asked(request), LENGTH).header("Content-Disposition", "attachment; filename=\"named.bin\"")
        });
        assert!(go_on(ranges, to).unwrap().0.unwrap() > 0);
        assert_eq!(names(folder.path()), ["named.bin"]);
    });
}

#[test]
fn resume_data_of_a_download_to_a_path_leads_to_the_path() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let data = break_at(&ranges, 150_001, &path).resume_data().unwrap();
    let (file, response) = ranges.session().download_resume_from(data).wait().unwrap();
    assert_eq!((file.path(), response.status_code()), (&*path, Some(206)));
    assert!(fs::read(&path).unwrap() == content());
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn the_file_of_an_error_nobody_resumes_is_removed() {
    let ranges = Ranges::start(Wire::H1);
    // No other run of these tests has files of that length.
    let length = 100_000 + u64::from(std::process::id()) % 150_000;
    let places = || {
        let files = fs::read_dir(std::env::temp_dir()).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| fs::metadata(file).is_ok_and(|meta| meta.len() == length)).count()
    };
    ranges.then(move |_| whole().truncate_at(length));
    let error = ranges.download().wait().unwrap_err();
    assert_eq!(places(), 1);
    drop(error);
    assert_eq!(places(), 0);
    ranges.then(move |_| whole().truncate_at(length));
    let data = ranges.download().wait().unwrap_err().resume_data().unwrap();
    assert_eq!(places(), 1);
    ranges.session().download_resume_from(data).wait().unwrap();
    assert_eq!(places(), 0);
}

#[test]
fn resume_data_may_be_led_elsewhere() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.bin"), folder.path().join("b.bin"));
    let there = |to: &Path, data| {
        let (file, response) = ranges.session().download_resume_from(data).to(to).wait().unwrap();
        assert_eq!((file.path(), response.status_code()), (to, Some(206)));
        assert!(fs::read(to).unwrap() == content());
    };
    // Of a temporary file, and of a partial one of another name.
    there(&path, ranges.broken_at(150_001));
    assert_eq!(names(folder.path()), ["a.bin"]);
    let usual = folder.path().join("usual");
    File::create(&usual).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&usual).unwrap().permissions());
    fs::remove_file(&usual).unwrap();
    fs::remove_file(&path).unwrap();
    let data = break_at(&ranges, 150_001, &path).resume_data().unwrap();
    #[cfg(unix)]
    let file = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    #[cfg(unix)]
    let partial = file(&folder.path().join(LEFT[1]));
    there(&other, data);
    #[cfg(unix)]
    assert_eq!(file(&other), partial, "it has been moved, not copied");
    assert_eq!(names(folder.path()), ["b.bin"]);
    // To nowhere: then it is a temporary file.
    let data = break_at(&ranges, 150_001, &path).resume_data().unwrap();
    let download = ranges.session().download_resume_from(data);
    download.task().set_destination(None).unwrap();
    let (file, _) = download.wait().unwrap();
    assert!(fs::read(file.path()).unwrap() == content());
    drop(file);
    assert_eq!(names(folder.path()), ["b.bin"]);
}

#[test]
fn another_url_and_who_does_not_want_to_resume_begin_anew_and_tidy_up() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    break_at(&ranges, 150_001, &path);
    let other = ranges.session().download(ranges.origin.url("/other")).to(&path);
    ranges.then(|_| tagged(200).pattern(7, 1000));
    other.wait().unwrap();
    assert!(fs::read(&path).unwrap() == pattern(7, 1000));
    assert_eq!(names(folder.path()), ["a.bin"]);

    break_at(&ranges, 1000, DownloadDestination::file(&path).overwriting().without_resuming());
    assert_eq!(names(folder.path()), ["a.bin"]);
    assert!(ranges.origin.requests().iter().all(|request| request.header("range").is_none()));

    break_at(&ranges, 150_001, DownloadDestination::file(&path).overwriting());
    assert_eq!(names(folder.path()).len(), 3);
    let anew = DownloadDestination::file(&path).overwriting().without_resuming();
    assert_eq!(go_on(&ranges, anew).unwrap(), (None, None));
    assert_eq!(names(folder.path()), ["a.bin"]);

    // What cannot be resumed leaves nothing, and what was there before goes when the file is whole.
    break_at(&ranges, 150_001, DownloadDestination::file(&path).overwriting());
    ranges.then(|_| Reply::new(200).body("all of it"));
    ranges.download().to(DownloadDestination::file(&path).overwriting()).wait().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "all of it");
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn a_partial_file_that_is_not_as_it_was_left_is_not_gone_on_with() {
    let altered = |path: &Path, at: u64| {
        let mut file = File::options().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xee]).unwrap();
    };
    type Damage<'a> = &'a dyn Fn(&Path);
    let cases: [(Damage<'_>, Option<ResumeFailure>); 8] = [
        (&|_| {}, None),
        (&|part| fs::remove_file(part).unwrap(), Some(ResumeFailure::PartialMissing)),
        (
            &|part| File::options().write(true).open(part).unwrap().set_len(140_000).unwrap(),
            Some(ResumeFailure::PartialDamaged),
        ),
        (&|part| altered(part, 149_000), Some(ResumeFailure::PartialDamaged)),
        // Outside the tail that is hashed, but not outside time.
        (&|part| altered(part, 10), Some(ResumeFailure::PartialDamaged)),
        (
            &|part| {
                let content = fs::read(part).unwrap();
                fs::remove_file(part).unwrap();
                fs::write(part.with_extension("x"), "takes the number of the one removed").unwrap();
                fs::write(part, content).unwrap();
            },
            Some(ResumeFailure::PartialDamaged),
        ),
        // Longer: what was not written by the download is cut off.
        (&|part| File::options().append(true).open(part).unwrap().write_all(b"more").unwrap(), None),
        (
            &|part| {
                fs::remove_file(part).unwrap();
                fs::create_dir(part).unwrap();
                fs::remove_dir(part).unwrap();
            },
            Some(ResumeFailure::PartialMissing),
        ),
    ];
    let ranges = Ranges::start(Wire::H1);
    for (number, (damage, expected)) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        break_at(&ranges, 150_001, &path);
        damage(&folder.path().join(LEFT[1]));
        let (offset, failure) = go_on(&ranges, &path).unwrap();
        assert_eq!(failure, expected, "{number}");
        assert_eq!(offset.unwrap() > 0, expected.is_none(), "{number}");
    }
    // A note that is damaged is none.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    break_at(&ranges, 150_001, &path);
    altered(&folder.path().join(LEFT[0]), 40);
    assert_eq!(go_on(&ranges, &path).unwrap(), (None, None));
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn bytes_that_a_power_cut_takes_are_loaded_again() {
    // What was noted last was on disk; nothing after it is.
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let part_path = folder.path().join(LEFT[1]);
    let total = 4 << 20;
    let big = move || tagged(200).pattern(0, total);
    let written = |log: &Log| log.written.last().map_or(0, |(_, bytes, _)| *bytes);
    let gate = ranges.origin.hold();
    let held = gate.clone();
    ranges.then(move |_| big().body_gate(total - 1, held.clone()));
    // By this clock hardly any time passes: notes come by bytes alone.
    let clock = HandClock::new();
    let mut configuration = configuration(&ranges.origin);
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let task = session.download_task(ranges.url());
    task.set_destination(Some(path.clone().into())).unwrap();
    task.resume();
    assert!(gate.wait_reached(PATIENCE));
    // Where no kernel writes the file, what is less than a batch waits for more, but only for this long.
    recorder.wait_for(|log| written(log) >= total - (1 << 20));
    clock.advance_until(Duration::from_millis(5), || written(&recorder.log()) == total - 1);
    assert_eq!(written(&recorder.log()), total - 1);
    // The state of both files while it is being written, as another place sees it: links keep the very files.
    let (part_then, note_then) = (folder.path().join("part"), folder.path().join("note"));
    fs::hard_link(&part_path, &part_then).unwrap();
    fs::copy(folder.path().join(LEFT[0]), &note_then).unwrap();
    task.cancel();
    recorder.completed(1);
    gate.release();
    fs::rename(&note_then, folder.path().join(LEFT[0])).unwrap();
    // The note says how many bytes are on disk after how many there will be; numbers are seven bits a byte, the lowest first.
    let note = fs::read(folder.path().join(LEFT[0])).unwrap();
    let complete = [1, 0x80, 0x80, 0x80, 2];
    let at = note.windows(5).position(|member| member == complete).unwrap() + complete.len();
    let digits = 1 + note[at..].iter().take_while(|byte| **byte >= 0x80).count();
    let lost =
        note[at..at + digits].iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f));
    assert!(((1 << 20)..total - 1).contains(&lost), "{lost}");
    let mut file = File::options().write(true).open(&part_then).unwrap();
    file.seek(SeekFrom::Start(lost)).unwrap();
    file.write_all(&vec![0; (total - 1 - lost) as usize]).unwrap();
    drop(file);
    fs::remove_file(&part_then).unwrap();
    ranges.then(move |request| {
        let first = asked(request);
        assert_eq!(first, lost);
        let range = format!("bytes {first}-{}/{total}", total - 1);
        tagged(206).header("Content-Range", range).pattern(first, total - first)
    });
    let download = ranges.download().to(&path);
    let task = download.task();
    let (file, _) = download.wait().unwrap();
    assert_eq!(task.resume_failure(), None);
    assert!(fs::read(file.path()).unwrap() == pattern(0, total as usize));
}

#[test]
fn two_at_once_for_one_path_do_not_disturb_each_other() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    break_at(&ranges, 150_001, &path);
    let gate = ranges.origin.hold();
    let held = gate.clone();
    ranges.then(move |request| part(asked(request), LENGTH).body_gate(1000, held.clone()));
    let (session, recorder) = recorded(&ranges.origin);
    let task = session.download_task(ranges.url());
    task.set_destination(Some(DownloadDestination::file(&path).overwriting())).unwrap();
    task.resume();
    recorder.wait_for(|log| !log.written.is_empty());
    // It cannot have the partial file, and has one of its own.
    let second = ranges.download().to(DownloadDestination::file(&path).overwriting()).wait().unwrap();
    assert!(fs::read(second.0.path()).unwrap() == content());
    assert!(ranges.origin.requests().last().unwrap().header("range").is_none());
    gate.release();
    assert!(recorder.completed(1).data == content());
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn a_file_that_cannot_be_published_is_kept_for_the_next_try() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let gate = ranges.origin.hold();
    let held = gate.clone();
    ranges.then(move |_| whole().body_gate(LENGTH - 1, held.clone()));
    let (session, recorder) = recorded(&ranges.origin);
    let task = session.download_task(ranges.url());
    task.set_destination(Some(path.clone().into())).unwrap();
    task.resume();
    recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == LENGTH - 1));
    fs::write(&path, "somebody else's").unwrap();
    gate.release();
    let error = recorder.completed(1).completions[0].clone().unwrap();
    assert_eq!(error.code(), UrlErrorCode::CannotCreateFile);
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody else's");
    fs::remove_file(&path).unwrap();
    assert_eq!(go_on(&ranges, &path).unwrap(), (Some(LENGTH - 1), None));
    assert_eq!(ranges.origin.requests().last().unwrap().header("range"), Some("bytes=299999-"));
}

#[test]
fn a_place_where_nothing_can_be_written_fails_clearly() {
    let ranges = Ranges::start(Wire::H1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let mut places = vec![file.join("a.bin"), folder.path().join("no/such/a.bin"), folder.path().into()];
    if cfg!(target_os = "linux") {
        places.push("/proc/a.bin".into());
    }
    for place in places {
        let error = ranges.download().to(&place).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotCreateFile, "{}", place.display());
    }
}

#[test]
fn a_file_that_is_not_what_was_expected_is_nobodys() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let right = ContentDigest::from_hex(SHA256).unwrap();
        let wrong = ContentDigest::sha512([7; 64]);

        let error = ranges.download().to(&path).expecting_digest(wrong.clone()).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
        assert!(error.to_string().contains("SHA-512 0707"), "{error}");
        assert!(names(folder.path()).is_empty() && error.resume_data().is_none());
        assert!(ranges.download().expecting_digest(wrong).wait().is_err());
        let (file, _) = ranges.download().expecting_digest(right.clone()).wait().unwrap();
        assert_eq!(file.len(), LENGTH);

        // Resumed: what is here already is hashed too, and resume data remembers what was expected.
        break_at(ranges, 150_001, &path);
        ranges.download().to(&path).expecting_digest(right.clone()).wait().unwrap();
        for (version, is_right) in [(0, true), (7, false)] {
            ranges.then(move |_| tagged(200).pattern(version, LENGTH).truncate_at(150_001));
            let error = ranges.download().expecting_digest(right.clone()).wait().unwrap_err();
            let result = ranges.session().download_resume_from(error.resume_data().unwrap()).wait();
            assert_eq!(result.is_ok(), is_right);
        }
    });
}

#[test]
fn the_servers_own_digest_is_checked_for_who_asks() {
    let right = format!("sha-256=:{}:, md5=:AAAA:", base64_of(SHA256));
    let wrong = format!("sha-256=:{}:", base64_of(&SHA256.replace('a', "b")));
    on_every_range_server(|ranges| {
        let says = |digest: &str| {
            let digest = digest.to_owned();
            move |request: &urlsession_testkit::Recorded| {
                honest(request).header("Repr-Digest", digest.clone())
            }
        };
        ranges.then(says(&right));
        ranges.download().checking_repr_digest().wait().unwrap();
        let last = ranges.origin.requests().pop().unwrap();
        assert_eq!(last.header("want-repr-digest"), Some("sha-256=10, sha-512=9"));
        assert_eq!(last.header("accept-encoding"), Some("identity"));
        ranges.then(says(&wrong));
        assert!(ranges.download().checking_repr_digest().wait().is_err());
        ranges.then(says(&wrong));
        ranges.download().wait().expect("nobody asked");
        ranges.download().checking_repr_digest().wait().expect("the server says nothing");
        // Of a part it is the digest of the whole.
        for (digest, is_right) in [(&right, true), (&wrong, false)] {
            let data = ranges.broken_at(150_001);
            ranges.then(says(digest));
            let download = ranges.session().download_resume_from(data).checking_repr_digest();
            assert_eq!(download.wait().is_ok(), is_right);
        }
        ranges.then({
            let right = right.clone();
            move |_| whole().header("Content-Encoding", "gzip").header("Repr-Digest", right.clone())
        });
        let error = ranges.download().checking_repr_digest().wait().unwrap_err();
        assert!(error.to_string().contains("coded"), "{error}");
    });
}

/// Of the file: `pattern(0, LENGTH)`.
const SHA256: &str = "3c65ea93424a9c362fec0e3a69ea36031e8a358441479dd665cc6110eabe7b08";

fn base64_of(hex: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = hex.chars().map(|c| format!("{:04b}", c.to_digit(16).unwrap())).collect();
    let mut text: String = bits
        .as_bytes()
        .chunks(6)
        .map(|six| {
            let six = format!("{:0<6}", std::str::from_utf8(six).unwrap());
            char::from(DIGITS[usize::from_str_radix(&six, 2).unwrap()])
        })
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_sidecar_does_not_hold_a_download_up() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        for name in [".file.urlsession-part", ".file.urlsession-note"] {
            let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
            assert!(made.is_ok_and(|status| status.success()));
        }
        let path = folder.path().join("file");
        ranges.download().to(&*path).wait().unwrap();
        assert!(fs::read(path).unwrap() == content());
    });
}
