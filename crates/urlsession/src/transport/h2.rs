//! HTTP/2 over one shared connection, which is driven by a task of its own.
//!
//! The `h2` crate keeps frames, streams and flow control; this module has the settings, runs exchanges,
//! and maps errors. The retry layer decides whether a failed request is sent again.

mod body;
mod fault;
mod frame_counting;
mod link;
mod read_gate;
mod sending;
mod urgency;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::StatusCode;
use http::header::HeaderMap;
use http::uri::{Authority, InvalidUri, InvalidUriParts, PathAndQuery, Scheme};
use tokio::sync::watch;

use urlsession_proto::priority::Urgency;

use self::body::Event;
pub(crate) use self::body::Exchange;
use self::fault::{Failure, connection_error, not_sent, refused, requires_http1, stream_error};
use self::frame_counting::{Counts, FrameCountingIo, MOST_HEADS};
use self::link::{Lease, Link};
use self::read_gate::{Driver, ReadGate};
use self::sending::Sending;
use self::urgency::{Updates, Urgent};
use super::connection::{Connection, End, ExchangeFailure, Multiplexed, MultiplexedGuard, Received};
use super::head::{MAX_FIELDS, RequestHead, too_many_informational};
use super::origin::Origin;
use super::outgoing::Outgoing;
use super::reservation::{Reservation, Reserved};
use super::stream::Stream;
use crate::body::Body;
use crate::env::{Clock, RuntimeHandle};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, ConnectionInfo, LoginUses, TaskContext, events};
use crate::message::HttpHead;

/// A connection that carries many exchanges at once.
pub(crate) struct Handle {
    send: SendRequest<Bytes>,
    link: Arc<Link>,
    /// As long as an exchange has it.
    lease: Option<Lease>,
}

/// Of the handle only: an exchange has a lease of its own.
impl Clone for Handle {
    fn clone(&self) -> Self {
        Self { send: self.send.clone(), link: self.link.clone(), lease: None }
    }
}

impl Multiplexed for Handle {
    fn is_open(&self) -> bool {
        self.link.is_open.load(Relaxed)
    }
}

/// Exchanges settings and leaves the connection to a driver at `runtime`.
pub(super) async fn handshake(
    stream: Stream,
    info: Arc<ConnectionInfo>,
    reservation: Reservation,
    origin: &Origin,
    guard: Box<dyn MultiplexedGuard>,
    clock: Arc<dyn Clock>,
    runtime: &RuntimeHandle,
) -> Result<Handle> {
    let (counts, updates) = (Arc::new(Counts::default()), Arc::new(Updates::default()));
    let rest = Arc::new(ReadGate::default());
    let owes_flush = Arc::new(AtomicBool::new(false));
    let (send, connection) = Builder::new()
        .initial_window_size(window(&info))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_push(false)
        .handshake::<_, Bytes>(FrameCountingIo::new(
            stream,
            counts.clone(),
            updates.clone(),
            Driver::new(rest.clone(), clock, runtime.clone()),
            owes_flush.clone(),
        ))
        .await
        .map_err(connection_error)?;
    let authority = match origin.port {
        443 => origin.host.parse().ok(),
        port => format!("{}:{port}", origin.host).parse().ok(),
    };
    let (is_open, is_used) = (AtomicBool::new(true), AtomicBool::new(false));
    let is_given_up = AtomicBool::new(false);
    let (ended, end) = End::new();
    let link = Arc::new(Link {
        guard,
        info,
        reservation,
        authority,
        counts,
        updates,
        rest,
        is_open,
        is_used,
        is_given_up,
        end,
    });
    let driven = Driven { link: link.clone(), _ended: ended };
    runtime.spawn(async move {
        // The wire is closed before the end is reported.
        let driven = driven;
        let mut connection = Box::pin(connection);
        // Every exchange gets the error by itself.
        let _ = poll_fn(|cx| {
            driven.link.updates.watch(cx.waker());
            let is_given_up = driven.link.is_given_up.load(Acquire);
            let poll = connection.as_mut().poll(cx);
            if poll.is_pending() && is_given_up {
                // It has taken leave, as far as the wire takes that now.
                return Poll::Ready(Ok(()));
            }
            if poll.is_pending() && owes_flush.load(Relaxed) {
                cx.waker().wake_by_ref();
            }
            poll
        })
        .await;
        drop(connection);
        drop(driven);
    });
    Ok(Handle { send, link, lease: None })
}

/// Marks the connection closed when its driver ends, also with its runtime.
struct Driven {
    link: Arc<Link>,
    _ended: watch::Sender<()>,
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.link.is_open.store(false, Relaxed);
        if let Some(authority) = &self.link.authority {
            events::connection_closed(authority.host(), authority.port_u16().unwrap_or(443));
        }
        self.link.guard.closed();
    }
}

