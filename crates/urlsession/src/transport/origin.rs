//! The key by which connections are pooled: scheme, host and port (RFC 6454 §4), and the partition. Requests to a proxy are
//! pooled by the proxy.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::Equivalent;
use url::Url;
use urlsession_proto::scheme::Scheme;

use crate::configuration::Configuration;
use crate::env::ForbiddenNetworks;
use crate::load::Route;
use crate::message::{HostId, NetworkServiceType, UrlRequest};

/// An origin, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) secure: bool,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Of an IPv6 address (RFC 4007 §11).
    pub(crate) zone: Option<Box<str>>,
    pub(crate) partition: PoolPartition,
    /// The route.
    pub(crate) route: Route,
}

/// Partitions the traffic to one origin: a connection is marked for one service type; if its name was not validated, it serves
/// no request that requires validation; if it may use any network, it serves no request that forbids some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolPartition {
    pub(crate) service: NetworkServiceType,
    pub(crate) is_validated: bool,
    /// HTTP/2 is not offered in the TLS handshake.
    pub(crate) is_http1_only: bool,
    pub(crate) forbidden: ForbiddenNetworks,
}

/// An origin, to look for: a lookup allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    secure: bool,
    host: HostId<'a>,
    port: u16,
    partition: PoolPartition,
    route: &'a Route,
}

impl PoolPartition {
    /// The request's service type wins unless it is the default; of the two demands of validation the stricter.
    pub(crate) fn of(config: &Configuration, request: &UrlRequest) -> Self {
        let service = match request.network_service_type() {
            NetworkServiceType::Default => config.network_service_type,
            own => own,
        };
        let is_validated = config.requires_dnssec_validation || request.requires_dnssec_validation();
        let forbidden = ForbiddenNetworks::default();
        Self { service, is_validated, is_http1_only: false, forbidden }
    }
}

/// All but the host and the route in one word, for the speed of lookups.
impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let partition = self.partition.forbidden.bits() << 10
            | (self.partition.service as u32) << 2
            | u32::from(self.partition.is_http1_only) << 1
            | u32::from(self.partition.is_validated);
        state.write(self.host.name.as_bytes());
        state.write_u32(u32::from(self.port) << 16 | partition << 1 | u32::from(self.secure));
    }
}

impl<'a> Key<'a> {
    /// `None` for a URL without a host.
    pub(crate) fn of(url: &'a Url, partition: PoolPartition) -> Option<Self> {
        let scheme = Scheme::of(url);
        let secure = scheme.is_secure();
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let port = url.port().or(scheme.default_port())?;
        Some(Self { secure, host: HostId::global(host), port, partition, route: &Route::Direct })
    }

    /// The same of the host in this zone.
    pub(crate) fn in_zone(mut self, zone: Option<&'a str>) -> Self {
        self.host.zone = zone;
        self
    }

    /// The same over none of these networks.
    pub(crate) fn avoiding(mut self, forbidden: ForbiddenNetworks) -> Self {
        self.partition.forbidden = forbidden;
        self
    }

    /// The same by this route.
    pub(crate) fn routed(mut self, route: &'a Route) -> Self {
        self.route = route;
        // A connection to the proxy carries requests for every origin.
        if let Some(proxy) = route.forward() {
            (self.host, self.port) = (HostId::global(&proxy.host), proxy.port);
        }
        self
    }

    /// The same over HTTP/1.1 only, if `is_http1_only`. Without TLS there is nothing else.
    pub(super) fn over_http1(mut self, is_http1_only: impl FnOnce(HostId<'_>, u16) -> bool) -> Self {
        self.partition.is_http1_only = self.secure && is_http1_only(self.host, self.port);
        self
    }

    /// True if the route may raise a challenge: from a server in its handshake, or from a proxy before it makes a tunnel.
    pub(crate) fn has_questions(self) -> bool {
        self.secure || self.route.is_tunnel()
    }

    pub(crate) fn host_and_port(self) -> (HostId<'a>, u16) {
        (self.host, self.port)
    }

    pub(crate) fn to_owned(self) -> Origin {
        let (host, zone) = (self.host.name.into(), self.host.zone.map(Into::into));
        let (partition, route) = (self.partition, self.route.clone());
        Origin { secure: self.secure, host, port: self.port, zone, partition, route }
    }
}

impl Origin {
    pub(crate) fn host_id(&self) -> HostId<'_> {
        HostId { name: &self.host, zone: self.zone.as_deref() }
    }

    fn as_key(&self) -> Key<'_> {
        let (secure, host, port) = (self.secure, self.host_id(), self.port);
        Key { secure, host, port, partition: self.partition, route: &self.route }
    }
}

/// A map of kept origins is searched by a borrowed one.
impl Equivalent<Arc<Origin>> for Key<'_> {
    fn equivalent(&self, origin: &Arc<Origin>) -> bool {
        *self == origin.as_key()
    }
}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_key().hash(state);
    }
}
