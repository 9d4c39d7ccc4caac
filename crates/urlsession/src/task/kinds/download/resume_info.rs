//! `ResumeInfo`: the information about a download that can be resumed, and its form in resume data and beside partial
//! files.
//!
//! It opens no file: `partial` knows where the bytes are, and whether they are unchanged.

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use url::Url;
use urlsession_proto::range::{Have, Validators, is_coded};
use urlsession_proto::scheme::Scheme;

use super::digest::ContentDigest;
use super::stamp::Stamp;
use crate::error::Result;
use crate::load::TransactionRecord;
use crate::message::codec::{Record, RecordKind};
use crate::message::{Data, RequestForm, ResumeData, UrlRequest, UrlResponse, incomplete};
use crate::task::destination::{DestinationForm, DownloadDestination, url_text};

/// The information that a download is resumed with.
#[derive(Clone, Debug)]
pub(super) struct ResumeInfo {
    /// The text that distinguishes it from other downloads, whatever its current request is.
    pub(super) identity: String,
    /// The request for the rest.
    pub(super) request: UrlRequest,
    /// The URL of the response, after redirects.
    pub(super) final_url: Option<Url>,
    pub(super) validators: Validators,
    pub(super) complete: Option<u64>,
    /// The servers that only a delegate trusts and that sent a part of the existing bytes.
    pub(super) untrusted: Option<UntrustedServers>,
}

/// A hash of the certificates of servers.
pub(super) type UntrustedServers = [u8; 32];

/// The servers of these transactions that only a delegate trusts, if there are any.
pub(super) fn untrusted_servers(log: &[TransactionRecord]) -> Option<UntrustedServers> {
    let mut all = Context::new(&SHA256);
    let mut any = false;
    for resume_info in log
        .iter()
        .filter_map(|transaction| transaction.connection.as_ref())
        .filter(|resume_info| resume_info.is_overridden)
    {
        let certificates = resume_info.peer.as_ref().map_or(&[][..], |peer| peer.trust.certificates());
        all.update(digest(&SHA256, certificates.first().map_or(&[][..], Vec::as_slice)).as_ref());
        any = true;
    }
    any.then(|| all.finish().as_ref().try_into().ok()).flatten()
}

/// Recorded resume information, and the file it describes.
#[derive(Clone, Debug)]
pub(super) struct ResumeRecord {
    pub(super) resume_info: ResumeInfo,
    pub(super) stamp: Stamp,
    pub(super) place: PartialLocation,
    pub(super) expected: Option<ContentDigest>,
    pub(super) checks_repr_digest: bool,
}

/// Where the partial file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PartialLocation {
    /// A file of this name in the system's folder for temporary files.
    Temporary(String),
    /// Unfinished, for this destination.
    Destined(DownloadDestination),
}

impl ResumeInfo {
    /// The information from a response that holds the whole content, if it can be resumed. `now` is in seconds since 1970.
    pub(super) fn of(identity: &str, request: &UrlRequest, response: &UrlResponse, now: i64) -> Option<Self> {
        let is_whole = response.http_head().is_some_and(|head| head.status == StatusCode::OK);
        let resume_info = Self::of_representation(identity, request, response, now).filter(|_| is_whole)?;
        // RFC 9112 §6.3: where the transfer is coded, a length says nothing.
        let is_framed = !response.http_head()?.fields.contains_key(header::TRANSFER_ENCODING);
        Some(Self { complete: response.expected_content_length().filter(|_| is_framed), ..resume_info })
    }

    /// The information from a response that holds the beginning of content that is `complete` bytes long, if the rest can
    /// be requested.
    pub(super) fn of_beginning(
        identity: &str,
        request: &UrlRequest,
        response: &UrlResponse,
        now: i64,
        complete: Option<u64>,
    ) -> Option<Self> {
        let resume_info = Self::of_representation(identity, request, response, now)?;
        Some(Self { complete, ..resume_info })
    }

