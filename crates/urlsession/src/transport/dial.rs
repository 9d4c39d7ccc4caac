//! `dial`: a stream of bytes to a host and port, by a route: addresses raced (RFC 8305), then the tunnels of the proxies on
//! the way. It does not depend on the protocol on the stream, or on its owner.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::dial_progress::DialProgress;
use super::dial_targets::{DialTarget, allowed_interfaces, dial_targets};
use super::stream::Stream;
use super::tunnel::{Step, Tunnel, TunnelLogin};
use super::{dns, service};
use crate::auth::LoginCache;
use crate::configuration::{Configuration, MultipathServiceType};
use crate::env::{
    Clock, Dial, ForbiddenNetworks, RuntimeHandle, Socket, SocketOptions, Timer, Wire, is_out_of_descriptors,
    system_dial, system_source,
};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BoxFuture, ConnectionChallengeHandler, Hop, ProxyKind, Route};
use crate::message::{HostId, NetworkServiceType};

/// The destination of a connection. A host is an IPv6 literal only in brackets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint<'a> {
    pub(super) host: HostId<'a>,
    pub(super) port: u16,
}

/// The requirements on the networks on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DialOptions {
    pub(super) service: NetworkServiceType,
    /// Names are looked up with DNSSEC.
    pub(super) is_validated: bool,
    pub(super) forbidden: ForbiddenNetworks,
}

/// The context of a dial.
#[derive(Clone, Copy)]
pub(super) struct Dialer<'a> {
    pub(super) config: &'a Configuration,
    pub(super) runtime: &'a RuntimeHandle,
    /// With the proxies on the way.
    pub(super) logins: &'a LoginCache,
    /// Receives the challenges of proxies.
    pub(super) challenger: Option<&'a Arc<dyn ConnectionChallengeHandler>>,
    pub(super) options: DialOptions,
    /// Receives the progress.
    pub(super) progress: &'a DialProgress,
}

/// A stream to the destination.
pub(super) struct Dialed {
    pub(super) stream: Stream,
    /// The first machine on the way, if its address is known.
    pub(super) remote: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    /// The logins for which the proxies on the way have made their tunnels.
    pub(super) login: TunnelLogin,
}

/// Dials `to` by `route`. With a forward proxy the stream ends at the proxy.
pub(super) async fn dial(dialer: Dialer<'_>, to: Endpoint<'_>, route: &Route) -> Result<Dialed> {
    let Dialer { config, runtime, options, progress, .. } = dialer;
    if let Some(why) = runtime.why_without_sockets() {
        return Err(refused(to, why));
    }
    progress.begin(!route.is_direct());
    let first = first(to, route);
    let (env, Endpoint { host: HostId { name: host, zone }, port }) = (&config.environment, first);
    if let Some(dialling) = dial_host(dialer, first) {
        progress.connects(env.clock.now());
        return dial_by(dialer, to, route, FirstHop::Dialling(dialling)).await;
    }
    let resolved = match zone {
        Some(zone) => dns::in_zone(runtime, host, zone, port).await,
        None => dns::resolve(env, runtime, host, port, options.is_validated, progress).await,
    };
    let addresses = resolved.map_err(|error| blame(route, error))?;
    progress.connects(env.clock.now());
    dial_by(dialer, to, route, FirstHop::At(&addresses)).await
}

/// The same once more, when `remote` is known to be there.
pub(super) async fn dial_again(
    dialer: Dialer<'_>,
    to: Endpoint<'_>,
    route: &Route,
    remote: Option<SocketAddr>,
) -> Result<Dialed> {
    dial_by(dialer, to, route, again(dialer, first(to, route), &remote)?).await
}

/// How the first machine on the way is reached.
enum FirstHop<'a> {
    /// At one of these addresses.
    At(&'a [SocketAddr]),
    /// As the application's own dialler does it.
    Dialling(BoxFuture<'static, io::Result<Socket>>),
}

/// The connection by the application's own dialler to a host whose name is not looked up.
fn dial_host(dialer: Dialer<'_>, host: Endpoint<'_>) -> Option<BoxFuture<'static, io::Result<Socket>>> {
    let (env, options) = (&dialer.config.environment, dialer.options);
    if options.is_validated {
        return None;
    }
    let allowed = allowed_interfaces(&*env.path, options.forbidden);
    env.dialler.dial_host(&host.host.text(), host.port, allowed.as_deref())
}

/// The way to the first machine once more: its address if that is known.
fn again<'a>(
    dialer: Dialer<'_>,
    first: Endpoint<'_>,
    remote: &'a Option<SocketAddr>,
) -> Result<FirstHop<'a>> {
    if let Some(remote) = remote {
        return Ok(FirstHop::At(std::slice::from_ref(remote)));
    }
    dial_host(dialer, first).map(FirstHop::Dialling).ok_or_else(|| {
        let detail = format!("the application's dialler has reached {}, and does not again", first.host);
        UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail)
    })
}

async fn dial_by(
    dialer: Dialer<'_>,
    to: Endpoint<'_>,
    route: &Route,
    first_hop: FirstHop<'_>,
) -> Result<Dialed> {
    let tunnels = if route.is_tunnel() { route.hops() } else { &[] };
    let Reached { wire, remote, login } = match tunnels.is_empty() {
        true => connect_socket(dialer, to, route, first_hop).await?,
        false => reach(dialer, to, route, first_hop, tunnels).await?,
    };
    let local = wire.as_tcp().and_then(|stream| stream.local_addr().ok());
    Ok(Dialed { stream: Stream::Plain(wire), remote, local, login })
}

