//! The two timeouts, with a clock moved by hand.

use std::io::Read;
#[cfg(target_os = "linux")]
use std::io::Write;
#[cfg(target_os = "linux")]
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use urlsession::tasks::WaitReason;
use urlsession::{Configuration, UrlErrorCode, UrlSession};
use urlsession_testkit::{Accept, Origin, Reply, Wire};

use crate::support::*;

fn with_clock(origin: &Origin) -> (HandClock, Configuration) {
    let clock = HandClock::new();
    let mut configuration = configuration(origin);
    configuration.environment.clock = Arc::new(clock.clone());
    (clock, configuration)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn test_task_timeout() {
    on_every_wire(|origin| {
        let mut configuration = configuration(origin);
        configuration.timeout_interval_for_request = 5 * SECOND;
        load(&UrlSession::new(configuration), origin.url("/Peru")).unwrap();
    });
}

#[test]
fn test_http_timeout() {
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_request = 10 * SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/Peru", Reply::held(gate.clone()));
        let mut request = request(&origin.url("/Peru"), "GET", None);
        request.set_timeout_interval(SECOND);
        session.data_task(request).resume();
        assert!(gate.wait_reached(PATIENCE));
        clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::TimedOut);
        assert_eq!(log.calls, ["didComplete"]);
    });
}

/// The queue of connections that nobody accepts is full, so that a further one is never answered.
#[cfg(target_os = "linux")]
#[test]
fn test_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clock = HandClock::new();
    let mut configuration = Configuration::ephemeral();
    configuration.environment.clock = Arc::new(clock.clone());
    let (first, first_log) = with_recorder(configuration.clone(), Recorder::new());
    first.data_task(format!("http://{address}/first")).resume();
    let (mut served, _) = listener.accept().unwrap();
    let mut head = [0; 16];
    served.read_exact(&mut head).unwrap();

    // The kernel keeps one more than the length of the queue.
    rustix::net::listen(&listener, 0).unwrap();
    let waiting = TcpStream::connect(address).unwrap();
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let mut request = request(&format!("http://{address}/second"), "GET", None);
    request.set_timeout_interval(SECOND);
    session.data_task(request).resume();
    clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
    let log = recorder.completed(1);
    let error = log.completions[0].as_ref().unwrap();
    assert_eq!(error.code(), UrlErrorCode::TimedOut);
    assert_eq!(log.metrics[0].transaction_metrics[0].request_start_date, None);

    served.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nLima").unwrap();
    let log = first_log.completed(1);
    log.succeeded();
    assert_eq!(text(&log.data), "Lima");
    drop(waiting);
}

#[test]
fn a_tls_handshake_that_is_never_answered_times_out() {
    let origin = Origin::builder().wire(Wire::TlsH1).accept(Accept::Stall).start();
    let (clock, configuration) = with_clock(&origin);
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let mut request = request(&origin.url("/Peru"), "GET", None);
    request.set_timeout_interval(SECOND);
    session.data_task(request).resume();
    clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
    let log = recorder.completed(1);
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::TimedOut);
}

#[test]
fn fractions_of_a_second_count() {
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_request = Duration::from_millis(500);
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/Peru", Reply::held(gate.clone()));
        session.data_task(origin.url("/Peru")).resume();
        assert!(gate.wait_reached(PATIENCE));
        clock.wait_for_sleeper(Duration::from_millis(500));
        clock.advance(Duration::from_millis(499));
        assert!(recorder.log().completions.is_empty());
        clock.advance_until(Duration::from_millis(500), || !recorder.log().completions.is_empty());
        assert_eq!(recorder.completed(1).completions[0].as_ref().unwrap().code(), UrlErrorCode::TimedOut);
    });
}

#[test]
fn every_byte_starts_the_idle_time_anew() {
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_request = SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gates = [(); 4].map(|()| origin.hold());
        let mut reply = Reply::new(200).pattern(0, 5_000);
        for (gate, at) in gates.iter().zip([1_000, 2_000, 3_000, 4_000]) {
            reply = reply.body_gate(at, gate.clone());
        }
        origin.enqueue("/drip", reply);
        session.data_task(origin.url("/drip")).resume();
        for (gate, at) in gates.iter().zip([1_000, 2_000, 3_000, 4_000]) {
            recorder.wait_for(|log| log.data.len() >= at);
            clock.wait_for_sleeper(SECOND);
            clock.advance(SECOND * 9 / 10);
            gate.release();
        }
        let log = recorder.completed(1);
        assert!(
            log.completions[0].is_none(),
            "3.6 s in all, never 1 s without a byte: {:?}",
            log.completions
        );
        assert_eq!(log.data.len(), 5_000);
    });
}

