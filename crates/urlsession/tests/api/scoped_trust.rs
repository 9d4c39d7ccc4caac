//! Trust and certificates serve only those for whom they were decided: connections, dials in progress, session tickets,
//! and what is stored.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence as Persistence,
};
use urlsession::cache::{CacheStorage, NotStored};
use urlsession::network::ProxyDictionary;
use urlsession::uploads::UploadServerStorage;
use urlsession::{
    Configuration, Decision, DelegateQueue, DownloadDestination, Responder, SessionDelegate, Task,
    TaskDelegate, UrlError, UrlErrorCode, UrlSession,
};
use urlsession_testkit::{After, Certificate, Origin, Proxy, Reply, Request, TestAuthority, Wire};

use crate::support::ranges::*;
use crate::support::*;

const TLS: [Wire; 2] = [Wire::TlsH1, Wire::TlsH2];

fn self_signed(wire: Wire) -> Origin {
    Origin::builder().wire(wire).certificate(TestAuthority::new().self_signed()).start()
}

/// Trust in the server that a challenge is about.
fn trust(challenge: &UrlAuthenticationChallenge) -> Decision<Disposition> {
    match challenge.protection_space().server_trust() {
        Some(trust) => Disposition::UseCredential(Some(UrlCredential::for_trust(trust.clone()))).into(),
        None => Decision::default_handling(),
    }
}

/// Decides as the own delegate of a task, and remembers what it was asked.
#[derive(Clone)]
struct Own {
    decide: Arc<Decide>,
    asked: Arc<Mutex<Vec<UrlAuthenticationChallenge>>>,
}

type Decide = dyn Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync;

impl Own {
    fn new(
        decide: impl Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync + 'static,
    ) -> Self {
        Self { decide: Arc::new(decide), asked: Arc::default() }
    }
}

impl TaskDelegate for Own {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.asked.lock().unwrap().push(challenge.clone());
        (self.decide)(challenge)
    }
}

fn always(disposition: Disposition) -> Own {
    Own::new(move |_| Decision::now(disposition.clone()))
}

/// Has no opinion.
fn silent() -> Own {
    Own::new(|_| Decision::default_handling())
}

/// A delegate whose answers come when the test wants.
fn deferring() -> (Own, Receiver<(UrlAuthenticationChallenge, Responder<Disposition>)>) {
    let (sender, asked) = mpsc::channel();
    let sender = Mutex::new(sender);
    let own = Own::new(move |challenge| {
        let (answer, responder) = Decision::deferred();
        sender.lock().unwrap().send((challenge.clone(), responder)).unwrap();
        answer
    });
    (own, asked)
}

fn untrusted<T: std::fmt::Debug>(result: Result<T, UrlError>) {
    assert_eq!(result.unwrap_err().code(), UrlErrorCode::ServerCertificateUntrusted);
}

fn in_background(session: &UrlSession, url: String, delegate: Own) -> Receiver<Result<(), UrlError>> {
    let (sender, done) = mpsc::channel();
    let load = session.data(url).delegate(delegate);
    std::thread::spawn(move || sender.send(load.wait().map(|_| ())));
    done
}

#[test]
fn what_one_tasks_delegate_trusts_serves_no_other_task() {
    for wire in TLS {
        let origin = self_signed(wire);
        let session = UrlSession::new(configuration(&origin));
        let load = || session.data(origin.url("/Peru"));
        assert_eq!(load().delegate(Trusting).wait().unwrap().0, "Lima");
        untrusted(load().wait());
        untrusted(load().delegate(silent()).wait());
        untrusted(load().delegate(always(Disposition::RejectProtectionSpace)).wait());
        assert_eq!(origin.requests().len(), 1, "nothing was sent to the server");
        assert_eq!(load().delegate(Trusting).wait().unwrap().0, "Lima");
        let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections.len(), 2);
        assert_ne!(connections[0], connections[1]);
    }
}

