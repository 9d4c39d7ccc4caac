//! Stop: logging in without showing the password.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use urlsession::authentication::{
    AuthChallengeDisposition, UrlAuthenticationChallenge, UrlCredential, UrlCredentialPersistence,
};
use urlsession::{Decision, Task, TaskDelegate, UrlSession};
use urlsession_testkit::{Origin, Wire};

use super::page::Page;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Logging in",
    why: "The delegate is asked once; the refusal is never seen, and where the session is logged in nobody asks again.",
    visit,
};

/// Knows ann's password, after a slip.
#[derive(Clone, Default)]
struct Porter(Arc<AtomicUsize>);

impl TaskDelegate for Porter {
    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        self.0.fetch_add(1, SeqCst);
        let password = if challenge.previous_failure_count() == 0 { "slip" } else { "s3cret" };
        let credential = UrlCredential::new("ann", password, UrlCredentialPersistence::ForSession);
        Decision::now(AuthChallengeDisposition::UseCredential(Some(credential)))
    }
}

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::H1);
    let session = UrlSession::new(trusting(&origin));
    let porter = Porter::default();
    for _ in 0..2 {
        // Encoded, so that the target, which is part of a digest's field, is not mistaken for the password below.
        let url = origin.url("/digest/ann/s3%63ret/SHA-256/auth");
        let (data, response) = session.data(url).delegate(porter.clone()).wait()?;
        ensure(
            &data[..] == b"in",
            format!("{} instead of being let in", response.status_code().unwrap_or_default()),
        )?;
    }
    let requests = origin.requests();
    for request in &requests {
        let login = request.header("authorization");
        let count = login.and_then(|value| value.split("nc=").nth(1)).and_then(|rest| rest.get(..8));
        let line: String = match (login, count) {
            (Some(_), Some(count)) => {
                format!("a digest of the password, use {count} of the nonce")
            }
            (Some(_), None) => "a digest of the password".into(),
            (None, _) => "no credential".into(),
        };
        page.say(line);
    }
    page.say(format_args!("{} questions, {} requests, 2 answers", porter.0.load(SeqCst), requests.len()));
    ensure(porter.0.load(SeqCst) == 2, "the delegate is asked twice: the first password was a slip")?;
    ensure(requests.len() == 4, "none, a slip, the right one, and the next unasked")?;
    let seen =
        requests.iter().flat_map(|request| &request.headers).any(|(_, value)| value.contains("s3cret"));
    ensure(!seen, "the password itself is never sent")
}
