//! `Route`: the way to a server, hop by hop. `transport::route` chooses the route.

use std::sync::Arc;

use crate::message::UrlCredential;

/// The way to a server. A clone costs no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) enum Route {
    #[default]
    Direct,
    Proxied(Arc<ProxyRoute>),
}

/// A way that leads over proxies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProxyRoute {
    /// In the order in which they are reached; at least one.
    pub(crate) hops: Box<[Hop]>,
    pub(crate) end: RouteEnd,
    /// Which of the configuration's proxies it begins with, if it is one of those of which another may follow.
    pub(crate) choice: Option<usize>,
}

/// What the last proxy is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteEnd {
    /// URLs (RFC 9112 §3.2.2).
    Forward,
    /// A connection to the server.
    Tunnel,
}

/// A proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) kind: ProxyKind,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) credential: Option<UrlCredential>,
    pub(crate) allows_failover: bool,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// HTTP/1.1 in cleartext.
    Http,
}

impl Route {
    /// Over these proxies.
    pub(crate) fn over(hops: impl Into<Box<[Hop]>>, end: RouteEnd, choice: Option<usize>) -> Self {
        Self::Proxied(Arc::new(ProxyRoute { hops: hops.into(), end, choice }))
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Direct)
    }

    /// The proxy that is asked for URLs, if one is.
    pub(crate) fn forward(&self) -> Option<&Hop> {
        match self {
            Self::Proxied(route) if route.end == RouteEnd::Forward => route.hops.last(),
            _ => None,
        }
    }

    pub(crate) fn is_tunnel(&self) -> bool {
        matches!(self, Self::Proxied(route) if route.end == RouteEnd::Tunnel)
    }

    /// The proxies on it.
    pub(crate) fn hops(&self) -> &[Hop] {
        match self {
            Self::Direct => &[],
            Self::Proxied(route) => &route.hops,
        }
    }
}

/// Nearly all routes are direct, or of one session, which makes each once.
impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct, Self::Direct) => true,
            (Self::Proxied(one), Self::Proxied(other)) => Arc::ptr_eq(one, other) || one == other,
            _ => false,
        }
    }
}

impl Eq for Route {}
