//! `Recycled`: the buffers of one body, used again when the wire has done with what was in them. A fresh one for each
//! chunk would have to be zeroed and faulted in each time.

use parking_lot::Mutex;
use std::sync::Arc;

use bytes::Bytes;

/// The buffers of one body. The first has [`FIRST`] bytes, in which most bodies end; later ones twice as many as the one
/// before, up to [`MOST`].
#[derive(Clone, Default)]
pub(super) struct Recycled(Arc<Mutex<Free>>);

#[derive(Default)]
struct Free {
    buffers: Vec<Box<[u8]>>,
    /// Bytes of the last one that was made.
    size: usize,
}

impl Recycled {
    pub(super) fn take(&self) -> Box<[u8]> {
        let mut free = self.0.lock();
        if free.size == MOST
            && let Some(buffer) = free.buffers.pop()
        {
            return buffer;
        }
        free.size = (2 * free.size).clamp(FIRST, MOST);
        vec![0; free.size].into_boxed_slice()
    }

    /// The first `length` bytes of a buffer, which comes back when they are dropped.
    pub(super) fn chunk(&self, data: Box<[u8]>, length: usize) -> Bytes {
        Bytes::from_owner(Lent { data, length, home: self.clone() })
    }

    fn put(&self, data: Box<[u8]>) {
        let mut free = self.0.lock();
        if data.len() == MOST && free.buffers.len() < MAX_FREE {
            free.buffers.push(data);
        }
    }
}

struct Lent {
    data: Box<[u8]>,
    length: usize,
    home: Recycled,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.data[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.data));
    }
}

const FIRST: usize = 64 * 1024;

/// As many as one system call writes.
const MOST: usize = 256 * 1024;

/// As many as HTTP/2 has on their way.
const MAX_FREE: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_chunk_is_dropped() {
        let recycled = Recycled::default();
        let sizes: Vec<_> = (0..2).map(|_| recycled.take().len()).collect();
        assert_eq!(sizes, [FIRST, 2 * FIRST]);
        let first = recycled.take();
        let place = first.as_ptr();
        assert_eq!(first.len(), MOST);
        let chunk = recycled.chunk(first, 5);
        assert_eq!(chunk.len(), 5);
        let part = chunk.slice(2..);
        drop(chunk);
        let other = recycled.take();
        assert_ne!(other.as_ptr(), place, "a part of it is still on its way");
        drop(part);
        let again = recycled.take();
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn small_buffers_are_not_used_again() {
        let recycled = Recycled::default();
        let small = recycled.take();
        drop(recycled.chunk(small, 5));
        let sizes: Vec<_> = (0..3).map(|_| recycled.take().len()).collect();
        assert_eq!(sizes, [2 * FIRST, MOST, MOST]);
    }
}
