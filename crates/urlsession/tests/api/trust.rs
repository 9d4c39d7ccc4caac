//! Challenges of TLS: whom a delegate trusts, and what it shows of itself, before anything else is said.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence as Persistence, UrlProtectionSpace, UrlProtectionSpaceProtocol,
};
use urlsession::environment::{Dial, Interface, Socket};
use urlsession::security::{AppTransportSecurity, ExceptionDomain, PinnedDomain, TlsVersion};
use urlsession::{
    Configuration, Decision, DelegateQueue, Responder, SessionDelegate, TaskDelegate, UrlErrorCode,
    UrlSession,
};
use urlsession_testkit::{After, Certificate, Origin, Reply, TestAuthority, Wire};

use crate::support::*;

type Decide = dyn Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync;

/// Decides challenges at the session's level, and remembers them.
#[derive(Clone)]
struct Judge {
    decide: Arc<Decide>,
    seen: Arc<Mutex<Vec<UrlAuthenticationChallenge>>>,
}

impl TaskDelegate for Judge {}

impl SessionDelegate for Judge {
    fn did_receive_session_challenge(
        &self,
        _: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.seen.lock().unwrap().push(challenge.clone());
        (self.decide)(challenge)
    }
}

impl Judge {
    fn new(
        decide: impl Fn(&UrlAuthenticationChallenge) -> Decision<Disposition> + Send + Sync + 'static,
    ) -> Self {
        Self { decide: Arc::new(decide), seen: Arc::default() }
    }

    fn always(disposition: Disposition) -> Self {
        Self::new(move |_| Decision::now(disposition.clone()))
    }

    /// Trusts everybody.
    fn trusting() -> Self {
        Self::new(|challenge| match challenge.protection_space().server_trust() {
            Some(trust) => Disposition::UseCredential(Some(UrlCredential::for_trust(trust.clone()))).into(),
            None => Decision::default_handling(),
        })
    }

    fn session(&self, configuration: Configuration) -> UrlSession {
        UrlSession::with_delegate(configuration, Arc::new(self.clone()), DelegateQueue::serial())
    }

    fn methods(&self) -> Vec<Method> {
        self.seen.lock().unwrap().iter().map(|seen| seen.protection_space().authentication_method()).collect()
    }
}

fn origin(wire: Wire, certificate: Certificate) -> Origin {
    Origin::builder().wire(wire).certificate(certificate).start()
}

const TLS: [Wire; 2] = [Wire::TlsH1, Wire::TlsH2];

#[test]
fn a_delegate_sees_the_servers_certificates_once_a_connection_and_default_handling_is_the_platforms() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let judge = Judge::always(Disposition::PerformDefaultHandling);
        let session = judge.session(configuration(&origin));
        (0..3).for_each(|_| assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima"));
        assert_eq!(judge.methods(), [Method::ServerTrust]);
        let seen = judge.seen.lock().unwrap();
        let space = seen[0].protection_space();
        assert_eq!((space.host(), space.port()), ("localhost", origin.port()));
        let trust = space.server_trust().unwrap();
        assert_eq!(trust.certificates(), origin.authority().local().chain_der());
        assert!(trust.evaluate().is_ok());
    }
}

#[test]
fn a_server_the_platform_does_not_trust_is_loaded_if_the_delegate_does() {
    let authority = TestAuthority::new();
    for wire in TLS {
        for bad in [
            authority.self_signed(),
            authority.expired(),
            authority.wrong_host(),
            authority.unknown_authority(),
        ] {
            let origin = origin(wire, bad);
            let judge = Judge::trusting();
            let session = judge.session(configuration(&origin));
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            assert!(
                judge.seen.lock().unwrap()[0].protection_space().server_trust().unwrap().evaluate().is_err()
            );
            let doubtful = Judge::always(Disposition::PerformDefaultHandling);
            let error =
                doubtful.session(configuration(&origin)).data(origin.url("/Peru")).wait().unwrap_err();
            assert_eq!(error.peer_trust().unwrap().certificates().len(), 1, "{error}");
        }
    }
}

