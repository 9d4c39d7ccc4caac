//! The words of a load: what goes down the road (`Attempt`), what comes back (`Response`, `Body`), and the
//! interfaces of those who stand on it (`Protocol`, `Layer`, `Ask`).
//!
//! No decisions and no IO here.

mod custom;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use self::custom::{Head, Line};
pub use self::custom::{
    UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask,
};
use crate::env::{Clock, Interface, Place};
use crate::error::{Result, UrlError};
use crate::message::{
    AuthChallengeDisposition, BodyStream, UrlAuthenticationChallenge, UrlRequest, UrlResponse,
};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What loads the URLs of some schemes. The one dynamic boundary of a load.
pub(crate) trait Protocol: Send + Sync {
    fn load<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Result<Response>>;
}

/// A policy, or the wire at their end. Each policy owns the next one and calls it as often as it must.
pub(crate) trait Layer: Send + Sync {
    fn load(&self, attempt: &mut Attempt<'_>) -> impl Future<Output = Result<Response>> + Send;
}

/// The only road up: what a layer may ask of, or tell, the task it works for.
pub(crate) trait Ask: Send + Sync {
    /// The request to follow a redirect with, or `None` to keep the redirect response.
    fn redirect<'a>(
        &'a self,
        response: &'a UrlResponse,
        next: UrlRequest,
    ) -> BoxFuture<'a, Option<UrlRequest>>;

    /// What to do about a challenge. Without a delegate it is the default handling.
    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition>;

    /// Another copy of the request's body stream; `None` if the application has none.
    fn new_body(&self) -> BoxFuture<'_, Option<BodyStream>>;

    /// The task as custom protocols see it, about to load `current`.
    fn described(&self, current: &Arc<UrlRequest>) -> UrlProtocolTask;

    /// The request now being loaded.
    fn requesting(&self, request: &Arc<UrlRequest>);

    /// Body bytes have been written.
    fn sent(&self, bytes: u64);

    /// Does anyone want informational responses?
    fn wants_informational(&self) -> bool;

    /// A 1xx response.
    fn informational(&self, response: UrlResponse);

    /// No network may be used, and the load waits for one.
    fn waiting_for_connectivity(&self);

    /// Who answers the challenges of a connection; `None` if nobody does.
    fn challenger(&self) -> Option<Arc<dyn Challenger>>;

    /// 0 to 1. The load is polled again when it changes.
    fn priority(&self) -> f32;

    /// The same for as long as the response is read.
    fn lasting_priority(&self) -> Arc<dyn Priority>;
}

/// Who answers challenges of a connection that outlives, or serves others beside, the load it was begun for.
pub(crate) trait Challenger: Send + Sync {
    fn challenge(
        self: Arc<Self>,
        challenge: UrlAuthenticationChallenge,
    ) -> BoxFuture<'static, AuthChallengeDisposition>;
}

/// Who knows how urgent a response is, at any time.
pub(crate) trait Priority: Send + Sync {
    /// 0 to 1.
    fn priority(&self) -> f32;
}

