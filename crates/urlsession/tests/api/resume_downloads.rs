//! Downloads that stop and go on: what is asked of the server, and what its answers mean. What is on disk meanwhile has
//! tests of its own.

use std::fs;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use urlsession::{
    DelegateQueue, DownloadTask, ResponseDisposition, ResumeData, ResumeFailure, TaskDelegate, TaskState,
    UrlErrorCode, UrlSession,
};
use urlsession_testkit::{Recorded, Reply, Wire, pattern};

use crate::support::ranges::*;
use crate::support::*;

/// What was told of an offset and of the length expected, the status, the content.
type Resumed = (Vec<(u64, Option<u64>)>, u16, Vec<u8>);

/// What became of a resumed download.
fn resumed(ranges: &Ranges, data: ResumeData) -> Resumed {
    let recorder = Recorder::new();
    let download = ranges.session().download_resume_from(data).delegate(recorder.clone());
    let (file, response) = download.wait().unwrap();
    let content = fs::read(file.path()).unwrap();
    assert_eq!(content.len() as u64, file.len());
    (recorder.log().resumed, response.status_code().unwrap(), content)
}

/// It breaks, its next answer is `answer`, and then it goes on as it may.
fn after(ranges: &Ranges, answer: impl Fn(&Recorded) -> Reply + Send + 'static) -> (u64, Vec<u8>) {
    let data = ranges.broken_at(150_001);
    ranges.then(answer);
    let (told, _, content) = resumed(ranges, data);
    assert_eq!(told.len(), 1, "{told:?}");
    (told[0].0, content)
}

/// Why what was here was of no use, and how it ended.
fn failed_to_resume(ranges: &Ranges, data: ResumeData) -> (Option<ResumeFailure>, bool) {
    let download = ranges.session().download_resume_from(data);
    let task = download.task();
    let result = download.wait();
    (task.resume_failure(), result.is_ok())
}

#[test]
pub(super) fn a_cancelled_download_goes_on_where_it_was() {
    on_every_range_server(|ranges| {
        let (_session, recorder, task, gate) = ranges.begun();
        let data = in_tokio(task.cancel_by_producing_resume_data()).unwrap();
        gate.release();
        let log = recorder.completed(1);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!((error.code(), error.resume_data()), (UrlErrorCode::Cancelled, Some(data.clone())));

        let (session, recorder) = recorded(&ranges.origin);
        let bytes: Vec<u8> = data.into();
        let task = session.download_task_with_resume_data(bytes);
        assert_eq!(task.state(), TaskState::Suspended);
        assert_eq!(task.original_request().unwrap().url().as_str(), ranges.url());
        task.resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didResumeAtOffset", "didWriteData", "didFinishDownloading", "didComplete"]);
        assert_eq!(log.resumed, [(150_001, Some(LENGTH))]);
        assert_eq!(log.data, content());
        assert_eq!(log.written.iter().map(|(new, ..)| new).sum::<u64>(), LENGTH - 150_001);
        assert!(log.written[0].1 > 150_001 && log.written.last().unwrap().1 == LENGTH);
        assert!(log.written.iter().all(|(_, _, expected)| *expected == Some(LENGTH)));
        assert_eq!(task.progress().completed_unit_count(), LENGTH);
        assert_eq!(task.progress().total_unit_count(), Some(LENGTH));
        assert_eq!(task.resume_failure(), None);
        let last = ranges.origin.requests().pop().unwrap();
        assert_eq!(last.header("range"), Some("bytes=150001-"));
        assert_eq!(last.header("if-range"), Some("\"v1\""));
        assert_eq!(last.header("accept-encoding"), Some("identity"));
    });
}

#[test]
fn a_download_that_breaks_at_any_byte_goes_on_there_however_it_is_asked() {
    on_every_range_server(|ranges| {
        for at in [1, 2, 16_383, 16_384, 65_535, 65_536, 65_537, 262_144, LENGTH - 1] {
            let data = ranges.broken_at(at);
            let (told, status, found) = resumed(ranges, data.clone());
            let last = ranges.origin.requests().pop().unwrap();
            assert_eq!((told, status), (vec![(asked(&last), Some(LENGTH))], 206), "{at}");
            assert!(found == content() && asked(&last) <= at, "{at}");
            // A second use finds the file gone, and begins anew.
            let (sender, receiver) = mpsc::channel();
            let session = ranges.session();
            let task = session.download_task_with_resume_data_with_handler(data, move |result| {
                sender.send(result.map(|(file, _)| fs::read(file.path()).unwrap())).unwrap();
            });
            task.resume();
            assert!(receiver.recv_timeout(PATIENCE).unwrap().unwrap() == content());
            assert_eq!(task.resume_failure(), Some(ResumeFailure::PartialMissing));
        }
        assert!(ranges.stopped(whole(), 0).is_none(), "nothing was written");
    });
}

