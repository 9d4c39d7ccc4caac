//! Redirects as applications see them. The rules are tested beside the layer.

use std::sync::Arc;

use urlsession::{Decision, UrlErrorCode, UrlRequest, UrlSession};
use urlsession_testkit::{After, Origin, Reply, Wire};

use crate::support::*;

const METHODS: [&str; 5] = ["HEAD", "GET", "PUT", "POST", "DELETE"];

fn run(origin: &Origin, method: &str, path: &str) -> Log {
    let (session, recorder) = recorded(origin);
    session.data_task(request(&origin.url(path), method, None)).resume();
    recorder.completed(1)
}

#[test]
fn test_data_task_with_http_body_redirect() {
    on_every_wire(|origin| {
        let url = origin.url("/303?location=Peru");
        let (data, _) = load(&session(origin), request(&url, "POST", Some(b"body"))).unwrap();
        assert_eq!(text(&data), "Lima");
        let last = origin.requests().pop().unwrap();
        assert_eq!((last.method.as_str(), last.body_len), ("GET", 0));
    });
}

#[test]
fn test_http_redirection_with_code300() {
    on_every_wire(|origin| {
        for method in METHODS {
            let log = run(origin, method, "/300?location=jsonBody");
            assert!(log.completions[0].is_none());
            assert_eq!(log.response.unwrap().status_code(), Some(300));
            match method {
                "HEAD" => assert_eq!(log.calls, ["didReceiveResponse", "didComplete"]),
                _ => {
                    assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
                    assert_eq!(text(&log.data), format!("Redirecting to {method} jsonBody"));
                }
            }
        }
    });
}

fn followed(origin: &Origin, method: &str, code: u16, becomes: &str) {
    let log = run(origin, method, &format!("/{code}?location=jsonBody"));
    assert!(log.completions[0].is_none(), "{method} {code}: {:?}", log.completions);
    assert_eq!(log.redirects[0].0.status_code(), code);
    assert_eq!(log.response.unwrap().status_code(), Some(200));
    if becomes == "HEAD" {
        assert_eq!(log.calls, ["willRedirect", "didReceiveResponse", "didComplete"]);
    } else {
        assert_eq!(log.calls, ["willRedirect", "didReceiveResponse", "didReceiveData", "didComplete"]);
        assert_eq!(json(&log.data)["uri"], format!("{becomes} /jsonBody HTTP/1.1"));
    }
}

#[test]
fn test_http_redirection_with_code301_302() {
    on_every_wire(|origin| {
        for code in [301, 302] {
            for method in METHODS {
                followed(origin, method, code, if method == "POST" { "GET" } else { method });
            }
        }
    });
}

#[test]
fn test_http_redirection_with_code303() {
    on_every_wire(|origin| {
        for method in METHODS {
            followed(origin, method, 303, if method == "HEAD" { "HEAD" } else { "GET" });
        }
    });
}

#[test]
fn test_http_redirection_with_code304() {
    on_every_wire(|origin| {
        for method in METHODS {
            let log = run(origin, method, "/304?location=jsonBody");
            assert_eq!(log.response.unwrap().status_code(), Some(304));
            assert_eq!(log.calls, ["didReceiveResponse", "didComplete"], "{method}");
            assert!(log.completions[0].is_none());
        }
    });
}

#[test]
fn test_http_redirection_with_code305_308() {
    on_every_wire(|origin| {
        for code in 305..=308 {
            METHODS.iter().for_each(|method| followed(origin, method, code, method));
        }
    });
}

#[test]
fn a_307_and_a_308_take_the_body_along() {
    on_every_wire(|origin| {
        for code in [307, 308] {
            let url = origin.url(&format!("/{code}?location=/echo"));
            let (data, _) = load(&session(origin), request(&url, "POST", Some(b"the body"))).unwrap();
            assert_eq!(text(&data), "the body", "{code}");
            assert_eq!(origin.requests().pop().unwrap().method, "POST");
        }
    });
}

