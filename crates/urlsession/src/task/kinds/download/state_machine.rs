//! `DownloadStateMachine`: the steps of a download from its request to its whole file: what to request, what a response
//! means for the existing part, when to request again, and when to call the application for another request.
//! `urlsession_proto::range` implements the grammar of ranges; `partial_file` has the file.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use http::header::RANGE;
use url::Url;
use urlsession_proto::digest_fields::{WANT_REPR_DIGEST, repr_digest};
use urlsession_proto::range::{self, Condition, Reason, UnrequestedPart, Verdict, is_coded};

use super::digest::{Checks, ContentDigest};
use super::partial_file::{PartialFile, left_at, tidy};
use super::resume_info::{ResumeInfo, ResumeRecord, UntrustedServers, is_resumable};
use super::shared_file::SharedFile;
use super::writing::beside;
use crate::body::ReadPause;
use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::message::{InvalidHeaderField, ResumeFailure, UrlRequest, UrlResponse};
use crate::task::byte_counts::UNKNOWN;
use crate::task::core::Core;
use crate::task::delegate::dispatch::DelegateTarget;
use crate::task::destination::{DownloadDestination, identity};
use crate::task::downloaded_file::DownloadedFile;
use crate::task::kinds::handles::DownloadTask;

pub(super) struct DownloadStateMachine<'a> {
    core: &'a Arc<Core>,
    runtime: &'a RuntimeHandle,
    shared_file: &'a SharedFile<PartialFile>,
    request: Option<Arc<UrlRequest>>,
    /// The text that distinguishes it from other downloads.
    identity: String,
    destination: Option<DownloadDestination>,
    pub(super) checks: Arc<Checks>,
    target: Option<DelegateTarget>,
    /// The response is coded: the final length of the file is not known.
    pub(super) is_decoded: bool,
    /// The condition of the request for the rest; `None` if everything was requested.
    asked: Option<Condition>,
    by_date: bool,
    /// The servers of the last response that only a delegate trusts.
    untrusted: Option<UntrustedServers>,
    /// The existing part cannot be used.
    begins_anew: bool,
    /// The application confirms that the request leads to the same file.
    is_vouched: bool,
    renewals: u32,
    /// There was something to resume, and the delegate has not been notified of the result.
    owes_word: bool,
    answers: u32,
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Write its body, up to this position if it is a part.
    Read(Option<u64>),
    /// Request again.
    Again,
    /// Nothing is missing.
    Done,
}

impl<'a> DownloadStateMachine<'a> {
    /// Looks for an existing part. `is_answered`: there is a response already, whatever the request was.
    pub(super) async fn begin(
        core: &'a Arc<Core>,
        runtime: &'a RuntimeHandle,
        shared_file: &'a SharedFile<PartialFile>,
        target: Option<DelegateTarget>,
        is_answered: bool,
    ) -> Result<Self> {
        let (request, destination, checks, given) = ordered(core);
        let known_by = match (&given, &destination, request.as_deref()) {
            (Some(given), ..) => given.resume_info.identity.clone(),
            (None, Some(destination), Some(request)) => destination.identity(request),
            (None, None, Some(request)) => identity(request),
            (None, _, None) => String::new(),
        };
        let mut course = Self {
            core,
            runtime,
            shared_file,
            identity: known_by,
            is_vouched: destination.as_ref().is_some_and(DownloadDestination::is_named),
            renewals: 0,
            request,
            destination,
            checks: Arc::new(checks),
            target,
            is_decoded: false,
            asked: None,
            by_date: false,
            untrusted: None,
            begins_anew: false,
            owes_word: false,
            answers: 0,
        };
        if shared_file.lock().is_some() {
            // An earlier try has left it.
            course.write_rest().await?;
            course.owes_word = true;
            return Ok(course);
        }
        if is_answered || (given.is_none() && course.destination.is_none()) {
            return Ok(course);
        }
        let is_given = given.is_some();
        let (shared_file, request, destination) =
            (shared_file.clone(), course.request.clone(), course.destination.clone());
        let now = core.session.config.environment.clock.now();
        let asks_for_ranges = session_asks_for_ranges(core);
        let work = move || {
            let there = || left_at(destination.as_ref()?, request.as_ref().filter(|_| !asks_for_ranges)?);
            let Some(noted) = given.or_else(there) else { return Ok(None) };
            match PartialFile::reopen(&noted, destination, now) {
                Ok(partial_file) => *shared_file.lock() = Some(partial_file),
                Err(failure) => return Ok(Some(Err(failure))),
            }
            Ok(Some(Ok(())))
        };
        match beside(core, runtime, None, work).await? {
            None => return Ok(course),
            // The other writer does what the application wants; resume data however means this very file.
            Some(Err(ResumeFailure::PartialInUse)) if is_given => {
                let detail = "another task or process is resuming from this data";
                let error = UrlError::new(UrlErrorCode::CannotOpenFile, Phase::Disk, detail);
                course.fails(ResumeFailure::PartialInUse);
                return Err(error.with_resume_failure(ResumeFailure::PartialInUse));
            }
            Some(Err(failure)) => course.fails(failure),
            Some(Ok(())) => {}
        }
        course.owes_word = true;
        Ok(course)
    }