#[test]
fn a_task_goes_on_over_the_connection_that_its_delegate_trusted() {
    for wire in TLS {
        let origin = self_signed(wire);
        let session = UrlSession::new(configuration(&origin));
        origin.enqueue("/a", Reply::new(302).header("Location", "/Peru"));
        let (delegate, asked) = deferring();
        let done = in_background(&session, origin.url("/a"), delegate);
        let (challenge, responder) = asked.recv_timeout(PATIENCE).unwrap();
        let trust = challenge.protection_space().server_trust().unwrap().clone();
        responder.answer(Disposition::UseCredential(Some(UrlCredential::for_trust(trust))));
        done.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(asked.try_recv().is_err(), "once");
        assert_eq!(origin.connection_count(), 1);
    }
}

#[test]
fn nobody_waits_for_a_dial_about_which_another_tasks_delegate_decides() {
    for wire in TLS {
        let origin = self_signed(wire);
        let session = UrlSession::new(configuration(&origin));
        let (delegate, asked) = deferring();
        let done = in_background(&session, origin.url("/Peru"), delegate);
        let (challenge, responder) = asked.recv_timeout(PATIENCE).unwrap();
        untrusted(session.data(origin.url("/Peru")).wait());
        untrusted(session.data(origin.url("/Peru")).delegate(silent()).wait());
        assert_eq!(session.data(origin.url("/Peru")).delegate(Trusting).wait().unwrap().0, "Lima");
        let trust = challenge.protection_space().server_trust().unwrap().clone();
        responder.answer(Disposition::UseCredential(Some(UrlCredential::for_trust(trust))));
        done.recv_timeout(PATIENCE).unwrap().unwrap();
        untrusted(session.data(origin.url("/Peru")).wait());
    }
}

#[test]
fn a_refusal_of_a_good_server_fails_only_the_task_whose_delegate_refuses() {
    for wire in TLS {
        for (disposition, code) in [
            (Disposition::CancelAuthenticationChallenge, UrlErrorCode::Cancelled),
            (Disposition::RejectProtectionSpace, UrlErrorCode::ServerCertificateUntrusted),
        ] {
            let origin = Origin::start(wire);
            let session = UrlSession::new(configuration(&origin));
            let (delegate, asked) = deferring();
            let refused = in_background(&session, origin.url("/Peru"), delegate);
            let (_, responder) = asked.recv_timeout(PATIENCE).unwrap();
            let (other, asked) = deferring();
            let accepted = in_background(&session, origin.url("/Peru"), other);
            let (_, other) = asked.recv_timeout(PATIENCE).unwrap();
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            responder.answer(disposition);
            assert_eq!(refused.recv_timeout(PATIENCE).unwrap().unwrap_err().code(), code);
            other.answer(Disposition::PerformDefaultHandling);
            accepted.recv_timeout(PATIENCE).unwrap().unwrap();
            assert!(asked.try_recv().is_err(), "who is being asked is not asked about another connection");
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
        }
    }
}

#[test]
fn each_tasks_own_delegate_is_asked_about_a_connection_that_others_have_made() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let session = UrlSession::new(configuration(&origin));
        let load = || session.data(origin.url("/Peru"));
        assert_eq!(load().wait().unwrap().0, "Lima");
        let accepting = always(Disposition::PerformDefaultHandling);
        assert_eq!(load().delegate(accepting.clone()).wait().unwrap().0, "Lima");
        assert_eq!(accepting.asked.lock().unwrap().len(), 1);
        let shown = accepting.asked.lock().unwrap()[0].protection_space().server_trust().unwrap().clone();
        assert_eq!(shown.certificates(), origin.authority().local().chain_der());
        let refusing = always(Disposition::CancelAuthenticationChallenge);
        let error = load().delegate(refusing).wait().unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::Cancelled);
        assert_eq!(load().wait().unwrap().0, "Lima");
        assert_eq!((origin.requests().len(), origin.connection_count()), (3, 1));
    }
}

/// Answers as the delegate of the session.
struct OfSession(Arc<Decide>);

impl TaskDelegate for OfSession {}

impl SessionDelegate for OfSession {
    fn did_receive_session_challenge(
        &self,
        _: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        (self.0)(challenge)
    }
}

pub(crate) fn with_session_delegate(
    configuration: Configuration,
    decide: impl Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync + 'static,
) -> UrlSession {
    UrlSession::with_delegate(configuration, Arc::new(OfSession(Arc::new(decide))), DelegateQueue::serial())
}

