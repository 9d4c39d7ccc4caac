//! `ResumeInfo`: what is known of a download that can be resumed, and its form in resume data and beside partial files.
//!
//! It opens no file: where the bytes are, and whether they are still those, is `partial`'s business.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256, digest};
use http::{Method, StatusCode, header};
use url::Url;
use urlsession_proto::range::{Have, Validators, is_coded};
use urlsession_proto::scheme::Scheme;

use super::digest::ContentDigest;
use super::stamp::Stamp;
use crate::error::Result;
use crate::load::TransactionRecord;
use crate::message::{
    CachePolicy, HeaderFields, ResumeData, ResumeFailure, ResumeFields, ResumeKind, UrlRequest, UrlResponse,
    is_secret, unusable,
};
use crate::task::destination::{DownloadDestination, identity, url_text};

/// What a download is resumed by.
#[derive(Clone, Debug)]
pub(super) struct ResumeInfo {
    /// What it is told from other downloads by, whatever is asked for it by now.
    pub(super) identity: String,
    /// The request that its rest is asked for with.
    pub(super) request: UrlRequest,
    /// What answered it, after redirects.
    pub(super) final_url: Option<Url>,
    pub(super) validators: Validators,
    pub(super) complete: Option<u64>,
    /// The servers that only a delegate trusts and that had a part in what is here.
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

/// Facts that were written down, and what they are about.
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
    /// On its way to this destination.
    Destined(DownloadDestination),
}

impl ResumeInfo {
    /// Those of a response that holds the whole of something, if it can be resumed. `now` is in seconds since 1970.
    pub(super) fn of(identity: &str, request: &UrlRequest, response: &UrlResponse, now: i64) -> Option<Self> {
        let is_whole = response.http_head().is_some_and(|head| head.status == StatusCode::OK);
        let resume_info = Self::of_representation(identity, request, response, now).filter(|_| is_whole)?;
        // RFC 9112 §6.3: where the transfer is coded, a length says nothing.
        let is_framed = !response.http_head()?.fields.contains_key(header::TRANSFER_ENCODING);
        Some(Self { complete: response.expected_content_length().filter(|_| is_framed), ..resume_info })
    }

    /// Those of a response that holds the beginning of something `complete` bytes long, if the rest can be asked for.
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

    /// Those of a response, without a length.
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

/// May a response to this request be resumed (RFC 9110 §14.2)? Who asks for a range of its own has its own mind.
pub(super) fn is_resumable(request: &UrlRequest) -> bool {
    let fields = request.fields();
    *request.http_method() == Method::GET
        && request.content().is_empty()
        && Scheme::of(request.url()).is_http()
        && !["range", "if-range"].iter().any(|name| fields.contains(name))
}

impl ResumeRecord {
    pub(super) fn close_transaction(&self) -> ResumeData {
        self.sealed(self.resume_info.request.fields())
    }

    /// For a note beside the file: who finds it has a request of its own, whose fields are not for the disk.
    pub(super) fn seal_note(&self) -> ResumeData {
        self.sealed(&HeaderFields::new())
    }

