//! Data tasks in the three styles. Names are those of the peer's rows where there is one.

use std::sync::mpsc::{Sender, channel};

use urlsession::{Bytes, TaskDelegate, UrlError, UrlErrorCode, UrlResponse, UrlSession};
use urlsession_testkit::{Reply, Wire};

use crate::support::*;

#[test]
fn test_data_task_with_url() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Nepal")).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none(), "{:?}", log.completions);
        assert_eq!(text(&log.data), "Kathmandu");
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
    });
}

#[test]
fn test_data_task_with_accept_encoding() {
    on_every_wire(|origin| {
        let (data, _) = load(&session(origin), origin.url("/accept-encoding")).unwrap();
        assert!(text(&data).split(',').any(|coding| coding.trim() == "br"), "{}", text(&data));
    });
}

#[test]
fn test_data_task_with_url_completion_handler() {
    on_every_wire(|origin| {
        for session in [session(origin), session(origin)] {
            let (data, response) = load(&session, origin.url("/USA")).unwrap();
            assert_eq!((text(&data), response.status_code()), ("Washington, D.C.", Some(200)));
        }
    });
    on(Wire::H1, |origin| {
        let (data, _) = load(&UrlSession::shared(), origin.url("/USA")).unwrap();
        assert_eq!(text(&data), "Washington, D.C.");
    });
}

#[test]
fn test_data_task_accepts_response_header_value_without_whitespace() {
    on_every_wire(|origin| {
        let url = origin.url("/response-header-without-whitespace");
        let (data, response) = session(origin).data(url).wait().unwrap();
        let response = response.http().unwrap();
        assert_eq!(text(&data), "Hello, world!");
        assert_eq!(response.value("Content-Length"), Some("13"));
        assert_eq!(response.value("Content-Type"), Some("text/plain"));
    });
}

#[test]
fn test_data_task_with_url_request() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(request(&origin.url("/Peru"), "GET", None)).resume();
        let log = recorder.completed(1);
        assert_eq!((text(&log.data), log.completions[0].is_none()), ("Lima", true));
    });
}

#[test]
fn test_data_task_with_url_request_completion_handler() {
    on_every_wire(|origin| {
        let (data, response) = load(&session(origin), request(&origin.url("/Italy"), "GET", None)).unwrap();
        assert_eq!((text(&data), response.status_code()), ("Rome", Some(200)));
    });
}

#[test]
fn test_async_data_from_url() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (data, response) = in_tokio(session.data(origin.url("/UK"))).unwrap();
        assert_eq!((text(&data), response.status_code()), ("London", Some(200)));
        let (data, _) = session.data(origin.url("/UK")).wait().unwrap();
        assert_eq!(text(&data), "London");
    });
}

#[test]
fn test_async_data_from_url_with_delegate() {
    on_every_wire(|origin| {
        let recorder = Recorder::new();
        let load = session(origin).data(origin.url("/UK")).delegate(recorder.clone());
        let (data, response) = in_tokio(load).unwrap();
        assert_eq!((text(&data), response.status_code()), ("London", Some(200)));
        let log = recorder.log();
        assert_eq!((log.calls, text(&log.data)), (vec!["didReceiveData"], "London"));
    });
}

#[test]
pub(super) fn test_gzipped_data_task() {
    coded("/gzipped-response");
}

#[test]
fn test_brotli_data_task() {
    coded("/brotli-response");
}

#[test]
fn deflate_and_zstd_are_decoded_too() {
    for path in ["/deflate-response", "/raw-deflate-response", "/zstd-response"] {
        coded(path);
    }
}

fn coded(path: &str) {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url(path)).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none(), "{path}: {:?}", log.completions);
        assert_eq!(text(&log.data), "Hello World!");
        let transaction = &log.metrics[0].transaction_metrics[0];
        assert_eq!(transaction.count_of_response_body_bytes_after_decoding, 12);
        let announced = log.response.unwrap().expected_content_length().unwrap();
        assert!(transaction.count_of_response_body_bytes_received >= announced);
    });
}