    /// Writes the last received bytes of an earlier try.
    async fn write_rest(&self) -> Result<()> {
        let shared_file = self.shared_file.clone();
        let work = move || {
            shared_file.with(|partial_file| {
                let batch = shared_file.take_batch(partial_file);
                partial_file.write(&batch)
            })
        };
        beside(self.core, self.runtime, None, work).await
    }

    /// The next request, if it differs from the task's request.
    pub(super) fn request(&mut self) -> Result<Option<Arc<UrlRequest>>> {
        self.answers += 1;
        if self.answers > MOST_ANSWERS {
            let detail = format!("the download is not complete after {MOST_ANSWERS} partial responses");
            return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Body, detail));
        }
        self.asked = None;
        let Some(original) = self.request.clone() else { return Ok(None) };
        let mut own = (self.renewals > 0).then(|| UrlRequest::clone(&original));
        if self.checks.of_response {
            let own = own.get_or_insert_with(|| UrlRequest::clone(&original));
            set(own, "Want-Repr-Digest", WANT_REPR_DIGEST)?;
            set(own, "Accept-Encoding", "identity")?;
        }
        let partial_file = self.shared_file.lock();
        if let Some((partial_file, resume_info)) =
            partial_file.as_ref().and_then(|partial_file| Some((partial_file, partial_file.resume_info()?)))
            && !self.begins_anew
            && let Some((validator, condition)) = resume_info.validators.if_range(self.by_date)
        {
            let own = own.get_or_insert_with(|| UrlRequest::clone(&original));
            set(own, "Range", &range::from(resume_info.have(partial_file.position()).first_wanted()))?;
            // RFC 9110 §13.1.5: without the validator two versions of a file would be joined.
            set(own, "If-Range", validator)?;
            // RFC 9110 §14.2: a range counts coded bytes, and the existing part is not coded.
            set(own, "Accept-Encoding", "identity")?;
            self.asked = Some(condition);
        }
        Ok(own.map(Arc::new))
    }

    /// Decides what a response is for, and prepares the file for it; the connection rests until that is done. `untrusted`
    /// are the servers of the response that only a delegate trusts.
    pub(super) async fn answer(
        &mut self,
        head: &UrlResponse,
        untrusted: Option<UntrustedServers>,
        resting: ReadPause,
    ) -> Result<Next> {
        self.untrusted = untrusted;
        let judged = match (self.asked, head.http_head()) {
            (Some(asked), Some(http)) => {
                let partial_file = self.shared_file.lock();
                let here = partial_file
                    .as_ref()
                    .and_then(|partial_file| Some((partial_file.resume_info()?, partial_file.position())));
                here.map(|(resume_info, bytes)| {
                    let verdict = range::verdict(&resume_info.have(bytes), asked, http.status, &http.fields);
                    let verdict = match self.is_vouched {
                        true => verdict,
                        false => same_resource(verdict, resume_info, head.url()),
                    };
                    (same_trust(verdict, resume_info, untrusted), bytes)
                })
            }
            _ => None,
        };
        let Some((verdict, bytes)) = judged else { return self.take_whole(head, resting).await };
        match verdict {
            Verdict::Append { at, end, complete } => {
                self.go_on(head, at, complete, resting).await?;
                Ok(Next::Read(Some(end)))
            }
            Verdict::Whole(reason) => {
                self.fails(failure(reason));
                self.take_whole(head, resting).await
            }
            Verdict::AskByDate => {
                self.by_date = true;
                Ok(Next::Again)
            }
            Verdict::Restart(reason) => {
                self.fails(failure(reason));
                self.begins_anew = true;
                Ok(Next::Again)
            }
            Verdict::Finished => {
                self.go_on(head, bytes, Some(bytes), resting).await?;
                Ok(Next::Done)
            }
            Verdict::Refuse(reason) => {
                // The application may need a long time.
                drop(resting);
                // In a box: it does not enlarge other downloads.
                if let Some(request) = Box::pin(self.renewal(head)).await? {
                    self.renew(request);
                    return Ok(Next::Again);
                }
                self.fails(failure(reason));
                Err(refused(head, failure(reason)))
            }
        }
    }

    /// After a part has been read to its end: whether anything is missing.
    pub(super) fn after_part(&self) -> Next {
        let partial_file = self.shared_file.lock();
        let Some((partial_file, resume_info)) =
            partial_file.as_ref().and_then(|partial_file| Some((partial_file, partial_file.resume_info()?)))
        else {
            // Nothing else can be requested: this was everything.
            return Next::Done;
        };
        if resume_info.complete == Some(partial_file.position()) { Next::Done } else { Next::Again }
    }

    /// Moves the file to its destination.
    pub(super) async fn finish(&self, head: &UrlResponse) -> Result<DownloadedFile> {
        let (shared_file, suggested) = (self.shared_file.clone(), head.suggested_filename());
        let (destination, identity) = (self.destination.clone(), self.identity.clone());
        beside(self.core, self.runtime, None, move || {
            let file = PartialFile::finish(&mut shared_file.lock(), &suggested)?;
            if let Some(destination) = &destination {
                tidy(destination, &identity);
            }
            Ok(file)
        })
        .await
    }

    /// Another request for what the server refuses, if the application has one.
    async fn renewal(&mut self, head: &UrlResponse) -> Result<Option<UrlRequest>> {
        if self.renewals >= MOST_RENEWALS || !head.status_code().is_some_and(is_expiry) {
            return Ok(None);
        }
        let Some(response) = head.http() else { return Ok(None) };
        let refresh = self.core.live().download_options().and_then(|options| options.refresh.clone());
        // The time of the application does not count for the server's timeout.
        let _pause = self.core.activity.pause_idle();
        match refresh {
            Some(refresh) => Ok(self.core.decided("on_expired_url", refresh(response)).await?.flatten()),
            None => {
                let Some(target) = self.core.target() else { return Ok(None) };
                let ask = self.core.ask(target, "need_new_download_request", move |delegate, task| {
                    delegate.need_new_download_request(&DownloadTask::of(task.clone()), &response)
                });
                Ok(ask.await?.flatten())
            }
        }
    }

    fn renew(&mut self, request: UrlRequest) {
        self.renewals += 1;
        // Validators are compared nevertheless.
        (self.is_vouched, self.by_date) = (true, false);
        if is_resumable(&request) && !session_asks_for_ranges(self.core) {
            if let Some(partial_file) = &mut *self.shared_file.lock() {
                partial_file.renew(&request, None);
            }
        } else {
            self.fails(ResumeFailure::NotResumable);
            self.begins_anew = true;
        }
        self.request = Some(request.into());
    }

    async fn go_on(
        &mut self,
        head: &UrlResponse,
        at: u64,
        complete: Option<u64>,
        resting: ReadPause,
    ) -> Result<()> {
        let expected = self.expected(head, true)?;
        let (shared_file, suggested) = (self.shared_file.clone(), head.suggested_filename());
        let destination = self.destination.clone();
        let led_to = self.request.clone().filter(|_| self.is_vouched).zip(Some(head.url().clone()));
        let untrusted = self.untrusted;
        let work = move || {
            destination.map_or(Ok(()), |destination| destination.check(&suggested))?;
            shared_file.with(|partial_file| {
                if let Some((request, url)) = led_to {
                    partial_file.renew(&request, Some(&url));
                }
                partial_file.note_untrusted(untrusted);
                partial_file.go_on_at(at, complete, &expected)?;
                partial_file.reserve(complete)
            })
        };
        beside(self.core, self.runtime, resting, work).await?;
        self.count_from(at, complete);
        Ok(())
    }

    /// A response that holds the whole file, or that does not concern ranges at all.
    async fn take_whole(&mut self, head: &UrlResponse, resting: ReadPause) -> Result<Next> {
        if let (Some(destination), Some(status)) = (&self.destination, head.status_code())
            && destination.refuses(status)
        {
            let detail = format!("unexpected status {status}; `require_success_status` demands 2xx");
            return Err(UrlError::new(code_of(status), Phase::Head, detail));
        }
        let clock = &self.core.session.config.environment.clock;
        let wall = clock.wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        self.check_length(head)?;
        let (resume_info, complete, end) = match self.unrequested_part(head) {
            None | Some(UnrequestedPart::Whole) => {
                let request = self.request.as_ref().filter(|_| !session_asks_for_ranges(self.core));
                let resume_info =
                    request.and_then(|request| ResumeInfo::of(&self.identity, request, head, wall));
                let end = resume_info.as_ref().and_then(|resume_info| resume_info.complete);
                (resume_info, head.expected_content_length(), end)
            }
            Some(part) => self.take_beginning(head, part, wall)?,
        };
        let resume_info =
            resume_info.map(|resume_info| ResumeInfo { untrusted: self.untrusted, ..resume_info });
        let expected = self.expected(head, false)?;
        let (shared_file, now) = (self.shared_file.clone(), clock.now());
        let (destination, suggested) = (self.destination.clone(), head.suggested_filename());
        let work = move || {
            let mut shared_file = shared_file.lock();
            let partial_file = match &mut *shared_file {
                Some(partial_file) => {
                    partial_file.restart(resume_info, &expected, now)?;
                    partial_file
                }
                none => {
                    let partial_file =
                        none.insert(PartialFile::create(destination, &suggested, resume_info, now)?);
                    partial_file.go_on_at(0, None, &expected)?;
                    partial_file
                }
            };
            partial_file.reserve(complete)
        };
        beside(self.core, self.runtime, resting, work).await?;
        self.count_from(0, complete.filter(|_| !self.is_decoded));
        Ok(Next::Read(end))
    }

    /// A part of the file although all of it was requested: its rest is requested next, if the part is the beginning and
    /// has a strong validator.
    fn take_beginning(
        &self,
        head: &UrlResponse,
        part: UnrequestedPart,
        now: i64,
    ) -> Result<(Option<ResumeInfo>, Option<u64>, Option<u64>)> {
        if let (UnrequestedPart::Bytes { at: 0, end, complete }, Some(request)) = (part, &self.request)
            // A server that sent a useless part before is not asked for parts without end.
            && !self.begins_anew
            && let Some(resume_info) = ResumeInfo::of_beginning(&self.identity, request, head, now, complete)
        {
            return Ok((Some(resume_info), complete, Some(end)));
        }
        let fields = head.http_head().map(|head| &head.fields);
        let range = fields.and_then(|fields| fields.get("content-range")?.to_str().ok());
        let detail = format!(
            "the server answered 206 (Partial Content, Content-Range: {}) to a request for the whole file, and the \
             rest cannot be asked for; a part is not saved as the file",
            range.unwrap_or("none")
        );
        Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail))
    }

    /// The part in a 206 response that the application has not requested.
    fn unrequested_part(&self, head: &UrlResponse) -> Option<UnrequestedPart> {
        let http = head.http_head().filter(|head| head.status == http::StatusCode::PARTIAL_CONTENT)?;
        let own = self.request.as_ref().is_some_and(|request| request.asks_for_range());
        (!own && !session_asks_for_ranges(self.core)).then(|| UnrequestedPart::of(&http.fields))
    }

    /// A strong validator identifies one sequence of bytes (RFC 9110 §8.8.1): a response with the known validator and
    /// another length is damaged or a part.
    fn check_length(&self, head: &UrlResponse) -> Result<()> {
        let shared_file = self.shared_file.lock();
        let resume_info = shared_file.as_ref().and_then(|partial_file| partial_file.resume_info());
        let (Some(resume_info), Some(http)) = (resume_info, head.http_head()) else { return Ok(()) };
        let lengths = range::whole_length(&http.fields).zip(resume_info.complete);
        let Some((now, then)) = lengths.filter(|(now, then)| now != then) else { return Ok(()) };
        if http.status != http::StatusCode::OK || !range::confirms(&resume_info.validators, &http.fields) {
            return Ok(());
        }
        let detail = format!(
            "the server names the same validator for a file of {then} bytes and for one of {now} bytes; to take the \
             latter, download without resuming"
        );
        Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail)
            .with_resume_failure(ResumeFailure::RangeUnusable))
    }

    /// The expected digests of the file, including those of this response.
    fn expected(&self, head: &UrlResponse, is_joined: bool) -> Result<Vec<ContentDigest>> {
        let mut expected: Vec<_> = self.checks.expected.iter().cloned().collect();
        let Some(http) = head.http_head().filter(|_| self.checks.of_response) else { return Ok(expected) };
        let said = repr_digest(&http.fields);
        // RFC 9530 §3: the digest is of the whole representation, also in a 206; and of the coded one. A part that an
        // application requested itself is not checked, and a 416 does not describe the existing part.
        let is_of_file = match http.status.as_u16() {
            206 => is_joined,
            416 => false,
            _ => true,
        };
        if !said.is_empty() && is_of_file && is_coded(&http.fields) {
            let detail = "the response is coded despite `identity`, so its digest cannot be checked";
            return Err(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail));
        }
        let of_file = said.into_iter().filter(|_| is_of_file);
        expected.extend(of_file.filter_map(|(_, digest)| ContentDigest::of_bytes(digest)));
        Ok(expected)
    }

    /// Sets the counts, and notifies the delegate of the resume position.
    fn count_from(&mut self, at: u64, complete: Option<u64>) {
        let bytes = &self.core.bytes;
        let here = bytes.received.swap(at, Relaxed);
        // The existing part was not received now; and it no longer exists if the download starts from the beginning.
        let of_earlier = bytes.of_earlier.load(Relaxed).saturating_add(at.saturating_sub(here));
        bytes.of_earlier.store(of_earlier.min(at), Relaxed);
        bytes.to_receive.store(complete.unwrap_or(UNKNOWN), Relaxed);
        // If the download simply continues, written bytes may not have been reported yet.
        if bytes.written.swap(at, Relaxed) != at {
            bytes.written_report.begin_from(at);
        }
        if !std::mem::take(&mut self.owes_word) {
            return;
        }
        if let Some(target) = self.target.clone() {
            self.core.notify(target, "did_resume_at_offset", move |delegate, task| {
                delegate.did_resume_at_offset(&DownloadTask::of(task.clone()), at, complete);
            });
        }
    }

    /// The last reason is the one that the application reads.
    fn fails(&self, failure: ResumeFailure) {
        self.core.live().download_options_mut().failure = Some(failure);
    }
}

