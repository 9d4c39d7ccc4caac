//! Protocols of the application's own.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use crate::support::*;
use urlsession::block_on;
use urlsession::metrics::ResourceFetchType;
use urlsession::protocols::{
    UrlProtocol, UrlProtocolClass, UrlProtocolClient, UrlProtocolLoading, UrlProtocolTask,
};
use urlsession::{
    BodyStream, Bytes, Configuration, Decision, HttpBody, HttpUrlResponse, Phase, ResponseDisposition, Url,
    UrlError, UrlErrorCode, UrlRequest, UrlResponse, UrlSession, Version,
};

type Load = dyn Fn(UrlProtocolClient) -> UrlProtocolLoading + Send + Sync;

/// Claims some requests, loads them as it was told to, and writes down what happens. A clone is the same.
#[derive(Clone)]
struct Scripted(Arc<Script>);

struct Script {
    claims: Box<dyn Fn(&UrlRequest) -> bool + Send + Sync>,
    load: Box<Load>,
    events: Mutex<Vec<String>>,
}

impl Scripted {
    fn new(
        claims: impl Fn(&UrlRequest) -> bool + Send + Sync + 'static,
        load: impl Fn(UrlProtocolClient) -> UrlProtocolLoading + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Script { claims: Box::new(claims), load: Box::new(load), events: Mutex::default() }))
    }

    /// Claims everything.
    fn all(load: impl Fn(UrlProtocolClient) -> UrlProtocolLoading + Send + Sync + 'static) -> Self {
        Self::new(|_| true, load)
    }

    fn configuration(&self) -> Configuration {
        Configuration::ephemeral().protocol_classes([UrlProtocolClass::new(self.clone())])
    }

    fn session(&self) -> UrlSession {
        UrlSession::new(self.configuration())
    }

    fn note(&self, event: impl Into<String>) {
        self.0.events.lock().unwrap().push(event.into());
    }

    fn events(&self) -> Vec<String> {
        self.0.events.lock().unwrap().clone()
    }
}

impl UrlProtocol for Scripted {
    fn can_init(&self, request: &UrlRequest) -> bool {
        (self.0.claims)(request)
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        self.note(format!("start {}", client.request()));
        (self.0.load)(client)
    }

    fn stop_loading(&self, task: &UrlProtocolTask) {
        self.note(format!("stop {}", task.current_request()));
    }
}

fn has_scheme(request: &UrlRequest, scheme: &str) -> bool {
    request.url().scheme() == scheme
}

fn http(url: &Url, status: u16) -> HttpUrlResponse {
    HttpUrlResponse::new(url.clone(), status, Version::HTTP_11, [("Content-Type", "text/plain")]).unwrap()
}

fn plain(client: &UrlProtocolClient) -> UrlResponse {
    UrlResponse::new(client.request().url().clone(), Some("text/plain"), None, None)
}

/// Answers 429 and `Kathmandu`.
fn kathmandu() -> Scripted {
    Scripted::all(|client| {
        Box::pin(async move {
            client.did_receive_response(http(client.request().url(), 429));
            client.did_load("Kathmandu").await?;
            client.did_finish_loading();
            Ok(())
        })
    })
}

/// Answers requests of the scheme `ssh` for another URL.
fn interceptable() -> Scripted {
    Scripted::new(
        |request| has_scheme(request, "ssh"),
        |client| {
            Box::pin(async move {
                client.did_receive_response(http(&"http://google.com".parse().unwrap(), 200));
                client.did_finish_loading();
                Ok(())
            })
        },
    )
}

fn failure(code: UrlErrorCode) -> UrlError {
    UrlError::new(code, Phase::Body, "the test says so")
}

#[test]
fn test_intercept_response() {
    let (data, response) = load(&kathmandu().session(), "http://127.0.0.1:1/Nepal").unwrap();
    assert_eq!((text(&data), response.status_code()), ("Kathmandu", Some(429)));
}

#[test]
fn test_intercept_request() {
    let (data, response) = load(&interceptable().session(), "ssh://user@example.com/").unwrap();
    assert_eq!(response.url().as_str(), "http://google.com/");
    assert_eq!((data.len(), response.status_code()), (0, Some(200)));
}

#[test]
fn test_multiple_custom_protocols() {
    let classes = vec![UrlProtocolClass::new(interceptable()), UrlProtocolClass::new(kathmandu())];
    let session = UrlSession::new(Configuration::ephemeral().protocol_classes(classes));
    let (_, response) = load(&session, "http://127.0.0.1:1/Nepal").unwrap();
    assert_eq!(response.status_code(), Some(429));
    let (_, response) = load(&session, "ssh://127.0.0.1:1/Nepal").unwrap();
    assert_eq!(response.status_code(), Some(200));
}