#[test]
fn what_the_session_trusts_serves_its_tasks_but_not_those_with_delegates_of_their_own() {
    for wire in TLS {
        let origin = self_signed(wire);
        let session = with_session_delegate(configuration(&origin), trust);
        let load = || session.data(origin.url("/Peru"));
        (0..3).for_each(|_| assert_eq!(load().wait().unwrap().0, "Lima"));
        assert_eq!(origin.connection_count(), 1);
        untrusted(load().delegate(always(Disposition::RejectProtectionSpace)).wait());
        // A delegate that passes the question on gets the session's answer, on a connection of its own.
        assert_eq!(load().delegate(silent()).wait().unwrap().0, "Lima");
        assert_eq!(load().wait().unwrap().0, "Lima");
        let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
        let first = connections[0];
        assert!(connections[3] != first && connections[4] == first, "{connections:?}");
    }
}

#[test]
fn trust_in_one_server_is_none_in_another() {
    for wire in TLS {
        let [one, other] = [self_signed(wire), self_signed(wire)];
        // Answers every challenge as it answered the first one.
        let first = Mutex::new(None);
        let session = with_session_delegate(configuration(&one), move |challenge| {
            let trust = challenge.protection_space().server_trust().unwrap();
            let mut first = first.lock().unwrap();
            let credential = first.get_or_insert_with(|| UrlCredential::for_trust(trust.clone()));
            Disposition::UseCredential(Some(credential.clone())).into()
        });
        assert_eq!(session.data(one.url("/Peru")).wait().unwrap().0, "Lima");
        untrusted(session.data(other.url("/Peru")).wait());
        assert_eq!(session.data(one.url("/Peru")).wait().unwrap().0, "Lima");
    }
}

#[test]
fn the_session_is_asked_about_a_connection_that_a_tasks_own_delegate_accepted() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let session = with_session_delegate(configuration(&origin), |_| {
            Decision::now(Disposition::RejectProtectionSpace)
        });
        let load = || session.data(origin.url("/Peru"));
        assert_eq!(load().delegate(Trusting).wait().unwrap().0, "Lima");
        untrusted(load().wait());
        assert_eq!(origin.requests().len(), 1);
    }
}

/// The session's delegate, which trusts servers for the first task only.
struct OfFirstTask;

impl TaskDelegate for OfFirstTask {
    fn did_receive_challenge(
        &self,
        task: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        if task.task_description().as_deref() == Some("trusted") {
            trust(challenge)
        } else {
            Decision::default_handling()
        }
    }
}

impl SessionDelegate for OfFirstTask {}

#[test]
fn what_the_sessions_delegate_decides_for_a_task_is_for_that_task() {
    for wire in TLS {
        let origin = self_signed(wire);
        let session =
            UrlSession::with_delegate(configuration(&origin), Arc::new(OfFirstTask), DelegateQueue::serial());
        let load = |description: &str| {
            let load = session.data(origin.url("/Peru"));
            load.task().set_task_description(Some(description));
            load
        };
        assert_eq!(load("trusted").wait().unwrap().0, "Lima");
        untrusted(load("other").wait());
        // Together too.
        let loads: Vec<_> = (0..6)
            .map(|number| {
                let load = load(if number % 2 == 0 { "trusted" } else { "other" });
                std::thread::spawn(move || load.wait().map(|_| ()))
            })
            .collect();
        for (number, load) in loads.into_iter().enumerate() {
            let result = load.join().unwrap();
            if number % 2 == 0 { result.unwrap() } else { untrusted(result) }
        }
        assert_eq!(origin.requests().len(), 4);
    }
}

#[test]
fn trust_through_a_tunnel_serves_no_other_task_either() {
    for wire in TLS {
        let (origin, proxy) = (self_signed(wire), Proxy::start());
        let dictionary = ProxyDictionary::with_proxy("127.0.0.1", proxy.port());
        let session = UrlSession::new(configuration(&origin).connection_proxy_dictionary(dictionary));
        assert_eq!(session.data(origin.url("/Peru")).delegate(Trusting).wait().unwrap().0, "Lima");
        untrusted(session.data(origin.url("/Peru")).wait());
        assert_eq!((origin.requests().len(), proxy.connection_count()), (1, 2));
    }
}

