//! What is recorded of a transaction, and of the connection it went over, for metrics and logs.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;

use super::decision::CacheDecision;
use super::peer::PeerRecord;
use crate::env::{DomainResolutionProtocol, Interface};
use crate::error::UrlError;
use crate::message::{UrlRequest, UrlResponse};

/// The transactions of a task, in order.
///
/// Most tasks have one: it costs no allocation.
pub(crate) type TransactionLog = SmallVec<[TransactionRecord; 1]>;

/// When what happened in one transaction, and what moved.
#[derive(Clone)]
pub(crate) struct TransactionRecord {
    pub(crate) request: Arc<UrlRequest>,
    pub(crate) response: Option<UrlResponse>,
    pub(crate) fetch_start: Instant,
    pub(crate) request_start: Option<Instant>,
    pub(crate) request_end: Option<Instant>,
    pub(crate) response_start: Option<Instant>,
    pub(crate) response_end: Option<Instant>,
    /// Why it, or the task after it, failed.
    pub(crate) error: Option<UrlError>,
    /// What the cache had to do with it; `None` if the load did not come that far.
    pub(crate) cache: Option<CacheDecision>,
    pub(crate) connection: Option<Arc<ConnectionInfo>>,
    /// How far a connection came that was not made, or not in time.
    pub(crate) attempted: Option<Box<DialRecord>>,
    pub(crate) reused: bool,
    /// The response redirected, and the task went where it led.
    pub(crate) is_followed: bool,
    /// Heads have limits far below what this holds.
    pub(crate) request_head_bytes: u32,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_head_bytes: u32,
    pub(crate) response_body_bytes: u64,
    pub(crate) response_body_bytes_after_decoding: u64,
    /// `None` as long as nothing was sent. Most requests of a session share it.
    pub(crate) sent: Option<Arc<SentFields>>,
}

/// The header fields that were sent beside the request's own, and what framed its body. Secrets are not kept.
pub(crate) struct SentFields {
    /// Those of every request of the session.
    pub(crate) defaults: SharedFields,
    pub(crate) added: Vec<(&'static str, HeaderValue)>,
    /// The length of the body; `None` if it was sent in chunks or frames of any number.
    pub(crate) length: Option<u64>,
    /// The request's own `Expect` was not sent.
    pub(crate) drops_expect: bool,
    /// The request went through the tunnel of a proxy.
    pub(crate) is_tunnelled: bool,
}

/// Header fields that many requests share.
pub(crate) type SharedFields = Arc<[(Cow<'static, str>, Bytes)]>;

impl TransactionRecord {
    pub(crate) fn start(request: Arc<UrlRequest>, now: Instant) -> Self {
        Self {
            request,
            response: None,
            fetch_start: now,
            request_start: None,
            request_end: None,
            response_start: None,
            response_end: None,
            error: None,
            cache: None,
            connection: None,
            attempted: None,
            reused: false,
            is_followed: false,
            request_head_bytes: 0,
            request_body_bytes: 0,
            response_head_bytes: 0,
            response_body_bytes: 0,
            response_body_bytes_after_decoding: 0,
            sent: None,
        }
    }
}

/// What is known of a connection from its birth.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) made: DialRecord,
    /// The interface of `local`, if somebody wants to know.
    pub(crate) interface: Option<Interface>,
    /// The ALPN name of the protocol spoken.
    pub(crate) protocol: &'static str,
    pub(crate) tls_version: Option<u16>,
    pub(crate) tls_cipher_suite: Option<u16>,
    /// The server is trusted by its delegate's word alone.
    pub(crate) is_overridden: bool,
    /// What the server showed, and who has judged it; `None` without TLS.
    pub(crate) peer: Option<PeerRecord>,
    /// What the client showed, if the server wanted to see it.
    pub(crate) client_certificate: Option<ClientCertificate>,
}

impl ConnectionInfo {
    /// A connection in cleartext, over HTTP/1.1, that was made so.
    pub(crate) fn plain(made: DialRecord) -> Self {
        Self {
            made,
            interface: None,
            protocol: "http/1.1",
            tls_version: None,
            tls_cipher_suite: None,
            is_overridden: false,
            peer: None,
            client_certificate: None,
        }
    }
}

/// How a connection was made, or how far that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialRecord {
    pub(crate) domain_lookup: Option<Span>,
    /// How the name is looked up.
    pub(crate) resolution: DomainResolutionProtocol,
    /// TLS included.
    pub(crate) connect: Option<Span>,
    pub(crate) secure: Option<Span>,
    pub(crate) local: Option<SocketAddr>,
    /// The address tried last.
    pub(crate) remote: Option<SocketAddr>,
    /// `remote` is a proxy.
    pub(crate) is_proxy: bool,
}

/// A phase, from its start to its end; without an end it has failed, or lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Instant,
    pub(crate) end: Option<Instant>,
}

impl Span {
    pub(crate) fn since(start: Instant) -> Option<Self> {
        Some(Self { start, end: None })
    }
}

/// A certificate that the client has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// SHA-256 of it.
    pub(crate) digest: [u8; 32],
    /// The revision of the credential store that it is from, if it is.
    pub(crate) revision: Option<u64>,
    /// It is for one task.
    pub(crate) is_for_once: bool,
}
