//! Which proxies a session uses: Apple's dictionary of them, and those of the Network framework. Values only;
//! `transport::route` decides which way a load takes.

use crate::message::{UrlCredential, UrlCredentialPersistence};

/// The proxies of a session by scheme, as in the dictionary of CFNetwork.
///
/// The HTTP proxy receives the requests for `http` URLs (RFC 9112 §3.2.2). `https` URLs are loaded through tunnels of the HTTPS
/// proxy (RFC 9110 §9.3.6); the connection to that proxy itself is cleartext. A scheme without a proxy that is enabled and has
/// a host is loaded directly. Proxies are used for this machine too, unless `exceptions_list` names it. If a proxy cannot be
/// reached, the load fails; it is not loaded directly.
///
/// When a proxy issues an authentication challenge (Basic, Digest or NTLM), the session responds as it does to servers: with a
/// stored credential for the proxy's [protection space](crate::authentication::UrlProtectionSpace::proxy), or as the delegate
/// decides. If the proxy still refuses, its refusal is the response of an `http` URL; a load through a tunnel fails with
/// [`UserAuthenticationRequired`](crate::UrlErrorCode::UserAuthenticationRequired). A `Proxy-Authorization` field that the
/// request itself has goes to the proxy that receives the request, in place of any other, and is not sent through tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyDictionary {
    /// Whether `http` URLs are loaded through a proxy. Default: `false`.
    #[doc(alias = "kCFNetworkProxiesHTTPEnable")]
    pub http_enable: bool,
    /// The name or address of the HTTP proxy. Default: `None`.
    #[doc(alias = "kCFNetworkProxiesHTTPProxy")]
    pub http_proxy: Option<String>,
    /// The port of the HTTP proxy. Default: `None`, which is port 80.
    #[doc(alias = "kCFNetworkProxiesHTTPPort")]
    pub http_port: Option<u16>,
    /// Whether `https` URLs are loaded through the tunnels of a proxy. Default: `false`.
    #[doc(alias = "kCFNetworkProxiesHTTPSEnable")]
    pub https_enable: bool,
    /// The name or address of the HTTPS proxy. Default: `None`.
    #[doc(alias = "kCFNetworkProxiesHTTPSProxy")]
    pub https_proxy: Option<String>,
    /// The port of the HTTPS proxy. Default: `None`, which is port 443.
    #[doc(alias = "kCFNetworkProxiesHTTPSPort")]
    pub https_port: Option<u16>,
    /// Hosts that are loaded directly: names and addresses, in which `*` stands for any characters (`*.local`), and ranges of
    /// addresses in which zeros at the end may be left out (`169.254/16`). Default: empty.
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

    /// A dictionary with this proxy for `http` and `https` URLs.
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

/// A proxy of the Network framework: an HTTP proxy that makes tunnels (RFC 9110 §9.3.6), for `http` and `https` URLs alike.
/// SOCKS, relays and proxies behind TLS are not supported yet.
///
/// Apple does not say whether `http` URLs are loaded through tunnels too. This library does so, as the name of the proxy
/// suggests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyConfiguration {
    host: Box<str>,
    port: u16,
    credential: Option<UrlCredential>,
    /// Whether a load continues without this proxy if the proxy cannot be reached or makes no tunnel. Default: `false`. The
    /// load then uses the next proxy that matches its host, else the tunnel of the dictionary, else goes directly.
    #[doc(alias = "allowFailover")]
    pub allow_failover: bool,
    /// The domains that the proxy is for, each with the domains below it. Default: empty, which is all domains.
    #[doc(alias = "matchDomains")]
    pub match_domains: Vec<String>,
    /// The domains that the proxy is not for, each with the domains below it. Default: empty.
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

    /// Sets the user and password for the challenges of the proxy; they are used before any other source. Not shown by `Debug`.
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