#[test]
fn test_http_redirect_dont_follow_using_nil() {
    on_every_wire(|origin| {
        for method in METHODS {
            let recorder = Recorder::new().redirecting(|_, _| Decision::now(None));
            let (session, recorder) = with_recorder(configuration(origin), recorder);
            session.data_task(request(&origin.url("/302?location=jsonBody"), method, None)).resume();
            let log = recorder.completed(1);
            assert!(log.completions[0].is_none());
            let response = log.response.unwrap();
            assert_eq!(response.status_code(), Some(302));
            if method == "HEAD" {
                assert_eq!(log.calls, ["willRedirect", "didReceiveResponse", "didComplete"]);
            } else {
                assert_eq!(
                    log.calls,
                    ["willRedirect", "didReceiveResponse", "didReceiveData", "didComplete"]
                );
                assert_eq!(text(&log.data), format!("Redirecting to {method} jsonBody"));
                assert_eq!(response.expected_content_length(), Some(log.data.len() as u64));
            }
        }
    });
}

#[test]
fn test_http_redirect_dont_follow_ignoring_handler() {
    on_every_wire(|origin| {
        let (sender, kept) = std::sync::mpsc::channel();
        let recorder = Recorder::new().redirecting(move |_, _| {
            let (answer, responder) = Decision::deferred();
            sender.send(responder).unwrap();
            answer
        });
        let clock = HandClock::new();
        let mut configuration = configuration(origin);
        configuration.environment.clock = Arc::new(clock.clone());
        let (session, recorder) = with_recorder(configuration, recorder);
        let mut request = request(&origin.url("/302?location=jsonBody"), "GET", None);
        request.set_timeout_interval(std::time::Duration::from_secs(1));
        let task = session.data_task(request);
        task.resume();
        let responder = kept.recv_timeout(PATIENCE).unwrap();
        clock.advance(std::time::Duration::from_secs(2));
        session.delegate_queue().add(|| {});
        let log = recorder.log();
        assert_eq!(log.calls, ["willRedirect"]);
        assert!(task.error().is_none() && task.response().is_none());
        assert_eq!(log.redirects[0].0.status_code(), 302);
        // Forgotten for good, the decision is the default.
        drop(responder);
        assert!(recorder.completed(1).completions[0].is_none());
    });
}

#[test]
fn test_http_redirection_with_complete_relative_path() {
    on(Wire::H1, |origin| {
        let error = load(&session(origin), origin.url("/UnitedStates")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    });
}

#[test]
fn test_http_redirection_with_in_complete_relative_path() {
    on_every_wire(|origin| {
        assert_eq!(text(&load(&session(origin), origin.url("/UnitedKingdom")).unwrap().0), "London");
    });
}

#[test]
fn test_http_redirection_with_default_port() {
    on(Wire::H1, |origin| {
        let recorder = Recorder::new().redirecting(|_, _| Decision::now(None));
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        session.data_task(origin.url("/redirect-with-default-port")).resume();
        let log = recorder.completed(1);
        let next = &log.redirects[0].1;
        assert_eq!(next.url().as_str(), "http://127.0.0.1/redirected-with-default-port");
    });
}

#[test]
fn test_http_redirection_with_encoded_query() {
    on_every_wire(|origin| {
        let url = origin.url("/303?location=echo-query%3Fparam%3Dfoo");
        assert_eq!(text(&load(&session(origin), url).unwrap().0), "param=foo");
    });
}

#[test]
fn test_http_redirection_timeout() {
    on(Wire::H1, |origin| {
        let (task, result) = load_with_task(&session(origin), origin.url("/UnitedStates"));
        let error = result.unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
        assert_eq!(error.failing_url().unwrap().port(), Some(origin.closed_port()));
        assert_eq!(task.error().unwrap().code(), error.code());
    });
}

#[test]
fn test_http_redirection_chain_inherits_timeout_interval() {
    on_every_wire(|origin| {
        for method in METHODS {
            let (session, recorder) = recorded(origin);
            let mut request = request(&origin.url("/redirect/4"), method, None);
            request.set_timeout_interval(std::time::Duration::from_secs(3));
            session.data_task(request).resume();
            let log = recorder.completed(1);
            assert_eq!(log.redirects.len(), 4);
            let three = Some(std::time::Duration::from_secs(3));
            assert!(log.redirects.iter().all(|(_, next)| next.timeout_interval() == three));
            assert_eq!(log.response.unwrap().status_code(), Some(200));
            assert_eq!(log.metrics[0].redirect_count, 4);
            assert_eq!(log.metrics[0].transaction_metrics.len(), 5);
        }
    });
}

/// The peer stops at 20; Apple's page says 16.
#[test]
fn test_http_redirection_exceeded_max_redirects() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/redirect/99")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.redirects.len(), 16);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::HttpTooManyRedirects);
        assert_eq!(error.failing_url().unwrap().path(), "/redirect/83");
        assert!(error.to_string().starts_with("too many HTTP redirects"), "{error}");
        assert!(log.response.is_none() && log.data.is_empty());
        assert_eq!(log.redirects[15].1.url().path(), "/redirect/83");
    });
}