#[test]
fn the_session_ticket_of_a_connection_that_one_task_trusts_is_not_offered_again() {
    for tls12_only in [false, true] {
        let origin = Origin::builder()
            .wire(Wire::TlsH1)
            .certificate(TestAuthority::new().self_signed())
            .tls12_only(tls12_only)
            .start();
        let session = UrlSession::new(configuration(&origin));
        for _ in 0..2 {
            origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
            session.data(origin.url("/a")).delegate(Trusting).wait().unwrap();
        }
        assert!(!origin.requests()[1].tls.as_ref().unwrap().resumed);
        let session = with_session_delegate(configuration(&origin), trust);
        for _ in 0..2 {
            origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
            session.data(origin.url("/a")).wait().unwrap();
        }
        assert!(origin.requests()[3].tls.as_ref().unwrap().resumed, "what the session trusts is resumed");
        origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
        session.data(origin.url("/a")).delegate(Trusting).wait().unwrap();
        assert!(!origin.requests()[4].tls.as_ref().unwrap().resumed, "but not by a task that decides itself");
    }
}

fn identity(certificate: &Certificate, persistence: Persistence) -> UrlCredential {
    UrlCredential::with_identity(certificate.chain_der().to_vec(), certificate.key_der(), persistence)
}

fn showing(
    identity: UrlCredential,
) -> impl Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync + 'static {
    move |challenge| match challenge.protection_space().authentication_method() {
        Method::ClientCertificate => Disposition::UseCredential(Some(identity.clone())).into(),
        _ => Decision::default_handling(),
    }
}

#[test]
fn a_client_certificate_for_once_serves_one_task_only() {
    for wire in TLS {
        for tls12_only in [false, true] {
            if tls12_only && wire == Wire::TlsH2 {
                continue;
            }
            let origin =
                Origin::builder().wire(wire).require_client_certificate(true).tls12_only(tls12_only).start();
            let session = UrlSession::new(configuration(&origin));
            let [ann, bob] = ["ann", "bob"].map(|name| origin.authority().client(name));
            let load = || session.data(origin.url("/Peru"));
            let for_once = |who: &Certificate| Own::new(showing(identity(who, Persistence::None)));
            assert_eq!(load().delegate(for_once(&ann)).wait().unwrap().0, "Lima");
            // Over HTTP/2 with TLS 1.3 the refusal comes after the handshake, as a broken connection.
            let refused = [load().wait().unwrap_err(), load().delegate(silent()).wait().unwrap_err()];
            for error in refused.iter().filter(|_| wire == Wire::TlsH1) {
                assert_eq!(error.code(), UrlErrorCode::ClientCertificateRequired, "{error}");
            }
            assert_eq!(load().delegate(for_once(&bob)).wait().unwrap().0, "Lima");
            let shown: Vec<_> = origin
                .requests()
                .iter()
                .map(|request| {
                    let tls = request.tls.as_ref().unwrap();
                    assert!(!tls.resumed);
                    tls.client_certificates.clone()
                })
                .collect();
            assert_eq!(shown, [ann.chain_der(), bob.chain_der()]);
        }
    }
}

#[test]
fn a_client_certificate_for_once_is_for_one_task_though_the_session_gives_it() {
    for wire in TLS {
        let origin = Origin::builder().wire(wire).require_client_certificate(true).start();
        let asked = Arc::new(Mutex::new(0));
        let (counter, show) =
            (asked.clone(), showing(identity(&origin.authority().client("ann"), Persistence::None)));
        let session = with_session_delegate(configuration(&origin), move |challenge| {
            let method = challenge.protection_space().authentication_method();
            *counter.lock().unwrap() += i32::from(method == Method::ClientCertificate);
            show(challenge)
        });
        for count in 1..=2 {
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            assert_eq!(*asked.lock().unwrap(), count);
        }
        assert!(origin.requests().iter().all(|request| !request.tls.as_ref().unwrap().resumed));
    }
}

