//! From an origin to a connection that can carry requests: addresses raced (RFC 8305), a proxy's tunnel if that is the
//! way, then TLS.
//!
//! It does not decide when to connect or how often; the pool does.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::dial_progress::DialProgress;
use super::dial_targets::{DialTarget, dial_targets};
use super::origin::Origin;
use super::reservation::{Reservation, Scope};
use super::route::{Proxy, Route};
use super::stream::Stream;
use super::tls::{HandshakeOutcome, Judge, Peer, Tls};
use super::tunnel::{Step, Tunnel, TunnelLogin};
use super::{dns, service, tunnel};
use crate::auth::LoginCache;
use crate::configuration::{Configuration, HttpVersions, MultipathServiceType};
use crate::env::{
    Clock, Dial, Interface, RuntimeHandle, SocketOptions, Timer, Wire, is_out_of_descriptors, system_dial,
    system_source,
};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BoxFuture, ConnectionInfo, Decider, DialRecord};
use crate::message::HostId;

/// A new connection and what is known of it.
pub(super) struct Connected {
    pub(super) stream: Stream,
    pub(super) info: ConnectionInfo,
    /// It was agreed to speak a protocol that carries many exchanges at a time.
    pub(super) is_multiplexed: bool,
    /// For whom it is.
    pub(super) reservation: Reservation,
}

/// Connects to an origin, whose host is an IPv6 literal only in brackets; `judge` is asked in its TLS handshake, and
/// when a proxy wants to know who one is. `progress` hears how far it has come.
pub(super) async fn connect(
    config: &Configuration,
    tls: &Tls,
    logins: &LoginCache,
    runtime: &RuntimeHandle,
    origin: &Origin,
    judge: Option<Judge<'_>>,
    progress: &DialProgress,
) -> Result<Connected> {
    if let Some(why) = runtime.why_without_sockets() {
        return Err(refused(origin.host_id(), origin.port, why));
    }
    let clock = &*config.environment.clock;
    let Origin { secure, port, .. } = *origin;
    let (leg, reached) = reach(config, logins, runtime, origin, judge, progress).await?;
    let Dialed { wire, remote, mut login } = reached;
    let (mut scope, mut identity_revision) = (Scope::Everyone, None);
    let local = wire.as_tcp().and_then(|stream| stream.local_addr().ok());
    progress.reached(local, remote);
    let mut info = ConnectionInfo::plain(DialRecord::default());
    info.interface = local.and_then(|local| interface(config, origin, local));
    let (stream, is_h2) = if secure {
        progress.secures(clock.now());
        let peer = Peer { host: origin.host_id(), port, is_http1_only: origin.partition.is_http1_only };
        let (mut wire, mut identity) = (wire, None);
        let stream = loop {
            match tls.handshake(config, peer, wire, judge, identity.take()).await? {
                HandshakeOutcome::Done(stream, outcome) => {
                    info.is_overridden = outcome.is_overridden;
                    info.peer = Some(outcome.peer);
                    info.client_certificate = outcome.client_certificate;
                    (scope, identity_revision) = (outcome.scope, outcome.revision);
                    break stream;
                }
                // Once: with an identity there is nothing more to ask for.
                HandshakeOutcome::WantsIdentity(wanted) => {
                    identity = Some(wanted);
                    (wire, _, login) = leg.wire(&[remote]).await?;
                }
            }
        };
        progress.secured(clock.now());
        let session = stream.session();
        info.tls_version = session.protocol_version().map(u16::from);
        info.tls_cipher_suite = session.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
        let is_h2 = session.alpn_protocol() == Some(b"h2");
        (Stream::Tls(stream), is_h2)
    } else {
        (Stream::Plain(wire), false)
    };
    if config.http_versions == HttpVersions::Http2 && !is_h2 {
        let detail =
            "the configuration allows only HTTP/2, which the server did not agree to in the TLS handshake";
        return Err(UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail));
    }
    if is_h2 {
        info.protocol = "h2";
    }
    progress.connected(clock.now());
    info.made = progress.so_far();
    let decider = judge.map_or(Decider::Platform, |(_, decider)| decider);
    let reservation = match login {
        TunnelLogin::None => Reservation::new(scope, identity_revision),
        TunnelLogin::Kept(revision) => {
            Reservation::new(scope, Some(identity_revision.map_or(revision, |other| other.min(revision))))
        }
        TunnelLogin::ForOnce => Reservation::new(scope.and(Scope::for_once(decider)), identity_revision),
    };
    Ok(Connected { stream, info, is_multiplexed: is_h2, reservation })
}

