//! `urlsession get`: one load, from the command line to the exit code.

mod body;
mod cookies;
mod failure;
mod har;
mod header;
mod login;
mod output;
mod proxy;
mod report;
mod request;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use urlsession::{AsyncBytes, HttpCookieStorage, TaskMetrics, UrlRequest, UrlResponse, UrlSession};

use self::failure::Failure;
use self::login::Login;
use self::output::Output;
use self::watch::{Seen, Watch};
use crate::args::GetArgs;
use crate::show;

/// Loads and says how it ended.
pub(crate) fn run(args: &GetArgs) -> ExitCode {
    let mut story = Story::default();
    let result = load(args, &mut story);
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

/// What is known of the load when it is over.
#[derive(Default)]
struct Story {
    request: Option<UrlRequest>,
    response: Option<UrlResponse>,
    metrics: Option<Arc<TaskMetrics>>,
}

fn load(args: &GetArgs, story: &mut Story) -> Result<(), Failure> {
    let request = request::request(args)?;
    let session = UrlSession::new(request::configuration(args)?);
    let storage = session.configuration().http_cookie_storage.unwrap_or_else(HttpCookieStorage::ephemeral);
    cookies::take(&args.cookie, &request, &storage)?;
    story.request = Some(request.clone());
    if args.verbose {
        tell(&show::request_head(&request, "> "));
    }
    let seen = Seen::default();
    let login = login::when_asked(args);
    let watch = Watch {
        seen: seen.clone(),
        follows: !args.no_location,
        is_verbose: args.verbose,
        login,
        proxy_login: proxy::credential(args).map(Login::by_any),
    };

    let bytes = session.bytes(request).delegate(watch);
    let task = bytes.task();
    let result = match bytes.wait() {
        Ok((body, response)) => {
            story.response = Some(response.clone());
            hear(&session);
            if args.verbose {
                tell(&show::response_head(&response, "< "));
            }
            deliver(args, &seen, body, &response)
        }
        Err(error) => Err(error.into()),
    };
    story.metrics = task.metrics();
    let kept = args.cookie_jar.as_deref().map_or(Ok(()), |file| cookies::give(file, &storage));
    result.and(kept)
}

/// Writes the body as it comes. Dropping it, when nobody wants the rest, cancels the load.
fn deliver(args: &GetArgs, seen: &Seen, mut body: AsyncBytes, response: &UrlResponse) -> Result<(), Failure> {
    let mut output = Output::open(args, response)?;
    if args.include || args.head {
        for head in seen.heads() {
            output.write(&show::plain_head(&head))?;
        }
        output.write(&show::plain_head(response))?;
    }
    while let Some(chunk) = body.wait_chunk().transpose()? {
        output.write(&chunk)?;
    }
    Ok(())
}

/// Waits until the delegate has heard everything so far: informational responses come before the final one.
fn hear(session: &UrlSession) {
    let (heard, all) = mpsc::channel::<()>();
    session.delegate_queue().add(move || drop(heard));
    // It ends with the sender, which is the point.
    let _ = all.recv();
}

/// Writes to standard error; if that is closed there is nobody to tell.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
