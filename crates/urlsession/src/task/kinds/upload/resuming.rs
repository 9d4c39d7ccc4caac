//! What a task knows of where its upload is, and what becomes of that when it stops: resume data, an error that carries
//! it, a record for a later run; or, if it is cancelled and nobody goes on with it, a word to its server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::Method;
use url::Url;
use urlsession_proto::resumable_upload::Dialect;

use crate::env::RuntimeHandle;
use crate::error::{Phase, Result, UrlError, UrlErrorCode, without_password};
use crate::load::detached::DetachedContext;
use crate::load::{Activity, Attempt, TransactionLog, UploadPoint, Uploading};
use crate::message::{
    BodyStream, DigestAlgorithm, FileIdentity, HttpBody, ResumeData, ResumeFailure, ResumeFields, ResumeKind,
    UrlRequest, is_secret, unusable,
};
use crate::store::{UploadRecord, UploadRecords};
use crate::task::core::Core;
use crate::task::kind::{KindState, TaskKind};
use crate::task::kinds::handles::UploadTask;
use crate::task::state::TaskState;

/// Of an upload task, once there is something to know.
#[derive(Default)]
pub(in crate::task) struct Resuming {
    /// Where it begins, if not at its target.
    start: Option<Box<UploadPoint>>,
    /// Where the server has it.
    pub(super) point: Option<UploadPoint>,
    pub(super) record: Option<Arc<UploadRecord>>,
    /// The upload's URL is in the record.
    is_recorded: bool,
    /// The algorithm of the digests that are sent.
    pub(in crate::task) digest: Option<DigestAlgorithm>,
    /// It goes on with an earlier one.
    pub(super) is_continued: bool,
    /// Its end is not the end of the upload.
    pub(super) is_kept: bool,
}

impl UploadTask {
    /// Cancels the task and gives what is needed to go on later with
    /// [`upload_task_with_resume_data`](crate::UrlSession::upload_task_with_resume_data). `None` if the upload cannot be
    /// resumed: the server has not said that it can, the body is a form, or the task is over.
    ///
    /// The task is cancelled at once, whether or not the future is awaited. The server keeps what it has.
    ///
    /// Resume data of an upload from memory holds what the server does not have yet of it; that of a file names the file,
    /// which must stay as it is.
    #[doc(alias = "cancel(byProducingResumeData:)")]
    #[doc(alias = "cancelByProducingResumeData()")]
    pub fn cancel_by_producing_resume_data(&self) -> impl Future<Output = Option<ResumeData>> + Send + use<> {
        std::future::ready(self.core().stop_for_later())
    }

    /// As [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data); `handler` is called on the delegate
    /// queue.
    #[doc(alias = "cancelByProducingResumeData(_:)")]
    pub fn cancel_by_producing_resume_data_with_handler(
        &self,
        handler: impl FnOnce(Option<ResumeData>) + Send + 'static,
    ) {
        let data = self.core().stop_for_later();
        self.core().session.queue.add(move || handler(data));
    }

    /// An upload from a file, to a server that can resume it, survives the process: as soon as the server has said where
    /// the upload is, that is recorded, and a later task of the same method and URL with the same file (path, device and
    /// inode, length, time of change) that has been told the same begins by asking the server how much it has. When the
    /// upload is complete the record goes. To be called before the task is resumed first; without effect on uploads that are
    /// not from a file. Not of Apple's.
    ///
    /// A task that is cancelled gives the upload up, and the record goes with it; one that is cancelled by
    /// [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data), or whose future is dropped, keeps both.
    /// One that is cancelled before it has looked for a record leaves that of an earlier task, and its upload.
    ///
    /// A server that does not know the upload any more (404, 410), or with which it cannot go on for another reason, gets
    /// it from its beginning; so does one to which another file, or a changed one, is uploaded.
    pub fn set_resumable_across_runs(&self, records: &UploadRecords) {
        self.core().record_in(records);
    }
}

impl KindState<Core> for Resuming {
    fn end(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        None
    }

    fn leftovers(&self) -> Option<fn(&Arc<Core>, UrlError) -> UrlError> {
        Some(Core::with_leftovers)
    }

