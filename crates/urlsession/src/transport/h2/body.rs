//! One exchange as a stream of HTTP/2: the window opens as the reader takes what came.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;
use http::response::Parts;
use urlsession_proto::trailers::allowed;

use super::super::head::MAX_FIELDS;
use super::fault::{Failure, stream_error};
use super::frame_counting::Counted;
use super::link::Lease;
use super::read_gate::Reader;
use super::sending::Sending;
use super::urgency::Urgent;
use crate::body::{BodySource, ReadPause, ReadTarget};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// A head that has come.
pub(super) enum Event {
    Informational(Parts),
    Final(Parts),
}

/// The stream of one exchange, in one allocation for all of it.
pub(crate) struct Exchange {
    /// Until there is a response.
    response: Option<ResponseFuture>,
    /// Then.
    body: Option<RecvStream>,
    /// The response has a status that is never with content (RFC 9110 §6.4.1).
    pub(super) has_no_content: bool,
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

impl Exchange {
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

    /// True if the response has come to its end.
    pub(super) fn is_ended(&self) -> bool {
        self.body.as_ref().is_some_and(RecvStream::is_end_stream)
    }

    /// The next head. With the final one the body begins.
    pub(super) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        let Some(waiting) = &mut self.response else { return Poll::Pending };
        match waiting.poll_informational(cx) {
            Poll::Ready(Some(Ok(informational))) => {
                return Poll::Ready(Ok(Event::Informational(informational.into_parts().0)));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Failure::Stream(error))),
            Poll::Ready(None) => {}
            // Nothing has come: the final head has not either.
            Poll::Pending => return Poll::Pending,
        }
        let done = ready!(Pin::new(waiting).poll(cx));
        self.response = None;
        let (parts, body) = done.map_err(Failure::Stream)?.into_parts();
        self.body = Some(body);
        Poll::Ready(Ok(Event::Final(parts)))
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

impl BodySource for Exchange {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadTarget<'_>,
    ) -> Poll<Option<Result<usize>>> {
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
        // A reader that requests more has used the data before it.
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
                        let detail = "the response has content, which its status does not allow";
                        let error = UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail);
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.taken += chunk.len();
                    return Poll::Ready(Some(Ok(target.put(chunk))));
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