#[test]
fn test_custom_protocol_response_with_delegate() {
    let (session, recorder) = with_recorder(kathmandu().configuration(), Recorder::new());
    session.data_task("http://127.0.0.1:1/Nepal").resume();
    let log = recorder.completed(1);
    assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
    assert_eq!(log.response.unwrap().status_code(), Some(429));
}

#[test]
fn test_custom_protocol_set_data_in_response_with_delegate() {
    let (session, recorder) = with_recorder(kathmandu().configuration(), Recorder::new());
    session.data_task("http://127.0.0.1:1/Nepal").resume();
    let log = recorder.completed(1);
    assert!(log.completions[0].is_none());
    assert_eq!(text(&log.data), "Kathmandu");
}

#[test]
fn test_finish_loading_with_no_response() {
    let protocol = Scripted::all(|client| {
        client.did_fail(failure(UrlErrorCode::NetworkConnectionLost));
        client.did_finish_loading();
        Box::pin(async { Ok(()) })
    });
    let error = load(&protocol.session(), "https://test/url").unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::NetworkConnectionLost);
    assert_eq!(error.failing_url().unwrap().as_str(), "https://test/url");
}

#[test]
fn test_no_double_callback_when_cancelling_and_protocol_fails_fast() {
    // It fails as fast as it can, but not before the session has been invalidated.
    let invalidated = Arc::new(Mutex::new(false));
    let gate = invalidated.clone();
    let protocol = Scripted::all(move |client| {
        let gate = gate.clone();
        Box::pin(async move {
            poll_fn(|cx| match *gate.lock().unwrap() {
                true => std::task::Poll::Ready(()),
                false => {
                    cx.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            })
            .await;
            client.did_fail(failure(UrlErrorCode::ResourceUnavailable));
            pending().await
        })
    });
    let session = protocol.session();
    let (sender, receiver) = mpsc::channel();
    session.data_task_with_handler("failfast://bogus", move |result| sender.send(result).unwrap()).resume();
    session.invalidate_and_cancel();
    *invalidated.lock().unwrap() = true;
    let error = receiver.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::Cancelled);
    assert_eq!(receiver.recv_timeout(PATIENCE).err(), Some(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn every_style_loads_from_a_custom_protocol_and_stop_follows_once() {
    for style in ["handler", "data", "wait", "bytes"] {
        let protocol = kathmandu();
        let session = protocol.session();
        let data = match style {
            "handler" => load(&session, "made:up").unwrap().0.to_vec(),
            "data" => in_tokio(async { session.data("made:up").await.unwrap().0.to_vec() }),
            "wait" => session.data("made:up").wait().unwrap().0.to_vec(),
            _ => in_tokio(async {
                let (bytes, _) = session.bytes("made:up").await.unwrap();
                drain(bytes).await.into_iter().flat_map(Result::unwrap).collect()
            }),
        };
        assert_eq!(text(&data), "Kathmandu", "{style}");
        assert_eq!(protocol.events(), ["start made:up", "stop made:up"], "{style}");
    }
}

#[test]
fn what_was_loaded_before_a_failure_is_delivered_before_it() {
    let protocol = Scripted::all(|client| {
        Box::pin(async move {
            client.did_receive_response(plain(&client));
            client.did_load("half").await?;
            Err(failure(UrlErrorCode::NetworkConnectionLost))
        })
    });
    let (session, recorder) = with_recorder(protocol.configuration(), Recorder::new());
    session.data_task("made:up").resume();
    let log = recorder.completed(1);
    assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete"]);
    assert_eq!(text(&log.data), "half");
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::NetworkConnectionLost);
    assert_eq!(protocol.events(), ["start made:up", "stop made:up"]);
}

#[test]
fn a_reader_that_pauses_holds_the_protocol_back() {
    let produced = Arc::new(AtomicUsize::new(0));
    let count = produced.clone();
    let protocol = Scripted::all(move |client| {
        let count = count.clone();
        Box::pin(async move {
            client.did_receive_response(plain(&client));
            for _ in 0..1000 {
                client.did_load(vec![7; 1000]).await?;
                count.fetch_add(1, SeqCst);
            }
            client.did_finish_loading();
            Ok(())
        })
    });
    in_tokio(async {
        let (mut bytes, _) = protocol.session().bytes("made:up").await.unwrap();
        for read in 1..=10 {
            assert_eq!(next(&mut bytes).await.unwrap().unwrap().len(), 1000);
            assert!(produced.load(SeqCst) <= read + 1, "{} of {read} read", produced.load(SeqCst));
        }
        assert_eq!(drain(bytes).await.len(), 990);
    });
}

#[test]
fn a_load_that_is_cancelled_or_dropped_or_refused_is_stopped_and_says_no_more() {
    /// Loads for ever, on a thread of its own, until it is told to stop.
    fn endless(said: &Arc<AtomicUsize>) -> Scripted {
        let said = said.clone();
        Scripted::all(move |client| {
            let said = said.clone();
            std::thread::spawn(move || {
                client.did_receive_response(plain(&client));
                while block_on(client.did_load("more")).is_ok() {}
                assert!(client.is_stopped());
                block_on(client.stopped());
                said.fetch_add(1, SeqCst);
            });
            Box::pin(async { Ok(()) })
        })
    }
    let said = Arc::new(AtomicUsize::new(0));
    let wait_for_end = |protocol: &Scripted, ended: usize| {
        let start = std::time::Instant::now();
        while said.load(SeqCst) < ended || protocol.events().len() < 2 {
            assert!(start.elapsed() < PATIENCE, "{:?}", protocol.events());
            std::thread::yield_now();
        }
        assert_eq!(protocol.events(), ["start made:up", "stop made:up"]);
    };

    let protocol = endless(&said);
    let (session, recorder) = with_recorder(protocol.configuration(), Recorder::new());
    let task = session.data_task("made:up");
    task.resume();
    recorder.wait_for(|log| !log.data.is_empty());
    task.cancel();
    let log = recorder.completed(1);
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::Cancelled);
    wait_for_end(&protocol, 1);

    let protocol = endless(&said);
    let (mut bytes, _) = protocol.session().bytes("made:up").wait().unwrap();
    assert_eq!(bytes.wait_chunk().unwrap().unwrap(), "more");
    drop(bytes);
    wait_for_end(&protocol, 2);

    let protocol = endless(&said);
    let recorder = Recorder::new().disposing(ResponseDisposition::Cancel);
    let (session, recorder) = with_recorder(protocol.configuration(), recorder);
    session.data_task("made:up").resume();
    assert_eq!(recorder.completed(1).calls, ["didReceiveResponse", "didComplete"]);
    wait_for_end(&protocol, 3);
}

#[test]
fn a_protocol_that_never_answers_times_out_and_is_stopped() {
    let protocol = Scripted::all(|client| {
        Box::pin(async move {
            client.stopped().await;
            Ok(())
        })
    });
    let clock = HandClock::new();
    let mut configuration = protocol.configuration();
    configuration.environment.clock = Arc::new(clock.clone());
    let (session, recorder) = with_recorder(configuration, Recorder::new());
    session.data_task("made:up").resume();
    clock.advance_until(Duration::from_secs(60), || !recorder.log().completions.is_empty());
    let log = recorder.completed(1);
    assert_eq!(log.completions[0].as_ref().unwrap().code(), UrlErrorCode::TimedOut);
    assert_eq!(protocol.events(), ["start made:up", "stop made:up"]);
}

#[test]
fn a_protocol_that_panics_or_lets_go_of_its_client_fails_the_task_and_nothing_else() {
    let protocols = [
        (Scripted::new(|_| panic!("no idea"), |_| Box::pin(async { Ok(()) })), "can_init: no idea"),
        (Scripted::all(|_| panic!("no way")), "start_loading: no way"),
        (Scripted::all(|_| Box::pin(async { panic!("lost") })), "start_loading: lost"),
        (
            Scripted::all(|client| {
                Box::pin(async move {
                    client.did_receive_response(plain(&client));
                    client.did_load("x").await?;
                    panic!("in the middle")
                })
            }),
            "in the middle",
        ),
        (Scripted::all(|_| Box::pin(async { Ok(()) })), "let go of its client"),
        (
            Scripted::all(|client| {
                Box::pin(async move {
                    client.did_finish_loading();
                    Ok(())
                })
            }),
            "finished without a response",
        ),
    ];
    for (protocol, what) in protocols {
        let error = load(&protocol.session(), "made:up").unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.phase(), Phase::Delegate, "{error}");
        assert!(matches!(protocol.events().len(), 0 | 2), "{:?}", protocol.events());
    }

    struct BadEnd(Scripted);
    impl UrlProtocol for BadEnd {
        fn can_init(&self, request: &UrlRequest) -> bool {
            self.0.can_init(request)
        }
        fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
            self.0.start_loading(client)
        }
        fn stop_loading(&self, _: &UrlProtocolTask) {
            panic!("not my end");
        }
    }
    let configuration =
        Configuration::ephemeral().protocol_classes([UrlProtocolClass::new(BadEnd(kathmandu()))]);
    assert_eq!(text(&load(&UrlSession::new(configuration), "made:up").unwrap().0), "Kathmandu");
}

