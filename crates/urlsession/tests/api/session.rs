//! Sessions: creation, listing, invalidation.

use std::sync::{Arc, Weak};

use std::time::Duration;

use urlsession::authentication::{
    AuthenticationMethod, UrlCredential, UrlCredentialPersistence, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use urlsession::cookies::{HttpCookieAcceptPolicy, HttpCookieStorage};
use urlsession::network::NetworkServiceType;
use urlsession::{CachePolicy, Configuration, DelegateQueue, TaskState, UrlErrorCode, UrlSession};
use urlsession_testkit::Reply;

use crate::support::*;

#[test]
fn test_finish_tasks_and_invalidate() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let gate = origin.hold();
        origin.enqueue("/Nepal", Reply::new(200).body("Kathmandu").after(gate.clone()));
        session.data_task(origin.url("/Nepal")).resume();
        assert!(gate.wait_reached(PATIENCE));
        session.finish_tasks_and_invalidate();
        assert_eq!(recorder.log().invalid, 0, "a task is running");
        gate.release();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.calls, ["didReceiveResponse", "didReceiveData", "didComplete", "didBecomeInvalid"]);
    });
}

#[test]
fn test_check_error_type_after_invalidate_and_cancel() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/country.txt", Reply::held(gate.clone()));
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = session.data_task_with_handler(origin.url("/country.txt"), move |result| {
            sender.send(result.unwrap_err()).unwrap();
        });
        task.resume();
        assert!(gate.wait_reached(PATIENCE));
        session.invalidate_and_cancel();
        let error = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error.code(), UrlErrorCode::Cancelled);
        assert_eq!(error.failing_url().unwrap().as_str(), origin.url("/country.txt"));
        assert!(error.to_string().contains("cancelled"), "{error}");
    });
}

#[test]
fn test_task_count_after_invalidate_and_cancel() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        (0..3).for_each(|_| origin.enqueue("/country.txt", Reply::held(gate.clone())));
        let session = session(origin);
        let tasks = [(); 3].map(|()| session.data_task(origin.url("/country.txt")));
        tasks[0].resume();
        tasks[1].resume();
        session.invalidate_and_cancel();
        assert!(session.all_tasks().is_empty());
        tasks[2].resume();
        assert!(session.all_tasks().is_empty());
    });
}

#[test]
fn test_session_delegate_after_invalidate_and_cancel() {
    let recorder = Arc::new(Recorder::new());
    let weak: Weak<Recorder> = Arc::downgrade(&recorder);
    let waiting = (*recorder).clone();
    let session = UrlSession::with_delegate(Configuration::ephemeral(), recorder, DelegateQueue::serial());
    assert!(session.delegate().is_some());
    session.invalidate_and_cancel();
    waiting.wait_for(|log| log.invalid == 1);
    assert!(session.delegate().is_none());
    let (sender, receiver) = std::sync::mpsc::channel();
    session.delegate_queue().add(move || sender.send(()).unwrap());
    receiver.recv_timeout(PATIENCE).unwrap();
    assert!(weak.upgrade().is_none(), "the delegate is released");
}

#[test]
fn test_get_all_tasks() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        (0..3).for_each(|_| origin.enqueue("/country.txt", Reply::held(gate.clone())));
        let session = session(origin);
        let [one, two, three] = [(); 3].map(|()| session.data_task(origin.url("/country.txt")));
        assert_eq!(session.all_tasks().len(), 0);
        one.cancel();
        two.resume();
        two.suspend();
        three.suspend();
        assert_eq!(session.all_tasks(), [(*two).clone()]);
        three.resume();
        assert_eq!(session.all_tasks().len(), 1);
        three.resume();
        assert_eq!(session.all_tasks().len(), 2);
        session.invalidate_and_cancel();
    });
}

