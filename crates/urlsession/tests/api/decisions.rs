//! Every decision a delegate may take, answered late, not at all, never, or by a panic. A second answer does not
//! compile: see the documentation of `Responder`.

use std::any::Any;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use urlsession::authentication::{
    AuthChallengeDisposition, AuthenticationMethod, UrlAuthenticationChallenge, UrlCredential,
    UrlCredentialPersistence, UrlCredentialStorage, UrlProtectionSpace, UrlProtectionSpaceProtocol,
};
use urlsession::cache::{CachedUrlResponse, UrlCache};
use urlsession::{
    BodyStream, Bytes, DataTask, Decision, DelegateQueue, HttpUrlResponse, ResponseDisposition,
    SessionDelegate, Task, TaskDelegate, UrlError, UrlErrorCode, UrlRequest, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply};

use crate::support::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Redirect,
    Body,
    Response,
    Challenge,
    Trust,
    Cache,
}

const DECISIONS: [Behaviour; 6] = [
    Behaviour::Redirect,
    Behaviour::Body,
    Behaviour::Response,
    Behaviour::Challenge,
    Behaviour::Trust,
    Behaviour::Cache,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Late,
    Dropped,
    Never,
    Panics,
    PanicsLate,
    /// A thread that was to answer panics.
    Unwound,
}

const PANICS: [Way; 3] = [Way::Panics, Way::PanicsLate, Way::Unwound];

/// Takes one decision in one way, and all others by default.
struct Decider {
    decision: Behaviour,
    way: Way,
    asked: Sender<()>,
    over: Sender<Option<UrlError>>,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    data: Arc<Mutex<Vec<u8>>>,
}

impl Decider {
    fn answer<T: Send + 'static>(&self, decision: Behaviour, good: impl FnOnce() -> T) -> Decision<T> {
        if decision != self.decision {
            return Decision::default_handling();
        }
        self.asked.send(()).unwrap();
        let (answer, responder) = Decision::deferred();
        match self.way {
            Way::Late => {
                let good = good();
                drop(std::thread::spawn(move || responder.answer(good)));
            }
            Way::Dropped => drop(responder),
            Way::Never => self.kept.lock().unwrap().push(Box::new(responder)),
            Way::Panics => panic!("in the middle of a decision"),
            Way::PanicsLate => return Decision::later(async { panic!("in the middle of a decision") }),
            Way::Unwound => {
                let thread = std::thread::spawn(move || {
                    let _responder = responder;
                    panic!("in the middle of a decision");
                });
                thread.join().unwrap_err();
            }
        }
        answer
    }

    fn challenged(&self, challenge: &UrlAuthenticationChallenge) -> Decision<AuthChallengeDisposition> {
        let space = challenge.protection_space();
        match space.authentication_method() {
            AuthenticationMethod::ServerTrust => {
                self.answer(Behaviour::Trust, || AuthChallengeDisposition::PerformDefaultHandling)
            }
            _ => self.answer(Behaviour::Challenge, || {
                let ann = UrlCredential::new("ann", "secret", UrlCredentialPersistence::None);
                AuthChallengeDisposition::UseCredential(Some(ann))
            }),
        }
    }
}

impl TaskDelegate for Decider {
    fn will_perform_http_redirection(
        &self,
        _: &Task,
        _: &HttpUrlResponse,
        new_request: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        self.answer(Behaviour::Redirect, || Some(new_request))
    }

    fn need_new_body_stream(&self, _: &Task) -> Decision<Option<BodyStream>> {
        self.answer(Behaviour::Body, || Some(BodyStream::from(Bytes::from_static(b"body"))))
    }

    fn did_receive_response(&self, _: &DataTask, _: &UrlResponse) -> Decision<ResponseDisposition> {
        self.answer(Behaviour::Response, || ResponseDisposition::Allow)
    }

    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        self.challenged(challenge)
    }

    fn will_cache_response(
        &self,
        _: &DataTask,
        proposed: CachedUrlResponse,
    ) -> Decision<Option<CachedUrlResponse>> {
        self.answer(Behaviour::Cache, || Some(proposed))
    }

    fn did_receive_data(&self, _: &DataTask, data: Bytes) {
        self.data.lock().unwrap().extend_from_slice(&data);
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.over.send(error.cloned()).unwrap();
    }
}

impl SessionDelegate for Decider {}

struct Run {
    task: Task,
    clock: HandClock,
    asked: Receiver<()>,
    over: Receiver<Option<UrlError>>,
    data: Arc<Mutex<Vec<u8>>>,
    cache: UrlCache,
    _session: UrlSession,
}

fn run(origin: &Origin, decision: Behaviour, way: Way) -> Run {
    let ((asking, asked), (ending, over)) = (mpsc::channel(), mpsc::channel());
    let clock = HandClock::new();
    let mut configuration = configuration(origin);
    configuration.environment.clock = Arc::new(clock.clone());
    configuration.timeout_interval_for_resource = Duration::from_secs(10);
    let cache = UrlCache::new(1 << 20, 0, None);
    configuration.url_cache = Some(cache.clone());
    if PANICS.contains(&way) {
        // What the default would use.
        let credentials = UrlCredentialStorage::ephemeral();
        let ann = UrlCredential::new("ann", "secret", UrlCredentialPersistence::ForSession);
        credentials.set_default_credential(&ann, &space(origin));
        configuration.url_credential_storage = Some(credentials);
    }
    let data = Arc::new(Mutex::default());
    let (kept, seen) = (Mutex::default(), data.clone());
    let delegate = Arc::new(Decider { decision, way, asked: asking, over: ending, kept, data: seen });
    let session = UrlSession::with_delegate(configuration, delegate, DelegateQueue::serial());
    let task = match decision {
        Behaviour::Redirect => session.data_task(origin.url("/redirect/1")).into(),
        Behaviour::Body => {
            let put = request(&origin.url("/echo"), "PUT", None);
            session.upload_task_with_streamed_request(put).into()
        }
        Behaviour::Response | Behaviour::Trust => session.data_task(origin.url("/Peru")).into(),
        Behaviour::Challenge => session.data_task(origin.url("/basic/ann/secret")).into(),
        Behaviour::Cache => {
            origin.enqueue("/kept", Reply::new(200).header("Cache-Control", "max-age=60").body("kept"));
            session.data_task(origin.url("/kept")).into()
        }
    };
    Run { task, clock, asked, over, data, cache, _session: session }
}

