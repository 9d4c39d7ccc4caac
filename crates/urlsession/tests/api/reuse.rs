//! Connections kept and reused, limits, and requests that must be sent once and only once.

use std::time::Duration;

use urlsession::{UrlErrorCode, UrlSession};
use urlsession_testkit::{After, Origin, Reply, Wire};

use crate::support::*;

#[test]
pub(super) fn a_connection_is_used_again() {
    on_every_wire(|origin| {
        let session = session(origin);
        for _ in 0..10 {
            session.data(origin.url("/bytes/1000")).wait().unwrap();
        }
        assert_eq!(origin.connection_count(), 1);
    });
}

#[test]
fn a_post_on_a_connection_the_server_has_closed_does_not_fail_and_is_sent_once() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let session = session(origin);
            for round in 1..=6 {
                origin.enqueue("/first", Reply::new(200).body("x").then(After::SilentClose));
                session.data(origin.url("/first")).wait().unwrap();
                assert!(origin.wait_for(|journal| journal.closed == 2 * round - 1, PATIENCE));
                origin.enqueue("/echo", Reply::new(200).body("ok").then(After::Close));
                let (data, _) =
                    session.data(request(&origin.url("/echo"), "POST", Some(b"once"))).wait().unwrap();
                assert_eq!(text(&data), "ok");
                assert!(origin.wait_for(|journal| journal.closed == 2 * round, PATIENCE));
            }
            let posts = origin.requests().iter().filter(|request| request.method == "POST").count();
            assert_eq!(posts, 6);
        });
    }
}

#[test]
fn a_post_the_server_has_read_is_never_sent_twice() {
    on_every_wire(|origin| {
        let session = session(origin);
        session.data(origin.url("/Peru")).wait().unwrap();
        origin.enqueue("/echo", Reply::drop_connection());
        let error = session.data(request(&origin.url("/echo"), "POST", Some(b"once"))).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(origin.requests().iter().filter(|request| request.method == "POST").count(), 1);
    });
}

/// The peer's server answers one request a connection and closes without saying so. A request that reaches it in the
/// moment between is acknowledged and never read, which cannot be told from one that was: it fails rather than be
/// sent twice.
#[test]
fn posts_to_a_server_that_closes_after_each_answer_arrive_once_or_fail() {
    for wire in [Wire::H1, Wire::TlsH1] {
        let origin = Origin::builder().wire(wire).close_after_response(true).start();
        let session = session(&origin);
        for number in 0..300 {
            let body = format!("number {number}");
            let post = request(&origin.url("/echo"), "POST", Some(body.as_bytes()));
            match session.data(post).wait() {
                Ok((data, _)) => assert_eq!(text(&data), body),
                Err(error) => assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost, "{error}"),
            }
        }
        let mut bodies = origin.requests().iter().map(|request| request.text()).collect::<Vec<_>>();
        let arrived = bodies.len();
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), arrived, "{wire:?}: none arrived twice");
    }
}

/// The connection looked open when it was chosen and was closed before the request came: the segment that closed it
/// acknowledges nothing of the request, which is the proof that lets a POST go out again.
#[cfg(target_os = "linux")]
#[test]
fn a_post_that_came_after_the_close_is_sent_again() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, is_closed) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let answer = |stream: &mut std::net::TcpStream| {
            let mut request = Vec::new();
            while !request.ends_with(b"body") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        };
        let (mut first, _) = listener.accept().unwrap();
        answer(&mut first);
        closing.recv().unwrap();
        drop(first);
        closed.send(()).unwrap();
        answer(&mut listener.accept().unwrap().0);
    });
    let body = || urlsession::BodyStream::from_reader(&b"body"[..]).with_length(4);
    let mut post = request(&url, "POST", None);
    post.set_http_body_stream(body());
    let session = UrlSession::new(urlsession::Configuration::ephemeral());
    session.data(&post).wait().unwrap();

    // The stream is used up: the delegate is asked for another when the connection has been chosen.
    struct Closes(std::sync::Mutex<(Option<std::sync::mpsc::Sender<()>>, std::sync::mpsc::Receiver<()>)>);
    impl urlsession::TaskDelegate for Closes {
        fn need_new_body_stream(
            &self,
            _: &urlsession::Task,
        ) -> urlsession::Decision<Option<urlsession::BodyStream>> {
            let mut server = self.0.lock().unwrap();
            if let Some(close) = server.0.take() {
                close.send(()).unwrap();
                server.1.recv().unwrap();
            }
            Some(urlsession::BodyStream::from_reader(&b"body"[..]).with_length(4)).into()
        }
    }
    let delegate = Closes(std::sync::Mutex::new((Some(close), is_closed)));
    let load = session.data(&post).delegate(delegate);
    let task = load.task();
    assert_eq!(text(&load.wait().unwrap().0), "ok");
    assert_eq!(task.metrics().unwrap().transaction_metrics.len(), 2, "it was sent twice and received once");
    server.join().unwrap();
}

