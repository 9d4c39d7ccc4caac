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
