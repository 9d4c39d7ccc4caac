//! Resumption: an upload that breaks off goes on where the server has it (draft-ietf-httpbis-resumable-upload).
//!
//! It stands below redirects, so that every hop creates an upload of its own and the requests to the upload's URL are not
//! redirected as others are, and above all that each of those requests needs: protection, credentials, cookies. What
//! follows from a response is said by `urlsession_proto::resumable_upload`; here are the requests, the pauses between
//! them, and when to give up. Tasks that do not upload pass by.

mod known;
mod listening;
mod requests;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use url::Url;
use urlsession_proto::resumable_upload::next::{self, Creation};
use urlsession_proto::resumable_upload::{Dialect, Limits, Next, Part, Problem, Reply, Stop, UploadFields};

pub(super) use self::known::Known;
use self::known::Manner;
use self::listening::{Abort, Listening};
use self::requests::{about, is_rewindable, location, may_create, part};
use super::discard::discard;
use crate::configuration::{Configuration, ResumableUploads, UploadStrategy};
use crate::env::Timer;
use crate::error::{Phase, Result, UrlError, UrlErrorCode};
use crate::load::{Attempt, Body, Layer, Response, Uploading};
use crate::message::{HttpBody, ResumeFailure, UrlRequest};

pub(super) struct Resumption<N> {
    config: Arc<Configuration>,
    known: Arc<Known>,
    next: N,
}

impl<N> Resumption<N> {
    pub(super) fn new(config: Arc<Configuration>, known: Arc<Known>, next: N) -> Self {
        Self { config, known, next }
    }
}

impl<N: Layer> Layer for Resumption<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        match attempt.ask.upload() {
            None => self.next.load(attempt).await,
            // In a box of its own: other loads do not carry it.
            Some(uploading) => Box::pin(self.upload(attempt, uploading)).await,
        }
    }
}

impl<N: Layer> Resumption<N> {
    async fn upload(&self, attempt: &mut Attempt<'_>, uploading: Uploading) -> Result<Response> {
        let target = attempt.request.clone();
        let Some(url) = target.url().filter(|_| may_create(&target)) else {
            return self.next.load(attempt).await;
        };
        let Some(plan) = plan(self.config.resumable_uploads, self.known.of(url)) else {
            return match uploading {
                Uploading::Anew => self.next.load(attempt).await,
                Uploading::From(_) => Err(stopped(Stop::NotAnUpload)),
            };
        };
        let allows_other_origins = self.config.allows_uploads_at_other_origins;
        let listening = Listening::new(attempt.ask, url, attempt.clock, allows_other_origins);
        let mut upload = Upload {
            room: self,
            url,
            target: &target,
            listening: &listening,
            attempt,
            has_begun: false,
            base: 0,
            is_rewindable: is_rewindable(target.body()),
            must_resume: plan.must_resume,
            failures: 0,
            best: 0,
            why: None,
            moves: 0,
        };
        let first = match uploading {
            Uploading::Anew => {
                let mut state = listening.state();
                (state.dialect, state.length) = (plan.dialect, target.body().length());
                Step::Create { is_careful: plan.is_careful }
            }
            Uploading::From(point) => {
                (upload.base, upload.best) = (point.base, point.offset);
                listening.take_up(point);
                Step::Ask { after_pause: false }
            }
        };
        upload.run(first).await
    }
}

/// How to begin.
struct Plan {
    dialect: Dialect,
    is_careful: bool,
    /// Is a plain request no way out?
    must_resume: bool,
}

/// `None` begins without any fields.
fn plan(configured: ResumableUploads, known: Option<Manner>) -> Option<Plan> {
    let spoken = match known {
        Some(Manner::Speaks { dialect, .. }) => dialect,
        _ => Dialect::NEWEST,
    };
    let is_deaf = matches!(known, Some(Manner::Speaks { hears_interim: false, .. }));
    match configured {
        ResumableUploads::Off => None,
        ResumableUploads::Auto if known == Some(Manner::Refuses) => None,
        ResumableUploads::Auto => Some(Plan { dialect: spoken, is_careful: is_deaf, must_resume: false }),
        ResumableUploads::Require { strategy } => {
            let is_careful = strategy == UploadStrategy::Careful;
            Some(Plan { dialect: spoken, is_careful, must_resume: true })
        }
    }
}

