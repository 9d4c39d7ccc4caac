//! The requests to the target: the one that creates the upload, and the one that asks for the server's limits.

use std::sync::Arc;

use http::{Method, StatusCode};
use urlsession_proto::resumable_upload::next::{self, Creation};
use urlsession_proto::resumable_upload::{Dialect, Limits, Next, Part, Reply, Stop, UploadFields};

use super::super::discard::discard;
use super::failures::{elsewhere, exhausted, stopped};
use super::requests::{about, length, location};
use super::{After, Created, Outcome, Step, Upload};
use crate::error::Result;
use crate::load::Layer;
use crate::store::ServerSupport;

impl<N: Layer> Upload<'_, '_, N> {
    /// The request that creates the upload.
    pub(super) async fn create(&mut self, is_careful: bool) -> Result<Created> {
        let total = length(self.target);
        let dialect = self.context.state().dialect;
        let (request, part) = match is_careful {
            true => {
                let mut request = (**self.target).clone();
                request.remove_http_body();
                // A body that is not here has no digest; an uploaded body has the digest it had.
                request.fields_mut().remove("content-digest");
                (Arc::new(request), Part { length: Some(0), is_last: false })
            }
            false => (self.target.clone(), Part { length: total, is_last: true }),
        };
        self.context.begin(true, 0, part);
        let fields = dialect.creation(!is_careful, total);
        let outcome = self.send(request, fields).await?;
        let sent = part.length.unwrap_or_default();
        if self.context.state().is_announced {
            self.learn_dialect(dialect, true);
        } else {
            // More is sent only after a response: the server had time for an announcement.
            self.context.state().hears_interim.get_or_insert(false);
        }
        let (next, response) = match outcome {
            Outcome::Aborted(abort) => (self.aborted(abort), None),
            Outcome::Lost(error) => {
                let creation = self.creation(dialect, is_careful);
                let next = next::after_creation(creation, None);
                if self.context.state().is_foreign {
                    return Err(elsewhere().with_source(error));
                }
                if matches!(next, Next::Stop(_)) || !self.can_go_on() {
                    return Err(error);
                }
                self.why = Some(error);
                (next, None)
            }
            Outcome::Response(response, reply) => {
                if !self.context.state().is_announced
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
                let named = head.and_then(|head| location(response.head.url(), &head.fields));
                self.context.note(&reply.fields, named);
                if self.context.state().is_at_odds {
                    discard(response.body, self.attempt).await;
                    return Ok(Created::Next(Next::Delete(Stop::LocationMismatch), None, 0));
                }
                let next = next::after_creation(self.creation(dialect, is_careful), Some(&reply));
                self.learn(dialect, is_careful, &reply, next);
                if matches!(next, Next::Ask { .. } | Next::Continue { .. }) && !self.can_go_on() {
                    if self.context.state().is_foreign {
                        return Err(elsewhere());
                    }
                    return Ok(Created::Decision(response));
                }
                (next, Some(response))
            }
        };
        Ok(Created::Next(next, response, sent))
    }

    pub(super) fn creation(&self, dialect: Dialect, is_careful: bool) -> Creation {
        let state = self.context.state();
        Creation {
            dialect,
            is_complete: !is_careful,
            has_url: state.url.is_some() || state.is_foreign,
            was_announced: state.is_announced,
        }
    }

    /// Whether the URL of the upload is known, and requests may be sent to it.
    pub(super) fn can_go_on(&self) -> bool {
        self.context.state().url.is_some()
    }

    pub(super) fn fallback(&self, dialect: Dialect, reply: &Reply) -> Option<Option<Dialect>> {
        if self.known() == Some(ServerSupport::Indifferent) && !self.must_resume {
            return None;
        }
        next::fallback(dialect, reply, self.must_resume)
    }

