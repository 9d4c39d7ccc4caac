//! The delegate of the load: decides redirects, logs in, and shows heads as they come.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use urlsession::authentication::{AuthChallengeDisposition, UrlAuthenticationChallenge};
use urlsession::{Decision, DownloadTask, HttpUrlResponse, Task, TaskDelegate, UrlRequest, UrlResponse};

use super::login::{self, Login};
use super::scope::GivenSecrets;
use super::tell;
use crate::show;

/// See the module.
pub(crate) struct Watch {
    pub(super) seen: Seen,
    pub(super) follows: bool,
    pub(super) is_verbose: bool,
    pub(super) login: Option<Login>,
    pub(super) proxy_login: Option<Login>,
    pub(super) secrets: GivenSecrets,
}

/// The responses before the final one: informational ones and redirects, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Noticed>);

#[derive(Default)]
struct Noticed {
    heads: Mutex<Vec<UrlResponse>>,
    resumed_at: AtomicU64,
}

impl Seen {
    pub(crate) fn heads(&self) -> Vec<UrlResponse> {
        self.0.heads.lock().clone()
    }

    /// How much of a download was here before, in bytes.
    pub(crate) fn resumed_at(&self) -> u64 {
        self.0.resumed_at.load(Relaxed)
    }
}

impl Watch {
    fn note(&self, response: &HttpUrlResponse) {
        let response = UrlResponse::from(response.clone());
        if self.is_verbose {
            tell(&show::response_head(&response, "< "));
        }
        self.seen.0.heads.lock().push(response);
    }
}

impl TaskDelegate for Watch {
    fn will_perform_http_redirection(
        &self,
        _: &Task,
        response: &HttpUrlResponse,
        mut new_request: UrlRequest,
    ) -> Decision<Option<UrlRequest>> {
        if !self.follows {
            // It is the final response then.
            return Decision::now(None);
        }
        self.note(response);
        self.secrets.accompany(&mut new_request);
        if self.is_verbose {
            tell(&show::request_head(&new_request, "> "));
        }
        Decision::now(Some(new_request))
    }

    fn did_receive_challenge(
        &self,
        _: &Task,
        challenge: &UrlAuthenticationChallenge,
    ) -> Decision<AuthChallengeDisposition> {
        let is_proxy = challenge.protection_space().is_proxy();
        let login = if is_proxy { &self.proxy_login } else { &self.login };
        let answer = login::answer(login.as_ref(), challenge);
        // Otherwise another offer of this response is asked about, or it is the final one, which is shown when it is taken.
        let is_followed = matches!(answer, AuthChallengeDisposition::UseCredential(_));
        if let Some(response) = challenge.failure_response().filter(|_| self.is_verbose && is_followed) {
            tell(&show::response_head(response, "< "));
        }
        Decision::now(answer)
    }

    fn did_receive_informational_response(&self, _: &Task, response: &HttpUrlResponse) {
        self.note(response);
    }

    fn did_resume_at_offset(&self, task: &DownloadTask, offset: u64, _: Option<u64>) {
        self.seen.0.resumed_at.store(offset, Relaxed);
        if self.is_verbose {
            match task.resume_failure() {
                None => tell(&format!("* going on after {offset} bytes\n")),
                Some(why) => tell(&format!("* beginning anew: {why:?}\n")),
            }
        }
    }
}