#[test]
fn the_resource_timeout_is_total() {
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_resource = 10 * SECOND;
        configuration.timeout_interval_for_request = 60 * SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/slow", Reply::new(200).pattern(0, 2_000).body_gate(1_000, gate.clone()));
        session.data_task(origin.url("/slow")).resume();
        recorder.wait_for(|log| log.data.len() >= 1_000);
        clock.advance_until(10 * SECOND, || !recorder.log().completions.is_empty());
        let log = recorder.completed(1);
        let error = log.completions[0].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::TimedOut);
        assert!(error.to_string().contains("whole resource"), "{error}");
        gate.release();
    });
}

#[test]
fn a_suspended_task_does_not_time_out() {
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_request = SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/Peru", Reply::new(200).body("Lima").after(gate.clone()));
        let task = session.data_task(origin.url("/Peru"));
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        clock.wait_for_sleeper(SECOND);
        task.suspend();
        clock.advance(60 * SECOND);
        gate.release();
        task.resume();
        assert_eq!(text(&recorder.completed(1).data), "Lima");
    });
}

#[test]
fn waiting_for_a_busy_connection_is_not_idle_time() {
    on(Wire::H1, |origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.http_maximum_connections_per_host = 1;
        configuration.timeout_interval_for_request = SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        origin.enqueue("/Peru", Reply::new(200).body("Lima").after(gate.clone()));
        let mut patient = request(&origin.url("/Peru"), "GET", None);
        patient.set_timeout_interval(3600 * SECOND);
        session.data_task(patient).resume();
        assert!(gate.wait_reached(PATIENCE));
        let queued = session.data_task(origin.url("/Nepal"));
        queued.resume();
        let start = Instant::now();
        while queued.why_waiting() != Some(WaitReason::Connection) {
            assert!(start.elapsed() < PATIENCE, "it does not wait for a connection");
            std::thread::yield_now();
        }
        // The queued task sleeps only until its resource timeout.
        clock.wait_for_sleeper(Duration::from_secs(7 * 24 * 3600));
        clock.advance(60 * SECOND);
        assert!(recorder.log().completions.is_empty());
        gate.release();
        let log = recorder.completed(2);
        assert!(log.completions.iter().all(Option::is_none), "{:?}", log.completions);
    });
}

#[test]
fn bytes_sent_start_the_idle_time_anew_too() {
    struct Slow(std::sync::mpsc::Receiver<u8>);
    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let Ok(byte) = self.0.recv() else { return Ok(0) };
            buf[0] = byte;
            Ok(1)
        }
    }
    on_every_wire(|origin| {
        let (clock, mut configuration) = with_clock(origin);
        configuration.timeout_interval_for_request = SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let (bytes, slow) = std::sync::mpsc::channel();
        let mut post = request(&origin.url("/echo"), "POST", None);
        post.set_http_body_stream(urlsession::BodyStream::from_reader(Slow(slow)));
        session.data_task(post).resume();
        for sent in 1..=4 {
            bytes.send(b'x').unwrap();
            recorder.wait_for(|log| log.sent.last().is_some_and(|(_, total, _)| *total == sent));
            clock.wait_for_sleeper(SECOND);
            clock.advance(SECOND * 9 / 10);
        }
        drop(bytes);
        let log = recorder.completed(1);
        assert!(
            log.completions[0].is_none(),
            "3.6 s in all, never 1 s without a byte: {:?}",
            log.completions
        );
        assert_eq!(text(&log.data), "xxxx");
    });
}

#[test]
fn the_total_time_goes_on_while_a_task_is_suspended_and_the_idle_time_does_not() {
    on_every_wire(|origin| {
        for is_begun in [false, true] {
            let (clock, mut configuration) = with_clock(origin);
            configuration.timeout_interval_for_request = SECOND;
            configuration.timeout_interval_for_resource = 100 * SECOND;
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            let gate = origin.hold();
            let reply = Reply::new(200).pattern(0, 10);
            let reply = if is_begun { reply.body_gate(5, gate.clone()) } else { reply.after(gate.clone()) };
            origin.enqueue("/slow", reply);
            let task = session.data_task(origin.url("/slow"));
            task.resume();
            assert!(gate.wait_reached(PATIENCE));
            if is_begun {
                recorder.wait_for(|log| log.data.len() == 5);
            }
            task.suspend();
            clock.wait_for_sleeper(100 * SECOND);
            clock.advance(50 * SECOND);
            // Not idle: it is told only of the end of the whole.
            clock.wait_for_sleeper(100 * SECOND);
            assert!(recorder.log().completions.is_empty());
            clock.advance_until(50 * SECOND, || !recorder.log().completions.is_empty());
            let error = recorder.completed(1).completions[0].clone().unwrap();
            assert_eq!(error.code(), UrlErrorCode::TimedOut);
            assert!(error.to_string().contains("100 s, the timeout for the whole resource"), "{error}");
            gate.release();
        }
    });
}
