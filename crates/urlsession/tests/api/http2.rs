//! What only HTTP/2 has: shared connections, GOAWAY, refused streams, floods.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use urlsession::tasks::TaskChange;
use urlsession::{DownloadTask, DownloadedFile, UrlError, UrlErrorCode as Code, UrlResponse, UrlSession};
use urlsession_testkit::{After, Flood, Hold, Origin, Reply, Wire};

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
fn a_request_that_the_codec_refuses_fails_alone() {
    on(Wire::TlsH2, |origin| {
        let session = session(origin);
        // Made before anything is held: to find out that no two fields have the same name takes long.
        let mut refused = request(&origin.url("/Peru"), "GET", None);
        for number in 0..33_000 {
            refused.add_value(format!("x-{number}"), "1").unwrap();
        }
        let gate = origin.hold();
        origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
        let (sender, ended) = mpsc::channel();
        let held = session.data_task_with_handler(origin.url("/held"), move |result| {
            sender.send(result.map(|(data, _)| data)).unwrap();
        });
        held.resume();
        assert!(gate.wait_reached(PATIENCE));
        assert_eq!(load(&session, &refused).unwrap_err().code(), Code::BadUrl);
        assert_eq!(text(&load(&session, origin.url("/Peru")).unwrap().0), "Lima");
        gate.release();
        assert_eq!(text(&ended.recv_timeout(PATIENCE).unwrap().unwrap()), "x");
        assert_eq!(origin.connection_count(), 1);
    });
}

#[test]
fn a_head_in_more_than_seven_frames_ends_its_connection_and_no_other() {
    on(Wire::TlsH2, |origin| {
        let session = session(origin);
        let load = |path: &str| session.data(origin.url(path)).wait();
        origin.enqueue("/frames", Reply::new(200).body("x").h2_flood(Flood::Continuation(6)));
        assert_eq!(load("/frames").unwrap().0, "x");
        assert_eq!((load("/Peru").unwrap().0, origin.connection_count()), ("Lima".into(), 1));
        origin.enqueue("/frames", Reply::new(200).body("x").h2_flood(Flood::Continuation(7)));
        assert_eq!(load("/frames").unwrap_err().code(), Code::BadServerResponse);
        assert_eq!((load("/Peru").unwrap().0, origin.connection_count()), ("Lima".into(), 2));
    });
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
    configuration.http_versions = urlsession::network::HttpVersions::Http2;
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

/// A frame of the first stream of a connection, or of the connection (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;
/// `:status: 200`, and `:status: 103`.
const OK: [u8; 1] = [0x88];
const HINTS: [u8; 5] = [0x08, 3, b'1', b'0', b'3'];

fn wires(origin: &Origin) -> Vec<Wire> {
    origin.requests().iter().map(|request| request.wire).collect()
}

#[test]
fn a_server_that_resets_for_http_1_1_gets_it_and_is_remembered() {
    on(Wire::TlsH2, |origin| {
        let session = session(origin);
        origin.enqueue("/echo", Reply::new(200).h2_reset(13));
        let (data, _) = load(&session, request(&origin.url("/echo"), "POST", Some(b"once"))).unwrap();
        assert_eq!(text(&data), "once");
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(wires(origin), [Wire::TlsH2, Wire::TlsH1, Wire::TlsH1]);
        assert_eq!(origin.connection_count(), 2);
        // Other origins are spoken to as before.
        on(Wire::TlsH2, |other| {
            let mut configuration = configuration(other);
            configuration.additional_trust_anchors.push(origin.trust_anchor_der());
            let session = UrlSession::new(configuration);
            origin.enqueue("/Peru", Reply::new(200).h2_reset(13));
            load(&session, origin.url("/Peru")).unwrap();
            load(&session, other.url("/Peru")).unwrap();
            assert_eq!(wires(other), [Wire::TlsH2]);
        });
    });
}

#[test]
fn a_server_that_goes_away_for_http_1_1_gets_it_and_is_remembered() {
    for (last, method) in [(0, "GET"), (0, "POST"), (1, "GET")] {
        for after in [After::KeepAlive, After::SilentClose] {
            let origin = Origin::start(Wire::TlsH2);
            let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 13]);
            origin.enqueue("/jsonBody", Reply::raw(goaway).then(after));
            let session = session(&origin);
            let body = (method == "POST").then_some(&b"once"[..]);
            let (_, response) = load(&session, request(&origin.url("/jsonBody"), method, body)).unwrap();
            assert_eq!(response.status_code(), Some(200));
            load(&session, origin.url("/Peru")).unwrap();
            assert_eq!(wires(&origin), [Wire::TlsH2, Wire::TlsH1, Wire::TlsH1], "{last} {method} {after:?}");
        }
    }
}

