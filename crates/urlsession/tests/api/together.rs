//! Policies and kinds of tasks together: what one does must not be lost on another.

use std::fs;
use std::sync::Arc;

use urlsession::authentication::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
};
use urlsession::cache::{CacheStorage, NotStored};
use urlsession::metrics::ResourceFetchType;
use urlsession::{Decision, DelegateQueue, SessionDelegate, Task, TaskDelegate, UrlSession};
use urlsession_testkit::{Origin, Reply, Wire};

use crate::support::*;

/// Logs in as ann.
struct Ann;

impl TaskDelegate for Ann {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        if challenge.failure_response().is_none() {
            return Decision::default_handling();
        }
        let ann = UrlCredential::new("ann", "secret", UrlCredentialPersistence::ForSession);
        AuthChallengeDisposition::UseCredential(Some(ann)).into()
    }
}

impl SessionDelegate for Ann {}

fn of_ann(origin: &Origin) -> UrlSession {
    UrlSession::with_delegate(configuration(origin), Arc::new(Ann), DelegateQueue::serial())
}

#[test]
fn a_cookie_of_a_401_goes_along_with_the_login() {
    on_every_wire(|origin| {
        let asks =
            Reply::new(401).header("WWW-Authenticate", "Basic realm=\"r\"").header("Set-Cookie", "visit=7");
        origin.enqueue("/private", asks.body("who?"));
        origin.enqueue("/private", Reply::new(200).body("hello"));
        assert_eq!(of_ann(origin).data(origin.url("/private")).wait().unwrap().0, "hello");
        let login = origin.requests().pop().unwrap();
        assert_eq!(login.header("cookie"), Some("visit=7"));
        assert_eq!(login.header("authorization"), Some("Basic YW5uOnNlY3JldA=="));
        assert_eq!(
            login.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")).count(),
            1
        );
    });
}

#[test]
fn a_file_goes_up_again_after_a_login_by_digest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    fs::write(&file, vec![7; 100_000]).unwrap();
    on_every_wire(|origin| {
        let put = request(&origin.url("/digest/ann/secret/SHA-256/auth"), "PUT", None);
        let (_, response) = of_ann(origin).upload_from_file(put, &file).wait().unwrap();
        assert_eq!(response.status_code(), Some(200));
        let lengths = origin.requests().iter().map(|seen| seen.body_len).collect::<Vec<_>>();
        assert_eq!(lengths, [100_000, 100_000]);
    });
}

#[test]
fn the_401_of_a_download_is_not_in_its_file() {
    on_every_wire(|origin| {
        let (file, response) = of_ann(origin).download(origin.url("/basic/ann/secret")).wait().unwrap();
        assert_eq!(response.status_code(), Some(200));
        assert!(!fs::read_to_string(file.path()).unwrap().contains("need basic"));
    });
}

#[test]
fn a_download_is_served_from_the_cache_but_not_kept_there() {
    on_every_wire(|origin| {
        let session = session(origin);
        let fresh = || Reply::new(200).header("Cache-Control", "max-age=60").body("kept");
        origin.enqueue("/a", fresh());
        let download = session.download(origin.url("/a"));
        let task = download.task();
        download.wait().unwrap();
        let decision = task.metrics().unwrap().transaction_metrics[0].cache_decision.unwrap();
        assert_eq!(decision.storage, CacheStorage::Refused(NotStored::Downloaded));
        origin.enqueue("/a", fresh());
        session.data(origin.url("/a")).wait().unwrap();
        let download = session.download(origin.url("/a"));
        let task = download.task();
        let (file, _) = download.wait().unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "kept");
        let metrics = task.metrics().unwrap();
        assert_eq!(metrics.transaction_metrics[0].resource_fetch_type, ResourceFetchType::LocalCache);
        assert_eq!(origin.requests().len(), 2);
    });
}

#[test]
fn a_redirect_that_is_kept_sends_the_cookies_of_where_it_leads() {
    on_every_wire(|origin| {
        let session = session(origin);
        let moved = Reply::new(301).header("Location", "/to").header("Cache-Control", "max-age=60");
        origin.enqueue("/from", moved);
        origin.enqueue("/to", Reply::new(200).header("Set-Cookie", "a=1; Path=/to"));
        origin.enqueue("/to", Reply::new(200));
        (0..2).for_each(|_| drop(session.data(origin.url("/from")).wait().unwrap()));
        let seen = origin.requests();
        let paths = seen.iter().map(|request| request.path()).collect::<Vec<_>>();
        assert_eq!(paths, ["/from", "/to", "/to"]);
        assert_eq!(seen[2].header("cookie"), Some("a=1"));
    });
}

#[test]
fn data_and_file_urls_are_downloaded_and_become_downloads_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("note.txt");
    fs::write(&path, vec![b'x'; 300_000]).unwrap();
    let file_url = url::Url::from_file_path(&path).unwrap().to_string();
    on(Wire::H1, |origin| {
        let session = session(origin);
        let (file, response) = session.download("data:text/plain,hello").wait().unwrap();
        assert_eq!(
            (fs::read_to_string(file.path()).unwrap().as_str(), response.mime_type()),
            ("hello", Some("text/plain".into()))
        );
        let (file, _) = session.download(&*file_url).wait().unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), fs::read(&path).unwrap());
        let becoming = Recorder::new().disposing(urlsession::ResponseDisposition::BecomeDownload);
        let (session, recorder) = with_recorder(configuration(origin), becoming);
        session.data_task(&*file_url).resume();
        let log = recorder.completed(1);
        log.succeeded();
        assert_eq!(log.data.len(), 300_000);
    });
}