#[test]
fn what_cannot_be_resumed_gives_no_resume_data() {
    on_every_range_server(|ranges| {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:49:38 GMT";
        let body = || Reply::new(200).pattern(0, LENGTH);
        for (reply, is_resumable) in [
            (body(), false),
            (body().header("ETag", "W/\"v1\""), false),
            (body().header("Last-Modified", date), false),
            (body().header("Last-Modified", date).header("Date", date), false),
            (body().header("Last-Modified", date).header("Date", later), true),
            (whole(), true),
            (whole().header("Accept-Ranges", "none"), false),
            (whole().status(203), false),
            (tagged(200).chunked([pattern(0, 2000)]), true),
        ] {
            let shown = format!("{:?}", reply);
            let data = ranges.stopped(reply, 1000);
            assert_eq!(data.is_some(), is_resumable, "{shown}");
            if let Some(data) = data {
                assert!(failed_to_resume(ranges, data).1, "{shown}");
            }
        }
        let mut post = request(&ranges.url(), "POST", Some(b"x"));
        ranges.then(|_| whole().truncate_at(1000));
        assert!(ranges.session().download(post.clone()).wait().unwrap_err().resume_data().is_none());
        post = request(&ranges.url(), "GET", None);
        post.set_value("Range", "bytes=5-").unwrap();
        ranges.then(|_| part(5, LENGTH).truncate_at(1000));
        assert!(ranges.session().download(post).wait().unwrap_err().resume_data().is_none());
    });
}

#[test]
fn a_coded_answer_is_decoded_and_not_resumed() {
    on_every_range_server(|ranges| {
        let coded = ranges.origin.url("/gzipped-response");
        ranges.then(|_| Reply::routes());
        let (file, _) = ranges.session().download(coded).wait().unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "Hello World!");
        ranges.then(|_| whole().header("Content-Encoding", "gzip").truncate_at(1000));
        assert!(ranges.download().wait().unwrap_err().resume_data().is_none());
    });
}

#[test]
fn a_server_that_sends_everything_is_read_from_the_beginning() {
    on_every_range_server(|ranges| {
        assert_eq!(after(ranges, |_| whole()), (0, content()));
        // Another version: its content is another, too.
        let other = || Reply::new(200).header("ETag", "\"v2\"").pattern(7, 1000);
        assert_eq!(after(ranges, move |_| other()), (0, pattern(7, 1000)));
        let data = ranges.broken_at(1000);
        ranges.then(|_| whole());
        assert_eq!(failed_to_resume(ranges, data), (Some(ResumeFailure::RangeIgnored), true));
        let data = ranges.broken_at(1000);
        ranges.then(move |_| other());
        assert_eq!(failed_to_resume(ranges, data), (Some(ResumeFailure::ValidatorChanged), true));
    });
}

#[test]
fn a_server_that_honours_only_dates_is_asked_once_more_by_the_date() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let dated =
        |reply: Reply| reply.header("Last-Modified", DATE).header("Date", "Sun, 06 Nov 2022 08:49:37 GMT");
    on_every_range_server(|ranges| {
        let data = ranges.stopped(dated(whole()), 150_001).unwrap();
        ranges.then(move |_| dated(whole()));
        ranges.then(move |request| match request.header("if-range") {
            Some(DATE) => dated(part(asked(request), LENGTH)),
            other => panic!("{other:?}"),
        });
        let (told, status, found) = resumed(ranges, data);
        assert!(told[0].0 > 0 && status == 206 && found == content());

        // Not a second time, and not if the date is another one.
        let data = ranges.stopped(dated(whole()), 150_001).unwrap();
        ranges.then(move |_| dated(whole()));
        ranges.then(move |_| dated(whole()));
        assert_eq!(failed_to_resume(ranges, data), (Some(ResumeFailure::RangeIgnored), true));
        let count = ranges.origin.requests().len();
        let data = ranges.stopped(dated(whole()), 150_001).unwrap();
        ranges.then(move |_| whole().header("Last-Modified", "Sun, 06 Nov 1994 08:49:38 GMT"));
        let (told, ..) = resumed(ranges, data);
        assert_eq!((told[0].0, ranges.origin.requests().len() - count), (0, 2));
    });
}

