//! The issuer of a challenge: a server or a proxy, its header fields, and the key under which its logins are stored.

use std::borrow::Cow;

use http::{HeaderName, header};
use url::Url;
use urlsession_proto::scheme::Scheme;

use crate::message::{
    AuthenticationMethod, HostId, UrlProtectionSpace, UrlProtectionSpaceProtocol,
    UrlProtectionSpaceProxyType, UrlRequest,
};

/// The issuer of a challenge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Challenger<'a> {
    /// The server of this request. Over HTTP it answers 401.
    Server(&'a UrlRequest),
    /// A proxy. Over HTTP it answers 407.
    Proxy { host: &'a str, port: u16, kind: UrlProtectionSpaceProxyType },
}

/// Whose logins these are: credentials never cross an origin, nor from a proxy to another, nor between kinds of proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LoginKey {
    /// AuthScheme, host and port.
    Server(url::Origin),
    Proxy(Box<str>, u16, UrlProtectionSpaceProxyType),
}

impl<'a> Challenger<'a> {
    /// `None` for a request whose URL has no origin.
    pub(super) fn key(self) -> Option<LoginKey> {
        match self {
            Self::Server(request) => Some(LoginKey::Server(request.url().origin())),
            Self::Proxy { host, port, kind } => Some(LoginKey::Proxy(host.into(), port, kind)),
        }
    }

    /// The URL that the server is asked for; `None` for a proxy, where a login is good for everything.
    pub(super) fn url(self) -> Option<&'a Url> {
        match self {
            Self::Server(request) => Some(request.url()),
            Self::Proxy { .. } => None,
        }
    }

    pub(crate) fn is_proxy(self) -> bool {
        matches!(self, Self::Proxy { .. })
    }

    /// The field that a credential is sent in.
    pub(crate) fn answer_field(self) -> &'static str {
        if self.is_proxy() { "proxy-authorization" } else { "authorization" }
    }

    /// The field in which it says more of a login (RFC 7615).
    pub(super) fn info_field(self) -> &'static str {
        if self.is_proxy() { "proxy-authentication-info" } else { "authentication-info" }
    }

    pub(super) fn challenge_field(self) -> HeaderName {
        if self.is_proxy() { header::PROXY_AUTHENTICATE } else { header::WWW_AUTHENTICATE }
    }

    pub(crate) fn host(self) -> Cow<'a, str> {
        match self {
            Self::Server(request) => HostId::of(request).map(HostId::text).unwrap_or_default(),
            Self::Proxy { host, .. } => host.into(),
        }
    }

    /// `None` for a request whose URL has no host.
    pub(super) fn space(
        self,
        realm: Option<&str>,
        method: AuthenticationMethod,
    ) -> Option<UrlProtectionSpace> {
        Some(match self {
            Self::Server(request) => {
                let url = request.url();
                let protocol = match Scheme::of(url).is_secure() {
                    true => UrlProtectionSpaceProtocol::Https,
                    false => UrlProtectionSpaceProtocol::Http,
                };
                let port = url.port_or_known_default()?;
                UrlProtectionSpace::new(&HostId::of(request)?.text(), port, protocol, realm, method)
            }
            Self::Proxy { host, port, kind } => UrlProtectionSpace::proxy(host, port, kind, realm, method),
        })
    }
}