#[test]
fn a_session_for_http_2_only_says_that_the_server_requires_http_1_1() {
    on(Wire::TlsH2, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_versions = urlsession::network::HttpVersions::Http2;
        origin.enqueue("/Peru", Reply::new(200).h2_reset(13));
        let session = UrlSession::new(configuration);
        let error = load(&session, origin.url("/Peru")).unwrap_err();
        assert!(error.to_string().contains("requires HTTP/1.1"), "{error}");
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(wires(origin), [Wire::TlsH2; 2]);
    });
}

#[test]
fn te_is_sent_over_http_2_as_far_as_it_may_be() {
    on(Wire::TlsH2, |origin| {
        let mut configuration = configuration(origin);
        for (name, value) in [("TE", "gzip"), ("Upgrade", "h2c"), ("Keep-Alive", "max=1")] {
            set_for_all(&mut configuration, name, value);
        }
        let session = UrlSession::new(configuration);
        for (te, sent) in [
            (None, None),
            (Some("gzip"), None),
            (Some("trailers"), Some("trailers")),
            (Some("deflate, Trailers;q=0.5"), None),
            (Some("deflate , Trailers"), Some("trailers")),
        ] {
            let mut request = request(&origin.url("/Peru"), "GET", None);
            set_optional(&mut request, "te", te);
            load(&session, request).unwrap();
            assert_eq!(origin.requests().pop().unwrap().header("te"), sent, "{te:?}");
        }
        assert_eq!(origin.connection_count(), 1);
    });
}

#[test]
fn content_beside_a_status_that_has_none_is_an_error() {
    const NO_CONTENT: [u8; 1] = [0x89];
    const NOT_MODIFIED: [u8; 1] = [0x8b];
    for (status, data, is_ok) in [
        (NO_CONTENT, &b"body"[..], false),
        (NOT_MODIFIED, b"body", false),
        (NO_CONTENT, b"", true),
        (NOT_MODIFIED, b"", true),
        (OK, b"body", true),
    ] {
        let origin = Origin::start(Wire::TlsH2);
        let frames = [frame(HEADERS, END_HEADERS, 1, &status), frame(0, END_STREAM, 1, data)];
        origin.enqueue("/raw", Reply::raw(frames.concat()).then(After::KeepAlive));
        let session = session(&origin);
        match load(&session, origin.url("/raw")) {
            Ok((loaded, _)) => assert!(is_ok && loaded == data),
            Err(error) => assert!(!is_ok && error.code() == Code::BadServerResponse, "{error}"),
        }
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), 1);
    }
}

#[test]
fn switching_protocols_and_pseudo_fields_in_trailers_are_errors() {
    on(Wire::TlsH2, |origin| {
        let session = session(origin);
        origin.enqueue("/switch", Reply::new(200).informational(101, &[("x", "y")]));
        let error = load(&session, origin.url("/switch")).unwrap_err();
        assert_eq!(error.code(), Code::BadServerResponse, "{error}");
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), 1);
    });
    for (trailers, is_ok) in [(&OK[..], false), (b"\x00\x05:path\x01/", false), (b"\x00\x01x\x01y", true)] {
        let origin = Origin::start(Wire::TlsH2);
        let frames = [
            frame(HEADERS, END_HEADERS, 1, &OK),
            frame(0, 0, 1, b"body"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers),
        ];
        origin.enqueue("/raw", Reply::raw(frames.concat()).then(After::KeepAlive));
        let session = session(&origin);
        match load(&session, origin.url("/raw")) {
            Ok((data, _)) => assert!(is_ok && text(&data) == "body"),
            Err(error) => assert!(!is_ok && error.code() == Code::BadServerResponse, "{error}"),
        }
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), 1);
    }
}

#[test]
fn informational_heads_are_bounded_while_their_task_is_suspended() {
    let origin = Origin::start(Wire::TlsH2);
    let gate = origin.hold();
    let flood = frame(HEADERS, END_HEADERS, 1, &HINTS).repeat(100_000);
    origin.enqueue("/hints", Reply::raw(flood).after(gate.clone()).then(After::KeepAlive));
    let (session, recorder) = recorded(&origin);
    let task = session.data_task(origin.url("/hints"));
    task.resume();
    assert!(gate.wait_reached(PATIENCE));
    task.suspend();
    gate.release();
    // Nobody reads them: the connection is given up for it.
    assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE));
    task.resume();
    let log = recorder.completed(1);
    let error = log.completions[0].as_ref().unwrap();
    assert_eq!(error.code(), Code::BadServerResponse);
    assert!(error.to_string().contains("informational"), "{error}");
    assert_eq!(text(&load(&session, origin.url("/Peru")).unwrap().0), "Lima");
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
