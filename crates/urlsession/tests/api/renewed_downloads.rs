//! Downloads whose URL is no longer good when they go on: the application gives another, and what is here is of use.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use urlsession::uploads::ContentDigest;
use urlsession::{
    Decision, DelegateQueue, DownloadDestination, DownloadFuture, DownloadTask, HttpUrlResponse, ResumeData,
    ResumeFailure, SessionDelegate, TaskDelegate, UrlErrorCode, UrlRequest, UrlSession,
};
use urlsession_testkit::{Recorded, Reply, Wire, pattern};

use crate::support::ranges::*;
use crate::support::*;

/// A request for the file with a signature that nobody checks.
fn signed(ranges: &Ranges, signature: &str) -> UrlRequest {
    request(&ranges.origin.url(&format!("/file.bin?signature={signature}")), "GET", None)
}

/// The next request with a range is refused.
fn expire(ranges: &Ranges, status: u16) {
    ranges.then(move |request| {
        assert!(request.header("range").is_some());
        Reply::new(status).body("the signature has expired")
    });
}

/// What was asked for last: the target, and its range.
fn last(ranges: &Ranges) -> (String, Option<String>) {
    let last = ranges.origin.requests().pop().unwrap();
    (last.target.clone(), last.header("range").map(str::to_owned))
}

/// Its content, where it went on, and why not elsewhere.
type Outcome = (Vec<u8>, Option<u64>, Option<ResumeFailure>);

fn outcome(download: DownloadFuture) -> Outcome {
    let recorder = Recorder::new();
    let download = download.delegate(recorder.clone());
    let task = download.task();
    let (file, _) = download.wait().unwrap();
    let offset = recorder.log().resumed.first().map(|(offset, _)| *offset);
    (fs::read(file.path()).unwrap(), offset, task.resume_failure())
}

#[track_caller]
fn went_on((found, offset, failure): Outcome) {
    assert!(found == content());
    assert_eq!(failure, None);
    assert!(offset.unwrap() > 0, "{offset:?}");
}

/// A delegate that gives these when it is asked, from another thread; then none.
#[derive(Clone, Default)]
struct Signer {
    requests: Arc<Mutex<Vec<UrlRequest>>>,
    asked: Arc<Mutex<Vec<u16>>>,
}

impl Signer {
    fn giving(requests: impl IntoIterator<Item = UrlRequest>) -> Self {
        Self { requests: Arc::new(Mutex::new(requests.into_iter().collect())), ..Self::default() }
    }

    fn asked(&self) -> Vec<u16> {
        self.asked.lock().unwrap().clone()
    }
}

impl TaskDelegate for Signer {
    fn need_new_download_request(
        &self,
        _: &DownloadTask,
        response: &HttpUrlResponse,
    ) -> Decision<Option<UrlRequest>> {
        self.asked.lock().unwrap().push(response.status_code());
        let mut requests = self.requests.lock().unwrap();
        if requests.is_empty() {
            return Decision::default_handling();
        }
        let request = requests.remove(0);
        let (answer, responder) = Decision::deferred();
        std::thread::spawn(move || responder.answer(Some(request)));
        answer
    }
}

impl SessionDelegate for Signer {}

#[test]
fn a_closure_gives_another_url_for_one_that_has_expired() {
    on_every_range_server(|ranges| {
        for status in [400, 401, 403, 404, 410] {
            let data = ranges.broken_at(150_001);
            expire(ranges, status);
            let (renewed, asked) = (signed(ranges, "two"), Arc::new(Mutex::new(Vec::new())));
            let heard = asked.clone();
            let download = ranges.session().download_resume_from(data).on_expired_url(move |refusal| {
                heard.lock().unwrap().push((refusal.status_code(), refusal.url().clone()));
                let renewed = renewed.clone();
                async move { Some(renewed) }
            });
            let task = download.task();
            went_on(outcome(download));
            let metrics = task.metrics().unwrap();
            assert_eq!((metrics.transaction_metrics.len(), metrics.redirect_count), (2, 0));
            let asked = asked.lock().unwrap();
            assert_eq!(asked[..], [(status, ranges.url().parse().unwrap())]);
            let last = ranges.origin.requests().pop().unwrap();
            assert_eq!(last.target, "/file.bin?signature=two");
            assert_eq!(last.header("if-range"), Some("\"v1\""));
            assert!(last.header("range").is_some());
        }
        // No other status says that a URL is no longer good.
        for status in [402, 500, 503] {
            let data = ranges.broken_at(150_001);
            expire(ranges, status);
            let download = ranges.session().download_resume_from(data);
            let error = download.on_expired_url(|_| async { panic!("asked") }).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
            assert!(error.resume_data().is_some());
        }
    });
}

