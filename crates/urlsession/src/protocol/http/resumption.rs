//! Resumption: an upload that breaks off goes on where the server has it (draft-ietf-httpbis-resumable-upload).
//!
//! It stands below redirects, so that every hop creates an upload of its own and the requests to the upload's URL are not
//! redirected as others are, and above all that each of those requests needs: protection, credentials, cookies. What
//! follows from a response is said by `urlsession_proto::resumable_upload`; here are the requests, the pauses between
//! them, and when to give up. Tasks that do not upload pass by.

mod appending;
mod creation;
mod failures;
mod known;
mod listening;
mod requests;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use urlsession_proto::resumable_upload::{Dialect, Next, Reply, Stop};

use self::failures::stopped;
pub(super) use self::known::Known;
use self::known::Manner;
use self::listening::{Abort, Listening};
use self::requests::{is_rewindable, length, may_create};
use crate::configuration::{Configuration, ResumableUploads, UploadStrategy};
use crate::error::{Result, UrlError};
use crate::load::{Attempt, Layer, Response, Uploading};
use crate::message::UrlRequest;

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
        let Some(uploading) = attempt.ask.upload() else { return self.next.load(attempt).await };
        // In a box of its own: other loads do not carry it.
        Box::pin(self.upload(attempt, uploading)).await
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
            requests: 0,
        };
        let first = match uploading {
            Uploading::Anew => {
                let mut state = listening.state();
                (state.dialect, state.length) = (plan.dialect, length(&target));
                Step::Create { is_careful: plan.is_careful }
            }
            Uploading::From(point) => {
                (upload.base, upload.best) = (point.base, point.offset);
                listening.take_up(*point);
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
    requests: usize,
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
