//! `UrlProtectionSpace`: the part of a server, or of a proxy, that one credential gives access to.
//!
//! Apple: *URLProtectionSpace*. It says what is protected and how. The challenge says who issued it, and the policies decide
//! what happens next.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::ServerTrust;

/// A host, a port, a realm and an authentication method. Cheap to clone.
///
/// Two spaces are equal if a credential for one is a credential for the other: the host is compared without case, and port 0 is
/// the scheme's default port. `distinguished_names` and `server_trust` are facts about one connection and not compared.
#[derive(Clone)]
#[doc(alias = "URLProtectionSpace")]
pub struct UrlProtectionSpace(Arc<ProtectionSpaceInner>);

#[derive(Clone)]
struct ProtectionSpaceInner {
    host: Box<str>,
    port: u16,
    whose: Whose,
    realm: Option<Box<str>>,
    method: AuthenticationMethod,
    distinguished_names: Option<Vec<Vec<u8>>>,
    server_trust: Option<ServerTrust>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Server(UrlProtectionSpaceProtocol),
    Proxy(UrlProtectionSpaceProxyType),
}

impl UrlProtectionSpace {
    /// A space of a server. Port 0 is the protocol's default port: 80, 443 or 21. An IPv6 literal is in brackets.
    #[doc(alias = "init(host:port:protocol:realm:authenticationMethod:)")]
    pub fn new(
        host: &str,
        port: u16,
        protocol: UrlProtectionSpaceProtocol,
        realm: Option<&str>,
        authentication_method: AuthenticationMethod,
    ) -> Self {
        Self::of(host, port, Whose::Server(protocol), realm, authentication_method)
    }

    /// A space of a proxy.
    #[doc(alias = "init(proxyHost:port:type:realm:authenticationMethod:)")]
    pub fn proxy(
        host: &str,
        port: u16,
        proxy_type: UrlProtectionSpaceProxyType,
        realm: Option<&str>,
        authentication_method: AuthenticationMethod,
    ) -> Self {
        Self::of(host, port, Whose::Proxy(proxy_type), realm, authentication_method)
    }

    fn of(
        host: &str,
        port: u16,
        whose: Whose,
        realm: Option<&str>,
        authentication_method: AuthenticationMethod,
    ) -> Self {
        Self(Arc::new(ProtectionSpaceInner {
            host: host.into(),
            port,
            whose,
            realm: realm.map(Into::into),
            method: authentication_method,
            distinguished_names: None,
            server_trust: None,
        }))
    }

    /// The same space, of a server that accepts certificates of these issuers: DER-encoded names.
    pub(crate) fn with_distinguished_names(mut self, names: Vec<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.0).distinguished_names = Some(names);
        self
    }

    /// The same space, of a server that presented these certificates.
    pub(crate) fn with_server_trust(mut self, trust: ServerTrust) -> Self {
        Arc::make_mut(&mut self.0).server_trust = Some(trust);
        self
    }

    /// The host as it was given. In challenges of a host in a [zone](crate::UrlRequest::zone_id) it contains the zone:
    /// `[fe80::1%eth0]`.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port; 0 is the protocol's default port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The protocol of a server; `None` for a proxy.
    pub fn protocol(&self) -> Option<UrlProtectionSpaceProtocol> {
        match self.0.whose {
            Whose::Server(protocol) => Some(protocol),
            Whose::Proxy(_) => None,
        }
    }

    /// The kind of a proxy; `None` for a server.
    #[doc(alias = "proxyType")]
    pub fn proxy_type(&self) -> Option<UrlProtectionSpaceProxyType> {
        match self.0.whose {
            Whose::Server(_) => None,
            Whose::Proxy(proxy_type) => Some(proxy_type),
        }
    }

    /// Whether a proxy issues the challenge.
    #[doc(alias = "isProxy")]
    pub fn is_proxy(&self) -> bool {
        self.proxy_type().is_some()
    }

    /// The server's name for the protected part (RFC 9110 §11.5); `None` where a method has no realms (NTLM, Negotiate, TLS).
    pub fn realm(&self) -> Option<&str> {
        self.0.realm.as_deref()
    }

    /// The authentication method.
    #[doc(alias = "authenticationMethod")]
    pub fn authentication_method(&self) -> AuthenticationMethod {
        self.0.method
    }

    /// Whether a credential is protected in transit: by TLS, or by a method that does not send the password itself.
    #[doc(alias = "receivesCredentialSecurely")]
    pub fn receives_credential_securely(&self) -> bool {
        let is_secure = matches!(self.0.whose, Whose::Server(UrlProtectionSpaceProtocol::Https));
        is_secure
            || !matches!(
                self.0.method,
                AuthenticationMethod::Default
                    | AuthenticationMethod::HttpBasic
                    | AuthenticationMethod::HtmlForm
            )
    }

    /// The issuers whose certificates the server accepts, as DER-encoded names; `None` unless the server requests a client
    /// certificate.
    #[doc(alias = "distinguishedNames")]
    pub fn distinguished_names(&self) -> Option<&[Vec<u8>]> {
        self.0.distinguished_names.as_deref()
    }

    /// The certificates that the server presented; `None` unless the challenge is about trust in them.
    #[doc(alias = "serverTrust")]
    pub fn server_trust(&self) -> Option<&ServerTrust> {
        self.0.server_trust.as_ref()
    }

    /// The effective port.
    pub(crate) fn effective_port(&self) -> u16 {
        match (self.0.port, self.0.whose) {
            (0, Whose::Server(UrlProtectionSpaceProtocol::Http)) => 80,
            (0, Whose::Server(UrlProtectionSpaceProtocol::Https)) => 443,
            (0, Whose::Server(UrlProtectionSpaceProtocol::Ftp)) => 21,
            (port, _) => port,
        }
    }
}

