//! Stream tasks on a connection that switched protocols: read and written by hand.

use std::time::Duration;

use urlsession::{ResponseDisposition, StreamTask, TaskState, UrlErrorCode, UrlSession};
use urlsession_testkit::{After, Origin, Reply, Wire};

use crate::support::*;

/// A stream to an origin that echoes, after `greeting`.
fn echoing(origin: &Origin, greeting: &str) -> (UrlSession, Recorder, StreamTask) {
    let decides = Recorder::new().disposing(ResponseDisposition::BecomeStream);
    let mut configuration = configuration(origin);
    configuration.http_maximum_connections_per_host = 1;
    let (session, recorder) = with_recorder(configuration, decides);
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    origin.enqueue("/echo", Reply::raw(format!("{head}{greeting}")).then(After::Echo));
    let mut request = request(&origin.url("/echo"), "GET", None);
    request.set_value("upgrade", "echo").unwrap();
    request.set_value("connection", "upgrade").unwrap();
    session.data_task(request).resume();
    let log = recorder.wait_for(|log| log.became.is_some());
    let stream = StreamTask::try_from(log.became.unwrap()).unwrap();
    (session, recorder, stream)
}

fn on_http1(test: impl Fn(&Origin)) {
    on(Wire::H1, &test);
    on(Wire::TlsH1, &test);
}

const FOR_EVER: Duration = Duration::ZERO;

#[test]
fn after_101_it_reads_and_writes_the_connection_until_both_sides_are_closed() {
    on_http1(|origin| {
        let (session, recorder, stream) = echoing(origin, "hello");
        in_tokio(async {
            assert_eq!(stream.read_data(5, 5, FOR_EVER).await.unwrap(), ("hello".into(), false));
            stream.write(vec![7; 100_000], FOR_EVER).await.unwrap();
            let (data, is_last) = stream.read_data(100_000, 200_000, FOR_EVER).await.unwrap();
            assert!(data.len() == 100_000 && data.iter().all(|byte| *byte == 7) && !is_last);
            // A second task has space in the pool: the connection is no longer the session's.
            session.data(origin.url("/Peru")).await.unwrap();
            stream.close_write();
            assert_eq!(stream.read_data(1, 10, FOR_EVER).await.unwrap(), ("".into(), true));
        });
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.calls, ["didReceiveResponse", "didBecomeStream", "readClosed", "didComplete"]);
        assert_eq!(log.response.unwrap().status_code(), Some(101));
        assert_eq!(stream.count_of_bytes_sent(), 100_000);
    });
}

#[test]
fn reads_are_done_in_order_and_handlers_are_called_on_the_queue() {
    on_http1(|origin| {
        let (_session, _, stream) = echoing(origin, "");
        let (sender, receiver) = std::sync::mpsc::channel();
        for _ in 0..3 {
            let sender = sender.clone();
            stream.read_data_with_handler(2, 2, FOR_EVER, move |result| {
                sender.send(result.unwrap().0).unwrap()
            });
        }
        let (written, heard) = std::sync::mpsc::channel();
        stream.write_with_handler("aabb", FOR_EVER, move |result| written.send(result.is_ok()).unwrap());
        stream.write_with_handler("cc", FOR_EVER, |_| {});
        assert!(heard.recv_timeout(PATIENCE).unwrap());
        let read = (0..3).map(|_| receiver.recv_timeout(PATIENCE).unwrap()).collect::<Vec<_>>();
        assert_eq!(read, ["aa", "bb", "cc"]);
    });
}

#[test]
fn a_read_that_is_late_fails_and_what_comes_later_is_the_next_ones() {
    on_http1(|origin| {
        let clock = HandClock::new();
        let decides = Recorder::new().disposing(ResponseDisposition::BecomeStream);
        let mut configuration = configuration(origin);
        configuration.environment.clock = std::sync::Arc::new(clock.clone());
        let (session, recorder) = with_recorder(configuration, decides);
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 10).body_gate(4, gate.clone()));
        session.data_task(origin.url("/slow")).resume();
        let log = recorder.wait_for(|log| log.became.is_some());
        let stream = StreamTask::try_from(log.became.unwrap()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let late = sender.clone();
        stream.read_data_with_handler(10, 10, Duration::from_secs(3), move |result| {
            late.send(result.map(|(data, _)| data.len())).unwrap();
        });
        let answered = std::cell::OnceCell::new();
        clock.advance_until(Duration::from_secs(3), || {
            receiver.try_recv().map(|result| answered.set(result)).is_ok() || answered.get().is_some()
        });
        let late: Result<usize, urlsession::UrlError> = answered.into_inner().unwrap();
        assert_eq!(late.unwrap_err().code(), UrlErrorCode::TimedOut);
        gate.release();
        stream.read_data_with_handler(10, 10, FOR_EVER, move |result| {
            sender.send(result.map(|(data, _)| data.len())).unwrap();
        });
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap(), 10);
    });
}

#[test]
fn cancelling_fails_what_waits_and_what_comes_after() {
    on_http1(|origin| {
        let (_session, recorder, stream) = echoing(origin, "");
        let waiting = stream.read_data(1, 1, FOR_EVER);
        stream.cancel();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        in_tokio(async {
            assert_eq!(waiting.await.unwrap_err().code(), UrlErrorCode::Cancelled);
            assert!(stream.read_data(1, 1, FOR_EVER).await.is_err());
            assert!(stream.write("x", FOR_EVER).await.is_err());
        });
        assert_eq!(stream.state(), TaskState::Completed);
    });
}

