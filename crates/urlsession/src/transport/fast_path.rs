//! Paths on which the bytes of a body are not copied, or do not enter this process at all. They are optional: without
//! [`has_fast_paths`](crate::env::Environment::has_fast_paths) all bytes take the ordinary path.

pub(super) mod in_place;

use std::io;
use std::task::{Context, Poll, ready};

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::DEFAULT_CIPHER_SUITES;

use super::stream::Stream;
use crate::body::ReadTarget;

/// The cipher suites of connections that leave data where it was decrypted, or of ordinary ones.
pub(super) fn cipher_suites(are_in_place: bool) -> &'static [SupportedCipherSuite] {
    if are_in_place { &in_place::CIPHER_SUITES } else { DEFAULT_CIPHER_SUITES }
}

/// Whether the kernel can take what comes on the stream to a file by itself.
pub(super) fn can_splice(stream: &Stream) -> bool {
    stream.as_plain_tcp().is_some()
}

/// The next bytes of the stream, at most `most`, on a way of their own to the target: taken by the kernel, or left where TLS
/// has decrypted them. `None` if there is no such way.
pub(super) fn poll_read(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    most: u64,
    target: &mut ReadTarget<'_>,
) -> Poll<Option<io::Result<usize>>> {
    if let ReadTarget::Splice { pipe, most: space, .. } = target
        && *space > 0
        && let Some(stream) = stream.as_plain_tcp()
    {
        return match ready!(pipe.poll_fill(stream, cx, most.min(*space))) {
            // Not every kind of socket can.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Poll::Ready(None),
            read => Poll::Ready(Some(read)),
        };
    }
    match (stream, target) {
        (Stream::Tls(stream), ReadTarget::Pieces(pieces) | ReadTarget::Splice { pieces, .. })
            if stream.is_in_place() =>
        {
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_IN_PLACE);
            stream.poll_pieces(cx, most, pieces).map(Some)
        }
        _ => Poll::Ready(None),
    }
}

/// Bytes decrypted at a time, as many as an ordinary read takes.
const MOST_IN_PLACE: usize = 1024 * 1024;