#[test]
fn test_will_perform_redirect() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let (data, response) = load(&session, origin.url("/redirect/1")).unwrap();
        assert!(!data.is_empty() && response.status_code() == Some(200));
        let log = recorder.wait_for(|log| !log.metrics.is_empty());
        assert_eq!(log.calls, ["willRedirect"]);
        assert_eq!(log.redirects[0].1.url().as_str(), origin.url("/jsonBody"));
    });
}

#[test]
fn a_delegate_may_redirect_elsewhere() {
    on_every_wire(|origin| {
        let elsewhere = origin.url("/Peru");
        let recorder = Recorder::new().redirecting(move |_, _| {
            let elsewhere = UrlRequest::new(elsewhere.parse().unwrap());
            Decision::later(async move { Some(elsewhere) })
        });
        let (session, recorder) = with_recorder(configuration(origin), recorder);
        let task = session.data_task(origin.url("/redirect/1"));
        task.resume();
        assert_eq!(text(&recorder.completed(1).data), "Lima");
        assert_eq!(task.current_request().unwrap().url().path(), "/Peru");
        assert_eq!(task.original_request().unwrap().url().path(), "/redirect/1");
    });
}

#[test]
fn credentials_do_not_follow_to_another_port() {
    let other = Origin::start(Wire::H1);
    on(Wire::H1, |origin| {
        let (secret, own) = ("Bearer T", "kept");
        let mut request =
            request(&origin.url(&format!("/302?location={}", other.url("/jsonBody"))), "GET", None);
        for (name, value) in
            [("Authorization", secret), ("Cookie", "k=v"), ("Proxy-Authorization", secret), ("X-Own", own)]
        {
            request.set_value(name, value).unwrap();
        }
        let (data, _) = load(&session(origin), request).unwrap();
        let echo = json(&data);
        let names =
            echo.as_object().unwrap().keys().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
        assert!(names.contains(&"x-own".into()));
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert!(!names.contains(&name.into()), "{name} left its origin");
        }
    });
}

#[test]
fn a_redirect_to_cleartext_is_refused_before_anything_is_sent() {
    on_every_wire(|origin| {
        origin.enqueue("/down", Reply::new(302).header("Location", "http://example.com/"));
        let error = load(&session(origin), origin.url("/down")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::AppTransportSecurityRequiresSecureConnection);
        assert_eq!(error.failing_url().unwrap().as_str(), "http://example.com/");
    });
}

#[test]
fn a_redirect_is_followed_on_the_same_connection() {
    on_every_wire(|origin| {
        load(&session(origin), origin.url("/redirect/5")).unwrap();
        assert_eq!(origin.connection_count(), 1);
    });
}

#[test]
fn a_redirect_without_a_location_is_the_answer_and_sends_nothing_again() {
    on_every_wire(|origin| {
        for status in [301, 302, 303, 307, 308] {
            for location in [None, Some("")] {
                let reply = Reply::new(status).body("stay");
                origin.enqueue(
                    "/nowhere",
                    match location {
                        Some(location) => reply.header("Location", location),
                        None => reply,
                    },
                );
                let (session, recorder) = recorded(origin);
                session.data_task(request(&origin.url("/nowhere"), "POST", Some(b"once"))).resume();
                let log = recorder.completed(1);
                let answer = (log.response.unwrap().status_code(), text(&log.data));
                assert_eq!(answer, (Some(status), "stay"), "{location:?}");
                assert!(log.redirects.is_empty() && log.completions[0].is_none());
            }
        }
        assert_eq!(origin.requests().len(), 10);
    });
}