#[test]
fn closing_takes_effect_after_what_was_asked_before() {
    on_http1(|origin| {
        let (_session, recorder, stream) = echoing(origin, "");
        let (read, written) = (stream.read_data(3, 3, FOR_EVER), stream.write("abc", FOR_EVER));
        stream.close_read();
        in_tokio(async {
            assert!(stream.read_data(1, 1, FOR_EVER).await.is_err());
            written.await.unwrap();
            assert_eq!(read.await.unwrap().0, "abc");
            stream.close_write();
            assert!(stream.write("x", FOR_EVER).await.is_err());
        });
        recorder.completed(1).succeeded();
    });
}

#[test]
fn a_suspended_stream_does_nothing_until_it_is_resumed() {
    on_http1(|origin| {
        let (_session, _, stream) = echoing(origin, "hello");
        stream.suspend();
        let (sender, receiver) = std::sync::mpsc::channel();
        stream.read_data_with_handler(5, 5, FOR_EVER, move |result| sender.send(result).unwrap());
        assert_eq!(stream.state(), TaskState::Suspended);
        assert!(receiver.try_recv().is_err());
        stream.resume();
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap().0, "hello");
    });
}

#[test]
fn an_upgrade_is_sent_over_http_1_1_with_the_option_of_the_connection() {
    for (wire, spoken) in [(Wire::H1, Wire::H1), (Wire::TlsH1, Wire::TlsH1), (Wire::TlsH2, Wire::TlsH1)] {
        let origin = Origin::start(wire);
        let (session, _, stream) = echoing(&origin, "hello");
        let asked = origin.requests().pop().unwrap();
        assert_eq!(asked.wire, spoken);
        assert_eq!(
            (asked.header_all("upgrade"), asked.header_all("connection")),
            (vec!["echo"], vec!["upgrade"])
        );
        in_tokio(async {
            assert_eq!(stream.read_data(5, 5, FOR_EVER).await.unwrap(), ("hello".into(), false));
            session.data(origin.url("/Peru")).await.unwrap();
        });
        let other = origin.requests().pop().unwrap();
        assert_eq!((other.wire, other.header("connection")), (wire, None));
    }
}

#[test]
fn an_upgrade_goes_beside_the_other_options_of_the_connection() {
    on_http1(|origin| {
        for (fields, expected) in [
            (&[("connection", "close")][..], Some("close")),
            (&[("Connection", "upgrade, close"), ("Upgrade", "x")], Some("upgrade, close")),
            (&[("TE", "trailers")], Some("TE")),
            (&[("TE", "trailers"), ("Upgrade", "x/1, y")], Some("upgrade, TE")),
            (&[("Connection", "upgrade")], None),
            (&[("Upgrade", " ")], None),
        ] {
            let mut request = request(&origin.url("/Peru"), "GET", None);
            fields.iter().for_each(|(name, value)| request.set_value(*name, value).unwrap());
            load(&session(origin), request).unwrap();
            let seen = origin.requests().pop().unwrap();
            assert_eq!(seen.header("connection"), expected, "{fields:?}");
            assert_eq!(
                seen.header("upgrade").is_some(),
                expected.is_some_and(|value| value.contains("upgrade"))
            );
        }
    });
}

#[test]
fn a_te_field_of_the_configuration_is_named_as_one_of_the_connection() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        set_for_all(&mut configuration, "te", "trailers");
        let session = UrlSession::new(configuration);
        for (fields, expected) in [
            (&[][..], "TE"),
            (&[("X-Own", "x")], "TE"),
            (&[("TE", "gzip")], "TE"),
            (&[("Connection", "close")], "TE, close"),
        ] {
            let mut request = request(&origin.url("/Peru"), "GET", None);
            fields.iter().for_each(|(name, value)| request.set_value(*name, value).unwrap());
            load(&session, request).unwrap();
            let seen = origin.requests().pop().unwrap();
            let is_http1 = seen.wire != Wire::TlsH2;
            let expected: &[&str] = if is_http1 { &[expected] } else { &[] };
            assert_eq!(seen.header_all("connection"), expected, "{fields:?}");
            assert_eq!(seen.header("te").is_some(), is_http1 || fields != [("TE", "gzip")], "{fields:?}");
        }
    });
}

#[test]
fn an_upgrade_is_refused_by_a_session_for_http_2_only() {
    let origin = Origin::start(Wire::TlsH2);
    let mut configuration = configuration(&origin);
    configuration.http_versions = urlsession::network::HttpVersions::Http2;
    let mut request = request(&origin.url("/Peru"), "GET", None);
    request.set_value("Upgrade", "echo").unwrap();
    let error = load(&UrlSession::new(configuration), request).unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::UnsupportedUrl);
    assert!(origin.requests().is_empty());
}

#[test]
fn switching_protocols_unasked_is_an_error() {
    on_http1(|origin| {
        origin.enqueue("/rude", Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"));
        let error = session(origin).data(origin.url("/rude")).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
        // A field that is not sent asks for nothing.
        for (name, value) in [("Upgrade", " "), ("Connection", "upgrade")] {
            origin.enqueue("/rude", Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"));
            let mut request = request(&origin.url("/rude"), "GET", None);
            request.set_value(name, value).unwrap();
            let error = session(origin).data(request).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::BadServerResponse);
        }
    });
}