/// Redirects `made:` URLs to `to`.
fn redirecting(to: String) -> Scripted {
    Scripted::new(
        |request| has_scheme(request, "made"),
        move |client| {
            let to = UrlRequest::new(to.parse().unwrap());
            client.was_redirected(to, http(client.request().url(), 302));
            Box::pin(async { Ok(()) })
        },
    )
}

#[test]
fn a_redirect_asks_the_delegate_and_leads_to_whoever_loads_the_new_url() {
    on_every_wire(|origin| {
        let protocol = redirecting(origin.url("/Peru"));
        let configuration = configuration(origin).protocol_classes(protocol.configuration().protocol_classes);
        let (session, recorder) = with_recorder(configuration.clone(), Recorder::new());
        let task = session.data_task("made:up");
        task.resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["willRedirect", "didReceiveResponse", "didReceiveData", "didComplete"]);
        let (response, proposed) = &log.redirects[0];
        assert_eq!((response.status_code(), proposed.to_string()), (302, origin.url("/Peru")));
        assert_eq!((text(&log.data), protocol.events().len()), ("Lima", 2));
        assert_eq!(task.current_request().unwrap().to_string(), origin.url("/Peru"));
        assert_eq!((log.metrics[0].transaction_metrics.len(), log.metrics[0].redirect_count), (2, 1));

        let refusing = Recorder::new().redirecting(|_, _| Decision::now(None));
        let (session, recorder) = with_recorder(configuration, refusing);
        session.data_task("made:up").resume();
        let log = recorder.completed(1);
        assert_eq!(log.calls, ["willRedirect", "didReceiveResponse", "didComplete"]);
        assert_eq!(log.response.unwrap().status_code(), Some(302));
        assert_eq!(origin.requests().len(), 1);
    });
}

