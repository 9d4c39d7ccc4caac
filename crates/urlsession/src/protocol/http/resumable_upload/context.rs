//! `UploadContext`: the task as the layers below see it during an upload. It receives interim responses (104) before the
//! task, and counts bytes that are sent again only once.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;
use urlsession_proto::resumable_upload::{Dialect, Limits, Part, Stop, UploadFields};

use super::requests::{is_same_place, location};
use crate::env::Clock;
use crate::load::{
    BoxFuture, ConnectionChallengeHandler, Priority, SentFields, TaskContext, TaskDescription, TaskEvents,
    TaskProperties, TaskQuestions, UploadLink, UploadPoint, Uploading,
};
use crate::message::{
    AuthChallengeDisposition, BodyStream, DigestAlgorithm, UrlAuthenticationChallenge, UrlRequest,
    UrlResponse,
};

pub(super) struct UploadContext<'a> {
    context: &'a dyn TaskContext,
    /// The target's URL.
    target: &'a Url,
    clock: &'a dyn Clock,
    allows_other_origins: bool,
    state: Mutex<UploadState>,
}

/// The state of an upload, as far as it is known.
pub(super) struct UploadState {
    pub(super) dialect: Dialect,
    /// The URL of the upload.
    pub(super) url: Option<Url>,
    /// An interim response named the URL.
    pub(super) is_announced: bool,
    /// Whether interim responses get through, as far as is known.
    pub(super) hears_interim: Option<bool>,
    /// The named URL is at another origin, to which nothing may be sent.
    pub(super) is_foreign: bool,
    pub(super) limits: Limits,
    /// The server has sent its limits.
    pub(super) knows_limits: bool,
    /// Bytes below it need never be sent again.
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
    base: u64,
    expires: Option<SystemTime>,
    /// Two URLs were named.
    pub(super) is_at_odds: bool,
    request: Option<Sending>,
    /// Bytes that were reported to the task as sent.
    pub(super) told: u64,
}

/// The request on its way, if it carries content.
struct Sending {
    is_creation: bool,
    part: Part,
    at: u64,
    sent: u64,
}

impl<'a> UploadContext<'a> {
    pub(super) fn new(
        context: &'a dyn TaskContext,
        target: &'a Url,
        clock: &'a dyn Clock,
        allows_other_origins: bool,
    ) -> Self {
        let state = UploadState {
            dialect: Dialect::NEWEST,
            url: None,
            is_announced: false,
            hears_interim: None,
            is_foreign: false,
            limits: Limits::default(),
            knows_limits: false,
            offset: 0,
            length: None,
            base: 0,
            expires: None,
            is_at_odds: false,
            request: None,
            told: 0,
        };
        Self { context, target, clock, allows_other_origins, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock()
    }

    /// An earlier upload continues.
    pub(super) fn take_up(&self, point: UploadPoint) {
        let mut state = self.state();
        state.is_announced = true;
        (state.dialect, state.offset, state.length) = (point.dialect, point.offset, point.length);
        (state.base, state.expires) = (point.base, point.expires);
        if self.may_use(&point.url) {
            state.url = Some(point.url);
        } else {
            state.is_foreign = true;
        }
    }

    /// A request with content begins.
    pub(super) fn begin(&self, is_creation: bool, at: u64, part: Part) {
        let mut state = self.state();
        let had_before = at.saturating_sub(state.told);
        state.told += had_before;
        state.request = Some(Sending { is_creation, part, at, sent: 0 });
        drop(state);
        if had_before > 0 {
            self.context.was_sent(had_before);
        }
    }

    /// A request without content begins.
    pub(super) fn begin_empty(&self) {
        self.state().request = None;
    }

    /// Reads the upload fields of a response, and the URL it names.
    pub(super) fn note(&self, fields: &UploadFields, named: Option<Url>) {
        let mut state = self.state();
        if let Some(url) = named {
            match &state.url {
                // §4.2: all responses to one request name the same URL.
                Some(known) if *known != url => state.is_at_odds = true,
                Some(_) => {}
                None if self.may_use(&url) => state.url = Some(url),
                None => state.is_foreign = true,
            }
        }
        if let Some(limits) = fields.limits {
            (state.limits, state.knows_limits) = (limits, true);
            let now = self.clock.wall();
            state.expires = limits.max_age.and_then(|age| now.checked_add(Duration::from_secs(age)));
        }
        if let Some(offset) = fields.offset
            && state.length.is_none_or(|length| offset <= length)
        {
            state.offset = offset;
        }
        self.tell(state);
    }

    /// The server has every byte below `offset`.
    pub(super) fn has(&self, offset: u64) {
        let mut state = self.state();
        state.offset = offset;
        self.tell(state);
    }

    /// The upload has moved.
    pub(super) fn move_to(&self, url: Url) {
        let mut state = self.state();
        match self.may_use(&url) {
            true => state.url = Some(url),
            false => state.is_foreign = true,
        }
        self.tell(state);
    }

    /// Nothing can be resumed any more.
    pub(super) fn forget(&self) {
        self.context.upload_stands(None);
    }

    /// The reason why the running request is useless, if there is one.
    pub(super) fn must_abort(&self) -> Option<Abort> {
        let state = self.state();
        let sending = state.request.as_ref()?;
        if state.is_at_odds {
            return Some(Abort::Stop(Stop::LocationMismatch));
        }
        if !state.is_announced || state.url.is_none() {
            return None;
        }
        if let Err(stop) = state.limits.allow(state.length) {
            return Some(Abort::Stop(stop));
        }
        let is_sent = sending.part.length.is_some_and(|length| sending.sent >= length);
        let is_too_long = match (state.limits.max_append_size, sending.part.length) {
            (Some(max), Some(length)) => length > max,
            (Some(max), None) => sending.sent > max,
            (None, _) => false,
        };
        (is_too_long && !is_sent).then_some(Abort::Smaller)
    }

    fn may_use(&self, url: &Url) -> bool {
        self.allows_other_origins || is_same_place(self.target, url)
    }

    fn tell(&self, state: MutexGuard<'_, UploadState>) {
        let point = state.url.clone().map(|url| UploadPoint {
            url,
            dialect: state.dialect,
            offset: state.offset,
            length: state.length,
            base: state.base,
            expires: state.expires,
        });
        drop(state);
        if point.is_some() {
            self.context.upload_stands(point);
        }
    }

    fn hear(&self, response: &UrlResponse) {
        let Some(head) = response.http_head().filter(|head| head.status.as_u16() == 104) else { return };
        let (fields, named) = {
            let mut state = self.state();
            let Some(sending) = &state.request else { return };
            let fields = UploadFields::read(state.dialect, &head.fields);
            // §4.2: one of another version is ignored.
            if fields.version != Some(u64::from(state.dialect.version())) {
                return;
            }
            // §4.4: on appends there is no `Location`.
            // HSTS may have upgraded the request that was sent to TLS.
            let named = if sending.is_creation { location(response.url(), &head.fields) } else { None };
            if sending.is_creation && named.is_some() {
                state.is_announced = true;
            }
            state.hears_interim = Some(true);
            (fields, named)
        };
        self.note(&fields, named);
    }
}

/// Why a request is not sent completely.
pub(super) enum Abort {
    Stop(Stop),
    /// It is longer than the server accepts in one request.
    Smaller,
}

impl TaskQuestions for UploadContext<'_> {
    fn redirect<'a>(
        &'a self,
        response: &'a UrlResponse,
        next: UrlRequest,
    ) -> BoxFuture<'a, Option<UrlRequest>> {
        self.context.redirect(response, next)
    }

    fn challenge<'a>(
        &'a self,
        challenge: &'a UrlAuthenticationChallenge,
    ) -> BoxFuture<'a, AuthChallengeDisposition> {
        self.context.challenge(challenge)
    }

    fn challenger(&self) -> Option<Arc<dyn ConnectionChallengeHandler>> {
        self.context.challenger()
    }

    /// Of the part that is being sent.
    fn new_body_from(&self, offset: u64) -> BoxFuture<'_, Option<BodyStream>> {
        let (at, part) =
            self.state().request.as_ref().map_or((0, None), |sending| (sending.at, Some(sending.part)));
        Box::pin(async move {
            let rest = self.context.new_body_from(at + offset).await?;
            match part.filter(|part| !part.is_last).and_then(|part| part.length) {
                Some(length) => rest.part(0, length.saturating_sub(offset)),
                None => Some(rest),
            }
        })
    }

    fn wants_will_cache(&self) -> bool {
        self.context.wants_will_cache()
    }
}