    /// The creation again, in another dialect or without any.
    pub(super) async fn fall_back(&mut self, other: Option<Dialect>, is_careful: bool) -> Result<Created> {
        if let Some(dialect) = other {
            self.context.state().dialect = dialect;
            return Ok(Created::Again { is_careful });
        }
        // Treated as no creation; bytes that were sent before are not counted twice.
        self.context.begin(false, 0, Part { length: length(self.target), is_last: true });
        match self.send(self.target.clone(), Vec::new()).await? {
            Outcome::Response(response, reply) => {
                let is_refused_too = next::fallback(Dialect::NEWEST, &reply, false).is_some();
                let support =
                    if is_refused_too { ServerSupport::Indifferent } else { ServerSupport::Refuses };
                self.remember(support);
                Ok(Created::Decision(response))
            }
            Outcome::Lost(error) => Err(error),
            // A request that creates no upload announces nothing.
            Outcome::Aborted(_) => Err(stopped(Stop::Lost)),
        }
    }

    /// Records how the server treats uploads, for the next upload to this server.
    fn learn(&self, dialect: Dialect, is_careful: bool, reply: &Reply, next: Next) {
        if self.context.state().is_announced {
            return;
        }
        if reply.fields.is_complete.is_some() && reply.status.is_success() {
            // There was little time for an announcement: its absence proves nothing.
            let heard = matches!(self.known(), Some(ServerSupport::Speaks { hears_interim: true, .. }));
            self.learn_dialect(dialect, is_careful && heard);
        } else if next == Next::Stop(Stop::NotAnUpload) {
            self.remember(ServerSupport::Refuses);
        }
    }

    fn learn_dialect(&self, dialect: Dialect, hears_interim: bool) {
        let most_at_once = self.context.state().limits.max_append_size;
        self.remember(ServerSupport::Speaks { dialect, hears_interim, most_at_once });
    }

    fn known(&self) -> Option<ServerSupport> {
        self.policy.servers(self.target)?.support(self.url, self.attempt.clock.wall())
    }

    fn remember(&self, support: ServerSupport) {
        // A later reader of the store may refuse a server that only a delegate trusts.
        if let Some(servers) = self.policy.servers(self.target)
            && !self.attempt.is_server_untrusted()
        {
            servers.note(self.url, support, self.attempt.clock.wall());
        }
    }

    /// Asks for the limits (§4.6): before anything is sent, or once so many bytes were too many.
    pub(super) async fn discover(&mut self, after: After) -> Result<Step> {
        let fits = |limits: &Limits| match after {
            // A server that sends limits supports uploads.
            After::Nothing => true,
            After::Creation(sent) | After::Append(sent) => {
                limits.max_append_size.is_some_and(|max| max < sent)
            }
        };
        let has_heard = {
            let state = self.context.state();
            state.knows_limits && fits(&state.limits)
        };
        if !has_heard {
            let dialect = self.context.state().dialect;
            let request = Arc::new(about(self.target, self.url, Method::OPTIONS));
            self.context.begin_empty();
            if let Outcome::Response(response, reply) = self.send(request, dialect.asking()).await? {
                discard(response.body, self.attempt).await;
                let limits = UploadFields { limits: reply.fields.limits, ..UploadFields::default() };
                self.context.note(&limits, None);
            }
        }
        let (limits, length, knows) = {
            let state = self.context.state();
            (state.limits, state.length, state.knows_limits)
        };
        if let Err(stop) = limits.allow(length) {
            if let After::Append(_) = after {
                self.delete().await;
            }
            return Err(stopped(stop));
        }
        match (fits(&limits), after, self.is_rewindable) {
            (_, After::Nothing, _) => Ok(Step::Create { is_careful: knows }),
            (false, ..) => Err(stopped(Stop::Refused(StatusCode::PAYLOAD_TOO_LARGE))),
            (true, After::Append(_), _) => Ok(Step::RetrieveOffset { after_pause: false }),
            (true, _, true) if self.can_go_on() => Ok(Step::RetrieveOffset { after_pause: false }),
            (true, _, true) => Ok(Step::Create { is_careful: true }),
            (true, _, false) => Err(exhausted(0)),
        }
    }
}
