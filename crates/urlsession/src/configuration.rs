//! `Configuration`: one flat struct, copied when a session is created and read where it is used.
//!
//! It decides nothing. Apple: *URLSessionConfiguration*.

mod domains;
mod multipath;
mod protocol_class;
mod proxy;
mod proxy_environment;
mod resumable_uploads;
mod transparency;
mod transport_security;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

pub(crate) use self::domains::covers;
pub use self::multipath::MultipathServiceType;
pub(crate) use self::protocol_class::CustomProtocol;
pub use self::protocol_class::UrlProtocolClass;
pub use self::proxy::{ProxyConfiguration, ProxyDictionary};
pub use self::resumable_uploads::{ResumableUploads, UploadStrategy};
pub use self::transparency::CertificateTransparencyLog;
pub use self::transport_security::{AppTransportSecurity, ExceptionDomain, PinnedDomain, TlsVersion};
use crate::env::Environment;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{CachePolicy, HttpCookieAcceptPolicy, NetworkServiceType};
use crate::store::{HstsStorage, HttpCookieStorage, UploadServerStorage, UrlCache, UrlCredentialStorage};

/// The settings of a session, for everything that a request does not set itself. A session copies the configuration when it is
/// created; later changes to the value have no effect on the session.
#[derive(Clone, Debug)]
#[doc(alias = "URLSessionConfiguration")]
#[non_exhaustive]
pub struct Configuration {
    /// The longest time without a byte in either direction. Default: 60 seconds. The time does not run while the task is
    /// suspended, waits for a free connection or for connectivity, or waits for an answer of its delegate.
    #[doc(alias = "timeoutIntervalForRequest")]
    pub timeout_interval_for_request: Duration,
    /// The longest time of the whole load, from `resume` to the last byte. Default: 7 days. Waiting, redirects and the time in
    /// which the task is suspended count too.
    #[doc(alias = "timeoutIntervalForResource")]
    pub timeout_interval_for_resource: Duration,
    /// Whether loads wait for connectivity instead of failing at once. Default: `false`. A load waits only before its
    /// connection is made: a connection that is lost later fails the load with
    /// [`NetworkConnectionLost`](UrlErrorCode::NetworkConnectionLost). The delegate is notified once, and a host name that is
    /// not found is looked up again for some seconds afterwards. The request's timeout does not run while the load waits; the
    /// resource's timeout does. Without effect where the system does not report its networks; only Linux and Windows report
    /// them (see [`SystemPath`](crate::environment::SystemPath)).
    #[doc(alias = "waitsForConnectivity")]
    pub waits_for_connectivity: bool,
    /// Whether cellular interfaces may be used. Default: `true`. Both this setting and the request's own must allow it. If only
    /// forbidden interfaces have a route, the load fails with [`NotConnectedToInternet`](UrlErrorCode::NotConnectedToInternet),
    /// or waits. If allowed interfaces have a route too, connections are bound to one of them, regardless of the system's
    /// routing table. Such a connection is not shared with loads that may use more interfaces, and does not use multipath TCP.
    /// Connections within this machine are not bound, and the system's resolver may look up names through any interface.
    /// Without effect where the system does not report its networks.
    #[doc(alias = "allowsCellularAccess")]
    pub allows_cellular_access: bool,
    /// Whether metered interfaces may be used. Default: `true`. Works as
    /// [`allows_cellular_access`](field@Self::allows_cellular_access) does. A [`SystemPath`](crate::environment::SystemPath)
    /// reports cellular interfaces as metered, and no others.
    #[doc(alias = "allowsExpensiveNetworkAccess")]
    pub allows_expensive_network_access: bool,
    /// Whether interfaces in a mode that saves data may be used. Default: `true`. Works as
    /// [`allows_cellular_access`](field@Self::allows_cellular_access) does. No [`SystemPath`](crate::environment::SystemPath)
    /// reports such a mode; an application's own path may report it.
    #[doc(alias = "allowsConstrainedNetworkAccess")]
    pub allows_constrained_network_access: bool,
    /// Whether interfaces as slow as a satellite may be used. Default: `true`. Works as
    /// [`allows_cellular_access`](field@Self::allows_cellular_access) does. No system path reports such interfaces either.
    #[doc(alias = "allowsUltraConstrainedNetworkAccess")]
    pub allows_ultra_constrained_network_access: bool,
    /// The service type of requests that do not set one themselves. Default: ordinary traffic. Every packet carries the
    /// differentiated services code point that RFC 4594 assigns to such traffic. If the system refuses to set the code point,
    /// the load continues without it. Requests of different types do not share connections, and
    /// [`http_maximum_connections_per_host`](field@Self::http_maximum_connections_per_host) counts the connections of each type
    /// separately.
    #[doc(alias = "networkServiceType")]
    pub network_service_type: NetworkServiceType,
    /// Whether a connection may use several networks at the same time. Default: none. On Linux every type except none uses
    /// multipath TCP with servers that support it, and all these types work alike. Without effect on other systems, and on
    /// loads that may not use some networks.
    #[doc(alias = "multipathServiceType")]
    pub multipath_service_type: MultipathServiceType,
    /// Whether host names must be validated by DNSSEC. Default: `false`. The system's resolver does not report whether it has
    /// validated an answer: a load that needs a name lookup fails with [`CannotFindHost`](UrlErrorCode::CannotFindHost), unless
    /// the environment's resolver [validates](crate::environment::Resolve::validates_dnssec). Addresses and `localhost` need no
    /// lookup. A proxy looks up the names of servers itself: only the name of the proxy is validated here. Connections are not
    /// shared with loads that do not require validation.
    #[doc(alias = "requiresDNSSECValidation")]
    pub requires_dnssec_validation: bool,
    /// Header fields of every request. Default: none. If a name is set in several places, one field is sent: the request's own,
    /// else the one in this map, else the one that the library adds or implies: `Accept-Encoding`, `Cache-Control` of a cache
    /// policy, `Content-Type` of a POST body, `Cookie`, `Priority` and others. Fields for ranges and caching (`Range`,
    /// `Cache-Control`, conditions) have the same effect as on each request. `Host`, `Connection`, `Content-Length`,
    /// `Transfer-Encoding`, `Authorization`, `Proxy-Authenticate`, `Proxy-Authorization` and `WWW-Authenticate`, and the
    /// connection fields `Keep-Alive`, `Proxy-Connection` and `Upgrade`, are reserved: they are not sent from this map, and a
    /// session that has some of them logs one warning (`tracing`).
    #[doc(alias = "httpAdditionalHeaders")]
    pub http_additional_headers: HeaderMap,
    /// Names of header fields that the library does not add by itself: `Accept`, `Accept-Encoding`, `Accept-Language`,
    /// `User-Agent`, and the `Content-Type` of a POST body without one. Default: empty, all are added. Names are compared
    /// without case. Fields of the request and of [`http_additional_headers`](field@Self::http_additional_headers) are still
    /// sent, and other names have no effect. Extension: no counterpart in Apple's API.
    pub omitted_header_fields: Vec<String>,
    /// The storage of cookies. Default: [`shared`](HttpCookieStorage::shared); a configuration made by
    /// [`ephemeral`](Self::ephemeral) has a store of its own. With `None` cookies are neither sent nor kept.
    #[doc(alias = "httpCookieStorage")]
    pub http_cookie_storage: Option<HttpCookieStorage>,
    /// Which cookies are kept. Default: only those of the main document's site (see
    /// [`UrlRequest::main_document_url`](crate::UrlRequest::main_document_url)). The store's own policy is ignored.
    #[doc(alias = "httpCookieAcceptPolicy")]
    pub http_cookie_accept_policy: HttpCookieAcceptPolicy,
    /// Whether cookies of the store are sent. Default: `true`. A `Cookie` field of the request, or of
    /// `http_additional_headers`, replaces them. Received cookies are kept in every case.
    #[doc(alias = "httpShouldSetCookies")]
    pub http_should_set_cookies: bool,
    /// The most HTTP/1.1 connections to one host at the same time. Default: 6; at least 1. HTTP/2 uses one connection.
    #[doc(alias = "httpMaximumConnectionsPerHost")]
    pub http_maximum_connections_per_host: usize,
    /// The proxies of the session. Default: `None`, which is no proxy until this library reads the system's settings, and will
    /// mean the proxies of those settings then. An empty dictionary always means no proxy.
    #[doc(alias = "connectionProxyDictionary")]
    pub connection_proxy_dictionary: Option<ProxyDictionary>,
    /// Proxies by domain. Default: none. The first one that matches the host is used and takes precedence over the dictionary.
    /// A host that none matches uses the dictionary. Only the first 255 count.
    #[doc(alias = "proxyConfigurations")]
    pub proxy_configurations: Vec<ProxyConfiguration>,
    /// Stored only. Default: `false`. Requests are never pipelined, as in Apple's loader since it replaced its classic one. One
    /// slow response delays all behind it, many servers and proxies answer pipelined requests wrongly, and HTTP/2 does better.
    #[doc(alias = "httpShouldUsePipelining")]
    pub http_should_use_pipelining: bool,
    /// The storage in which credentials are looked up and kept. Default: the [shared](UrlCredentialStorage::shared) storage; a
    /// configuration made by [`ephemeral`](Self::ephemeral) has a storage of its own that writes nothing to disk. With `None`
    /// credentials are neither looked up nor kept, and no login lasts longer than one task.
    #[doc(alias = "urlCredentialStorage")]
    pub url_credential_storage: Option<UrlCredentialStorage>,
    /// The domains whose servers receive the Kerberos ticket of the user who is logged in on this machine, when they ask for
    /// it by Negotiate (RFC 4559) and the decision is left to default handling. Default: empty, no server.
    ///
    /// An entry is a host name or a domain and covers that name and all names below it: `example.com` covers `example.com`
    /// and `www.example.com`, not `anexample.com`. A leading `*.` or `.` changes nothing, case does not count, an address
    /// covers itself only (`10.0.0.1`, `::1`), and `*` alone covers every host. Schemes and ports do not count: list only
    /// domains whose servers use `https`, or whose network is trusted. While the session knows that a server accepted the
    /// ticket, its loads of that origin use connections where it is logged in, without asking again.
    ///
    /// The list does not restrict explicit decisions: a delegate that answers
    /// [`UseCredential`](crate::authentication::AuthChallengeDisposition::UseCredential), with or without a credential, a credential in the
    /// URL and a stored one are used for every host. Proxies never receive a ticket.
    /// Extension: no counterpart in Apple's API.
    pub negotiate_domains: Vec<String>,
    /// Whether interrupted uploads are resumed with servers that support it. Default: automatic. Apple's sessions always try.
    pub resumable_uploads: ResumableUploads,
    /// Whether a server may keep an upload at another origin than the one it was sent to. Default: `false`: such
    /// uploads are not resumed. With `true` the rest of the body is sent there, without the credentials and cookies of
    /// the request. Extension: no counterpart in Apple's API.
    pub allows_uploads_at_other_origins: bool,
    /// What the session has learned of servers by uploading to them. Default: [`UploadServerStorage::shared`]; an ephemeral
    /// configuration has a store of its own. The next upload uses the version that a server supports, omits the fields that it
    /// refuses, and begins carefully where interim responses do not get through. With `None` each upload begins as the first.
    /// Extension: no counterpart in Apple's API.
    pub upload_server_storage: Option<UploadServerStorage>,
    /// Which versions of HTTP may be used. Default: automatic. Extension: no counterpart in Apple's API.
    pub http_versions: HttpVersions,
    /// The most idle connections that the session keeps, over all hosts. Default: 100. At the limit the connection that has
    /// been idle longest is closed. With 0 none is kept. Extension: no counterpart in Apple's API.
    pub maximum_idle_connections: usize,
    /// The most connections of the session at the same time, over all hosts. Default: 256; at least 1. Connections that are
    /// being made, in use and idle count; an HTTP/2 connection counts as one. At the limit the connection that has been idle
    /// longest is closed for a new one. If none is idle, loads wait until a connection becomes idle or closes, and hosts take
    /// turns. A load whose response is not read to its end keeps its connection. Extension: no counterpart in Apple's API.
    pub maximum_open_connections: usize,
    /// How long an idle connection is kept. Default: 60 seconds; a shorter `Keep-Alive: timeout` of the server takes
    /// precedence. Extension: no counterpart in Apple's API.
    pub connection_idle_timeout: Duration,
    /// How long a request with `Expect: 100-continue` waits for the server's permission before it sends its body without that
    /// permission (RFC 9110 §10.1.1). Default: 1 second. Apple does not document this time.
    pub expect_continue_timeout: Duration,
    /// The oldest TLS version accepted. Default: TLS 1.2.
    #[doc(alias = "tlsMinimumSupportedProtocolVersion")]
    pub tls_minimum_supported_protocol_version: TlsVersion,
    /// The newest TLS version offered. Default: TLS 1.3.
    #[doc(alias = "tlsMaximumSupportedProtocolVersion")]
    pub tls_maximum_supported_protocol_version: TlsVersion,
    /// The cipher suites offered, by their IANA numbers and in this order, such as `[0x1301, 0xC02F]`. Default: empty, which
    /// offers all that exist: those of TLS 1.3 (0x1301–0x1303) and those of TLS 1.2 with ephemeral keys and authenticated
    /// encryption (0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9). Other numbers are ignored; if none is left, loads fail with
    /// [`SecureConnectionFailed`](UrlErrorCode::SecureConnectionFailed). Extension: no counterpart in Apple's API.
    pub tls_cipher_suites: Vec<u16>,
    /// Certificates, in DER, trusted in addition to those of the platform. Default: none. If one cannot be read, every secure
    /// connection fails with [`SecureConnectionFailed`](UrlErrorCode::SecureConnectionFailed). Extension: no counterpart in
    /// Apple's API.
    pub additional_trust_anchors: Vec<Vec<u8>>,
    /// Revocation lists (CRLs, RFC 5280 §5), in DER, of the authorities in
    /// [`additional_trust_anchors`](field@Self::additional_trust_anchors) and of the authorities below them. Default: none. If
    /// a list names the certificate of a server or of one of its issuers, the load fails with
    /// [`ServerCertificateUntrusted`](UrlErrorCode::ServerCertificateUntrusted). Revocation by authorities without a list here
    /// is not checked, and a list that is past its `nextUpdate` still counts. Servers that only the platform trusts are judged
    /// by the platform's own rules. Extension: no counterpart in Apple's API; Apple's system checks revocation itself.
    pub certificate_revocation_lists: Vec<Vec<u8>>,
    /// The App Transport Security rules: which loads may have no, or weaker, protection.
    pub app_transport_security: AppTransportSecurity,
    /// The hosts that are loaded over TLS only. Default: [`HstsStorage::shared`]; an ephemeral configuration has a store of its
    /// own. An `http` URL of such a host is loaded as `https`: port 80 becomes 443, any other port stays. This happens before
    /// `app_transport_security` is checked, and the delegate is not called;
    /// [`Task::current_request`](crate::Task::current_request) and the metrics show the `https` request. A host is added by a
    /// response over TLS whose certificates were trusted without a delegate's decision. For a host in the store a delegate
    /// cannot accept untrusted certificates (RFC 6797 §8.4). With `None` no host is known, not even the preloaded hosts.
    /// Extension: no counterpart in Apple's API, whose store cannot be seen or turned off.
    pub hsts_storage: Option<HstsStorage>,
    /// The cache, which keeps responses for later loads. Default: [`UrlCache::shared`]; each ephemeral configuration has a
    /// cache of its own in memory. With `None` no response is kept.
    #[doc(alias = "urlCache")]
    #[doc(alias = "URLCache")]
    pub url_cache: Option<UrlCache>,
    /// The cache policy of requests that do not set one themselves. Default: [`CachePolicy::UseProtocolCachePolicy`].
    #[doc(alias = "requestCachePolicy")]
    pub request_cache_policy: CachePolicy,
    /// Whether one load of a cacheable response serves all loads that request the same meanwhile. Default: `false`. These loads
    /// wait for its end, 10 seconds at most, and load by themselves if its response does not fit them. Extension: no
    /// counterpart in Apple's API.
    pub shares_cacheable_loads: bool,
    /// Custom protocols, which load the requests that they claim. Default: none. The session consults them in this order,
    /// before the library's own protocols: one that claims `https` URLs takes precedence over the network.
    #[doc(alias = "protocolClasses")]
    pub protocol_classes: Vec<UrlProtocolClass>,
    /// Stored only. Default: `true`, as Apple's. This library has only one loader.
    #[doc(alias = "usesClassicLoadingMode")]
    pub uses_classic_loading_mode: bool,
    /// Whether safe requests may be sent before the TLS handshake is complete. Default: `false`. Stored only until this library
    /// supports HTTP/3: Apple documents it for HTTP/3 alone.
    #[doc(alias = "enablesEarlyData")]
    pub enables_early_data: bool,
    /// The name of a background session, by which a later run finds the session. Default: none. Stored only until this library
    /// has background sessions: other sessions have no name.
    pub identifier: Option<Arc<str>>,
    /// Whether the system may choose the time of transfers. Default: `false`. Stored only until this library has background
    /// sessions: Apple documents it for those alone.
    #[doc(alias = "isDiscretionary")]
    pub is_discretionary: bool,
    /// Whether the application is started when its transfers need it. Default: `true`. Stored only until this library has
    /// background sessions: the transfers of other sessions end with the application.
    #[doc(alias = "sessionSendsLaunchEvents")]
    pub session_sends_launch_events: bool,
    /// The identifier of the folder that an application shares with its extensions. Default: none. Stored only until this
    /// library has background sessions: the files of other sessions are where the application puts them.
    #[doc(alias = "sharedContainerIdentifier")]
    pub shared_container_identifier: Option<Arc<str>>,
    /// The clock, resolver and network of the session. Default: the real ones. Extension: no counterpart in Apple's API.
    pub environment: Environment,
}

