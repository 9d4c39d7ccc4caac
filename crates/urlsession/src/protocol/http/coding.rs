//! Content codings: asks for them and undoes them on the fly (RFC 9110 §8.4, §12.5.3).
//!
//! Coded bytes come in, decoded chunks of bounded size go out, whatever the ratio. A coding that is not known is
//! passed on as it came, with its header field.

use std::io;

use bytes::Bytes;
use compression_codecs::{BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use compression_core::util::{PartialBuffer, WriteBuffer};
use http::HeaderValue;
use urlsession_proto::coding::{ACCEPT_ENCODING, ContentCoding, content_codings};

use crate::configuration::Configuration;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, Decode, Layer, Response};

pub(super) struct Coding<N> {
    omits_accept_encoding: bool,
    next: N,
}

impl<N> Coding<N> {
    pub(super) fn new(next: N) -> Self {
        Self { omits_accept_encoding: false, next }
    }

    /// Without `Accept-Encoding`, if the configuration leaves it to the application.
    pub(super) fn of(mut self, config: &Configuration) -> Self {
        self.omits_accept_encoding = config.omits("accept-encoding");
        self
    }
}

impl<N: Layer> Layer for Coding<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        // A range counts coded bytes (RFC 9110 §14.2): who asks for one wants the bytes themselves.
        if !self.omits_accept_encoding && !attempt.request.all_http_header_fields().contains("range") {
            attempt.added.push(("accept-encoding", HeaderValue::from_static(ACCEPT_ENCODING)));
        }
        let mut response = self.next.load(attempt).await?;
        let Some(head) = response.head.http_head() else { return Ok(response) };
        // What an application put into the cache is content.
        if response.body.is_empty()
            || response.body.is_plain()
            || head.status == http::StatusCode::PARTIAL_CONTENT
        {
            return Ok(response);
        }
        let codings = content_codings(&head.fields).unwrap_or_default();
        for coding in codings.into_iter().rev() {
            response.body = decode(response.body, coding);
        }
        Ok(response)
    }
}

fn decode(body: Body, coding: ContentCoding) -> Body {
    body.decoded_by(Box::new(Decoder::new(coding)))
}

/// One coding being undone.
struct Decoder {
    coding: ContentCoding,
    /// None until the first bytes tell zlib from raw deflate.
    codec: Option<Box<dyn DecodeV2 + Send>>,
    is_done: bool,
    has_begun: bool,
    has_more: bool,
    out: Vec<u8>,
}

impl Decoder {
    fn new(coding: ContentCoding) -> Self {
        let codec: Option<Box<dyn DecodeV2 + Send>> = match coding {
            ContentCoding::Gzip => Some(Box::new(GzipDecoder::new())),
            ContentCoding::Brotli => Some(Box::new(BrotliDecoder::new())),
            ContentCoding::Zstd => Some(Box::new(ZstdDecoder::new())),
            ContentCoding::Deflate => None,
        };
        Self { coding, codec, is_done: false, has_begun: false, has_more: false, out: Vec::new() }
    }

    /// The codec, ready for `input` to come.
    fn ready(&mut self, input: &[u8]) -> Result<Option<&mut (dyn DecodeV2 + Send)>> {
        if self.is_done {
            // RFC 1952 §2.2, RFC 8878 §3.1: members and frames may follow each other. What is not one is padding.
            let another = match self.coding {
                ContentCoding::Gzip => input.starts_with(&[0x1f, 0x8b]),
                ContentCoding::Zstd => input.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
                ContentCoding::Brotli | ContentCoding::Deflate => false,
            };
            if !another {
                return Ok(None);
            }
            if let Some(codec) = &mut self.codec {
                codec.reinit().map_err(malformed)?;
            }
            self.is_done = false;
        }
        let codec = self.codec.get_or_insert_with(|| {
            // RFC 9110 §8.4.1.2 means zlib by "deflate"; some servers send raw deflate.
            let is_zlib = input.first().is_some_and(|byte| byte & 0x0f == 8 && byte >> 4 <= 7);
            if is_zlib { Box::new(ZlibDecoder::new()) } else { Box::new(DeflateDecoder::new()) }
        });
        Ok(Some(&mut **codec))
    }
}

impl Decode for Decoder {
    fn decode(&mut self, input: &mut Bytes) -> Result<Bytes> {
        self.has_begun |= !input.is_empty();
        let mut out = std::mem::take(&mut self.out);
        out.resize(CHUNK, 0);
        let Some(codec) = self.ready(input)? else {
            input.clear();
            self.has_more = false;
            return Ok(Bytes::new());
        };
        let mut from = PartialBuffer::new(&input[..]);
        let mut to = WriteBuffer::new_initialized(&mut out);
        let done = codec.decode(&mut from, &mut to).map_err(malformed)?;
        let (consumed, written) = (from.written_len(), to.written_len());
        if consumed == 0 && written == 0 && !done && !input.is_empty() {
            return Err(malformed(io::Error::other("the decoder makes no progress")));
        }
        let chunk = Bytes::copy_from_slice(&out[..written]);
        self.out = out;
        self.is_done = done;
        self.has_more = !done && written == CHUNK;
        let _ = input.split_to(consumed);
        Ok(chunk)
    }

    fn has_more(&self) -> bool {
        self.has_more
    }

    fn end(&mut self) -> Result<Bytes> {
        // A coded body may be empty: some servers name the coding of a body that is not there.
        if self.is_done || !self.has_begun {
            return Ok(Bytes::new());
        }
        let mut out = std::mem::take(&mut self.out);
        out.resize(CHUNK, 0);
        let mut to = WriteBuffer::new_initialized(&mut out);
        let done = match &mut self.codec {
            Some(codec) => codec.finish(&mut to).map_err(truncated)?,
            None => true,
        };
        let written = to.written_len();
        let chunk = Bytes::copy_from_slice(&out[..written]);
        self.out = out;
        self.is_done = done;
        if !done && written == 0 {
            return Err(truncated(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(chunk)
    }
}

fn malformed(error: io::Error) -> UrlError {
    let detail = "the body is not what its Content-Encoding says";
    UrlError::new(UrlErrorCode::CannotDecodeRawData, Phase::Decode, detail).with_source(error)
}

fn truncated(error: io::Error) -> UrlError {
    let detail = "the coded body ends in its middle";
    UrlError::new(UrlErrorCode::CannotDecodeContentData, Phase::Decode, detail).with_source(error)
}

/// Decoded bytes handed on at a time: what a decompression bomb costs.
const CHUNK: usize = 32 * 1024;

#[cfg(test)]
#[path = "coding_tests.rs"]
mod tests;
