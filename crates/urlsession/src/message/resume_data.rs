//! `ResumeData`: what a transfer that stopped needs to go on, as bytes that an application may keep.
//!
//! It owns the container: kinds, versions, the checksum, and fields by number. What the fields mean belongs to whoever
//! writes them: downloads and uploads.

use parking_lot::Mutex;
use std::convert::Infallible;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// What is needed to resume a transfer, opaque to the application, which may keep it anywhere and as long as it likes.
///
/// It comes from a transfer that was cancelled by producing it or that failed ([`UrlError::resume_data`]). It holds no
/// body, but of an upload from memory what the server does not have yet. `Authorization`, `Proxy-Authorization`, `Cookie`
/// and the password of a URL are left out and come from where they came from the first time (stores, the delegate, the
/// configuration); other header fields and URLs, with their queries, are in it as they are.
///
/// The bytes are checked when they are read back: whether they are resume data at all, whole, unaltered and not of a
/// later version of this library. Apple: *resume data*.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "resumeData")]
pub struct ResumeData(Bytes);

/// What a piece of resume data resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeKind {
    Download = 1,
    Upload = 2,
}

/// Why a transfer was not resumed but begun anew, or refused. Not of Apple's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResumeFailure {
    /// What the server has now is not what it had, or what is here is from a server that only a delegate trusted, and this
    /// is another.
    ValidatorChanged,
    /// The partial file is gone.
    PartialMissing,
    /// The partial file is not as it was left: shorter, altered or another.
    PartialDamaged,
    /// Another task or process is writing the partial file.
    PartialInUse,
    /// The server sends everything, whatever range it is asked for.
    RangeIgnored,
    /// The server's range cannot be joined to what is here: it begins later, is of another length, is coded, or is
    /// several ranges.
    RangeUnusable,
    /// Nothing says that what the server has is still the same (RFC 9110 §13.1.5), or the resume data is for another
    /// kind of transfer.
    NotResumable,
    /// The server no longer gives it: the URL or what signs it has expired (401, 403, 404, 410), and the application had
    /// no other.
    Expired,
    /// The server does not give it now: another status that is no success. What is here is kept.
    Refused,
    /// These bytes are no resume data, are cut short, or have been altered.
    DataDamaged,
    /// The resume data was written by a later version of this library.
    FormatTooNew,
    /// The file to upload is not the one it was when its upload began.
    SourceChanged,
}

impl ResumeData {
    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn seal(kind: ResumeKind, version: u8, fields: &ResumeFields) -> Self {
        let mut bytes = Vec::with_capacity(HEAD + fields.0.len() + SUM);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[CONTAINER, kind as u8, version, 0]);
        bytes.extend_from_slice(&(fields.0.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&fields.0);
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        Self(bytes.into())
    }

    /// The fields, if it is of this kind and of a version up to `newest`.
    pub(crate) fn open(&self, kind: ResumeKind, newest: u8) -> Result<ResumeFields> {
        if self.0.get(KIND_AT) != Some(&(kind as u8)) {
            let detail = "the resume data is of another kind of transfer";
            return Err(unusable(ResumeFailure::NotResumable, detail));
        }
        if self.0.get(VERSION_AT).is_none_or(|version| *version > newest) {
            return Err(unusable(ResumeFailure::FormatTooNew, TOO_NEW));
        }
        let payload = self.0.get(HEAD..self.0.len().saturating_sub(SUM)).unwrap_or_default();
        Ok(ResumeFields(payload.to_vec()))
    }
}

impl TryFrom<Bytes> for ResumeData {
    type Error = UrlError;