/// One upload under way.
struct Upload<'u, 'a, N> {
    room: &'u Resumption<N>,
    url: &'u Url,
    target: &'u Arc<UrlRequest>,
    listening: &'u Listening<'u>,
    attempt: &'u mut Attempt<'a>,
    /// The first transaction is begun by the room above.
    has_begun: bool,
    /// Where the request's body begins in the whole.
    base: u64,
    is_rewindable: bool,
    must_resume: bool,
    /// Without progress since.
    failures: u32,
    /// The furthest offset so far.
    best: u64,
    /// What failed last.
    why: Option<UrlError>,
    moves: usize,
}

enum Step {
    /// To the target: everything at once, or carefully nothing.
    Create { is_careful: bool },
    /// `HEAD`
    Ask { after_pause: bool },
    /// `PATCH`
    Append { at: u64 },
    /// `OPTIONS`, after so many bytes were too many.
    Discover { too_many: u64, is_created: bool },
}

/// What came of one request.
enum Outcome {
    Response(Box<Response>, Reply),
    Lost(UrlError),
    Aborted(Abort),
}

impl<N: Layer> Upload<'_, '_, N> {
    async fn run(&mut self, first: Step) -> Result<Response> {
        let mut step = first;
        loop {
            let (next, response, retry) = match step {
                Step::Create { is_careful } => match self.create(is_careful).await? {
                    Created::Answer(response) => return Ok(*response),
                    Created::Again { is_careful } => {
                        step = Step::Create { is_careful };
                        continue;
                    }
                    Created::Next(next, response, too_many) => {
                        (next, response, Step::Discover { too_many, is_created: false })
                    }
                },
                Step::Ask { after_pause } => {
                    self.pause(after_pause).await?;
                    let (next, response) = self.ask().await?;
                    (next, response, Step::Ask { after_pause: false })
                }
                Step::Append { at } => {
                    let (next, response, sent) = self.append(at).await?;
                    let next = match next {
                        Next::Continue { at: None } => Next::Continue { at: Some(at + sent) },
                        // Nothing new has arrived: the same again would be a circle.
                        Next::Continue { at: Some(now) } if now <= at && sent > 0 => {
                            Next::Ask { after_pause: true }
                        }
                        next => next,
                    };
                    let retry = match next {
                        Next::Smaller => Step::Discover { too_many: sent, is_created: true },
                        _ => Step::Append { at },
                    };
                    (next, response, retry)
                }
                Step::Discover { too_many, is_created } => {
                    step = self.discover(too_many, is_created).await?;
                    continue;
                }
            };
            step = match next {
                Next::Done => {
                    self.listening.forget();
                    if let Some(response) = response {
                        return Ok(*response);
                    }
                    return Err(stopped(Stop::Lost));
                }
                Next::Continue { at } => {
                    self.discard(response).await;
                    let at = at.unwrap_or_default();
                    self.progress(at);
                    Step::Append { at }
                }
                Next::Ask { after_pause } => {
                    let told = if after_pause { self.told(response.as_deref()) } else { Duration::ZERO };
                    self.discard(response).await;
                    self.rest(told).await;
                    Step::Ask { after_pause }
                }
                Next::Moved => {
                    self.follow(response.as_deref())?;
                    self.discard(response).await;
                    retry
                }
                Next::Smaller => {
                    self.discard(response).await;
                    retry
                }
                Next::Stop(stop) => {
                    self.discard(response).await;
                    if matches!(stop, Stop::Gone(_) | Stop::NotAnUpload | Stop::LengthMismatch) {
                        self.listening.forget();
                    }
                    return Err(stopped(stop));
                }
                Next::Delete(stop) => {
                    self.discard(response).await;
                    self.delete().await;
                    return Err(stopped(stop));
                }
            };
        }
    }