impl Default for Configuration {
    /// The configuration of ordinary sessions.
    ///
    /// Cookies, cache, credentials, the hosts that are loaded over TLS only and what is known of upload servers are those of
    /// the application: the shared stores, which outlive the process.
    fn default() -> Self {
        Self {
            timeout_interval_for_request: Duration::from_secs(60),
            timeout_interval_for_resource: Duration::from_secs(7 * 24 * 60 * 60),
            waits_for_connectivity: false,
            allows_cellular_access: true,
            allows_expensive_network_access: true,
            allows_constrained_network_access: true,
            allows_ultra_constrained_network_access: true,
            network_service_type: NetworkServiceType::Default,
            multipath_service_type: MultipathServiceType::None,
            requires_dnssec_validation: false,
            http_additional_headers: HeaderMap::new(),
            omitted_header_fields: Vec::new(),
            http_cookie_storage: Some(HttpCookieStorage::shared()),
            http_cookie_accept_policy: HttpCookieAcceptPolicy::OnlyFromMainDocumentDomain,
            http_should_set_cookies: true,
            http_maximum_connections_per_host: 6,
            connection_proxy_dictionary: None,
            proxy_configurations: Vec::new(),
            http_should_use_pipelining: false,
            url_credential_storage: Some(UrlCredentialStorage::shared()),
            negotiate_domains: Vec::new(),
            resumable_uploads: ResumableUploads::Auto,
            allows_uploads_at_other_origins: false,
            upload_server_storage: Some(UploadServerStorage::shared()),
            http_versions: HttpVersions::Automatic,
            maximum_idle_connections: 100,
            maximum_open_connections: 256,
            connection_idle_timeout: Duration::from_secs(60),
            expect_continue_timeout: Duration::from_secs(1),
            tls_minimum_supported_protocol_version: TlsVersion::Tls12,
            tls_maximum_supported_protocol_version: TlsVersion::Tls13,
            tls_cipher_suites: Vec::new(),
            additional_trust_anchors: Vec::new(),
            certificate_revocation_lists: Vec::new(),
            app_transport_security: AppTransportSecurity::default(),
            hsts_storage: Some(HstsStorage::shared()),
            url_cache: UrlCache::of_default_sessions(),
            request_cache_policy: CachePolicy::UseProtocolCachePolicy,
            shares_cacheable_loads: false,
            protocol_classes: Vec::new(),
            uses_classic_loading_mode: true,
            enables_early_data: false,
            identifier: None,
            is_discretionary: false,
            session_sends_launch_events: true,
            shared_container_identifier: None,
            environment: Environment::default(),
        }
    }
}

