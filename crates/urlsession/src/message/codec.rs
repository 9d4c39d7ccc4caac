//! The written form of everything the library keeps or hands to another process: a serde record, written by postcard, in an
//! envelope that names its kind and reveals damage.
//!
//! The module owns the envelope and the rules by which records change. Public values have their forms in `forms` and
//! `response_form`; every other record belongs to the module that writes it.
//!
//! An envelope is the magic number, the kind of the record (one byte), the version of that kind (one byte), the length of the
//! payload (eight bytes, little-endian), the payload, and the CRC-32 of everything before it. This layout is the same in all
//! versions, so that a reader can distinguish damaged records from newer ones.
//!
//! # Changing a record
//!
//! Postcard writes members in order, without names. A form that was released is therefore never edited, not even by a
//! member or an enum variant at its end. To add a member to a record:
//!
//! 1. copy its form under the name of its version (`UploadForm1`), with the forms in it that change;
//! 2. change the form, and add one to [`Record::VERSION`] of every kind that holds it;
//! 3. read the copy in [`Record::earlier`], with a default for what it lacks;
//! 4. keep the bytes in the tests that pin the earlier version, and add those of the new one.
//!
//! A reader accepts all versions up to its own. A later one is [`Unreadable::TooNew`].

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// A value that is written as a whole, and read as a whole or not at all.
pub(crate) trait Record<'de>: Serialize + Deserialize<'de> {
    const KIND: RecordKind;
    /// The version that is written. The first is 1.
    const VERSION: u8;

    /// Reads the payload of an earlier version; `None` if it is none.
    fn earlier(version: u8, payload: &'de [u8]) -> Option<Self> {
        let _ = (version, payload);
        None
    }
}

/// What a record is about. The numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Download = 1,
    Upload = 2,
    CacheEntry = 3,
    Task = 4,
}

/// Why bytes are not the requested record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The bytes do not begin as an envelope.
    Foreign,
    CutShort,
    /// The checksum is wrong, or more bytes follow.
    Altered,
    OtherKind,
    TooNew,
    /// The bytes are as they were written, but not in the form of this version.
    Malformed,
}

/// Writes a record in its envelope.
pub(crate) fn encode<'de, R: Record<'de>>(record: &R) -> Vec<u8> {
    let envelope = Envelope::new(R::KIND as u8, R::VERSION);
    // Writing to memory cannot fail, and every form here can be written.
    postcard::serialize_with_flavor(record, envelope)
        .unwrap_or_else(|error| unreachable!("a record is always written: {error}"))
}

/// Reads a record out of its envelope. Nothing is allocated that is longer than what is there.
pub(crate) fn decode<'de, R: Record<'de>>(bytes: &'de [u8]) -> Result<R, Unreadable> {
    let payload = checked(bytes)?;
    let (kind, version) = (bytes[KIND_AT], bytes[VERSION_AT]);
    if kind != R::KIND as u8 {
        return Err(Unreadable::OtherKind);
    }
    if version > R::VERSION {
        return Err(Unreadable::TooNew);
    }
    let read = if version == R::VERSION { read(payload) } else { R::earlier(version, payload) };
    read.ok_or(Unreadable::Malformed)
}

/// Reads a payload, or a value without an envelope; `None` if the bytes are not exactly one.
pub(crate) fn read<'de, T: Deserialize<'de>>(payload: &'de [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(value)
}

/// Writes a value without an envelope, for what has a checksum and a version otherwise.
pub(crate) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_else(|error| unreachable!("a value is always written: {error}"))
}

/// Whether these bytes are an envelope, whole and unaltered, whatever is in it.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Unreadable> {
    checked(bytes).map(|_| ())
}

/// The number of the kind that an envelope names.
pub(crate) fn kind_number(bytes: &[u8]) -> Option<u8> {
    bytes.get(KIND_AT).copied()
}

/// The payload. Whoever has one has a whole head before it.
fn checked(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    if !bytes.starts_with(MAGIC) {
        return Err(Unreadable::Foreign);
    }
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or(Unreadable::CutShort)?;
    let length = head.last_chunk::<LENGTH>().map_or(0, |length| u64::from_le_bytes(*length));
    let (payload, sum) = rest.split_last_chunk::<SUM>().ok_or(Unreadable::CutShort)?;
    if (payload.len() as u64) < length {
        return Err(Unreadable::CutShort);
    }
    let sealed = &bytes[..bytes.len() - SUM];
    if payload.len() as u64 > length || crc32fast::hash(sealed) != u32::from_le_bytes(*sum) {
        return Err(Unreadable::Altered);
    }
    Ok(payload)
}

/// An envelope being written: the head first, the payload as it comes, the length and the checksum last.
struct Envelope(Vec<u8>);

impl Envelope {
    fn new(kind: u8, version: u8) -> Self {
        let mut bytes = Vec::with_capacity(USUAL);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[kind, version]);
        bytes.extend_from_slice(&[0; LENGTH]);
        Self(bytes)
    }
}

impl Flavor for Envelope {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<Vec<u8>> {
        let length = (self.0.len() - HEAD) as u64;
        self.0[HEAD - LENGTH..HEAD].copy_from_slice(&length.to_le_bytes());
        let sum = crc32fast::hash(&self.0);
        self.0.extend_from_slice(&sum.to_le_bytes());
        Ok(self.0)
    }
}

