//! Ways on which the bytes of a body are not copied, or do not come into this process at all. Each can be left: without
//! [`has_fast_paths`](crate::env::Environment::has_fast_paths) all bytes go the ordinary way.

pub(super) mod in_place;

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::DEFAULT_CIPHER_SUITES;

use super::stream::Stream;
use crate::env::SplicePipe;

/// The cipher suites of connections that leave data where it was decrypted, or of ordinary ones.
pub(super) fn cipher_suites(are_in_place: bool) -> &'static [SupportedCipherSuite] {
    if are_in_place { &in_place::CIPHER_SUITES } else { DEFAULT_CIPHER_SUITES }
}

/// Whether the kernel can take what comes on the stream to a file by itself.
pub(super) fn can_splice(stream: &Stream) -> bool {
    stream.as_plain_tcp().is_some()
}

/// The next bytes of the stream, at most `most`, taken by the kernel; `None` if it cannot.
pub(super) fn poll_splice(
    stream: &Stream,
    cx: &mut Context<'_>,
    splice_pipe: &mut SplicePipe,
    most: u64,
) -> Poll<Option<io::Result<usize>>> {
    let Some(stream) = stream.as_plain_tcp() else { return Poll::Ready(None) };
    match ready!(splice_pipe.poll_fill(stream, cx, most)) {
        // Not every kind of socket can.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Poll::Ready(None),
        read => Poll::Ready(Some(read)),
    }
}

/// The next bytes of the stream, at most `most`, put behind `pieces` where TLS has decrypted them; `None` if it does not leave
/// them there.
pub(super) fn poll_pieces(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    most: usize,
    pieces: &mut Vec<Bytes>,
) -> Poll<Option<io::Result<usize>>> {
    match stream {
        Stream::Tls(stream) if stream.is_in_place() => stream.poll_pieces(cx, most, pieces).map(Some),
        _ => Poll::Ready(None),
    }
}