#[test]
fn test_cancelled_tasks_cannot_be_resumed() {
    on_every_wire(|origin| {
        let session = session(origin);
        let (sender, receiver) = std::sync::mpsc::channel();
        let task =
            session.data_task_with_handler(origin.url("/Nepal"), move |result| sender.send(result).unwrap());
        task.cancel();
        task.resume();
        assert!(session.all_tasks().is_empty());
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap_err().code(), UrlErrorCode::Cancelled);
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn a_task_of_an_invalidated_session_fails_and_says_so() {
    on_every_wire(|origin| {
        let session = session(origin);
        session.finish_tasks_and_invalidate();
        let error = load(&session, origin.url("/Nepal")).unwrap_err();
        assert!(error.to_string().contains("invalidated"), "{error}");
        let error = session.data(origin.url("/Nepal")).wait().unwrap_err();
        assert!(error.to_string().contains("invalidated"), "{error}");
        assert!(origin.requests().is_empty());
    });
}

#[test]
fn the_shared_session_cannot_be_invalidated() {
    on(urlsession_testkit::Wire::H1, |origin| {
        UrlSession::shared().invalidate_and_cancel();
        UrlSession::shared().finish_tasks_and_invalidate();
        assert_eq!(text(&load(&UrlSession::shared(), origin.url("/Peru")).unwrap().0), "Lima");
    });
}

#[test]
fn the_configuration_is_copied() {
    let mut configuration = Configuration::ephemeral();
    configuration.http_maximum_connections_per_host = 2;
    let session = UrlSession::new(configuration.clone());
    configuration.http_maximum_connections_per_host = 9;
    assert_eq!(session.configuration().http_maximum_connections_per_host, 2);
    session.configuration().http_maximum_connections_per_host = 9;
    assert_eq!(session.configuration().http_maximum_connections_per_host, 2);
    session.set_session_description(Some("mine"));
    assert_eq!(session.clone().session_description().as_deref(), Some("mine"));
}

#[test]
fn a_dropped_session_lets_its_tasks_finish() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/Nepal", Reply::new(200).body("Kathmandu").after(gate.clone()));
        let (session, recorder) = recorded(origin);
        session.data_task(origin.url("/Nepal")).resume();
        drop(session);
        gate.release();
        assert_eq!(text(&recorder.completed(1).data), "Kathmandu");
    });
}

#[test]
fn unresumed_tasks_end_with_their_session() {
    on_every_wire(|origin| {
        let (session, recorder) = recorded(origin);
        let task = session.data_task(origin.url("/Nepal"));
        session.invalidate_and_cancel();
        let log = recorder.wait_for(|log| log.invalid == 1);
        assert_eq!(log.calls, ["didComplete", "didBecomeInvalid"]);
        assert_eq!(task.state(), TaskState::Completed);
    });
}

#[test]
fn a_flush_gives_later_loads_new_connections_and_disturbs_no_task() {
    on_every_wire(|origin| {
        let gate = origin.hold();
        origin.enqueue("/held", Reply::new(200).body("x").after(gate.clone()));
        let (session, recorder) = recorded(origin);
        load(&session, origin.url("/Peru")).unwrap();
        session.data_task(origin.url("/held")).resume();
        assert!(gate.wait_reached(PATIENCE));
        let before = origin.connection_count();
        let (sender, flushed) = std::sync::mpsc::channel();
        session.flush_with_handler(move || sender.send(()).unwrap());
        flushed.recv_timeout(PATIENCE).unwrap();
        gate.release();
        assert!(recorder.completed(1).completions[0].is_none());
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), before + 1);
        load(&session, origin.url("/Peru")).unwrap();
        assert_eq!(origin.connection_count(), before + 1, "the new one is kept");
    });
}

#[test]
fn a_reset_forgets_tls_sessions() {
    on(urlsession_testkit::Wire::TlsH1, |origin| {
        let session = session(origin);
        let resumed = || origin.requests().last().unwrap().tls.as_ref().unwrap().resumed;
        load(&session, origin.url("/Peru")).unwrap();
        in_tokio(session.flush());
        load(&session, origin.url("/Peru")).unwrap();
        assert!(resumed());
        in_tokio(session.reset());
        load(&session, origin.url("/Peru")).unwrap();
        assert!(!resumed());
    });
}

