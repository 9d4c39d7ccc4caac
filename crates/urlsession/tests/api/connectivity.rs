//! Connectivity: a path moved by hand, to an origin that seems far away.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use urlsession::environment::{Dial, Interface, InterfaceKind, NetworkPath, PathStatus, Resolve, Socket};
use urlsession::tasks::WaitReason;
use urlsession::{
    Configuration, NetworkUnavailableReason, Phase, Task, TaskDelegate, UrlErrorCode, UrlRequest, UrlSession,
};
use urlsession_testkit::{Origin, Reply, TestAuthority, Wire};

use crate::support::*;

/// Moved by hand. A clone is the same path.
#[derive(Clone)]
struct HandPath(Arc<(Mutex<State>, Condvar)>);

struct State {
    interfaces: Vec<Interface>,
    changes: usize,
    looks: usize,
    waiting: Vec<Waker>,
}

impl HandPath {
    fn over(kinds: &[InterfaceKind]) -> Self {
        let state = State { interfaces: interfaces(kinds), changes: 0, looks: 0, waiting: Vec::new() };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn become_over(&self, kinds: &[InterfaceKind]) {
        let mut state = self.0.0.lock().unwrap();
        state.interfaces = interfaces(kinds);
        state.changes += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn looks(&self) -> usize {
        self.0.0.lock().unwrap().looks
    }

    /// Waits until somebody waits for a change.
    fn wait_for_waiter(&self) {
        let state = self.0.0.lock().unwrap();
        let (state, timeout) =
            self.0.1.wait_timeout_while(state, PATIENCE, |state| state.waiting.is_empty()).unwrap();
        drop(state);
        assert!(!timeout.timed_out(), "nobody waits for a change of the path");
    }
}

impl NetworkPath for HandPath {
    fn status(&self) -> Option<PathStatus> {
        let mut state = self.0.0.lock().unwrap();
        state.looks += 1;
        Some(PathStatus::new(state.interfaces.clone()))
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let path = self.0.clone();
        let before = path.0.lock().unwrap().changes;
        Box::pin(std::future::poll_fn(move |cx| {
            let mut state = path.0.lock().unwrap();
            if state.changes != before {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            path.1.notify_all();
            Poll::Pending
        }))
    }
}

fn interfaces(kinds: &[InterfaceKind]) -> Vec<Interface> {
    kinds.iter().map(|kind| Interface::new("if0", *kind)).collect()
}

const SECOND: Duration = Duration::from_secs(1);
const HOST: &str = "far.test";

/// An origin with a name that is not this machine's, and sessions that reach it over the path.
struct Far {
    origin: Origin,
    path: HandPath,
}

impl Far {
    fn over(wire: Wire, kinds: &[InterfaceKind]) -> Self {
        let certificate = TestAuthority::new().leaf(&[HOST]);
        let origin = Origin::builder().wire(wire).certificate(certificate).start();
        Self { origin, path: HandPath::over(kinds) }
    }

    fn url(&self, path: &str) -> String {
        let scheme = self.origin.url("").split("://").next().unwrap().to_owned();
        format!("{scheme}://{HOST}:{}{path}", self.origin.port())
    }

    fn configuration(&self) -> Configuration {
        let mut configuration = configuration(&self.origin);
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.environment.resolver = Arc::new(Everywhere(self.origin.addr()));
        configuration.environment.path = Arc::new(self.path.clone());
        configuration
    }

    fn waiting(&self) -> Configuration {
        self.configuration().waits_for_connectivity(true)
    }
}

fn on_every_far_wire(kinds: &[InterfaceKind], test: impl Fn(&Far)) {
    for wire in WIRES {
        let far = Far::over(wire, kinds);
        test(&far);
        let violations = far.origin.journal(|journal| journal.violations.clone());
        assert!(violations.is_empty(), "{wire:?}: {violations:?}");
    }
}

#[test]
fn a_task_waits_for_a_network_and_says_so_once() {
    on_every_far_wire(&[], |far| {
        let mut configuration = far.waiting();
        configuration.allows_cellular_access = false;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(far.url("/Peru")).resume();
        recorder.wait_for(|log| log.calls == ["isWaitingForConnectivity"]);
        for forbidden in [&[InterfaceKind::Cellular][..], &[], &[InterfaceKind::Cellular]] {
            far.path.wait_for_waiter();
            far.path.become_over(forbidden);
        }
        far.path.wait_for_waiter();
        assert_eq!(far.origin.connection_count(), 0);
        far.path.become_over(&[InterfaceKind::Cellular, InterfaceKind::Wifi]);
        let log = recorder.completed(1);
        assert_eq!(text(&log.data), "Lima");
        assert_eq!(
            log.calls,
            ["isWaitingForConnectivity", "didReceiveResponse", "didReceiveData", "didComplete"]
        );
        assert_eq!(log.metrics[0].transaction_metrics.len(), 1);
    });
}

#[test]
fn without_waiting_a_load_fails_at_once_and_says_why() {
    on_every_far_wire(&[InterfaceKind::Cellular], |far| {
        let mut configuration = far.configuration();
        configuration.allows_expensive_network_access = false;
        let session = UrlSession::new(configuration);
        let error = load(&session, far.url("/Peru")).unwrap_err();
        assert_eq!((error.code(), error.phase()), (UrlErrorCode::NotConnectedToInternet, Phase::Policy));
        assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Expensive));

        let session = UrlSession::new(far.configuration());
        let mut request: UrlRequest = request(&far.url("/Peru"), "GET", None);
        request.set_allows_cellular_access(false);
        let error = load(&session, &request).unwrap_err();
        assert_eq!(error.network_unavailable_reason(), Some(NetworkUnavailableReason::Cellular));
        far.path.become_over(&[]);
        let error = load(&session, &request).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::NotConnectedToInternet);
        assert_eq!(error.network_unavailable_reason(), None);
        far.path.become_over(&[InterfaceKind::Wired]);
        assert_eq!(text(&load(&session, &request).unwrap().0), "Lima");
    });
}