#[test]
fn a_server_the_platform_trusts_is_refused_if_the_delegate_does_not() {
    for wire in TLS {
        let origin = Origin::start(wire);
        for (disposition, code) in [
            (Disposition::CancelAuthenticationChallenge, UrlErrorCode::Cancelled),
            (Disposition::RejectProtectionSpace, UrlErrorCode::ServerCertificateUntrusted),
        ] {
            let session = Judge::always(disposition).session(configuration(&origin));
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap_err().code(), code);
        }
        assert!(origin.requests().is_empty());
    }
}

fn is_a_client_hello_and_nothing_else(bytes: &[u8]) -> bool {
    let [22, _, _, high, low, 1, ..] = *bytes else { return false };
    bytes.len() == 5 + usize::from(u16::from_be_bytes([high, low]))
}

fn deferring() -> (Judge, Receiver<(Method, Responder<Disposition>)>) {
    let (sender, asked) = mpsc::channel();
    let judge = Judge::new(move |challenge| {
        let (answer, responder) = Decision::deferred();
        sender.send((challenge.protection_space().authentication_method(), responder)).unwrap();
        answer
    });
    (judge, asked)
}

#[test]
fn before_the_verdict_the_server_has_a_client_hello_and_nothing_else() {
    for tls12_only in [false, true] {
        for wire in TLS {
            let origin = Origin::builder().wire(wire).tls12_only(tls12_only).start();
            let (port, heard) = relay(&origin);
            let (judge, asked) = deferring();
            let session = judge.session(configuration(&origin));
            let task = session.data_task(format!("https://localhost:{port}/Peru"));
            task.resume();
            let (method, responder) = asked.recv_timeout(PATIENCE).unwrap();
            assert_eq!(method, Method::ServerTrust);
            assert!(is_a_client_hello_and_nothing_else(&heard.lock().unwrap()[0]));
            responder.answer(Disposition::RejectProtectionSpace);
            assert!(origin.wait_for(|journal| journal.closed == 1, PATIENCE));
            assert!(is_a_client_hello_and_nothing_else(&heard.lock().unwrap()[0]), "after a refusal too");
        }
    }
}

#[test]
fn a_late_answer_is_waited_for_and_the_request_then_goes_out() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let (judge, asked) = deferring();
        let session = judge.session(configuration(&origin));
        let (sender, done) = mpsc::channel();
        session
            .data_task_with_handler(origin.url("/Peru"), move |result| sender.send(result).unwrap())
            .resume();
        let (_, responder) = asked.recv_timeout(PATIENCE).unwrap();
        assert!(origin.requests().is_empty());
        responder.answer(Disposition::PerformDefaultHandling);
        assert_eq!(done.recv_timeout(PATIENCE).unwrap().unwrap().0, "Lima");
    }
}

#[test]
fn a_responder_that_is_dropped_is_the_default_and_a_panic_fails_the_task() {
    for wire in TLS {
        let origin = Origin::start(wire);
        let (judge, asked) = deferring();
        let session = judge.session(configuration(&origin));
        let (sender, done) = mpsc::channel();
        session
            .data_task_with_handler(origin.url("/Peru"), move |result| sender.send(result).unwrap())
            .resume();
        drop(asked.recv_timeout(PATIENCE).unwrap());
        assert!(done.recv_timeout(PATIENCE).unwrap().is_ok());

        let session = Judge::new(|_| panic!("no judge")).session(configuration(&origin));
        let error = load(&session, origin.url("/Peru")).unwrap_err();
        assert!(error.to_string().contains("no judge"), "{error}");
    }
}

#[test]
fn a_task_cancelled_while_the_delegate_thinks_is_over_at_once() {
    let origin = Origin::start(Wire::TlsH1);
    let (judge, asked) = deferring();
    let session = judge.session(configuration(&origin));
    let (sender, done) = mpsc::channel();
    let task =
        session.data_task_with_handler(origin.url("/Peru"), move |result| sender.send(result).unwrap());
    task.resume();
    let (_, responder) = asked.recv_timeout(PATIENCE).unwrap();
    task.cancel();
    assert_eq!(done.recv_timeout(PATIENCE).unwrap().unwrap_err().code(), UrlErrorCode::Cancelled);
    responder.answer(Disposition::PerformDefaultHandling);
}

