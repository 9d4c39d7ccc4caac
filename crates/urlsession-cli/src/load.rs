//! What all commands that load have in common: the request and the session of the options, the delegate, what is told
//! afterwards, and the exit code.

mod address;
mod cookies;
mod failure;
mod har;
mod header;
mod login;
mod proxy;
mod report;
mod request;
mod scope;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use urlsession::cookies::HttpCookieStorage;
use urlsession::metrics::TaskMetrics;
use urlsession::{Task, UrlRequest, UrlResponse, UrlSession};

pub(crate) use self::failure::Failure;
pub(crate) use self::header::set as set_field;
pub(crate) use self::request::{GET_WITH_BODY, request};
use self::scope::{GivenSecrets, SecretScope};
pub(crate) use self::watch::{Seen, Watch};
use crate::args::LoadArgs;
use crate::show;

/// What is known of the load when it is over.
#[derive(Default)]
pub(crate) struct Story {
    request: Option<UrlRequest>,
    pub(crate) response: Option<UrlResponse>,
    metrics: Option<Arc<TaskMetrics>>,
}

/// A session that is ready to load.
pub(crate) struct Prepared {
    pub(crate) session: UrlSession,
    pub(crate) seen: Seen,
    /// The delegate of the load.
    pub(crate) watch: Watch,
    storage: HttpCookieStorage,
}

/// Does the work and says how it ended.
pub(crate) fn run(args: &LoadArgs, work: impl FnOnce(&mut Story) -> Result<(), Failure>) -> ExitCode {
    let mut story = Story::default();
    let result = work(&mut story);
    let logged = args.har.as_deref().map_or(Ok(()), |file| har::write(file, story.metrics.as_deref()));
    // What went wrong first is what is told.
    let result = match result {
        Ok(()) => logged,
        failed => failed,
    };
    if args.verbose {
        tell(&show::timelines(story.metrics.as_deref(), "* "));
    }
    if args.json && !matches!(result, Err(Failure::Usage(_))) {
        tell(&format!("{}\n", report::report(&story, result.as_ref().err())));
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(args),
    }
}

impl Prepared {
    /// Makes the session, with its cookies, and shows the request.
    pub(crate) fn new(args: &LoadArgs, request: &UrlRequest, story: &mut Story) -> Result<Self, Failure> {
        let session = UrlSession::new(request::configuration(args)?);
        let storage =
            session.configuration().http_cookie_storage.unwrap_or_else(HttpCookieStorage::ephemeral);
        let given = cookies::take(args, request, &storage)?;
        story.request = Some(request.clone());
        if args.verbose {
            tell(&show::request_head(request, "> "));
        }
        let scope = SecretScope::new(request, args.location_trusted);
        let seen = Seen::default();
        let watch = Watch {
            seen: seen.clone(),
            follows: !args.no_location,
            is_verbose: args.verbose,
            login: login::when_asked(args, scope.clone()),
            proxy_login: proxy::login(args)?,
            secrets: GivenSecrets::new(scope, request, given, storage.clone()),
        };
        Ok(Self { session, seen, watch, storage })
    }

    /// Where its cookies are.
    pub(crate) fn storage(&self) -> HttpCookieStorage {
        self.storage.clone()
    }
}

/// The response is here: notes it, and shows its head after all that came before it.
pub(crate) fn respond(args: &LoadArgs, session: &UrlSession, response: &UrlResponse, story: &mut Story) {
    story.response = Some(response.clone());
    hear(session);
    if args.verbose {
        tell(&show::response_head(response, "< "));
    }
}

/// After the load: keeps its measurements, and writes the cookies that are asked for.
pub(crate) fn conclude(
    args: &LoadArgs,
    task: &Task,
    storage: &HttpCookieStorage,
    story: &mut Story,
) -> Result<(), Failure> {
    story.metrics = task.metrics();
    args.cookie_jar.as_deref().map_or(Ok(()), |file| cookies::give(file, storage))
}

/// Waits until the delegate has heard everything so far: informational responses come before the final one.
fn hear(session: &UrlSession) {
    let (heard, all) = mpsc::channel::<()>();
    session.delegate_queue().add(move || drop(heard));
    // It ends with the sender, which is the point.
    let _ = all.recv();
}

/// Writes to standard error; if that is closed there is nobody to tell.
pub(crate) fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
