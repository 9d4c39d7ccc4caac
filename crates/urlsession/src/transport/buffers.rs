//! Large buffers, lent to connections while bytes move and returned when they are empty. A waiting connection holds no
//! buffer, and no buffer is zeroed or faulted in again for each read.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// [`BUFFER_SIZE`] bytes of anything, until this is dropped.
pub(super) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(super) fn take() -> Self {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        Self(kept.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()))
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(buffer);
            }
        });
    }
}

thread_local! {
    static KEPT: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Space for sixteen TLS records: one system call for all of them.
pub(super) const BUFFER_SIZE: usize = 272 * 1024;

/// Buffers a thread keeps to write from.
const MAX_KEPT: usize = 2;

/// The same of buffers whose parts go elsewhere: one is lent again when all parts of it are dropped.
pub(super) mod shared {
    use std::cell::RefCell;

    use bytes::BytesMut;

    use super::BUFFER_SIZE;

    /// An empty one with space for [`BUFFER_SIZE`] bytes.
    pub(in crate::transport) fn take() -> BytesMut {
        let kept = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let free = kept.iter_mut().position(|buffer| buffer.try_reclaim(BUFFER_SIZE))?;
            Some(kept.remove(free))
        });
        kept.ok().flatten().unwrap_or_else(|| BytesMut::with_capacity(BUFFER_SIZE))
    }

    /// What is in it is done with, but for parts that were split off.
    pub(in crate::transport) fn give(mut buffer: BytesMut) {
        buffer.clear();
        // A thread that ends keeps nothing.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(buffer);
            }
        });
    }

    thread_local! {
        static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    }

    /// As many as hold what is written to a file at once, and one to read to.
    const MAX_KEPT: usize = 5;

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_buffer_is_lent_again_once_its_parts_are_dropped() {
            let mut first = take();
            let place = first.as_ptr();
            first.extend_from_slice(b"part, rest");
            let part = first.split_to(4).freeze();
            give(first);
            let other = take();
            assert_ne!(other.as_ptr(), place);
            assert_eq!(&part[..], b"part");
            drop(part);
            let again = take();
            assert_eq!((again.as_ptr(), again.len()), (place, 0));
            assert!(again.capacity() >= BUFFER_SIZE);
            let many: Vec<_> = (0..10).map(|_| take()).collect();
            many.into_iter().for_each(give);
            assert_eq!(KEPT.with_borrow(Vec::len), MAX_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_given_back_is_lent_again_and_no_more_than_a_few_are_kept() {
        let first = Buffer::take();
        let place = first.as_ptr();
        drop(first);
        let again = Buffer::take();
        assert_eq!(again.as_ptr(), place);
        let many: Vec<_> = (0..10).map(|_| Buffer::take()).collect();
        drop((again, many));
        assert_eq!(KEPT.with_borrow(Vec::len), MAX_KEPT);
    }
}