/// A reset says nothing of what the server has read: its acknowledgement may have been on the way.
#[test]
fn a_post_answered_by_a_reset_is_never_sent_twice() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let session = session(origin);
            // After some exchanges the server's TCP delays its acknowledgements.
            for _ in 0..30 {
                session.data(origin.url("/Peru")).wait().unwrap();
            }
            origin.enqueue("/echo", Reply::raw("").then(After::Reset));
            let error =
                session.data(request(&origin.url("/echo"), "POST", Some(b"once"))).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
            assert_eq!(origin.requests().iter().filter(|request| request.method == "POST").count(), 1);
        });
    }
}

#[test]
fn a_get_the_server_dropped_on_a_kept_connection_is_sent_again() {
    on_every_wire(|origin| {
        let session = session(origin);
        session.data(origin.url("/Peru")).wait().unwrap();
        origin.enqueue("/Nepal", Reply::drop_connection());
        assert_eq!(text(&session.data(origin.url("/Nepal")).wait().unwrap().0), "Kathmandu");
        assert_eq!(origin.requests().len(), 3);
    });
}

#[test]
fn a_get_dropped_on_a_new_connection_fails() {
    on_every_wire(|origin| {
        origin.enqueue("/Nepal", Reply::drop_connection());
        let error = session(origin).data(origin.url("/Nepal")).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn a_get_broken_after_its_first_byte_is_not_sent_again() {
    on_every_wire(|origin| {
        let session = session(origin);
        session.data(origin.url("/Peru")).wait().unwrap();
        origin.enqueue("/Nepal", Reply::new(200).pattern(0, 100).truncate_at(50));
        let error = session.data(origin.url("/Nepal")).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn six_connections_at_most_carry_many_requests() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let gate = origin.hold();
            (0..40).for_each(|_| origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone())));
            let (session, recorder) = recorded(origin);
            for _ in 0..40 {
                session.data_task(origin.url("/held")).resume();
            }
            assert!(origin.wait_for(|journal| journal.requests.len() == 6, PATIENCE));
            gate.release();
            let log = recorder.completed(40);
            assert!(log.completions.iter().all(Option::is_none));
            assert_eq!(origin.connection_count(), 6);
        });
    }
}

#[test]
fn while_the_protocol_is_unknown_one_connection_is_dialled() {
    on(Wire::TlsH2, |origin| {
        let (session, recorder) = recorded(origin);
        for _ in 0..100 {
            session.data_task(origin.url("/bytes/1000")).resume();
        }
        let log = recorder.completed(100);
        assert!(log.completions.iter().all(Option::is_none));
        assert_eq!(origin.connection_count(), 1);
    });
}

#[test]
fn a_connection_rests_no_longer_than_configured() {
    on(Wire::H1, |origin| {
        let clock = HandClock::new();
        let mut configuration = configuration(origin);
        configuration.environment.clock = std::sync::Arc::new(clock.clone());
        configuration.connection_idle_timeout = Duration::from_secs(10);
        let session = UrlSession::new(configuration);
        session.data(origin.url("/Peru")).wait().unwrap();
        clock.wait_for_sleeper(Duration::from_secs(10));
        clock.advance(Duration::from_secs(10));
        assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE));
        session.data(origin.url("/Peru")).wait().unwrap();
        assert_eq!(origin.connection_count(), 2);
    });
}

#[test]
fn the_servers_keep_alive_time_is_honoured() {
    on(Wire::H1, |origin| {
        let clock = HandClock::new();
        let mut configuration = configuration(origin);
        configuration.environment.clock = std::sync::Arc::new(clock.clone());
        let session = UrlSession::new(configuration);
        origin.enqueue("/a", Reply::new(200).header("Keep-Alive", "timeout=5").body("x"));
        session.data(origin.url("/a")).wait().unwrap();
        clock.advance(Duration::from_secs(4));
        session.data(origin.url("/Peru")).wait().unwrap();
        assert_eq!(origin.connection_count(), 2, "given up a second early");
    });
}

#[test]
fn a_response_that_asks_to_close_is_the_last_of_its_connection() {
    for wire in [Wire::H1, Wire::TlsH1] {
        on(wire, |origin| {
            let session = session(origin);
            origin.enqueue("/last", Reply::new(200).body("x").then(After::Close));
            session.data(origin.url("/last")).wait().unwrap();
            session.data(origin.url("/Peru")).wait().unwrap();
            assert_eq!(origin.connection_count(), 2);
        });
    }
}