/// A wire that leads to the origin, by the first way that does.
async fn reach<'a>(
    config: &'a Configuration,
    logins: &'a LoginCache,
    runtime: &'a RuntimeHandle,
    origin: &'a Origin,
    judge: Option<Judge<'a>>,
    progress: &'a DialProgress,
) -> Result<(RouteAttempt<'a>, Dialed)> {
    let mut route = origin.partition.route;
    loop {
        progress.begin(route != Route::Direct);
        let leg = RouteAttempt { config, logins, runtime, origin, judge, route, progress };
        let error = match leg.reach().await {
            Ok(reached) => return Ok((leg, reached)),
            Err(error) => error,
        };
        match route.after(config, origin.secure, &origin.host) {
            Some(next) if error.code() != UrlErrorCode::Cancelled => route = next,
            _ => return Err(error),
        }
    }
}

/// A way to an origin, as far as TLS.
struct RouteAttempt<'a> {
    config: &'a Configuration,
    logins: &'a LoginCache,
    runtime: &'a RuntimeHandle,
    origin: &'a Origin,
    judge: Option<Judge<'a>>,
    route: Route,
    progress: &'a DialProgress,
}

struct Dialed {
    wire: Wire,
    remote: SocketAddr,
    login: TunnelLogin,
}

impl RouteAttempt<'_> {
    async fn reach(&self) -> Result<Dialed> {
        let env = &self.config.environment;
        let (HostId { name: host, zone }, port) = self.end();
        let resolved = match zone {
            Some(zone) => dns::in_zone(self.runtime, host, zone, port).await,
            None => {
                dns::resolve(env, self.runtime, host, port, self.origin.partition.is_validated, self.progress)
                    .await
            }
        };
        let addresses = resolved.map_err(|error| self.blame(error))?;
        self.progress.connects(env.clock.now());
        let (wire, remote, login) = self.wire(&addresses).await?;
        Ok(Dialed { wire, remote, login })
    }

    /// A connection to one of the addresses, and through the tunnel if there is one.
    async fn wire(&self, addresses: &[SocketAddr]) -> Result<(Wire, SocketAddr, TunnelLogin)> {
        let (mut wire, mut remote) = self.dial(addresses).await?;
        let Some(proxy) = self.tunnel() else { return Ok((wire, remote, TunnelLogin::None)) };
        let Self { config, logins, runtime, origin, judge, .. } = *self;
        let challenger = judge.map(|(challenger, _)| challenger);
        let target = tunnel::target(origin);
        let mut tunnel = Tunnel::new(config, runtime, proxy, &target, logins, challenger);
        let mut is_reused = false;
        loop {
            match tunnel.step(wire, is_reused).await? {
                Step::Open(open, login) => return Ok((open, remote, login)),
                Step::Again(Some(same)) => (wire, is_reused) = (same, true),
                Step::Again(None) => {
                    (wire, remote) = self.dial(&[remote]).await?;
                    is_reused = false;
                }
            }
        }
    }

    async fn dial(&self, addresses: &[SocketAddr]) -> Result<(Wire, SocketAddr)> {
        let forbidden = self.origin.partition.forbidden;
        let options = SocketOptions {
            traffic_class: service::traffic_class(self.origin.partition.service),
            // Other paths might be forbidden ones.
            is_multipath: self.config.multipath_service_type != MultipathServiceType::None
                && forbidden.is_empty(),
        };
        let env = &self.config.environment;
        let raced = match forbidden.is_empty() {
            true => {
                let targets = addresses.iter().map(|address| DialTarget { address: *address, over: None });
                race(&*env.clock, &*env.dialler, options, self.runtime, targets, self.progress).await
            }
            // In a box: other dials do not carry it.
            false => match dial_targets(&*env.path, forbidden, addresses, system_source) {
                targets if targets.is_empty() => Err(io::ErrorKind::NetworkUnreachable.into()),
                targets => {
                    let race = race(
                        &*env.clock,
                        &*env.dialler,
                        options,
                        self.runtime,
                        targets.into_iter(),
                        self.progress,
                    );
                    Box::pin(race).await
                }
            },
        };
        let (host, port) = self.end();
        raced.map_err(|error| self.blame(refused(host, port, error)))
    }

    /// The other end of the wire: the proxy, or the origin, which for a forward proxy is the proxy.
    fn end(&self) -> (HostId<'_>, u16) {
        match self.tunnel() {
            Some(proxy) => (HostId::global(proxy.host), proxy.port),
            None => (self.origin.host_id(), self.origin.port),
        }
    }

    fn tunnel(&self) -> Option<Proxy<'_>> {
        match self.route {
            Route::Tunnel(_) => self.route.proxy(self.config),
            Route::Direct | Route::Forward => None,
        }
    }

    /// An error on the way to a proxy says so.
    fn blame(&self, error: UrlError) -> UrlError {
        if self.route == Route::Direct {
            return error;
        }
        let detail = format!("the proxy cannot be reached: {}", error.detail());
        UrlError::new(error.code(), error.phase(), detail).with_source(error)
    }
}

