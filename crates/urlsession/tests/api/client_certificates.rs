//! Certificates of the client's: which servers see them, and how long.

use std::sync::Arc;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence as Persistence, UrlCredentialStorage, UrlProtectionSpace,
    UrlProtectionSpaceProtocol,
};
use urlsession::{
    Configuration, Decision, DelegateQueue, SessionDelegate, Task, TaskDelegate, UrlErrorCode, UrlSession,
};
use urlsession_testkit::{After, Certificate, Origin, Reply, Wire};

use crate::support::*;

const TLS: [Wire; 2] = [Wire::TlsH1, Wire::TlsH2];

fn demanding(wire: Wire) -> Origin {
    Origin::builder().wire(wire).require_client_certificate(true).start()
}

fn client(origin: &Origin, name: &str, persistence: Persistence) -> (UrlCredential, Certificate) {
    let certificate = origin.authority().client(name);
    let chain = certificate.chain_der().to_vec();
    (UrlCredential::with_identity(chain, certificate.key_der(), persistence), certificate)
}

fn space(port: u16) -> UrlProtectionSpace {
    let https = UrlProtectionSpaceProtocol::Https;
    UrlProtectionSpace::new("localhost", port, https, None, Method::ClientCertificate)
}

/// Shows a certificate to the server at this port, and no other.
struct At(u16, UrlCredential);

impl At {
    fn answer(&self, challenge: &UrlAuthenticationChallenge) -> Decision<Disposition> {
        let space = challenge.protection_space();
        match space.authentication_method() {
            Method::ClientCertificate if space.port() == self.0 => {
                Disposition::UseCredential(Some(self.1.clone())).into()
            }
            Method::ClientCertificate => Disposition::RejectProtectionSpace.into(),
            _ => Decision::default_handling(),
        }
    }
}

impl TaskDelegate for At {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.answer(challenge)
    }
}

impl SessionDelegate for At {
    fn did_receive_session_challenge(
        &self,
        _: &UrlSession,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        self.answer(challenge)
    }
}

/// Leaves everything to the default.
struct Silent;

impl TaskDelegate for Silent {}

impl SessionDelegate for Silent {}

fn with(configuration: Configuration, delegate: impl SessionDelegate + 'static) -> UrlSession {
    UrlSession::with_delegate(configuration, Arc::new(delegate), DelegateQueue::serial())
}

fn storing(origin: &Origin) -> (Configuration, UrlCredentialStorage) {
    let configuration = configuration(origin);
    let storage = configuration.url_credential_storage.clone().unwrap();
    (configuration, storage)
}

/// Loads over a connection that the server closes then.
fn load_and_close(session: &UrlSession, origin: &Origin) {
    origin.enqueue("/a", Reply::new(200).body("x").then(After::Close));
    session.data(origin.url("/a")).wait().unwrap();
}

fn is_resumed(origin: &Origin) -> Vec<bool> {
    origin.requests().iter().map(|request| request.tls.as_ref().unwrap().resumed).collect()
}

#[test]
fn a_certificate_for_one_port_is_not_shown_at_another_by_a_resumed_tls_session() {
    for tls12_only in [false, true] {
        for has_delegate in [false, true] {
            let origin = Origin::builder()
                .wire(Wire::TlsH1)
                .require_client_certificate(true)
                .tls12_only(tls12_only)
                .start();
            let (port, _) = relay(&origin);
            let (ann, _) = client(&origin, "ann", Persistence::ForSession);
            let session = match has_delegate {
                true => with(configuration(&origin), At(origin.port(), ann)),
                false => {
                    let (configuration, storage) = storing(&origin);
                    storage.set(&ann, &space(origin.port()));
                    UrlSession::new(configuration)
                }
            };
            (0..2).for_each(|_| load_and_close(&session, &origin));
            assert_eq!(is_resumed(&origin), [false, true], "at its own port it is");
            let error = session.data(format!("https://localhost:{port}/Peru")).wait().unwrap_err();
            assert_eq!(error.code(), UrlErrorCode::ClientCertificateRequired, "{error}");
            assert_eq!(origin.requests().len(), 2);
        }
    }
}

