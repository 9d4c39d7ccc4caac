//! Limits of connections over all hosts, and what happens without a descriptor for one.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
};
use urlsession::environment::{Dial, Interface, Resolve, Socket};
use urlsession::{Configuration, Decision, Task, TaskDelegate, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Reply, TestAuthority, Wire};

use crate::support::*;

/// A configuration whose every name leads to the origin.
fn everywhere(origin: &Origin) -> Configuration {
    let mut configuration = configuration(origin);
    configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration
}

fn url(host: usize, origin: &Origin, path: &str) -> String {
    let scheme = if origin.url("").starts_with("https") { "https" } else { "http" };
    format!("{scheme}://host-{host}.hosts.example:{}{path}", origin.port())
}

#[test]
fn of_idle_connections_over_all_hosts_the_one_idle_longest_is_closed() {
    on(Wire::H1, |origin| {
        let mut configuration = everywhere(origin);
        configuration.maximum_idle_connections = 3;
        let session = UrlSession::new(configuration);
        for host in 0..10 {
            session.data(url(host, origin, "/Peru")).wait().unwrap();
        }
        let are_3_open = origin.wait_for(|journal| journal.open() == 3, PATIENCE);
        assert!(
            are_3_open,
            "of {} connections {} are open",
            origin.connection_count(),
            origin.open_connections()
        );
        for host in [9, 8, 7] {
            session.data(url(host, origin, "/Peru")).wait().unwrap();
        }
        assert_eq!(origin.connection_count(), 10, "the last three were kept");
    });
}

#[test]
fn at_the_limit_over_all_hosts_loads_wait_for_a_connection_and_all_are_served() {
    on(Wire::H1, |origin| {
        let mut configuration = everywhere(origin);
        configuration.maximum_open_connections = 4;
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let gate = origin.hold();
        (0..4).for_each(|_| origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone())));
        for host in 0..40 {
            session.data_task(url(host, origin, if host < 4 { "/held" } else { "/Peru" })).resume();
        }
        assert!(origin.wait_for(|journal| journal.requests.len() == 4, PATIENCE));
        assert_eq!(origin.open_connections(), 4);
        gate.release();
        let log = recorder.completed(40);
        assert!(log.completions.iter().all(Option::is_none));
    });
}

/// Several origins are several hosts: each speaks HTTP/2 over one connection.
#[test]
fn connections_of_http2_count_and_are_closed_for_others_once_they_carry_nothing() {
    let origins: Vec<_> = (0..4).map(|_| Origin::start(Wire::TlsH2)).collect();
    let mut configuration = Configuration::ephemeral();
    configuration.additional_trust_anchors = origins.iter().map(Origin::trust_anchor_der).collect();
    configuration.maximum_open_connections = 2;
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    let gate = origins[0].hold();
    for origin in &origins[..2] {
        origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
        session.data_task(origin.url("/held")).resume();
        assert!(origin.wait_for(|journal| journal.requests.len() == 1, PATIENCE));
    }
    for origin in &origins[2..] {
        session.data_task(origin.url("/Peru")).resume();
    }
    // What is busy serves more of its own.
    session.data_task(origins[0].url("/Peru")).resume();
    recorder.completed(1);
    assert_eq!(origins[2].connection_count() + origins[3].connection_count(), 0);
    gate.release();
    let log = recorder.completed(5);
    assert!(log.completions.iter().all(Option::is_none));
    let open = || origins.iter().map(Origin::open_connections).sum::<usize>();
    for origin in &origins {
        session.data(origin.url("/Peru")).wait().unwrap();
        assert!(origin.wait_for(|journal| journal.open() == 1, PATIENCE));
    }
    for origin in &origins[..2] {
        assert!(origin.wait_for(|journal| journal.open() == 0, PATIENCE), "{} are open", open());
    }
}

#[test]
fn an_idle_connection_of_http2_is_closed_after_its_time_and_while_more_than_the_limit_are_idle() {
    on(Wire::TlsH2, |origin| {
        let clock = HandClock::new();
        let mut configuration = configuration(origin);
        configuration.environment.clock = Arc::new(clock.clone());
        let session = UrlSession::new(configuration.clone());
        session.data(origin.url("/Peru")).wait().unwrap();
        let idle = configuration.connection_idle_timeout;
        clock.wait_for_sleeper(idle);
        clock.advance(idle);
        assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE));
        configuration.maximum_idle_connections = 0;
        let session = UrlSession::new(configuration);
        session.data(origin.url("/Peru")).wait().unwrap();
        assert!(origin.wait_for(|journal| journal.closed == 2, PATIENCE));
    });
}

