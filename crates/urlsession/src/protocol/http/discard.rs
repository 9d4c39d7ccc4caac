//! The end of a response that nobody sees: its hop, or its attempt, is followed by another.

use std::future::poll_fn;

use crate::load::{Attempt, Body};

/// Reads a short body to its end, so that the connection can be used again; a long one is not worth it.
pub(super) async fn discard(mut body: Body, attempt: &mut Attempt<'_>) {
    let meter = attempt.meter;
    while body.wire_bytes() < WORTH_READING {
        let before = body.wire_bytes();
        let chunk = poll_fn(|cx| body.poll_chunk(cx)).await;
        meter.moved((body.wire_bytes() - before) as usize);
        if !matches!(chunk, Some(Ok(_))) {
            break;
        }
    }
    let now = attempt.clock.now();
    let stamps = attempt.stamps();
    stamps.response_end = Some(now);
    stamps.response_body_bytes = body.wire_bytes();
    stamps.response_body_bytes_after_decoding = body.delivered();
}

/// A body up to this length is read for the connection's sake.
const WORTH_READING: u64 = 64 * 1024;