#[test]
fn a_resumed_session_is_judged_again() {
    let authority = TestAuthority::new();
    let origin = origin(Wire::TlsH1, authority.self_signed());
    let judge = Judge::trusting();
    let session = judge.session(configuration(&origin));
    for _ in 0..2 {
        origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
        session.data(origin.url("/a")).wait().unwrap();
    }
    assert!(origin.requests()[1].tls.as_ref().unwrap().resumed);
    assert_eq!(judge.methods(), [Method::ServerTrust, Method::ServerTrust]);
    let seen = judge.seen.lock().unwrap();
    let trust = |at: usize| seen[at].protection_space().server_trust().unwrap().clone();
    assert_eq!(trust(0), trust(1));
    assert_eq!(trust(1).evaluate().unwrap_err().code(), UrlErrorCode::ServerCertificateUntrusted);
}

#[test]
fn what_one_tasks_delegate_trusted_is_not_resumed_by_a_task_without_one() {
    let origin = origin(Wire::TlsH1, TestAuthority::new().self_signed());
    let session = UrlSession::new(configuration(&origin));
    origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
    session.data(origin.url("/a")).delegate(Trusting).wait().unwrap();
    let error = session.data(origin.url("/a")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ServerCertificateUntrusted, "{error}");
    assert_eq!(origin.requests().len(), 1);
}

/// An origin under a name that is not this machine's.
fn elsewhere(certificate: Certificate) -> (Origin, Configuration, String) {
    let origin = origin(Wire::TlsH1, certificate);
    let mut configuration = configuration(&origin);
    configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
    let url = format!("https://elsewhere.test:{}/Peru", origin.port());
    (origin, configuration, url)
}

#[test]
fn app_transport_security_says_where_a_delegate_may_loosen_trust() {
    let strangers = TestAuthority::separate("strangers");
    let (origin, mut configuration, url) = elsewhere(strangers.leaf(&["elsewhere.test"]));
    let error = Judge::trusting().session(configuration.clone()).data(&*url).wait().unwrap_err();
    assert_eq!(error.code(), unknown_root());
    assert!(error.to_string().contains("allows_insecure_http_loads"), "{error}");
    configuration.app_transport_security.exception_domains =
        vec![ExceptionDomain::new("elsewhere.test").allows_insecure_http_loads(true)];
    assert_eq!(Judge::trusting().session(configuration).data(&*url).wait().unwrap().0, "Lima");
    assert_eq!(origin.requests().len(), 1);
}

/// Whatever the address, the origin is there.
struct Leading(SocketAddr);

impl Dial for Leading {
    fn dial(
        &self,
        _: SocketAddr,
        _: Option<&Interface>,
    ) -> Option<Pin<Box<dyn Future<Output = io::Result<Socket>> + Send>>> {
        let origin = self.0;
        Some(Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(origin).await?;
            Ok(Socket::new(stream))
        }))
    }
}

#[test]
fn a_delegate_may_loosen_trust_on_the_local_network_unless_its_setting_forbids() {
    let strangers = TestAuthority::separate("strangers");
    for host in ["10.0.0.7", "169.254.1.7", "[fd00::7]", "printer.local", "8.8.8.8"] {
        let origin = origin(Wire::TlsH1, strangers.leaf(&[host.trim_matches(['[', ']'])]));
        for setting in [None, Some(true), Some(false)] {
            let mut configuration = configuration(&origin);
            configuration.environment.resolver = Arc::new(Everywhere(origin.addr()));
            configuration.environment.dialler = Arc::new(Leading(origin.addr()));
            configuration.app_transport_security.allows_local_networking = setting;
            let url = format!("https://{host}:{}/Peru", origin.port());
            let loaded = Judge::trusting().session(configuration).data(url).wait();
            match host == "8.8.8.8" || setting == Some(false) {
                true => assert_eq!(loaded.unwrap_err().code(), unknown_root(), "{host} {setting:?}"),
                false => assert_eq!(loaded.unwrap().0, "Lima", "{host} {setting:?}"),
            }
        }
    }
}