    /// The information from a response, without a length.
    fn of_representation(
        identity: &str,
        request: &UrlRequest,
        response: &UrlResponse,
        now: i64,
    ) -> Option<Self> {
        let head = response.http_head()?;
        if !is_resumable(request) || is_coded(&head.fields) {
            return None;
        }
        // RFC 9110 §14.3
        let ranges = head.fields.get_all(header::ACCEPT_RANGES);
        if ranges.iter().any(|units| units.as_bytes().eq_ignore_ascii_case(b"none")) {
            return None;
        }
        let validators = Validators::of(&head.fields, now);
        (!validators.is_empty()).then(|| Self {
            identity: identity.to_owned(),
            request: request.clone(),
            final_url: Some(response.url().clone()),
            validators,
            complete: None,
            untrusted: None,
        })
    }

    pub(super) fn have(&self, bytes: u64) -> Have<'_> {
        Have { bytes, complete: self.complete, validators: &self.validators }
    }
}

/// Whether a response to this request may be resumed (RFC 9110 §14.2). A request for a range of its own is not resumed.
pub(super) fn is_resumable(request: &UrlRequest) -> bool {
    let fields = request.fields();
    *request.http_method() == Method::GET
        && request.content().is_empty()
        && Scheme::of(request.url()).is_http()
        && !["range", "if-range"].iter().any(|name| fields.contains(name))
}

impl ResumeRecord {
    pub(super) fn close_transaction(&self) -> ResumeData {
        ResumeData::seal(&self.form(RequestForm::without_secrets(&self.request(), ())))
    }

    /// For a note beside the file: the reader has its own request, whose fields do not belong on the disk.
    pub(super) fn seal_note(&self) -> ResumeData {
        ResumeData::seal(&self.form(RequestForm::without_fields(&self.request(), ())))
    }

    /// Without the fragment, which does not distinguish downloads.
    fn request(&self) -> UrlRequest {
        let mut request = self.resume_info.request.clone();
        let mut url = request.url().clone();
        url.set_fragment(None);
        request.set_url(url);
        request
    }

    fn form(&self, request: RequestForm<()>) -> DownloadForm {
        let ResumeInfo { identity, final_url, validators, complete, untrusted, .. } = &self.resume_info;
        DownloadForm {
            request,
            identity: identity.clone(),
            final_url: final_url.as_ref().map(url_text),
            etag: validators.etag.clone(),
            date: validators.date.clone(),
            complete: *complete,
            stamp: self.stamp.clone(),
            place: match &self.place {
                PartialLocation::Temporary(name) => LocationForm::Temporary(name.clone()),
                PartialLocation::Destined(destination) => LocationForm::Destined(destination.form()),
            },
            expected: self.expected.as_ref().map(|digest| Data(Bytes::copy_from_slice(digest.as_bytes()))),
            checks_repr_digest: self.checks_repr_digest,
            untrusted: *untrusted,
        }
    }

    pub(super) fn open(data: &ResumeData) -> Result<Self> {
        Self::read(data.open()?).ok_or_else(incomplete)
    }

