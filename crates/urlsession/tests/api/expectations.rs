//! `Expect: 100-continue`: bodies that wait until the server wants them, and those that it does not want.

use std::time::Duration;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, UrlCredential, UrlCredentialPersistence,
};
use urlsession::environment::Environment;
use urlsession::{BodyStream, Configuration, UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn asking(url: &str) -> UrlRequest {
    let mut request = request(url, "PUT", Some(b"the body"));
    request.set_value("Expect", "100-continue").unwrap();
    request
}

/// By a clock that stands still: what is not waited for is sent, what is waited for never comes.
fn timed(origin: &Origin) -> (Configuration, HandClock) {
    let clock = HandClock::new();
    let environment = Environment::default().clock(clock.clone());
    (configuration(origin).environment(environment), clock)
}

/// Whether the stream of the last request is reset, or its connection closed.
fn given_up(origin: &Origin, times: usize) -> bool {
    origin.wait_for(
        |journal| match origin.wire() {
            Wire::TlsH2 => journal.resets.iter().filter(|reset| reset.code == 8).count() == times,
            _ => journal.closed == times,
        },
        PATIENCE,
    )
}

#[test]
fn a_body_waits_until_the_server_says_that_it_wants_it() {
    on_every_wire(|origin| {
        for status in [100, 104] {
            origin.enqueue("/echo", Reply::routes().informational(status, &[]));
            let (configuration, _clock) = timed(origin);
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            session.data_task(asking(&origin.url("/echo"))).resume();
            let log = recorder.completed(1);
            log.succeeded();
            assert_eq!(text(&log.data), "the body");
            let calls = log.calls.iter().filter(|call| **call != "didReceiveResponse");
            let expected = ["didReceiveInformational", "didSendBody", "didReceiveData", "didComplete"];
            assert_eq!(calls.copied().collect::<Vec<_>>(), expected);
            assert_eq!(log.informational[0].status_code(), status);
            assert_eq!(origin.requests().last().unwrap().header("expect"), Some("100-continue"));
        }
    });
}

#[test]
fn a_server_that_says_nothing_gets_the_body_after_a_second() {
    on_every_wire(|origin| {
        // Others than 100 and 104 say nothing about the body.
        origin.enqueue("/echo", Reply::routes().informational(103, &[("link", "</style>")]));
        let (configuration, clock) = timed(origin);
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(asking(&origin.url("/echo"))).resume();
        recorder.wait_for(|log| !log.informational.is_empty());
        clock.wait_for_sleeper(SECOND);
        clock.advance(SECOND - Duration::from_millis(1));
        clock.wait_for_sleeper(Duration::from_millis(1));
        assert!(recorder.log().sent.is_empty());
        assert!(origin.journal(|journal| journal.heads.iter().all(|head| head.body_len == 0)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(text(&recorder.completed(1).data), "the body");
    });
}

#[test]
fn the_wait_is_as_long_as_the_configuration_says() {
    on_every_wire(|origin| {
        let (mut configuration, clock) = timed(origin);
        configuration.expect_continue_timeout = 5 * SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(asking(&origin.url("/echo"))).resume();
        clock.wait_for_sleeper(5 * SECOND);
        clock.advance(5 * SECOND);
        recorder.completed(1).succeeded();
        let (mut configuration, _) = timed(origin);
        configuration.expect_continue_timeout = Duration::ZERO;
        UrlSession::new(configuration).data(asking(&origin.url("/echo"))).wait().unwrap();
    });
}

#[test]
fn a_body_that_is_refused_is_never_sent_and_its_connection_is_not_used_again() {
    on_every_wire(|origin| {
        let (configuration, _clock) = timed(origin);
        let session = UrlSession::new(configuration);
        for (round, status) in [401, 403, 413, 302, 500].into_iter().enumerate() {
            origin.enqueue("/upload", Reply::new(status).body("no").early());
            let (task, result) = load_with_task(&session, asking(&origin.url("/upload")));
            let (data, response) = result.unwrap();
            assert_eq!((text(&data), response.status_code()), ("no", Some(status)));
            assert_eq!(task.count_of_bytes_sent(), 0);
            assert!(given_up(origin, round + 1));
        }
        assert!(origin.requests().is_empty(), "no request came whole");
        assert!(origin.journal(|journal| journal.heads.iter().all(|head| head.body_len == 0)));
        load(&session, origin.url("/Peru")).unwrap();
        let connections = if origin.wire() == Wire::TlsH2 { 1 } else { 6 };
        assert_eq!(origin.connection_count(), connections);
    });
}

#[test]
fn a_long_refusal_is_read_to_its_end() {
    on_every_wire(|origin| {
        let (configuration, _clock) = timed(origin);
        origin.enqueue("/upload", Reply::new(403).endless(1_000_000).early());
        let (data, _) = load(&UrlSession::new(configuration), asking(&origin.url("/upload"))).unwrap();
        assert_eq!(data.len(), 1_000_000);
        assert!(given_up(origin, 1));
    });
}

#[test]
fn a_server_that_takes_the_request_without_a_word_gets_its_body() {
    on_every_wire(|origin| {
        let (configuration, _clock) = timed(origin);
        let gate = urlsession_testkit::Gate::new();
        let reply = Reply::new(200).chunked(["be", "gun"]).body_gate(2, gate.clone()).early();
        origin.enqueue("/upload", reply);
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(asking(&origin.url("/upload"))).resume();
        assert!(gate.wait_reached(PATIENCE));
        recorder.wait_for(|log| log.data == b"be");
        if origin.wire() == Wire::TlsH2 {
            assert!(origin.wait_for(|journal| journal.requests.len() == 1, PATIENCE), "while it answers");
        }
        gate.release();
        recorder.completed(1).succeeded();
        assert!(origin.wait_for(|journal| journal.requests.len() == 1, PATIENCE));
        assert_eq!(origin.requests()[0].text(), "the body");
        let log = recorder.log();
        let told = log.sent.last().map(|(_, total, expected)| (*total, *expected));
        assert_eq!(told, Some((8, Some(8))), "what is sent while the answer is read is told: {:?}", log.sent);
    });
}

#[test]
fn after_417_the_request_is_repeated_once_without_its_expectation() {
    on_every_wire(|origin| {
        let (configuration, _clock) = timed(origin);
        let session = UrlSession::new(configuration);
        origin.enqueue("/echo", Reply::new(417).early());
        let (task, result) = load_with_task(&session, asking(&origin.url("/echo")));
        assert_eq!(text(&result.unwrap().0), "the body");
        let seen = origin.requests();
        assert_eq!((seen.len(), seen[0].header("expect")), (1, None));
        assert_eq!(task.metrics().unwrap().transaction_metrics.len(), 2);
        // A stream that has not been begun is as good.
        origin.enqueue("/echo", Reply::new(417).early());
        let mut streamed = asking(&origin.url("/echo"));
        streamed.set_http_body_stream(BodyStream::from_reader(&b"a stream"[..]));
        assert_eq!(text(&load(&session, streamed).unwrap().0), "a stream");
        for _ in 0..2 {
            origin.enqueue("/echo", Reply::new(417).early());
        }
        let refused = load(&session, asking(&origin.url("/echo"))).unwrap();
        assert_eq!(refused.1.status_code(), Some(417));
    });
}

#[test]
fn a_stream_that_a_login_has_kept_waiting_is_not_asked_for_again() {
    on_every_wire(|origin| {
        let (configuration, _clock) = timed(origin);
        let recorder = Recorder::new().answering(|_| {
            let ann = UrlCredential::new("ann", "pw", UrlCredentialPersistence::None);
            Disposition::UseCredential(Some(ann)).into()
        });
        let (session, recorder) = with_recorder(configuration, recorder);
        let path = "/basic/ann/pw/x";
        origin.enqueue(path, Reply::routes().early());
        origin.enqueue(path, Reply::routes().informational(100, &[]));
        let mut streamed = asking(&origin.url(path));
        streamed.set_http_body_stream(BodyStream::from_reader(&b"a stream"[..]));
        session.data_task(streamed).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert!(!log.calls.contains(&"needNewBodyStream"), "{:?}", log.calls);
        assert_eq!(log.response.unwrap().status_code(), Some(200));
        let seen = origin.requests();
        assert_eq!((seen.len(), &*seen[0].text()), (1, "a stream"), "it was sent once");
    });
}

/// NTLM logs in a connection: closing it would begin the login anew, for ever.
#[test]
fn a_login_that_belongs_to_a_connection_keeps_it_and_sends_what_was_announced() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let (configuration, _clock) = timed(origin);
            let recorder = Recorder::new().answering(|_| {
                let ann = UrlCredential::new("ann", "pw", UrlCredentialPersistence::None);
                Disposition::UseCredential(Some(ann)).into()
            });
            let (session, _recorder) = with_recorder(configuration, recorder);
            let body = vec![7; 1_000_000];
            // Refused and closed; refused and, for the login's sake, sent; taken.
            for reply in
                [Reply::routes().early(), Reply::routes().early(), Reply::routes().informational(100, &[])]
            {
                origin.enqueue("/ntlm/ann/pw", reply);
            }
            let mut post = asking(&origin.url("/ntlm/ann/pw"));
            post.set_http_body(body);
            let (data, _) = load(&session, post).unwrap();
            assert_eq!(text(&data), "in");
            let seen = origin.requests();
            assert_eq!(seen.iter().map(|seen| seen.body_len).collect::<Vec<_>>(), [1_000_000, 1_000_000]);
            assert_eq!(seen[0].connection, seen[1].connection);
            assert_eq!(origin.connection_count(), 2);
        });
    }
}

#[test]
fn nobody_is_asked_about_a_body_that_is_not_there() {
    on_every_wire(|origin| {
        let (mut configuration, _clock) = timed(origin);
        let mut get = request(&origin.url("/Peru"), "GET", None);
        get.set_value("expect", "100-Continue").unwrap();
        let session = UrlSession::new(configuration.clone());
        load(&session, get).unwrap();
        assert_eq!(origin.requests()[0].header("expect"), None);

        configuration.http_additional_headers = headers(&[("Expect", "100-continue")]);
        let session = UrlSession::new(configuration);
        load(&session, origin.url("/Peru")).unwrap();
        origin.enqueue("/echo", Reply::routes().informational(100, &[]));
        load(&session, request(&origin.url("/echo"), "POST", Some(b"x"))).unwrap();
        let seen = origin.requests();
        assert_eq!((seen[1].header("expect"), seen[2].header("expect")), (None, Some("100-continue")));
    });
}