/// A stored response of a trusted server, and a session to which the same server is one that only a delegate trusts.
fn stored_by_another(origin: &Origin, control: &str) -> (UrlSession, Configuration, HandClock) {
    let clock = HandClock::new();
    let mut configuration = configuration(origin);
    configuration.environment.clock = Arc::new(clock.clone());
    let trusting = UrlSession::new(configuration.clone());
    let fields = [("Cache-Control", control), ("ETag", "\"a\"")];
    let reply =
        fields.iter().fold(Reply::new(200).body("good"), |reply, (name, value)| reply.header(*name, *value));
    origin.enqueue("/x", reply);
    assert_eq!(trusting.data(origin.url("/x")).wait().unwrap().0, "good");
    configuration.additional_trust_anchors.clear();
    (trusting, configuration, clock)
}

#[test]
fn responses_of_a_server_that_only_a_delegate_trusts_are_not_stored() {
    for wire in TLS {
        for is_of_session in [false, true] {
            let origin = self_signed(wire);
            let configuration = configuration(&origin);
            let session = match is_of_session {
                true => with_session_delegate(configuration.clone(), trust),
                false => UrlSession::new(configuration.clone()),
            };
            for _ in 0..2 {
                origin.enqueue("/a", Reply::new(200).header("Cache-Control", "max-age=600").body("x"));
                let load = session.data(origin.url("/a"));
                let load = if is_of_session { load } else { load.delegate(Trusting) };
                let task = load.task();
                assert_eq!(load.wait().unwrap().0, "x");
                let decision = task.metrics().unwrap().transaction_metrics[0].cache_decision.unwrap();
                assert_eq!(decision.storage, CacheStorage::Refused(NotStored::UntrustedServer));
                assert!(decision.to_string().ends_with("only a delegate trusts the server"), "{decision}");
            }
            assert_eq!(origin.requests().len(), 2);
            // Whoever would refuse the server does not get what it said.
            untrusted(UrlSession::new(configuration).data(origin.url("/a")).wait());
        }
    }
}

#[test]
fn a_server_that_only_a_delegate_trusts_confirms_nothing_and_makes_nothing_void() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let (trusting, configuration, clock) = stored_by_another(&origin, "max-age=10");
        clock.advance(std::time::Duration::from_secs(20));
        let session = UrlSession::new(configuration);
        // Asked about what is stored, it says that it has not changed: its own answer is wanted.
        origin.enqueue("/x", Reply::new(304).header("ETag", "\"a\"").header("Cache-Control", "max-age=600"));
        origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=600").body("bad"));
        assert_eq!(session.data(origin.url("/x")).delegate(Trusting).wait().unwrap().0, "bad");
        assert_eq!(origin.requests()[1].header("if-none-match"), Some("\"a\""));
        assert_eq!(origin.requests()[2].header("if-none-match"), None);
        // A change that it reports is not believed either.
        let post = request(&origin.url("/x"), "POST", Some(b"1"));
        session.data(post).delegate(Trusting).wait().unwrap();
        origin.enqueue("/x", Reply::new(200).header("Cache-Control", "max-age=600").body("worse"));
        assert_eq!(session.data(origin.url("/x")).delegate(Trusting).wait().unwrap().0, "worse");
        // Those who trust it find what they stored, still as old as it was.
        origin.enqueue("/x", Reply::new(304).header("ETag", "\"a\"").header("Cache-Control", "max-age=600"));
        assert_eq!(trusting.data(origin.url("/x")).wait().unwrap().0, "good");
        assert_eq!(origin.requests().last().unwrap().header("if-none-match"), Some("\"a\""));
        let count = origin.requests().len();
        assert_eq!(trusting.data(origin.url("/x")).wait().unwrap().0, "good");
        assert_eq!(origin.requests().len(), count);
    }
}