#[test]
fn a_part_is_written_where_it_says_it_belongs() {
    on_every_range_server(|ranges| {
        // Earlier, as caches of whole blocks do.
        assert_eq!(after(ranges, |_| part(100_003, LENGTH)), (100_003, content()));
        assert_eq!(after(ranges, |_| part(0, LENGTH)), (0, content()));
        // Later would leave a hole.
        assert_eq!(after(ranges, |_| part(150_002, LENGTH)), (0, content()));
        // It brings nothing.
        assert_eq!(after(ranges, |_| part(0, 1000)), (0, content()));
    });
}

#[test]
fn a_part_that_cannot_be_joined_makes_it_begin_anew() {
    on_every_range_server(|ranges| {
        let of = |etag: &str, range: &str| {
            Reply::new(206).header("ETag", etag).header("Content-Range", range).pattern(0, 1000)
        };
        for (reply, why) in [
            (of("\"v2\"", "bytes 150001-299999/300000"), ResumeFailure::ValidatorChanged),
            (of("W/\"v1\"", "bytes 150001-299999/300000"), ResumeFailure::ValidatorChanged),
            (of("\"v1\"", "bytes 150001-299998/299999"), ResumeFailure::ValidatorChanged),
            (of("\"v1\"", "lines 150001-299999/300000"), ResumeFailure::RangeUnusable),
            (of("\"v1\"", "bytes 1-2/3, 4-5/6"), ResumeFailure::RangeUnusable),
            (tagged(206).pattern(150_001, 1000), ResumeFailure::RangeUnusable),
            (part(150_001, LENGTH).header("Content-Encoding", "gzip"), ResumeFailure::RangeUnusable),
            (
                part(150_001, LENGTH).header("Content-Type", "multipart/byteranges; boundary=x"),
                ResumeFailure::RangeUnusable,
            ),
            (tagged(412), ResumeFailure::ValidatorChanged),
            (tagged(416), ResumeFailure::RangeUnusable),
            (tagged(416).header("Content-Range", "bytes */1000"), ResumeFailure::ValidatorChanged),
        ] {
            let shown = format!("{reply:?}");
            let data = ranges.broken_at(150_001);
            ranges.then(move |_| reply.clone());
            let download = ranges.session().download_resume_from(data);
            let task = download.task();
            let (file, response) = download.wait().unwrap();
            assert!(fs::read(file.path()).unwrap() == content(), "{shown}");
            assert_eq!((task.resume_failure(), response.status_code()), (Some(why), Some(200)), "{shown}");
            let last = ranges.origin.requests().pop().unwrap();
            assert!(last.header("range").is_none() && last.header("if-range").is_none());
        }
    });
}

#[test]
fn a_file_that_is_here_already_is_finished_without_another_byte_of_it() {
    on_every_range_server(|ranges| {
        // Of unknown length, stopped just at its end.
        let gate = ranges.origin.hold();
        let held = gate.clone();
        ranges.then(move |_| tagged(200).no_length().pattern(0, LENGTH).body_gate(LENGTH, held.clone()));
        let (session, recorder) = recorded(&ranges.origin);
        let task = session.download_task(ranges.url());
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == LENGTH));
        let data = in_tokio(task.cancel_by_producing_resume_data()).unwrap();
        gate.release();
        let (told, status, found) = resumed(ranges, data);
        assert_eq!((told, status), (vec![(LENGTH, Some(LENGTH))], 416));
        assert!(found == content());
    });
}

#[test]
fn a_server_may_give_the_rest_in_pieces() {
    on_every_range_server(|ranges| {
        let data = ranges.broken_at(150_001);
        for _ in 0..3 {
            ranges.then(|request| part(asked(request), asked(request) + 20_011));
        }
        ranges.then(|request| {
            let first = asked(request);
            let range = format!("bytes {first}-{}/*", LENGTH - 1);
            tagged(206).header("Content-Range", range).pattern(first, LENGTH - first)
        });
        let (session, recorder) = recorded(&ranges.origin);
        let task = session.download_task_with_resume_data(data);
        task.resume();
        let log = recorder.completed(1);
        assert!(log.data == content());
        assert_eq!(log.resumed.len(), 1, "it is told once");
        assert_eq!(log.written.iter().map(|(new, ..)| new).sum::<u64>(), LENGTH - log.resumed[0].0);
        assert!(log.written.iter().all(|(_, _, expected)| *expected == Some(LENGTH)));
        assert_eq!(log.metrics[0].transaction_metrics.len(), 4);
        assert_eq!(task.progress().completed_unit_count(), LENGTH);
    });
}

