//! `Recycled`: the buffers of one body, used again when the wire has done with what was in them. A fresh one for each
//! chunk would have to be zeroed and faulted in each time.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The buffers of one body, [`CHUNK`] bytes each.
#[derive(Clone, Default)]
pub(super) struct Recycled(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Recycled {
    pub(super) fn take(&self) -> Box<[u8]> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
    }

    /// The first `length` bytes of a buffer, which comes back when they are dropped.
    pub(super) fn chunk(&self, data: Box<[u8]>, length: usize) -> Bytes {
        Bytes::from_owner(Lent { data, length, home: self.clone() })
    }

    fn put(&self, data: Box<[u8]>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_FREE {
            free.push(data);
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

/// Bytes read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// As many as HTTP/2 has on their way.
const MAX_FREE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_chunk_is_dropped() {
        let recycled = Recycled::default();
        let first = recycled.take();
        let place = first.as_ptr();
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
}