#[test]
fn parts_from_a_server_that_only_a_delegate_trusts_are_neither_stored_nor_joined() {
    for wire in TLS {
        let origin = self_signed(wire);
        let configuration = configuration(&origin);
        let session = UrlSession::new(configuration);
        for _ in 0..2 {
            let part = Reply::new(206).header("Content-Range", "bytes 0-1/4").header("ETag", "\"a\"");
            origin.enqueue("/a", part.header("Cache-Control", "max-age=600").body("ab"));
            let mut request = request(&origin.url("/a"), "GET", None);
            request.set_value("Range", "bytes=0-1").unwrap();
            let load = session.data(request).delegate(Trusting);
            let task = load.task();
            assert_eq!(load.wait().unwrap().0, "ab");
            let decision = task.metrics().unwrap().transaction_metrics[0].cache_decision.unwrap();
            assert_eq!(decision.storage, CacheStorage::Refused(NotStored::UntrustedServer));
        }
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn nothing_is_asked_for_anew_behind_its_user_over_a_connection_that_a_delegate_trusts() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let (trusting, configuration, clock) =
            stored_by_another(&origin, "max-age=10, stale-while-revalidate=600");
        let session = with_session_delegate(configuration, trust);
        assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
        clock.advance(std::time::Duration::from_secs(20));
        assert_eq!(session.data(origin.url("/x")).wait().unwrap().0, "good");
        // Behind it a connection is tried that is not trusted.
        assert!(origin.wait_for(|journal| !journal.failed_handshakes.is_empty(), PATIENCE));
        assert_eq!(origin.requests().len(), 2);
        assert_eq!(trusting.data(origin.url("/x")).wait().unwrap().0, "good");
    }
}

#[test]
fn a_download_goes_on_with_the_servers_that_its_delegate_trusted_and_no_others() {
    for wire in TLS {
        let (anchored, own) = (true, false);
        // How the server is trusted first, how then, and whether the rest is joined.
        for (first, then, goes_on) in
            [(own, own, true), (own, anchored, false), (anchored, own, true), (anchored, anchored, true)]
        {
            let ranges = Ranges::start(wire);
            let folder = tempfile::tempdir().unwrap();
            let download = |is_anchored: bool| {
                let to = DownloadDestination::file(folder.path().join("file.bin")).overwriting();
                match is_anchored {
                    true => ranges.download().to(to),
                    false => UrlSession::new(Configuration::ephemeral())
                        .download(ranges.url())
                        .to(to)
                        .delegate(Trusting),
                }
            };
            ranges.then(|_| whole().truncate_at(1000));
            download(first).wait().unwrap_err();
            let (file, _) = download(then).wait().unwrap();
            assert!(std::fs::read(file.path()).unwrap() == content());
            let asked: Vec<_> = ranges
                .origin
                .requests()
                .iter()
                .map(|request| request.header("range").map(ToOwned::to_owned))
                .collect();
            let rest = Some("bytes=1000-".to_owned());
            match goes_on {
                true => assert_eq!(asked, [None, rest]),
                false => assert_eq!(asked, [None, rest, None], "all of it"),
            }
        }
    }
}

#[test]
fn what_was_joined_from_a_server_that_only_a_delegate_trusts_is_as_little_trusted() {
    let ranges = Ranges::start(Wire::TlsH1);
    ranges.then(|_| whole().truncate_at(1000));
    let data = ranges.download().wait().unwrap_err().resume_data().unwrap();
    ranges.then(|_| part(1000, LENGTH).truncate_at(1000));
    let resumed = UrlSession::new(Configuration::ephemeral()).download_resume_from(data).delegate(Trusting);
    let data = resumed.wait().unwrap_err().resume_data().unwrap();
    let (file, response) = ranges.session().download_resume_from(data).wait().unwrap();
    assert_eq!(response.status_code(), Some(200), "begun anew");
    assert!(std::fs::read(file.path()).unwrap() == content());
}

#[test]
fn how_a_server_that_only_a_delegate_trusts_takes_uploads_is_not_kept() {
    let refusing = |request: &Request| match request.header("upload-draft-interop-version") {
        Some(_) => Reply::new(400),
        None => Reply::new(200),
    };
    for wire in TLS {
        let origin = Origin::builder().wire(wire).handler(refusing).start();
        let storage = Some(UploadServerStorage::ephemeral());
        let anchored = configuration(&origin).upload_server_storage(storage);
        let not_anchored = anchored.clone().additional_trust_anchors(Vec::<Vec<u8>>::new());
        let [anchored, not_anchored] = [anchored, not_anchored].map(UrlSession::new);
        let tries = |session: &UrlSession| {
            let before = origin.requests().len();
            let upload = session.upload(request(&origin.url("/"), "POST", None), "content");
            upload.delegate(Trusting).wait().unwrap();
            origin.requests().len() - before
        };
        assert_eq!([&not_anchored; 2].map(tries), [2, 2]);
        assert_eq!([&anchored; 2].map(tries), [2, 1]);
    }
}