#[test]
fn a_server_that_never_gives_all_of_it_is_not_asked_for_ever() {
    let ranges = Ranges::start(Wire::H1);
    let data = ranges.stopped(whole(), 10).unwrap();
    for _ in 0..10_001 {
        ranges.then(|request| part(asked(request), asked(request) + 1));
    }
    let error = ranges.session().download_resume_from(data).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
    let (.., found) = resumed(&ranges, error.resume_data().unwrap());
    // One answer is left over.
    assert!(found == content());
}

#[test]
fn a_server_that_lies_about_a_length_loses_nothing_of_what_was_right() {
    on_every_range_server(|ranges| {
        let chunked = |first: u64, length: usize| {
            let range = format!("bytes {first}-{}/{LENGTH}", LENGTH - 1);
            tagged(206).header("Content-Range", range).chunked([pattern(first, length)])
        };
        for (more, message) in [(1_i64, "more than"), (-1, "less than")] {
            let data = ranges.broken_at(150_001);
            ranges.then(move |request| {
                let first = asked(request);
                chunked(first, ((LENGTH - first) as i64 + more) as usize)
            });
            let error = ranges.session().download_resume_from(data).wait().unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            let (told, _, found) = resumed(ranges, error.resume_data().unwrap());
            assert!(found == content());
            assert!(told[0].0 >= LENGTH - 1, "{told:?}");
        }
    });
}

#[test]
fn streams_and_connections_that_are_reset_are_gone_on_with() {
    let ranges = Ranges::start(Wire::TlsH2);
    for reply in [
        whole().h2_reset_at(2, 150_001),
        whole().h2_reset_at(8, 150_001),
        whole().truncate_at(150_001).then(urlsession_testkit::After::Reset),
        whole().truncate_at(150_001).h2_goaway(false),
    ] {
        let shown = format!("{reply:?}");
        let gate = ranges.origin.hold();
        let held = gate.clone();
        ranges.then(move |_| reply.clone().body_gate(150_000, held.clone()));
        let (session, recorder) = recorded(&ranges.origin);
        session.download_task(ranges.url()).resume();
        // A reset may overtake what was sent before it: not what has been written.
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 150_000));
        gate.release();
        let error = recorder.completed(1).completions[0].clone().unwrap();
        let (told, _, found) = resumed(&ranges, error.resume_data().unwrap());
        assert!(told[0].0 >= 150_000 && found == content(), "{shown}");
    }
}

#[test]
fn a_redirect_is_followed_anew_and_what_it_leads_to_is_compared() {
    on_every_range_server(|ranges| {
        let to = |path: &'static str| move |_: &Recorded| Reply::new(302).header("Location", path);
        ranges.then(to("/a"));
        let data = ranges.broken_at(150_001);
        ranges.then(to("/b"));
        let (told, status, found) = resumed(ranges, data);
        assert!(told[0].0 > 0 && status == 206 && found == content(), "the same file, somewhere else");
        let paths: Vec<_> = ranges.origin.requests().iter().map(|r| r.path().to_owned()).collect();
        assert_eq!(paths, ["/file.bin", "/a", "/file.bin", "/b"]);

        // A date says nothing of another resource.
        let dated = |reply: Reply| {
            let reply = reply.header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
            reply.header("Date", "Sun, 06 Nov 2022 08:49:37 GMT")
        };
        ranges.then(to("/a"));
        let data = ranges.stopped(dated(Reply::new(200).pattern(0, LENGTH)), 150_001).unwrap();
        ranges.then(to("/b"));
        ranges.then(move |request| {
            let first = asked(request);
            let range = format!("bytes {first}-{}/{LENGTH}", LENGTH - 1);
            dated(Reply::new(206).header("Content-Range", range).pattern(first, LENGTH - first))
        });
        assert_eq!(failed_to_resume(ranges, data), (Some(ResumeFailure::ValidatorChanged), true));
    });
}