    /// What can be gone on with without the task, from resume data or a record, is kept for that.
    fn let_go(&mut self) {
        self.is_kept |= self.record.is_some() || self.is_continued;
    }
}

impl Core {
    /// Begins where an earlier upload stopped.
    pub(crate) fn take_up(&self, point: UploadPoint) {
        if let Some(length) = point.length {
            self.bytes.to_send.store(length, Relaxed);
        }
        let mut live = self.live();
        let resuming = live.kind_state_or_default::<Resuming>();
        (resuming.start, resuming.point) = (Some(Box::new(point.clone())), Some(point));
        resuming.is_continued = true;
    }

    /// See [`UploadLink::upload`](crate::load::UploadLink::upload).
    pub(in crate::task) fn uploading(&self) -> Option<Uploading> {
        if self.kind != TaskKind::Upload {
            return None;
        }
        let start = self.live().kind_state_mut::<Resuming>().and_then(|resuming| resuming.start.take());
        Some(start.map_or(Uploading::Anew, Uploading::From))
    }

    /// What of it is at its server is not sent again by the next try.
    pub(in crate::task) fn goes_on_with_upload(&self) {
        if let Some(resuming) = self.live().kind_state_mut::<Resuming>() {
            resuming.start = resuming.point.clone().map(Box::new);
        }
    }

    pub(in crate::task) fn upload_digest(&self) -> Option<DigestAlgorithm> {
        self.live().kind_state::<Resuming>()?.digest
    }

    pub(in crate::task) fn upload_stands(&self, point: Option<UploadPoint>) {
        let mut live = self.live();
        let resuming = live.kind_state_or_default::<Resuming>();
        let is_elsewhere = resuming.point.as_ref().map(|at| &at.url) != point.as_ref().map(|at| &at.url);
        resuming.point = point;
        let record = resuming.record.clone().filter(|_| is_elsewhere && resuming.point.is_some());
        if let Some(record) = record {
            resuming.is_recorded = true;
            drop(live);
            if let Some(data) = self.resume_data() {
                record.write_soon(data.into());
            }
        }
    }

    /// What a record of an earlier run says, if there is one.
    pub(in crate::task) async fn look_up(self: &Arc<Self>, runtime: &RuntimeHandle) {
        let Some((record, request)) = self.recorded() else { return };
        let now = self.session.config.environment.clock.wall();
        let read = runtime.blocking(move || record.read(now)).await.ok().flatten();
        let found = read.and_then(|bytes| open(ResumeData::try_from(bytes).ok()?).ok());
        let same_file = |was: &UrlRequest| {
            let files = (was.http_body_stream().and_then(BodyStream::file), file_of(&request));
            files.0.is_some() && files.0 == files.1
        };
        let is_kept = |point: &UploadPoint| point.expires.is_none_or(|end| now < end);
        if let Some((was, point)) = found.filter(|(was, point)| same_file(was) && is_kept(point))
            && was.http_method() == request.http_method()
        {
            self.take_up(point);
            self.live().kind_state_or_default::<Resuming>().is_recorded = true;
        }
    }

    /// The upload is over, or its record leads nowhere.
    pub(in crate::task) async fn forget_record(self: &Arc<Self>, runtime: &RuntimeHandle) {
        let record = {
            let mut live = self.live();
            let resuming = live.kind_state_or_default::<Resuming>();
            (resuming.start, resuming.point) = (None, None);
            resuming.record.clone().filter(|_| std::mem::take(&mut resuming.is_recorded))
        };
        if let Some(record) = record {
            record.remove(runtime).await;
        }
    }

