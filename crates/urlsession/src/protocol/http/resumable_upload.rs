//! Resumable uploads: an interrupted upload continues at the server's offset (draft-ietf-httpbis-resumable-upload).
//!
//! It stands below redirects, so that every hop creates an upload of its own and the requests to the upload's URL are not
//! redirected as others are, and above the layers that each of those requests needs: security, credentials, cookies.
//! `urlsession_proto::resumable_upload` interprets responses; this module makes the requests, pauses between
//! them, and decides when to give up. Tasks without uploads skip this layer.

mod appending;
mod context;
mod creation;
mod failures;
mod requests;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use urlsession_proto::resumable_upload::{Dialect, Next, Reply, Stop};

use self::context::{Abort, UploadContext};
use self::failures::stopped;
use self::requests::{is_rewindable, length, may_create};
use crate::configuration::{Configuration, ResumableUploads, UploadStrategy};
use crate::error::{Result, UrlError};
use crate::load::{Attempt, Layer, Response, Uploading};
use crate::message::UrlRequest;
use crate::store::{ServerSupport, UploadServerStorage};

pub(super) struct ResumableUpload<N> {
    config: Arc<Configuration>,
    next: N,
}

impl<N> ResumableUpload<N> {
    pub(super) fn new(config: Arc<Configuration>, next: N) -> Self {
        Self { config, next }
    }
}

impl<N: Layer> Layer for ResumableUpload<N> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let Some(uploading) = attempt.context.upload() else { return self.next.load(attempt).await };
        // In a box of its own: other loads do not carry it.
        Box::pin(self.upload(attempt, uploading)).await
    }
}

impl<N: Layer> ResumableUpload<N> {
    /// The store, if it is used for the host of this request.
    fn servers(&self, request: &UrlRequest) -> Option<&UploadServerStorage> {
        self.config.upload_server_storage.as_ref().filter(|_| request.url_for_stores().is_some())
    }

    /// How the server treats uploads, as earlier ones have shown.
    async fn known(&self, url: &Url, attempt: &Attempt<'_>) -> Option<ServerSupport> {
        let servers = self.servers(&attempt.request)?;
        if servers.is_stale(attempt.clock) {
            servers.refresh(attempt.runtime).await;
        }
        servers.support(url, attempt.clock.wall())
    }

    async fn upload(&self, attempt: &mut Attempt<'_>, uploading: Uploading) -> Result<Response> {
        let target = attempt.request.clone();
        let (config, clock) = (&self.config, attempt.clock);
        let context =
            |url| UploadContext::new(attempt.context, url, clock, config.allows_uploads_at_other_origins);
        let url = target.url();
        let uploading = match uploading {
            Uploading::GivenUp(point) => {
                let context = context(url);
                context.take_up(*point);
                Upload::new(self, url, &target, &context, attempt, true).delete().await;
                return Err(UrlError::cancelled());
            }
            uploading => uploading,
        };
        if !may_create(&target, &config.http_additional_headers) {
            return self.next.load(attempt).await;
        }
        let context = context(url);
        // Other targets of the server may refuse uploads, but this upload exists.
        let is_there = |known: &ServerSupport| {
            matches!(uploading, Uploading::Anew) || matches!(known, ServerSupport::Speaks { .. })
        };
        let known = self.known(url, attempt).await.filter(is_there);
        if let Some(ServerSupport::Speaks { hears_interim, .. }) = known {
            context.state().hears_interim = Some(hears_interim);
        }
        let Some(plan) = plan(config.resumable_uploads, known, length(&target)) else {
            return match uploading {
                Uploading::Anew => self.next.load(attempt).await,
                Uploading::From(_) | Uploading::GivenUp(_) => Err(stopped(Stop::NotAnUpload)),
            };
        };
        let mut upload = Upload::new(self, url, &target, &context, attempt, plan.must_resume);
        let first = match uploading {
            Uploading::From(point) => {
                (upload.base, upload.best) = (point.base, point.offset);
                context.take_up(*point);
                Step::RetrieveOffset { after_pause: false }
            }
            _ => {
                let mut state = context.state();
                (state.dialect, state.length) = (plan.dialect, length(&target));
                match plan.begins {
                    Begins::Optimistically => Step::Create { is_careful: false },
                    Begins::Carefully => Step::Create { is_careful: true },
                    Begins::WithDiscovery => Step::Discover { after: After::Nothing },
                }
            }
        };
        upload.run(first).await
    }
}

/// How to begin.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    dialect: Dialect,
    begins: Begins,
    /// Whether a plain request must not replace the upload.
    must_resume: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Begins {
    /// With the whole body.
    Optimistically,
    /// With an empty body.
    Carefully,
    /// With a request that discovers whether the target supports uploads: the known support is that of the server, and its
    /// other targets may treat an empty request as an empty body.
    WithDiscovery,
}