impl Reserved for Handle {
    fn reservation(&self) -> &Reservation {
        &self.link.reservation
    }
}

impl Handle {
    /// The same for an exchange, which the pool has counted.
    pub(super) fn lease(mut self) -> Self {
        self.lease = Some(Lease(self.link.clone()));
        self
    }

    /// Closes the connection, which carries nothing.
    pub(super) fn close(self) {
        let Self { send, link, .. } = self;
        drop(send);
        link.is_given_up.store(true, Release);
        link.updates.wake_driver();
    }

    /// For code that waits until the wire is closed.
    pub(super) fn watch_end(&self) -> End {
        self.link.end.clone()
    }

    pub(super) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.link.info
    }

    /// Prepares for an exchange. True if the connection has carried another before.
    pub(super) fn prepare(&self) -> bool {
        self.link.is_used.swap(true, Relaxed)
    }

    /// Waits for its turn: others' requests of this connection may be before it, as on a busy pool.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeFailure>> {
        self.send.poll_ready(cx).map_err(|error| self.failure(|handle| handle.closing(error)))
    }

    /// Sends the head.
    fn send(
        &mut self,
        head: &RequestHead<'_>,
        outgoing: Outgoing,
        context: &dyn TaskContext,
    ) -> Result<Box<Exchange>> {
        let link = &self.link;
        // What the head that is about to be sent says.
        let told = Urgency::of_priority(context.priority());
        let request = request(head, &outgoing, link.authority.as_ref())?;
        let ends = outgoing.is_done();
        let sent = link.counts.count(|| {
            let sent = self.send.send_request(request, ends)?;
            let id = sent.0.stream_id().as_u32();
            Ok::<_, h2::Error>((sent, id))
        });
        let ((response, stream), counted) = match sent {
            Ok(sent) => sent,
            Err(error) => return Err(self.not_taken(error)),
        };
        let (lasting, id) = (context.lasting_priority(), stream.stream_id().as_u32());
        let urgent = Urgent::new(lasting, told, id, link.updates.clone());
        let sending = Sending { stream, outgoing, chunk: Bytes::new(), done: ends };
        let (reader, lease) = (link.rest.reader(), self.lease.take());
        Ok(Box::new(Exchange::new(response, sending, urgent, reader, counted, lease)))
    }

    fn failure(&mut self, error: impl FnOnce(&mut Self) -> UrlError) -> ExchangeFailure {
        let error = error(self);
        ExchangeFailure { error, requires_http1: self.link.counts.requires_http1() }
    }

    /// The error of a request that was not accepted. If the connection accepts others, the error is about the request only.
    fn not_taken(&mut self, error: h2::Error) -> UrlError {
        match self.send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => self.closing(error),
            _ => refused(error),
        }
    }

    /// The connection accepts no more requests.
    fn closing(&self, error: h2::Error) -> UrlError {
        self.link.is_open.store(false, Relaxed);
        if requires_http1(&error) {
            self.link.counts.require_http1();
        }
        not_sent(error)
    }
}

impl Connection for Exchange {
    type Handle = Handle;
    type Failure = Failure;

    fn begin(
        mut handle: Handle,
        head: &RequestHead<'_>,
        outgoing: Outgoing,
        context: &dyn TaskContext,
    ) -> Result<Box<Self>, ExchangeFailure> {
        let sent = handle.send(head, outgoing, context);
        sent.map_err(|error| handle.failure(|_| error))
    }

    fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.sending.outgoing
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        mut moved: impl FnMut(usize, usize) -> bool,
    ) -> Poll<Result<()>> {
        self.sending.poll_send(cx, |n| moved(n, n))
    }

    fn is_sent(&self) -> bool {
        self.sending.done
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, attempt: &Attempt<'_>) -> Poll<Result<Received, Failure>> {
        self.urgent.tell_changes();
        let parts = match ready!(self.poll_response(cx))? {
            Event::Final(parts) => {
                check_fields(&parts.headers)?;
                attempt.activity.moved(1);
                return Poll::Ready(Ok(Received::Final { head: to_head(parts), whole: None }));
            }
            Event::Informational(parts) => parts,
        };
        attempt.activity.moved(1);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let detail = "the server switched protocols, which HTTP/2 cannot (RFC 9113 §8.6)";
            return Poll::Ready(Err(
                UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail).into()
            ));
        }
        check_fields(&parts.headers)?;
        Poll::Ready(Ok(Received::Informational(to_head(parts))))
    }

    fn head_bytes(&self) -> (u64, u64) {
        self.counted.bytes()
    }

    fn on_final(&mut self, status: StatusCode, is_given_up: bool, _: Option<&LoginUses>) {
        self.has_no_content = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        // The stream ends without its body: it is reset once the response has been read.
        self.sending.done |= is_given_up;
    }

    fn close_reason(&mut self, failure: Failure, reused: bool, is_answered: bool) -> UrlError {
        let error = match failure {
            Failure::Stream(_) if self.counted.heads() > MOST_HEADS => return too_many_informational(),
            Failure::Stream(error) => error,
            Failure::Own(error) => return error,
        };
        if requires_http1(&error) {
            self.counted.require_http1();
        }
        let may_be_unseen = reused || self.counted.requires_http1();
        stream_error(error, Phase::Head, may_be_unseen && !is_answered)
    }

    fn requires_http1(&self) -> bool {
        self.counted.requires_http1()
    }

    fn into_body(self: Box<Self>, _: Option<Bytes>, _: Instant) -> Body {
        match self.is_ended() && self.sending.done {
            true => Body::empty(),
            false => Body::flow(self),
        }
    }
}