impl TaskEvents for UploadContext<'_> {
    fn requesting(&self, request: &Arc<UrlRequest>) {
        self.context.requesting(request);
    }

    fn sends(&self, fields: &Arc<SentFields>, protocol: &'static str) {
        // The other requests are about the task's request, not the request itself.
        if self.state().request.as_ref().is_some_and(|sending| sending.is_creation) {
            self.context.sends(fields, protocol);
        }
    }

    fn sent(&self, bytes: u64) {
        let new = {
            let mut state = self.state();
            let UploadState { request: Some(sending), told, .. } = &mut *state else { return };
            sending.sent += bytes;
            // Sent again, after a challenge, it counts once.
            let end = sending.part.length.map_or(u64::MAX, |length| sending.at + length);
            let new = (sending.at + sending.sent).min(end).saturating_sub(*told);
            *told += new;
            new
        };
        if new > 0 {
            self.context.sent(new);
        }
    }

    fn was_sent(&self, bytes: u64) {
        self.context.was_sent(bytes);
    }

    fn wants_informational(&self) -> bool {
        true
    }

    fn informational(&self, response: UrlResponse) {
        self.hear(&response);
        if self.context.wants_informational() {
            self.context.informational(response);
        }
    }

    fn waiting_for_connectivity(&self) {
        self.context.waiting_for_connectivity();
    }
}

/// All of them come from the task.
impl TaskProperties for UploadContext<'_> {
    fn described(&self, current: &Arc<UrlRequest>) -> TaskDescription {
        self.context.described(current)
    }

    fn is_halted(&self) -> bool {
        self.context.is_halted()
    }

    fn goes_to_file(&self) -> bool {
        self.context.goes_to_file()
    }

    fn priority(&self) -> f32 {
        self.context.priority()
    }

    fn lasting_priority(&self) -> Arc<dyn Priority> {
        self.context.lasting_priority()
    }
}

impl UploadLink for UploadContext<'_> {
    fn upload(&self) -> Option<Uploading> {
        None
    }

    /// The parts have theirs already.
    fn digest(&self) -> Option<DigestAlgorithm> {
        None
    }

    fn upload_stands(&self, point: Option<UploadPoint>) {
        self.context.upload_stands(point);
    }
}
