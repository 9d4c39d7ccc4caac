//! Records on their way between socket and rustls, in buffers that a waiting connection does not hold.

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use rustls::Error;
use tokio::io::ReadBuf;

use crate::transport::buffers::{BUFFER_SIZE, Buffer, shared};
use crate::transport::fast_path::in_place::AddrRange;

/// The content of a record.
pub(super) enum Data {
    None,
    /// It lies where it was decrypted.
    InPlace(AddrRange),
    Copied(Bytes),
}

/// What has come: data that is decrypted and not yet read, and behind it records that are not yet decrypted.
#[derive(Default)]
pub(super) struct Incoming {
    /// Record by record.
    plain: VecDeque<Bytes>,
    records: BytesMut,
    /// The records are in a buffer of the thread's, not in one as long as they are.
    is_lent: bool,
}

impl Incoming {
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.records.is_empty()
    }

    /// True if there is something to decrypt.
    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// The records that are not yet decrypted.
    pub(super) fn records_mut(&mut self) -> &mut [u8] {
        &mut self.records
    }

    /// The first `done` bytes of the records, which are at `address`, are done with, and held this.
    pub(super) fn discard(&mut self, done: usize, data: Data, address: usize) -> Result<(), Error> {
        let done = match done.min(self.records.len()) {
            0 => BytesMut::new(),
            done => self.records.split_to(done),
        };
        match data {
            Data::None => {}
            Data::Copied(data) => self.plain.extend(Some(data).filter(|data| !data.is_empty())),
            Data::InPlace(place) => {
                match (place.start.checked_sub(address), place.end.checked_sub(address)) {
                    (Some(from), Some(to)) if to <= done.len() => {
                        self.plain.push_back(done.freeze().slice(from..to));
                    }
                    _ => return Err(Error::General("TLS data was not decrypted where it was read".into())),
                }
            }
        }
        if self.records.is_empty() {
            self.give_back();
        }
        Ok(())
    }

    /// Copies as much data as there is space for.
    pub(super) fn read_plain(&mut self, buf: &mut ReadBuf<'_>) {
        while buf.remaining() > 0
            && let Some(plain) = self.next_plain(buf.remaining())
        {
            buf.put_slice(&plain);
        }
    }

    /// The data of a record, where it was decrypted, or the next `most` bytes of it.
    pub(super) fn next_plain(&mut self, most: usize) -> Option<Bytes> {
        match self.plain.front_mut() {
            Some(plain) if plain.len() > most => Some(plain.split_to(most)),
            _ => self.plain.pop_front(),
        }
    }

    /// Where more may go, behind the records; `None` if there is as much as can be of what cannot be used.
    pub(super) fn space(&mut self) -> Option<&mut BytesMut> {
        let length = self.records.len();
        if length >= BUFFER_SIZE {
            return None;
        }
        if !self.is_lent || self.records.capacity() - length < LITTLE_ROOM {
            let mut buffer = shared::take();
            buffer.extend_from_slice(&self.records);
            self.give_back();
            (self.records, self.is_lent) = (buffer, true);
        }
        Some(&mut self.records)
    }

    /// Nothing more comes for now.
    pub(super) fn rest(&mut self) {
        let own = BytesMut::from(&self.records[..]);
        self.give_back();
        self.records = own;
    }

    fn give_back(&mut self) {
        let records = std::mem::take(&mut self.records);
        if std::mem::take(&mut self.is_lent) {
            shared::give(records);
        }
    }
}

/// Less is not worth reading to.
const LITTLE_ROOM: usize = 64 * 1024;

/// Encrypted records that are not yet written.
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

    /// Lets `write` write to the space behind.
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
    use std::ops::Range;

    use super::*;

    fn fill(incoming: &mut Incoming, data: &[u8]) {
        incoming.space().unwrap().extend_from_slice(data);
    }

    /// Data at this place of the records is decrypted, and as many bytes of them are done with.
    fn decrypted(incoming: &mut Incoming, place: Range<usize>, done: usize) -> Result<(), Error> {
        let address = incoming.records_mut().as_ptr() as usize;
        let place = address + place.start..address + place.end;
        incoming.discard(done, Data::InPlace(place), address)
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
        let place = incoming.records_mut().as_ptr() as usize;
        decrypted(&mut incoming, 1..4, 5).unwrap();
        decrypted(&mut incoming, 1..4, 5).unwrap();
        assert_eq!(incoming.next_plain(2).unwrap().as_ptr() as usize, place + 1);
        assert_eq!(read(&mut incoming, 2), b"cd");
        fill(&mut incoming, b"hi>");
        assert_eq!(incoming.records_mut(), b"<ghi>");
        assert_eq!(read(&mut incoming, 9), b"ef");
        decrypted(&mut incoming, 1..4, 5).unwrap();
        assert!(!incoming.has_records() && !incoming.is_lent);
        assert_eq!(read(&mut incoming, 9), b"ghi");
        assert!(incoming.is_empty());
    }

    #[test]
    fn the_beginning_of_a_record_is_kept_in_as_much_as_it_needs() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, b"abcdef");
        incoming.discard(1, Data::None, 0).unwrap();
        incoming.rest();
        assert!(!incoming.is_lent && incoming.records.capacity() < 100);
        fill(&mut incoming, b"g");
        assert_eq!(incoming.records_mut(), b"bcdefg");
        decrypted(&mut incoming, 0..2, 3).unwrap();
        incoming.rest();
        assert_eq!(read(&mut incoming, 9), b"bc");
        assert_eq!(incoming.records_mut(), b"efg");
        incoming.discard(3, Data::None, 0).unwrap();
        incoming.space();
        incoming.rest();
        assert!(!incoming.is_lent && incoming.records.capacity() == 0);
    }

    #[test]
    fn data_that_is_not_where_it_was_read_is_an_error() {
        for place in [3..7, 0..3] {
            let mut incoming = Incoming::default();
            fill(&mut incoming, b"abcdef");
            assert!(decrypted(&mut incoming, place, 2).is_err());
            assert!(incoming.next_plain(9).is_none());
        }
    }

    #[test]
    fn a_buffer_full_of_what_cannot_be_used_has_no_room() {
        let mut incoming = Incoming::default();
        fill(&mut incoming, &vec![0; BUFFER_SIZE]);
        assert!(incoming.space().is_none());
    }

    #[test]
    fn what_is_written_goes_out_in_order_and_nothing_is_held_when_it_has() {
        let mut outgoing = Outgoing::default();
        let put = |outgoing: &mut Outgoing, data: &[u8]| {
            outgoing.append(|space| {
                space[..data.len()].copy_from_slice(data);
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
