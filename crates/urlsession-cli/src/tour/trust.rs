//! Stop: whom to trust, decided before anything is said.

use parking_lot::Mutex;
use std::sync::Arc;

use urlsession::authentication::{
    AuthChallengeDisposition as Disposition, AuthenticationMethod as Method, UrlAuthenticationChallenge,
    UrlCredential, UrlCredentialPersistence,
};
use urlsession::{Configuration, Decision, Task, TaskDelegate, UrlErrorCode, UrlSession};
use urlsession_testkit::{Origin, TestAuthority, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure};

pub(super) const STOP: Stop = Stop {
    title: "Trust, and a certificate of one's own",
    why: "The delegate sees a server's certificates before the request goes out, and may show one in return.",
    visit,
};

/// Trusts a server by what it showed, and shows a certificate to who asks.
#[derive(Clone, Default)]
struct Judge {
    mine: Option<UrlCredential>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TaskDelegate for Judge {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<Disposition> {
        let space = challenge.protection_space();
        let (asked, credential) = match (space.authentication_method(), space.server_trust()) {
            (Method::ServerTrust, Some(trust)) => {
                let verdict = trust
                    .evaluate()
                    .map_or_else(|error| format!("{}", error.code().number()), |()| "good".into());
                let count = trust.certificates().len();
                let asked = format!("server trust: {count} certificate, the platform says {verdict}");
                (asked, Some(UrlCredential::for_trust(trust.clone())))
            }
            _ => {
                let count = space.distinguished_names().map_or(0, <[_]>::len);
                (format!("client certificate: authorities the server names: {count}"), self.mine.clone())
            }
        };
        self.asked.lock().push(asked);
        Decision::now(Disposition::UseCredential(credential))
    }
}

fn visit(page: &mut Page) -> Outcome {
    let authority = TestAuthority::new();
    let origin = Origin::builder().wire(Wire::TlsH1).certificate(authority.self_signed()).start();
    let error = UrlSession::new(Configuration::ephemeral()).data(origin.url("/Peru")).wait().err();
    let error = error.ok_or("a self-signed server is refused")?;
    page.say(format_args!("alone: {error}"));
    ensure(error.code() == UrlErrorCode::ServerCertificateUntrusted, "the code is -1202")?;
    ensure(origin.requests().is_empty(), "nothing was sent to it")?;

    let judge = Judge::default();
    let load = UrlSession::new(Configuration::ephemeral()).data(origin.url("/Peru"));
    let (data, _) = load.delegate(judge.clone()).wait()?;
    told(page, &judge);
    page.say(format_args!("with a delegate that trusts it: {}", String::from_utf8_lossy(&data)));
    ensure(&data[..] == b"Lima", "the delegate's trust is enough on this machine")?;

    let origin = Origin::builder()
        .wire(Wire::TlsH1)
        .certificate(authority.self_signed())
        .require_client_certificate(true)
        .start();
    let ann = origin.authority().client("ann");
    let mine = UrlCredential::with_identity(
        ann.chain_der().to_vec(),
        ann.key_der(),
        UrlCredentialPersistence::ForSession,
    );
    let judge = Judge { mine: Some(mine), ..Judge::default() };
    UrlSession::new(Configuration::ephemeral()).data(origin.url("/Peru")).delegate(judge.clone()).wait()?;
    told(page, &judge);
    let shown = origin.requests().pop().and_then(|request| request.tls);
    let is_ann = shown.is_some_and(|tls| tls.client_certificates == ann.chain_der());
    page.say("and the server has seen ann's certificate");
    ensure(is_ann, "the server sees the client's certificate")
}

fn told(page: &mut Page, judge: &Judge) {
    let asked = judge.asked.lock().clone();
    for question in asked {
        page.say(format_args!("asked about {question}"));
    }
}
