//! `TaskSnapshot`: what another process must know about a task to run it, or to show it again to its application; and its
//! serialized form.
//!
//! It contains the properties and the progress of a task. The state of a kind of task, such as the destination of a
//! download or the URL of an upload, is in the resume data of that kind.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::byte_counts::UNKNOWN;
use super::core::Core;
use super::kind::TaskKind;
use crate::body::BodyRecord;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::Priority;
use crate::message::codec::{self, Record, RecordKind, Unreadable};
use crate::message::{Date, RequestForm, ResponseForm, UrlRequest, UrlResponse};

/// A task as it is at one time.
pub(super) struct TaskSnapshot {
    pub(super) identifier: u64,
    pub(super) kind: TaskKind,
    pub(super) description: Option<Arc<str>>,
    /// 0 to 1.
    pub(super) priority: f32,
    pub(super) earliest_begin: Option<SystemTime>,
    pub(super) counts: Counts,
    pub(super) original: Option<Arc<UrlRequest>>,
    /// After redirects.
    pub(super) current: Option<Arc<UrlRequest>>,
    pub(super) response: Option<UrlResponse>,
}

/// In bytes; `None` where a length is not known or was not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) expected_to_send: Option<u64>,
    pub(super) expected_to_receive: Option<u64>,
    /// The expectation of the application, for scheduling the task.
    pub(super) hinted_to_send: Option<u64>,
    pub(super) hinted_to_receive: Option<u64>,
}

impl Core {
    pub(super) fn snapshot(&self) -> TaskSnapshot {
        let known = |count: u64| Some(count).filter(|count| *count != UNKNOWN);
        let live = self.live();
        TaskSnapshot {
            identifier: self.identifier(),
            kind: self.kind,
            description: live.description.clone(),
            priority: self.priority(),
            earliest_begin: live.hints.earliest_begin,
            counts: Counts {
                sent: self.bytes.sent.load(Relaxed),
                received: self.bytes.received.load(Relaxed),
                expected_to_send: known(self.bytes.to_send.load(Relaxed)),
                expected_to_receive: known(self.bytes.to_receive.load(Relaxed)),
                hinted_to_send: live.hints.to_send,
                hinted_to_receive: live.hints.to_receive,
            },
            original: live.original.clone(),
            current: live.current.clone(),
            response: live.response.clone(),
        }
    }
}

impl TaskSnapshot {
    /// The bytes to send or to store. They contain all fields of the requests, secrets included.
    ///
    /// # Errors
    /// [`RequestBodyStreamExhausted`](UrlErrorCode::RequestBodyStreamExhausted) for a body that exists only in this
    /// process.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let form = |request: &Arc<UrlRequest>| RequestForm::whole(request);
        let is_redirected = |current: &&Arc<UrlRequest>| {
            self.original.as_ref().is_none_or(|original| !Arc::ptr_eq(original, current))
        };
        Ok(codec::encode(&TaskForm {
            identifier: self.identifier,
            kind: self.kind,
            description: self.description.as_deref().map(Into::into),
            priority: self.priority,
            earliest_begin: self.earliest_begin.map(Date::of),
            counts: self.counts,
            original: self.original.as_ref().map(form).transpose()?,
            redirected: self.current.as_ref().filter(is_redirected).map(form).transpose()?,
            response: self.response.as_ref().map(ResponseForm::of),
        }))
    }

    /// Reads a serialized snapshot.
    ///
    /// # Errors
    /// [`CannotDecodeRawData`](UrlErrorCode::CannotDecodeRawData) for any other bytes, and for a snapshot of a later
    /// version. The errors of opening the file of a body: it must be unchanged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let form: TaskForm<'_> = codec::decode(bytes).map_err(|why| {
            unreadable(match why {
                Unreadable::TooNew => "the task was written by a later version of this library",
                _ => DAMAGED,
            })
        })?;
        let request = |form: RequestForm<BodyRecord>| form.request().map(Arc::new);
        let original = form.original.map(request).transpose()?;
        let redirected = form.redirected.map(request).transpose()?;
        let date = |date: Date| date.date().map_err(unreadable);
        let response = |form: ResponseForm<'_>| form.response().ok_or_else(|| unreadable(DAMAGED));
        if !(0.0..=1.0).contains(&form.priority) {
            return Err(unreadable(DAMAGED));
        }
        Ok(Self {
            identifier: form.identifier,
            kind: form.kind,
            description: form.description.map(Into::into),
            priority: form.priority,
            earliest_begin: form.earliest_begin.map(date).transpose()?,
            counts: form.counts,
            current: redirected.or_else(|| original.clone()),
            original,
            response: form.response.map(response).transpose()?,
        })
    }
}

fn unreadable(detail: &'static str) -> UrlError {
    UrlError::new(UrlErrorCode::CannotDecodeRawData, Phase::Task, detail)
}

const DAMAGED: &str = "the bytes of the task are damaged";

#[derive(Serialize, Deserialize)]
struct TaskForm<'a> {
    identifier: u64,
    #[serde(with = "TaskKindForm")]
    kind: TaskKind,
    description: Option<String>,
    priority: f32,
    earliest_begin: Option<Date>,
    counts: Counts,
    original: Option<RequestForm<BodyRecord>>,
    /// If it differs from the original request.
    redirected: Option<RequestForm<BodyRecord>>,
    #[serde(borrow)]
    response: Option<ResponseForm<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TaskKind")]
