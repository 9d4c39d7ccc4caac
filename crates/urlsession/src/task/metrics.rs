//! Metrics: the measurements of a task, with Apple's names. Built once, when the task is over.
//!
//! Apple: *URLSessionTaskMetrics*, *URLSessionTaskTransactionMetrics*.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::configuration::TlsVersion;
use crate::env::{DomainResolutionProtocol, InterfaceKind};
use crate::error::UrlError;
use crate::load::{CacheDecision, TransactionLog, TransactionRecord};
use crate::message::{HttpUrlResponse, UrlRequest, UrlResponse};
use crate::transport::{Shown, as_sent};

/// The measurements of a task: its transactions and their dates.
#[derive(Clone, Debug)]
#[doc(alias = "URLSessionTaskMetrics")]
#[non_exhaustive]
pub struct TaskMetrics {
    /// One for each request and its response, in order. Each redirect and each repetition is a transaction of its own.
    #[doc(alias = "transactionMetrics")]
    pub transaction_metrics: Vec<TransactionMetrics>,
    /// From the creation of the task to its completion.
    #[doc(alias = "taskInterval")]
    pub task_interval: (SystemTime, SystemTime),
    /// How many redirects were followed.
    #[doc(alias = "redirectCount")]
    pub redirect_count: usize,
}