#[test]
fn pinned_domains_must_show_their_keys_beside_being_trusted() {
    let authority = TestAuthority::new();
    let leaf = authority.leaf(&["elsewhere.test"]);
    let (_origin, configuration, url) = elsewhere(leaf.clone());
    let load = |ca: &[[u8; 32]], leaf: &[[u8; 32]]| {
        let pinned =
            PinnedDomain::new("elsewhere.test").ca_identities(ca.to_vec()).leaf_identities(leaf.to_vec());
        let app_transport_security = AppTransportSecurity::default().pinned_domains([pinned]);
        let configuration = configuration.clone().app_transport_security(app_transport_security);
        UrlSession::new(configuration).data(&*url).wait().map(|(data, _)| data)
    };
    let (right, other) = (leaf.public_key_sha256(), authority.leaf(&["elsewhere.test"]).public_key_sha256());
    let root = authority.public_key_sha256();
    assert_eq!(load(&[], &[other, right]).unwrap(), "Lima");
    assert_eq!(load(&[root], &[]).unwrap(), "Lima");
    assert_eq!(load(&[root], &[right]).unwrap(), "Lima");
    for (ca, leaf) in
        [(vec![], vec![other]), (vec![other], vec![]), (vec![root], vec![other]), (vec![right], vec![])]
    {
        let error = load(&ca, &leaf).unwrap_err();
        assert_eq!(error.code(), UrlErrorCode::ServerCertificateUntrusted);
        assert!(error.to_string().contains("pinned_domains"), "{error}");
    }
}

/// On Unix the platform's own store can be another for one process.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn a_root_of_the_platform_that_the_server_does_not_send_may_be_pinned() {
    let authority = TestAuthority::separate("platform");
    let origin = origin(Wire::TlsH1, authority.local());
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, format!("{}{}", TestAuthority::new().pem(), authority.pem())).unwrap();
    let other = TestAuthority::new().public_key_sha256();
    let hex = |hash: [u8; 32]| hash.map(|byte| format!("{byte:02x}")).concat();
    let facts = [origin.url("/Peru"), hex(authority.public_key_sha256()), hex(other)];
    std::fs::write(folder.path().join("facts"), facts.join("\n")).unwrap();
    in_a_process_of_its_own("trust::pins_a_root_of_the_platform", ("SSL_CERT_FILE", roots.to_str().unwrap()));
}

#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
#[ignore = "a process of its own for the test above"]
fn pins_a_root_of_the_platform() {
    let Some(roots) = std::env::var_os("SSL_CERT_FILE") else { return };
    let facts = std::fs::read_to_string(std::path::Path::new(&roots).with_file_name("facts")).unwrap();
    let [url, right, other] = facts.lines().collect::<Vec<_>>()[..] else { panic!("{facts}") };
    let load = |pin: &str| {
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(pin.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        let mut configuration = Configuration::ephemeral();
        configuration.app_transport_security.pinned_domains =
            vec![PinnedDomain::new("localhost").ca_identities([hash])];
        UrlSession::new(configuration).data(url).wait()
    };
    assert_eq!(load(right).unwrap().0, "Lima");
    let error = load(other).unwrap_err();
    assert!(error.to_string().contains("pinned_domains"), "of a root that has not vouched: {error}");
}

#[test]
fn a_domain_may_want_a_newer_tls_than_the_rest() {
    let origin = Origin::builder().wire(Wire::TlsH1).tls12_only(true).start();
    let mut configuration = configuration(&origin);
    configuration.app_transport_security.exception_domains =
        vec![ExceptionDomain::new("localhost").minimum_tls_version(TlsVersion::Tls13)];
    let session = UrlSession::new(configuration);
    let addressed = origin.url("/Peru").replace("localhost", "127.0.0.1");
    assert_eq!(session.data(addressed).wait().unwrap().0, "Lima");
    let error = session.data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::SecureConnectionFailed);
}

fn identity(certificate: &Certificate, persistence: Persistence) -> UrlCredential {
    UrlCredential::with_identity(certificate.chain_der().to_vec(), certificate.key_der(), persistence)
}

/// Trusts by default, and shows `identity`.
fn showing(identity: UrlCredential) -> Judge {
    Judge::new(move |challenge| match challenge.protection_space().authentication_method() {
        Method::ClientCertificate => Disposition::UseCredential(Some(identity.clone())).into(),
        _ => Decision::default_handling(),
    })
}

