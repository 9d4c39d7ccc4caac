//! `Body`: a response body, pulled by its reader, and what stands on its way: where it comes from, an observer beside it, what
//! decodes it. There is one way to read it, whatever the source and whatever the target.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

use super::target::ReadTarget;
use crate::error::Result;
use crate::message::CachedUrlResponse;

/// A response body, pulled by its reader: what is not pulled stays with the sender.
pub(crate) struct Body {
    source: Source,
    observer: Option<Box<dyn BodyObserver>>,
    /// It is content already, whatever its head says.
    is_plain: bool,
    /// It came with its head.
    came_whole: bool,
    has_failed: bool,
    /// In a box: few bodies are coded, and all are handed from layer to layer.
    decoding: Option<Box<Decoding>>,
    wire_bytes: u64,
    sent_late: u64,
    delivered: u64,
    /// Reads without a pause.
    turns: u32,
    trailers: Option<Box<HeaderMap>>,
}

struct Decoding {
    decoder: Box<dyn Decode>,
    /// A chunk that expands is decoded piece by piece: its coded rest.
    rest: Bytes,
}

enum Source {
    Empty,
    Data(Bytes),
    Stream(Box<dyn BodySource>),
}

/// A body arriving over a connection.
pub(crate) trait BodySource: Send {
    /// The next bytes, as they came: how many have gone to the target, never none.
    fn poll_read(&mut self, cx: &mut Context<'_>, target: &mut ReadTarget<'_>)
    -> Poll<Option<Result<usize>>>;

    /// Whether the kernel can take the next bytes to a file by itself, and there are enough of them for a
    /// [`Splice`](ReadTarget::Splice).
    fn suits_splice(&self) -> bool {
        false
    }

    /// The reader waits for something else, and has no use for more until the [`ReadPause`] is dropped.
    fn rest(&mut self) -> ReadPause {
        None
    }

    /// What it brings to read the rest, of which nobody has any use, if it is not longer than `most`.
    fn draining(&self, _most: u64) -> Draining {
        Draining::Useful
    }

    /// Bytes read of the wire for this body so far: framing, trailers and coded content.
    fn wire_bytes(&self) -> u64;

    /// Request body bytes written since the response began: a server may answer before it has read everything.
    fn sent_late(&self) -> u64;

    /// The body has been read to its end: the fields that came after it.
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    /// The body has been read to its end.
    fn finish(self: Box<Self>);

    /// Whether the response switched protocols (RFC 9110 §15.2.2).
    fn has_switched(&self) -> bool {
        false
    }

    /// The connection itself, if it did.
    fn into_connection(self: Box<Self>) -> Option<Box<dyn Duplex>> {
        None
    }
}

/// What becomes of a connection if the rest of a body is read that nobody has any use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draining {
    /// It is closed all the same, or more is announced than is worth the reading.
    Useless,
    /// It can carry another exchange.
    Useful,
    /// It is logged in step by step, and the next step needs it.
    Needed,
}

/// A reader that needs nothing of its connection, until this is dropped. It goes to what is waited for and not to who waits,
/// who may be suspended meanwhile: a connection that others need, and that has PINGs to answer, is not to rest with it.
pub(crate) type ReadPause = Option<Box<dyn Send>>;

/// Sees a body go by, as it came. One that is dropped before the end has seen a part.
pub(crate) trait BodyObserver: Send {
    /// The next bytes.
    fn chunk(&mut self, chunk: &Bytes);

    /// The body has been read to its end.
    fn end(&mut self);

    /// After the end: what the application may decide about.
    fn proposal(&mut self) -> Option<CachedUrlResponse>;

    /// What the application decided.
    fn decide(self: Box<Self>, decision: Option<CachedUrlResponse>);
}

/// A connection that no longer carries HTTP.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Undoes a content coding on the fly.
pub(crate) trait Decode: Send {
    /// Decoded bytes out of `input`, as much as fits a chunk; an empty answer means that more input is needed.
    fn decode(&mut self, input: &mut Bytes) -> Result<Bytes>;

