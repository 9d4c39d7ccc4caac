//! `urlsession get`: one load, its body written as it comes.

mod body;
mod output;

use std::process::ExitCode;

use urlsession::{AsyncBytes, UrlResponse};

use self::output::Output;
use crate::args::GetArgs;
use crate::load::{self, Failure, Prepared, Seen, Story};
use crate::show;

/// Loads and says how it ended.
pub(crate) fn run(args: &GetArgs) -> ExitCode {
    load::run(&args.load, |story| load(args, story))
}

fn load(args: &GetArgs, story: &mut Story) -> Result<(), Failure> {
    let request = load::request(&args.load, &args.url, |request| {
        let body = body::body(&args.data)?;
        let method = match (args.head, &body) {
            (true, _) => "HEAD",
            (false, Some(_)) => "POST",
            (false, None) => "GET",
        };
        if let Some(body) = body {
            request.set_http_body(body);
            load::set_field(request, "Content-Type", "application/x-www-form-urlencoded")?;
        }
        Ok(method)
    })?;
    let prepared = Prepared::new(&args.load, &request, story)?;
    let (storage, session, seen) = (prepared.storage(), prepared.session, prepared.seen);
    let bytes = session.bytes(request).delegate(prepared.watch);
    let task = bytes.task();
    let result = match bytes.wait() {
        Ok((body, response)) => {
            load::respond(&args.load, &session, &response, story);
            deliver(args, &seen, body, &response)
        }
        Err(error) => Err(error.into()),
    };
    result.and(load::conclude(&args.load, &task, &storage, story))
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