impl Configuration {
    /// The configuration of sessions that write nothing to disk. Sessions made with the same value, or a clone of it,
    /// share its cookies, its cache, its credentials, its [`hsts_storage`](field@Self::hsts_storage) and its
    /// [`upload_server_storage`](field@Self::upload_server_storage).
    pub fn ephemeral() -> Self {
        Self {
            http_cookie_storage: Some(HttpCookieStorage::ephemeral()),
            url_cache: UrlCache::of_ephemeral_sessions(),
            url_credential_storage: Some(UrlCredentialStorage::ephemeral()),
            hsts_storage: Some(HstsStorage::ephemeral()),
            upload_server_storage: Some(UploadServerStorage::ephemeral()),
            ..Self::default()
        }
    }

    /// Whether the field `name` is left to the application.
    pub(crate) fn omits(&self, name: &str) -> bool {
        self.omitted_header_fields.iter().any(|omitted| omitted.eq_ignore_ascii_case(name))
    }

    /// Whether a server of this host, as URLs spell it, receives the ticket of the machine's user by default.
    pub(crate) fn negotiates_with(&self, host: &str) -> bool {
        self.negotiate_domains
            .iter()
            .map(|entry| entry.trim())
            .any(|entry| entry == "*" || covers(entry, host))
    }

