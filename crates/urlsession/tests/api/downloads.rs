//! Download tasks: a response in a file, which is gone when nobody took it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use urlsession::{
    DelegateQueue, DownloadDestination, DownloadTask, DownloadedFile, SessionDelegate, TaskDelegate,
    TaskState, UrlErrorCode, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

fn by_handler(
    session: &UrlSession,
    request: impl urlsession::IntoUrlRequest,
) -> Result<(DownloadedFile, UrlResponse), urlsession::UrlError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    session.download_task_with_handler(request, move |result| sender.send(result).unwrap()).resume();
    receiver.recv_timeout(PATIENCE).unwrap()
}

#[test]
pub(super) fn test_download_task_with_url() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/file", Reply::new(200).pattern(0, 600_000));
        session.download_task(origin.url("/file")).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didWriteData", "didFinishDownloading", "didComplete"]);
        assert_eq!(log.data.len(), 600_000);
        assert_eq!(log.written.last().unwrap().1, 600_000);
        assert!(log.written.iter().all(|(_, _, expected)| *expected == Some(600_000)));
        assert_eq!(log.written.iter().map(|(new, ..)| new).sum::<u64>(), 600_000);
        assert!(!log.location.unwrap().exists(), "the file is removed after the call");
        assert_eq!(log.metrics[0].transaction_metrics.len(), 1);
    });
}

#[test]
fn test_download_task_with_url_request() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.download_task(request(&origin.url("/Peru"), "GET", None)).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didWriteData", "didFinishDownloading", "didComplete"]);
        assert!(!log.location.unwrap().exists(), "the file is removed after the call");
        assert_eq!((log.data.as_slice(), log.written.last().unwrap().1), (&b"Lima"[..], 4));
    });
}

#[test]
fn test_download_task_with_request_and_handler() {
    on(Wire::H1, |origin| {
        for session in [UrlSession::shared(), session(origin)] {
            let (file, _) = by_handler(&session, request(&origin.url("/Peru"), "GET", None)).unwrap();
            assert_eq!(file.len(), 4);
        }
    });
}

#[test]
fn test_download_task_with_url_and_handler() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let (file, response) = by_handler(&session(origin), origin.url("/Peru")).unwrap();
        assert_eq!((fs::read_to_string(file.path()).unwrap().as_str(), file.len()), ("Lima", 4));
        assert_eq!(response.status_code(), Some(200));
        let kept = folder.path().join("kept");
        file.persist(&kept).unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "Lima");
    });
}

#[test]
fn test_async_download_from_url() {
    on_every_wire(|origin| {
        let session = session(origin);
        let path = in_tokio(async {
            let (file, response) = session.download(origin.url("/Peru")).await.unwrap();
            assert_eq!(response.status_code(), Some(200));
            assert_eq!(fs::read_to_string(file.path()).unwrap(), "Lima");
            file.path().to_owned()
        });
        assert!(!path.exists());
        assert_eq!(session.download(origin.url("/Peru")).wait().unwrap().0.len(), 4);
    });
}

#[test]
fn test_async_download_from_url_with_delegate() {
    struct Count(Arc<AtomicU64>);
    impl TaskDelegate for Count {
        fn did_write_data(&self, _: &DownloadTask, _: u64, total: u64, _: Option<u64>) {
            self.0.store(total, Ordering::SeqCst);
        }

        fn did_finish_downloading(&self, _: &DownloadTask, _: &Path) {
            panic!("the file is given to the caller of download");
        }
    }
    on_every_wire(|origin| {
        let count = Arc::new(AtomicU64::new(0));
        origin.enqueue("/file", Reply::new(200).pattern(0, 100_000));
        let download = session(origin).download(origin.url("/file")).delegate(Count(count.clone()));
        let (file, response) = download.wait().unwrap();
        assert_eq!((file.len(), response.status_code()), (100_000, Some(200)));
        assert_eq!(fs::metadata(file.path()).unwrap().len(), 100_000);
        assert_eq!(count.load(Ordering::SeqCst), 100_000);
    });
}

#[test]
fn test_download_task_with_ipv6_url_request() {
    on(Wire::H1, |origin| {
        let (session, recorder) = recorded(origin);
        let url = format!("http://[::1]:{}/country.txt", origin.closed_port());
        session.download_task(url).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::CannotConnectToHost);
        assert_eq!(log.calls, ["didComplete"]);
    });
}

#[test]
pub(super) fn test_gzipped_download_task() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.download_task(origin.url("/gzipped-response")).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didWriteData", "didFinishDownloading", "didComplete"]);
        assert_eq!((text(&log.data), log.written.last().unwrap().1), ("Hello World!", 12));
        assert_eq!(log.written.iter().map(|(new, ..)| new).sum::<u64>(), 12);
        let (file, _) = session.download(origin.url("/gzipped-response")).wait().unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "Hello World!");
    });
}