    fn sealed(&self, header_fields: &HeaderFields) -> ResumeData {
        let ResumeInfo { identity: known_by, request, final_url, validators, complete, untrusted } =
            &self.resume_info;
        let mut out = ResumeFields::default();
        let url = url_text(request.url());
        out.push_text(URL, Some(&url));
        out.push_text(IDENTITY, Some(&**known_by).filter(|known_by| *known_by != url));
        out.push_text(FINAL_URL, final_url.as_ref().map(url_text).as_deref());
        out.push_text(ETAG, validators.etag.as_deref());
        out.push_text(DATE, validators.date.as_deref());
        out.push_number(COMPLETE, *complete);
        self.stamp.write(&mut out, STAMP);
        match &self.place {
            PartialLocation::Temporary(name) => out.push_text(TEMPORARY, Some(name)),
            PartialLocation::Destined(destination) => destination.write(&mut out, DESTINATION),
        }
        for (name, value) in header_fields.iter().filter(|(name, _)| !is_secret(name)) {
            out.push(FIELD_NAME, name.as_bytes());
            out.push(FIELD_VALUE, value);
        }
        let timeout = request.timeout_interval().map(|timeout| timeout.as_millis() as u64);
        out.push_number(TIMEOUT, timeout);
        out.push_number(CACHE_POLICY, Some(request.cache_policy() as u64));
        let allows = ALLOWS.iter().enumerate().filter(|(_, (allows, _))| allows(request));
        out.push_number(FLAGS, Some(allows.fold(0, |flags, (bit, _)| flags | 1 << bit)));
        out.push_text(MAIN_DOCUMENT, request.main_document_url().map(Url::as_str));
        out.push_text(PARTITION, request.cookie_partition_identifier());
        if let Some(expected) = &self.expected {
            out.push(EXPECTED, expected.as_bytes());
        }
        out.push_number(CHECKS, Some(self.checks_repr_digest.into()));
        out.push_text(ZONE, request.effective_zone_id());
        if let Some(untrusted) = untrusted {
            out.push(UNTRUSTED, untrusted);
        }
        ResumeData::seal(ResumeKind::Download, VERSION, &out)
    }

    pub(super) fn open(data: &ResumeData) -> Result<Self> {
        let fields = data.open(ResumeKind::Download, VERSION)?;
        Self::read(&fields)
            .ok_or_else(|| unusable(ResumeFailure::DataDamaged, "the resume data does not say what it must"))
    }

