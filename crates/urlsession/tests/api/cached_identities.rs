//! What was answered to one user is not served to another from the cache, where no field of the request says who it is: the
//! connection is logged in, or the client's certificate was shown on it.

use std::sync::Arc;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use urlsession::{
    Configuration, Decision, DelegateQueue, SessionDelegate, TaskDelegate, UrlErrorCode, UrlSession,
};
use urlsession_testkit::{Origin, Reply, Request, Wire};

use crate::support::*;

/// A server that wants a certificate and whose answers may be kept.
fn demanding(control: &'static str) -> Origin {
    let answer = move |_: &Request| Reply::new(200).header("Cache-Control", control).body("ann's");
    Origin::builder().wire(Wire::TlsH1).require_client_certificate(true).handler(answer).start()
}

fn client(origin: &Origin, name: &str, persistence: Persistence) -> UrlCredential {
    let certificate = origin.authority().client(name);
    UrlCredential::with_identity(certificate.chain_der().to_vec(), certificate.key_der(), persistence)
}

fn space(origin: &Origin) -> UrlProtectionSpace {
    let https = UrlProtectionSpaceProtocol::Https;
    UrlProtectionSpace::new("localhost", origin.port(), https, None, Method::ClientCertificate)
}

/// Gives a credential to whoever asks for one.
struct Giving(Option<UrlCredential>);

impl Giving {
    fn answer(&self, challenge: &UrlAuthenticationChallenge) -> Decision<Disposition> {
        match (challenge.protection_space().server_trust(), &self.0) {
            (None, Some(credential)) => Disposition::UseCredential(Some(credential.clone())).into(),
            _ => Decision::default_handling(),
        }
    }
}

impl TaskDelegate for Giving {
    fn did_receive_challenge(
        &self,
        _: &urlsession::Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.answer(challenge)
    }
}

impl SessionDelegate for Giving {
    fn did_receive_session_challenge(
        &self,
        _: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.answer(challenge)
    }
}

fn storing(origin: &Origin) -> (Configuration, UrlCredentialStorage) {
    let configuration = configuration(origin);
    let storage = configuration.url_credential_storage.clone().unwrap();
    (configuration, storage)
}

fn remove_all(storage: &UrlCredentialStorage) {
    for (space, credentials) in storage.all_credentials() {
        credentials.iter().for_each(|credential| storage.remove(credential, &space));
    }
}

const LASTING: &str = "max-age=1000";

#[test]
fn an_answer_to_a_certificate_for_once_is_not_kept() {
    let origin = demanding(LASTING);
    let session = UrlSession::new(configuration(&origin));
    let load = || session.data(origin.url("/a"));
    let ann = client(&origin, "ann", Persistence::None);
    assert_eq!(load().delegate(Giving(Some(ann.clone()))).wait().unwrap().0, "ann's");
    assert_eq!(load().wait().unwrap_err().code(), UrlErrorCode::ClientCertificateRequired);
    assert_eq!(load().delegate(Giving(Some(ann))).wait().unwrap().0, "ann's");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn an_answer_to_a_stored_certificate_is_kept_for_who_shows_it() {
    for has_delegate in [false, true] {
        let origin = demanding(LASTING);
        let (configuration, storage) = storing(&origin);
        let [ann, bob] = ["ann", "bob"].map(|name| client(&origin, name, Persistence::ForSession));
        storage.set(&ann, &space(&origin));
        let session = match has_delegate {
            true => UrlSession::with_delegate(configuration, Arc::new(Giving(None)), DelegateQueue::serial()),
            false => UrlSession::new(configuration),
        };
        let load = || session.data(origin.url("/a")).wait();
        (0..2).for_each(|_| assert_eq!(load().unwrap().0, "ann's"));
        assert_eq!(origin.requests().len(), 1, "the second from the cache");
        remove_all(&storage);
        assert_eq!(load().unwrap_err().code(), UrlErrorCode::ClientCertificateRequired);
        storage.set(&bob, &space(&origin));
        load().unwrap();
        assert_eq!(origin.requests().len(), 2, "bob's own");
    }
}

#[test]
fn an_answer_to_a_certificate_of_a_session_is_kept_for_that_session() {
    let origin = demanding(LASTING);
    let configuration = configuration(&origin);
    let session = |name: Option<&str>| {
        let certificate = name.map(|name| client(&origin, name, Persistence::ForSession));
        let delegate = Arc::new(Giving(certificate));
        UrlSession::with_delegate(configuration.clone(), delegate, DelegateQueue::serial())
    };
    let [ann, bob, nobody] = [session(Some("ann")), session(Some("bob")), session(None)];
    let load = |session: &UrlSession| session.data(origin.url("/a")).wait();
    (0..2).for_each(|_| assert_eq!(load(&ann).unwrap().0, "ann's"));
    assert_eq!(origin.requests().len(), 1, "the second from the cache");
    assert_eq!(load(&nobody).unwrap_err().code(), UrlErrorCode::ClientCertificateRequired);
    load(&bob).unwrap();
    assert_eq!(origin.requests().len(), 2, "bob's own");
    in_tokio(ann.reset());
    load(&ann).unwrap();
}

#[test]
fn an_answer_over_a_connection_that_is_logged_in_is_kept_for_that_user() {
    // It is content with any message of NTLM, and asks once a connection.
    let answer = |request: &Request| {
        let is_logged_in = request.header("authorization").is_some() || request.path().ends_with("in");
        match is_logged_in {
            true => Reply::new(200).header("Cache-Control", LASTING).body("ann's"),
            false => Reply::new(401).header("WWW-Authenticate", "NTLM"),
        }
    };
    let origin = Origin::builder().wire(Wire::H1).handler(answer).start();
    let (configuration, storage) = storing(&origin);
    let session = UrlSession::new(configuration);
    let ann = UrlCredential::new("ann", "pw", Persistence::ForSession);
    session.data(origin.url("/a")).delegate(Giving(Some(ann))).wait().unwrap();
    let load = || session.data(origin.url("/logged-in")).wait().unwrap();
    (0..2).for_each(|_| assert_eq!(load().0, "ann's"));
    let count = origin.requests().len();
    assert!(origin.requests()[count - 1].header("authorization").is_none());
    remove_all(&storage);
    load();
    assert_eq!(origin.requests().len(), count + 1, "asked again");
}