/// What a connection is for one task by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Trust,
    CertificateForOnce,
}

/// Decides as the own delegate of a task.
#[derive(Clone)]
struct Deciding(Reason, UrlCredential);

impl TaskDelegate for Deciding {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        let credential = match (self.0, challenge.protection_space().server_trust()) {
            (Reason::Trust, Some(trust)) => UrlCredential::for_trust(trust.clone()),
            (Reason::CertificateForOnce, None) => self.1.clone(),
            _ => return Decision::default_handling(),
        };
        AuthChallengeDisposition::UseCredential(Some(credential)).into()
    }
}

#[test]
fn connections_that_are_for_one_task_each_keep_to_the_limit_and_all_tasks_are_served() {
    for wire in [Wire::TlsH1, Wire::TlsH2] {
        for reason in [Reason::Trust, Reason::CertificateForOnce] {
            let origin = Origin::builder().wire(wire);
            let origin = match reason {
                Reason::Trust => origin.certificate(TestAuthority::new().self_signed()).start(),
                Reason::CertificateForOnce => origin.require_client_certificate(true).start(),
            };
            let certificate = origin.authority().client("ann");
            let (chain, key) = (certificate.chain_der().to_vec(), certificate.key_der());
            let identity = UrlCredential::with_identity(chain, key, UrlCredentialPersistence::None);
            let deciding = Deciding(reason, identity);
            let mut limited = configuration(&origin);
            limited.maximum_open_connections = 3;
            let session = UrlSession::new(limited);
            let gate = origin.hold();
            (0..20).for_each(|_| origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone())));
            let load = |path: &str, session: &UrlSession| {
                let load = session.data(origin.url(path)).delegate(deciding.clone());
                std::thread::spawn(move || load.wait().map(|_| ()))
            };
            let loads: Vec<_> = (0..20).map(|_| load("/held", &session)).collect();
            assert!(origin.wait_for(|journal| journal.heads.len() + journal.requests.len() >= 3, PATIENCE));
            // Another session's load takes as long as it would take more of them.
            let other = UrlSession::new(configuration(&origin));
            load("/Peru", &other).join().unwrap().unwrap();
            assert_eq!(origin.requests().len(), 3 + 1, "{wire:?} {reason:?}");
            gate.release();
            for load in loads {
                load.join().unwrap().unwrap_or_else(|error| panic!("{wire:?} {reason:?}: {error}"));
            }
            assert!(origin.connection_count() >= 20, "{wire:?} {reason:?}: each has its own");
        }
    }
}

/// Lets a process have no more connections than this.
struct Few {
    most: usize,
    /// What more of them are refused with.
    error: i32,
    open: Arc<AtomicUsize>,
    failures: AtomicUsize,
}

/// One of them.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Dial for Few {
    fn dial(
        &self,
        address: SocketAddr,
        _: Option<&Interface>,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>> {
        if self.open.load(Relaxed) >= self.most {
            self.failures.fetch_add(1, Relaxed);
            return Some(Box::pin(ready(Err(io::Error::from_raw_os_error(self.error)))));
        }
        self.open.fetch_add(1, Relaxed);
        let open = self.open.clone();
        Some(Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await.inspect_err(|_| {
                open.fetch_sub(1, Relaxed);
            })?;
            Ok(Socket::new(OwnSocket(stream, Counts(open))))
        }))
    }
}

/// Of the process and of the system: WSAEMFILE and ERROR_TOO_MANY_OPEN_FILES, EMFILE and ENFILE.
const TOO_MANY_OPEN_FILES: [i32; 2] = if cfg!(windows) { [10024, 4] } else { [24, 23] };

impl Few {
    fn one(error: i32) -> Self {
        Self { most: 1, error, open: Arc::default(), failures: AtomicUsize::new(0) }
    }
}