    fn try_from(bytes: Bytes) -> Result<Self> {
        let damaged = |detail| Err(unusable(ResumeFailure::DataDamaged, detail));
        if !bytes.starts_with(MAGIC) {
            return damaged("the bytes are not resume data");
        }
        // A later version may say everything after the magic otherwise.
        if bytes.get(CONTAINER_AT).is_some_and(|version| *version > CONTAINER) {
            return Err(unusable(ResumeFailure::FormatTooNew, TOO_NEW));
        }
        let length = bytes.get(HEAD - 4..HEAD).and_then(|length| <[u8; 4]>::try_from(length).ok());
        let Some(length) = length else { return damaged("the resume data is cut short") };
        let whole = HEAD as u64 + u64::from(u32::from_be_bytes(length)) + SUM as u64;
        if (bytes.len() as u64) < whole {
            return damaged("the resume data is cut short");
        }
        let (sealed, sum) = bytes.split_at(bytes.len() - SUM);
        if bytes.len() as u64 > whole || crc32fast::hash(sealed).to_be_bytes() != sum {
            return damaged("the resume data has been altered");
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for ResumeData {
    type Error = UrlError;

    /// # Errors
    /// [`UnsupportedUrl`](UrlErrorCode::UnsupportedUrl), as Apple fails, with a [`ResumeFailure`] that says why.
    fn try_from(bytes: &[u8]) -> Result<Self> {
        Bytes::copy_from_slice(bytes).try_into()
    }
}

impl TryFrom<Vec<u8>> for ResumeData {
    type Error = UrlError;

    fn try_from(bytes: Vec<u8>) -> Result<Self> {
        Bytes::from(bytes).try_into()
    }
}

impl From<ResumeData> for Vec<u8> {
    fn from(data: ResumeData) -> Self {
        data.0.into()
    }
}

impl AsRef<[u8]> for ResumeData {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// URLs may be secrets.
impl fmt::Debug for ResumeData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.get(KIND_AT) {
            Some(1) => "download",
            Some(2) => "upload",
            _ => "unknown",
        };
        f.debug_struct("ResumeData").field("kind", &kind).field("len", &self.0.len()).finish()
    }
}

/// Lets what is resume data already be given where bytes may be too.
#[doc(hidden)]
impl From<Infallible> for UrlError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The payload: fields by number, each at most once as far as readers care (the first wins).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResumeFields(Vec<u8>);

impl ResumeFields {
    pub(crate) fn push(&mut self, number: u8, value: &[u8]) {
        self.0.push(number);
        self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
    }

    pub(crate) fn push_text(&mut self, number: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.push(number, value.as_bytes());
        }
    }

    pub(crate) fn push_number(&mut self, number: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.push(number, &value.to_be_bytes());
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (number, after) = rest.split_first()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let (value, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = after;
            Some((*number, value))
        })
    }

    pub(crate) fn bytes(&self, number: u8) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, number: u8) -> Option<&str> {
        std::str::from_utf8(self.bytes(number)?).ok()
    }

    pub(crate) fn number(&self, number: u8) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(number)?.try_into().ok()?))
    }
}

/// Resume data that cannot be used. Apple's code for it is the one its suite expects.
pub(crate) fn unusable(failure: ResumeFailure, detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Request, detail).with_resume_failure(failure)
}

/// Kept with an error.
struct Leftover {
    data: OnceLock<ResumeData>,
    /// Called when somebody takes the data; dropped uncalled if nobody does. It gives the data if that is not there yet.
    claim: Mutex<Option<Claim>>,
}

type Claim = Box<dyn FnOnce() -> Option<ResumeData> + Send>;

impl UrlError {
    /// What the transfer that failed can be resumed with; `None` if it cannot be.
    ///
    /// What is already here of a download without a destination is a temporary file. It is removed with the last clone
    /// of the error (a task keeps one), unless this has been called; then it stays until the download is resumed.
    #[doc(alias = "downloadTaskResumeData")]
    #[doc(alias = "uploadTaskResumeData")]
    #[doc(alias = "NSURLSessionDownloadTaskResumeData")]
    #[doc(alias = "NSURLSessionUploadTaskResumeData")]
    pub fn resume_data(&self) -> Option<ResumeData> {
        let leftover = self.attached::<Leftover>()?;
        // Under the lock: others wait for the data that is made here.
        let mut claim = leftover.claim.lock();
        if let Some(made) = claim.take().and_then(|claim| claim()) {
            let _ = leftover.data.set(made);
        }
        leftover.data.get().cloned()
    }

    /// Why a transfer could not be resumed, if that is why it failed. Not of Apple's.
    pub fn resume_failure(&self) -> Option<ResumeFailure> {
        self.attached().copied()
    }

    /// `claim` is called once if the data is ever taken.
    pub(crate) fn with_resume_data(self, data: ResumeData, claim: impl FnOnce() + Send + 'static) -> Self {
        let claim: Claim = Box::new(move || {
            claim();
            None
        });
        self.attach(Leftover { data: data.into(), claim: Mutex::new(Some(claim)) })
    }

    /// The data is made once, if it is ever taken.
    pub(crate) fn with_resume_data_later(self, make: impl FnOnce() -> ResumeData + Send + 'static) -> Self {
        let claim: Claim = Box::new(move || Some(make()));
        self.attach(Leftover { data: OnceLock::new(), claim: Mutex::new(Some(claim)) })
    }

    pub(crate) fn has_resume_data(&self) -> bool {
        self.attached::<Leftover>().is_some()
    }

    pub(crate) fn with_resume_failure(self, failure: ResumeFailure) -> Self {
        self.attach(failure)
    }
}