enum TaskKindForm {
    Data,
    Upload,
    Download,
    Stream,
}

impl<'de> Record<'de> for TaskForm<'de> {
    const KIND: RecordKind = RecordKind::Task;
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::Version;

    use super::super::{DelegateQueue, Handler, SessionShared, Style};
    use super::*;
    use crate::configuration::Configuration;
    use crate::message::codec::tests::{hex, neighbours, payload, sealed, survives_damage};
    use crate::message::{BodyStream, HttpUrlResponse};

    fn request(url: &str) -> UrlRequest {
        let mut request = UrlRequest::new(url.parse().unwrap());
        request.set_value("Authorization", "Bearer s3cret").unwrap();
        request
    }

    fn snapshot() -> TaskSnapshot {
        let mut original = request("https://a.example/b");
        original.set_http_body("0123");
        let url = "https://c.example/d".parse().unwrap();
        let response = HttpUrlResponse::new(url, 200, Version::HTTP_2, [("ETag", "\"a\"")]).unwrap();
        TaskSnapshot {
            identifier: 7,
            kind: TaskKind::Upload,
            description: Some("mine".into()),
            priority: 0.25,
            earliest_begin: UNIX_EPOCH.checked_add(Duration::from_secs(99)),
            counts: Counts { sent: 1, received: 300, expected_to_send: Some(4), ..Counts::default() },
            original: Some(Arc::new(original)),
            current: Some(Arc::new(request("https://c.example/d"))),
            response: Some(response.into()),
        }
    }

    fn assert_same(one: &TaskSnapshot, other: &TaskSnapshot) {
        assert_eq!((one.identifier, one.kind, one.counts), (other.identifier, other.kind, other.counts));
        assert_eq!((&one.description, one.priority), (&other.description, other.priority));
        assert_eq!(one.earliest_begin, other.earliest_begin);
        assert!(one.original == other.original && one.current == other.current);
        assert_eq!(one.response, other.response);
    }

    #[test]
    fn a_task_is_read_as_it_was_written() {
        let queue = DelegateQueue::serial();
        let session = Arc::new(SessionShared::local(Configuration::ephemeral().into(), None, queue));
        let handler: Option<Handler> = None;
        let original = request("https://a.example/b");
        let core = Core::new(&session, Ok(original), TaskKind::Download, Style::Delegate, handler);
        core.set_priority(0.75);
        core.live().description = Some("mine".into());
        core.live().hints.to_receive = Some(1 << 40);
        for snapshot in [core.snapshot(), snapshot()] {
            let read = TaskSnapshot::from_bytes(&snapshot.to_bytes().unwrap()).unwrap();
            assert_same(&read, &snapshot);
        }
        let read = TaskSnapshot::from_bytes(&core.snapshot().to_bytes().unwrap()).unwrap();
        assert!(Arc::ptr_eq(&read.original.unwrap(), &read.current.unwrap()), "one request is written once");
        assert_eq!(read.counts.hinted_to_receive, Some(1 << 40));
    }

    #[test]
    fn a_body_that_only_this_process_has_is_an_error() {
        let mut snapshot = snapshot();
        let mut request = request("https://a.example/b");
        request.set_http_body_stream(BodyStream::from_reader(std::io::empty()));
        snapshot.original = Some(Arc::new(request));
        let error = snapshot.to_bytes().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::RequestBodyStreamExhausted);
        assert!(!error.to_string().contains("s3cret"));
    }

    #[test]
    fn damage_is_refused_and_so_is_a_later_version() {
        let bytes = snapshot().to_bytes().unwrap();
        survives_damage(&bytes, |bytes| TaskSnapshot::from_bytes(bytes).is_ok());
        for near in neighbours(&payload(&bytes)) {
            if let Ok(read) = TaskSnapshot::from_bytes(&sealed(RecordKind::Task, 1, &near)) {
                assert_same(&TaskSnapshot::from_bytes(&read.to_bytes().unwrap()).unwrap(), &read);
            }
        }
        let error = TaskSnapshot::from_bytes(&sealed(RecordKind::Task, 2, b"")).err().unwrap();
        assert!(error.to_string().contains("later version"), "{error}");
    }

    #[test]
    fn version_1_is_written_as_it_was() {
        assert_eq!(hex(&payload(&snapshot().to_bytes().unwrap())), VERSION_1);
    }

    const VERSION_1: &str = concat!(
        "070101046d696e650000803e01c6010001ac02010400000001011368747470733a2f2f612e6578616d706c652f620003",
        "474554010d417574686f72697a6174696f6e0d4265617265722073336372657401043031323300000000000001000101",
        "010100000001011368747470733a2f2f632e6578616d706c652f640003474554010d417574686f72697a6174696f6e0d",
        "4265617265722073336372657400000000000000010001010101000000011368747470733a2f2f632e6578616d706c65",
        "2f640114c8010f0d0a455461673a202261220d0a0d0a01046574616703226122",
    );
}