/// The first byte is not text, and the last bytes change if a transfer treats them as text.
const MAGIC: &[u8; 8] = b"\x89URLS\r\n\x1a";
const KIND_AT: usize = MAGIC.len();
const VERSION_AT: usize = KIND_AT + 1;
const LENGTH: usize = size_of::<u64>();
const HEAD: usize = VERSION_AT + 1 + LENGTH;
const SUM: usize = size_of::<u32>();

/// Bytes that are enough for most records.
const USUAL: usize = 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// An envelope whose checksum is right, around whatever payload.
    pub(crate) fn sealed(kind: RecordKind, version: u8, payload: &[u8]) -> Vec<u8> {
        let mut envelope = Envelope::new(kind as u8, version);
        envelope.try_extend(payload).and_then(|()| envelope.finalize()).unwrap()
    }

    /// The payload of an envelope.
    pub(crate) fn payload(bytes: &[u8]) -> Vec<u8> {
        checked(bytes).unwrap().to_vec()
    }

    /// For the tests that pin what a version writes.
    pub(crate) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What readers of damaged records must not do: panic, or read something else. `read` says whether it read anything.
    pub(crate) fn survives_damage(bytes: &[u8], read: impl Fn(&[u8]) -> bool) {
        assert!(read(bytes));
        for length in 0..bytes.len() {
            assert!(!read(&bytes[..length]), "cut after {length}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.to_vec();
                altered[at] ^= 1 << bit;
                assert!(!read(&altered), "bit {bit} of byte {at}");
            }
        }
        assert!(!read(&[bytes, b"\0"].concat()));
    }

    /// Payloads that are near this one: each is what a later version, or somebody with bad intentions, may have written.
    pub(crate) fn neighbours(payload: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let cut = (0..payload.len()).map(|length| payload[..length].to_vec());
        let altered = (0..payload.len()).flat_map(move |at| {
            [0, 1, 2, 0x7f, 0x80, 0xff, b'\n', payload[at] ^ 1, payload[at].wrapping_add(1)].map(|byte| {
                let mut altered = payload.to_vec();
                altered[at] = byte;
                altered
            })
        });
        // The longest number there is, in the place of any byte: a length that nothing has.
        let long = (0..payload.len()).map(|at| {
            [&payload[..at], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &payload[at + 1..]].concat()
        });
        cut.chain(altered).chain(long)
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note<'a> {
        name: &'a str,
        counts: BTreeMap<String, u64>,
        is_added: bool,
    }

    /// As version 1 was written.
    #[derive(Serialize, Deserialize)]
    struct Note1<'a> {
        name: &'a str,
        counts: BTreeMap<String, u64>,
    }

    impl<'de> Record<'de> for Note<'de> {
        const KIND: RecordKind = RecordKind::CacheEntry;
        const VERSION: u8 = 2;

        fn earlier(version: u8, payload: &'de [u8]) -> Option<Self> {
            let Note1 { name, counts } = read(payload).filter(|_| version == 1)?;
            Some(Self { name, counts, is_added: true })
        }
    }

    fn note() -> Note<'static> {
        Note { name: "a", counts: BTreeMap::from([("b".into(), 300)]), is_added: false }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_so_is_one_of_an_earlier_version() {
        let bytes = encode(&note());
        assert_eq!(decode::<Note<'_>>(&bytes), Ok(note()));
        let earlier = sealed(RecordKind::CacheEntry, 1, &write(&Note1 { name: "a", counts: note().counts }));
        assert_eq!(decode::<Note<'_>>(&earlier), Ok(Note { is_added: true, ..note() }));
    }

    #[test]
    fn damage_is_told_from_another_kind_and_a_later_version() {
        let bytes = encode(&note());
        survives_damage(&bytes, |bytes| match decode::<Note<'_>>(bytes) {
            Ok(_) => true,
            Err(Unreadable::Foreign | Unreadable::CutShort | Unreadable::Altered) => false,
            Err(other) => panic!("{other:?}"),
        });
        let of = |kind, version, payload: &[u8]| decode::<Note<'_>>(&sealed(kind, version, payload)).err();
        let payload = payload(&bytes);
        assert_eq!(of(RecordKind::Upload, 9, b""), Some(Unreadable::OtherKind));
        assert_eq!(of(RecordKind::CacheEntry, 3, &payload), Some(Unreadable::TooNew));
        assert_eq!(of(RecordKind::CacheEntry, 0, &payload), Some(Unreadable::Malformed));
        assert_eq!(
            of(RecordKind::CacheEntry, 2, &[&payload[..], b"\0"].concat()),
            Some(Unreadable::Malformed)
        );
    }

    #[test]
    fn whatever_is_in_an_envelope_is_read_or_refused() {
        for payload in neighbours(&payload(&encode(&note()))) {
            let bytes = sealed(RecordKind::CacheEntry, 2, &payload);
            if let Ok(read) = decode::<Note<'_>>(&bytes) {
                assert_eq!(decode::<Note<'_>>(&encode(&read)), Ok(read));
            } else {
                assert_eq!(decode::<Note<'_>>(&bytes), Err(Unreadable::Malformed));
            }
        }
    }
}
