//! `ResumeData`: the data that a stopped transfer needs to continue, as bytes that an application may keep.
//!
//! The module states what the codec's results mean for resuming. The records themselves belong to the modules that write them:
//! downloads and uploads.

use parking_lot::Mutex;
use std::convert::Infallible;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

use super::codec::{self, Record, RecordKind, Unreadable};
use crate::error::{Phase, Result, UrlError, UrlErrorCode};

/// The data to resume a transfer. It is opaque to the application, which may keep it anywhere and as long as it likes.
///
/// It comes from a transfer that was cancelled by producing it or that failed ([`UrlError::resume_data`]). It contains no body,
/// except that for an upload from memory it contains the bytes that the server does not have yet. `Authorization`,
/// `Proxy-Authorization`, `Cookie` and the password of a URL are left out and come again from their sources (stores, the
/// delegate, the configuration); other header fields and URLs, with their queries, are included unchanged.
///
/// The bytes are checked when they are read back: they must be resume data, complete and unaltered. They are checked again when
/// they are used: they must be of that kind of transfer, and not of a later version of this library. Apple: *resume data*.
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "resumeData")]
pub struct ResumeData(Bytes);

/// Why a transfer was not resumed but begun anew, or refused. Extension: no counterpart in Apple's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResumeFailure {
    /// The server's resource has changed, or the partial data is from a server that only a delegate trusted, and this is
    /// another server.
    ValidatorChanged,
    /// The partial file is gone.
    PartialMissing,
    /// The partial file is not as it was left: it is shorter, altered or another file.
    PartialDamaged,
    /// Another task or process is writing the partial file.
    PartialInUse,
    /// The server sends the whole resource, whatever range is requested.
    RangeIgnored,
    /// The server's range cannot be joined to the partial file: it begins later, has another length, is coded, or consists of
    /// several ranges.
    RangeUnusable,
    /// Nothing proves that the server's resource is still the same (RFC 9110 §13.1.5), or the resume data is for another kind
    /// of transfer.
    NotResumable,
    /// The server no longer serves the resource: the URL or its signature has expired (401, 403, 404, 410), and the application
    /// supplied no other URL.
    Expired,
    /// The server does not serve the resource now: another status that is not a success. The partial file is kept.
    Refused,
    /// The bytes are not resume data, are cut short, or have been altered.
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

    pub(crate) fn seal<'de>(record: &impl Record<'de>) -> Self {
        Self(codec::encode(record).into())
    }

    /// The record, if it is of this kind and of no later version.
    pub(crate) fn open<'de, R: Record<'de>>(&'de self) -> Result<R> {
        codec::decode(&self.0).map_err(|why| match why {
            Unreadable::OtherKind => {
                unusable(ResumeFailure::NotResumable, "the resume data is of another kind of transfer")
            }
            Unreadable::TooNew => {
                let detail = "the resume data was written by a later version of this library";
                unusable(ResumeFailure::FormatTooNew, detail)
            }
            damage => damaged(damage),
        })
    }
}

fn damaged(why: Unreadable) -> UrlError {
    let detail = match why {
        Unreadable::Foreign => "the bytes are not resume data",
        Unreadable::CutShort => "the resume data is cut short",
        Unreadable::Altered => "the resume data has been altered",
        _ => INCOMPLETE,
    };
    unusable(ResumeFailure::DataDamaged, detail)
}

/// Resume data that was written whole and is not what a transfer writes.
pub(crate) fn incomplete() -> UrlError {
    unusable(ResumeFailure::DataDamaged, INCOMPLETE)
}

impl TryFrom<Bytes> for ResumeData {
    type Error = UrlError;