type Ordered = (Option<Arc<UrlRequest>>, Option<DownloadDestination>, Checks, Option<ResumeRecord>);

fn ordered(core: &Core) -> Ordered {
    let live = core.live();
    let request = live.original.clone();
    let Some(options) = live.download_options() else { return (request, None, Checks::default(), None) };
    let given = options.given.as_ref().map(|(_, noted)| noted.clone());
    (request, options.destination.clone(), options.checks.clone(), given)
}

/// The validators of another URL are weaker: a date proves nothing, a tag only together with the length.
fn same_resource(verdict: Verdict, resume_info: &ResumeInfo, url: &Url) -> Verdict {
    let is_other = resume_info.final_url.as_ref() != Some(url);
    let is_weak = resume_info.validators.etag.is_none() || resume_info.complete.is_none();
    match verdict {
        Verdict::Append { .. } | Verdict::Finished if is_other && is_weak => {
            Verdict::Restart(Reason::Changed)
        }
        verdict => verdict,
    }
}

/// Bytes of servers that only a delegate trusts are joined only with bytes of the same servers: another application may
/// trust others.
fn same_trust(verdict: Verdict, resume_info: &ResumeInfo, untrusted: Option<UntrustedServers>) -> Verdict {
    match verdict {
        Verdict::Append { .. } | Verdict::Finished
            if resume_info.untrusted.is_some() && resume_info.untrusted != untrusted =>
        {
            Verdict::Restart(Reason::Changed)
        }
        verdict => verdict,
    }
}