#[test]
fn a_client_certificate_is_asked_for_after_the_server_is_trusted_and_shown_to_it_alone() {
    for tls12_only in [false, true] {
        let origin = Origin::builder()
            .wire(Wire::TlsH1)
            .require_client_certificate(true)
            .tls12_only(tls12_only)
            .start();
        let (port, heard) = relay(&origin);
        let certificate = origin.authority().client("ann");
        let judge = showing(identity(&certificate, Persistence::None));
        let session = judge.session(configuration(&origin));
        let url = format!("https://localhost:{port}/Peru");
        assert_eq!(session.data(&*url).wait().unwrap().0, "Lima");
        assert_eq!(judge.methods()[..2], [Method::ServerTrust, Method::ClientCertificate]);
        let seen = judge.seen.lock().unwrap()[1].clone();
        let issuers = seen.protection_space().distinguished_names().unwrap();
        assert!(!issuers.is_empty() && issuers.iter().all(|name| name[0] == 0x30), "names in DER");
        assert_eq!(origin.requests()[0].tls.as_ref().unwrap().client_certificates, certificate.chain_der());
        assert!(
            is_a_client_hello_and_nothing_else(&heard.lock().unwrap()[0]),
            "the first connection was given up"
        );
    }
}

#[test]
fn a_client_certificate_for_the_session_is_asked_for_once() {
    let origin = Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).start();
    let judge = showing(identity(&origin.authority().client("ann"), Persistence::ForSession));
    let session = judge.session(configuration(&origin));
    for _ in 0..3 {
        origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
        session.data(origin.url("/a")).wait().unwrap();
    }
    let asked = judge.methods().into_iter().filter(|method| *method == Method::ClientCertificate).count();
    assert_eq!(asked, 1);
}

#[test]
fn a_stored_client_certificate_is_shown_without_a_delegate_and_proposed_to_one() {
    let origin = Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).start();
    let configuration = configuration(&origin);
    let space = UrlProtectionSpace::new(
        "localhost",
        origin.port(),
        UrlProtectionSpaceProtocol::Https,
        None,
        Method::ClientCertificate,
    );
    let stored = identity(&origin.authority().client("ann"), Persistence::ForSession);
    configuration.url_credential_storage.as_ref().unwrap().set(&stored, &space);
    assert_eq!(UrlSession::new(configuration.clone()).data(origin.url("/Peru")).wait().unwrap().0, "Lima");
    let judge = Judge::always(Disposition::PerformDefaultHandling);
    assert_eq!(judge.session(configuration.clone()).data(origin.url("/Peru")).wait().unwrap().0, "Lima");
    assert_eq!(judge.seen.lock().unwrap()[1].proposed_credential(), Some(&stored));
    let judge = Judge::new(|challenge| match challenge.protection_space().authentication_method() {
        Method::ClientCertificate => Disposition::RejectProtectionSpace.into(),
        _ => Decision::default_handling(),
    });
    let error = judge.session(configuration).data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ClientCertificateRequired);
}

#[test]
fn without_a_client_certificate_the_server_decides_and_a_wrong_one_is_rejected() {
    let origin = Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).start();
    let none = Judge::always(Disposition::PerformDefaultHandling).session(configuration(&origin));
    let error = none.data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ClientCertificateRequired, "{error}");
    let stranger = TestAuthority::separate("strangers").client("eve");
    let wrong = showing(identity(&stranger, Persistence::None)).session(configuration(&origin));
    let error = wrong.data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::ClientCertificateRejected, "{error}");
    let broken = UrlCredential::with_identity(vec![vec![1]], vec![2], Persistence::None);
    let error = showing(broken).session(configuration(&origin)).data(origin.url("/Peru")).wait().unwrap_err();
    assert!(error.to_string().contains("PKCS#8"), "{error}");
    let cancelling = Judge::new(|challenge| match challenge.protection_space().authentication_method() {
        Method::ClientCertificate => Disposition::CancelAuthenticationChallenge.into(),
        _ => Decision::default_handling(),
    });
    let error = cancelling.session(configuration(&origin)).data(origin.url("/Peru")).wait().unwrap_err();
    assert_eq!(error.code(), UrlErrorCode::Cancelled);
}

#[test]
fn a_tasks_own_delegate_is_asked_about_trust_first() {
    let origin = origin(Wire::TlsH1, TestAuthority::new().self_signed());
    let judge = Judge::always(Disposition::RejectProtectionSpace);
    let session = judge.session(configuration(&origin));
    let load = session.data(origin.url("/Peru")).delegate(Trusting);
    assert_eq!(load.wait().unwrap().0, "Lima");
    assert!(judge.methods().is_empty());
}