#[test]
fn a_refusal_fails_and_keeps_what_is_here() {
    on_every_range_server(|ranges| {
        for (status, code, why) in [
            (403, UrlErrorCode::NoPermissionsToReadFile, ResumeFailure::Expired),
            (404, UrlErrorCode::FileDoesNotExist, ResumeFailure::Expired),
            (410, UrlErrorCode::FileDoesNotExist, ResumeFailure::Expired),
            (503, UrlErrorCode::BadServerResponse, ResumeFailure::Refused),
        ] {
            let data = ranges.broken_at(150_001);
            ranges.then(move |_| Reply::new(status).body("the signature has expired"));
            let download = ranges.session().download_resume_from(data);
            let task = download.task();
            let error = download.wait().unwrap_err();
            assert_eq!((error.code(), error.resume_failure()), (code, Some(why)));
            assert_eq!(task.resume_failure(), Some(why));
            assert_eq!(task.response().unwrap().status_code(), Some(status));
            let (told, _, found) = resumed(ranges, error.resume_data().unwrap());
            assert!(told[0].0 > 0 && found == content(), "{status}");
        }
    });
}

#[test]
fn a_load_that_fails_before_any_answer_keeps_its_resume_data() {
    let ranges = Ranges::start(Wire::H1);
    let data = ranges.broken_at(150_001);
    ranges.then(|_| Reply::drop_connection());
    let error = ranges.session().download_resume_from(data).wait().unwrap_err();
    let (told, _, found) = resumed(&ranges, error.resume_data().unwrap());
    assert!(told[0].0 > 0 && found == content());
}

#[test]
fn resume_data_holds_no_secrets() {
    let ranges = Ranges::start(Wire::H1);
    let url = ranges.url().replace("//", "//me:s3cret@");
    let mut secret = request(&url, "GET", None);
    for name in ["Authorization", "Cookie", "Proxy-Authorization"] {
        secret.set_value(name, "s3cret").unwrap();
    }
    secret.set_value("X-Mine", "kept").unwrap();
    ranges.then(|_| whole().truncate_at(1000));
    let data = ranges.session().download(secret).wait().unwrap_err().resume_data().unwrap();
    assert!(!String::from_utf8_lossy(data.as_bytes()).contains("s3cret"));
    assert!(!format!("{data:?}").contains("file.bin"));
    resumed(&ranges, data);
    let last = ranges.origin.requests().pop().unwrap();
    assert_eq!((last.header("x-mine"), last.header("cookie")), (Some("kept"), None));
}

#[test]
fn resume_data_has_one_user_at_a_time() {
    let ranges = Ranges::start(Wire::H1);
    let data = ranges.broken_at(150_001);
    let gate = ranges.origin.hold();
    let held = gate.clone();
    ranges.then(move |request| part(asked(request), LENGTH).body_gate(1000, held.clone()));
    let (session, recorder) = recorded(&ranges.origin);
    session.download_task_with_resume_data(data.clone()).resume();
    recorder.wait_for(|log| !log.written.is_empty());
    let error = ranges.session().download_resume_from(data.clone()).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotOpenFile);
    assert_eq!(error.resume_failure(), Some(ResumeFailure::PartialInUse));
    assert_eq!(error.resume_data(), Some(data), "it was not used");
    gate.release();
    assert!(recorder.completed(1).data == content());
}

#[test]
fn resume_data_of_a_run_that_broke_again_is_still_good() {
    on_every_range_server(|ranges| {
        let first = ranges.broken_at(100_003);
        ranges.then(|request| part(asked(request), LENGTH).truncate_at(50_000));
        let error = ranges.session().download_resume_from(first.clone()).wait().unwrap_err();
        let second = error.resume_data().unwrap();
        assert!(resumed(ranges, first).2 == content());
        assert_eq!(failed_to_resume(ranges, second), (Some(ResumeFailure::PartialMissing), true));
    });
}

#[test]
fn clocks_that_jump_change_nothing() {
    let ranges = Ranges::start(Wire::H1);
    let clock = HandClock::new();
    let mut configuration = configuration(&ranges.origin);
    configuration.environment.clock = Arc::new(clock.clone());
    let session = UrlSession::new(configuration);
    ranges.then(|_| whole().truncate_at(150_001));
    let data = session.download(ranges.url()).wait().unwrap_err().resume_data().unwrap();
    clock.advance(Duration::from_secs(400 * 24 * 3600));
    let (file, response) = session.download_resume_from(data).wait().unwrap();
    assert_eq!(response.status_code(), Some(206));
    assert!(fs::read(file.path()).unwrap() == content());
}

