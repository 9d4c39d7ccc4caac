//! Content codings: requests them and decodes them on the fly (RFC 9110 §8.4, §12.5.3).
//!
//! Decoded chunks have a bounded size, whatever the compression ratio. A body in an unknown coding is
//! passed on unchanged, with its header field. The decoders are in `urlsession_proto::coding`.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use urlsession_proto::coding::{
    ACCEPT_ENCODING, ContentCoding, ContentDecodeError, ContentDecoder, Decoded, content_codings,
};
use urlsession_proto::range::UnrequestedPart;

use crate::body::{Body, Decode};
use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Layer, Response};
use crate::message::HttpHead;

pub(super) struct Coding<N> {
    /// The application or the configuration sets the accepted codings, or accepts none.
    omits_accept_encoding: bool,
    /// All requests of the session ask for a range.
    asks_for_ranges: bool,
    next: N,
}

impl<N> Coding<N> {
    pub(super) fn new(next: N) -> Self {
        Self { omits_accept_encoding: false, asks_for_ranges: false, next }
    }

    /// As the configuration has it: without `Accept-Encoding`, if that is left to the application or said there.
    pub(super) fn of(mut self, config: &Configuration) -> Self {
        let of_all = &config.http_additional_headers;
        self.omits_accept_encoding =
            config.omits("accept-encoding") || of_all.contains_key(header::ACCEPT_ENCODING);
        self.asks_for_ranges = of_all.contains_key(header::RANGE);
        self
    }
}

impl<N: Layer> Layer for Coding<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        // A range counts coded bytes (RFC 9110 §14.2): a request for a range wants the bytes themselves.
        let asks_for_range = self.asks_for_ranges || attempt.request.asks_for_range();
        if !self.omits_accept_encoding && !asks_for_range {
            attempt.added.push(("accept-encoding", HeaderValue::from_static(ACCEPT_ENCODING)));
        }
        let mut response = self.next.load(attempt).await?;
        let Some(head) = response.head.http_head() else { return Ok(response) };
        if head.status == StatusCode::PARTIAL_CONTENT {
            let is_whole = !asks_for_range && is_whole(head, attempt)?;
            if !is_whole {
                return Ok(response);
            }
        }
        // A body that an application put into the cache is not coded.
        if response.body.is_empty() || response.body.is_plain() {
            return Ok(response);
        }
        let codings = content_codings(&head.fields).unwrap_or_default();
        for coding in codings.into_iter().rev() {
            response.body = decode(response.body, coding);
        }
        Ok(response)
    }
}

/// Whether an unrequested 206 contains the whole representation. A part is an error, because it is not the whole, unless
/// the body goes to a file: then the download requests the rest.
fn is_whole(head: &HttpHead, attempt: &Attempt<'_>) -> Result<bool> {
    match UnrequestedPart::of(&head.fields) {
        _ if *attempt.request.http_method() == Method::HEAD => Ok(false),
        UnrequestedPart::Whole => Ok(true),
        UnrequestedPart::Bytes { .. } | UnrequestedPart::Unusable if !attempt.context.goes_to_file() => {
            let detail =
                "the server answered with a part (206, Partial Content) to a request without a Range field";
            Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail))
        }
        _ => Ok(false),
    }
}

fn decode(body: Body, coding: ContentCoding) -> Body {
    body.decoded_by(Box::new(Decoder { decoder: ContentDecoder::new(coding), out: Vec::new() }))
}

/// Decodes one coding into chunks.
struct Decoder {
    decoder: ContentDecoder,
    out: Vec<u8>,
}

impl Decode for Decoder {
    fn decode(&mut self, input: &mut Bytes) -> Result<Bytes> {
        self.out.resize(CHUNK, 0);
        let Decoded { consumed, written } = self.decoder.decode(input, &mut self.out).map_err(undecodable)?;
        let _ = input.split_to(consumed);
        Ok(Bytes::copy_from_slice(&self.out[..written]))
    }

    fn has_more(&self) -> bool {
        self.decoder.has_more()
    }

    fn end(&mut self) -> Result<()> {
        self.decoder.finish().map_err(undecodable)
    }
}

fn undecodable(error: ContentDecodeError) -> UrlError {
    let (code, detail) = match error {
        ContentDecodeError::Truncated => {
            (UrlErrorCode::CannotDecodeContentData, "the coded body is truncated")
        }
        _ => (UrlErrorCode::CannotDecodeRawData, "the body is not valid in its Content-Encoding"),
    };
    UrlError::new(code, Phase::Decode, detail).with_source(error)
}

/// Decoded bytes passed on at a time: the memory that a decompression bomb costs.
const CHUNK: usize = 32 * 1024;

#[cfg(test)]
#[path = "coding_tests.rs"]
mod tests;