    /// Whether there is a record, of this run or an earlier one.
    pub(in crate::task) fn has_record(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.is_recorded)
    }

    /// Whether the upload could go on from somewhere.
    pub(in crate::task) fn has_leftovers(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.point.is_some())
    }

    /// Whether records are kept of this task.
    pub(in crate::task) fn keeps_record(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.record.is_some())
    }

    /// The error, with what the upload can go on with. It is the task's end; if it was cancelled, the upload's too.
    fn with_leftovers(self: &Arc<Self>, error: UrlError) -> UrlError {
        if error.has_resume_data() {
            return error;
        }
        if error.is_of_owner() {
            self.give_up_if_cancelled(&error);
            return error;
        }
        match self.leftovers() {
            // The body may be long: it is copied for whoever asks.
            Some((request, point)) => {
                error.with_resume_data_later(move || close_transaction(&request, &point))
            }
            None => error,
        }
    }

    /// The task has ended with this. If its owner has cancelled it, the server is told that the upload is given up; nobody
    /// waits for that, and nobody is asked anything for it.
    fn give_up_if_cancelled(self: &Arc<Self>, error: &UrlError) {
        let point = {
            let mut live = self.live();
            let is_cancelled = error.is_of_owner() && live.state() == TaskState::Canceling;
            let has_run = live.has_run;
            let resuming = live.kind_state_mut::<Resuming>();
            let resuming = resuming.filter(|resuming| is_cancelled && has_run && !resuming.is_kept);
            resuming.and_then(|resuming| resuming.point.take())
        };
        let (Some(point), Some(request)) = (point, self.live().current.clone()) else { return };
        let core = self.clone();
        // The server forgets it in its own time.
        let Ok(runtime) = RuntimeHandle::own() else { return };
        runtime.clone().spawn(async move {
            core.forget_record(&runtime).await;
            let session = core.session.clone();
            // The task itself is over.
            drop(core);
            let mut request = (*request).clone();
            request.remove_http_body();
            let (context, activity, mut log) =
                (DetachedContext::giving_up(point), Activity::default(), TransactionLog::new());
            let clock = &*session.config.environment.clock;
            let mut attempt = Attempt::new(Arc::new(request), &context, &activity, &mut log, &runtime, clock);
            // A server that is not reached forgets the upload in its own time.
            let _ = session.protocols.load_http(&mut attempt).await;
        });
    }

    fn record_in(&self, records: &UploadRecords) {
        let mut live = self.live();
        let key = live.original.as_deref().and_then(key);
        live.kind_state_or_default::<Resuming>().record = key.and_then(|key| records.record(&key));
    }

    fn recorded(&self) -> Option<(Arc<UploadRecord>, Arc<UrlRequest>)> {
        let live = self.live();
        Some((live.kind_state::<Resuming>()?.record.clone()?, live.original.clone()?))
    }

    /// The request and where it is; nothing of bodies that resume data cannot hold or name.
    fn leftovers(&self) -> Option<(Arc<UrlRequest>, UploadPoint)> {
        let live = self.live();
        let (point, request) = (live.kind_state::<Resuming>()?.point.clone()?, live.current.clone()?);
        let can_be_had = match request.content() {
            HttpBody::Stream(stream) => stream.is_of_delegate() || stream.file().is_some(),
            HttpBody::None | HttpBody::Data(_) => true,
        };
        can_be_had.then_some((request, point))
    }

    fn resume_data(&self) -> Option<ResumeData> {
        self.leftovers().map(|(request, point)| close_transaction(&request, &point))
    }

    fn stop_for_later(self: &Arc<Self>) -> Option<ResumeData> {
        if !self.is_unfinished() {
            return None;
        }
        let data = self.resume_data();
        self.live().kind_state_or_default::<Resuming>().is_kept = true;
        self.cancel();
        data
    }
}

/// What a record is found by: method, URL, and which file it is. Nothing is recorded of a host in a zone.
fn key(request: &UrlRequest) -> Option<Vec<u8>> {
    let (path, file) = file_of(request)?;
    let mut key = format!("{} {}\0", request.http_method(), request.url_for_stores()?).into_bytes();
    key.extend_from_slice(path.as_os_str().as_encoded_bytes());
    key.extend_from_slice(format!("\0{:?}", file).as_bytes());
    Some(key)
}

fn file_of(request: &UrlRequest) -> Option<(&std::path::Path, FileIdentity)> {
    request.http_body_stream()?.file()
}