#[test]
fn head_stays_head_on_every_redirect() {
    on_every_wire(|origin| {
        for status in [301, 302, 303, 307, 308] {
            origin.enqueue("/from", Reply::new(status).header("Location", "/jsonBody"));
            let (data, response) =
                load(&session(origin), request(&origin.url("/from"), "HEAD", None)).unwrap();
            assert!(data.is_empty() && response.status_code() == Some(200));
            assert_eq!(origin.requests().last().unwrap().method, "HEAD", "{status}");
        }
    });
}

/// A response whose body nobody needs, and which ends with its connection or never.
fn endless(status: u16, version: &str, fields: &str) -> Reply {
    let head = format!("{version} {status} X\r\nLocation: /Peru\r\n{fields}\r\n");
    Reply::raw(format!("{head}some of it")).then(After::KeepAlive)
}

#[test]
fn a_body_that_nobody_needs_and_that_ends_with_its_connection_is_not_waited_for() {
    for (version, fields) in [
        ("HTTP/1.1", "Connection: close\r\n"),
        ("HTTP/1.1", "Connection: close\r\nContent-Length: 1000\r\n"),
        ("HTTP/1.1", "Connection: close\r\nTransfer-Encoding: chunked\r\n"),
        ("HTTP/1.0", ""),
        ("HTTP/1.0", "Content-Length: 1000\r\n"),
        // It could be used again, but not before very much of it has come.
        ("HTTP/1.1", "Content-Length: 1000000000\r\n"),
    ] {
        on(Wire::H1, |origin| {
            // Without the clock's help nothing is waited for.
            let mut configuration = configuration(origin);
            configuration.environment.clock = Arc::new(HandClock::new());
            origin.enqueue("/endless", endless(302, version, fields));
            let (data, _) = load(&UrlSession::new(configuration), origin.url("/endless")).unwrap();
            assert_eq!((text(&data), origin.connection_count()), ("Lima", 2), "{version} {fields}");
        });
    }
}

#[test]
fn a_body_that_nobody_needs_is_waited_for_briefly_where_its_connection_can_be_used_again() {
    for wire in WIRES {
        let origin = Origin::start(wire);
        let clock = HandClock::new();
        let mut configuration = configuration(&origin);
        configuration.environment.clock = Arc::new(clock.clone());
        let session = UrlSession::new(configuration);
        let gate = origin.hold();
        let slow = Reply::new(302).header("Location", "/Peru").pattern(0, 1000).body_gate(500, gate.clone());
        origin.enqueue("/slow", slow.clone());
        let (sender, receiver) = std::sync::mpsc::channel();
        let handler =
            move |result: Result<(urlsession::Bytes, _), _>| sender.send(result.unwrap().0).unwrap();
        session.data_task_with_handler(origin.url("/slow"), handler).resume();
        assert!(gate.wait_reached(PATIENCE));
        clock.wait_for_sleeper(std::time::Duration::from_millis(500));
        clock.advance(std::time::Duration::from_millis(499));
        assert!(receiver.try_recv().is_err(), "{wire:?}");
        clock.advance(std::time::Duration::from_millis(1));
        assert_eq!(text(&receiver.recv_timeout(PATIENCE).unwrap()), "Lima", "{wire:?}");
        let connections = if wire == Wire::TlsH2 { 1 } else { 2 };
        assert_eq!(origin.connection_count(), connections, "{wire:?}");
        gate.release();
    }
}

#[test]
fn a_location_that_is_no_url_is_told_without_its_secrets() {
    on_every_wire(|origin| {
        let to = "http://me:s3cret@host:99999/x?token=s3cret#s3cret";
        origin.enqueue("/bad", Reply::new(302).header("Location", to));
        let error = load(&session(origin), origin.url("/bad")).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && shown.contains("host:99999/x"), "{shown}");
    });
}