    /// The request that creates the upload.
    async fn create(&mut self, is_careful: bool) -> Result<Created> {
        let length = self.target.body().length();
        let dialect = self.listening.state().dialect;
        let (request, part) = match is_careful {
            true => {
                let mut request = (**self.target).clone();
                request.remove_http_body();
                (Arc::new(request), Part { length: Some(0), is_last: false })
            }
            false => (self.target.clone(), Part { length, is_last: true }),
        };
        self.listening.begin(true, 0, part);
        let fields = dialect.creation(!is_careful, length);
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
                let named = head.and_then(|head| location(self.url, &head.fields));
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

    fn creation(&self, dialect: Dialect, is_careful: bool) -> Creation {
        let state = self.listening.state();
        Creation {
            dialect,
            is_complete: !is_careful,
            has_url: state.url.is_some() || state.is_foreign,
            was_announced: state.is_announced,
        }
    }

    /// Is it known where the upload is, and may requests go there?
    fn can_go_on(&self) -> bool {
        self.listening.state().url.is_some()
    }

    fn fallback(&self, dialect: Dialect, reply: &Reply) -> Option<Option<Dialect>> {
        if self.room.known.of(self.url) == Some(Manner::Indifferent) && !self.must_resume {
            return None;
        }
        next::fallback(dialect, reply, self.must_resume)
    }

    /// The creation again, in another dialect or without any.
    async fn fall_back(&mut self, other: Option<Dialect>, is_careful: bool) -> Result<Created> {
        if let Some(dialect) = other {
            self.listening.state().dialect = dialect;
            return Ok(Created::Again { is_careful });
        }
        self.listening.begin_empty();
        self.attempt.begin_transaction();
        let response = self.room.next.load(self.attempt).await?;
        let status = response.head.status_code();
        let is_refused_too = matches!(status, Some(400 | 412 | 417 | 501));
        self.room.known.note(self.url, if is_refused_too { Manner::Indifferent } else { Manner::Refuses });
        Ok(Created::Answer(Box::new(response)))
    }

    /// What the next upload to this server is better for.
    fn learn(&self, dialect: Dialect, reply: &Reply, next: Next) {
        let hears_interim = self.listening.state().is_announced;
        let speaks = hears_interim || reply.fields.is_complete.is_some() && reply.status.is_success();
        if speaks {
            self.room.known.note(self.url, Manner::Speaks { dialect, hears_interim });
        } else if next == Next::Stop(Stop::NotAnUpload) {
            self.room.known.note(self.url, Manner::Refuses);
        }
    }

    /// How much does the server have (§4.3)?
    async fn ask(&mut self) -> Result<(Next, Option<Box<Response>>)> {
        let Some(url) = self.listening.state().url.clone() else { return Err(elsewhere()) };
        self.listening.begin_empty();
        let (dialect, length) = {
            let state = self.listening.state();
            (state.dialect, state.length)
        };
        let request = Arc::new(about(self.target, &url, Method::HEAD));
        match self.send(request, dialect.asking()).await? {
            Outcome::Response(response, reply) => {
                let next = next::after_head(length, self.reach(), Some(&reply));
                if reply.status.is_success() && !matches!(next, Next::Stop(_) | Next::Delete(_)) {
                    self.listening.note(&reply.fields, None);
                }
                Ok((next, Some(response)))
            }
            Outcome::Lost(error) => {
                self.why = Some(error);
                Ok((next::after_head(length, self.reach(), None), None))
            }
            Outcome::Aborted(abort) => Ok((self.aborted(abort), None)),
        }
    }

    /// How far the body can be sent from, where its length does not say.
    fn reach(&self) -> Option<u64> {
        (!self.is_rewindable).then_some(self.best.max(self.listening.state().told))
    }

    /// Sends what comes at `at` (§4.4). The last is how many bytes that was.
    async fn append(&mut self, at: u64) -> Result<(Next, Option<Box<Response>>, u64)> {
        let Some(url) = self.listening.state().url.clone() else { return Err(elsewhere()) };
        let (dialect, length, limits) = {
            let state = self.listening.state();
            (state.dialect, state.length, state.limits)
        };
        let piece = match limits.part(at, length) {
            Ok(piece) => piece,
            // §4.5: what has become impossible is given up, and the server told.
            Err(stop) => return Ok((Next::Delete(stop), None, 0)),
        };
        let body = part(self.target.body(), self.base, at, piece);
        let Some(body) = body else { return Err(exhausted(at)) };
        let mut request = about(self.target, &url, Method::PATCH);
        set_body(&mut request, body);
        self.listening.begin(false, at, piece);
        let fields = dialect.append(at, piece.is_last, length);
        let sent = piece.length.unwrap_or_default();
        let (next, response) = match self.send(Arc::new(request), fields).await? {
            Outcome::Response(response, reply) => {
                if reply.status.is_success() {
                    self.listening.note(&reply.fields, None);
                    if reply.fields.offset.is_none()
                        && reply.fields.is_complete != Some(true)
                        && !piece.is_last
                    {
                        self.listening.has(at + sent);
                    }
                } else if let Some(limits) = reply.fields.limits {
                    let fields = UploadFields { limits: Some(limits), ..UploadFields::default() };
                    self.listening.note(&fields, None);
                }
                (next::after_append(dialect, piece.is_last, Some(&reply)), Some(response))
            }
            Outcome::Lost(error) => {
                self.why = Some(error);
                (next::after_append(dialect, piece.is_last, None), None)
            }
            Outcome::Aborted(abort) => (self.aborted(abort), None),
        };
        Ok((next, response, sent))
    }

    /// Asks for the limits (§4.6), once so many bytes were too many.
    async fn discover(&mut self, too_many: u64, is_created: bool) -> Result<Step> {
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
            (false, ..) => Err(stopped(Stop::Refused(http::StatusCode::PAYLOAD_TOO_LARGE))),
            (true, true, _) => Ok(Step::Ask { after_pause: false }),
            (true, false, true) if self.can_go_on() => Ok(Step::Ask { after_pause: false }),
            (true, false, true) => Ok(Step::Create { is_careful: true }),
            (true, false, false) => Err(exhausted(0)),
        }
    }

