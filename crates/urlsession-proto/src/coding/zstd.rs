//! One frame of zstd after the other (RFC 8878), decoded, with windows of at most 8 MiB (RFC 9659 §3).

use compression_codecs::zstd::params::DParameter;
use compression_codecs::{DecodeV2, ZstdDecoder};

use super::ContentDecodeError;
use super::compression::{malformed, step};
use super::decoder::{Step, ZSTD_WINDOW};

pub(super) struct Member(Box<ZstdDecoder>);

impl Member {
    pub(super) fn new() -> Result<Self, ContentDecodeError> {
        let window = [DParameter::window_log_max(ZSTD_WINDOW.ilog2())];
        Ok(Self(Box::new(ZstdDecoder::new_with_params(&window))))
    }

    pub(super) fn restart(&mut self) -> Result<(), ContentDecodeError> {
        self.0.reinit().map_err(malformed)
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ContentDecodeError> {
        step(&mut *self.0, input, output)
    }
}