/// One request and its response. A date is `None` if the phase did not take place. A phase that failed, or during which the
/// load was abandoned, has a start and no end, and the phases after it have neither (Apple: *an end date is nil if the
/// phase failed*). Addresses are then the ones that were tried last. If another load had begun to make the connection, the
/// phases before the start of the transaction have the date of that start.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[doc(alias = "URLSessionTaskTransactionMetrics")]
pub struct TransactionMetrics {
    /// The request, with the header fields that were sent, including those of the configuration, of the library and of the
    /// protocol. Cookies and credentials that were added from a store, a URL or a delegate appear by name, with
    /// `[redacted]` as value. Those that the application set as fields are shown. A request that was not sent has its own
    /// fields.
    pub request: Arc<UrlRequest>,
    /// The response; `None` if the transaction failed before it.
    pub response: Option<UrlResponse>,
    /// Why the transaction failed, or the task after it. A transaction that was tried again has an error too.
    pub error: Option<UrlError>,
    /// When the transaction began.
    #[doc(alias = "fetchStartDate")]
    pub fetch_start_date: SystemTime,
    /// When the name lookup began. `None` for a reused connection and for a host that is an address.
    #[doc(alias = "domainLookupStartDate")]
    pub domain_lookup_start_date: Option<SystemTime>,
    /// When the name lookup ended with an address.
    #[doc(alias = "domainLookupEndDate")]
    pub domain_lookup_end_date: Option<SystemTime>,
    /// When the library began to make the connection. `None` for a reused connection.
    #[doc(alias = "connectStartDate")]
    pub connect_start_date: Option<SystemTime>,
    /// When the TLS handshake began. `None` without TLS.
    #[doc(alias = "secureConnectionStartDate")]
    pub secure_connection_start_date: Option<SystemTime>,
    /// When the TLS handshake ended with a trusted server.
    #[doc(alias = "secureConnectionEndDate")]
    pub secure_connection_end_date: Option<SystemTime>,
    /// When the connection was ready, TLS included.
    #[doc(alias = "connectEndDate")]
    pub connect_end_date: Option<SystemTime>,
    /// When the first byte of the request was sent.
    #[doc(alias = "requestStartDate")]
    pub request_start_date: Option<SystemTime>,
    /// When the last byte of the request was sent.
    #[doc(alias = "requestEndDate")]
    pub request_end_date: Option<SystemTime>,
    /// When the response head was read.
    #[doc(alias = "responseStartDate")]
    pub response_start_date: Option<SystemTime>,
    /// When the last byte of the response was read. `None` for a body that was not read to its end.
    #[doc(alias = "responseEndDate")]
    pub response_end_date: Option<SystemTime>,
    /// The ALPN name of the protocol: `http/1.1`, `h2`. `None` without a connection.
    #[doc(alias = "networkProtocolName")]
    pub network_protocol_name: Option<&'static str>,
    /// Whether the connection went through a proxy. `remote_address`, the name lookup and the connection are then those of
    /// the proxy.
    #[doc(alias = "isProxyConnection")]
    pub is_proxy_connection: bool,
    /// Whether the connection was used before.
    #[doc(alias = "isReusedConnection")]
    pub is_reused_connection: bool,
    /// Where the response came from.
    #[doc(alias = "resourceFetchType")]
    pub resource_fetch_type: ResourceFetchType,
    /// Why the response came from the cache or not, and whether it is stored; `None` if the load did not reach the cache.
    /// Extension: no counterpart in Apple's API.
    pub cache_decision: Option<CacheDecision>,
    /// Bytes of the request line and fields on the wire; compressed for HTTP/2.
    #[doc(alias = "countOfRequestHeaderBytesSent")]
    pub count_of_request_header_bytes_sent: u64,
    /// Request body bytes sent, without chunk or frame heads.
    #[doc(alias = "countOfRequestBodyBytesSent")]
    pub count_of_request_body_bytes_sent: u64,
    /// Request body bytes as the application supplied them.
    #[doc(alias = "countOfRequestBodyBytesBeforeEncoding")]
    pub count_of_request_body_bytes_before_encoding: u64,
    /// Bytes of the status line and fields on the wire. For HTTP/2 compressed, and including those of informational
    /// responses.
    #[doc(alias = "countOfResponseHeaderBytesReceived")]
    pub count_of_response_header_bytes_received: u64,
    /// Response body bytes on the wire: with chunk or frame heads, before decoding.
    #[doc(alias = "countOfResponseBodyBytesReceived")]
    pub count_of_response_body_bytes_received: u64,
    /// Response body bytes as delivered.
    #[doc(alias = "countOfResponseBodyBytesAfterDecoding")]
    pub count_of_response_body_bytes_after_decoding: u64,
    /// The local address.
    #[doc(alias = "localAddress")]
    pub local_address: Option<IpAddr>,
    /// The local port.
    #[doc(alias = "localPort")]
    pub local_port: Option<u16>,
    /// The address of the server or the proxy. If no address of the host answered, the last one that was tried.
    #[doc(alias = "remoteAddress")]
    pub remote_address: Option<IpAddr>,
    /// The port of the server or the proxy.
    #[doc(alias = "remotePort")]
    pub remote_port: Option<u16>,
    /// The version of TLS agreed on.
    #[doc(alias = "negotiatedTLSProtocolVersion")]
    pub negotiated_tls_protocol_version: Option<TlsVersion>,
    /// The cipher suite agreed on, by its IANA number.
    #[doc(alias = "negotiatedTLSCipherSuite")]
    pub negotiated_tls_cipher_suite: Option<u16>,
    /// Whether the interface was cellular. Known only if the configuration waits for connectivity, or if the configuration
    /// or the request forbids some networks; otherwise `false`. The same is true of `is_expensive` and `is_constrained`.
    #[doc(alias = "isCellular")]
    pub is_cellular: bool,
    /// Whether the interface was metered.
    #[doc(alias = "isExpensive")]
    pub is_expensive: bool,
    /// Whether the interface was in a mode that saves data.
    #[doc(alias = "isConstrained")]
    pub is_constrained: bool,
    /// Whether several paths were used. Always `false`: the library does not check whether the server agreed to multipath
    /// TCP.
    #[doc(alias = "isMultipath")]
    pub is_multipath: bool,
    /// How the name was looked up, if the application's own resolver says so
    /// ([`Resolve::protocol`](crate::environment::Resolve::protocol)). Unknown for the system's resolver, for a reused
    /// connection, and for a host that is an address.
    #[doc(alias = "domainResolutionProtocol")]
    pub domain_resolution_protocol: DomainResolutionProtocol,
}

