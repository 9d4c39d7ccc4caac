//! Owns a server of resumable uploads (draft-ietf-httpbis-resumable-upload) for tests: four interop versions, limits,
//! and every way to go wrong, at the byte where the test wants it. It was written from the draft, for strictness: what a
//! client must not do is noted.

mod dialect;
mod fault;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::fault::{Refusal, UploadFault, UploadLimits, UploadStep};
use self::state::State;
use crate::reply::Reply;
use crate::request::Recorded;
use crate::service::{Cues, Service};

/// A server of resumable uploads. A clone is the same server; give it to
/// [`OriginBuilder::uploads`](crate::OriginBuilder::uploads). Targets are all paths but those below `/uploads/`, where
/// uploads are.
#[derive(Clone, Debug)]
pub struct UploadServer(Arc<Mutex<State>>);

/// One request to the server, as it came.
#[derive(Clone, Debug)]
pub struct UploadRequest {
    /// Its number in the origin's journal.
    pub id: usize,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The fields, as spelled.
    pub fields: Vec<(String, String)>,
    /// Bytes of the body that came.
    pub bytes: u64,
}

impl UploadServer {
    /// A server of this interop version: 3, 5, 6 or 8. It answers what it was sent with 200, `Upload-Complete: ?1` and
    /// `took N bytes`.
    ///
    /// # Panics
    /// For any other version.
    pub fn new(version: u8) -> Self {
        assert!([3, 5, 6, 8].contains(&version), "no server speaks version {version}");
        Self(Arc::new(Mutex::new(State::new(vec![version]))))
    }

    /// Speaks these versions, and refuses others so.
    #[must_use]
    pub fn speaking(self, versions: &[u8], refusal: Refusal) -> Self {
        self.change(|state| (state.versions, state.refusal) = (versions.to_vec(), refusal));
        self
    }

    /// Stands behind a proxy that drops 1xx responses.
    #[must_use]
    pub fn without_interim(self) -> Self {
        self.change(|state| state.interim = false);
        self
    }

    /// With these limits.
    #[must_use]
    pub fn limited(self, limits: UploadLimits) -> Self {
        self.change(|state| state.limits = Some(limits));
        self
    }

    /// The target's answer to a complete upload, in place of `took N bytes`.
    #[must_use]
    pub fn answering(self, reply: Reply) -> Self {
        self.change(|state| state.answer = Some(reply));
        self
    }

    /// Does this in the next request of the step that has no faults yet; requests without go as they should.
    pub fn at(&self, step: UploadStep, faults: impl IntoIterator<Item = UploadFault>) {
        let faults = faults.into_iter().collect();
        self.change(|state| state.faults.entry(step).or_default().push_back(faults));
    }

    /// Other limits from now on.
    pub fn limit(&self, limits: UploadLimits) {
        self.change(|state| state.limits = Some(limits));
    }

    /// Forgets every upload: from now on they are answered with this status.
    pub fn forget(&self, status: u16) {
        self.change(|state| state.uploads.iter_mut().for_each(|upload| upload.gone = Some(status)));
    }

    /// How many uploads were created.
    pub fn count(&self) -> usize {
        self.state().uploads.len()
    }

    /// What has come of an upload.
    pub fn content(&self, upload: usize) -> Vec<u8> {
        self.state().uploads.get(upload).map(|upload| upload.content.clone()).unwrap_or_default()
    }

    /// Whether all of an upload has come, as far as its client says.
    pub fn is_complete(&self, upload: usize) -> bool {
        self.state().uploads.get(upload).is_some_and(|upload| upload.is_complete)
    }

    /// Whether an upload was given up by its client.
    pub fn is_deleted(&self, upload: usize) -> bool {
        self.state().uploads.get(upload).is_some_and(|upload| upload.is_deleted)
    }

    /// Every request so far, in the order their heads came.
    pub fn requests(&self) -> Vec<UploadRequest> {
        self.state().requests.clone()
    }

    /// The same, each in a line: method, path, completeness as sent (`?1` is complete in every version), `@` offset, and
    /// the bytes that came: `PATCH /uploads/0 ?1 @100 400 bytes`.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(UploadRequest::line).collect()
    }

    /// What clients did against the draft.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    pub(crate) fn service(&self) -> Arc<dyn Service> {
        Arc::new(self.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for UploadServer {
    fn begin(&self, head: &Recorded) -> Option<Cues> {
        self.change(|state| state.begin(head))
    }

    fn take(&self, id: usize, bytes: &[u8]) {
        self.change(|state| state.take(id, bytes));
    }

    fn end(&self, request: &Recorded) -> Reply {
        self.change(|state| state.end(request))
    }
}

impl UploadRequest {
    /// The first field of that name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether it says that its body is complete, in its version's words.
    pub fn is_complete(&self) -> Option<bool> {
        dialect::completeness(self)
    }

    /// Where its body begins.
    pub fn offset(&self) -> Option<u64> {
        self.field("upload-offset")?.parse().ok()
    }

    fn line(&self) -> String {
        let complete = self.is_complete().map_or("", |is| if is { " ?1" } else { " ?0" });
        let offset = self.offset().map(|at| format!(" @{at}")).unwrap_or_default();
        let bytes = if self.bytes > 0 { format!(" {} bytes", self.bytes) } else { String::new() };
        format!("{} {}{complete}{offset}{bytes}", self.method, self.target)
    }
}