/// `None` begins without any fields.
fn plan(configured: ResumableUploads, known: Option<ServerSupport>, length: Option<u64>) -> Option<Plan> {
    let (dialect, hears_interim, most_at_once) = match known {
        Some(ServerSupport::Speaks { dialect, hears_interim, most_at_once }) => {
            (dialect, hears_interim, most_at_once)
        }
        _ => (Dialect::NEWEST, true, None),
    };
    let is_too_long = most_at_once.zip(length).is_some_and(|(most, length)| length > most);
    match configured {
        ResumableUploads::Off => None,
        ResumableUploads::Auto if known == Some(ServerSupport::Refuses) => None,
        ResumableUploads::Auto => {
            let begins = match !hears_interim || is_too_long {
                true if dialect.can_discover() => Begins::WithDiscovery,
                _ => Begins::Optimistically,
            };
            Some(Plan { dialect, begins, must_resume: false })
        }
        ResumableUploads::Require { strategy } => {
            let begins = match strategy {
                // §4.2: a client does not create what it knows to be too long.
                UploadStrategy::Optimistic if is_too_long && dialect.can_discover() => Begins::WithDiscovery,
                UploadStrategy::Optimistic => Begins::Optimistically,
                UploadStrategy::Careful => Begins::Carefully,
            };
            Some(Plan { dialect, begins, must_resume: true })
        }
    }
}

/// One running upload.
struct Upload<'u, 'a, N> {
    policy: &'u ResumableUpload<N>,
    url: &'u Url,
    target: &'u Arc<UrlRequest>,
    context: &'u UploadContext<'u>,
    attempt: &'u mut Attempt<'a>,
    /// The first transaction is begun by the layer above.
    has_begun: bool,
    /// Where the request's body begins in the whole.
    base: u64,
    is_rewindable: bool,
    must_resume: bool,
    /// Failures since the last progress.
    failures: u32,
    /// The furthest offset so far.
    best: u64,
    /// The last failure.
    why: Option<UrlError>,
    moves: usize,
    requests: usize,
    /// An intermediary refuses to forward the request as it arrives.
    refuses_incremental: bool,
}

enum Step {
    /// To the target, with the whole body or with an empty one.
    Create { is_careful: bool },
    /// `HEAD`
    RetrieveOffset { after_pause: bool },
    /// `PATCH`
    Append { at: u64 },
    /// `OPTIONS`
    Discover { after: After },
}

/// Why the limits are requested.
#[derive(Clone, Copy)]
enum After {
    /// Nothing was sent yet.
    Nothing,
    /// So many bytes were too many for the request that creates the upload.
    Creation(u64),
    /// So many bytes were too many for a request that appends.
    Append(u64),
}

/// The outcome of one request.
enum Outcome {
    Response(Box<Response>, Reply),
    Lost(UrlError),
    Aborted(Abort),
}

impl<'u, 'a, N: Layer> Upload<'u, 'a, N> {
    fn new(
        policy: &'u ResumableUpload<N>,
        url: &'u Url,
        target: &'u Arc<UrlRequest>,
        context: &'u UploadContext<'u>,
        attempt: &'u mut Attempt<'a>,
        must_resume: bool,
    ) -> Self {
        Self {
            policy,
            url,
            target,
            context,
            attempt,
            has_begun: false,
            base: 0,
            is_rewindable: is_rewindable(target.content()),
            must_resume,
            failures: 0,
            best: 0,
            why: None,
            moves: 0,
            requests: 0,
            refuses_incremental: false,
        }
    }

    async fn run(&mut self, first: Step) -> Result<Response> {
        let mut step = first;
        loop {
            let (next, response, retry) = match step {
                Step::Create { is_careful } => match self.create(is_careful).await? {
                    Created::Decision(response) => return Ok(*response),
                    Created::Again { is_careful } => {
                        step = Step::Create { is_careful };
                        continue;
                    }
                    Created::Next(next, response, too_many) => {
                        (next, response, Step::Discover { after: After::Creation(too_many) })
                    }
                },
                Step::RetrieveOffset { after_pause } => {
                    self.pause(after_pause).await?;
                    let (next, response) = self.ask().await?;
                    (next, response, Step::RetrieveOffset { after_pause: false })
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
                        Next::Smaller => Step::Discover { after: After::Append(sent) },
                        _ => Step::Append { at },
                    };
                    (next, response, retry)
                }
                Step::Discover { after } => {
                    step = self.discover(after).await?;
                    continue;
                }
            };
            step = match next {
                Next::Done => {
                    self.context.forget();
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
                    Step::RetrieveOffset { after_pause }
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
                        self.context.forget();
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

/// The outcome of a creation.
enum Created {
    Decision(Box<Response>),
    Again {
        is_careful: bool,
    },
    /// Bytes of its content are last.
    Next(Next, Option<Box<Response>>, u64),
}