/// The interface of a connection that leaves this machine, in sessions to which it matters: the system's list of
/// interfaces is not read for others.
fn interface(config: &Configuration, origin: &Origin, local: SocketAddr) -> Option<Interface> {
    let address = local.ip().to_canonical();
    let matters = config.depends_on_path() || !origin.partition.forbidden.is_empty();
    if address.is_loopback() || !matters {
        return None;
    }
    let path = config.environment.path.status()?;
    path.interfaces.into_iter().find(|interface| interface.addresses.contains(&address))
}

fn refused(host: HostId<'_>, port: u16, error: io::Error) -> UrlError {
    if is_out_of_descriptors(&error) {
        return dns::too_many_open_files(Phase::Connect, error);
    }
    let detail = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{host} refuses connections on port {port}"),
        _ if lacks_zone(host) => {
            format!(
                "{host} is a link-local address, which needs a zone: the name of an interface, as in [fe80::1%eth0]"
            )
        }
        _ => format!("no address of {host} answers on port {port}"),
    };
    UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail).with_source(error)
}

/// RFC 4007 §6: the address does not tell on which link it is.
fn lacks_zone(host: HostId<'_>) -> bool {
    let address = host.name.trim_start_matches('[').trim_end_matches(']').parse::<Ipv6Addr>();
    host.zone.is_none() && address.is_ok_and(|address| address.is_unicast_link_local())
}