#[test]
fn nobody_looks_at_the_path_when_nothing_depends_on_it() {
    on_every_far_wire(&[], |far| {
        let session = UrlSession::new(far.configuration());
        load(&session, far.url("/Peru")).unwrap();
        let session = UrlSession::new(far.waiting());
        // Over TLS the certificate is for another name: whether it loads is not the point.
        let _ = load(&session, far.origin.url("/Peru"));
        assert_eq!(far.path.looks(), 0);
    });
}

#[test]
fn waiting_is_not_idle_time_but_counts_for_the_resource() {
    on_every_far_wire(&[], |far| {
        let clock = HandClock::new();
        let mut configuration = far.waiting();
        configuration.environment.clock = Arc::new(clock.clone());
        configuration.timeout_interval_for_request = SECOND;
        configuration.timeout_interval_for_resource = 100 * SECOND;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(far.url("/Peru")).resume();
        far.path.wait_for_waiter();
        clock.wait_for_sleeper(100 * SECOND);
        clock.advance(50 * SECOND);
        far.path.become_over(&[InterfaceKind::Wifi]);
        assert!(recorder.completed(1).completions[0].is_none());

        far.path.become_over(&[]);
        session.data_task(far.url("/Peru")).resume();
        far.path.wait_for_waiter();
        clock.advance_until(100 * SECOND, || recorder.log().completions.len() == 2);
        let log = recorder.completed(2);
        let error = log.completions[1].as_ref().unwrap();
        assert_eq!(error.code(), UrlErrorCode::TimedOut);
        assert!(error.to_string().contains("whole resource"), "{error}");
    });
}

#[test]
fn a_waiting_task_can_be_cancelled() {
    on_every_far_wire(&[], |far| {
        let (session, recorder) = with_recorder(far.waiting(), Recorder::new());
        let task = session.data_task(far.url("/Peru"));
        task.resume();
        far.path.wait_for_waiter();
        assert_eq!(task.why_waiting(), Some(WaitReason::Connectivity));
        task.cancel();
        let log = recorder.completed(1);
        assert_eq!(task.why_waiting(), None);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
        assert_eq!(log.calls, ["isWaitingForConnectivity", "didComplete"]);
        assert_eq!(far.origin.connection_count(), 0);
    });
}