#[test]
fn without_a_descriptor_idle_connections_of_any_session_are_closed_and_the_load_succeeds() {
    alone(|| {
        on_every_wire(|origin| {
            for error in TOO_MANY_OPEN_FILES {
                let few = Arc::new(Few::one(error));
                let mut configuration = configuration(origin);
                configuration.environment.dialler = few.clone();
                let (first, second) =
                    (UrlSession::new(configuration.clone()), UrlSession::new(configuration));
                for session in [&first, &second, &first] {
                    assert_eq!(text(&session.data(origin.url("/Peru")).wait().unwrap().0), "Lima");
                }
                assert_eq!(few.failures.load(Relaxed), 2, "{error}");
            }
        });
    });
}

#[test]
fn without_a_descriptor_the_error_says_so_and_what_helps() {
    alone(|| {
        on_every_wire(|origin| {
            let mut configuration = configuration(origin);
            configuration.environment.dialler = Arc::new(Few::one(TOO_MANY_OPEN_FILES[0]));
            let busy = UrlSession::new(configuration.clone());
            let gate = origin.hold();
            origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
            let held = busy.data_task(origin.url("/held"));
            held.resume();
            assert!(gate.wait_reached(PATIENCE));
            let error = UrlSession::new(configuration).data(origin.url("/Peru")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
            let said = error.to_string();
            assert!(said.contains("too many open files") && said.contains("ulimit -n"), "{said}");
            held.cancel();
            gate.release();
        });
    });
}

/// A resolver without descriptors until it may have one.
struct Lacking(SocketAddr, Arc<AtomicBool>, Mutex<usize>);

impl Resolve for Lacking {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
        *self.2.lock().unwrap() += 1;
        let answer = match self.1.load(Relaxed) {
            true => Ok(vec![self.0]),
            false => Err(io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES[0])),
        };
        Some(Box::pin(ready(answer)))
    }
}

