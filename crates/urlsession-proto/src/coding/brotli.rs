//! A body in brotli (RFC 7932), decoded.

use compression_codecs::BrotliDecoder;

use super::ContentDecodeError;
use super::decoder::Step;

pub(super) struct Member(Box<BrotliDecoder>);

impl Member {
    pub(super) fn new() -> Result<Self, ContentDecodeError> {
        Ok(Self(Box::default()))
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ContentDecodeError> {
        super::compression::step(&mut *self.0, input, output)
    }
}