#[test]
fn futures_wait_too_and_their_delegate_hears_of_it() {
    on_every_far_wire(&[], |far| {
        let session = UrlSession::new(far.waiting());
        let path = far.path.clone();
        let mover = std::thread::spawn(move || {
            path.wait_for_waiter();
            path.become_over(&[InterfaceKind::Wired]);
        });
        let heard = Arc::new(Mutex::new(0));
        let delegate = Counter(heard.clone());
        let (data, _) = session.data(far.url("/Peru")).delegate(delegate).wait().unwrap();
        assert_eq!((text(&data), *heard.lock().unwrap()), ("Lima", 1));
        mover.join().unwrap();
    });
}

struct Counter(Arc<Mutex<usize>>);

impl TaskDelegate for Counter {
    fn task_is_waiting_for_connectivity(&self, _: &Task) {
        *self.0.lock().unwrap() += 1;
    }
}

/// Knows no way as long as it was told so, then dials as the system does.
#[derive(Clone)]
struct NoRoute(Arc<Mutex<usize>>);

impl Dial for NoRoute {
    fn dial(
        &self,
        _: SocketAddr,
        _: Option<&Interface>,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>> {
        let mut left = self.0.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(Box::pin(ready(Err(io::ErrorKind::NetworkUnreachable.into()))))
    }
}

#[test]
fn a_host_without_a_route_is_waited_for_and_a_body_is_sent_once() {
    on_every_far_wire(&[InterfaceKind::Wired], |far| {
        let mut configuration = far.waiting();
        configuration.environment.dialler = Arc::new(NoRoute(Arc::new(Mutex::new(2))));
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let mut upload = request(&far.url("/echo"), "POST", None);
        upload.set_http_body_stream(urlsession::BodyStream::from_reader(io::Cursor::new(b"once")));
        session.data_task(upload).resume();
        for _ in 0..2 {
            far.path.wait_for_waiter();
            far.path.become_over(&[InterfaceKind::Wired]);
        }
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none(), "{:?}", log.completions);
        assert_eq!(log.calls.iter().filter(|call| **call == "isWaitingForConnectivity").count(), 1);
        assert_eq!(far.origin.requests().len(), 1);
    });
}