#[test]
fn test_get_tasks_with_completion() {
    on_every_wire(|origin| {
        let session = session(origin);
        let count = || {
            let tasks = session.tasks();
            (tasks.data.len(), tasks.upload.len(), tasks.download.len())
        };
        let data = (0..3).map(|_| session.data_task(origin.url("/delay/60"))).collect::<Vec<_>>();
        let put = || request(&origin.url("/delay/60"), "PUT", None);
        let uploads = [session.upload_task(put(), "x"), session.upload_task(put(), "x")];
        let download = session.download_task(origin.url("/delay/60"));
        assert_eq!(count(), (0, 0, 0));
        data[0].cancel();
        data[1].resume();
        data[2].resume();
        data[2].suspend();
        uploads[0].suspend();
        uploads[1].resume();
        download.cancel();
        assert_eq!(count(), (2, 1, 0));
        assert_eq!(session.tasks().upload[0], uploads[1]);
        session.invalidate_and_cancel();
    });
}

#[test]
fn test_init_url_session_configuration() {
    let configuration = Configuration::default()
        .request_cache_policy(CachePolicy::UseProtocolCachePolicy)
        .timeout_interval_for_request(Duration::from_secs(30))
        .timeout_interval_for_resource(Duration::from_secs(604_800))
        .network_service_type(NetworkServiceType::Default)
        .allows_cellular_access(false)
        .is_discretionary(true)
        .http_should_use_pipelining(true)
        .http_should_set_cookies(true)
        .http_cookie_accept_policy(HttpCookieAcceptPolicy::Always)
        .http_maximum_connections_per_host(2)
        .http_cookie_storage(HttpCookieStorage::shared())
        .url_credential_storage(None)
        .url_cache(None);
    let session = UrlSession::new(configuration);
    let copy = session.configuration();
    assert_eq!(copy.request_cache_policy, CachePolicy::UseProtocolCachePolicy);
    assert_eq!(copy.timeout_interval_for_request, Duration::from_secs(30));
    assert_eq!(copy.timeout_interval_for_resource, Duration::from_secs(604_800));
    assert_eq!(copy.network_service_type, NetworkServiceType::Default);
    assert!(!copy.allows_cellular_access && copy.is_discretionary);
    assert!(copy.http_should_use_pipelining && copy.http_should_set_cookies);
    assert_eq!(copy.http_cookie_accept_policy, HttpCookieAcceptPolicy::Always);
    assert_eq!(copy.http_maximum_connections_per_host, 2);
    assert_eq!(copy.http_cookie_storage, Some(HttpCookieStorage::shared()));
    assert!(copy.url_credential_storage.is_none() && copy.url_cache.is_none());
}

#[test]
fn a_reset_empties_cookies_cache_and_credentials_and_gives_new_connections() {
    on_every_wire(|origin| {
        let (session, _) = recorded(origin);
        let configuration = session.configuration();
        let (cookies, cache, credentials) = (
            configuration.http_cookie_storage.unwrap(),
            configuration.url_cache.unwrap(),
            configuration.url_credential_storage.unwrap(),
        );
        let fill = |round: usize| {
            let reply = Reply::new(200).header("Cache-Control", "max-age=60").header("Set-Cookie", "a=b");
            origin.enqueue("/kept", reply.body("kept"));
            session.data(origin.url("/kept")).wait().unwrap();
            let space = UrlProtectionSpace::new(
                "example.com",
                0,
                UrlProtectionSpaceProtocol::Https,
                Some("realm"),
                AuthenticationMethod::HttpBasic,
            );
            credentials.set(&UrlCredential::new("ann", "x", UrlCredentialPersistence::ForSession), &space);
            assert_eq!(cookies.cookies().len(), 1);
            assert!(cache.cached_response(&request(&origin.url("/kept"), "GET", None)).is_some());
            assert_eq!(credentials.all_credentials().len(), 1);
            assert_eq!(origin.connection_count(), round);
        };
        let is_empty = || {
            let kept = cache.cached_response(&request(&origin.url("/kept"), "GET", None));
            cookies.cookies().is_empty() && kept.is_none() && credentials.all_credentials().is_empty()
        };
        fill(1);
        in_tokio(session.reset());
        assert!(is_empty());
        fill(2);
        let (sender, done) = std::sync::mpsc::channel();
        session.reset_with_handler(move || sender.send(()).unwrap());
        done.recv_timeout(PATIENCE).unwrap();
        assert!(is_empty());
        fill(3);
        // A flush empties nothing.
        in_tokio(session.flush());
        assert!(!is_empty());
    });
}