/// The first machine on the way. What a proxy is asked for URLs, its connection leads nowhere else.
fn first<'a>(to: Endpoint<'a>, route: &'a Route) -> Endpoint<'a> {
    match route.hops().first() {
        Some(Hop { host, port, .. }) => Endpoint { host: HostId::global(host), port: *port },
        None => to,
    }
}

struct Reached {
    wire: Wire,
    remote: Option<SocketAddr>,
    login: TunnelLogin,
}

/// A wire to the first machine, and through the tunnels that these proxies make, the last of them to `to`. In a box: the
/// way to a proxy may itself lead through one.
fn reach<'a>(
    dialer: Dialer<'a>,
    to: Endpoint<'a>,
    route: &'a Route,
    first_hop: FirstHop<'a>,
    tunnels: &'a [Hop],
) -> BoxFuture<'a, Result<Reached>> {
    Box::pin(async move {
        let Some((proxy, before)) = tunnels.split_last() else {
            return connect_socket(dialer, to, route, first_hop).await;
        };
        let target = format!("{}:{}", to.host.name, to.port);
        let Dialer { config, runtime, logins, challenger, .. } = dialer;
        let mut tunnel = match proxy.kind {
            ProxyKind::Http => Tunnel::new(config, runtime, proxy, &target, logins, challenger),
        };
        let proxy = Endpoint { host: HostId::global(&proxy.host), port: proxy.port };
        let mut reached = reach(dialer, proxy, route, first_hop, before).await?;
        let mut is_reused = false;
        loop {
            match tunnel.step(reached.wire, is_reused).await? {
                Step::Open(wire, login) => {
                    return Ok(Reached { wire, remote: reached.remote, login: login.and(reached.login) });
                }
                Step::Again(Some(same)) => (reached.wire, is_reused) = (same, true),
                Step::Again(None) => {
                    let remote = reached.remote;
                    let first_hop = again(dialer, first(proxy, route), &remote)?;
                    reached = reach(dialer, proxy, route, first_hop, before).await?;
                    is_reused = false;
                }
            }
        }
    })
}

async fn connect_socket(
    dialer: Dialer<'_>,
    to: Endpoint<'_>,
    route: &Route,
    first_hop: FirstHop<'_>,
) -> Result<Reached> {
    let addresses = match first_hop {
        FirstHop::At(addresses) => addresses,
        FirstHop::Dialling(dialling) => {
            let dialled = dialling.await;
            let socket = dialled.map_err(|error| blame(route, not_dialled(first(to, route), error)))?;
            return Ok(Reached { wire: Wire::custom(socket), remote: None, login: TunnelLogin::None });
        }
    };
    let Dialer { config, runtime, options: DialOptions { service, forbidden, .. }, progress, .. } = dialer;
    let options = SocketOptions {
        traffic_class: service::traffic_class(service),
        // Other paths might be forbidden ones.
        is_multipath: config.multipath_service_type != MultipathServiceType::None && forbidden.is_empty(),
    };
    let env = &config.environment;
    let raced = match forbidden.is_empty() {
        true => {
            let targets = addresses.iter().map(|address| DialTarget { address: *address, over: None });
            race(&*env.clock, &*env.dialler, options, runtime, targets, progress).await
        }
        // In a box: other dials do not carry it.
        false => match dial_targets(&*env.path, forbidden, addresses, system_source) {
            targets if targets.is_empty() => Err(io::ErrorKind::NetworkUnreachable.into()),
            targets => {
                let targets = targets.into_iter();
                Box::pin(race(&*env.clock, &*env.dialler, options, runtime, targets, progress)).await
            }
        },
    };
    let (wire, remote) = raced.map_err(|error| blame(route, refused(first(to, route), error)))?;
    Ok(Reached { wire, remote: Some(remote), login: TunnelLogin::None })
}

/// Marks an error as one on the way to a proxy.
fn blame(route: &Route, error: UrlError) -> UrlError {
    if route.is_direct() {
        return error;
    }
    let detail = format!("the proxy cannot be reached: {}", error.detail());
    UrlError::new(error.code(), error.phase(), detail).with_source(error)
}

fn not_dialled(Endpoint { host, port }: Endpoint<'_>, error: io::Error) -> UrlError {
    if is_out_of_descriptors(&error) {
        return dns::too_many_open_files(Phase::Connect, error);
    }
    let detail = format!("the application's dialler does not reach {host} on port {port}: {error}");
    UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail).with_source(error)
}

fn refused(Endpoint { host, port }: Endpoint<'_>, error: io::Error) -> UrlError {
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
                race.running.push((target.address, open_socket(dialler, target, options)));
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
                    // An error from the host is more specific than an unreachable address.
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

fn open_socket(
    dialler: &dyn Dial,
    target: DialTarget,
    options: SocketOptions,
) -> BoxFuture<'static, io::Result<Wire>> {
    let DialTarget { address, over } = target;
    match dialler.dial(address, over.as_deref()) {
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

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