#[test]
fn a_delegate_gives_another_url_in_every_style() {
    on_every_range_server(|ranges| {
        let session = |signer: &Signer| {
            UrlSession::with_delegate(
                configuration(&ranges.origin),
                Arc::new(signer.clone()),
                DelegateQueue::serial(),
            )
        };
        // The session's, of an async call, whose own delegate passes on.
        let signer = Signer::giving([signed(ranges, "two")]);
        let data = ranges.broken_at(150_001);
        expire(ranges, 403);
        went_on(outcome(session(&signer).download_resume_from(data)));
        assert_eq!((last(ranges).0.as_str(), signer.asked()), ("/file.bin?signature=two", vec![403]));

        // The task's own.
        let own = Signer::giving([signed(ranges, "three")]);
        let data = ranges.broken_at(150_001);
        expire(ranges, 404);
        let (file, _) = session(&signer).download_resume_from(data).delegate(own.clone()).wait().unwrap();
        assert!(fs::read(file.path()).unwrap() == content());
        assert_eq!((last(ranges).0.as_str(), own.asked()), ("/file.bin?signature=three", vec![404]));
        assert_eq!(signer.asked(), [403]);

        // Of a task with a handler.
        let signer = Signer::giving([signed(ranges, "four")]);
        let data = ranges.broken_at(150_001);
        expire(ranges, 410);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session(&signer).download_task_with_resume_data_with_handler(data, move |result| {
            sender.send(result.map(|(file, _)| fs::read(file.path()).unwrap())).unwrap();
        });
        task.resume();
        assert!(receiver.recv_timeout(PATIENCE).unwrap().unwrap() == content());
        assert_eq!((last(ranges).0.as_str(), signer.asked()), ("/file.bin?signature=four", vec![410]));
        assert!(last(ranges).1.is_some());
    });
}

#[test]
fn a_download_to_a_path_goes_on_across_runs_by_another_url_and_is_still_the_same_download() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        for destination in [
            DownloadDestination::file(folder.path().join("a.bin")),
            DownloadDestination::in_folder(folder.path()),
        ] {
            let renewed = |signature: &str| {
                let renewed = signed(ranges, signature);
                ranges.download().to(destination.clone()).on_expired_url(move |_| {
                    let renewed = renewed.clone();
                    async move { Some(renewed) }
                })
            };
            ranges.then(|_| whole().truncate_at(100_003));
            ranges.download().to(destination.clone()).wait().unwrap_err();
            // It breaks again, on its second URL.
            expire(ranges, 403);
            ranges.then(|request| part(asked(request), LENGTH).truncate_at(100_005));
            let error = renewed("two").wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
            let (target, range) = last(ranges);
            assert!(target.ends_with("=two") && range.is_some(), "{target} {range:?}");
            let second: u64 = range.unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
            // Another run knows the first URL only; a delegate is asked, too.
            expire(ranges, 403);
            let signer = Signer::giving([signed(ranges, "three")]);
            let recorder = Recorder::new();
            let download = ranges.download().to(destination.clone()).delegate(signer.clone());
            let (file, response) = download.wait().unwrap();
            assert_eq!((response.status_code(), signer.asked()), (Some(206), vec![403]));
            assert!(fs::read(file.path()).unwrap() == content() && recorder.log().resumed.is_empty());
            let (target, range) = last(ranges);
            let third: u64 = range.unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
            assert!(target.ends_with("=three") && third > second, "{second} {third}");
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 1, "nothing else is left");
            fs::remove_file(file.path()).unwrap();

            // Resume data leads to the last URL, and to the same partial file.
            ranges.then(|_| whole().truncate_at(100_003));
            ranges.download().to(destination.clone()).wait().unwrap_err();
            expire(ranges, 403);
            ranges.then(|request| part(asked(request), LENGTH).truncate_at(100_005));
            let data = renewed("two").wait().unwrap_err().resume_data().unwrap();
            let download = ranges.session().download_resume_from(data);
            let task = download.task();
            went_on(outcome(download));
            assert_eq!(last(ranges).0, "/file.bin?signature=two");
            let original = task.original_request().unwrap();
            assert_eq!(original.url().query(), Some("signature=two"));
            let left = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
            let left: Vec<_> = left.collect();
            assert_eq!(left.len(), 1, "{left:?}");
            fs::remove_file(&left[0]).unwrap();
        }
    });
}