#[test]
fn an_empty_response_is_an_empty_file_and_an_error_status_is_no_error() {
    on_every_wire(|origin| {
        origin.enqueue("/empty", Reply::new(200));
        let (file, _) = session(origin).download(origin.url("/empty")).wait().unwrap();
        assert!(file.is_empty() && fs::metadata(file.path()).unwrap().len() == 0);
        origin.enqueue("/missing", Reply::new(404).body("nothing here"));
        let (file, response) = session(origin).download(origin.url("/missing")).wait().unwrap();
        assert_eq!((response.status_code(), file.len()), (Some(404), 12));
    });
}

#[test]
fn a_destination_that_takes_only_successes_is_left_alone_by_an_error_status() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "as it was").unwrap();
        let destination = DownloadDestination::file(&path).overwriting().require_success_status();
        for (status, code) in [
            (404, UrlErrorCode::FileDoesNotExist),
            (500, UrlErrorCode::BadServerResponse),
            (304, UrlErrorCode::BadServerResponse),
        ] {
            origin.enqueue("/file", Reply::new(status).body(if status == 304 { "" } else { "no" }));
            let error =
                session(origin).download(origin.url("/file")).to(destination.clone()).wait().unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        origin.enqueue("/file", Reply::new(203).body("new"));
        session(origin).download(origin.url("/file")).to(destination).wait().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    });
}

#[test]
pub(super) fn a_download_that_fails_or_is_cancelled_half_way_leaves_no_file() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        session.download_task(origin.url("/cut")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(log.calls, ["didWriteData", "didComplete"]);

        let gate = origin.hold();
        origin.enqueue("/half", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        let task = session.download_task(origin.url("/half"));
        task.resume();
        recorder.wait_for(|log| log.written.iter().filter(|(_, total, _)| *total == 500).count() == 2);
        task.cancel();
        let log = recorder.completed(2);
        assert_eq!(log.completions[1].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert!(!log.calls.contains(&"didFinishDownloading"));
        assert_eq!(task.state(), TaskState::Completed);
        gate.release();
    });
}

#[test]
pub(super) fn coded_bodies_that_break_have_the_codes_of_downloads() {
    on_every_wire(|origin| {
        origin.enqueue("/broken", Reply::new(200).header("Content-Encoding", "gzip").body("not gzip at all"));
        let error = session(origin).download(origin.url("/broken")).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::DownloadDecodingFailedMidStream);
    });
}

#[test]
pub(super) fn a_suspended_download_stops_reading_and_goes_on_without_another_request() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/file", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        let task = session.download_task(origin.url("/file"));
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 500));
        task.suspend();
        gate.release();
        assert_eq!(task.state(), TaskState::Suspended);
        task.resume();
        assert_eq!(recorder.completed(1).data.len(), 1000);
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn a_delegate_that_panics_over_its_file_fails_the_task() {
    #[derive(Clone)]
    struct Clumsy(Recorder);
    impl TaskDelegate for Clumsy {
        fn did_finish_downloading(&self, _: &DownloadTask, _: &Path) {
            panic!("dropped it");
        }
        fn did_complete(&self, task: &urlsession::Task, error: Option<&urlsession::UrlError>) {
            self.0.did_complete(task, error);
        }
    }
    impl SessionDelegate for Clumsy {}
    on_every_wire(|origin| {
        let clumsy = Clumsy(Recorder::new());
        let session = UrlSession::with_delegate(
            configuration(origin),
            Arc::new(clumsy.clone()),
            DelegateQueue::serial(),
        );
        session.download_task(origin.url("/Peru")).resume();
        let error = clumsy.0.completed(1).completions[0].clone().unwrap();
        assert!(error.to_string().contains("dropped it"), "{error}");
    });
}

#[test]
fn a_body_of_64_mebibytes_is_saved_with_bounded_memory() {
    let origin = Origin::start(Wire::H1);
    origin.enqueue("/big", Reply::new(200).pattern(0, 64 << 20));
    let (file, _) = session(&origin).download(origin.url("/big")).wait().unwrap();
    assert_eq!(fs::metadata(file.path()).unwrap().len(), 64 << 20);
}

#[test]
fn a_download_with_a_destination_is_there_when_it_is_whole_and_not_before() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.bin");
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/file", Reply::new(200).pattern(0, 1000).body_gate(500, gate.clone()));
        let task = session.download_task(origin.url("/file"));
        task.set_destination(Some(path.clone().into())).unwrap();
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 500));
        assert!(!path.exists());
        assert!(task.set_destination(None).is_err());
        gate.release();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.location.as_deref(), Some(&*path));
        assert_eq!(fs::read(&path).unwrap().len(), 1000);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let again = session.download(origin.url("/Peru")).to(&path).wait().unwrap_err();
        assert_eq!(again.code(), UrlErrorCode::CannotCreateFile);
        let anew = DownloadDestination::file(&path).overwriting();
        let (file, _) = session.download(origin.url("/Peru")).to(anew).wait().unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "Lima");
    });
}