#[test]
fn a_host_that_cannot_be_reached_is_not_to_blame_without_a_network() {
    on_every_far_wire(&[], |far| {
        let mut configuration = far.configuration();
        configuration.environment.dialler = Arc::new(NoRoute(Arc::new(Mutex::new(2))));
        let session = UrlSession::new(configuration);
        let error = load(&session, far.url("/Peru")).unwrap_err();
        assert_eq!((error.code(), error.phase()), (UrlErrorCode::NotConnectedToInternet, Phase::Connect));
        far.path.become_over(&[InterfaceKind::Other]);
        let error = load(&session, far.url("/Peru")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    });
}

#[test]
fn a_connection_lost_later_is_an_error_not_a_wait() {
    on_every_far_wire(&[InterfaceKind::Wifi], |far| {
        let (session, recorder) = with_recorder(far.waiting(), Recorder::new());
        far.origin.enqueue("/Peru", Reply::new(200).pattern(0, 5_000).truncate_at(2_000));
        session.data_task(far.url("/Peru")).resume();
        let log = recorder.completed(1);
        assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
        assert!(!log.calls.contains(&"isWaitingForConnectivity"));
    });
}

/// Refuses by IPv4, and knows no way by IPv6.
struct Refusing;

impl Dial for Refusing {
    fn dial(
        &self,
        address: SocketAddr,
        _: Option<&Interface>,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>> {
        let kind = match address {
            SocketAddr::V4(_) => io::ErrorKind::ConnectionRefused,
            SocketAddr::V6(_) => io::ErrorKind::NetworkUnreachable,
        };
        Some(Box::pin(ready(Err(kind.into()))))
    }
}

impl Resolve for Refusing {
    fn resolve(
        &self,
        _: &str,
        port: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        let addresses = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1"].map(|it| it.parse().unwrap());
        let at_port = |mut address: SocketAddr| {
            address.set_port(port);
            address
        };
        Some(Box::pin(ready(Ok(addresses.into_iter().map(at_port).collect()))))
    }
}

#[test]
fn a_host_that_refuses_is_not_waited_for_though_it_has_addresses_without_a_route() {
    let far = Far::over(Wire::H1, &[InterfaceKind::Wired]);
    let mut configuration = far.waiting();
    configuration.environment.dialler = Arc::new(Refusing);
    configuration.environment.resolver = Arc::new(Refusing);
    let error = load(&UrlSession::new(configuration), far.url("/Peru")).unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    assert!(error.to_string().contains("refuses"), "{error}");
}

/// Does not know the name the first times it is asked.
struct Slow {
    failures: Mutex<usize>,
    then: Everywhere,
}

impl Resolve for Slow {
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        let mut left = self.failures.lock().unwrap();
        match left.checked_sub(1) {
            None => self.then.resolve(host, port),
            Some(less) => {
                *left = less;
                Some(Box::pin(ready(Err(io::Error::other("no resolver yet")))))
            }
        }
    }
}

#[test]
fn on_a_network_that_has_just_come_names_have_some_seconds_to_be_found() {
    for (failures, is_found) in [(5, true), (6, false)] {
        on_every_far_wire(&[], |far| {
            let clock = HandClock::new();
            let mut configuration = far.waiting();
            configuration.environment.clock = Arc::new(clock.clone());
            configuration.environment.resolver =
                Arc::new(Slow { failures: Mutex::new(failures), then: Everywhere(far.origin.addr()) });
            let (session, recorder) = with_recorder(configuration, Recorder::new());
            session.data_task(far.url("/Peru")).resume();
            far.path.wait_for_waiter();
            far.path.become_over(&[InterfaceKind::Wifi]);
            clock.advance_until(SECOND, || !recorder.log().completions.is_empty());
            let log = recorder.completed(1);
            assert_eq!(
                log.completions[0].as_ref().map(|error| error.code()),
                match is_found {
                    true => None,
                    false => Some(UrlErrorCode::CannotFindHost),
                }
            );
        });
    }
}

/// What an interface is, the rule for it in the configuration and in the request, and why it is not used.
type Rule = (fn(&mut Interface), fn(&mut Configuration), fn(&mut UrlRequest), NetworkUnavailableReason);

#[test]
fn each_rule_holds_in_the_configuration_and_in_the_request() {
    let rules: [Rule; 4] = [
        (
            |interface| interface.kind = InterfaceKind::Cellular,
            |configuration| configuration.allows_cellular_access = false,
            |request| request.set_allows_cellular_access(false),
            NetworkUnavailableReason::Cellular,
        ),
        (
            |interface| interface.is_expensive = true,
            |configuration| configuration.allows_expensive_network_access = false,
            |request| request.set_allows_expensive_network_access(false),
            NetworkUnavailableReason::Expensive,
        ),
        (
            |interface| interface.is_constrained = true,
            |configuration| configuration.allows_constrained_network_access = false,
            |request| request.set_allows_constrained_network_access(false),
            NetworkUnavailableReason::Constrained,
        ),
        (
            |interface| interface.is_ultra_constrained = true,
            |configuration| configuration.allows_ultra_constrained_network_access = false,
            |request| request.set_allows_ultra_constrained_network_access(false),
            NetworkUnavailableReason::UltraConstrained,
        ),
    ];
    let far = Far::over(Wire::H1, &[]);
    for (make, forbid, forbid_in_request, reason) in rules {
        let mut interface = Interface::new("if0", InterfaceKind::Wifi);
        make(&mut interface);
        far.path.0.0.lock().unwrap().interfaces = vec![interface];
        let mut allowing = far.configuration();
        allowing.allows_ultra_constrained_network_access = true;
        let mut forbidding = allowing.clone();
        forbid(&mut forbidding);
        let plain = request(&far.url("/Peru"), "GET", None);
        let mut forbidden = plain.clone();
        forbid_in_request(&mut forbidden);
        for (configuration, request) in [(&forbidding, &plain), (&allowing, &forbidden)] {
            let error = load(&UrlSession::new(configuration.clone()), request).unwrap_err();
            assert_eq!(error.network_unavailable_reason(), Some(reason), "{error}");
        }
        // With a network that no rule forbids, and without the rule.
        far.path.0.0.lock().unwrap().interfaces.push(Interface::new("if1", InterfaceKind::Wired));
        load(&UrlSession::new(forbidding), &plain).unwrap();
        far.path.0.0.lock().unwrap().interfaces.pop();
        let mut allowed = plain.clone();
        allowed.set_allows_ultra_constrained_network_access(true);
        load(&UrlSession::new(allowing), &allowed).unwrap();
    }
}