#[test]
fn test_http_not_found() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/404")).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none());
        assert_eq!(log.response.unwrap().status_code(), Some(404));
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
        assert_eq!(json(&log.data)["uri"], "GET /404 HTTP/1.1");
    });
}

#[test]
fn test_data_task_with_shared_delegate() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Nepal")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls.iter().filter(|call| **call == "didReceiveData").count(), 1);
        assert_eq!(text(&log.data), "Kathmandu");
    });
}

#[test]
fn test_out_of_range_but_correctly_formatted_http_code() {
    on(Wire::H1, |origin| {
        let (_, response) = load(&session(origin), origin.url("/LandOfTheLostCities/Kameiros")).unwrap();
        assert_eq!(response.status_code(), Some(999));
    });
}

#[test]
fn test_missing_content_length_but_still_a_body() {
    on(Wire::H1, |origin| {
        let (data, response) = load(&session(origin), origin.url("/LandOfTheLostCities/Myndus")).unwrap();
        assert_eq!(response.status_code(), Some(200));
        assert!(!data.is_empty());
    });
}

#[test]
pub(super) fn test_concurrent_requests() {
    on_every_wire(|origin| {
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let (data, _) = load(&session(origin), origin.url("/Nepal")).unwrap();
                    assert_eq!(text(&data), "Kathmandu");
                });
            }
        });
    });
}

#[test]
fn test_repeated_requests_stress() {
    // Windows keeps the port of a closed connection for minutes, and has fewer of them.
    const ROUNDS: usize = if cfg!(windows) { 300 } else { 3000 };
    // The peer's server closes each connection after its answer without saying so.
    let origin = urlsession_testkit::Origin::builder().wire(Wire::H1).close_after_response(true).start();
    /// Three tasks at once, of which the third begins the next three.
    fn round(session: &UrlSession, url: &str, left: usize, loaded: &Sender<bool>) {
        for task in 0..3 {
            let (again, next, done) = (session.clone(), url.to_owned(), loaded.clone());
            let handler = move |result: Result<(Bytes, UrlResponse), UrlError>| {
                done.send(result.is_ok_and(|(data, _)| data == "Lima")).unwrap();
                if task == 2 && left > 1 {
                    round(&again, &next, left - 1, &done);
                }
            };
            session.data_task_with_handler(url, handler).resume();
        }
    }
    let (sender, loaded) = channel();
    round(&session(&origin), &origin.url("/Peru"), ROUNDS, &sender);
    drop(sender);
    let mut count = 0;
    while let Ok(right) = loaded.recv_timeout(PATIENCE) {
        assert!(right);
        count += 1;
    }
    assert_eq!(count, 3 * ROUNDS);
}

#[test]
pub(super) fn a_large_body_arrives_byte_by_byte_the_same() {
    on_every_wire(|origin| {
        let (data, _) = session(origin).data(origin.url("/bytes/3000000")).wait().unwrap();
        assert!(
            data.len() == 3_000_000 && data.iter().zip(0u64..).all(|(byte, i)| u64::from(*byte) == i % 251)
        );
        let (data, _) = session(origin).data(origin.url("/chunked/1000000")).wait().unwrap();
        assert!(
            data.len() == 1_000_000 && data.iter().zip(0u64..).all(|(byte, i)| u64::from(*byte) == i % 251)
        );
    });
}

#[test]
fn trailers_are_read_past() {
    on_every_wire(|origin| {
        origin.enqueue("/t", Reply::new(200).chunked(["one", "two"]).trailer("x-sum", "6"));
        let session = session(origin);
        assert_eq!(text(&session.data(origin.url("/t")).wait().unwrap().0), "onetwo");
        session.data(origin.url("/Peru")).wait().unwrap();
        assert_eq!(origin.connection_count(), 1, "the connection is used again");
    });
}