#[test]
fn a_certificate_that_the_store_has_lost_is_not_shown_again() {
    for wire in TLS {
        for has_delegate in [false, true] {
            for closes in [false, true] {
                let origin = demanding(wire);
                let (configuration, storage) = storing(&origin);
                let (ann, _) = client(&origin, "ann", Persistence::ForSession);
                storage.set(&ann, &space(origin.port()));
                let session = match has_delegate {
                    true => with(configuration, Silent),
                    false => UrlSession::new(configuration),
                };
                match closes {
                    // What could be resumed is a TLS session.
                    true => load_and_close(&session, &origin),
                    false => assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima"),
                }
                storage.remove(&ann, &space(origin.port()));
                let error = session.data(origin.url("/Peru")).wait().unwrap_err();
                // Over HTTP/2 with TLS 1.3 the refusal comes after the handshake, as a broken connection.
                if wire == Wire::TlsH1 {
                    assert_eq!(error.code(), UrlErrorCode::ClientCertificateRequired, "{error}");
                }
                assert_eq!(origin.requests().len(), 1);
            }
        }
    }
}

#[test]
fn who_has_a_certificate_does_not_use_a_connection_that_others_made_without() {
    for wire in TLS {
        for (has_delegate, tls12_only) in [(false, false), (true, false), (false, true), (true, true)] {
            if tls12_only && wire == Wire::TlsH2 {
                continue;
            }
            let origin =
                Origin::builder().wire(wire).ask_for_client_certificate().tls12_only(tls12_only).start();
            let session = match has_delegate {
                true => with(configuration(&origin), Silent),
                false => UrlSession::new(configuration(&origin)),
            };
            let (ann, certificate) = client(&origin, "ann", Persistence::None);
            let load = || session.data(origin.url("/Peru"));
            for closes in [false, true, true] {
                if closes && wire == Wire::TlsH1 {
                    origin.enqueue("/Peru", Reply::new(200).body("Lima").then(After::Close));
                }
                load().wait().unwrap();
                load().delegate(At(origin.port(), ann.clone())).wait().unwrap();
                load().delegate(At(0, ann.clone())).wait().unwrap();
                load().wait().unwrap();
            }
            let requests = origin.requests();
            let shown: Vec<_> =
                requests.iter().map(|request| &*request.tls.as_ref().unwrap().client_certificates).collect();
            for shown in shown.chunks(4) {
                assert_eq!(shown, [&[], certificate.chain_der(), &[], &[]], "{wire:?} {has_delegate}");
            }
            assert_eq!(requests[0].connection, requests[3].connection, "those without share one");
        }
    }
}

#[test]
fn a_certificate_that_replaces_another_in_the_store_is_the_one_that_is_shown() {
    for wire in TLS {
        for has_delegate in [false, true] {
            let origin = demanding(wire);
            let (configuration, storage) = storing(&origin);
            let [ann, bob] = ["ann", "bob"].map(|name| client(&origin, name, Persistence::ForSession));
            storage.set(&ann.0, &space(origin.port()));
            let session = match has_delegate {
                true => with(configuration, Silent),
                false => UrlSession::new(configuration),
            };
            assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            storage.remove(&ann.0, &space(origin.port()));
            storage.set(&bob.0, &space(origin.port()));
            for _ in 0..2 {
                assert_eq!(session.data(origin.url("/Peru")).wait().unwrap().0, "Lima");
            }
            let requests = origin.requests();
            let shown: Vec<_> =
                requests.iter().map(|request| &*request.tls.as_ref().unwrap().client_certificates).collect();
            assert_eq!(shown, [ann.1.chain_der(), bob.1.chain_der(), bob.1.chain_der()]);
            assert_eq!(requests[1].connection, requests[2].connection);
        }
    }
}
