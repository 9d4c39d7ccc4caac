//! A delegate that writes down what it is told and decides as it was told to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge,
};
use urlsession::cache::CachedUrlResponse;
use urlsession::metrics::TaskMetrics;
use urlsession::{
    BodyStream, Bytes, DataTask, Decision, DownloadTask, HttpUrlResponse, ResponseDisposition,
    SessionDelegate, StreamTask, Task, TaskDelegate, UrlError, UrlRequest, UrlResponse, UrlSession,
};

use super::PATIENCE;

type Challenges = dyn Fn(&UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition> + Send + Sync;
type Redirects = dyn Fn(&HttpUrlResponse, UrlRequest) -> Decision<Option<UrlRequest>> + Send + Sync;

type Caching = dyn Fn(CachedUrlResponse) -> Decision<Option<CachedUrlResponse>> + Send + Sync;

/// Records every call. A clone is the same recorder.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Inner>);

#[derive(Default)]
struct Inner {
    log: Mutex<Log>,
    changed: Condvar,
    redirects: Mutex<Option<Arc<Redirects>>>,
    disposition: Mutex<Option<ResponseDisposition>>,
    caching: Mutex<Option<Arc<Caching>>>,
    bodies: Mutex<Vec<BodyStream>>,
    challenges: Mutex<Option<Arc<Challenges>>>,
    session_challenges: Mutex<Option<Arc<Challenges>>>,
}

#[derive(Default, Clone)]
pub struct Log {
    /// The calls by the peer's short names; consecutive ones of bytes are one, metrics are
    /// left out.
    pub calls: Vec<&'static str>,
    pub data: Vec<u8>,
    pub response: Option<UrlResponse>,
    pub redirects: Vec<(HttpUrlResponse, UrlRequest)>,
    pub challenges: Vec<UrlAuthenticationChallenge>,
    pub informational: Vec<HttpUrlResponse>,
    pub metrics: Vec<TaskMetrics>,
    pub proposed: Vec<CachedUrlResponse>,
    pub sent: Vec<(u64, u64, Option<u64>)>,
    pub written: Vec<(u64, u64, Option<u64>)>,
    /// Offsets from which downloads were resumed, and the lengths expected.
    pub resumed: Vec<(u64, Option<u64>)>,
    /// Where the last download was.
    pub location: Option<PathBuf>,
    /// What a data task became.
    pub became: Option<Task>,
    pub completions: Vec<Option<UrlError>>,
    pub invalid: usize,
}

impl Log {
    /// The one task is over and had no error.
    #[track_caller]
    pub fn succeeded(&self) {
        assert!(matches!(self.completions[..], [None]), "{:?}", self.completions);
    }
}

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides redirects.
    pub fn redirecting(
        self,
        decide: impl Fn(&HttpUrlResponse, UrlRequest) -> Decision<Option<UrlRequest>> + Send + Sync + 'static,
    ) -> Self {
        *self.0.redirects.lock().unwrap() = Some(Arc::new(decide));
        self
    }

    /// Answers challenges of tasks.
    pub fn answering(
        self,
        decide: impl Fn(&UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition> + Send + Sync + 'static,
    ) -> Self {
        *self.0.challenges.lock().unwrap() = Some(Arc::new(decide));
        self
    }

    /// Answers challenges of the session.
    pub fn answering_for_session(
        self,
        decide: impl Fn(&UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition> + Send + Sync + 'static,
    ) -> Self {
        *self.0.session_challenges.lock().unwrap() = Some(Arc::new(decide));
        self
    }

    /// Decides responses.
    pub fn disposing(self, disposition: ResponseDisposition) -> Self {
        *self.0.disposition.lock().unwrap() = Some(disposition);
        self
    }

    /// Decides what is cached.
    pub fn caching(
        self,
        decide: impl Fn(CachedUrlResponse) -> Decision<Option<CachedUrlResponse>> + Send + Sync + 'static,
    ) -> Self {
        *self.0.caching.lock().unwrap() = Some(Arc::new(decide));
        self
    }

    /// Gives these when a new body is needed, in order.
    pub fn giving_bodies(self, bodies: impl IntoIterator<Item = BodyStream>) -> Self {
        *self.0.bodies.lock().unwrap() = bodies.into_iter().collect();
        self
    }

    pub fn log(&self) -> Log {
        self.0.log.lock().unwrap().clone()
    }

    /// Waits for the completion of `count` tasks.
    pub fn completed(&self, count: usize) -> Log {
        self.wait_for(|log| log.completions.len() >= count)
    }

    /// Waits until the log is as wanted.
    pub fn wait_for(&self, what: impl Fn(&Log) -> bool) -> Log {
        let log = self.0.log.lock().unwrap();
        let (log, timeout) = self.0.changed.wait_timeout_while(log, PATIENCE, |log| !what(log)).unwrap();
        assert!(!timeout.timed_out(), "the delegate heard only {:?}", log.calls);
        log.clone()
    }

    fn write(&self, call: &'static str, change: impl FnOnce(&mut Log)) {
        let mut log = self.0.log.lock().unwrap();
        let repeats = matches!(call, "didReceiveData" | "didSendBody" | "didWriteData")
            && log.calls.last() == Some(&call);
        if !repeats && !call.is_empty() {
            log.calls.push(call);
        }
        change(&mut log);
        self.0.changed.notify_all();
    }
}

impl TaskDelegate for Recorder {
    fn did_create_task(&self, _: &Task) {
        self.write("", |_| {});
    }

    fn task_is_waiting_for_connectivity(&self, _: &Task) {
        self.write("isWaitingForConnectivity", |_| {});
    }

    fn will_perform_http_redirection(
        &self,
        _: &Task,
        response: &HttpUrlResponse,
        new_request: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        self.write("willRedirect", |log| log.redirects.push((response.clone(), new_request.clone())));
        match self.0.redirects.lock().unwrap().clone() {
            Some(decide) => decide(response, new_request),
            None => Decision::default_handling(),
        }
    }

    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        if challenge.protection_space().authentication_method() == AuthenticationMethod::ServerTrust {
            // Of every TLS connection; who cares has a delegate of its own.
            return Decision::default_handling();
        }
        self.write("didReceiveChallenge", |log| log.challenges.push(challenge.clone()));
        match self.0.challenges.lock().unwrap().clone() {
            Some(decide) => decide(challenge),
            None => Decision::default_handling(),
        }
    }

    fn need_new_body_stream(&self, _: &Task) -> Decision<Option<BodyStream>> {
        self.write("needNewBodyStream", |_| {});
        let mut bodies = self.0.bodies.lock().unwrap();
        Decision::now((!bodies.is_empty()).then(|| bodies.remove(0)))
    }

    fn did_send_body_data(&self, _: &Task, bytes: u64, total: u64, expected: Option<u64>) {
        self.write("didSendBody", |log| log.sent.push((bytes, total, expected)));
    }

    fn did_receive_informational_response(&self, _: &Task, response: &HttpUrlResponse) {
        self.write("didReceiveInformational", |log| log.informational.push(response.clone()));
    }

    fn did_receive_response(&self, _: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        self.write("didReceiveResponse", |log| log.response = Some(response.clone()));
        match *self.0.disposition.lock().unwrap() {
            Some(disposition) => Decision::now(disposition),
            None => Decision::default_handling(),
        }
    }

    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.write("didReceiveData", |log| log.data.extend_from_slice(&data));
    }

    fn will_cache_response(
        &self,
        _: &DataTask,
        proposed: CachedUrlResponse,
    ) -> Decision<Option<CachedUrlResponse>> {
        self.write("willCacheResponse", |log| log.proposed.push(proposed.clone()));
        let decide = self.0.caching.lock().unwrap().clone();
        decide.map_or_else(Decision::default_handling, |decide| decide(proposed))
    }

    fn did_become_download_task(&self, _: &DataTask, download: &DownloadTask) {
        self.write("didBecomeDownload", |log| log.became = Some(download.clone().into()));
    }

    fn did_become_stream_task(&self, _: &DataTask, stream: &StreamTask) {
        self.write("didBecomeStream", |log| log.became = Some(stream.clone().into()));
    }

    fn did_write_data(&self, _: &DownloadTask, bytes: u64, total: u64, expected: Option<u64>) {
        self.write("didWriteData", |log| log.written.push((bytes, total, expected)));
    }

    fn did_resume_at_offset(&self, _: &DownloadTask, offset: u64, expected: Option<u64>) {
        self.write("didResumeAtOffset", |log| log.resumed.push((offset, expected)));
    }

    fn did_finish_downloading(&self, _: &DownloadTask, location: &Path) {
        let data = std::fs::read(location).unwrap();
        self.write("didFinishDownloading", |log| {
            log.data.extend_from_slice(&data);
            log.location = Some(location.to_owned());
        });
    }

    fn read_closed(&self, _: &StreamTask) {
        self.write("readClosed", |_| {});
    }

    fn write_closed(&self, _: &StreamTask) {
        self.write("writeClosed", |_| {});
    }

    fn did_finish_collecting_metrics(&self, _: &Task, metrics: &TaskMetrics) {
        self.write("", |log| log.metrics.push(metrics.clone()));
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.write("didComplete", |log| log.completions.push(error.cloned()));
    }
}

impl SessionDelegate for Recorder {
    fn did_receive_session_challenge(
        &self,
        _: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        if challenge.protection_space().authentication_method() == AuthenticationMethod::ServerTrust {
            // Of every TLS connection; who cares has a delegate of its own.
            return Decision::default_handling();
        }
        let Some(decide) = self.0.session_challenges.lock().unwrap().clone() else {
            return Decision::default_handling();
        };
        self.write("didReceiveSessionChallenge", |log| log.challenges.push(challenge.clone()));
        decide(challenge)
    }

    fn did_become_invalid(&self, _: &UrlSession, error: Option<&UrlError>) {
        assert!(error.is_none());
        self.write("didBecomeInvalid", |log| log.invalid += 1);
    }
}
