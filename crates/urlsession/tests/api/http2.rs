//! What only HTTP/2 has: shared connections, GOAWAY, refused streams, floods.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use urlsession::{
    DownloadTask, DownloadedFile, TaskChange, UrlError, UrlErrorCode as Code, UrlResponse, UrlSession,
};
use urlsession_testkit::{Flood, Hold, Origin, Reply, Wire};

use crate::support::*;

#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    on(Wire::TlsH2, |origin| {
        origin.enqueue("/echo", Reply::new(200).h2_reset(7));
        let (data, _) =
            session(origin).data(request(&origin.url("/echo"), "POST", Some(b"once"))).wait().unwrap();
        assert_eq!(text(&data), "once");
    });
}

#[test]
fn a_request_above_goaway_is_sent_again_on_a_new_connection() {
    on(Wire::TlsH2, |origin| {
        origin.enqueue("/echo", Reply::new(200).h2_goaway(true));
        let (data, _) =
            session(origin).data(request(&origin.url("/echo"), "POST", Some(b"once"))).wait().unwrap();
        assert_eq!(text(&data), "once");
        assert_eq!(origin.connection_count(), 2);
    });
}

#[test]
fn other_resets_fail_the_load_and_are_not_repeated() {
    on(Wire::TlsH2, |origin| {
        for (reason, code) in
            [(2, Code::NetworkConnectionLost), (8, Code::NetworkConnectionLost), (1, Code::BadServerResponse)]
        {
            origin.enqueue("/Peru", Reply::new(200).h2_reset(reason));
            let before = origin.requests().len();
            let error = load(&session(origin), origin.url("/Peru")).unwrap_err();
            assert_eq!(error.code(), code, "{reason}: {error}");
            assert_eq!(origin.requests().len(), before + 1);
        }
    });
}

#[test]
fn a_reset_in_the_body_delivers_what_came() {
    on(Wire::TlsH2, |origin| {
        origin.enqueue("/cut", Reply::new(200).pattern(0, 1000).h2_reset_at(2, 500));
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/cut")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), Code::NetworkConnectionLost);
        assert_eq!(log.data.len(), 500);
    });
}

#[test]
fn a_server_that_breaks_the_protocol_fails_the_load() {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/Peru", Reply::new(200).h2_garbage());
    let session = session(&origin);
    let error = load(&session, origin.url("/Peru")).unwrap_err();
    assert!(matches!(error.code(), Code::BadServerResponse | Code::NetworkConnectionLost), "{error}");
    assert_eq!(text(&load(&session, origin.url("/Peru")).unwrap().0), "Lima");
}

#[test]
fn floods_are_survived() {
    for flood in
        [Flood::Ping(5_000), Flood::Settings(5_000), Flood::EmptyData(20_000), Flood::Continuation(20_000)]
    {
        let origin = Origin::start(Wire::TlsH2);
        origin.enqueue("/flood", Reply::new(200).body("x").h2_flood(flood));
        let session = session(&origin);
        let _ = session.data(origin.url("/flood")).wait();
        assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima", "{flood:?}");
    }
}

#[test]
fn more_requests_than_streams_allowed_wait_their_turn() {
    let origin = Origin::builder().wire(Wire::TlsH2).h2_settings(2, 65_535).start();
    let (session, recorder) = recorded(&origin);
    for _ in 0..50 {
        session.data_task(origin.url("/bytes/10000")).resume();
    }
    let log = recorder.completed(50);
    assert!(log.completions.iter().all(Option::is_none), "{:?}", log.completions);
    assert_eq!((log.data.len(), origin.connection_count()), (500_000, 1));
}

#[test]
fn a_small_window_of_the_server_holds_the_body_back_but_not_for_ever() {
    let origin = Origin::builder().wire(Wire::TlsH2).h2_settings(10, 1_000).start();
    let body = vec![7; 300_000];
    let (data, _) = session(&origin).data(request(&origin.url("/echo"), "POST", Some(&body))).wait().unwrap();
    assert!(data == body);
}

#[test]
fn a_cancelled_stream_is_reset_and_the_connection_lives() {
    on(Wire::TlsH2, |origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/held"));
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        task.cancel();
        recorder.completed(1);
        assert!(origin.wait_for(|journal| journal.resets.iter().any(|reset| reset.code == 8), PATIENCE));
        assert_eq!(text(&load(&session, origin.url("/Peru")).unwrap().0), "Lima");
        assert_eq!(origin.connection_count(), 1);
        gate.release();
    });
}

#[test]
fn an_http2_only_session_refuses_cleartext_servers_at_once() {
    let origin = Origin::builder().wire(Wire::TlsH1).start();
    let mut configuration = configuration(&origin);
    configuration.http_versions = urlsession::HttpVersions::Http2;
    let error = load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap_err();
    assert!(matches!(error.code(), Code::SecureConnectionFailed | Code::CannotConnectToHost), "{error}");
}

#[test]
fn a_download_suspended_while_it_waits_for_its_disk_leaves_its_connection_to_be_read() {
    on(Wire::TlsH2, |origin| {
        one_thread_for_disks().block_on(async {
            let waiting = Waiting::begin(origin, &session(origin)).await;
            waiting.task.suspend();
            waiting.disk.send(()).unwrap();
            waiting.is_read(origin).await;
            waiting.task.resume();
            waiting.end().await;
        });
    });
}

#[test]
fn a_disk_that_stalls_for_long_does_not_keep_a_connection_from_being_read() {
    on(Wire::TlsH2, |origin| {
        one_thread_for_disks().block_on(async {
            let clock = HandClock::new();
            let mut configuration = configuration(origin);
            configuration.environment.clock = Arc::new(clock.clone());
            let waiting = Waiting::begin(origin, &UrlSession::new(configuration)).await;
            let after_a_while = thread::spawn(move || {
                clock.wait_for_sleeper(Duration::from_secs(5));
                clock.advance(Duration::from_secs(5));
            });
            waiting.is_read(origin).await;
            after_a_while.join().unwrap();
            waiting.disk.send(()).unwrap();
            waiting.end().await;
        });
    });
}

fn one_thread_for_disks() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap()
}

/// A download whose disk is busy.
struct Waiting {
    task: DownloadTask,
    download: JoinHandle<Result<(DownloadedFile, UrlResponse), UrlError>>,
    /// Frees the disk.
    disk: mpsc::Sender<()>,
    server: Hold,
}

impl Waiting {
    /// Waits for the answer, after which the server waits before it says anything more.
    async fn begin(origin: &Origin, session: &UrlSession) -> Self {
        session.data(origin.url("/")).await.unwrap();
        let server = origin.hold();
        origin.enqueue("/file", Reply::new(200).pattern(0, 1000).body_gate(0, server.clone()).h2_ping());
        let (disk, freed) = mpsc::channel();
        tokio::task::spawn_blocking(move || freed.recv());
        let download = session.download(origin.url("/file"));
        let task = download.task();
        let mut changes = task.observe();
        let download = tokio::spawn(download);
        while next(&mut changes).await.unwrap() != TaskChange::Response {}
        Self { task, download, disk, server }
    }

    /// The server's PING is answered.
    async fn is_read(&self, origin: &Origin) {
        self.server.release();
        assert!(origin.wait_for_async(|journal| journal.ping_acks == 1, PATIENCE).await);
    }

    async fn end(self) {
        let (file, _) = self.download.await.unwrap().unwrap();
        assert_eq!(file.len(), 1000);
    }
}