/// The first byte is no text, the last ones suffer from whoever treats it as text.
const MAGIC: &[u8; 8] = b"\x89USRD\r\n\x1a";
/// The version of the container; each kind has a version of its own for its fields.
const CONTAINER: u8 = 1;
const CONTAINER_AT: usize = MAGIC.len();
const KIND_AT: usize = CONTAINER_AT + 1;
const VERSION_AT: usize = KIND_AT + 1;
/// Magic, container, kind, version, a byte to spare, and the length of the fields.
const HEAD: usize = MAGIC.len() + 4 + 4;
/// CRC-32 of all before it.
const SUM: usize = 4;

const TOO_NEW: &str = "the resume data was written by a later version of this library";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    fn data() -> ResumeData {
        let mut fields = ResumeFields::default();
        fields.push_text(1, Some("https://example.com/?signature=secret"));
        fields.push_number(2, Some(500));
        fields.push_text(3, None);
        fields.push(2, b"the first wins");
        ResumeData::seal(ResumeKind::Download, 3, &fields)
    }

    fn failure(bytes: Vec<u8>) -> ResumeFailure {
        ResumeData::try_from(bytes).unwrap_err().resume_failure().unwrap()
    }

    /// With a checksum that is right.
    fn resealed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes: Vec<u8> = data().into();
        bytes.truncate(bytes.len() - SUM);
        change(&mut bytes);
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn what_was_written_is_read_again() {
        let bytes: Vec<u8> = data().into();
        let read = ResumeData::try_from(&bytes[..]).unwrap();
        assert_eq!(read, data());
        let fields = read.open(ResumeKind::Download, 3).unwrap();
        assert_eq!(fields.text(1), Some("https://example.com/?signature=secret"));
        assert_eq!((fields.number(2), fields.text(3), fields.number(1)), (Some(500), None, None));
    }

    #[test]
    fn damage_of_every_kind_has_its_own_message() {
        let whole: Vec<u8> = data().into();
        for length in 0..whole.len() {
            assert_eq!(failure(whole[..length].to_vec()), ResumeFailure::DataDamaged, "{length}");
        }
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(ResumeData::try_from(altered).is_err(), "{at}");
        }
        assert_eq!(failure([&whole[..], b"x"].concat()), ResumeFailure::DataDamaged);
        assert_eq!(failure(resealed(|bytes| bytes[CONTAINER_AT] = 2)), ResumeFailure::FormatTooNew);
        let error = data().open(ResumeKind::Download, 2).unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::FormatTooNew));
        let error = data().open(ResumeKind::Upload, 3).unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::NotResumable));
        assert_eq!(error.code(), UrlErrorCode::UnsupportedUrl);
        let messages = [
            ResumeData::try_from(&b""[..]).unwrap_err(),
            ResumeData::try_from(&whole[..20]).unwrap_err(),
            ResumeData::try_from([&whole[..], b"x"].concat()).unwrap_err(),
            error,
            data().open(ResumeKind::Download, 2).unwrap_err(),
        ];
        let mut details = messages.iter().map(UrlError::detail).collect::<Vec<_>>();
        details.sort_unstable();
        details.dedup();
        assert_eq!(details.len(), messages.len());
    }

    #[test]
    fn fields_that_end_early_end_the_list() {
        let bytes = resealed(|bytes| {
            let last = bytes.len() - 1;
            bytes[HEAD + 1] = 0xff;
            bytes[last] = 0xff;
        });
        let read = ResumeData::try_from(bytes).unwrap().open(ResumeKind::Download, 3).unwrap();
        assert_eq!(read.iter().count(), 0);
    }

    #[test]
    fn it_shows_its_kind_and_length_only() {
        assert_eq!(
            format!("{:?}", data()),
            format!("ResumeData {{ kind: \"download\", len: {} }}", data().0.len())
        );
    }

    #[test]
    fn an_error_carries_it_beside_what_else_is_known_and_says_when_it_is_taken() {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let error = UrlError::cancelled()
            .with_resume_data(data(), move || {
                count.fetch_add(1, Relaxed);
            })
            .with_resume_failure(ResumeFailure::Expired);
        assert_eq!(error.resume_failure(), Some(ResumeFailure::Expired));
        assert_eq!(taken.load(Relaxed), 0);
        assert_eq!(error.clone().resume_data(), Some(data()));
        assert_eq!(error.resume_data(), Some(data()));
        assert_eq!(taken.load(Relaxed), 1);
        assert!(UrlError::cancelled().resume_data().is_none());
        assert!(!format!("{error:?}").contains("secret"));
    }
}
