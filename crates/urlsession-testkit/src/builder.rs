//! Owns the choices an origin is started with.

use std::sync::Arc;

use crate::Wire;
use crate::authority::{Certificate, TestAuthority};
use crate::hub::{H2Settings, Handler};
use crate::origin::Origin;
use crate::reply::Reply;
use crate::request::Request;
use crate::service::Service;
use crate::tls::ClientCertificates;
use crate::uploads::UploadServer;

/// What an origin does with an accepted connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// Serves it. The default.
    #[default]
    Serve,
    /// Closes it at once.
    Close,
    /// Resets it at once.
    Reset,
    /// Never says a word, not even the TLS handshake.
    Stall,
    /// Writes these bytes on the bare connection, then closes it.
    Raw(Vec<u8>),
}

/// Builds an [`Origin`].
#[must_use]
pub struct OriginBuilder {
    pub(crate) wire: Wire,
    pub(crate) alpn: Option<Vec<Vec<u8>>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) authority: TestAuthority,
    pub(crate) client_certificate: ClientCertificates,
    pub(crate) tls12_only: bool,
    pub(crate) ocsp_response: Vec<u8>,
    pub(crate) handler: Option<Handler>,
    pub(crate) service: Option<Arc<dyn Service>>,
    pub(crate) h2: H2Settings,
    pub(crate) close_after_response: bool,
    pub(crate) accept: Accept,
}

impl OriginBuilder {
    pub(crate) fn new() -> Self {
        Self {
            wire: Wire::H1,
            alpn: None,
            certificate: None,
            authority: TestAuthority::new(),
            client_certificate: ClientCertificates::Ignored,
            tls12_only: false,
            ocsp_response: Vec::new(),
            handler: None,
            service: None,
            h2: H2Settings::default(),
            close_after_response: false,
            accept: Accept::Serve,
        }
    }

    /// The protocol; HTTP/1.1 without TLS if not called.
    pub fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    /// The protocols ALPN offers, in order, in place of the wire's own; an empty list turns ALPN off.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = Some(protocols.iter().map(|p| p.as_bytes().to_vec()).collect());
        self
    }

    /// The server's certificate, in place of a valid one for `localhost`.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The authority that signs the default certificate and client certificates, in place of the process's.
    pub fn authority(mut self, authority: TestAuthority) -> Self {
        self.authority = authority;
        self
    }

    /// Whether the handshake fails without a client certificate of the authority.
    pub fn require_client_certificate(mut self, required: bool) -> Self {
        self.client_certificate = match required {
            true => ClientCertificates::Required,
            false => ClientCertificates::Ignored,
        };
        self
    }

    /// Asks for a client certificate of the authority, and goes on without.
    pub fn ask_for_client_certificate(mut self) -> Self {
        self.client_certificate = ClientCertificates::Asked;
        self
    }

    /// What is stapled to the certificate (RFC 6066 §8), in DER; nothing if not called.
    pub fn ocsp_response(mut self, response: Vec<u8>) -> Self {
        self.ocsp_response = response;
        self
    }

    /// Whether TLS 1.3 is refused.
    pub fn tls12_only(mut self, only: bool) -> Self {
        self.tls12_only = only;
        self
    }

    /// Answers the requests no script takes, in place of the default routes. It runs on the origin's only
    /// thread, after the whole request is in, and must not block; [`Reply::routes`] hands a request on.
    pub fn handler(mut self, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Takes resumable uploads, before the handler and the routes see their requests.
    pub fn uploads(mut self, server: &UploadServer) -> Self {
        self.service = Some(server.service());
        self
    }

    /// HTTP/2: the announced number of concurrent streams and the initial window of a stream. The
    /// connection's window stays wide, see [`OriginBuilder::h2_connection_window`].
    pub fn h2_settings(mut self, max_concurrent_streams: u32, initial_window: u32) -> Self {
        self.h2.max_concurrent_streams = max_concurrent_streams;
        self.h2.initial_window = initial_window;
        self
    }

    /// HTTP/2: the connection's receive window; below 65535 it stays at that, the protocol's minimum.
    pub fn h2_connection_window(mut self, window: u32) -> Self {
        self.h2.connection_window = window.clamp(crate::h2::DEFAULT_WINDOW, crate::h2::MAX_WINDOW);
        self
    }

    /// Whether every response is followed by a close nobody announced (GOAWAY on HTTP/2).
    pub fn close_after_response(mut self, close: bool) -> Self {
        self.close_after_response = close;
        self
    }

    /// What happens to accepted connections.
    pub fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// Starts the origin.
    ///
    /// # Panics
    /// When the machine has no free port or thread, or TLS refuses the certificate.
    pub fn start(self) -> Origin {
        Origin::run(self)
    }
}