    /// Whether there is decoded data that did not fit the last chunk.
    fn has_more(&self) -> bool;

    /// The coded body has ended; an error if it is not complete.
    fn end(&mut self) -> Result<()>;
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::of(Source::Empty)
    }

    /// A body that came whole, `wire_bytes` long on the wire.
    pub(crate) fn whole(data: Bytes, wire_bytes: u64) -> Self {
        let source = if data.is_empty() { Source::Empty } else { Source::Data(data) };
        Self { wire_bytes, came_whole: true, ..Self::of(source) }
    }

    pub(crate) fn flow(flow: Box<dyn BodySource>) -> Self {
        Self::of(Source::Stream(flow))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            observer: None,
            is_plain: false,
            came_whole: false,
            has_failed: false,
            decoding: None,
            wire_bytes: 0,
            sent_late: 0,
            delivered: 0,
            turns: 0,
            trailers: None,
        }
    }

    /// Whether it is decoded as it is read. Its length is then not what its head says.
    pub(crate) fn is_decoded(&self) -> bool {
        self.decoding.is_some()
    }

    /// From now on it is seen by `observer` as it is read.
    pub(crate) fn observe(&mut self, observer: Box<dyn BodyObserver>) {
        self.observer = Some(observer);
    }

    /// The same, which is not to be decoded.
    pub(crate) fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The observer, once the body has been read to its end.
    pub(crate) fn take_observer(&mut self) -> Option<Box<dyn BodyObserver>> {
        self.observer.take().filter(|_| matches!(self.source, Source::Empty))
    }

    pub(crate) fn decoded_by(mut self, decoder: Box<dyn Decode>) -> Self {
        if self.decoding.is_some() {
            // Coded twice, which is rare: the inner decoding is the source of the outer.
            self = Self::flow(Box::new(self));
        }
        self.decoding = Some(Box::new(Decoding { decoder, rest: Bytes::new() }));
        self
    }

    /// The connection itself, if the response switched protocols; the body is empty then.
    pub(crate) fn upgrade(&mut self) -> Option<Box<dyn Duplex>> {
        if !matches!(&self.source, Source::Stream(flow) if flow.has_switched()) {
            return None;
        }
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Stream(flow) => flow.into_connection(),
            _ => None,
        }
    }

    /// True if there is nothing left to read.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty) && self.decoding.is_none()
    }

    /// True once it has been read to its end, without a failure.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_empty() && !self.has_failed
    }

    /// Its last byte came with its head.
    pub(crate) fn came_whole(&self) -> bool {
        self.came_whole
    }

    /// What it brings to read the rest, of which nobody has any use, if it is not longer than `most`.
    pub(crate) fn draining(&self, most: u64) -> Draining {
        match &self.source {
            Source::Stream(flow) => flow.draining(most),
            Source::Empty | Source::Data(_) => Draining::Useful,
        }
    }

    /// Bytes read of the wire so far.
    pub(crate) fn wire_bytes(&self) -> u64 {
        match &self.source {
            Source::Stream(flow) => flow.wire_bytes(),
            _ => self.wire_bytes,
        }
    }

    /// Request body bytes written since the response began.
    pub(crate) fn sent_late(&self) -> u64 {
        match &self.source {
            Source::Stream(flow) => flow.sent_late(),
            _ => self.sent_late,
        }
    }

    /// Bytes handed to the reader so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The fields that came after it, once it has been read to its end.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The next decoded bytes: how many have gone to the target, never none; `None` once at the end.
    ///
    /// A body that always has more, such as a decompression bomb, pauses now and then: its task can be cancelled and
    /// others on the same thread have their turn.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        if self.turns >= TURNS {
            self.turns = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let poll = match self.decoding {
            None => self.poll_coded(cx, target),
            Some(_) => self.poll_decoded(cx, target),
        };
        if let Poll::Ready(Some(Ok(length))) = &poll {
            self.delivered += *length as u64;
            self.turns += 1;
        } else {
            self.turns = 0;
            self.has_failed |= matches!(&poll, Poll::Ready(Some(Err(_))));
        }
        poll
    }

    /// As [`poll_read`](Self::poll_read), in a chunk.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        ReadTarget::chunk(|target| self.poll_read(cx, target))
    }

    /// Whether nobody looks at the bytes, so that the kernel may take the next ones to a file.
    pub(crate) fn suits_splice(&self) -> bool {
        let is_unseen = self.observer.is_none() && self.decoding.is_none();
        is_unseen && matches!(&self.source, Source::Stream(flow) if flow.suits_splice())
    }

    /// The reader waits for something else, and has no use for more until the [`ReadPause`] is dropped.
    pub(crate) fn rest(&mut self) -> ReadPause {
        match &mut self.source {
            Source::Stream(flow) => flow.rest(),
            _ => None,
        }
    }

    /// What the observer is to see comes in a chunk, whatever the target.
    fn poll_coded(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        if self.observer.is_none() {
            return self.poll_source(cx, target);
        }
        let chunk = ready!(ReadTarget::chunk(|target| self.poll_source(cx, target)));
        if let Some(observer) = &mut self.observer {
            match &chunk {
                Some(Ok(chunk)) => observer.chunk(chunk),
                Some(Err(_)) => self.observer = None,
                None => observer.end(),
            }
        }
        Poll::Ready(target.take(chunk))
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        let Source::Stream(flow) = &mut self.source else {
            return Poll::Ready(match std::mem::replace(&mut self.source, Source::Empty) {
                Source::Data(data) => Some(Ok(target.put(data))),
                Source::Empty | Source::Stream(_) => None,
            });
        };
        let read = ready!(flow.poll_read(cx, target));
        if !matches!(read, Some(Ok(_))) {
            (self.wire_bytes, self.sent_late) = (flow.wire_bytes(), flow.sent_late());
            if read.is_none() {
                self.trailers = flow.take_trailers().map(Box::new);
            }
            if let Source::Stream(flow) = std::mem::replace(&mut self.source, Source::Empty)
                && read.is_none()
            {
                flow.finish();
            }
        }
        Poll::Ready(read)
    }

    fn poll_decoded(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        loop {
            let coded = match &mut self.decoding {
                Some(decoding) if !decoding.rest.is_empty() || decoding.decoder.has_more() => {
                    Some(Ok(std::mem::take(&mut decoding.rest)))
                }
                _ => ready!(ReadTarget::chunk(|target| self.poll_coded(cx, target))),
            };
            let Some(decoding) = &mut self.decoding else { return Poll::Ready(target.take(coded)) };
            let decoded = match coded {
                Some(Ok(input)) => {
                    decoding.rest = input;
                    decoding.decoder.decode(&mut decoding.rest)
                }
                Some(Err(error)) => Err(error),
                None => {
                    let end = decoding.decoder.end();
                    self.decoding = None;
                    return Poll::Ready(end.err().map(Err));
                }
            };
            match decoded {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => return Poll::Ready(Some(Ok(target.put(chunk)))),
                Err(error) => {
                    self.decoding = None;
                    self.source = Source::Empty;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl BodySource for Body {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
        Self::poll_read(self, cx, target)
    }

    fn rest(&mut self) -> ReadPause {
        Self::rest(self)
    }

    fn draining(&self, most: u64) -> Draining {
        Self::draining(self, most)
    }

    fn wire_bytes(&self) -> u64 {
        Self::wire_bytes(self)
    }

    fn sent_late(&self) -> u64 {
        Self::sent_late(self)
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    fn finish(self: Box<Self>) {}
}

/// Reads of a body in one go.
const TURNS: u32 = 32;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_response_is_small_enough_to_be_moved_without_a_call() {
        let size = size_of::<Result<crate::load::Response>>();
        assert!(size <= 128, "{size} bytes");
    }

    struct Endless;

    impl BodySource for Endless {
        fn poll_read(
            &mut self,
            _: &mut Context<'_>,
            target: &mut ReadTarget<'_>,
        ) -> Poll<Option<Result<usize>>> {
            Poll::Ready(Some(Ok(target.put(Bytes::from_static(b"more")))))
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
