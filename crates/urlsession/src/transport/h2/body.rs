//! A response body as a stream of HTTP/2: the window opens as the reader takes what came.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;
use urlsession_proto::trailers::allowed;

use super::super::head::MAX_FIELDS;
use super::fault::stream_error;
use super::frame_counting::Counted;
use super::link::Lease;
use super::read_gate::Reader;
use super::sending::Sending;
use super::urgency::Urgent;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{BodySource, ReadPause};

/// The stream of one exchange, in one allocation for all of it.
pub(super) struct Incoming {
    /// Until there is a response.
    pub(super) response: Option<ResponseFuture>,
    /// Then.
    body: Option<RecvStream>,
    /// The response has a status that is never with content (RFC 9110 §6.4.1).
    pub(super) has_no_content: bool,
    /// Bytes of the request's body sent before the response.
    pub(super) body_sent: u64,
    pub(super) request_end: Option<Instant>,
    pub(super) sending: Sending,
    pub(super) urgent: Urgent,
    reader: Reader,
    pub(super) counted: Counted,
    /// Bytes the reader has, for which the window is not yet open again.
    taken: usize,
    wire_bytes: u64,
    sent_late: u64,
    trailers: Option<HeaderMap>,
    /// Last: the stream has ended when the connection is no longer in use.
    _lease: Option<Lease>,
}

impl Incoming {
    pub(super) fn new(
        response: ResponseFuture,
        sending: Sending,
        urgent: Urgent,
        reader: Reader,
        counted: Counted,
        lease: Option<Lease>,
    ) -> Self {
        Self {
            response: Some(response),
            body: None,
            has_no_content: false,
            body_sent: 0,
            request_end: None,
            sending,
            urgent,
            reader,
            counted,
            taken: 0,
            wire_bytes: 0,
            sent_late: 0,
            trailers: None,
            _lease: lease,
        }
    }

    /// With the response.
    pub(super) fn of(mut self: Box<Self>, received: RecvStream) -> Box<Self> {
        self.body = Some(received);
        self
    }

    /// Header bytes sent and received so far.
    pub(super) fn head_bytes(&self) -> (u32, u32) {
        let (sent, received) = self.counted.bytes();
        (u32::try_from(sent).unwrap_or(u32::MAX), u32::try_from(received).unwrap_or(u32::MAX))
    }

    /// The trailer section, if it is one.
    fn judge_trailers(&self, trailers: Option<HeaderMap>) -> Result<Option<HeaderMap>> {
        let refuse = |detail: &str| {
            Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail.to_owned()))
        };
        let Some(fields) = trailers else { return Ok(None) };
        // RFC 9113 §8.1: the codec drops them without a word.
        if self.counted.begins_with_pseudo_field() {
            return refuse("the trailers have a pseudo-field");
        }
        if fields.len() > MAX_FIELDS {
            return refuse("there are more trailers than the limit");
        }
        Ok(Some(allowed(fields)).filter(|fields| !fields.is_empty()))
    }

    fn open_window(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if taken > 0
            && let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream())
        {
            // It fails only if the stream is closed, which polling reports.
            let _ = body.flow_control().release_capacity(taken);
        }
    }
}

impl BodySource for Incoming {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.urgent.tell_changes();
        let mut sent = 0;
        let sending = self.sending.poll_send(cx, |n| {
            sent += n as u64;
            true
        });
        self.sent_late += sent;
        if let Poll::Ready(Err(error)) = sending {
            return Poll::Ready(Some(Err(error)));
        }
        // Whoever asks for more has done with what came before.
        if self.taken >= GRANT {
            self.open_window();
        }
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            let Poll::Ready(data) = body.poll_data(cx) else {
                self.open_window();
                return Poll::Pending;
            };
            match data {
                Some(Ok(chunk)) => {
                    self.wire_bytes += (chunk.len() + FRAME_HEAD) as u64;
                    if chunk.is_empty() {
                        continue;
                    }
                    if self.has_no_content {
                        let detail = "there is content in a response whose status says that there is none";
                        let error = UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail);
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.taken += chunk.len();
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(stream_error(error, Phase::Body, false)))),
                None => {
                    // Trailers end the stream.
                    return match ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => {
                            self.trailers = match self.judge_trailers(trailers) {
                                Ok(trailers) => trailers,
                                Err(error) => return Poll::Ready(Some(Err(error))),
                            };
                            Poll::Ready(None)
                        }
                        Err(error) => Poll::Ready(Some(Err(stream_error(error, Phase::Body, false)))),
                    };
                }
            }
        }
    }

    fn rest(&mut self) -> ReadPause {
        Some(Box::new(self.reader.rest()))
    }

    fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    fn sent_late(&self) -> u64 {
        self.sent_late
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn finish(self: Box<Self>) {}
}

/// The window of a slow reader opens in steps of this, so that the server does not fill it with small frames.
const GRANT: usize = 256 * 1024;

/// RFC 9113 §4.1.
const FRAME_HEAD: usize = 9;