    /// Tells the server that the upload is given up. Nobody waits long for the answer, or wants it.
    async fn delete(&mut self) {
        let (url, dialect) = {
            let state = self.listening.state();
            (state.url.clone(), state.dialect)
        };
        self.listening.forget();
        let Some(url) = url else { return };
        self.listening.begin_empty();
        let request = Arc::new(about(self.target, &url, Method::DELETE));
        let (clock, place) = (self.attempt.clock, self.attempt.place);
        let mut limit = pin!(Timer::at(clock, place, clock.now() + DELETE_TIME));
        let mut sending = pin!(async {
            if let Ok(Outcome::Response(response, _)) = self.send(request, dialect.asking()).await {
                discard(response.body, self.attempt).await;
            }
        });
        poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Pending => limit.as_mut().poll(cx),
            ready => ready,
        })
        .await;
    }

    /// One request, with these fields, as a transaction of its own.
    async fn send(
        &mut self,
        request: Arc<UrlRequest>,
        fields: Vec<(&'static str, HeaderValue)>,
    ) -> Result<Outcome> {
        let listening = self.listening;
        let outer = &mut *self.attempt;
        let mut attempt = Attempt {
            request,
            added: outer.added.iter().cloned().chain(fields).collect(),
            wants_new_connection: false,
            expectation_failed: false,
            hold: None,
            ask: listening,
            meter: outer.meter,
            log: &mut *outer.log,
            place: outer.place,
            clock: outer.clock,
        };
        match (std::mem::replace(&mut self.has_begun, true), attempt.log.last_mut()) {
            (false, Some(first)) => first.request = attempt.request.clone(),
            _ => attempt.begin_transaction(),
        }
        let loaded = {
            let mut load = pin!(self.room.next.load(&mut attempt));
            poll_fn(|cx| match load.as_mut().poll(cx) {
                Poll::Ready(loaded) => Poll::Ready(Ok(loaded)),
                Poll::Pending => match listening.must_abort() {
                    Some(abort) => Poll::Ready(Err(abort)),
                    None => Poll::Pending,
                },
            })
            .await
        };
        let mut response = match loaded {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_retriable() => {
                if let Some(failed) = attempt.log.last_mut() {
                    failed.error = Some(error.clone());
                }
                return Ok(Outcome::Lost(error));
            }
            Ok(Err(error)) => return Err(error),
            Err(abort) => return Ok(Outcome::Aborted(abort)),
        };
        let Some(head) = response.head.http_head() else { return Err(stopped(Stop::NotAnUpload)) };
        let (status, fields) = (head.status, UploadFields::read(listening.state().dialect, &head.fields));
        let problem = match status.as_u16() {
            400 | 409 if fields.is_complete != Some(true) => problem(&mut response).await,
            _ => None,
        };
        Ok(Outcome::Response(Box::new(response), Reply { status, fields, problem }))
    }

    fn aborted(&self, abort: Abort) -> Next {
        match abort {
            Abort::Stop(stop) => Next::Delete(stop),
            Abort::Smaller => Next::Ask { after_pause: false },
        }
    }

    /// Waits before a try that follows a failure; too many in a row are the end.
    async fn pause(&mut self, after_pause: bool) -> Result<()> {
        self.failures += 1;
        let Some(pause) = next::pause(self.failures) else {
            return Err(self.why.take().unwrap_or_else(|| {
                let detail = "the server does not take more of the upload, time and again";
                UrlError::new(UrlErrorCode::BadServerResponse, Phase::Send, detail)
            }));
        };
        if after_pause {
            self.rest(pause).await;
        }
        Ok(())
    }

    /// What a server that fails says is kept for the end. It may say for how long it fails (RFC 9110 §10.2.3).
    fn told(&mut self, response: Option<&Response>) -> Duration {
        let Some(head) = response.and_then(|response| response.head.http_head()) else {
            return Duration::ZERO;
        };
        let detail = format!("the server fails to go on with the upload: {}", head.status);
        self.why = Some(UrlError::new(UrlErrorCode::BadServerResponse, Phase::Head, detail));
        let told =
            head.fields.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        told.map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds).min(LONGEST_REST))
    }

    async fn rest(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let (clock, place) = (self.attempt.clock, self.attempt.place);
        let _excuse = self.attempt.meter.excuse();
        Timer::at(clock, place, clock.now() + time).await;
    }

    /// The server has more than before: what failed until now is forgiven.
    fn progress(&mut self, offset: u64) {
        if offset > self.best {
            (self.best, self.failures) = (offset, 0);
        }
    }

    /// 307 and 308 of the upload's own URL (§4.3, §4.4).
    fn follow(&mut self, response: Option<&Response>) -> Result<()> {
        let known = self.listening.state().url.clone();
        let head = response.and_then(|response| response.head.http_head());
        let to = known.zip(head).and_then(|(known, head)| location(&known, &head.fields));
        self.moves += 1;
        match to {
            Some(to) if self.moves <= MOST_MOVES => {
                self.listening.move_to(to);
                if self.listening.state().is_foreign { Err(elsewhere()) } else { Ok(()) }
            }
            _ => {
                let detail = "the upload has moved to nowhere, or too often";
                Err(UrlError::new(UrlErrorCode::HttpTooManyRedirects, Phase::Redirect, detail))
            }
        }
    }

    async fn discard(&mut self, response: Option<Box<Response>>) {
        if let Some(response) = response {
            discard(response.body, self.attempt).await;
        }
    }
}

