//! Metrics of transactions that fail or are given up: dates and addresses up to the phase that they were in, and bytes that
//! were sent although nobody waited for them.

use std::future::{Future, poll_fn};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use urlsession::environment::Resolve;
use urlsession::metrics::{ResourceFetchType, TransactionMetrics};
use urlsession::network::{ProxyConfiguration, ProxyDictionary};
use urlsession::{BodyStream, Bytes, Configuration, Decision, UrlErrorCode, UrlSession};
use urlsession_testkit::{Gate, Proxy, ProxyFault, Reply, Wire};

use crate::support::*;

type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// A resolver that knows no name, or never answers, and says that it was asked.
struct Nowhere(Option<Arc<AtomicBool>>);

impl Resolve for Nowhere {
    fn resolve(&self, _: &str, _: u16) -> Option<Found> {
        let Some(asked) = self.0.clone() else { return Some(Box::pin(std::future::ready(Ok(Vec::new())))) };
        Some(Box::pin(poll_fn(move |_| {
            asked.store(true, Relaxed);
            Poll::Pending
        })))
    }
}

/// The metrics of the one transaction of a load that fails.
fn of_failure(configuration: Configuration, url: &str, code: UrlErrorCode) -> TransactionMetrics {
    let (task, result) = load_with_task(&UrlSession::new(configuration), url);
    assert_eq!(result.unwrap_err().code(), code, "{url}");
    only(&task.metrics().unwrap().transaction_metrics)
}

fn only(transactions: &[TransactionMetrics]) -> TransactionMetrics {
    let [transaction] = transactions else { panic!("{transactions:?}") };
    transaction.clone()
}

/// Which dates there are, and that they are in order.
fn dates(of: &TransactionMetrics) -> String {
    let all = [
        ("lookup", of.domain_lookup_start_date),
        ("found", of.domain_lookup_end_date),
        ("connect", of.connect_start_date),
        ("secure", of.secure_connection_start_date),
        ("secured", of.secure_connection_end_date),
        ("connected", of.connect_end_date),
        ("request", of.request_start_date),
        ("sent", of.request_end_date),
        ("response", of.response_start_date),
        ("end", of.response_end_date),
    ];
    let mut last: SystemTime = of.fetch_start_date;
    let mut names = Vec::new();
    for (name, date) in all {
        if let Some(date) = date {
            assert!(last <= date, "{name}: {all:?}");
            last = date;
            names.push(name);
        }
    }
    names.join(" ")
}

fn remote(of: &TransactionMetrics) -> Option<SocketAddr> {
    Some((of.remote_address?, of.remote_port?).into())
}

fn named(to: SocketAddr) -> Configuration {
    let mut configuration = Configuration::ephemeral();
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.resolver = Arc::new(Everywhere(to));
    configuration
}

#[test]
fn a_failed_lookup_has_a_start_and_nothing_else() {
    for scheme in ["http", "https"] {
        let mut configuration = named(([127, 0, 0, 1], 9).into());
        configuration.environment.resolver = Arc::new(Nowhere(None));
        let failed =
            of_failure(configuration, &format!("{scheme}://two.example/"), UrlErrorCode::CannotFindHost);
        assert_eq!((dates(&failed), remote(&failed)), ("lookup".into(), None));
    }
}

#[test]
fn a_lookup_that_is_forbidden_is_not_begun() {
    let mut configuration = named(([127, 0, 0, 1], 9).into());
    configuration.requires_dnssec_validation = true;
    let failed = of_failure(configuration, "https://two.example/", UrlErrorCode::CannotFindHost);
    assert_eq!(dates(&failed), "");
}

#[test]
fn a_refused_connection_has_dates_up_to_it_and_the_address_tried_last() {
    on(Wire::H1, |origin| {
        let closed = SocketAddr::from(([127, 0, 0, 1], origin.closed_port()));
        let code = UrlErrorCode::CannotConnectToHost;
        let numbered = of_failure(Configuration::ephemeral(), &format!("http://{closed}/"), code);
        assert_eq!((dates(&numbered), remote(&numbered)), ("connect".into(), Some(closed)));
        let named = of_failure(named(closed), "https://two.example/", code);
        assert_eq!((dates(&named), remote(&named)), ("lookup found connect".into(), Some(closed)));
        assert!(named.local_port.is_none() && !named.is_proxy_connection);
        assert_eq!(named.network_protocol_name, None);
        assert_eq!(named.resource_fetch_type, ResourceFetchType::Unknown);
    });
}

#[test]
fn a_proxy_that_refuses_is_the_address_that_was_tried_on_every_route() {
    on_every_wire(|origin| {
        let port = origin.closed_port();
        let proxy = SocketAddr::from(([127, 0, 0, 1], port));
        let code = UrlErrorCode::CannotConnectToHost;
        let by_dictionary =
            configuration(origin).connection_proxy_dictionary(ProxyDictionary::with_proxy("127.0.0.1", port));
        let by_tunnel = configuration(origin)
            .proxy_configurations([ProxyConfiguration::with_http_connect_proxy("127.0.0.1", port)]);
        for configuration in [by_dictionary, by_tunnel] {
            let failed = of_failure(configuration, &origin.url("/Peru"), code);
            assert_eq!((dates(&failed), remote(&failed)), ("connect".into(), Some(proxy)));
            assert!(failed.is_proxy_connection);
        }
    });
}

