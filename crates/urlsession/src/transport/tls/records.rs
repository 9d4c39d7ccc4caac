//! Records on their way between socket and rustls, in buffers that a waiting connection does not hold.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;

use rustls::Error;
use tokio::io::ReadBuf;

use super::in_place::Place;
use crate::transport::buffers::Buffer;

/// What has come: data that is decrypted and not yet read, and behind it records that are not yet decrypted.
#[derive(Default)]
pub(super) struct Incoming {
    kept: Kept,
    /// Where data is, record by record.
    plain: VecDeque<Range<usize>>,
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
        !self.has_plain() && !self.has_records()
    }

    /// Is there data to read?
    pub(super) fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Is there anything to decrypt?
    pub(super) fn has_records(&self) -> bool {
        self.start < self.end
    }

    /// What is not yet decrypted.
    pub(super) fn records_mut(&mut self) -> &mut [u8] {
        &mut bytes(&mut self.kept)[self.start..self.end]
    }

    /// The first `n` bytes of the records are done with.
    pub(super) fn discard(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
        self.release();
    }

    /// Data lies at this place of the records, which are at `address`.
    pub(super) fn found(&mut self, place: Place, address: usize) -> Result<(), Error> {
        let (from, to) = (place.start.checked_sub(address), place.end.checked_sub(address));
        match (from, to) {
            (Some(from), Some(to)) if self.start + to <= self.end => {
                self.plain.push_back(self.start + from..self.start + to);
                Ok(())
            }
            _ => Err(Error::General("TLS data was not decrypted where it was read".into())),
        }
    }

    /// Reads as much data as there is room for.
    pub(super) fn read_plain(&mut self, buf: &mut ReadBuf<'_>) {
        let all = bytes(&mut self.kept);
        while let Some(plain) = self.plain.front_mut()
            && buf.remaining() > 0
        {
            let n = plain.len().min(buf.remaining());
            buf.put_slice(&all[plain.start..plain.start + n]);
            plain.start += n;
            if plain.start == plain.end {
                self.plain.pop_front();
            }
        }
        self.release();
    }

    /// Where more may go; empty only if a buffer is full of what cannot be used.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let used = self.move_to_front();
        let buffer = match std::mem::take(&mut self.kept) {
            Kept::Lent(mut buffer) => {
                buffer.copy_within(used.clone(), 0);
                buffer
            }
            Kept::Own(bytes) => {
                let mut buffer = Buffer::take();
                buffer[..used.len()].copy_from_slice(&bytes[used.clone()]);
                buffer
            }
            Kept::Nothing => Buffer::take(),
        };
        self.kept = Kept::Lent(buffer);
        &mut bytes(&mut self.kept)[used.len()..]
    }

    /// `n` bytes have come into the room.
    pub(super) fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// Nothing more comes for now.
    pub(super) fn rest(&mut self) {
        self.release();
        if matches!(self.kept, Kept::Lent(_)) {
            let used = self.move_to_front();
            self.kept = Kept::Own(bytes(&mut self.kept)[used].into());
        }
    }

    /// Counts from the first byte that is used; returns where that was, up to the last.
    fn move_to_front(&mut self) -> Range<usize> {
        let from = self.plain.front().map_or(self.start, |first| first.start);
        let used = from..self.end;
        self.plain.iter_mut().for_each(|plain| *plain = plain.start - from..plain.end - from);
        (self.start, self.end) = (self.start - from, self.end - from);
        used
    }

    fn release(&mut self) {
        if self.is_empty() {
            self.kept = Kept::Nothing;
            (self.start, self.end) = (0, 0);
        }
    }
}

fn bytes(kept: &mut Kept) -> &mut [u8] {
    match kept {
        Kept::Nothing => &mut [],
        Kept::Lent(buffer) => buffer,
        Kept::Own(bytes) => bytes,
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

    /// Data at this place of the records is decrypted, and as many bytes of them are done with.
    fn decrypted(incoming: &mut Incoming, place: Range<usize>, done: usize) {
        let address = incoming.records_mut().as_ptr() as usize;
        incoming.found(address + place.start..address + place.end, address).unwrap();
        incoming.discard(done);
    }

    fn read(incoming: &mut Incoming, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let mut buf = ReadBuf::new(&mut bytes);
        incoming.read_plain(&mut buf);
        buf.filled().to_vec()
    }

    #[test]
    fn data_is_read_where_it_was_decrypted_and_nothing_is_held_when_it_is_read() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, b"<abc><def><g");
        decrypted(&mut incoming, 1..4, 5);
        assert!(incoming.has_plain() && incoming.has_records());
        decrypted(&mut incoming, 1..4, 5);
        assert_eq!(read(&mut incoming, 4), b"abcd");
        fill(&mut incoming, b"hi>");
        assert_eq!(incoming.records_mut(), b"<ghi>");
        assert_eq!(read(&mut incoming, 9), b"ef");
        decrypted(&mut incoming, 1..4, 5);
        assert!(!incoming.has_records());
        assert_eq!(read(&mut incoming, 9), b"ghi");
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
        assert_eq!(incoming.records_mut(), b"bcdefg");
        decrypted(&mut incoming, 0..2, 3);
        incoming.rest();
        assert_eq!(read(&mut incoming, 9), b"bc");
        assert_eq!(incoming.records_mut(), b"efg");
        incoming.discard(3);
        incoming.room();
        incoming.rest();
        assert!(matches!(incoming.kept, Kept::Nothing));
    }

    #[test]
    fn data_that_is_not_where_it_was_read_is_an_error() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, b"abcdef");
        let address = incoming.records_mut().as_ptr() as usize;
        assert!(incoming.found(address + 3..address + 7, address).is_err());
        assert!(incoming.found(address - 1..address + 1, address).is_err());
        assert!(!incoming.has_plain());
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