fn failure(reason: Reason) -> ResumeFailure {
    match reason {
        Reason::Changed => ResumeFailure::ValidatorChanged,
        Reason::Ignored => ResumeFailure::RangeIgnored,
        Reason::Unusable => ResumeFailure::RangeUnusable,
        Reason::Expired => ResumeFailure::Expired,
        Reason::Status => ResumeFailure::Refused,
    }
}

/// An error status is not an error of a load, but this response does not answer the request: it must not become the file.
fn refused(head: &UrlResponse, failure: ResumeFailure) -> UrlError {
    let status = head.status_code().unwrap_or(0);
    let detail = format!("the server refused the rest of the download ({status}); the partial file is kept");
    UrlError::new(code_of(status), Phase::Head, detail).with_resume_failure(failure)
}

/// Whether the status says that a URL, or its signature, is no longer valid. Some stores use 400 for an expired signature.
fn is_expiry(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 404 | 410)
}

fn code_of(status: u16) -> UrlErrorCode {
    match status {
        401 => UrlErrorCode::UserAuthenticationRequired,
        403 => UrlErrorCode::NoPermissionsToReadFile,
        404 | 410 => UrlErrorCode::FileDoesNotExist,
        _ => UrlErrorCode::BadServerResponse,
    }
}

/// Whether every request of the session has a range, so that the session handles parts itself.
fn session_asks_for_ranges(core: &Core) -> bool {
    core.session.config.http_additional_headers.contains_key(RANGE)
}

fn set(request: &mut UrlRequest, name: &'static str, value: &str) -> Result<()> {
    request.set_value(name, value).map_err(cannot_resume)
}

/// A validator that was a valid field value is no longer one.
fn cannot_resume(error: InvalidHeaderField) -> UrlError {
    let detail = "the validator of the partial download cannot be sent as a header field";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Request, detail).with_source(error)
}

/// How often an application is called for another request, so that useless requests come to an end.
const MOST_RENEWALS: u32 = 4;
/// A server may send the missing bytes in parts; each part has at least one byte.
const MOST_ANSWERS: u32 = 10_000;