/// Where a response came from. The numbers are Apple's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "URLSessionTaskMetrics.ResourceFetchType")]
#[non_exhaustive]
pub enum ResourceFetchType {
    /// Not known: there was no response, or it did not come over a connection (`data:`, `file:`, custom protocols).
    #[doc(alias = "unknown")]
    Unknown = 0,
    /// The network.
    #[doc(alias = "networkLoad")]
    NetworkLoad = 1,
    /// Pushed by the server. Never occurs, because the library refuses server push.
    #[doc(alias = "serverPush")]
    ServerPush = 2,
    /// The cache; nothing was sent. A response that the server has confirmed counts as a network load.
    #[doc(alias = "localCache")]
    LocalCache = 3,
}

/// One moment on both clocks: turns monotonic time into dates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub(super) monotonic: Instant,
    pub(super) wall: SystemTime,
}

impl Epoch {
    fn date(self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.monotonic) {
            Some(after) => self.wall + after,
            None => self.wall.checked_sub(self.monotonic - at).unwrap_or(self.wall),
        }
    }
}

/// The measurements, as they were recorded, until they are first read.
#[derive(Default)]
pub(super) struct Measured {
    log: TransactionLog,
    /// When the task ended.
    end: Option<Instant>,
    told: Option<Arc<TaskMetrics>>,
}

impl Measured {
    /// Takes over the log of a load that ended. An empty log belongs to a load that was dropped, whose log is kept here
    /// already.
    pub(super) fn keep(&mut self, log: &mut TransactionLog, end: Instant) {
        if !log.is_empty() {
            std::mem::swap(&mut self.log, log);
        }
        self.end = Some(end);
    }

    /// Every caller gets the same value, once the load has ended.
    pub(super) fn metrics(&mut self, epoch: Epoch) -> Option<Arc<TaskMetrics>> {
        let end = self.end?;
        let told = self.told.get_or_insert_with(|| Arc::new(TaskMetrics::new(&self.log, epoch, end)));
        Some(told.clone())
    }
}

impl TaskMetrics {
    /// `log` holds what the layers recorded between the creation of the task (`epoch`) and `end`.
    pub(super) fn new(log: &[TransactionRecord], epoch: Epoch, end: Instant) -> Self {
        Self {
            transaction_metrics: log
                .iter()
                .map(|transaction| TransactionMetrics::new(transaction, epoch))
                .collect(),
            task_interval: (epoch.wall, epoch.date(end)),
            redirect_count: log.iter().filter(|transaction| transaction.is_followed).count(),
        }
    }

    /// How long the task took.
    pub fn duration(&self) -> Duration {
        self.task_interval.1.duration_since(self.task_interval.0).unwrap_or_default()
    }
}