#[test]
fn redirects_in_a_circle_end() {
    let protocol = redirecting("made:again".into());
    let error = load(&protocol.session(), "made:up").unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::HttpTooManyRedirects);
    assert_eq!(protocol.events().len(), 2 * 17);
}

/// What the documentation shows: a protocol that changes what goes over the network by loading through the same
/// session, and marks the requests it has handled.
struct Stamping(OnceLock<UrlSession>);

impl UrlProtocol for Stamping {
    fn can_init(&self, request: &UrlRequest) -> bool {
        request.property::<bool>("stamped").is_none()
    }

    fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
        let session = self.0.get().unwrap().clone();
        Box::pin(async move {
            let mut request = client.request().clone();
            request.set_property("stamped", true);
            request.set_value("X-Stamped", "yes").unwrap();
            let (mut bytes, response) = session.bytes(request).await?;
            client.did_receive_response(response);
            while let Some(chunk) = next(&mut bytes).await {
                client.did_load(chunk?).await?;
            }
            client.did_finish_loading();
            Ok(())
        })
    }
}

#[test]
fn a_protocol_loads_through_its_own_session_by_marking_requests() {
    on_every_wire(|origin| {
        let stamping = Arc::new(Stamping(OnceLock::new()));
        struct Shared(Arc<Stamping>);
        impl UrlProtocol for Shared {
            fn can_init(&self, request: &UrlRequest) -> bool {
                self.0.can_init(request)
            }
            fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
                self.0.start_loading(client)
            }
        }
        let classes = vec![UrlProtocolClass::new(Shared(stamping.clone()))];
        let session = UrlSession::new(configuration(origin).protocol_classes(classes));
        assert!(stamping.0.set(session.clone()).is_ok());
        // A redirect of HTTP keeps the mark.
        for path in ["/Peru", "/redirect/2"] {
            let (_, response) = load(&session, origin.url(path)).unwrap();
            assert_eq!(response.status_code(), Some(200));
            assert_eq!(in_tokio(session.data(origin.url(path))).unwrap().1.status_code(), Some(200));
        }
        assert!(origin.requests().iter().all(|request| request.header("x-stamped") == Some("yes")));
        // The session holds the protocol, which holds the session.
        session.invalidate_and_cancel();
    });
}