#[test]
fn a_response_names_its_file_in_a_folder_and_cannot_lead_out_of_it() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        for (field, name) in [
            ("attachment; filename=\"report.txt\"", "report.txt"),
            ("attachment; filename=\"report.txt\"", "report (2).txt"),
            ("attachment; filename=\"../../evil.sh\"", "evil.sh"),
        ] {
            origin.enqueue("/d", Reply::new(200).header("Content-Disposition", field).body("x"));
            let to = DownloadDestination::in_folder(folder.path()).with_unique_name();
            let (file, _) = session(origin).download(origin.url("/d")).to(to).wait().unwrap();
            assert_eq!(file.path().parent(), Some(folder.path()));
            let found = file.path().file_name().unwrap().to_str().unwrap();
            assert!(found == name || found.ends_with("evil.sh"), "{found}");
        }
    });
}

#[test]
fn a_download_that_fails_leaves_nothing_at_its_destination() {
    on_every_wire(|origin| {
        let folder = tempfile::tempdir().unwrap();
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).truncate_at(500));
        let path = folder.path().join("cut");
        assert!(session(origin).download(origin.url("/cut")).to(&path).wait().is_err());
        let missing = session(origin).download(origin.url("/Peru")).to(folder.path().join("a/b")).wait();
        assert_eq!(missing.unwrap_err().code(), UrlErrorCode::CannotCreateFile);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    });
}

#[test]
fn a_suggested_name_is_read_byte_for_byte_and_made_safe() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let saved = |path: &str, disposition: &[u8]| {
            let field =
                [&b"Content-Disposition: attachment; filename=\""[..], disposition, b"\"\r\n"].concat();
            let field = if disposition.is_empty() { Vec::new() } else { field };
            let head = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n", &field[..], b"\r\nx"].concat();
            origin.enqueue(path, Reply::raw(head));
            let folder = tempfile::tempdir().unwrap();
            let destination = DownloadDestination::in_folder(folder.path());
            let (file, _) = session.download(origin.url(path)).to(destination).wait().unwrap();
            file.path().file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(saved("/x", b"na\xefve.txt"), "naïve.txt");
        assert_eq!(saved("/x", "naïve.txt".as_bytes()), "naïve.txt");
        assert_eq!(saved("/x", b".bash_profile"), "_bash_profile");
        assert_eq!(saved("/.bash_profile", b""), "_bash_profile");
        assert_eq!(saved("/%2essh.txt", b""), "_ssh.txt");
        assert_eq!(saved("/a;b.txt", b""), "a;b.txt");
    });
}

#[test]
fn what_has_come_of_a_download_is_on_the_disk_after_a_flush_or_reset_and_it_goes_on() {
    const HELD: u64 = 100_000;
    on_every_wire(|origin| {
        for (resets, is_suspended, is_named) in
            [(false, false, true), (false, true, true), (true, false, true), (true, true, false)]
        {
            // Nobody moves the clock: what waits for more is not written by itself.
            let (configuration, _clock) = with_hand_clock(origin);
            let session = UrlSession::new(configuration);
            let folder = tempfile::tempdir().unwrap();
            let content: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
            let gate = urlsession_testkit::Gate::new();
            let reply = Reply::new(200).header("ETag", "\"a\"").body(content.clone());
            origin.enqueue("/a", reply.body_gate(HELD, gate.clone()));
            let (sender, receiver) = std::sync::mpsc::channel();
            let task = session.download_task_with_handler(origin.url("/a"), move |result| {
                sender.send(result.map(|(file, _)| fs::read(file.path()).unwrap())).unwrap();
            });
            if is_named {
                task.set_destination(Some(DownloadDestination::file(folder.path().join("a")))).unwrap();
            }
            task.resume();
            wait_until(|| task.count_of_bytes_received() == HELD);
            if is_suspended {
                task.suspend();
            }
            urlsession::block_on(async {
                match resets {
                    true => session.reset().await,
                    false => session.flush().await,
                }
            });
            if is_named {
                let part = fs::read(folder.path().join(".a.urlsession-part")).unwrap();
                // More may have been taken for it on the disk.
                assert_eq!(part[..HELD as usize], content[..HELD as usize]);
                assert!(folder.path().join(".a.urlsession-note").exists());
            }
            gate.release();
            if is_suspended {
                task.resume();
            }
            assert!(receiver.recv_timeout(PATIENCE).unwrap().unwrap() == content);
            assert_eq!(task.count_of_bytes_received(), 600_000);
        }
    });
}