    /// Whether it matters to every load which network is there.
    pub(crate) fn depends_on_path(&self) -> bool {
        self.waits_for_connectivity || !self.allows_all_networks()
    }

    pub(crate) fn allows_all_networks(&self) -> bool {
        self.allows_cellular_access
            && self.allows_expensive_network_access
            && self.allows_constrained_network_access
            && self.allows_ultra_constrained_network_access
    }

    /// Trusts the certificates of a PEM file in addition to those of the platform.
    ///
    /// # Errors
    /// [`SecureConnectionFailed`](UrlErrorCode::SecureConnectionFailed) if there is no certificate, or one cannot be an anchor.
    /// Nothing is changed then.
    pub fn add_trust_anchors_pem(&mut self, pem: &[u8]) -> Result<()> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let bad = |why| UrlError::new(UrlErrorCode::SecureConnectionFailed, Phase::Request, why);
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let unread = |error| bad("a certificate of the PEM data cannot be read").with_source(error);
            let certificate = certificate.map_err(|error| unread(error.to_string()))?;
            let readable = rustls::RootCertStore::empty().add(certificate.clone());
            readable.map_err(|error| unread(error.to_string()))?;
            anchors.push(certificate.as_ref().to_vec());
        }
        if anchors.is_empty() {
            return Err(bad("the PEM data holds no certificate"));
        }
        self.additional_trust_anchors.append(&mut anchors);
        Ok(())
    }
}