fn space(origin: &Origin) -> UrlProtectionSpace {
    let url: urlsession::Url = origin.url("/").parse().unwrap();
    let protocol = match url.scheme() {
        "https" => UrlProtectionSpaceProtocol::Https,
        _ => UrlProtectionSpaceProtocol::Http,
    };
    let (host, realm) = (url.host_str().unwrap(), Some("of ann"));
    UrlProtectionSpace::new(host, origin.port(), protocol, realm, AuthenticationMethod::HttpBasic)
}

fn for_each(test: impl Fn(&Origin, Behaviour)) {
    on_every_wire(|origin| {
        for decision in DECISIONS {
            if decision != Behaviour::Trust || origin.url("/").starts_with("https") {
                test(origin, decision);
            }
        }
    });
}

#[test]
fn answered_late_the_task_waits_and_goes_on() {
    for_each(|origin, decision| {
        let run = run(origin, decision, Way::Late);
        run.task.resume();
        run.asked.recv_timeout(PATIENCE).unwrap();
        let error = run.over.recv_timeout(PATIENCE).unwrap();
        assert!(error.is_none(), "{decision:?}: {error:?}");
        assert_eq!(run.task.response().unwrap().status_code(), Some(200), "{decision:?}");
    });
}

#[test]
fn not_answered_because_the_responder_was_dropped_it_is_the_documented_default() {
    for_each(|origin, decision| {
        let run = run(origin, decision, Way::Dropped);
        run.task.resume();
        run.asked.recv_timeout(PATIENCE).unwrap();
        let error = run.over.recv_timeout(PATIENCE).unwrap();
        let status = run.task.response().and_then(|response| response.status_code());
        match decision {
            Behaviour::Body => assert_eq!(error.unwrap().code(), UrlErrorCode::RequestBodyStreamExhausted),
            Behaviour::Challenge => assert_eq!((error.is_none(), status), (true, Some(401))),
            _ => assert_eq!((error.is_none(), status), (true, Some(200)), "{decision:?}"),
        }
    });
}

#[test]
fn never_answered_the_task_waits_until_its_resource_timeout() {
    for_each(|origin, decision| {
        let run = run(origin, decision, Way::Never);
        run.task.resume();
        run.asked.recv_timeout(PATIENCE).unwrap();
        let over = std::cell::OnceCell::new();
        run.clock.advance_until(Duration::from_secs(10), || {
            run.over.try_recv().map(|error| over.set(error)).is_ok() || over.get().is_some()
        });
        let error = over.into_inner().flatten();
        assert_eq!(error.map(|error| error.code()), Some(UrlErrorCode::TimedOut), "{decision:?}");
    });
}

#[test]
fn never_answered_the_task_can_still_be_cancelled() {
    for_each(|origin, decision| {
        let run = run(origin, decision, Way::Never);
        run.task.resume();
        run.asked.recv_timeout(PATIENCE).unwrap();
        run.task.cancel();
        let error = run.over.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error.map(|error| error.code()), Some(UrlErrorCode::Cancelled), "{decision:?}");
    });
}

#[test]
fn answered_by_a_panic_the_task_fails_and_says_so() {
    for_each(|origin, decision| {
        for way in PANICS {
            let run = run(origin, decision, way);
            run.task.resume();
            let error = run.over.recv_timeout(PATIENCE).unwrap();
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            let expected =
                if way == Way::Unwound { "a panic dropped" } else { "in the middle of a decision" };
            assert!(text.contains(expected), "{decision:?} {way:?}: {text:?}");
        }
    });
}

#[test]
fn answered_by_a_panic_nothing_is_done_that_the_decision_was_about() {
    for_each(|origin, decision| {
        for way in PANICS {
            let before = origin.requests().len();
            let run = run(origin, decision, way);
            run.task.resume();
            assert!(run.over.recv_timeout(PATIENCE).unwrap().is_some());
            let requests = origin.requests().split_off(before);
            let name = format!("{decision:?} {way:?}: {requests:?}");
            match decision {
                Behaviour::Redirect => assert_eq!(requests.len(), 1, "{name}"),
                Behaviour::Trust => assert_eq!(requests.len(), 0, "{name}"),
                Behaviour::Body => assert!(requests.iter().all(|request| request.body.is_empty()), "{name}"),
                Behaviour::Challenge => {
                    assert_eq!(requests.len(), 1, "{name}");
                    assert_eq!(requests[0].header("authorization"), None, "{name}");
                }
                Behaviour::Response => assert_eq!(run.data.lock().unwrap().len(), 0, "{name}"),
                Behaviour::Cache => {
                    let request = UrlRequest::new(origin.url("/kept").parse().unwrap());
                    assert!(run.cache.cached_response(&request).is_none(), "{name}");
                }
            }
        }
    });
}
