//! The requests to the target: the one that creates the upload, and the one that asks what the server takes.

use std::sync::Arc;

use http::{Method, StatusCode};
use urlsession_proto::resumable_upload::next::{self, Creation};
use urlsession_proto::resumable_upload::{Dialect, Limits, Next, Part, Reply, Stop, UploadFields};

use super::super::discard::discard;
use super::failures::{elsewhere, exhausted, stopped};
use super::known::Manner;
use super::requests::{about, length, location};
use super::{Created, Outcome, Step, Upload};
use crate::error::Result;
use crate::load::Layer;

impl<N: Layer> Upload<'_, '_, N> {
    /// The request that creates the upload.
    pub(super) async fn create(&mut self, is_careful: bool) -> Result<Created> {
        let total = length(self.target);
        let dialect = self.listening.state().dialect;
        let (request, part) = match is_careful {
            true => {
                let mut request = (**self.target).clone();
                request.remove_http_body();
                (Arc::new(request), Part { length: Some(0), is_last: false })
            }
            false => (self.target.clone(), Part { length: total, is_last: true }),
        };
        self.listening.begin(true, 0, part);
        let fields = dialect.creation(!is_careful, total);
        let outcome = self.send(request, fields).await?;
        let sent = part.length.unwrap_or_default();
        let (next, response) = match outcome {
            Outcome::Aborted(abort) => (self.aborted(abort), None),
            Outcome::Lost(error) => {
                let creation = self.creation(dialect, is_careful);
                let next = next::after_creation(creation, None);
                if self.listening.state().is_foreign {
                    return Err(elsewhere().with_source(error));
                }
                if matches!(next, Next::Stop(_)) || !self.can_go_on() {
                    return Err(error);
                }
                self.why = Some(error);
                (next, None)
            }
            Outcome::Response(response, reply) => {
                if !self.listening.state().is_announced
                    && (self.is_rewindable || is_careful)
                    && let Some(other) = self.fallback(dialect, &reply)
                {
                    discard(response.body, self.attempt).await;
                    return self.fall_back(other, is_careful).await;
                }
                // §4.2: the `Location` of the target's own answer is the target's, and who says nothing of the
                // protocol is the target.
                let is_of_protocol = reply.fields.is_complete == Some(false)
                    || is_careful && reply.fields.is_complete.is_none() && reply.fields.says_anything();
                let head = response.head.http_head();
                let head = head.filter(|_| reply.status.is_success() && is_of_protocol);
                let base = response.head.url().unwrap_or(self.url);
                let named = head.and_then(|head| location(base, &head.fields));
                self.listening.note(&reply.fields, named);
                if self.listening.state().is_at_odds {
                    discard(response.body, self.attempt).await;
                    return Ok(Created::Next(Next::Delete(Stop::LocationMismatch), None, 0));
                }
                let next = next::after_creation(self.creation(dialect, is_careful), Some(&reply));
                self.learn(dialect, &reply, next);
                if matches!(next, Next::Ask { .. } | Next::Continue { .. }) && !self.can_go_on() {
                    if self.listening.state().is_foreign {
                        return Err(elsewhere());
                    }
                    return Ok(Created::Answer(response));
                }
                (next, Some(response))
            }
        };
        Ok(Created::Next(next, response, sent))
    }

    pub(super) fn creation(&self, dialect: Dialect, is_careful: bool) -> Creation {
        let state = self.listening.state();
        Creation {
            dialect,
            is_complete: !is_careful,
            has_url: state.url.is_some() || state.is_foreign,
            was_announced: state.is_announced,
        }
    }

    /// Is it known where the upload is, and may requests go there?
    pub(super) fn can_go_on(&self) -> bool {
        self.listening.state().url.is_some()
    }

    pub(super) fn fallback(&self, dialect: Dialect, reply: &Reply) -> Option<Option<Dialect>> {
        if self.room.known.of(self.url) == Some(Manner::Indifferent) && !self.must_resume {
            return None;
        }
        next::fallback(dialect, reply, self.must_resume)
    }

    /// The creation again, in another dialect or without any.
    pub(super) async fn fall_back(&mut self, other: Option<Dialect>, is_careful: bool) -> Result<Created> {
        if let Some(dialect) = other {
            self.listening.state().dialect = dialect;
            return Ok(Created::Again { is_careful });
        }
        // Heard as no creation, since it is none; what was sent before does not count twice.
        self.listening.begin(false, 0, Part { length: length(self.target), is_last: true });
        match self.send(self.target.clone(), Vec::new()).await? {
            Outcome::Response(response, reply) => {
                let is_refused_too = next::fallback(Dialect::NEWEST, &reply, false).is_some();
                let manner = if is_refused_too { Manner::Indifferent } else { Manner::Refuses };
                self.room.known.note(self.url, manner);
                Ok(Created::Answer(response))
            }
            Outcome::Lost(error) => Err(error),
            // Nothing is announced of what is no creation.
            Outcome::Aborted(_) => Err(stopped(Stop::Lost)),
        }
    }

    /// What the next upload to this server is better for.
    pub(super) fn learn(&self, dialect: Dialect, reply: &Reply, next: Next) {
        let hears_interim = self.listening.state().is_announced;
        let speaks = hears_interim || reply.fields.is_complete.is_some() && reply.status.is_success();
        if speaks {
            self.room.known.note(self.url, Manner::Speaks { dialect, hears_interim });
        } else if next == Next::Stop(Stop::NotAnUpload) {
            self.room.known.note(self.url, Manner::Refuses);
        }
    }

    /// Asks for the limits (§4.6), once so many bytes were too many.
    pub(super) async fn discover(&mut self, too_many: u64, is_created: bool) -> Result<Step> {
        let fits = |limits: &Limits| limits.max_append_size.is_some_and(|max| max < too_many);
        let known = self.listening.state().limits;
        if !fits(&known) {
            let dialect = self.listening.state().dialect;
            let request = Arc::new(about(self.target, self.url, Method::OPTIONS));
            self.listening.begin_empty();
            if let Outcome::Response(response, reply) = self.send(request, dialect.asking()).await? {
                discard(response.body, self.attempt).await;
                let limits = UploadFields { limits: reply.fields.limits, ..UploadFields::default() };
                self.listening.note(&limits, None);
            }
        }
        let (limits, length) = {
            let state = self.listening.state();
            (state.limits, state.length)
        };
        if let Err(stop) = limits.allow(length) {
            if is_created {
                self.delete().await;
            }
            return Err(stopped(stop));
        }
        match (fits(&limits), is_created, self.is_rewindable) {
            (false, ..) => Err(stopped(Stop::Refused(StatusCode::PAYLOAD_TOO_LARGE))),
            (true, true, _) => Ok(Step::Ask { after_pause: false }),
            (true, false, true) if self.can_go_on() => Ok(Step::Ask { after_pause: false }),
            (true, false, true) => Ok(Step::Create { is_careful: true }),
            (true, false, false) => Err(exhausted(0)),
        }
    }
}