/// Versions of HTTP a session may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersions {
    /// HTTP/2 where the server agrees in the TLS handshake, else HTTP/1.1.
    #[default]
    Automatic,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only. A server that does not support it fails the load. `https` only.
    Http2,
}

setters! {
    impl Configuration {
        timeout_interval_for_request: value Duration,
        timeout_interval_for_resource: value Duration,
        waits_for_connectivity: value bool,
        allows_cellular_access: value bool,
        allows_expensive_network_access: value bool,
        allows_constrained_network_access: value bool,
        allows_ultra_constrained_network_access: value bool,
        network_service_type: value NetworkServiceType,
        multipath_service_type: value MultipathServiceType,
        requires_dnssec_validation: value bool,
        http_additional_headers: into HeaderMap,
        omitted_header_fields: list_into String,
        http_cookie_storage: option HttpCookieStorage,
        http_cookie_accept_policy: value HttpCookieAcceptPolicy,
        http_should_set_cookies: value bool,
        http_maximum_connections_per_host: value usize,
        connection_proxy_dictionary: option ProxyDictionary,
        proxy_configurations: list ProxyConfiguration,
        http_should_use_pipelining: value bool,
        url_credential_storage: option UrlCredentialStorage,
        negotiate_domains: list_into String,
        resumable_uploads: value ResumableUploads,
        allows_uploads_at_other_origins: value bool,
        upload_server_storage: option UploadServerStorage,
        http_versions: value HttpVersions,
        maximum_idle_connections: value usize,
        maximum_open_connections: value usize,
        connection_idle_timeout: value Duration,
        expect_continue_timeout: value Duration,
        tls_minimum_supported_protocol_version: value TlsVersion,
        tls_maximum_supported_protocol_version: value TlsVersion,
        tls_cipher_suites: list u16,
        additional_trust_anchors: list_into Vec<u8>,
        certificate_revocation_lists: list_into Vec<u8>,
        app_transport_security: value AppTransportSecurity,
        hsts_storage: option HstsStorage,
        url_cache: option UrlCache,
        request_cache_policy: value CachePolicy,
        shares_cacheable_loads: value bool,
        protocol_classes: list UrlProtocolClass,
        uses_classic_loading_mode: value bool,
        enables_early_data: value bool,
        identifier: option Arc<str>,
        is_discretionary: value bool,
        session_sends_launch_events: value bool,
        shared_container_identifier: option Arc<str>,
        environment: value Environment,
    }
}