/// Dials in turn, the next one when the last failed or 250 ms have passed without an answer
/// (RFC 8305 §5); the first connection wins, the others are dropped.
async fn race(
    clock: &dyn Clock,
    dialler: &dyn Dial,
    options: SocketOptions,
    runtime: &RuntimeHandle,
    mut rest: impl ExactSizeIterator<Item = DialTarget>,
    progress: &DialProgress,
) -> io::Result<(Wire, SocketAddr)> {
    let mut race = Race { running: Vec::new(), last_error: None };
    loop {
        // This machine itself answers or refuses at once.
        let mut may_hang = true;
        match rest.next() {
            Some(target) => {
                may_hang = !is_own(target.address.ip());
                progress.tries(target.address);
                race.running.push((target.address, dial(dialler, target, options)));
            }
            None if race.running.is_empty() => {
                return Err(race.last_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
        let patience = (rest.len() > 0 && may_hang).then(|| clock.now() + ATTEMPT_DELAY);
        if let Some(winner) = race.until(clock, runtime, patience).await {
            return Ok(winner);
        }
        // There is none for another address either.
        if race.running.is_empty()
            && let Some(error) = race.last_error.take_if(|error| is_out_of_descriptors(error))
        {
            return Err(error);
        }
    }
}

struct Race {
    running: Vec<(SocketAddr, BoxFuture<'static, io::Result<Wire>>)>,
    last_error: Option<io::Error>,
}

impl Race {
    /// The winner; `None` when the time is up or an attempt has failed, so that the next may begin.
    async fn until(
        &mut self,
        clock: &dyn Clock,
        runtime: &RuntimeHandle,
        deadline: Option<Instant>,
    ) -> Option<(Wire, SocketAddr)> {
        match deadline {
            None => poll_fn(|cx| self.poll(cx)).await,
            Some(deadline) => {
                let mut timer = pin!(Timer::at(clock, runtime, deadline));
                poll_fn(|cx| match self.poll(cx) {
                    Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
                    ready => ready,
                })
                .await
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Wire, SocketAddr)>> {
        let mut failed = false;
        let mut at = 0;
        while at < self.running.len() {
            let (address, attempt) = &mut self.running[at];
            match Pin::new(attempt).poll(cx) {
                Poll::Ready(Ok(wire)) => return Poll::Ready(Some((wire, *address))),
                Poll::Ready(Err(error)) => {
                    // What a host says tells more than that there is no way to another of its addresses.
                    if self.last_error.is_none() || !is_unrouted(&error) {
                        self.last_error = Some(error);
                    }
                    drop(self.running.swap_remove(at));
                    failed = true;
                }
                Poll::Pending => at += 1,
            }
        }
        if failed { Poll::Ready(None) } else { Poll::Pending }
    }
}

fn dial(
    dialler: &dyn Dial,
    target: DialTarget,
    options: SocketOptions,
) -> BoxFuture<'static, io::Result<Wire>> {
    let DialTarget { address, over } = target;
    let own = match &over {
        None => dialler.dial(address),
        Some(interface) => dialler.dial_over(address, interface),
    };
    match own {
        Some(dialling) => Box::pin(async move { Ok(Wire::custom(dialling.await?)) }),
        None => Box::pin(async move { Ok(Wire::tcp(system_dial(address, options, over.as_deref()).await?)) }),
    }
}

fn is_own(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

fn is_unrouted(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
}

/// RFC 8305 §8, "Connection Attempt Delay".
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::super::origin::PoolPartition;
    use super::*;
    use crate::env::Environment;
    use crate::message::NetworkServiceType;

    /// Connects to a listener on this machine and looks at the socket.
    fn socket(config: &Configuration, ip: &str, service: NetworkServiceType) -> Option<socket2::Socket> {
        let listener = TcpListener::bind((ip, 0)).ok()?;
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let origin = Origin {
            secure: false,
            host: host.into(),
            port: listener.local_addr().unwrap().port(),
            zone: None,
            partition: PoolPartition { service, is_validated: true, ..PoolPartition::default() },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connected = runtime.block_on(async {
            connect(
                config,
                &Tls::default(),
                &LoginCache::default(),
                &RuntimeHandle::current(),
                &origin,
                None,
                &DialProgress::default(),
            )
            .await
            .unwrap_or_else(|e| panic!("{e}"))
        });
        let Stream::Plain(wire) = connected.stream else { panic!("cleartext was asked for") };
        let stream = socket2::SockRef::from(wire.as_tcp().unwrap()).try_clone().unwrap();
        Some(stream)
    }

    #[test]
    fn packets_carry_the_mark_of_their_service_type() {
        let config = Configuration { environment: Environment::default(), ..Configuration::ephemeral() };
        for (service, mark) in [
            (NetworkServiceType::Default, 0),
            (NetworkServiceType::Background, 8 << 2),
            (NetworkServiceType::ResponsiveData, 18 << 2),
            (NetworkServiceType::AvStreaming, 26 << 2),
            (NetworkServiceType::ResponsiveAv, 32 << 2),
            (NetworkServiceType::Video, 34 << 2),
            (NetworkServiceType::CallSignaling, 40 << 2),
            (NetworkServiceType::Voice, 46 << 2),
        ] {
            assert_eq!(socket(&config, "127.0.0.1", service).unwrap().tos_v4().unwrap(), mark, "{service:?}");
            // A machine without IPv6 has nothing to mark.
            if let Some(socket) = socket(&config, "::1", service) {
                assert_eq!(socket.tclass_v6().unwrap(), mark, "{service:?}");
            }
        }
    }

    #[test]
    fn multipath_tcp_is_spoken_only_if_asked_for_and_where_the_system_has_it() {
        let has_it = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::MPTCP),
        )
        .is_ok();
        for (kind, expected) in [
            (MultipathServiceType::None, socket2::Protocol::TCP),
            (MultipathServiceType::Handover, socket2::Protocol::MPTCP),
            (MultipathServiceType::Interactive, socket2::Protocol::MPTCP),
            (MultipathServiceType::Aggregate, socket2::Protocol::MPTCP),
        ] {
            let expected = if has_it { expected } else { socket2::Protocol::TCP };
            let config = Configuration { multipath_service_type: kind, ..Configuration::ephemeral() };
            let socket = socket(&config, "127.0.0.1", NetworkServiceType::Voice).unwrap();
            assert_eq!(socket.protocol().unwrap(), Some(expected), "{kind:?}");
            assert_eq!(socket.tos_v4().unwrap(), 46 << 2, "{kind:?}");
            assert!(socket.tcp_nodelay().unwrap(), "{kind:?}");
        }
    }
}