/// One pass of a request down the layers.
pub(crate) struct Attempt<'a> {
    /// The request of this hop. It is never edited; what a layer sends beside it is in `added`.
    pub(crate) request: Arc<UrlRequest>,
    /// Header fields of the layers; a field the request itself has wins.
    pub(crate) added: SmallVec<[(&'static str, HeaderValue); 2]>,
    /// After a failure of a reused connection the next try takes a new one.
    pub(crate) wants_new_connection: bool,
    /// Some authentication belongs to a connection: it is kept here from one exchange to the next.
    pub(crate) hold: Option<Hold>,
    pub(crate) ask: &'a dyn Ask,
    pub(crate) meter: &'a Meter,
    pub(crate) log: &'a mut Log,
    pub(crate) place: &'a Place,
    pub(crate) clock: &'a dyn Clock,
}

/// Keeps the connection of one exchange for the next one of the same attempt. What is in it only the wire knows.
///
/// An empty one takes the connection once the response has been read to its end; a full one gives it back to the next
/// exchange, and does not get it again.
#[derive(Clone, Default)]
pub(crate) struct Hold(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Hold {
    pub(crate) fn put(&self, connection: Box<dyn Any + Send>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    pub(crate) fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the deadlines watch: bytes moved, and waits that do not count.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    moved: AtomicU64,
    excused: AtomicU32,
    waits_for: AtomicU8,
}

impl Meter {
    /// Bytes have moved on the wire, in either direction.
    pub(crate) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// While the excuse lives, time does not count as idle.
    pub(crate) fn excuse(&self) -> Excuse<'_> {
        self.excused.fetch_add(1, Relaxed);
        Excuse(self)
    }

    /// An excuse that applications may ask for. A load waits for one thing at a time.
    pub(crate) fn excuse_for(&self, reason: WaitReason) -> Excuse<'_> {
        self.waits_for.store(reason as u8, Relaxed);
        self.excuse()
    }

    pub(crate) fn why_waiting(&self) -> Option<WaitReason> {
        [WaitReason::Connection, WaitReason::Connectivity]
            .into_iter()
            .find(|reason| *reason as u8 == self.waits_for.load(Relaxed))
    }

    pub(crate) fn is_excused(&self) -> bool {
        self.excused.load(Relaxed) > 0
    }
}

/// See [`Meter::excuse`].
pub(crate) struct Excuse<'a>(&'a Meter);

impl Drop for Excuse<'_> {
    fn drop(&mut self) {
        // The end of an excuse counts as movement, so that the idle time starts anew.
        self.0.moved.fetch_add(1, Relaxed);
        self.0.excused.fetch_sub(1, Relaxed);
        self.0.waits_for.store(0, Relaxed);
    }
}

/// What a task waits for before it can send. Not of Apple's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// A free connection: as many as `http_maximum_connections_per_host` allows are busy.
    Connection = 1,
    /// A network that may be used, as `waits_for_connectivity` says.
    Connectivity = 2,
}

/// The transactions of a task, in order.
///
/// Most tasks have one: it costs no allocation.
pub(crate) type Log = SmallVec<[Stamps; 1]>;

/// When what happened in one transaction, and what moved.
#[derive(Clone)]
pub(crate) struct Stamps {
    pub(crate) request: Arc<UrlRequest>,
    pub(crate) response: Option<UrlResponse>,
    pub(crate) fetch_start: Instant,
    pub(crate) request_start: Option<Instant>,
    pub(crate) request_end: Option<Instant>,
    pub(crate) response_start: Option<Instant>,
    pub(crate) response_end: Option<Instant>,
    /// Why it, or the task after it, failed.
    pub(crate) error: Option<UrlError>,
    pub(crate) connection: Option<Arc<Facts>>,
    pub(crate) reused: bool,
    pub(crate) request_head_bytes: u64,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_head_bytes: u64,
    pub(crate) response_body_bytes: u64,
    pub(crate) response_body_bytes_after_decoding: u64,
}

impl Stamps {
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
            connection: None,
            reused: false,
            request_head_bytes: 0,
            request_body_bytes: 0,
            response_head_bytes: 0,
            response_body_bytes: 0,
            response_body_bytes_after_decoding: 0,
        }
    }
}

impl Attempt<'_> {
    /// Begins a transaction: a hop, or a hop tried again.
    pub(crate) fn begin_transaction(&mut self) {
        self.log.push(Stamps::start(self.request.clone(), self.clock.now()));
    }

    /// The transaction in progress.
    pub(crate) fn stamps(&mut self) -> &mut Stamps {
        if self.log.is_empty() {
            self.begin_transaction();
        }
        let last = self.log.len() - 1;
        &mut self.log[last]
    }
}

