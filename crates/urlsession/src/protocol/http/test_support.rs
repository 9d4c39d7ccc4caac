//! For the layers' tests: a scripted layer below, and a task above that says yes to everything.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, Version};

use crate::body::Body;
use crate::env::{RuntimeHandle, SystemClock, block_on};
use crate::error::{Result, UrlError};
use crate::load::detached::DetachedAnswers;
use crate::load::{Activity, Attempt, Layer, LoginUse, Response, TransactionLog};
use crate::message::{
    AuthChallengeDisposition, HttpHead, UrlAuthenticationChallenge, UrlRequest, UrlResponse,
};

/// A response a [`Script`] gives.
#[derive(Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, &'static str)>,
    pub(super) body: &'static [u8],
}

impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// The layer below: answers what it was told to and remembers what it was asked.
pub(super) struct Script {
    replies: Mutex<VecDeque<Result<Reply>>>,
    seen: Mutex<Vec<String>>,
    pub(super) requests: Mutex<Vec<Arc<UrlRequest>>>,
    pub(super) added: Mutex<Vec<String>>,
    /// Of each request, what it does about the login of its connection with the server.
    pub(super) logins: Mutex<Vec<LoginUse>>,
}

impl Script {
    pub(super) fn new<R: Into<Reply>>(replies: impl IntoIterator<Item = Result<R>>) -> Self {
        let replies = replies.into_iter().map(|reply| reply.map(Into::into)).collect();
        Self {
            replies: Mutex::new(replies),
            seen: Mutex::default(),
            requests: Mutex::default(),
            added: Mutex::default(),
            logins: Mutex::default(),
        }
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

impl Layer for &Script {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        let request = attempt.request.clone();
        let fresh = if attempt.wants_new_connection { " on a new connection" } else { "" };
        self.seen.lock().push(format!("{} {request}{fresh}", request.http_method()));
        let added = attempt.added.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        self.added.lock().extend(added);
        let login = attempt.logins.as_ref().map(|logins| logins.server.clone()).unwrap_or_default();
        self.logins.lock().push(login);
        self.requests.lock().push(request.clone());
        let reply = self.replies.lock().pop_front().expect("the script has no more replies")?;
        let fields =
            reply.fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let head = HttpHead {
            version: Version::HTTP_11,
            status: StatusCode::from_u16(reply.status).unwrap(),
            fields: fields.collect::<HeaderMap>(),
            raw: Bytes::new(),
        };
        let body = Body::whole(Bytes::from_static(reply.body), reply.body.len() as u64);
        Ok(Response { head: UrlResponse::from_http(request, head), body })
    }
}

/// For layers that share the one below.
impl Layer for Arc<Script> {
    async fn load(&self, attempt: &mut Attempt<'_>) -> Result<Response> {
        (&**self).load(attempt).await
    }
}

#[derive(Default)]
struct Yes {
    /// What challenges are answered with, in order; then the default.
    answers: Mutex<VecDeque<AuthChallengeDisposition>>,
    challenges: Mutex<Vec<UrlAuthenticationChallenge>>,
}

impl DetachedAnswers for Yes {
    fn follow(&self, next: UrlRequest) -> Option<UrlRequest> {
        Some(next)
    }

    fn answer(&self, challenge: &UrlAuthenticationChallenge) -> AuthChallengeDisposition {
        self.challenges.lock().push(challenge.clone());
        self.answers.lock().pop_front().unwrap_or_default()
    }
}

/// Loads `url` through a layer.
pub(super) fn run(
    layer: &impl Layer,
    method: &str,
    url: &str,
) -> (Result<Response, UrlError>, TransactionLog) {
    let mut request = UrlRequest::new(url.parse().unwrap());
    request.set_http_method(method).unwrap();
    run_request(layer, request)
}

/// Loads a request through a layer.
pub(super) fn run_request(
    layer: &impl Layer,
    request: UrlRequest,
) -> (Result<Response, UrlError>, TransactionLog) {
    let (result, log, _) = run_answered(layer, request, []);
    (result, log)
}

/// Loads a request through a layer; challenges get these answers, and are what is given last.
pub(super) fn run_answered(
    layer: &impl Layer,
    request: UrlRequest,
    answers: impl IntoIterator<Item = AuthChallengeDisposition>,
) -> (Result<Response, UrlError>, TransactionLog, Vec<UrlAuthenticationChallenge>) {
    let context = Yes { answers: Mutex::new(answers.into_iter().collect()), ..Yes::default() };
    let (activity, mut log, runtime) =
        (Activity::default(), TransactionLog::new(), RuntimeHandle::own().unwrap());
    let mut attempt = Attempt::new(Arc::new(request), &context, &activity, &mut log, &runtime, &SystemClock);
    let result = block_on(layer.load(&mut attempt));
    (result, log, context.challenges.into_inner())
}