fn close_transaction(request: &UrlRequest, point: &UploadPoint) -> ResumeData {
    let mut fields = ResumeFields::default();
    fields.push_text(TARGET, Some(without_password(request.url()).as_str()));
    fields.push_text(ZONE, request.effective_zone_id());
    fields.push_text(METHOD, Some(request.http_method().as_str()));
    for (name, value) in request.fields().iter().filter(|(name, _)| !is_secret(name)) {
        fields.push(FIELD, &[name.as_bytes(), b":", value].concat());
    }
    fields.push_text(UPLOAD, Some(point.url.as_str()));
    fields.push_number(VERSION, Some(point.dialect.version().into()));
    fields.push_number(OFFSET, Some(point.offset));
    fields.push_number(LENGTH, point.length);
    fields.push_number(EXPIRES, point.expires.and_then(seconds));
    match request.content() {
        HttpBody::Data(data) => {
            let have = point.offset.saturating_sub(point.base);
            let from = usize::try_from(have).unwrap_or(usize::MAX).min(data.len());
            fields.push_number(BASE, Some(point.base + from as u64));
            fields.push(DATA, &data[from..]);
        }
        HttpBody::Stream(stream) => {
            if let Some((path, file)) = stream.file() {
                fields.push(FILE, path.as_os_str().as_encoded_bytes());
                fields.push_number(DEVICE, Some(file.place.0));
                fields.push_number(INODE, Some(file.place.1));
                fields.push_number(SIZE, Some(file.length));
                let changed = file.modified.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
                fields.push_number(CHANGED, changed.and_then(|time| u64::try_from(time.as_nanos()).ok()));
            }
        }
        HttpBody::None => {}
    }
    ResumeData::seal(ResumeKind::Upload, FORMAT, &fields)
}

/// The request that goes on, and from where. The file is looked at: it must be the one it was.
pub(crate) fn open(data: ResumeData) -> Result<(UrlRequest, UploadPoint)> {
    let fields = data.open(ResumeKind::Upload, FORMAT)?;
    let damaged = || unusable(ResumeFailure::DataDamaged, "the resume data lacks what it should have");
    let url = |number| fields.text(number).and_then(|text| Url::parse(text).ok()).ok_or_else(damaged);
    let mut request = UrlRequest::new(url(TARGET)?);
    request.set_zone_id(fields.text(ZONE));
    let method = fields.text(METHOD).and_then(|method| method.parse::<Method>().ok()).ok_or_else(damaged)?;
    request.set_method(method);
    for (_, line) in fields.iter().filter(|(number, _)| *number == FIELD) {
        let at = line.iter().position(|byte| *byte == b':').ok_or_else(damaged)?;
        let name = std::str::from_utf8(&line[..at]).map_err(|_| damaged())?.to_owned();
        request.fields_mut().append(name, line[at + 1..].to_vec()).map_err(|_| damaged())?;
    }
    let mut base = 0;
    if let Some(path) = fields.bytes(FILE) {
        let path = path_of(path).ok_or_else(damaged)?;
        let body = BodyStream::from_file(&path).map_err(|error| error.with_url(request.url()))?;
        let modified = fields
            .number(CHANGED)
            .and_then(|nanos| SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)));
        let was = FileIdentity {
            place: (fields.number(DEVICE).unwrap_or_default(), fields.number(INODE).unwrap_or_default()),
            length: fields.number(SIZE).unwrap_or_default(),
            modified,
        };
        if body.file().is_none_or(|(_, is)| is != was) {
            let detail = format!("{} has changed since its upload began", path.display());
            let error = UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Request, detail);
            return Err(error.with_resume_failure(ResumeFailure::SourceChanged).with_url(request.url()));
        }
        request.set_http_body_stream(body);
    } else if let Some(rest) = fields.bytes(DATA) {
        base = fields.number(BASE).unwrap_or_default();
        request.set_http_body(rest.to_vec());
    } else {
        request.set_http_body_stream(BodyStream::of_delegate());
    }
    let point = UploadPoint {
        url: url(UPLOAD)?,
        dialect: fields.number(VERSION).and_then(Dialect::of_version).ok_or_else(damaged)?,
        offset: fields.number(OFFSET).ok_or_else(damaged)?,
        length: fields.number(LENGTH),
        base,
        expires: fields
            .number(EXPIRES)
            .and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at))),
    };
    Ok((request, point))
}

fn seconds(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes.to_vec()).into())
}

/// Elsewhere only paths that are text come back.
#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    Some(std::str::from_utf8(bytes).ok()?.into())
}