/// What is known of a connection from its birth.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) domain_lookup: Option<(Instant, Instant)>,
    pub(crate) connect: (Instant, Instant),
    pub(crate) secure: Option<(Instant, Instant)>,
    pub(crate) local: Option<std::net::SocketAddr>,
    pub(crate) remote: Option<std::net::SocketAddr>,
    /// The interface of `local`, if somebody wants to know.
    pub(crate) interface: Option<Interface>,
    /// The ALPN name of the protocol spoken.
    pub(crate) protocol: &'static str,
    pub(crate) tls_version: Option<u16>,
    pub(crate) tls_cipher_suite: Option<u16>,
}

/// What a load answers.
pub(crate) struct Response {
    pub(crate) head: UrlResponse,
    pub(crate) body: Body,
}

/// A response body, pulled chunk by chunk by its reader: what is not pulled stays with the sender.
pub(crate) struct Body {
    source: Source,
    decoder: Option<Box<dyn Decode>>,
    coded_rest: Bytes,
    wire_bytes: u64,
    sent_late: u64,
    delivered: u64,
    /// Chunks given without a pause.
    turns: u32,
}

enum Source {
    Empty,
    Data(Bytes),
    Flow(Box<dyn Flow>),
}

/// A body arriving over a connection.
pub(crate) trait Flow: Send {
    /// The next bytes, as they came, never empty.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>>;

    /// Bytes read of the wire for this body so far: framing, trailers and coded content.
    fn wire_bytes(&self) -> u64;

    /// Request body bytes written since the response began: a server may answer before it has read everything.
    fn sent_late(&self) -> u64;

    /// The body has been read to its end.
    fn finish(self: Box<Self>);

    /// Did the response switch protocols (RFC 9110 §15.2.2)?
    fn has_switched(&self) -> bool {
        false
    }

    /// The connection itself, if it did.
    fn into_connection(self: Box<Self>) -> Option<Box<dyn Duplex>> {
        None
    }
}

/// A connection that no longer carries HTTP.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Undoes a content coding on the fly.
pub(crate) trait Decode: Send {
    /// Decoded bytes out of `input`, as much as fits a chunk; an empty answer means that more input is needed.
    fn decode(&mut self, input: &mut Bytes) -> Result<Bytes>;

    /// Is there decoded data that did not fit the last chunk?
    fn has_more(&self) -> bool;

