//! `ReadTarget`: where the reader of a body wants its next bytes.

use std::task::Poll;

use bytes::Bytes;

use crate::env::SplicePipe;
use crate::error::Result;

/// Where the next bytes of a body go. A source that has no way of its own to a target [puts](Self::put) a chunk there.
pub(crate) enum ReadTarget<'t> {
    /// A chunk by itself.
    Chunk(&'t mut Option<Bytes>),
    /// Behind these, where the bytes are, in however small pieces: for who writes them elsewhere at once.
    Pieces(&'t mut Vec<Bytes>),
    /// At most `most` bytes, taken by the kernel on their way to a file; else as `Pieces`, as many as there are.
    Splice { pipe: &'t mut SplicePipe, most: u64, pieces: &'t mut Vec<Bytes> },
}

impl ReadTarget<'_> {
    /// Takes a chunk, and says how long it is.
    #[inline]
    pub(crate) fn put(&mut self, chunk: Bytes) -> usize {
        let length = chunk.len();
        match self {
            Self::Chunk(place) => **place = Some(chunk),
            Self::Pieces(pieces) | Self::Splice { pieces, .. } => pieces.push(chunk),
        }
        length
    }

    /// The same with what a poll has given.
    #[inline]
    pub(crate) fn take(&mut self, chunk: Option<Result<Bytes>>) -> Option<Result<usize>> {
        Some(chunk?.map(|chunk| self.put(chunk)))
    }

    /// The chunk that `read` gives to its target.
    #[inline]
    pub(crate) fn chunk(
        read: impl FnOnce(&mut ReadTarget<'_>) -> Poll<Option<Result<usize>>>,
    ) -> Poll<Option<Result<Bytes>>> {
        let mut chunk = None;
        read(&mut ReadTarget::Chunk(&mut chunk)).map(|read| match read {
            Some(Ok(_)) => chunk.map(Ok),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }
}