/// The version of the fields below.
const FORMAT: u8 = 1;
const TARGET: u8 = 1;
const METHOD: u8 = 2;
const FIELD: u8 = 3;
const UPLOAD: u8 = 4;
const VERSION: u8 = 5;
const OFFSET: u8 = 6;
const LENGTH: u8 = 7;
const EXPIRES: u8 = 8;
const FILE: u8 = 9;
const DEVICE: u8 = 10;
const INODE: u8 = 11;
const SIZE: u8 = 12;
/// Nanoseconds since 1970.
const CHANGED: u8 = 13;
/// Where in the whole the data below begins.
const BASE: u8 = 14;
const DATA: u8 = 15;
const ZONE: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(offset: u64, base: u64) -> UploadPoint {
        UploadPoint {
            url: "https://a.example/uploads/secret".parse().unwrap(),
            dialect: Dialect::V6,
            offset,
            length: Some(10),
            base,
            expires: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(99)),
        }
    }

    fn request() -> UrlRequest {
        let mut request = UrlRequest::new("https://user:pass@a.example/target?q".parse().unwrap());
        request.set_http_method("PUT").unwrap();
        for (name, value) in [
            ("Content-Type", "text/x"),
            ("Authorization", "Bearer s3cret"),
            ("cookie", "s3cret"),
            ("X", "a: b"),
        ] {
            request.set_value(name, value).unwrap();
        }
        request
    }

    #[test]
    fn data_that_the_server_does_not_have_is_kept_and_secrets_are_not() {
        let mut was = request();
        was.set_http_body("0123456789");
        let data = close_transaction(&was, &point(4, 0));
        let bytes = data.as_bytes();
        for secret in [&b"s3cret"[..], b"pass", b"0123"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
        let (is, at) = open(data).unwrap();
        assert_eq!(is.http_body().unwrap(), "456789");
        assert!(at == point(4, 4));
        assert_eq!(
            (is.http_method(), is.value("content-type"), is.value("x")),
            (&Method::PUT, Some("text/x"), Some("a: b"))
        );
        assert_eq!(is.url().as_str(), "https://user@a.example/target?q");
        // And once more, from what is left.
        let (again, at) = open(close_transaction(&is, &point(7, 4))).unwrap();
        assert_eq!(again.http_body().unwrap(), "789");
        assert!(at == point(7, 7));
    }

    #[test]
    fn a_file_is_named_and_must_be_the_one_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "0123456789").unwrap();
        let mut was = request();
        was.set_http_body_stream(BodyStream::from_file(&path).unwrap());
        let data = close_transaction(&was, &point(4, 0));
        let (is, _) = open(data.clone()).unwrap();
        assert_eq!(is.http_body_stream().unwrap().file(), was.http_body_stream().unwrap().file());
        assert_eq!(
            key(&is),
            key(&was).map(|key| String::from_utf8(key).unwrap().replace("user:pass", "user").into())
        );
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(open(data.clone()).err().unwrap().resume_failure(), Some(ResumeFailure::SourceChanged));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(open(data).err().unwrap().code(), UrlErrorCode::FileDoesNotExist);
    }

    #[test]
    fn resume_data_names_the_zone_and_nothing_is_recorded_of_a_host_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "0123456789").unwrap();
        let mut was = UrlRequest::new("http://[fe80::1]/target".parse().unwrap());
        was.set_http_body_stream(BodyStream::from_file(&path).unwrap());
        assert!(key(&was).is_some());
        was.set_zone_id(Some("eth0"));
        assert!(key(&was).is_none());
        let (is, _) = open(close_transaction(&was, &point(4, 0))).unwrap();
        assert_eq!(is.zone_id(), Some("eth0"));
    }

    #[test]
    fn what_lacks_a_field_is_damaged() {
        let fields = ResumeFields::default();
        let error = open(ResumeData::seal(ResumeKind::Upload, FORMAT, &fields)).err().unwrap();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged));
        let error = open(ResumeData::seal(ResumeKind::Download, FORMAT, &fields)).err().unwrap();
        assert_eq!(error.resume_failure(), Some(ResumeFailure::NotResumable));
    }
}