/// What came of a creation.
enum Created {
    Answer(Box<Response>),
    Again {
        is_careful: bool,
    },
    /// Bytes of its content are last.
    Next(Next, Option<Box<Response>>, u64),
}

/// Reads what a refusal says, and puts it back.
async fn problem(response: &mut Response) -> Option<Problem> {
    let head = response.head.http_head()?;
    let kind = head.fields.get(http::header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    let is_short = response.head.expected_content_length().is_some_and(|n| n <= Problem::LONGEST as u64);
    if !is_short || !kind.contains("problem+json") {
        return None;
    }
    let mut content = Vec::new();
    while let Some(Ok(chunk)) = poll_fn(|cx| response.body.poll_chunk(cx)).await {
        content.extend_from_slice(&chunk);
        if content.len() > Problem::LONGEST {
            break;
        }
    }
    let problem = Problem::read(&kind, &content);
    let wire = response.body.wire_bytes();
    response.body = Body::whole(Bytes::from(content), wire).plain();
    problem
}

fn set_body(request: &mut UrlRequest, body: HttpBody) {
    match body {
        HttpBody::None => request.remove_http_body(),
        HttpBody::Data(data) => request.set_http_body(data),
        HttpBody::Stream(stream) => request.set_http_body_stream(stream),
    }
}

fn stopped(stop: Stop) -> UrlError {
    let code = match stop {
        Stop::TooLarge | Stop::LimitsCannotBeMet => UrlErrorCode::DataLengthExceedsMaximum,
        Stop::Gone(_) => UrlErrorCode::ResourceUnavailable,
        _ => UrlErrorCode::BadServerResponse,
    };
    let error = UrlError::new(code, Phase::Send, stop.to_string());
    match stop {
        Stop::Gone(_) => error.with_resume_failure(ResumeFailure::Expired),
        Stop::Refused(_) => error.with_resume_failure(ResumeFailure::Refused),
        Stop::Lost => error,
        _ => error.with_resume_failure(ResumeFailure::NotResumable),
    }
}

fn elsewhere() -> UrlError {
    let detail = "the server keeps the upload at another origin, where nothing is sent unless \
                  allows_uploads_at_other_origins says so";
    UrlError::new(UrlErrorCode::BadServerResponse, Phase::Policy, detail)
        .with_resume_failure(ResumeFailure::NotResumable)
}

fn exhausted(at: u64) -> UrlError {
    let detail = format!(
        "the upload goes on at byte {at}, and its body cannot be read from there; answer \
         need_new_body_stream_from, or upload data or a file"
    );
    UrlError::new(UrlErrorCode::RequestBodyStreamExhausted, Phase::Send, detail)
}

/// The longest that a server's `Retry-After` is heeded.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long a server has to take notice that an upload is given up.
const DELETE_TIME: Duration = Duration::from_secs(5);

const MOST_MOVES: usize = 16;
