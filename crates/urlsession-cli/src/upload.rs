//! `urlsession upload`: a file, standard input or a form to one URL.

mod form;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use urlsession::uploads::UploadRecords;
use urlsession::{BodyStream, Bytes, MultipartForm, Task, UploadFuture, UrlError, UrlResponse};

use crate::args::UploadArgs;
use crate::load::{self, Failure, Prepared, Story};
use crate::progress::{self, Direction};

/// Uploads and says how it ended.
pub(crate) fn run(args: &UploadArgs) -> ExitCode {
    load::run(&args.load, |story| upload(args, story))
}

/// What is sent.
enum Source<'a> {
    File(&'a Path),
    Input,
    Form(MultipartForm),
}

fn upload(args: &UploadArgs, story: &mut Story) -> Result<(), Failure> {
    let (source, url) = source(args)?;
    let request = load::request(&args.load, &url, |_| Ok(if args.form.is_empty() { "PUT" } else { "POST" }))?;
    if *request.http_method() == "GET" {
        return Err(Failure::Usage(load::GET_WITH_BODY.into()));
    }
    let prepared = Prepared::new(&args.load, &request, story)?;
    let (storage, session, seen) = (prepared.storage(), prepared.session, prepared.seen);
    let (task, wait) = match source {
        Source::Form(form) => waiting(session.upload_from_form(request, form).delegate(prepared.watch)),
        Source::File(file) => {
            let upload = session.upload_from_file(request, file).delegate(prepared.watch);
            waiting(match args.no_resume {
                true => upload,
                false => upload.resumable_across_runs(&UploadRecords::shared()),
            })
        }
        Source::Input => {
            let mut request = request;
            request.set_http_body_stream(BodyStream::from_reader(io::stdin()));
            let load = session.data(request).delegate(prepared.watch);
            (load.task().into(), Box::new(|| load.wait()) as Wait)
        }
    };
    let is_shown = progress::is_wanted(&args.progress, &args.load);
    let result = match progress::during(is_shown, &task, Direction::Up, &seen, wait) {
        Ok((body, response)) => {
            load::respond(&args.load, &session, &response, story);
            deliver(args, &body, &response)
        }
        Err(error) => Err(error.into()),
    };
    result.and(load::conclude(&args.load, &task, &storage, story))
}

/// Waits for the answer.
type Wait = Box<dyn FnOnce() -> Result<(Bytes, UrlResponse), UrlError>>;

fn waiting(upload: UploadFuture) -> (Task, Wait) {
    (upload.task().into(), Box::new(|| upload.wait()))
}

/// What is sent, and where to.
fn source(args: &UploadArgs) -> Result<(Source<'_>, String), Failure> {
    match (&args.targets[..], args.form.is_empty()) {
        ([url], false) => Ok((Source::Form(form::form(&args.form)?), url.clone())),
        ([file, url], true) if file == "-" => Ok((Source::Input, url.clone())),
        ([file, url], true) => Ok((Source::File(Path::new(file)), named(url, Path::new(file)))),
        (_, true) => Err(Failure::Usage("what is to be sent, and where to? FILE and URL are needed".into())),
        (_, false) => {
            Err(Failure::Usage("a form is sent by -F alone: only the URL is needed beside it".into()))
        }
    }
}

/// A URL that ends in a slash is a folder, where the file has its own name.
fn named(url: &str, file: &Path) -> String {
    match file.file_name() {
        Some(name) if url.ends_with('/') => {
            format!("{url}{}", utf8_percent_encode(&name.to_string_lossy(), &NOT_IN_A_NAME))
        }
        _ => url.to_owned(),
    }
}

fn deliver(args: &UploadArgs, body: &[u8], response: &UrlResponse) -> Result<(), Failure> {
    if let Some(status) = response.status_code().filter(|status| args.fail && *status >= 400) {
        return Err(Failure::Local(format!("the server answered {status}")));
    }
    match io::stdout().write_all(body).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        written => {
            written.map_err(|error| Failure::Local(format!("cannot write to standard output: {error}")))
        }
    }
}

/// RFC 3986 §2.3: all but what is unreserved is written with percent signs.
const NOT_IN_A_NAME: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gets_the_name_of_the_file() {
        for (url, file, meant) in [
            ("https://a/b", "/tmp/x", "https://a/b"),
            ("https://a/b/", "/tmp/x y?.txt", "https://a/b/x%20y%3F.txt"),
            ("https://a/", "x", "https://a/x"),
        ] {
            assert_eq!(named(url, Path::new(file)), meant);
        }
    }
}