#[test]
fn a_download_that_times_out_can_be_resumed() {
    let ranges = Ranges::start(Wire::H1);
    let clock = HandClock::new();
    let mut configuration = configuration(&ranges.origin);
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let gate = ranges.origin.hold();
    let held = gate.clone();
    ranges.then(move |_| whole().body_gate(150_001, held.clone()));
    session.download_task(ranges.url()).resume();
    let has_come = || recorder.log().written.last().is_some_and(|(_, total, _)| *total == 150_001);
    // What has come waits a little for more, in however many pieces it does.
    while !has_come() {
        clock.advance_until(Duration::from_millis(5), has_come);
    }
    clock.advance_until(Duration::from_secs(60), || !recorder.log().completions.is_empty());
    let error = recorder.completed(1).completions[0].clone().unwrap();
    gate.release();
    assert_eq!(error.code(), UrlErrorCode::TimedOut);
    let (told, _, found) = resumed(&ranges, error.resume_data().unwrap());
    assert_eq!(told, [(150_001, Some(LENGTH))]);
    assert!(found == content());
}

#[test]
fn a_data_task_that_became_a_download_can_be_resumed() {
    on_every_range_server(|ranges| {
        let recorder = Recorder::new().disposing(ResponseDisposition::BecomeDownload);
        let (session, recorder) = with_recorder(configuration(&ranges.origin), recorder);
        ranges.then(|_| whole().truncate_at(150_001));
        session.data_task(ranges.url()).resume();
        let error = recorder.completed(1).completions[0].clone().unwrap();
        let (told, _, found) = resumed(ranges, error.resume_data().unwrap());
        assert!(told[0].0 > 0 && found == content());
    });
}

#[test]
fn who_has_nothing_to_resume_hears_so() {
    let ranges = Ranges::start(Wire::H1);
    let session = ranges.session();
    // Never resumed.
    assert_eq!(in_tokio(session.download_task(ranges.url()).cancel_by_producing_resume_data()), None);
    // Over.
    let task = session.download_task(ranges.url());
    task.resume();
    let waited = recorded(&ranges.origin);
    let done = waited.0.download_task(ranges.url());
    done.resume();
    waited.1.completed(1);
    assert_eq!(in_tokio(done.cancel_by_producing_resume_data()), None);
    // Dropped by who polls it.
    let download = session.download(ranges.url());
    let asked = download.task().cancel_by_producing_resume_data();
    drop(download);
    assert_eq!(in_tokio(asked), None);
    // What was given comes back untouched.
    let data = ranges.broken_at(1000);
    let task = session.download_task_with_resume_data(data.clone());
    assert_eq!(in_tokio(task.cancel_by_producing_resume_data()), Some(data.clone()));
    resumed(&ranges, data);
}

#[test]
fn test_invalid_resume_data_for_download_task() {
    let ranges = Ranges::start(Wire::H1);
    let good: Vec<u8> = ranges.broken_at(1000).into();
    for (bytes, why) in [
        (Vec::new(), ResumeFailure::DataDamaged),
        (good[..good.len() - 1].to_vec(), ResumeFailure::DataDamaged),
        (b"bplist00".to_vec(), ResumeFailure::DataDamaged),
    ] {
        let (sender, receiver) = mpsc::channel();
        let session = ranges.session();
        let task = session.download_task_with_resume_data_with_handler(bytes.clone(), move |result| {
            sender.send(result.map(|_| ())).unwrap();
        });
        task.resume();
        let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert_eq!((error.code(), error.resume_failure()), (UrlErrorCode::UnsupportedUrl, Some(why)));
        assert!(error.resume_data().is_none());

        let (session, recorder) = recorded(&ranges.origin);
        session.download_task_with_resume_data(&bytes[..]).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::UnsupportedUrl);
        assert_eq!(log.calls, ["didComplete"]);
    }
    ranges.session().download_resume_from(good).wait().unwrap();
}

#[test]
fn a_delegate_of_the_session_hears_of_the_offset_through_that_of_the_task() {
    struct Silent;
    impl TaskDelegate for Silent {}
    let ranges = Ranges::start(Wire::H1);
    let data = ranges.broken_at(1000);
    let recorder = Recorder::new();
    let session = UrlSession::with_delegate(
        configuration(&ranges.origin),
        Arc::new(recorder.clone()),
        DelegateQueue::serial(),
    );
    let task: DownloadTask = session.download_task_with_resume_data(data);
    task.set_delegate(Silent).unwrap();
    task.resume();
    assert_eq!(recorder.completed(1).resumed.len(), 1);
}
