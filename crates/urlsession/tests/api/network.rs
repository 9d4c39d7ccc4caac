//! Names, addresses and sockets of the application's own.

use std::future::{Future, pending, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use urlsession::environment::{Dial, Interface, Resolve, Socket};
use urlsession::metrics::DomainResolutionProtocol;
use urlsession::{Configuration, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, Proxy, TestAuthority, Wire};

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
    fn dial(&self, address: SocketAddr, _: Option<&Interface>) -> Option<NetFuture<Socket>> {
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

impl AsyncWrite for Canned {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.asked.lock().unwrap().extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Canned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // One byte at a time, as the slowest of servers.
        let n = self.answer.len().min(buf.remaining()).min(1);
        buf.put_slice(&self.answer[..n]);
        self.answer = &self.answer[n..];
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_socket_of_the_applications_own_carries_a_load() {
    struct Cans(Arc<Mutex<Vec<u8>>>);
    impl Dial for Cans {
        fn dial(&self, _: SocketAddr, _: Option<&Interface>) -> Option<NetFuture<Socket>> {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\ncanned";
            Some(Box::pin(ready(Ok(Socket::new(Canned { asked: self.0.clone(), answer })))))
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

/// Reaches one origin by any name, over a pipe in memory; no address is dialled.
struct ByName(SocketAddr, Mutex<Vec<(String, u16)>>);

impl Dial for ByName {
    fn dial(&self, address: SocketAddr, _: Option<&Interface>) -> Option<NetFuture<Socket>> {
        panic!("{address} is dialled")
    }

    fn dial_host(&self, host: &str, port: u16, allowed: Option<&[Interface]>) -> Option<NetFuture<Socket>> {
        assert!(allowed.is_none());
        self.1.lock().unwrap().push((host.to_owned(), port));
        let (origin, is_down) = (self.0, host == "down.example");
        Some(Box::pin(async move {
            if is_down {
                return Err(io::Error::other("it is down"));
            }
            let mut stream = tokio::net::TcpStream::connect(origin).await?;
            let (ours, mut theirs) = tokio::io::duplex(1024);
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut theirs, &mut stream).await });
            Ok(Socket::new(ours))
        }))
    }
}

/// Nobody asks it.
struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, host: &str, _: u16) -> Option<NetFuture<Vec<SocketAddr>>> {
        panic!("{host} is looked up")
    }
}

fn by_name(origin: &Origin, to: SocketAddr) -> (Configuration, Arc<ByName>) {
    let dialler = Arc::new(ByName(to, Mutex::default()));
    let mut configuration = configuration(origin);
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.resolver = Arc::new(NoNames);
    configuration.environment.dialler = dialler.clone();
    (configuration, dialler)
}

#[test]
fn a_dialler_that_reaches_names_is_given_them_and_nothing_is_looked_up() {
    for wire in WIRES {
        let certificate = TestAuthority::new().leaf(&["two.example"]);
        let origin = Origin::builder().wire(wire).certificate(certificate).start();
        let (configuration, dialler) = by_name(&origin, origin.addr());
        let (session, recorder) = with_recorder(configuration, Recorder::new());
        let scheme = if wire == Wire::H1 { "http" } else { "https" };
        session.data_task(format!("{scheme}://two.example:7/Peru")).resume();
        let log = recorder.completed(1);
        assert!(log.completions[0].is_none(), "{wire:?}: {:?}", log.completions);
        assert_eq!(text(&log.data), "Lima");
        let transaction = &log.metrics[0].transaction_metrics[0];
        assert!(transaction.domain_lookup_start_date.is_none() && transaction.connect_start_date.is_some());
        assert_eq!(transaction.remote_address, None);
        assert_eq!(*dialler.1.lock().unwrap(), [("two.example".to_owned(), 7)], "{wire:?}");
        let error = load(&session, format!("{scheme}://down.example/")).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
        assert!(error.to_string().contains("does not reach down.example on port"), "{error}");
        assert!(error.to_string().contains("it is down"), "{error}");
    }
}

#[test]
fn a_dialler_that_reaches_names_is_given_that_of_a_proxy() {
    let certificate = TestAuthority::new().leaf(&["localhost"]);
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(certificate).start();
    let proxy = Proxy::start();
    let (mut configuration, dialler) = by_name(&origin, proxy.addr());
    configuration.connection_proxy_dictionary =
        Some(urlsession::network::ProxyDictionary::with_proxy("proxy.example", 3128));
    let url = format!("https://localhost:{}/Peru", origin.port());
    assert_eq!(text(&load(&UrlSession::new(configuration), url).unwrap().0), "Lima");
    assert_eq!(*dialler.1.lock().unwrap(), [("proxy.example".to_owned(), 3128)]);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_serves_every_host_without_a_network() {
    use std::io::{Read, Write};
    use urlsession::environment::UnixSocket;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            asked.push(String::from_utf8_lossy(&request[..n]).into_owned());
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nLima")
                .unwrap();
        }
        asked
    });
    let mut configuration = Configuration::ephemeral();
    configuration.app_transport_security.allows_arbitrary_loads = true;
    configuration.environment.resolver = Arc::new(NoNames);
    configuration.environment.dialler = Arc::new(UnixSocket::new(&path));
    let session = UrlSession::new(configuration.clone());
    for url in ["http://localhost/version", "http://daemon/version"] {
        assert_eq!(text(&load(&session, url).unwrap().0), "Lima");
    }
    let asked = serving.join().unwrap();
    assert!(asked[1].starts_with("GET /version HTTP/1.1\r\nHost: daemon\r\n"), "{asked:?}");
    configuration.environment.dialler = Arc::new(UnixSocket::new(folder.path().join("none")));
    let error = load(&UrlSession::new(configuration), "http://localhost/").unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::CannotConnectToHost);
    assert!(error.to_string().contains("none"), "{error}");
}