impl PartialEq for UrlProtectionSpace {
    fn eq(&self, other: &Self) -> bool {
        self.0.host.eq_ignore_ascii_case(&other.0.host)
            && self.effective_port() == other.effective_port()
            && self.0.whose == other.0.whose
            && self.0.realm == other.0.realm
            && self.0.method == other.0.method
    }
}

impl Eq for UrlProtectionSpace {}

impl Hash for UrlProtectionSpace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.host.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
        self.effective_port().hash(state);
        self.0.whose.hash(state);
        self.0.realm.hash(state);
        self.0.method.hash(state);
    }
}

impl fmt::Debug for UrlProtectionSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UrlProtectionSpace");
        debug.field("host", &self.0.host).field("port", &self.0.port);
        match self.0.whose {
            Whose::Server(protocol) => debug.field("protocol", &protocol),
            Whose::Proxy(proxy_type) => debug.field("proxy_type", &proxy_type),
        };
        debug.field("realm", &self.0.realm).field("authentication_method", &self.0.method);
        debug.finish_non_exhaustive()
    }
}

/// The protocol of a server's [`UrlProtectionSpace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlProtectionSpaceProtocol {
    /// HTTP in cleartext.
    #[doc(alias = "NSURLProtectionSpaceHTTP")]
    Http,
    /// HTTP over TLS.
    #[doc(alias = "NSURLProtectionSpaceHTTPS")]
    Https,
    /// FTP. Stored only until `ftp` URLs are loaded: credentials for such a space can be kept, and no session uses them.
    #[doc(alias = "NSURLProtectionSpaceFTP")]
    Ftp,
}

/// What a proxy with a [`UrlProtectionSpace`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlProtectionSpaceProxyType {
    /// A proxy of `http` URLs.
    #[doc(alias = "NSURLProtectionSpaceHTTPProxy")]
    Http,
    /// A proxy that makes tunnels for `https` URLs.
    #[doc(alias = "NSURLProtectionSpaceHTTPSProxy")]
    Https,
    /// A proxy of `ftp` URLs. Stored only until those are loaded: no session uses a credential for one.
    #[doc(alias = "NSURLProtectionSpaceFTPProxy")]
    Ftp,
    /// A SOCKS proxy. Stored only until sessions use such proxies: no session uses a credential for one.
    #[doc(alias = "NSURLProtectionSpaceSOCKSProxy")]
    Socks,
}