    fn try_from(bytes: Bytes) -> Result<Self> {
        codec::check(&bytes).map_err(damaged)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for ResumeData {
    type Error = UrlError;

    /// # Errors
    /// [`UnsupportedUrl`](UrlErrorCode::UnsupportedUrl), as in Apple's API, with a [`ResumeFailure`] that gives the reason.
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
        const DOWNLOAD: u8 = RecordKind::Download as u8;
        const UPLOAD: u8 = RecordKind::Upload as u8;
        let kind = match codec::kind_number(&self.0) {
            Some(DOWNLOAD) => "download",
            Some(UPLOAD) => "upload",
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

/// Resume data that cannot be used. Apple's code for it is the one its suite expects.
fn unusable(failure: ResumeFailure, detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::UnsupportedUrl, Phase::Request, detail).with_resume_failure(failure)
}

/// Kept with an error.
struct Leftover {
    data: OnceLock<ResumeData>,
    /// Called when the data is taken; dropped uncalled otherwise. It returns the data if the data does not exist yet.
    claim: Mutex<Option<Claim>>,
}

type Claim = Box<dyn FnOnce() -> Option<ResumeData> + Send>;

impl UrlError {
    /// The data to resume the transfer that failed; `None` if the transfer cannot be resumed.
    ///
    /// The partial file of a download without a destination is a temporary file. It is removed with the last clone of the error
    /// (a task keeps one), unless this method has been called; then it stays until the download is resumed.
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

    /// Why a transfer could not be resumed, if it failed for that reason. Extension: no counterpart in Apple's API.
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
    pub(crate) fn with_resume_data_later(
        self,
        make: impl FnOnce() -> Option<ResumeData> + Send + 'static,
    ) -> Self {
        let claim: Claim = Box::new(make);
        self.attach(Leftover { data: OnceLock::new(), claim: Mutex::new(Some(claim)) })
    }

    pub(crate) fn has_resume_data(&self) -> bool {
        self.attached::<Leftover>().is_some()
    }

    pub(crate) fn with_resume_failure(self, failure: ResumeFailure) -> Self {
        self.attach(failure)
    }
}

const INCOMPLETE: &str = "the resume data does not say what it must";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use serde::{Deserialize, Serialize};

    use super::super::codec::tests::{sealed, survives_damage};
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Part(String, u64);

    impl Record<'_> for Part {
        const KIND: RecordKind = RecordKind::Download;
        const VERSION: u8 = 3;
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Upload;

    impl Record<'_> for Upload {
        const KIND: RecordKind = RecordKind::Upload;
        const VERSION: u8 = 3;
    }

    fn part() -> Part {
        Part("https://example.com/?signature=secret".into(), 500)
    }

    fn data() -> ResumeData {
        ResumeData::seal(&part())
    }

    #[test]
    fn what_was_written_is_read_again() {
        let bytes: Vec<u8> = data().into();
        let read = ResumeData::try_from(&bytes[..]).unwrap();
        assert_eq!(read, data());
        assert_eq!(read.open::<Part>().unwrap(), part());
    }

    #[test]
    fn damage_is_refused_wherever_it_is() {
        survives_damage(data().as_bytes(), |bytes| match ResumeData::try_from(bytes) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged));
                false
            }
        });
    }

    #[test]
    fn what_cannot_be_used_has_its_own_message() {
        let whole: Vec<u8> = data().into();
        let sealed = |version, payload: &[u8]| {
            ResumeData::try_from(sealed(RecordKind::Download, version, payload)).unwrap()
        };
        let (later, odd) = (sealed(4, b"whatever"), sealed(3, b"whatever"));
        let mut altered = whole.clone();
        altered[whole.len() / 2] ^= 1;
        let failures = [
            (ResumeData::try_from(&b""[..]).unwrap_err(), ResumeFailure::DataDamaged),
            (ResumeData::try_from(&whole[..20]).unwrap_err(), ResumeFailure::DataDamaged),
            (ResumeData::try_from(altered).unwrap_err(), ResumeFailure::DataDamaged),
            (data().open::<Upload>().unwrap_err(), ResumeFailure::NotResumable),
            (later.open::<Part>().unwrap_err(), ResumeFailure::FormatTooNew),
            (odd.open::<Part>().unwrap_err(), ResumeFailure::DataDamaged),
        ];
        for (error, failure) in &failures {
            assert_eq!(
                (error.code(), error.resume_failure()),
                (UrlErrorCode::UnsupportedUrl, Some(*failure))
            );
        }
        let mut details = failures.iter().map(|(error, _)| error.detail()).collect::<Vec<_>>();
        details.sort_unstable();
        details.dedup();
        assert_eq!(details.len(), failures.len());
    }

    #[test]
    fn what_development_versions_wrote_is_not_resume_data() {
        let older = [b"\x89USRD\r\n\x1a\x01\x01\x01\0".as_slice(), &[0; 8]].concat();
        let error = ResumeData::try_from(older).unwrap_err();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged));
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
