//! Names, addresses and sockets of the application's own.

use std::future::{Future, pending, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use urlsession::environment::{Dial, Resolve, Socket};
use urlsession::metrics::DomainResolutionProtocol;
use urlsession::{Configuration, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Wire};

use crate::support::*;

type NetFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Knows one host.
struct Names(io::Result<Vec<SocketAddr>>);

impl Resolve for Names {
    fn resolve(&self, host: &str, _: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        assert_eq!(host, "two.example");
        let answer = match &self.0 {
            Ok(addresses) => Ok(addresses.clone()),
            Err(error) => Err(error.kind().into()),
        };
        Some(Box::pin(ready(answer)))
    }
}

/// What happens at an address that is not the system's business.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Hangs,
    Refuses,
    Connects,
}

/// Gives the first addresses their fates in turn and remembers who was dialled.
struct Fates(Vec<(SocketAddr, Fate)>, Mutex<Vec<Fate>>);

impl Dial for Fates {
    fn dial(&self, address: SocketAddr) -> Option<NetFuture<Box<dyn Socket>>> {
        let fate = self.0.iter().find(|(known, _)| *known == address).unwrap().1;
        self.1.lock().unwrap().push(fate);
        match fate {
            Fate::Hangs => Some(Box::pin(pending())),
            Fate::Refuses => Some(Box::pin(ready(Err(io::ErrorKind::ConnectionRefused.into())))),
            Fate::Connects => None,
        }
    }
}

fn at(origin: &Origin, fates: &[Fate]) -> (Configuration, Arc<Fates>, HandClock, String) {
    let addresses = (1..).zip(fates).map(|(n, fate)| match fate {
        Fate::Connects => (origin.addr(), *fate),
        _ => (SocketAddr::from(([127, 0, 1, n], 1)), *fate),
    });
    let fates = Arc::new(Fates(addresses.collect(), Mutex::default()));
    let clock = HandClock::new();
    let mut configuration = configuration(origin);
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.clock = Arc::new(clock.clone());
    configuration.environment.resolver =
        Arc::new(Names(Ok(fates.0.iter().map(|(address, _)| *address).collect())));
    configuration.environment.dialler = fates.clone();
    (configuration, fates, clock, format!("http://two.example:{}/Peru", origin.port()))
}

#[test]
fn an_address_that_hangs_is_given_250_ms_before_the_next_is_tried() {
    on(Wire::H1, |origin| {
        let (configuration, fates, clock, url) = at(origin, &[Fate::Hangs, Fate::Connects]);
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        session.data_task(url).resume();
        clock.wait_for_sleeper(Duration::from_millis(250));
        clock.advance(Duration::from_millis(249));
        assert_eq!(*fates.1.lock().unwrap(), [Fate::Hangs]);
        clock.advance(Duration::from_millis(1));
        assert_eq!(text(&recorder.completed(1).data), "Lima");
        assert_eq!(*fates.1.lock().unwrap(), [Fate::Hangs, Fate::Connects]);
    });
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() {
    on(Wire::H1, |origin| {
        let (configuration, fates, _, url) = at(origin, &[Fate::Refuses, Fate::Refuses, Fate::Connects]);
        assert_eq!(text(&load(&UrlSession::new(configuration), url).unwrap().0), "Lima");
        assert_eq!(fates.1.lock().unwrap().len(), 3);
    });
}

#[test]
fn when_every_address_refuses_so_does_the_host() {
    on(Wire::H1, |origin| {
        let (configuration, fates, _, url) = at(origin, &[Fate::Refuses, Fate::Refuses]);
        let error = load(&UrlSession::new(configuration), url).unwrap_err();
        assert_eq!((error.code(), fates.1.lock().unwrap().len()), (UrlErrorCode::CannotConnectToHost, 2));
    });
}

/// A resolver that says how it looks names up: it knows one host, if any.
struct Telling(DomainResolutionProtocol, Vec<SocketAddr>);

impl Resolve for Telling {
    fn resolve(&self, host: &str, _: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        // The other name is the system's to know.
        (host == "two.example").then(|| Box::pin(ready(Ok(self.1.clone()))) as NetFuture<_>)
    }

    fn protocol(&self) -> DomainResolutionProtocol {
        self.0
    }
}

#[test]
fn metrics_say_how_a_resolver_of_the_application_looks_names_up() {
    use DomainResolutionProtocol as P;
    on(Wire::H1, |origin| {
        let told = |session: &UrlSession, host: &str| {
            let (task, _) = load_with_task(session, format!("http://{host}:{}/Peru", origin.port()));
            let metrics = task.metrics().unwrap();
            let only = &metrics.transaction_metrics[0];
            (only.domain_resolution_protocol, only.is_reused_connection, only.error.is_some())
        };
        for protocol in [P::Unknown, P::Udp, P::Tcp, P::Tls, P::Https] {
            let session_of = |addresses| {
                let mut configuration = configuration(origin);
                configuration.app_transport_security.allows_arbitrary_loads = true;
                configuration.environment.resolver = Arc::new(Telling(protocol, addresses));
                UrlSession::new(configuration)
            };
            let session = session_of(vec![origin.addr()]);
            assert_eq!(told(&session, "two.example"), (protocol, false, false));
            assert_eq!(told(&session, "two.example"), (P::Unknown, true, false));
            assert_eq!(told(&session_of(Vec::new()), "two.example"), (protocol, false, true));
            for not_asked in ["localhost", "127.0.0.1", "nowhere.invalid"] {
                assert_eq!(told(&session, not_asked).0, P::Unknown, "{not_asked}");
            }
        }
    });
}

/// A resolver that must not be asked.
struct Never;

impl Resolve for Never {
    fn resolve(&self, host: &str, _: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        panic!("it is asked for {host}");
    }
}

#[test]
fn names_of_this_machine_are_asked_of_no_resolver() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.environment.resolver = Arc::new(Never);
        let session = UrlSession::new(configuration);
        for host in ["localhost", "LocalHost", "localhost.", "a.localhost", "a.b.LOCALHOST."] {
            let (data, _) = load(&session, format!("http://{host}:{}/Peru", origin.port())).unwrap();
            assert_eq!(text(&data), "Lima", "{host}");
        }
    });
}