#[test]
fn what_another_url_gives_is_joined_only_if_it_is_still_the_same() {
    on_every_range_server(|ranges| {
        let renew = |data: ResumeData| {
            let renewed = signed(ranges, "two");
            ranges.session().download_resume_from(data).on_expired_url(move |_| {
                let renewed = renewed.clone();
                async move { Some(renewed) }
            })
        };
        // Changed: from the beginning, and checked as a whole.
        let data = ranges.broken_at(150_001);
        expire(ranges, 403);
        ranges.then(|_| Reply::new(200).header("ETag", "\"v2\"").pattern(7, LENGTH));
        let (found, offset, failure) = outcome(renew(data));
        assert!(found == pattern(7, LENGTH as usize));
        assert_eq!((offset, failure), (Some(0), Some(ResumeFailure::ValidatorChanged)));

        // A date is enough where the application says that it is the same thing.
        let dated = |reply: Reply| {
            reply
                .header("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
                .header("Date", "Sun, 06 Nov 1994 09:49:37 GMT")
        };
        let data = ranges.stopped(dated(Reply::new(200).pattern(0, LENGTH)), 150_001).unwrap();
        expire(ranges, 403);
        ranges.then(move |request| {
            assert_eq!(request.header("if-range"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
            let first = asked(request);
            let range = format!("bytes {first}-{}/{LENGTH}", LENGTH - 1);
            dated(Reply::new(206).header("Content-Range", range).pattern(first, LENGTH - first))
        });
        went_on(outcome(renew(data)));

        // What cannot be resumed is asked for from its beginning.
        let data = ranges.broken_at(150_001);
        expire(ranges, 403);
        let mut post = signed(ranges, "two");
        post.set_http_method("POST").unwrap();
        let download = ranges.session().download_resume_from(data).on_expired_url(move |_| {
            let post = post.clone();
            async move { Some(post) }
        });
        let (found, offset, failure) = outcome(download);
        assert!(found == content());
        assert_eq!((offset, failure), (Some(0), Some(ResumeFailure::NotResumable)));
        let last = ranges.origin.requests().pop().unwrap();
        assert_eq!((&*last.method, last.header("range")), ("POST", None));
    });
}

#[test]
fn another_server_goes_on_with_what_is_here_and_what_is_expected_is_checked() {
    let (ranges, other) = (Ranges::start(Wire::H1), Ranges::start(Wire::H1));
    let sha256 = "3c65ea93424a9c362fec0e3a69ea36031e8a358441479dd665cc6110eabe7b08";
    for (version, is_right) in [(0, true), (7, false)] {
        let data = ranges.broken_at(150_001);
        expire(&ranges, 404);
        other.then(move |request| {
            let (first, range) = (asked(request), format!("-{}/{LENGTH}", LENGTH - 1));
            let range = format!("bytes {first}{range}");
            tagged(206).header("Content-Range", range).pattern(first + version, LENGTH - first)
        });
        let mut elsewhere = request(&other.url(), "GET", None);
        elsewhere.set_value("X-Mine", "kept").unwrap();
        let download = ranges
            .session()
            .download_resume_from(data)
            .expecting_digest(ContentDigest::from_hex(sha256).unwrap())
            .on_expired_url(move |_| {
                let elsewhere = elsewhere.clone();
                async move { Some(elsewhere) }
            });
        assert_eq!(download.wait().is_ok(), is_right);
        assert_eq!(other.origin.requests().pop().unwrap().header("x-mine"), Some("kept"));
    }
}

#[test]
fn an_application_is_asked_four_times_and_without_an_answer_what_is_here_is_kept() {
    on_every_range_server(|ranges| {
        let kept = |error: urlsession::UrlError| {
            assert_eq!(error.code(), UrlErrorCode::NoPermissionsToReadFile);
            assert_eq!(error.resume_failure(), Some(ResumeFailure::Expired));
            error.resume_data().unwrap()
        };
        let mut data = ranges.broken_at(150_001);
        (0..5).for_each(|_| expire(ranges, 403));
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, renewed) = (asked.clone(), signed(ranges, "never"));
        let download = ranges.session().download_resume_from(data).on_expired_url(move |_| {
            count.fetch_add(1, Relaxed);
            let renewed = renewed.clone();
            async move { Some(renewed) }
        });
        data = kept(download.wait().unwrap_err());
        assert_eq!(asked.load(Relaxed), 4);

        expire(ranges, 403);
        data = kept(
            ranges
                .session()
                .download_resume_from(data)
                .on_expired_url(|_| async { None })
                .wait()
                .unwrap_err(),
        );
        // A delegate without another; its responder is dropped, which is the default.
        expire(ranges, 403);
        let signer = Signer::default();
        let download = ranges.session().download_resume_from(data).delegate(signer.clone());
        data = kept(download.wait().unwrap_err());
        assert_eq!(signer.asked(), [403]);
        // One that panics fails the task, and only that.
        expire(ranges, 403);
        let download = ranges.session().download_resume_from(data);
        let error = download.on_expired_url(|_| async { panic!("no signature") }).wait().unwrap_err();
        assert!(error.to_string().contains("no signature"), "{error}");
        went_on(outcome(ranges.session().download_resume_from(error.resume_data().unwrap())));

        // Of a download that begins from nothing nobody is asked: the answer is the file.
        ranges.then(|_| Reply::new(403).body("no"));
        let (file, response) =
            ranges.download().on_expired_url(|_| async { panic!("asked") }).wait().unwrap();
        assert_eq!(
            (fs::read(file.path()).unwrap().as_slice(), response.status_code()),
            (&b"no"[..], Some(403))
        );
    });
}

#[test]
fn a_download_with_a_name_goes_on_whatever_its_url_is() {
    on_every_range_server(|ranges| {
        let folder = tempfile::tempdir().unwrap();
        for to in [
            DownloadDestination::file(folder.path().join("a.bin")),
            DownloadDestination::in_folder(folder.path()),
        ] {
            let named = |name: &str| to.clone().identified_by(name);
            let go = |signature: &str, to: &DownloadDestination| {
                ranges.session().download(signed(ranges, signature)).to(to.clone())
            };
            let breaks = |signature: &str, to: &DownloadDestination| {
                ranges.then(move |_: &Recorded| whole().truncate_at(150_001));
                go(signature, to).wait().unwrap_err()
            };
            let mut remove = Vec::new();
            let mut done = |download: DownloadFuture| {
                let (found, offset, failure) = outcome(download);
                assert!(found == content() && failure.is_none());
                remove.extend(fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()));
                assert_eq!(remove.len(), 1, "{remove:?}");
                fs::remove_file(remove.remove(0)).unwrap();
                offset
            };
            breaks("one", &named("release 7"));
            assert!(done(go("two", &named("release 7"))).unwrap() > 0);
            assert!(last(ranges).0.ends_with("=two"));
            // Resume data knows the name.
            let data = breaks("one", &named("release 7")).resume_data().unwrap();
            ranges.then(|request| part(asked(request), LENGTH).truncate_at(1003));
            ranges.session().download_resume_from(data).wait().unwrap_err();
            assert!(done(go("two", &named("release 7"))).unwrap() > 150_000);
            // The same URL is another download under another name, and under none.
            for other in [named("release 8"), to.clone()] {
                breaks("one", &named("release 7"));
                let download = go("one", &other);
                assert!(fs::read(download.wait().unwrap().0.path()).unwrap() == content());
                assert_eq!(last(ranges).1, None);
                for file in fs::read_dir(folder.path()).unwrap() {
                    fs::remove_file(file.unwrap().path()).unwrap();
                }
            }
        }
    });
}