/// An authentication method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// The protocol's own method. A session never issues a challenge of it, because every method of HTTP and TLS has a name. It
    /// is for custom protocols, and credentials can be kept for it.
    #[default]
    #[doc(alias = "NSURLAuthenticationMethodDefault")]
    Default,
    /// User and password as they are (RFC 7617).
    #[doc(alias = "NSURLAuthenticationMethodHTTPBasic")]
    HttpBasic,
    /// A digest of user, password and the request (RFC 7616).
    #[doc(alias = "NSURLAuthenticationMethodHTTPDigest")]
    HttpDigest,
    /// A form on a page. A session never issues a challenge of it: forms belong to the application.
    #[doc(alias = "NSURLAuthenticationMethodHTMLForm")]
    HtmlForm,
    /// NTLM, version 2 (MS-NLMP).
    #[doc(alias = "NSURLAuthenticationMethodNTLM")]
    Ntlm,
    /// SPNEGO (RFC 4559), with Kerberos, on Linux, where `libgssapi_krb5.so.2` is installed; elsewhere the method is ignored.
    ///
    /// Default handling sends the ticket of the user who is logged in on this machine, if there is one for the server's host,
    /// only to servers in the [`negotiate_domains`](field@crate::Configuration::negotiate_domains) of the configuration. A
    /// delegate that uses no credential
    /// ([`UseCredential(None)`](crate::authentication::AuthChallengeDisposition::UseCredential)) sends the ticket to the server
    /// that issued the challenge. Kerberos is the only mechanism within SPNEGO: NTLM is never used there. With a credential of
    /// the URL, the store or a delegate (`user@REALM` with a password) the session gets a separate ticket; a user without a
    /// realm is not a Kerberos user. Without a ticket the next scheme that the response offers is tried, and its challenge's
    /// [`error`](crate::authentication::UrlAuthenticationChallenge::error) gives the reason. Tickets are never sent without a
    /// challenge, and never delegated. If a server sends a proof of its own that is wrong, the load fails with
    /// [`BadServerResponse`](crate::UrlErrorCode::BadServerResponse); a server that sends no proof is trusted, as RFC 4559
    /// allows.
    #[doc(alias = "NSURLAuthenticationMethodNegotiate")]
    Negotiate,
    /// A client certificate, in the TLS handshake.
    #[doc(alias = "NSURLAuthenticationMethodClientCertificate")]
    ClientCertificate,
    /// The server proves its identity: the answer decides whether its certificates are trusted.
    #[doc(alias = "NSURLAuthenticationMethodServerTrust")]
    ServerTrust,
}

impl AuthenticationMethod {
    /// Whether a challenge of this method is about a connection, and so for the session's delegate, or about one task.
    pub(crate) fn is_session_level(self) -> bool {
        matches!(self, Self::Ntlm | Self::Negotiate | Self::ClientCertificate | Self::ServerTrust)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::AuthenticationMethod as Method;
    use super::*;

    fn space(host: &str, port: u16) -> UrlProtectionSpace {
        UrlProtectionSpace::new(host, port, UrlProtectionSpaceProtocol::Https, Some("r"), Method::HttpBasic)
    }

    #[test]
    fn the_same_space_is_found_whatever_the_case_of_its_host_and_the_spelling_of_its_port() {
        let set = HashSet::from([space("Example.com", 0)]);
        assert!(set.contains(&space("example.COM", 443)));
        assert!(!set.contains(&space("example.com", 8443)));
        assert!(!set.contains(&space("example.org", 0)));
    }

    #[test]
    fn a_proxy_is_never_the_space_of_a_server() {
        let proxy = UrlProtectionSpace::proxy(
            "example.com",
            443,
            UrlProtectionSpaceProxyType::Https,
            Some("r"),
            Method::HttpBasic,
        );
        assert_ne!(proxy, space("example.com", 443));
        assert!(proxy.is_proxy() && !space("a", 0).is_proxy());
        assert_eq!((proxy.protocol(), proxy.proxy_type()), (None, Some(UrlProtectionSpaceProxyType::Https)));
    }

    #[test]
    fn realm_and_method_tell_spaces_of_one_host_apart() {
        let of =
            |realm, method| UrlProtectionSpace::new("a", 0, UrlProtectionSpaceProtocol::Http, realm, method);
        let all = [
            of(Some("one"), Method::HttpBasic),
            of(Some("two"), Method::HttpBasic),
            of(Some("one"), Method::HttpDigest),
            of(None, Method::Ntlm),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn a_password_in_cleartext_is_not_received_securely() {
        let http = |method| UrlProtectionSpace::new("a", 0, UrlProtectionSpaceProtocol::Http, None, method);
        assert!(!http(Method::HttpBasic).receives_credential_securely());
        assert!(http(Method::HttpDigest).receives_credential_securely());
        assert!(space("a", 0).receives_credential_securely());
    }
}
