//! What a task stores about its resumable upload, and what becomes of that when the task stops: resume data, an error that
//! contains it, or a record for a later run; or, if the task is cancelled for good, a `DELETE` request to the server.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};
use url::Url;
use urlsession_proto::resumable_upload::Dialect;

use crate::body::BodyRecord;
use crate::env::RuntimeHandle;
use crate::error::{Result, UrlError};
use crate::load::detached::DetachedContext;
use crate::load::{Activity, Attempt, TransactionLog, UploadPoint, Uploading};
use crate::message::codec::{Record, RecordKind};
use crate::message::{
    BodyStream, Data, Date, DigestAlgorithm, FileIdentity, HttpBody, RequestForm, ResumeData, UrlRequest,
    incomplete,
};
use crate::store::{UploadRecord, UploadRecords};
use crate::task::core::Core;
use crate::task::kind::{KindState, TaskKind};
use crate::task::kinds::handles::UploadTask;
use crate::task::state::TaskState;

/// The upload state of an upload task, once there is any.
#[derive(Default)]
pub(in crate::task) struct Resuming {
    /// Where the upload begins, if not at the target of the request.
    start: Option<Box<UploadPoint>>,
    /// Where the server has the upload.
    pub(super) point: Option<UploadPoint>,
    pub(super) record: Option<Arc<UploadRecord>>,
    /// Whether the record contains the upload's URL.
    is_recorded: bool,
    /// The algorithm of the digests that are sent.
    pub(in crate::task) digest: Option<DigestAlgorithm>,
    /// Whether it continues an earlier upload.
    pub(super) is_continued: bool,
    /// Whether the upload is kept when the task ends.
    pub(super) is_kept: bool,
}

impl UploadTask {
    /// Cancels the task and returns the resume data for
    /// [`upload_task_with_resume_data`](crate::UrlSession::upload_task_with_resume_data). `None` if the upload cannot be
    /// resumed: the server has not announced that it can resume, the body is a form or has trailers, or the task is over.
    ///
    /// The task is cancelled at once, whether or not the future is awaited. The server keeps the bytes that it has.
    ///
    /// Resume data of an upload from memory holds the bytes that the server does not have yet; resume data of a file names
    /// the file, which must stay unchanged.
    #[doc(alias = "cancel(byProducingResumeData:)")]
    #[doc(alias = "cancelByProducingResumeData()")]
    pub fn cancel_by_producing_resume_data(&self) -> impl Future<Output = Option<ResumeData>> + Send + use<> {
        std::future::ready(self.core().stop_for_later())
    }

    /// Same as [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data); `handler` is called on the
    /// delegate queue.
    #[doc(alias = "cancelByProducingResumeData(_:)")]
    pub fn cancel_by_producing_resume_data_with_handler(
        &self,
        handler: impl FnOnce(Option<ResumeData>) + Send + 'static,
    ) {
        let data = self.core().stop_for_later();
        self.core().session.queue.add(move || handler(data));
    }

    /// Makes an upload from a file survive the process, if its server supports resumption. As soon as the server has sent
    /// the URL of the upload, the URL is recorded. A later task with this setting, the same method, the same URL and the
    /// same file (path, device and inode, length, time of change) begins with a request for how many bytes the server has.
    /// The record is removed when the upload is complete. Call this before the first `resume`. No effect on uploads that
    /// are not from a file. Extension: no counterpart in Apple's API.
    ///
    /// Cancelling the task gives the upload up and removes the record.
    /// [`cancel_by_producing_resume_data`](Self::cancel_by_producing_resume_data) and dropping the future keep both. A task
    /// that is cancelled before it has looked for a record keeps the record and the upload of an earlier task.
    ///
    /// If the server no longer has the upload (404, 410), or cannot continue it for another reason, the whole file is sent
    /// again. The same happens if the file is another one or has changed.
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

    /// An upload that can continue without the task, from resume data or a record, is kept.
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

    /// The next try does not send again what the server has already.
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

    /// Looks up the record of an earlier run, if there is one.
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

    /// Removes the record: the upload is over, or the record is of no use.
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

