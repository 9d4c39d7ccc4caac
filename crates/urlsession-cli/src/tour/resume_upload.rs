//! Stop: an upload whose connection breaks, and one whose process is killed: both go on where the server has them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use urlsession::{UrlRequest, UrlSession};
use urlsession_testkit::{Origin, Reply, UploadFault, UploadServer, UploadStep, Wire, pattern};

use super::page::Page;
use super::resume::until;
use super::{Outcome, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Uploads that break off",
    why: "A server that says 104 has where it is asked what it has: only the rest is sent again.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let folder = tempfile::tempdir()?;
    let film = folder.path().join("film");
    fs::write(&film, pattern(0, LENGTH))?;
    cut(page, &film)?;
    killed(page, &film, &folder.path().join("data"))
}

/// The task itself goes on.
fn cut(page: &mut Page, film: &Path) -> Outcome {
    let server = UploadServer::new(8);
    server.at(UploadStep::Creation, [UploadFault::CutAt(CUT)]);
    let origin = Origin::builder().wire(Wire::TlsH2).uploads(&server).start();
    let mut post = UrlRequest::new(origin.url("/films").parse()?);
    post.set_http_method("POST")?;
    let upload = UrlSession::new(trusting(&origin)).upload_from_file(post, film);
    let task = upload.task();
    let (_, response) = upload.wait()?;
    page.say(format_args!("cut after {CUT} bytes; the server hears:"));
    has_all(page, &server)?;
    let metrics = task.metrics();
    page.timelines(metrics.as_deref().ok_or("there are metrics")?);
    ensure(response.status_code() == Some(200), "the task has the answer of the whole upload")
}

/// Another process goes on.
fn killed(page: &mut Page, film: &Path, data: &Path) -> Outcome {
    let server = UploadServer::new(8);
    server.at(UploadStep::Creation, [UploadFault::AnswerAt(CUT, Reply::stall())]);
    let origin = Origin::builder().wire(Wire::H1).uploads(&server).start();
    let upload = || {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["upload", "--progress", "-X", "POST"]).arg(film).arg(origin.url("/films"));
        command.env(DATA_FOLDER, data).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    };
    let mut first = upload()?;
    let has_begun = until(&mut first, || {
        let sent = origin.journal(|journal| journal.heads.iter().any(|head| head.body_len >= CUT));
        sent && is_recorded(data)
    })?;
    first.kill()?;
    first.wait()?;
    ensure(has_begun, "where the upload is, is recorded while it is sent")?;
    ensure(upload()?.wait_with_output()?.status.success(), "the second upload succeeds")?;
    page.say("killed in the middle; the next upload of the same file to the same place:");
    has_all(page, &server)?;
    page.say("");
    Ok(())
}

/// Whether there is a record in this folder or one below it.
fn is_recorded(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| match path.is_dir() {
        true => is_recorded(&path),
        false => path.extension().is_some_and(|kind| kind == "upload"),
    })
}

/// Below which folder the library keeps its records.
const DATA_FOLDER: &str = match (cfg!(windows), cfg!(target_vendor = "apple")) {
    (true, _) => "LOCALAPPDATA",
    (_, true) => "HOME",
    _ => "XDG_DATA_HOME",
};

fn has_all(page: &mut Page, server: &UploadServer) -> Outcome {
    for line in server.lines() {
        page.say(format_args!("  {line}"));
    }
    ensure(server.is_complete(0) && server.content(0) == pattern(0, LENGTH), "the server has every byte")?;
    ensure(server.count() == 1, "of one upload")?;
    ensure(server.lines().last().is_some_and(|line| line.starts_with("PATCH")), "only the rest is sent again")
}

const CUT: u64 = 1_000_000;
const LENGTH: usize = 3_000_000;