#[test]
fn a_name_without_an_address_and_a_resolver_that_fails_are_a_host_not_found() {
    for answer in [Ok(Vec::new()), Err(io::Error::other("no resolver"))] {
        let mut configuration = Configuration::ephemeral();
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.environment.resolver = Arc::new(Names(answer));
        let error = load(&UrlSession::new(configuration), "http://two.example/").unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotFindHost, "{error}");
    }
}

/// A server of one answer, without a network.
struct Canned {
    asked: Arc<Mutex<Vec<u8>>>,
    answer: &'static [u8],
}

impl futures_io::AsyncWrite for Canned {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.asked.lock().unwrap().extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl futures_io::AsyncRead for Canned {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // One byte at a time, as the slowest of servers.
        let n = self.answer.len().min(buf.len()).min(1);
        buf[..n].copy_from_slice(&self.answer[..n]);
        self.answer = &self.answer[n..];
        Poll::Ready(Ok(n))
    }
}

#[test]
fn a_socket_of_the_applications_own_carries_a_load() {
    struct Cans(Arc<Mutex<Vec<u8>>>);
    impl Dial for Cans {
        fn dial(&self, _: SocketAddr) -> Option<NetFuture<Box<dyn Socket>>> {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\ncanned";
            Some(Box::pin(ready(Ok(Box::new(Canned { asked: self.0.clone(), answer }) as Box<dyn Socket>))))
        }
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut configuration = Configuration::ephemeral();
    configuration.environment.dialler = Arc::new(Cans(asked.clone()));
    let (data, response) = load(&UrlSession::new(configuration), "http://127.0.0.1/beans?tin=1").unwrap();
    assert_eq!((text(&data), response.mime_type().as_deref()), ("canned", Some("text/plain")));
    let asked = String::from_utf8(asked.lock().unwrap().clone()).unwrap();
    assert!(asked.starts_with("GET /beans?tin=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n"));
}

#[test]
fn labels_with_a_hyphen_at_an_edge_are_names_of_hosts() {
    on(Wire::H1, |origin| {
        let mut configuration = configuration(origin);
        configuration.app_transport_security.allows_arbitrary_loads = true;
        configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
        let session = UrlSession::new(configuration);
        for host in ["-a.example", "a-.example", "-.example", "b.-a-.example"] {
            load(&session, format!("http://{host}:{}/Peru", origin.port())).unwrap();
            let sent = origin.requests().pop().unwrap();
            assert_eq!(sent.header("host"), Some(&*format!("{host}:{}", origin.port())));
        }
    });
}