    fn read(fields: &ResumeFields) -> Option<Self> {
        let url: Url = fields.text(URL)?.parse().ok()?;
        let mut request = UrlRequest::new(url);
        request.set_zone_id(fields.text(ZONE));
        let known_by = fields.text(IDENTITY).map(str::to_owned).unwrap_or_else(|| identity(&request));
        let mut name = None;
        for (number, value) in fields.iter() {
            match number {
                FIELD_NAME => name = std::str::from_utf8(value).ok().map(str::to_owned),
                FIELD_VALUE => request.fields_mut().append(name.take()?, value.to_vec()).ok()?,
                _ => {}
            }
        }
        request.set_timeout_interval(fields.number(TIMEOUT).map(Duration::from_millis));
        let policy = fields.number(CACHE_POLICY)?;
        request.set_cache_policy(POLICIES.into_iter().find(|known| *known as u64 == policy)?);
        let flags = fields.number(FLAGS)?;
        for (bit, (_, set)) in ALLOWS.iter().enumerate() {
            set(&mut request, flags & 1 << bit != 0);
        }
        request.set_main_document_url(fields.text(MAIN_DOCUMENT).and_then(|url| url.parse().ok()));
        request.set_cookie_partition_identifier(fields.text(PARTITION));
        let validators =
            Validators { etag: fields.text(ETAG).map(Into::into), date: fields.text(DATE).map(Into::into) };
        let place = match fields.text(TEMPORARY) {
            Some(name) => PartialLocation::Temporary(name.into()),
            None => PartialLocation::Destined(DownloadDestination::read(fields, DESTINATION)?),
        };
        let resume_info = ResumeInfo {
            identity: known_by,
            request,
            final_url: fields.text(FINAL_URL).and_then(|url| url.parse().ok()),
            validators,
            complete: fields.number(COMPLETE),
            untrusted: match fields.bytes(UNTRUSTED) {
                Some(servers) => Some(servers.try_into().ok()?),
                None => None,
            },
        };
        let stamp = Stamp::read(fields, STAMP)?;
        // What is not so was never written.
        let is_sound = is_resumable(&resume_info.request)
            && !resume_info.validators.is_empty()
            && resume_info.complete.is_none_or(|complete| stamp.bytes <= complete);
        is_sound.then(|| Self {
            resume_info,
            stamp,
            place,
            expected: fields.bytes(EXPECTED).and_then(|bytes| ContentDigest::of_bytes(bytes.to_vec())),
            checks_repr_digest: fields.number(CHECKS) == Some(1),
        })
    }
}

/// Of the fields below. A reader refuses later versions, and knows what earlier ones lack.
const VERSION: u8 = 1;

const URL: u8 = 1;
const FINAL_URL: u8 = 2;
const ETAG: u8 = 3;
const DATE: u8 = 4;
const COMPLETE: u8 = 5;
const TEMPORARY: u8 = 6;
const FIELD_NAME: u8 = 7;
const FIELD_VALUE: u8 = 8;
const TIMEOUT: u8 = 9;
const CACHE_POLICY: u8 = 10;
const FLAGS: u8 = 11;
const MAIN_DOCUMENT: u8 = 12;
const PARTITION: u8 = 13;
const EXPECTED: u8 = 14;
const CHECKS: u8 = 15;
/// Where it is not the URL.
const IDENTITY: u8 = 16;
const ZONE: u8 = 17;
const UNTRUSTED: u8 = 18;
/// The first of several.
const STAMP: u8 = 32;
/// The first of several.
const DESTINATION: u8 = 64;

const POLICIES: [CachePolicy; 6] = [
    CachePolicy::UseProtocolCachePolicy,
    CachePolicy::ReloadIgnoringLocalCacheData,
    CachePolicy::ReturnCacheDataElseLoad,
    CachePolicy::ReturnCacheDataDontLoad,
    CachePolicy::ReloadIgnoringLocalAndRemoteCacheData,
    CachePolicy::ReloadRevalidatingCacheData,
];

type Flag = (fn(&UrlRequest) -> bool, fn(&mut UrlRequest, bool));

/// By their bits.
const ALLOWS: [Flag; 6] = [
    (UrlRequest::http_should_handle_cookies, UrlRequest::set_http_should_handle_cookies),
    (UrlRequest::allows_cellular_access, UrlRequest::set_allows_cellular_access),
    (UrlRequest::allows_expensive_network_access, UrlRequest::set_allows_expensive_network_access),
    (UrlRequest::allows_constrained_network_access, UrlRequest::set_allows_constrained_network_access),
    (
        UrlRequest::allows_ultra_constrained_network_access,
        UrlRequest::set_allows_ultra_constrained_network_access,
    ),
    (UrlRequest::requires_dnssec_validation, UrlRequest::set_requires_dnssec_validation),
];

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;
    use crate::message::HttpUrlResponse;

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
    fn fields_of_any_content_are_read_or_refused() {
        let whole = noted().close_transaction().open(ResumeKind::Download, VERSION).unwrap();
        let lengths: usize = whole.iter().map(|(_, value)| value.len() + 1).sum();
        for at in 0..lengths {
            for with in [0, 1, 0x7f, 0x80, 0xff, b'\n'] {
                let (mut altered, mut left) = (ResumeFields::default(), at);
                for (number, value) in whole.iter() {
                    let (mut number, mut value) = (number, value.to_vec());
                    if left < value.len() {
                        value[left] = with;
                    } else if left == value.len() {
                        number = with;
                    }
                    left = left.checked_sub(value.len() + 1).unwrap_or(usize::MAX);
                    altered.push(number, &value);
                }
                // Whatever is read can be written, and resumed only as what it may be.
                if let Ok(read) =
                    ResumeRecord::open(&ResumeData::seal(ResumeKind::Download, VERSION, &altered))
                {
                    assert!(
                        is_resumable(&read.resume_info.request) && !read.resume_info.validators.is_empty()
                    );
                    read.close_transaction();
                    assert!(crate::task::kinds::download::partial::reopen(&read).is_err());
                }
            }
        }
    }

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