    /// The coded body has ended: what is left, an empty answer once nothing is.
    fn end(&mut self) -> Result<Bytes>;
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self {
            source: Source::Empty,
            decoder: None,
            coded_rest: Bytes::new(),
            wire_bytes: 0,
            sent_late: 0,
            delivered: 0,
            turns: 0,
        }
    }

    /// A body that came whole, `wire_bytes` long on the wire.
    pub(crate) fn whole(data: Bytes, wire_bytes: u64) -> Self {
        let source = if data.is_empty() { Source::Empty } else { Source::Data(data) };
        Self {
            source,
            decoder: None,
            coded_rest: Bytes::new(),
            wire_bytes,
            sent_late: 0,
            delivered: 0,
            turns: 0,
        }
    }

    pub(crate) fn flow(flow: Box<dyn Flow>) -> Self {
        Self {
            source: Source::Flow(flow),
            decoder: None,
            coded_rest: Bytes::new(),
            wire_bytes: 0,
            sent_late: 0,
            delivered: 0,
            turns: 0,
        }
    }

    pub(crate) fn decoded_by(mut self, decoder: Box<dyn Decode>) -> Self {
        if self.decoder.is_some() {
            // Coded twice, which is rare: the inner decoding is the flow of the outer.
            self = Self::flow(Box::new(self));
        }
        self.decoder = Some(decoder);
        self
    }

    /// The connection itself, if the response switched protocols; the body is empty then.
    pub(crate) fn upgrade(&mut self) -> Option<Box<dyn Duplex>> {
        if !matches!(&self.source, Source::Flow(flow) if flow.has_switched()) {
            return None;
        }
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Flow(flow) => flow.into_connection(),
            _ => None,
        }
    }

    /// Is there nothing left to read?
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty) && self.decoder.is_none()
    }

    /// Bytes read of the wire so far.
    pub(crate) fn wire_bytes(&self) -> u64 {
        match &self.source {
            Source::Flow(flow) => flow.wire_bytes(),
            _ => self.wire_bytes,
        }
    }

    /// Request body bytes written since the response began.
    pub(crate) fn sent_late(&self) -> u64 {
        match &self.source {
            Source::Flow(flow) => flow.sent_late(),
            _ => self.sent_late,
        }
    }

    /// Bytes handed to the reader so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The next decoded bytes, never empty; `None` once at the end.
    ///
    /// A body that always has more, such as a decompression bomb, pauses now and then: its task can be cancelled and
    /// others on the same thread have their turn.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.turns >= TURNS {
            self.turns = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let poll = match self.decoder {
            None => self.poll_coded(cx),
            Some(_) => self.poll_decoded(cx),
        };
        if let Poll::Ready(Some(Ok(chunk))) = &poll {
            self.delivered += chunk.len() as u64;
            self.turns += 1;
        } else {
            self.turns = 0;
        }
        poll
    }

    fn poll_coded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Empty => Poll::Ready(None),
            Source::Data(data) => Poll::Ready(Some(Ok(data))),
            Source::Flow(mut flow) => match flow.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.source = Source::Flow(flow);
                    Poll::Ready(Some(Ok(chunk)))
                }
                Poll::Ready(Some(Err(error))) => {
                    (self.wire_bytes, self.sent_late) = (flow.wire_bytes(), flow.sent_late());
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(None) => {
                    (self.wire_bytes, self.sent_late) = (flow.wire_bytes(), flow.sent_late());
                    flow.finish();
                    Poll::Ready(None)
                }
                Poll::Pending => {
                    self.source = Source::Flow(flow);
                    Poll::Pending
                }
            },
        }
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let coded = match &self.decoder {
                Some(decoder) if !self.coded_rest.is_empty() || decoder.has_more() => {
                    Some(Ok(std::mem::take(&mut self.coded_rest)))
                }
                _ => ready!(self.poll_coded(cx)),
            };
            let Some(decoder) = &mut self.decoder else { return Poll::Ready(coded) };
            let decoded = match coded {
                Some(Ok(mut input)) => {
                    let decoded = decoder.decode(&mut input);
                    // A chunk that expands is decoded piece by piece: its coded rest waits here.
                    self.coded_rest = input;
                    decoded
                }
                Some(Err(error)) => Err(error),
                None => {
                    let rest = decoder.end();
                    if !matches!(&rest, Ok(rest) if !rest.is_empty()) {
                        self.decoder = None;
                        return Poll::Ready(rest.err().map(Err));
                    }
                    rest
                }
            };
            match decoded {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => return Poll::Ready(Some(Ok(chunk))),
                Err(error) => {
                    self.decoder = None;
                    self.source = Source::Empty;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Flow for Body {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        Self::poll_chunk(self, cx)
    }

    fn wire_bytes(&self) -> u64 {
        Self::wire_bytes(self)
    }

    fn sent_late(&self) -> u64 {
        Self::sent_late(self)
    }

    fn finish(self: Box<Self>) {}
}

/// Chunks of a body given in one go.
const TURNS: u32 = 32;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    struct Endless;

    impl Flow for Endless {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
            Poll::Ready(Some(Ok(Bytes::from_static(b"more"))))
        }

        fn wire_bytes(&self) -> u64 {
            0
        }

        fn sent_late(&self) -> u64 {
            0
        }

        fn finish(self: Box<Self>) {}
    }

    #[test]
    fn a_body_that_always_has_more_pauses_and_goes_on() {
        let mut body = Body::flow(Box::new(Endless));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let given = (0..).take_while(|_| body.poll_chunk(&mut cx).is_ready()).count();
            assert_eq!(given as u32, TURNS);
        }
    }
}