    /// Whether there is a record, from this run or an earlier one.
    pub(in crate::task) fn has_record(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.is_recorded)
    }

    /// Whether the upload can continue from some position.
    pub(in crate::task) fn has_leftovers(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.point.is_some())
    }

    /// Whether the uploads of this task are recorded.
    pub(in crate::task) fn keeps_record(&self) -> bool {
        self.live().kind_state::<Resuming>().is_some_and(|resuming| resuming.record.is_some())
    }

    /// The error, with the resume data of the upload. The task ends with it; if the task was cancelled, so does the upload.
    fn with_leftovers(self: &Arc<Self>, error: UrlError) -> UrlError {
        if error.has_resume_data() {
            return error;
        }
        if error.is_of_owner() {
            self.give_up_if_cancelled(&error);
            return error;
        }
        match self.leftovers() {
            // The body may be long: it is copied only when it is read.
            Some((request, point)) => {
                error.with_resume_data_later(move || close_transaction(&request, &point))
            }
            None => error,
        }
    }

    /// Called when the task has ended with this error. If the owner has cancelled the task, the server is notified in the
    /// background that the upload is given up. No delegate is called for that.
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
        // The server discards the upload after some time.
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
            // A server that is not reached discards the upload after some time.
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

    /// The request and the position of the upload; `None` for bodies that resume data cannot hold or name.
    fn leftovers(&self) -> Option<(Arc<UrlRequest>, UploadPoint)> {
        let live = self.live();
        let (point, request) = (live.kind_state::<Resuming>()?.point.clone()?, live.current.clone()?);
        BodyRecord::of(request.content()).is_ok().then_some((request, point))
    }

    fn resume_data(&self) -> Option<ResumeData> {
        self.leftovers().and_then(|(request, point)| close_transaction(&request, &point))
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

/// The key of a record: method, URL, and the identity of the file. A host in a zone is not recorded.
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

/// The body is the rest of a body in memory that the server does not have yet, or the name of a file.
fn close_transaction(request: &UrlRequest, point: &UploadPoint) -> Option<ResumeData> {
    let (base, body) = match request.content() {
        HttpBody::Data(data) => {
            let have = point.offset.saturating_sub(point.base);
            let from = usize::try_from(have).unwrap_or(usize::MAX).min(data.len());
            (point.base + from as u64, BodyRecord::Data(Data(data.slice(from..))))
        }
        body => (0, BodyRecord::of(body).ok()?),
    };
    Some(ResumeData::seal(&UploadForm {
        request: RequestForm::without_secrets(request, body),
        url: point.url.as_str().into(),
        dialect: point.dialect.version(),
        offset: point.offset,
        length: point.length,
        base,
        expires: point.expires.map(Date::of),
    }))
}

/// The request that continues, and its position. A file is checked: it must be unchanged.
pub(crate) fn open(data: ResumeData) -> Result<(UrlRequest, UploadPoint)> {
    let form: UploadForm = data.open()?;
    let point = UploadPoint {
        url: Url::parse(&form.url).map_err(|_| incomplete())?,
        dialect: Dialect::of_version(form.dialect.into()).ok_or_else(incomplete)?,
        offset: form.offset,
        length: form.length,
        base: form.base,
        expires: form.expires.and_then(|date| date.date().ok()),
    };
    let (mut request, body) = form.request.into_parts().map_err(|_| incomplete())?;
    body.put_into(&mut request)?;
    Ok((request, point))
}

#[derive(Serialize, Deserialize)]
struct UploadForm {
    request: RequestForm<BodyRecord>,
    /// Where the server has it.
    url: String,
    dialect: u8,
    offset: u64,
    length: Option<u64>,
    /// The position in the whole body at which the body of the request begins.
    base: u64,
    expires: Option<Date>,
}

impl Record<'_> for UploadForm {
    const KIND: RecordKind = RecordKind::Upload;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::error::UrlErrorCode;
    use crate::message::ResumeFailure;
    use crate::message::codec::tests::{hex, neighbours, payload, sealed};

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
        let data = close_transaction(&was, &point(4, 0)).unwrap();
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
        let (again, at) = open(close_transaction(&is, &point(7, 4)).unwrap()).unwrap();
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
        let data = close_transaction(&was, &point(4, 0)).unwrap();
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
        let (is, _) = open(close_transaction(&was, &point(4, 0)).unwrap()).unwrap();
        assert_eq!(is.zone_id(), Some("eth0"));
    }

    #[test]
    fn an_upload_goes_on_with_all_that_its_request_says() {
        let mut was = request();
        was.set_timeout_interval(Duration::from_secs(7));
        was.set_allows_cellular_access(false);
        was.set_http_body("0123");
        let (is, _) = open(close_transaction(&was, &point(0, 0)).unwrap()).unwrap();
        assert_eq!((is.timeout_interval(), is.allows_cellular_access()), (was.timeout_interval(), false));
    }

    #[test]
    fn a_body_with_trailers_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, "0123456789").unwrap();
        let file = BodyStream::from_file(&path).unwrap();
        let mut was = request();
        was.set_http_body_stream(file.with_trailers(["X-Sum"], || HeaderMap::new).unwrap());
        assert!(close_transaction(&was, &point(4, 0)).is_none());
    }

    #[test]
    fn records_of_any_content_are_read_or_refused() {
        let mut was = request();
        was.set_http_body("0123456789");
        for payload in neighbours(&payload(close_transaction(&was, &point(4, 0)).unwrap().as_bytes())) {
            match open(ResumeData::try_from(sealed(RecordKind::Upload, 1, &payload)).unwrap()) {
                Ok((request, point)) => assert!(close_transaction(&request, &point).is_some()),
                Err(error) => assert_eq!(error.resume_failure(), Some(ResumeFailure::DataDamaged)),
            }
        }
        let other = ResumeData::try_from(sealed(RecordKind::Download, 1, b"")).unwrap();
        assert_eq!(open(other).err().unwrap().resume_failure(), Some(ResumeFailure::NotResumable));
    }

    #[test]
    fn version_1_is_written_as_it_was() {
        let mut was = request();
        was.set_http_body("0123456789");
        let data = close_transaction(&was, &point(4, 0)).unwrap();
        assert_eq!(hex(&payload(data.as_bytes())), VERSION_1);
    }

    const VERSION_1: &str = concat!(
        "011f68747470733a2f2f7573657240612e6578616d706c652f7461726765743f710003505554020c436f6e74656e742d",
        "5479706506746578742f78015804613a206201063435363738390000000000000100010101010000002068747470733a",
        "2f2f612e6578616d706c652f75706c6f6164732f7365637265740604010a0401c60100",
    );
}