#[test]
fn bytes_after_the_body_end_the_connection_not_the_load() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let raw =
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        origin.enqueue("/a", Reply::raw(&raw[..]).then(After::KeepAlive));
        assert_eq!(text(&session.data(origin.url("/a")).wait().unwrap().0), "ok");
        assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
        assert_eq!(origin.connection_count(), 2);
    });
}

/// The second response is on the wire, and the reactor has had no turn to see it on a socket of the system's.
#[test]
pub(super) fn a_response_that_nobody_asked_for_answers_no_later_request() {
    struct Own;
    impl urlsession::environment::Dial for Own {
        fn dial(
            &self,
            address: std::net::SocketAddr,
            _: Option<&urlsession::environment::Interface>,
        ) -> Option<
            std::pin::Pin<Box<dyn Future<Output = std::io::Result<urlsession::environment::Socket>> + Send>>,
        > {
            Some(Box::pin(async move {
                let stream = tokio::net::TcpStream::connect(address).await?;
                Ok(urlsession::environment::Socket::new(stream))
            }))
        }
    }
    for (wire, is_own) in [(Wire::H1, false), (Wire::TlsH1, false), (Wire::H1, true), (Wire::TlsH1, true)] {
        on(wire, |origin| {
            let (begin, end) = (origin.hold(), origin.hold());
            let body = "okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            let reply = Reply::new(200).header("Content-Length", "2").body(body);
            let reply = reply.body_gate(2, begin.clone()).body_gate(body.len() as u64, end.clone());
            origin.enqueue("/a", reply);
            let mut configuration = configuration(origin);
            if is_own {
                configuration.environment.dialler = std::sync::Arc::new(Own);
            }
            let session = UrlSession::new(configuration);
            in_tokio(async {
                assert_eq!(text(&session.data(origin.url("/a")).await.unwrap().0), "ok");
                begin.release();
                assert!(end.wait_reached(PATIENCE));
                if is_own {
                    // This socket is tokio's, which reads only what the reactor has seen.
                    tokio::task::yield_now().await;
                }
                let (data, _) = session.data(origin.url("/Peru")).await.unwrap();
                assert_eq!(text(&data), "Lima", "{wire:?}, {is_own}");
            });
            assert_eq!(origin.connection_count(), 2, "{wire:?}, {is_own}");
            end.release();
        });
    }
}

/// More than fits into one record, or one reading.
#[test]
pub(super) fn bytes_after_a_long_body_answer_no_later_request() {
    for wire in [Wire::H1, Wire::TlsH1] {
        for length in [10, 16_384, 16_385, 100_000, 1_000_000] {
            on(wire, |origin| {
                let body = "x".repeat(length) + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
                let reply = Reply::new(200).header("Content-Length", length.to_string()).body(body);
                origin.enqueue("/a", reply);
                let session = session(origin);
                assert_eq!(session.data(origin.url("/a")).wait().unwrap().0.len(), length);
                assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima", "{length}");
            });
        }
    }
}

#[test]
fn an_unread_body_is_not_left_in_a_kept_connection() {
    on(Wire::H1, |origin| {
        let session = session(origin);
        let (bytes, _) = session.bytes(origin.url("/bytes/100000")).wait().unwrap();
        drop(bytes);
        assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
        assert_eq!(origin.connection_count(), 2);
    });
}

#[test]
fn a_host_that_comes_back_is_connected_to_again() {
    let origin = Origin::start(Wire::H1);
    let session = session(&origin);
    let url = format!("http://127.0.0.1:{}/", origin.closed_port());
    for _ in 0..3 {
        let error = session.data(&url).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    }
    session.data(origin.url("/Peru")).wait().unwrap();
}

#[test]
fn a_waiter_that_leaves_does_not_keep_its_place() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.http_maximum_connections_per_host = 1;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/held", Reply::new(200).after(gate.clone()));
        session.data_task(origin.url("/held")).resume();
        assert!(gate.wait_reached(PATIENCE));
        let waiting = session.data_task(origin.url("/never"));
        waiting.resume();
        let last = session.data_task(origin.url("/Peru"));
        last.resume();
        waiting.cancel();
        recorder.completed(1);
        gate.release();
        let log = recorder.completed(3);
        assert_eq!(text(&log.data), "Lima");
        assert!(origin.requests().iter().all(|request| request.path() != "/never"));
    });
}