    fn read(form: DownloadForm) -> Option<Self> {
        let (request, ()) = form.request.into_parts().ok()?;
        let resume_info = ResumeInfo {
            identity: form.identity,
            request,
            final_url: form.final_url.and_then(|url| url.parse().ok()),
            validators: Validators { etag: form.etag, date: form.date },
            complete: form.complete,
            untrusted: form.untrusted,
        };
        // What is not so was never written.
        let is_sound = is_resumable(&resume_info.request)
            && !resume_info.validators.is_empty()
            && resume_info.complete.is_none_or(|complete| form.stamp.bytes <= complete);
        let expected = match form.expected {
            Some(Data(bytes)) => Some(ContentDigest::of_bytes(bytes.into())?),
            None => None,
        };
        is_sound.then_some(Self {
            resume_info,
            stamp: form.stamp,
            place: match form.place {
                LocationForm::Temporary(name) => PartialLocation::Temporary(name),
                LocationForm::Destined(destination) => PartialLocation::Destined(destination.into()),
            },
            expected,
            checks_repr_digest: form.checks_repr_digest,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct DownloadForm {
    request: RequestForm<()>,
    identity: String,
    final_url: Option<String>,
    etag: Option<String>,
    date: Option<String>,
    complete: Option<u64>,
    stamp: Stamp,
    place: LocationForm,
    expected: Option<Data>,
    checks_repr_digest: bool,
    untrusted: Option<UntrustedServers>,
}

#[derive(Serialize, Deserialize)]
enum LocationForm {
    Temporary(String),
    Destined(DestinationForm),
}

impl Record<'_> for DownloadForm {
    const KIND: RecordKind = RecordKind::Download;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Version;

    use super::*;
    use crate::message::codec::tests::{hex, neighbours, payload, sealed};
    use crate::message::{CachePolicy, HttpUrlResponse, ResumeFailure};

    fn request() -> UrlRequest {
        let mut request = UrlRequest::new("https://me:s3cret@example.com/a?sig=x#part".parse().unwrap());
        for (name, value) in [
            ("Authorization", "Bearer s3cret"),
            ("COOKIE", "id=s3cret"),
            ("Proxy-Authorization", "Basic s3cret"),
            ("X-Mine", "kept"),
        ] {
            request.set_value(name, value).unwrap();
        }
        request.set_timeout_interval(Duration::from_millis(1500));
        request.set_cache_policy(CachePolicy::ReloadIgnoringLocalCacheData);
        request.set_allows_cellular_access(false);
        request
    }

    fn noted() -> ResumeRecord {
        let fields = [("ETag", "\"a\""), ("Content-Length", "1000")];
        let url = "https://example.com/b".parse().unwrap();
        let response = HttpUrlResponse::new(url, 200, Version::HTTP_11, fields).unwrap();
        ResumeRecord {
            resume_info: ResumeInfo {
                untrusted: Some([5; 32]),
                ..ResumeInfo::of("name:a", &request(), &response, 0).unwrap()
            },
            stamp: Stamp { bytes: 500, tail: [7; 32], device: 1, inode: 2, changed: Some((3, 4)) },
            place: PartialLocation::Destined(
                DownloadDestination::in_folder(std::path::absolute("/x").unwrap()).overwriting(),
            ),
            expected: Some(ContentDigest::sha256([1; 32])),
            checks_repr_digest: true,
        }
    }

    #[test]
    fn what_is_sealed_is_read_again_without_its_secrets() {
        let data = noted().close_transaction();
        let whole = String::from_utf8_lossy(data.as_bytes()).into_owned();
        assert!(!whole.contains("s3cret") && whole.contains("sig=x") && whole.contains("kept"), "{whole}");
        assert!(!String::from_utf8_lossy(noted().seal_note().as_bytes()).contains("kept"));
        let read = ResumeRecord::open(&data).unwrap();
        let request = &read.resume_info.request;
        assert_eq!(request.url().as_str(), "https://me@example.com/a?sig=x");
        assert_eq!(request.value("x-mine"), Some("kept"));
        assert_eq!(request.fields().len(), 1);
        assert_eq!(request.timeout_interval(), Some(Duration::from_millis(1500)));
        assert_eq!(request.cache_policy(), CachePolicy::ReloadIgnoringLocalCacheData);
        assert!(!request.allows_cellular_access() && request.allows_expensive_network_access());
        assert_eq!(read.resume_info.final_url.unwrap().as_str(), "https://example.com/b");
        assert_eq!(read.resume_info.identity, "name:a");
        assert_eq!(read.resume_info.untrusted, Some([5; 32]));
        assert_eq!(read.resume_info.validators.etag.as_deref(), Some("\"a\""));
        assert_eq!((read.resume_info.complete, read.stamp, read.place), {
            let ResumeRecord { resume_info, stamp, place, .. } = noted();
            (resume_info.complete, stamp, place)
        });
        assert_eq!((read.expected, read.checks_repr_digest), (noted().expected, true));
    }

    #[test]
    fn more_bytes_than_there_are_and_no_validator_are_refused() {
        for change in [
            (|noted: &mut ResumeRecord| noted.stamp.bytes = 1001) as fn(&mut ResumeRecord),
            |noted| noted.resume_info.validators = Validators::default(),
            |noted| noted.resume_info.request.set_url("file:///etc/passwd".parse().unwrap()),
        ] {
            let mut noted = noted();
            change(&mut noted);
            let error = ResumeRecord::open(&noted.close_transaction()).unwrap_err();
            assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged));
        }
    }

    #[test]
    fn records_of_any_content_are_read_or_refused() {
        for payload in neighbours(&payload(noted().close_transaction().as_bytes())) {
            let data = ResumeData::try_from(sealed(RecordKind::Download, 1, &payload)).unwrap();
            // Whatever is read can be written, and resumed only as what it may be.
            match ResumeRecord::open(&data) {
                Ok(read) => {
                    assert!(
                        is_resumable(&read.resume_info.request) && !read.resume_info.validators.is_empty()
                    );
                    ResumeRecord::open(&read.close_transaction()).unwrap();
                    assert!(crate::task::kinds::download::partial::reopen(&read).is_err());
                }
                Err(error) => assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged)),
            }
        }
    }

    #[test]
    fn version_1_is_written_as_it_was() {
        let mut noted = noted();
        noted.place = PartialLocation::Temporary("urlsession-a.tmp".into());
        assert_eq!(hex(&payload(noted.close_transaction().as_bytes())), VERSION_1);
    }

    const VERSION_1: &str = concat!(
        "011e68747470733a2f2f6d65406578616d706c652e636f6d2f613f7369673d7800034745540106582d4d696e65046b65",
        "7074010180cab5ee010100000000010000010101000000066e616d653a61011568747470733a2f2f6578616d706c652e",
        "636f6d2f6201032261220001e807f4030707070707070707070707070707070707070707070707070707070707070707",
        "0102010608001075726c73657373696f6e2d612e746d7001200101010101010101010101010101010101010101010101",
        "01010101010101010101010505050505050505050505050505050505050505050505050505050505050505",
    );

    #[test]
    fn a_length_beside_a_transfer_coding_is_not_believed() {
        let fields = [("ETag", "\"a\""), ("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        let url = "https://example.com/b".parse().unwrap();
        let response = HttpUrlResponse::new(url, 200, Version::HTTP_11, fields).unwrap();
        assert_eq!(ResumeInfo::of("name:a", &request(), &response, 0).unwrap().complete, None);
    }

    #[test]
    fn only_whole_uncoded_answers_to_get_with_a_strong_validator_can_be_resumed() {
        let of = |request: &UrlRequest, status, fields: &[(&str, &str)]| {
            let url = "https://example.com/b".parse().unwrap();
            let response =
                HttpUrlResponse::new(url, status, Version::HTTP_11, fields.iter().copied()).unwrap();
            ResumeInfo::of("name:a", request, &response, 0).is_some()
        };
        let (tag, get) = (("etag", "\"a\""), request());
        assert!(of(&get, 200, &[tag]));
        assert!(of(&get, 200, &[tag, ("accept-ranges", "bytes"), ("content-encoding", "identity")]));
        assert!(!of(&get, 200, &[]));
        assert!(!of(&get, 200, &[("etag", "W/\"a\"")]));
        assert!(!of(&get, 206, &[tag]));
        assert!(!of(&get, 404, &[tag]));
        assert!(!of(&get, 200, &[tag, ("content-encoding", "gzip")]));
        assert!(!of(&get, 200, &[tag, ("accept-ranges", "none")]));
        let mut own = get.clone();
        own.set_value("Range", "bytes=5-").unwrap();
        assert!(!of(&own, 200, &[tag]));
        let mut post = get.clone();
        post.set_http_method("POST").unwrap();
        assert!(!of(&post, 200, &[tag]));
    }
}