impl TransactionMetrics {
    fn new(transaction: &TransactionRecord, epoch: Epoch) -> Self {
        let date = |at: Option<Instant>| at.map(|at| epoch.date(at));
        // Another load may have begun to make the connection.
        let of_making = |at: Option<Instant>| date(at.map(|at| at.max(transaction.fetch_start)));
        let connection = transaction.connection.as_deref();
        // A reused connection was made for another transaction.
        let made = connection.filter(|_| !transaction.reused);
        let made = made.map(|info| &info.made).or(transaction.attempted.as_deref());
        let lookup = made.and_then(|made| made.domain_lookup);
        let connect = made.and_then(|made| made.connect);
        let secure = made.and_then(|made| made.secure);
        let interface = connection.and_then(|info| info.interface.as_ref());
        let ends = connection.map(|info| &info.made).or(transaction.attempted.as_deref());
        let (local, remote) = (ends.and_then(|made| made.local), ends.and_then(|made| made.remote));
        Self {
            request: match (connection, &transaction.sent) {
                (Some(info), Some(sent)) => {
                    as_sent(&transaction.request, sent, info.protocol, Shown::All).into()
                }
                _ => transaction.request.clone(),
            },
            response: transaction.response.clone(),
            error: transaction.error.clone(),
            fetch_start_date: epoch.date(transaction.fetch_start),
            domain_lookup_start_date: of_making(lookup.map(|span| span.start)),
            domain_lookup_end_date: of_making(lookup.and_then(|span| span.end)),
            connect_start_date: of_making(connect.map(|span| span.start)),
            secure_connection_start_date: of_making(secure.map(|span| span.start)),
            secure_connection_end_date: of_making(secure.and_then(|span| span.end)),
            connect_end_date: of_making(connect.and_then(|span| span.end)),
            request_start_date: date(transaction.request_start),
            request_end_date: date(transaction.request_end),
            response_start_date: date(transaction.response_start),
            response_end_date: date(transaction.response_end),
            network_protocol_name: connection.map(|info| info.protocol),
            is_proxy_connection: ends.is_some_and(|made| made.is_proxy),
            is_reused_connection: transaction.reused,
            resource_fetch_type: match (&transaction.response, transaction.cache, connection) {
                (Some(_), Some(cache), _) if cache.is_hit() => ResourceFetchType::LocalCache,
                (Some(_), _, Some(_)) => ResourceFetchType::NetworkLoad,
                _ => ResourceFetchType::Unknown,
            },
            cache_decision: transaction.cache,
            count_of_request_header_bytes_sent: transaction.request_head_bytes.into(),
            count_of_request_body_bytes_sent: transaction.request_body_bytes,
            count_of_request_body_bytes_before_encoding: transaction.request_body_bytes,
            count_of_response_header_bytes_received: transaction.response_head_bytes.into(),
            count_of_response_body_bytes_received: transaction.response_body_bytes,
            count_of_response_body_bytes_after_decoding: transaction.response_body_bytes_after_decoding,
            local_address: local.map(|address| address.ip()),
            local_port: local.map(|address| address.port()),
            remote_address: remote.map(|address| address.ip()),
            remote_port: remote.map(|address| address.port()),
            negotiated_tls_protocol_version: connection.and_then(|info| match info.tls_version {
                Some(0x0303) => Some(TlsVersion::Tls12),
                Some(0x0304) => Some(TlsVersion::Tls13),
                _ => None,
            }),
            negotiated_tls_cipher_suite: connection.and_then(|info| info.tls_cipher_suite),
            is_cellular: interface.is_some_and(|interface| interface.kind == InterfaceKind::Cellular),
            is_expensive: interface.is_some_and(|interface| interface.is_expensive),
            is_constrained: interface.is_some_and(|interface| interface.is_constrained),
            is_multipath: false,
            domain_resolution_protocol: made
                .map_or(DomainResolutionProtocol::Unknown, |made| made.resolution),
        }
    }

    /// The response, if it is an HTTP response.
    pub fn http_response(&self) -> Option<HttpUrlResponse> {
        self.response.as_ref().and_then(UrlResponse::http)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a test has a clock
mod tests {
    use super::*;
    use crate::env::Interface;
    use crate::load::{ConnectionInfo, DialRecord};

    #[test]
    fn a_transaction_says_what_kind_of_network_carried_it() {
        let told = |make: Option<fn(&mut Interface)>| {
            let zero = Instant::now();
            let request = Arc::new(UrlRequest::new("http://a/".parse().unwrap()));
            let mut transaction = TransactionRecord::start(request, zero);
            let interface = make.map(|make| {
                let mut interface = Interface::new("if0", InterfaceKind::Wifi);
                make(&mut interface);
                interface
            });
            transaction.connection =
                Some(Arc::new(ConnectionInfo { interface, ..ConnectionInfo::plain(DialRecord::default()) }));
            let epoch = Epoch { monotonic: zero, wall: SystemTime::UNIX_EPOCH };
            let metrics = TaskMetrics::new(&[transaction], epoch, zero);
            let told = &metrics.transaction_metrics[0];
            [told.is_cellular, told.is_expensive, told.is_constrained]
        };
        assert_eq!(told(None), [false; 3], "nobody wanted to know");
        assert_eq!(told(Some(|_| {})), [false; 3]);
        assert_eq!(told(Some(|it| it.kind = InterfaceKind::Cellular)), [true, false, false]);
        assert_eq!(told(Some(|it| it.is_expensive = true)), [false, true, false]);
        assert_eq!(told(Some(|it| it.is_constrained = true)), [false, false, true]);
    }
}