#[test]
fn registered_classes_serve_the_shared_session_only_and_the_last_is_asked_first() {
    let answering = |word: &'static str| {
        Scripted::new(
            |request| has_scheme(request, "registered"),
            move |client| {
                Box::pin(async move {
                    client.did_receive_response(plain(&client));
                    client.did_load(word).await?;
                    client.did_finish_loading();
                    Ok(())
                })
            },
        )
    };
    let (first, second) =
        (UrlProtocolClass::new(answering("first")), UrlProtocolClass::new(answering("second")));
    let shared = || load(&UrlSession::shared(), "registered:x").map(|(data, _)| text(&data).to_owned());
    let code = |result: Result<String, UrlError>| result.map_err(|error| error.code());
    assert_eq!(code(shared()), Err(UrlErrorCode::UnsupportedUrl));
    assert!(first.register_class() && second.register_class());
    assert!(!first.register_class());
    assert_eq!(code(shared()), Ok("second".into()));
    assert!(load(&UrlSession::new(Configuration::default()), "registered:x").is_err());
    assert!(second.unregister_class() && !second.unregister_class());
    assert_eq!(code(shared()), Ok("first".into()));
    assert!(first.unregister_class());
    assert_eq!(code(shared()), Err(UrlErrorCode::UnsupportedUrl));
}

#[test]
fn a_protocol_is_asked_with_the_task_and_loads_the_canonical_request() {
    struct Canonical(Scripted);
    impl UrlProtocol for Canonical {
        fn can_init(&self, _: &UrlRequest) -> bool {
            panic!("the task is asked about")
        }
        fn can_init_with_task(&self, task: &UrlProtocolTask) -> bool {
            self.0.note(format!("{:?} {}", task.task_description(), task.priority()));
            task.task_identifier() == 1
        }
        fn canonical_request(&self, mut request: UrlRequest) -> UrlRequest {
            request.set_url("made:canonical".parse().unwrap());
            request
        }
        fn start_loading(&self, client: UrlProtocolClient) -> UrlProtocolLoading {
            assert_eq!(client.task().original_request().to_string(), "made:up");
            self.0.start_loading(client)
        }
    }
    let scripted = kathmandu();
    let classes = vec![UrlProtocolClass::new(Canonical(scripted.clone()))];
    let session = UrlSession::new(Configuration::ephemeral().protocol_classes(classes));
    let (sender, receiver) = mpsc::channel();
    let task = session.data_task_with_handler("made:up", move |result| sender.send(result).unwrap());
    task.set_task_description(Some("mine"));
    task.resume();
    assert_eq!(text(&receiver.recv_timeout(PATIENCE).unwrap().unwrap().0), "Kathmandu");
    assert_eq!(scripted.events(), ["Some(\"mine\") 0.5", "start made:canonical"]);
    assert_eq!(task.original_request().unwrap().to_string(), "made:up");
    assert_eq!(task.current_request().unwrap().to_string(), "made:canonical");
    // It claims the first task only.
    assert_eq!(load(&session, "made:up").unwrap_err().code(), UrlErrorCode::UnsupportedUrl);
}

#[test]
fn a_body_of_the_request_reaches_the_protocol() {
    let echo = Scripted::all(|client| {
        Box::pin(async move {
            client.did_receive_response(plain(&client));
            match client.request().content().clone() {
                HttpBody::None => {}
                HttpBody::Data(data) => client.did_load(data).await?,
                HttpBody::Stream(stream) => {
                    let mut chunks = stream.take().unwrap();
                    while let Some(chunk) = poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
                        client.did_load(chunk.unwrap()).await?;
                    }
                }
            }
            client.did_finish_loading();
            Ok(())
        })
    });
    let (data, _) = load(&echo.session(), request("made:up", "POST", Some(b"in memory"))).unwrap();
    assert_eq!(text(&data), "in memory");
    let mut streamed = request("made:up", "POST", None);
    streamed.set_http_body_stream(BodyStream::from(Bytes::from_static(b"streamed")));
    assert_eq!(text(&load(&echo.session(), streamed).unwrap().0), "streamed");
}

#[test]
fn metrics_have_one_transaction_without_a_network_protocol() {
    let (session, recorder) = with_recorder(kathmandu().configuration(), Recorder::new());
    session.data_task("made:up").resume();
    let metrics = recorder.completed(1).metrics.remove(0);
    let [transaction] = &metrics.transaction_metrics[..] else { panic!("one transaction") };
    assert_eq!((transaction.network_protocol_name, metrics.redirect_count), (None, 0));
    assert_eq!(transaction.resource_fetch_type, ResourceFetchType::Unknown);
    assert_eq!(transaction.http_response().unwrap().status_code(), 429);
    assert_eq!(transaction.count_of_response_body_bytes_after_decoding, 9);
    assert!(transaction.response_end_date.is_some() && transaction.connect_start_date.is_none());
}