#[test]
fn a_resolver_without_a_descriptor_is_not_a_host_without_a_name() {
    alone(|| {
        on(Wire::H1, |origin| {
            let may = Arc::new(AtomicBool::new(false));
            let mut configuration = everywhere(origin);
            let resolver = Arc::new(Lacking(origin.addr(), may.clone(), Mutex::new(0)));
            configuration.environment.resolver = resolver.clone();
            let session = UrlSession::new(configuration);
            let error = session.data(url(1, origin, "/Peru")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
            assert!(error.to_string().contains("too many open files"), "{error}");
            assert!(*resolver.2.lock().unwrap() >= 2, "it is asked again");
            may.store(true, Relaxed);
            session.data(url(1, origin, "/Peru")).wait().unwrap();
        });
    });
}

#[cfg(target_os = "linux")]
mod few_descriptors {
    use std::fs::File;
    use std::time::Instant;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    /// The wire, for the child of the tests below.
    const CHILD: &str = "URLSESSION_TEST_FEW_DESCRIPTORS";

    fn limit(files: u64) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
    }

    #[test]
    #[ignore = "the child of the tests below, whose process may have few open files"]
    fn child_with_few_descriptors() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        limit(1024);
        let wire =
            WIRES.into_iter().find(|wire| std::env::var(CHILD).is_ok_and(|name| name == wire_name(*wire)));
        // Handshakes take their time.
        let (at_once, in_turn) = if wire == Some(Wire::H1) { (2_000, 10_000) } else { (600, 1_200) };
        let certificate = TestAuthority::new().leaf(&["*.hosts.example"]);
        let origin = Origin::builder().wire(wire.unwrap()).certificate(certificate).start();
        let (session, recorder) = with_recorder(everywhere(&origin), Recorder::new());
        for host in 0..at_once {
            session.data_task(url(host, &origin, "/Peru")).resume();
        }
        let failed: Vec<_> = recorder.completed(at_once).completions.into_iter().flatten().collect();
        assert!(failed.is_empty(), "at once: {} of {at_once} failed, {}", failed.len(), failed[0]);
        let session = UrlSession::new(everywhere(&origin));
        for host in 0..in_turn {
            let loaded = session.data(url(host, &origin, "/Peru")).wait();
            loaded.unwrap_or_else(|error| panic!("host {host}, one after the other: {error}"));
        }
        // What is idle is given up when something else has all other descriptors.
        let idle = everywhere(&origin).maximum_idle_connections;
        // Both sessions have only what is idle, and the origin has let go of the rest: nothing else makes space.
        assert!(origin.wait_for(|it| it.accepted - it.closed <= 2 * idle, PATIENCE));
        let closed = origin.journal(|it| it.closed);
        let mut files = Vec::new();
        let end = Instant::now() + PATIENCE;
        while origin.journal(|it| it.closed) - closed < idle {
            assert!(
                Instant::now() < end,
                "{} of {idle} were closed",
                origin.journal(|it| it.closed) - closed
            );
            let open = origin.journal(|it| it.accepted - it.closed);
            while let Ok(file) = File::open("/dev/null") {
                files.push(file);
            }
            let other = UrlSession::new(everywhere(&origin));
            other.data(url(1, &origin, "/Peru")).wait().unwrap();
            drop(other);
            // Its own connection is gone before the next turn: what it leaves is not taken for space that was made.
            assert!(origin.wait_for(|it| it.accepted - it.closed <= open, PATIENCE));
        }
        // No number below is free.
        limit(3);
        // The system's resolver and a literal address: each says what is lacking.
        let mut configuration = Configuration::ephemeral();
        configuration.app_transport_security.allows_arbitrary_loads = true;
        let bare = UrlSession::new(configuration);
        for host in ["no-such-name.example", "127.0.0.1"] {
            let error = bare.data(format!("http://{host}:{}/", origin.port())).wait().unwrap_err();
            assert!(error.to_string().contains("too many open files"), "{host}: {error}");
        }
    }

    /// A resolver that lets the process have descriptors again, after a load has begun without.
    struct Raising(SocketAddr, u64);

    impl Resolve for Raising {
        fn resolve(
            &self,
            _: &str,
            _: u16,
        ) -> Option<Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>> {
            limit(self.1);
            Some(Box::pin(ready(Ok(vec![self.0]))))
        }
    }

    /// Set for the child of the test below.
    const BEGINS: &str = "URLSESSION_TEST_BEGINS_WITHOUT_DESCRIPTORS";

    #[test]
    #[ignore = "the child of the test below, whose process has no descriptor for a while"]
    fn child_that_begins_without_descriptors() {
        if std::env::var_os(BEGINS).is_none() {
            return;
        }
        let origin = Origin::start(Wire::H1);
        let page = origin.url("/Peru");
        let runtime = runtime();
        let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let enough = getrlimit(Resource::Nofile).current.unwrap();
        let (session, recorder) = with_recorder(configuration(&origin), Recorder::new());
        let mut raising = everywhere(&origin);
        raising.environment.resolver = Arc::new(Raising(origin.addr(), enough));
        let raising = UrlSession::new(raising);
        limit(3);
        session.data_task(&*page).resume();
        recorder.completed(1);
        let errors = [
            raising.data(url(1, &origin, "/Peru")).wait().unwrap_err(),
            recorder.completed(1).completions[0].clone().unwrap(),
            session.data(&*page).wait().unwrap_err(),
            load(&session, &*page).unwrap_err(),
            session.download(&*page).wait().unwrap_err(),
            runtime.block_on(session.data(&*page).into_future()).unwrap_err(),
            bare.block_on(session.data(&*page).into_future()).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
            assert!(error.to_string().contains("too many open files"), "{error}");
        }
        assert_eq!(session.data("data:,x").wait().unwrap().0, "x", "what needs no socket is loaded");
        limit(enough);
        assert_eq!(session.data(&*page).wait().unwrap().0, "Lima");
        assert_eq!(load(&session, &*page).unwrap().0, "Lima");
        for runtime in [runtime, bare] {
            assert_eq!(runtime.block_on(session.data(&*page).into_future()).unwrap().0, "Lima");
        }
    }

    #[test]
    fn the_first_loads_of_a_process_without_descriptors_fail_and_the_next_succeed_once_there_are_some() {
        let name = "connection_limits::few_descriptors::child_that_begins_without_descriptors";
        in_a_process_of_its_own(name, (BEGINS, "yes"));
    }

    fn wire_name(wire: Wire) -> String {
        format!("{wire:?}")
    }

    fn run_child(wire: Wire) {
        let name = "connection_limits::few_descriptors::child_with_few_descriptors";
        in_a_process_of_its_own(name, (CHILD, &wire_name(wire)));
    }

    #[test]
    fn ten_thousand_hosts_in_turn_and_two_thousand_at_once_need_no_more_than_1024_descriptors() {
        run_child(Wire::H1);
    }

    #[test]
    fn hosts_over_tls_need_no_more_than_1024_descriptors() {
        run_child(Wire::TlsH1);
    }

    #[test]
    fn hosts_over_http2_need_no_more_than_1024_descriptors() {
        run_child(Wire::TlsH2);
    }
}
