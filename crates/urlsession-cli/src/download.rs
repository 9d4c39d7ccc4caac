//! `urlsession download`: one URL to one file, which appears when it is whole.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use urlsession::DownloadDestination;
use urlsession::uploads::ContentDigest;

use crate::args::DownloadArgs;
use crate::load::{self, Failure, Prepared, Story};
use crate::progress::{self, Direction};

/// Downloads and says how it ended.
pub(crate) fn run(args: &DownloadArgs) -> ExitCode {
    load::run(&args.load, |story| download(args, story))
}

fn download(args: &DownloadArgs, story: &mut Story) -> Result<(), Failure> {
    let digest = args.sha256.as_deref().map(digest).transpose()?;
    let request = load::request(&args.load, &args.url, |_| Ok("GET"))?;
    let prepared = Prepared::new(&args.load, &request, story)?;
    let (storage, session, seen) = (prepared.storage(), prepared.session, prepared.seen);
    let mut download = session.download(request).to(destination(args)).delegate(prepared.watch);
    if let Some(digest) = digest {
        download = download.expecting_digest(digest);
    }
    let task = download.task();
    let is_shown = progress::is_wanted(&args.progress, &args.load);
    let result = progress::during(is_shown, &task, Direction::Down, &seen, || download.wait());
    let result = match result {
        Ok((file, response)) => {
            load::respond(&args.load, &session, &response, story);
            name(file.path())
        }
        Err(error) => {
            story.response = task.response();
            Err(error.into())
        }
    };
    result.and(load::conclude(&args.load, &task, &storage, story))
}

fn destination(args: &DownloadArgs) -> DownloadDestination {
    let mut destination = match &args.output {
        Some(path) => DownloadDestination::file(path),
        None => DownloadDestination::in_folder("."),
    };
    if args.overwrite {
        destination = destination.overwriting();
    }
    if args.no_resume {
        destination = destination.without_resuming();
    }
    destination.require_success_status()
}

fn digest(hex: &str) -> Result<ContentDigest, Failure> {
    let is_sha256 = hex.len() == 64;
    let digest = ContentDigest::from_hex(hex).ok().filter(|_| is_sha256);
    digest.ok_or_else(|| Failure::Usage("a SHA-256 digest has 64 hexadecimal digits".into()))
}

/// The path, for whoever goes on with the file.
fn name(path: &Path) -> Result<(), Failure> {
    let path = path.strip_prefix(".").unwrap_or(path).display();
    match io::stdout().write_all(format!("{path}\n").as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        written => {
            written.map_err(|error| Failure::Local(format!("cannot write to standard output: {error}")))
        }
    }
}