#[test]
fn a_tunnel_that_is_not_opened_ends_with_the_proxy() {
    on_every_wire(|origin| {
        let proxy =
            Proxy::with_fault(ProxyFault::Answers(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n".into()));
        let configuration = configuration(origin)
            .proxy_configurations([ProxyConfiguration::with_http_connect_proxy("localhost", proxy.port())]);
        let (task, result) = load_with_task(&UrlSession::new(configuration), origin.url("/Peru"));
        result.unwrap_err();
        let failed = only(&task.metrics().unwrap().transaction_metrics);
        assert_eq!((dates(&failed), remote(&failed)), ("lookup found connect".into(), Some(proxy.addr())));
        assert!(failed.is_proxy_connection);
    });
}

#[test]
fn a_failed_handshake_has_its_start_and_both_addresses() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        on(wire, |origin| {
            let session = UrlSession::new(Configuration::ephemeral());
            let (task, result) = load_with_task(&session, origin.url("/Peru"));
            assert_eq!(result.unwrap_err().code(), unknown_root());
            let failed = only(&task.metrics().unwrap().transaction_metrics);
            assert_eq!(dates(&failed), "lookup found connect secure");
            assert_eq!(remote(&failed), Some(origin.addr()));
            assert!(failed.local_address.is_some() && failed.local_port.is_some());
            assert_eq!(failed.negotiated_tls_protocol_version, None);
        });
    }
}

/// The metrics of a load that times out when `is_due`.
fn of_timeout(mut configuration: Configuration, url: &str, is_due: impl FnOnce()) -> TransactionMetrics {
    let clock = HandClock::new();
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let mut request = request(url, "POST", Some(b"12345"));
    request.set_timeout_interval(SECOND);
    session.data_task(request).resume();
    is_due();
    clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
    let log = recorder.completed(1);
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::TimedOut);
    only(&log.metrics[0].transaction_metrics)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lookup_that_is_given_up_has_its_start() {
    let mut configuration = named(([127, 0, 0, 1], 9).into());
    let asked = Arc::new(AtomicBool::new(false));
    configuration.environment.resolver = Arc::new(Nowhere(Some(asked.clone())));
    let is_asked = || wait_until(|| asked.load(Relaxed));
    let failed = of_timeout(configuration, "https://two.example/", is_asked);
    assert_eq!(dates(&failed), "lookup");
}

#[test]
fn a_handshake_that_is_given_up_has_its_start_and_both_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let held = Mutex::new(None);
    let failed = of_timeout(named(address), "https://two.example/", || {
        let (mut stream, client) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        *held.lock().unwrap() = Some((stream, client));
    });
    assert_eq!(dates(&failed), "lookup found connect secure");
    assert_eq!(remote(&failed), Some(address));
    assert_eq!(failed.local_port, held.lock().unwrap().as_ref().map(|(_, client)| client.port()));
}

#[test]
fn a_load_that_waits_for_the_connection_of_another_has_no_dates_before_its_beginning() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut configuration = named(listener.local_addr().unwrap());
    let clock = HandClock::new();
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let first = session.data_task("https://two.example/");
    first.resume();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    clock.advance(SECOND);
    let mut request = request("https://two.example/", "GET", None);
    request.set_timeout_interval(SECOND);
    session.data_task(request).resume();
    clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
    let log = recorder.completed(1);
    let failed = only(&log.metrics[0].transaction_metrics);
    assert_eq!(dates(&failed), "lookup found connect secure");
    assert_eq!(failed.connect_start_date, Some(failed.fetch_start_date));
    first.cancel();
}

#[test]
fn a_response_that_is_waited_for_in_vain_follows_a_request_that_was_sent() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::held(gate.clone()));
        let failed = of_timeout(configuration(origin), &origin.url("/held"), || {
            assert!(gate.wait_reached(PATIENCE));
        });
        let is_tls = origin.wire() != Wire::H1;
        let made = if is_tls { "lookup found connect secure secured connected" } else { "connect connected" };
        assert_eq!(dates(&failed), format!("{made} request sent"));
        assert_eq!(remote(&failed), Some(origin.addr()));
        assert_eq!(failed.count_of_request_body_bytes_sent, 5);
        assert!(failed.count_of_request_header_bytes_sent > 20, "{failed:?}");
    });
}

/// A body whose parts come when the test says so.
struct Parts(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl futures_core::Stream for Parts {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|part| part.map(Ok))
    }
}

#[test]
fn what_is_sent_after_a_redirect_has_come_was_sent() {
    on_every_wire(|origin| {
        let (give, parts) = tokio::sync::mpsc::unbounded_channel();
        let gate = Gate::new();
        let to = Reply::new(303).header("Location", "/Peru").body("moved");
        origin.enqueue("/early", to.body_gate(0, gate.clone()).early());
        give.send(Bytes::from_static(b"first")).unwrap();
        let rest = Mutex::new(Some(give));
        let delegate = Recorder::new().redirecting(move |_, next| {
            if let Some(give) = rest.lock().unwrap().take() {
                give.send(Bytes::from_static(b", then")).unwrap();
            }
            gate.release();
            Decision::now(Some(next))
        });
        let (configuration, _clock) = with_hand_clock(origin);
        let (session, recorder) = with_recorder(configuration, delegate);
        let mut request = request(&origin.url("/early"), "PUT", None);
        request.set_http_body_stream(BodyStream::from_stream(Parts(parts)).with_length(11));
        session.data_task(request).resume();
        let log = recorder.completed(1);
        log.succeeded();
        let transactions = &log.metrics[0].transaction_metrics;
        let sent = transactions.iter().map(|t| t.count_of_request_body_bytes_sent).collect::<Vec<_>>();
        assert_eq!(sent, [11, 0]);
    });
}