#[test]
pub(super) fn informational_responses_reach_the_delegate_before_the_response() {
    on_every_wire(|origin| {
        let reply =
            Reply::new(200).informational(102, &[]).informational(103, &[("Link", "</a.css>")]).body("x");
        origin.enqueue("/hints", reply);
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/hints")).resume();
        let log = recorder.completed(1);
        let expected = [
            "didReceiveInformational",
            "didReceiveInformational",
            "didReceiveResponse",
            "didReceiveData",
            "didComplete",
        ];
        assert_eq!(log.calls, expected);
        assert_eq!(log.informational.iter().map(|r| r.status_code()).collect::<Vec<_>>(), [102, 103]);
        assert_eq!(log.informational[1].value("link"), Some("</a.css>"));
    });
}

#[test]
fn a_response_without_a_body_gives_no_data() {
    on_every_wire(|origin| {
        origin.enqueue("/none", Reply::new(204));
        origin.enqueue("/none", Reply::new(200));
        for status in [204, 200] {
            let (session, recorder) = recorded(origin);
            session.data_task(origin.url("/none")).resume();
            let log = recorder.completed(1);
            assert_eq!(log.calls, ["didReceiveResponse", "didComplete"], "{status}");
        }
    });
}

#[test]
fn a_dropped_future_cancels_its_task() {
    on_every_wire(|origin| {
        struct Nothing;
        impl TaskDelegate for Nothing {}
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let session = session(origin);
        let mut load = Box::pin(session.data(origin.url("/held")).delegate(Nothing));
        let task = load.task();
        let runtime = runtime();
        runtime.block_on(async {
            tokio::select! {
                _ = &mut load => unreachable!("the answer is held"),
                () = gate.until_reached() => {}
            }
        });
        drop(load);
        assert!(session.all_tasks().is_empty() || task.error().is_none());
        session.delegate_queue().add(|| {});
        let changes = task.state_changes();
        runtime.block_on(drain(changes));
        assert_eq!(task.error().unwrap().code(), UrlErrorCode::Cancelled);
        // The connection lives on this runtime, which must run for it.
        let seen =
            origin.wait_for_async(|journal| journal.closed == 1 || !journal.resets.is_empty(), PATIENCE);
        assert!(runtime.block_on(seen));
    });
}

#[test]
fn a_response_s_field_is_joined_and_read_as_latin_1_if_it_is_not_utf_8() {
    on_every_wire(|origin| {
        let reply =
            Reply::new(200).header("X-Twice", "a").header("X-Twice", "b").header("X-Utf-8", "na\u{ef}ve");
        origin.enqueue("/fields", reply);
        let (_, response) = session(origin).data(origin.url("/fields")).wait().unwrap();
        let response = response.http().unwrap();
        assert_eq!(response.value("x-twice"), Some("a, b"));
        assert_eq!(response.value("x-utf-8"), Some("na\u{ef}ve"));
    });
    let latin = b"HTTP/1.1 200 OK\r\nX-Latin: na\xefve\r\nContent-Length: 0\r\n\r\n";
    let (address, server) = serve_bytes(vec![latin.to_vec()]);
    let session = UrlSession::new(urlsession::Configuration::ephemeral());
    let (_, response) = session.data(format!("http://{address}/")).wait().unwrap();
    let response = response.http().unwrap();
    assert_eq!(response.value("x-latin"), Some("na\u{ef}ve"));
    assert!(response.all_header_fields().contains(&("X-Latin".into(), "na\u{ef}ve".into())));
    server.join().unwrap();
}

#[test]
fn members_of_a_coded_body_that_come_apart_are_all_read() {
    on_every_wire(|origin| {
        let (first, second) = (gzip(b"one "), gzip(b"two"));
        let at = first.len() as u64;
        // Between the members, after the first byte of the second, and before its last.
        for pause in [at, at + 1, at + 2, at + second.len() as u64 - 1] {
            let gate = origin.hold();
            let body = [&first[..], &second[..]].concat();
            let reply = Reply::new(200).header("Content-Encoding", "gzip").body(body);
            origin.enqueue("/coded", reply.body_gate(pause, gate.clone()));
            let (session, recorder) = recorded(origin);
            session.data_task(origin.url("/coded")).resume();
            recorder.wait_for(|log| log.data.starts_with(b"one "));
            gate.release();
            let log = recorder.completed(1);
            log.succeeded();
            assert_eq!(text(&log.data), "one two", "at {pause}");
        }
    });
}
