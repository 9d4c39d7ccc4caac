//! Records on their way between socket and rustls, in buffers that a waiting connection does not hold.

use std::fmt::Debug;

use rustls::Error;

use crate::transport::buffers::Buffer;

/// What has come and is not yet decrypted.
#[derive(Default)]
pub(super) struct Incoming {
    kept: Kept,
    start: usize,
    end: usize,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Lent(Buffer),
    /// The beginning of a record whose end is awaited.
    Own(Box<[u8]>),
}

impl Incoming {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.end);
        match &mut self.kept {
            Kept::Nothing => &mut [],
            Kept::Lent(buffer) => &mut buffer[start..end],
            Kept::Own(bytes) => &mut bytes[start..end],
        }
    }

    /// The first `n` bytes are done with.
    pub(super) fn discard(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Where more may go; empty only if a buffer is full of what cannot be used.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let (start, length) = (self.start, self.end - self.start);
        let buffer = match std::mem::take(&mut self.kept) {
            Kept::Lent(mut buffer) => {
                buffer.copy_within(start..start + length, 0);
                buffer
            }
            Kept::Own(bytes) => {
                let mut buffer = Buffer::take();
                buffer[..length].copy_from_slice(&bytes[start..start + length]);
                buffer
            }
            Kept::Nothing => Buffer::take(),
        };
        (self.start, self.end) = (0, length);
        self.kept = Kept::Lent(buffer);
        match &mut self.kept {
            Kept::Lent(buffer) => &mut buffer[length..],
            _ => &mut [],
        }
    }

    /// `n` bytes have come into the room.
    pub(super) fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// Nothing more comes for now.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        } else if let Kept::Lent(buffer) = &self.kept {
            let bytes = buffer[self.start..self.end].into();
            (self.start, self.end) = (0, self.end - self.start);
            self.kept = Kept::Own(bytes);
        }
    }
}

/// What is encrypted and not yet written.
#[derive(Default)]
pub(super) struct Outgoing {
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    /// The first `n` bytes are written.
    pub(super) fn sent(&mut self, n: usize) {
        self.start += n;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Lets `write` write to the room behind.
    pub(super) fn append<E: Debug>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), Error> {
        let buffer = self.buffer.get_or_insert_with(Buffer::take);
        let written = write(&mut buffer[self.end..]);
        self.end += *written.as_ref().unwrap_or(&0);
        if self.is_empty() {
            *self = Self::default();
        }
        written.map(|_| ()).map_err(|error| Error::General(format!("TLS cannot write a message: {error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(incoming: &mut Incoming, data: &[u8]) {
        incoming.room()[..data.len()].copy_from_slice(data);
        incoming.filled(data.len());
    }

    #[test]
    fn what_has_come_is_used_in_order_and_nothing_is_held_when_it_is_used_up() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, b"abcdef");
        incoming.discard(4);
        fill(&mut incoming, b"gh");
        assert_eq!(incoming.unread_mut(), b"efgh");
        incoming.discard(4);
        assert!(incoming.is_empty() && matches!(incoming.kept, Kept::Nothing));
    }

    #[test]
    fn the_beginning_of_a_record_is_kept_in_as_much_as_it_needs() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, b"abcdef");
        incoming.discard(1);
        incoming.rest();
        assert!(matches!(&incoming.kept, Kept::Own(bytes) if **bytes == *b"bcdef"));
        fill(&mut incoming, b"g");
        assert_eq!(incoming.unread_mut(), b"bcdefg");
        incoming.discard(6);
        incoming.room();
        incoming.rest();
        assert!(matches!(incoming.kept, Kept::Nothing));
    }

    #[test]
    fn a_buffer_full_of_what_cannot_be_used_has_no_room() {
        let mut incoming = Incoming::default();
        let room = incoming.room().len();
        incoming.filled(room);
        assert!(incoming.room().is_empty());
    }

    #[test]
    fn what_is_written_goes_out_in_order_and_nothing_is_held_when_it_has() {
        let mut outgoing = Outgoing::default();
        let put = |outgoing: &mut Outgoing, data: &[u8]| {
            outgoing.append(|room| {
                room[..data.len()].copy_from_slice(data);
                Ok::<_, ()>(data.len())
            })
        };
        put(&mut outgoing, b"abc").unwrap();
        outgoing.sent(1);
        put(&mut outgoing, b"de").unwrap();
        assert!(outgoing.append(|_| Err("too long")).is_err());
        assert_eq!((outgoing.unsent(), outgoing.len()), (&b"bcde"[..], 4));
        outgoing.sent(4);
        assert!(outgoing.is_empty() && outgoing.buffer.is_none());
        assert!(outgoing.append(|_| Err("too long")).is_err());
        assert!(outgoing.buffer.is_none());
    }
}
