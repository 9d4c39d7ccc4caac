//! Connects to an origin: dials the first route that leads there, then secures the stream if the scheme of the origin
//! requires TLS.
//!
//! It does not decide when to connect or how often; the pool does.

use std::net::SocketAddr;

use super::dial::{DialOptions, Dialed, Dialer, Endpoint, dial, dial_again};
use super::dial_progress::DialProgress;
use super::origin::Origin;
use super::reservation::{Reservation, Scope};
use super::route::Routes;
use super::stream::Stream;
use super::tls::{HandshakeOutcome, Judge, Peer, Protocols, Tls, TlsProfile, secure};
use super::tunnel::TunnelLogin;
use crate::auth::LoginCache;
use crate::configuration::{Configuration, HttpVersions};
use crate::env::{Interface, RuntimeHandle};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{ConnectionInfo, Decider, DialRecord, Route};

/// A new connection and its properties.
pub(super) struct Connected {
    pub(super) stream: Stream,
    pub(super) info: ConnectionInfo,
    /// The negotiated protocol carries many exchanges at a time.
    pub(super) is_multiplexed: bool,
    /// The requests that it may serve.
    pub(super) reservation: Reservation,
}

/// Connects to an origin. `judge` decides in the TLS handshake, and when a proxy requires authentication. `progress` receives
/// the progress.
pub(super) async fn connect(
    config: &Configuration,
    tls: &Tls,
    (routes, logins): (&Routes, &LoginCache),
    runtime: &RuntimeHandle,
    origin: &Origin,
    judge: Option<Judge<'_>>,
    progress: &DialProgress,
) -> Result<Connected> {
    let clock = &*config.environment.clock;
    let to = Endpoint { host: origin.host_id(), port: origin.port };
    let partition = origin.partition;
    let options = DialOptions {
        service: partition.service,
        is_validated: partition.is_validated,
        forbidden: partition.forbidden,
    };
    let challenger = judge.map(|(challenger, _)| challenger);
    let dialer = Dialer { config, runtime, logins, challenger, options, progress };
    let (route, dialed) = dial_first(dialer, routes, to, origin).await?;
    let Dialed { mut stream, remote, local, mut login } = dialed;
    let (mut scope, mut identity_revision) = (Scope::Everyone, None);
    progress.reached(local, remote);
    let mut info = ConnectionInfo::plain(DialRecord::default());
    info.interface = local.and_then(|local| interface(config, origin, local));
    if origin.secure {
        progress.secures(clock.now());
        let protocols = protocols(config.http_versions, partition.is_http1_only);
        let profile = TlsProfile { peer: Peer { host: to.host, port: to.port }, protocols };
        let mut identity = None;
        stream = loop {
            match secure(tls, config, stream, profile, judge, identity.take()).await? {
                HandshakeOutcome::Done(stream, outcome) => {
                    info.is_overridden = outcome.is_overridden;
                    info.peer = Some(outcome.peer);
                    info.client_certificate = outcome.client_certificate;
                    (scope, identity_revision) = (outcome.scope, outcome.revision);
                    break stream;
                }
                // Once: with an identity no further request is possible.
                HandshakeOutcome::WantsIdentity(wanted) => {
                    identity = Some(wanted);
                    Dialed { stream, login, .. } = dial_again(dialer, to, &route, remote).await?;
                }
            }
        };
        progress.secured(clock.now());
    }
    let session = stream.tls_session();
    info.tls_version = session.and_then(|session| session.protocol_version()).map(u16::from);
    let suite = session.and_then(|session| session.negotiated_cipher_suite());
    info.tls_cipher_suite = suite.map(|suite| u16::from(suite.suite()));
    let is_multiplexed = session.and_then(|session| session.alpn_protocol()) == Some(b"h2");
    if config.http_versions == HttpVersions::Http2 && !is_multiplexed {
        let detail =
            "the configuration allows only HTTP/2, which the server did not agree to in the TLS handshake";
        return Err(UrlError::new(UrlErrorCode::CannotConnectToHost, Phase::Connect, detail));
    }
    if is_multiplexed {
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
    Ok(Connected { stream, info, is_multiplexed, reservation })
}

/// The versions of HTTP that are offered, as their names (RFC 9112 §12, RFC 9113 §3.2).
fn protocols(versions: HttpVersions, is_http1_only: bool) -> Protocols {
    match versions {
        HttpVersions::Automatic if !is_http1_only => &[b"h2", b"http/1.1"],
        HttpVersions::Http2 if !is_http1_only => &[b"h2"],
        _ => &[b"http/1.1"],
    }
}

/// By the first route that leads to the origin.
async fn dial_first(
    dialer: Dialer<'_>,
    routes: &Routes,
    to: Endpoint<'_>,
    origin: &Origin,
) -> Result<(Route, Dialed)> {
    let mut route = origin.route.clone();
    loop {
        let error = match dial(dialer, to, &route).await {
            Ok(dialed) => return Ok((route, dialed)),
            Err(error) => error,
        };
        match routes.after(&route, dialer.config, origin.secure, &origin.host) {
            Some(next) if error.code() != UrlErrorCode::Cancelled => route = next,
            _ => return Err(error),
        }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::super::origin::PoolPartition;
    use super::*;
    use crate::configuration::MultipathServiceType;
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
            route: Route::Direct,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connected = runtime.block_on(async {
            connect(
                config,
                &Tls::default(),
                (&Routes::new(config), &LoginCache::default()),
                &RuntimeHandle::current().unwrap(),
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
