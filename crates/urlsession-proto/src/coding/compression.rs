//! One step of a decoder of `compression_codecs`.

use compression_codecs::DecodeV2;
use compression_core::util::{PartialBuffer, WriteBuffer};

use super::ContentDecodeError;
use super::decoder::Step;

pub(super) fn step(
    codec: &mut impl DecodeV2,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, ContentDecodeError> {
    let mut from = PartialBuffer::new(input);
    let mut to = WriteBuffer::new_initialized(output);
    let is_done = codec.decode(&mut from, &mut to).map_err(malformed)?;
    Ok(Step { consumed: from.written_len(), written: to.written_len(), is_done })
}

pub(super) fn malformed(error: std::io::Error) -> ContentDecodeError {
    ContentDecodeError::Malformed(error.to_string())
}