fn request(
    head: &RequestHead<'_>,
    outgoing: &Outgoing,
    known: Option<&Authority>,
) -> Result<http::Request<()>> {
    let refuse = |error: http::Error| {
        let detail = "the URL cannot be sent over HTTP/2";
        UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail).with_source(error)
    };
    let authority = head.http2_authority();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = match known.filter(|known| known.as_str() == authority) {
        Some(known) => Some(known.clone()),
        None => Some(authority.parse().map_err(|error: InvalidUri| refuse(error.into()))?),
    };
    let target = Bytes::copy_from_slice(head.target().as_bytes());
    uri.path_and_query = Some(PathAndQuery::from_maybe_shared(target).map_err(|error| refuse(error.into()))?);
    let mut request = http::Request::new(());
    *request.uri_mut() = uri.try_into().map_err(|error: InvalidUriParts| refuse(error.into()))?;
    *request.method_mut() = head.request.http_method().clone();
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = head.http2_fields().map_err(|error| {
        let detail = "the request has too many header fields";
        UrlError::new(UrlErrorCode::BadUrl, Phase::Request, detail).with_source(error)
    })?;
    match outgoing.length() {
        Some(0) if !expects_body(request.method()) => {}
        Some(length) => {
            request.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        None => {}
    }
    Ok(request)
}

/// As many fields as on HTTP/1.1.
fn check_fields(fields: &HeaderMap) -> Result<()> {
    if fields.len() <= MAX_FIELDS {
        return Ok(());
    }
    let detail = "the response head has more fields than the limit";
    Err(UrlError::new(UrlErrorCode::DataLengthExceedsMaximum, Phase::Head, detail))
}

fn expects_body(method: &http::Method) -> bool {
    matches!(*method, http::Method::POST | http::Method::PUT | http::Method::PATCH)
}

fn to_head(parts: http::response::Parts) -> HttpHead {
    HttpHead { version: parts.version, status: parts.status, fields: parts.headers, raw: Bytes::new() }
}

/// Flow control of one stream: what one response may have in flight, and so how fast it can be on a path of this delay;
/// also how much of it waits here for a reader who is slower. The handshake, which is a round trip and some work, says
/// how long the path is.
fn window(info: &ConnectionInfo) -> u32 {
    let secure =
        info.made.secure.and_then(|secure| Some(secure.end?.saturating_duration_since(secure.start)));
    let handshake = secure.unwrap_or_default();
    let filled = handshake.as_micros().saturating_mul(BYTES_A_MICROSECOND);
    let window = u32::try_from(filled).unwrap_or(u32::MAX).clamp(SHORT_PATH_WINDOW, LONG_PATH_WINDOW);
    window / FRAME_SIZE * FRAME_SIZE
}

/// What a long path is taken to carry.
const BYTES_A_MICROSECOND: u128 = 400;

const SHORT_PATH_WINDOW: u32 = 4 * 1024 * 1024;

const LONG_PATH_WINDOW: u32 = 8 * 1024 * 1024;

/// Flow control of the connection.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// The largest frame we take (RFC 9113 §4.2). It is read in large pieces and many are written to a file at once: then it
/// is the number of frames that costs.
const FRAME_SIZE: u32 = 64 * 1024;

/// The largest response head we take (RFC 9113 §10.5.1), as on HTTP/1.1. It may come in seven frames: HEADERS and six of
/// CONTINUATION. h2 allows a quarter more than a head of this size fills at [`FRAME_SIZE`], and the last one; an eighth ends
/// the connection with all its streams (`ENHANCE_YOUR_CALM`). A server that sends frames of 16 KiB, the smallest limit
/// there is, has 112 KiB in seven.
const HEADER_LIST: u32 = 256 * 1024;

/// Request body bytes buffered for one stream.
const SEND_BUFFER: usize = 256 * 1024;
