//! Which proxies a session uses: Apple's dictionary of them, and those of the Network framework. Values only; which way
//! a load takes is `transport::route`'s to say.

use crate::message::{UrlCredential, UrlCredentialPersistence};

/// The proxies of a session by scheme, as the dictionary of CFNetwork has them.
///
/// `http` URLs are asked of the HTTP proxy (RFC 9112 §3.2.2), `https` URLs come through tunnels of the HTTPS proxy
/// (RFC 9110 §9.3.6), which is itself spoken to in cleartext. A scheme without a proxy that is enabled and has a host is
/// loaded directly. Proxies are used for this machine too, unless `exceptions_list` names it. A proxy that cannot be
/// reached fails the load: nothing goes around it.
///
/// A proxy that wants to know who one is, by Basic, Digest or NTLM, is answered as servers are: with a stored credential
/// for its [protection space](crate::authentication::UrlProtectionSpace::proxy), or what the delegate says. Refused in the end, it is the
/// response of an `http` URL; a load through a tunnel fails with
/// [`UserAuthenticationRequired`](crate::UrlErrorCode::UserAuthenticationRequired). A `Proxy-Authorization` of the request's
/// own goes to the proxy that is asked for its URL, in place of any other, and is not sent through tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyDictionary {
    /// Whether there is a proxy of `http` URLs. Default: `false`.
    #[doc(alias = "kCFNetworkProxiesHTTPEnable")]
    pub http_enable: bool,
    /// Its name or address.
    #[doc(alias = "kCFNetworkProxiesHTTPProxy")]
    pub http_proxy: Option<String>,
    /// Its port (80).
    #[doc(alias = "kCFNetworkProxiesHTTPPort")]
    pub http_port: Option<u16>,
    /// Whether there is a proxy that makes tunnels for `https` URLs. Default: `false`.
    #[doc(alias = "kCFNetworkProxiesHTTPSEnable")]
    pub https_enable: bool,
    /// Its name or address.
    #[doc(alias = "kCFNetworkProxiesHTTPSProxy")]
    pub https_proxy: Option<String>,
    /// Its port (443).
    #[doc(alias = "kCFNetworkProxiesHTTPSPort")]
    pub https_port: Option<u16>,
    /// Hosts that are loaded directly: names and addresses, in which `*` stands for any characters (`*.local`), and
    /// ranges of addresses in which zeros at the end may be left out (`169.254/16`).
    #[doc(alias = "kCFNetworkProxiesExceptionsList")]
    pub exceptions_list: Vec<String>,
    /// Whether hosts without a dot in their name are loaded directly. Default: `false`.
    #[doc(alias = "kCFNetworkProxiesExcludeSimpleHostnames")]
    pub exclude_simple_hostnames: bool,
}

impl ProxyDictionary {
    /// No proxy.
    pub fn new() -> Self {
        Self::default()
    }

    /// This proxy for `http` and `https` URLs.
    pub fn with_proxy(host: &str, port: u16) -> Self {
        Self {
            http_enable: true,
            http_proxy: Some(host.into()),
            http_port: Some(port),
            https_enable: true,
            https_proxy: Some(host.into()),
            https_port: Some(port),
            ..Self::default()
        }
    }
}

/// A proxy of the Network framework: an HTTP proxy that makes tunnels (RFC 9110 §9.3.6), for `http` and `https` URLs
/// alike. SOCKS, relays and proxies behind TLS are not spoken yet.
///
/// Apple does not say whether `http` URLs, too, come through tunnels; a proxy by this name is one of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyConfiguration {
    host: Box<str>,
    port: u16,
    credential: Option<UrlCredential>,
    /// Whether a load goes on without this proxy if it cannot be reached or makes no tunnel. Default: `false`. The load
    /// then takes the next one that is for its host, else the tunnel of the dictionary, else goes directly.
    #[doc(alias = "allowFailover")]
    pub allow_failover: bool,
    /// The domains it is for, each with those below it; empty is all (empty).
    #[doc(alias = "matchDomains")]
    pub match_domains: Vec<String>,
    /// Domains it is not for, each with those below it (empty).
    #[doc(alias = "excludedDomains")]
    pub excluded_domains: Vec<String>,
}

impl ProxyConfiguration {
    /// An HTTP proxy that makes tunnels, by its name or address and its port.
    #[doc(alias = "init(httpCONNECTProxy:tlsOptions:)")]
    pub fn with_http_connect_proxy(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            credential: None,
            allow_failover: false,
            match_domains: Vec::new(),
            excluded_domains: Vec::new(),
        }
    }

    /// Who to log in as when the proxy asks, before anybody else is asked. Not shown by `Debug`.
    #[doc(alias = "applyCredential(username:password:)")]
    pub fn apply_credential(&mut self, username: &str, password: &str) {
        self.credential = Some(UrlCredential::new(username, password, UrlCredentialPersistence::ForSession));
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn credential(&self) -> Option<&UrlCredential> {
        self.credential.as_ref()
    }
}

setters! {
    impl ProxyDictionary {
        http_enable: value bool,
        http_proxy: option String,
        http_port: option u16,
        https_enable: value bool,
        https_proxy: option String,
        https_port: option u16,
        exceptions_list: list_into String,
        exclude_simple_hostnames: value bool,
    }
}

setters! {
    impl ProxyConfiguration {
        allow_failover: value bool,
        match_domains: list_into String,
        excluded_domains: list_into String,
    }
}
