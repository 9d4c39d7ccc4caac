//! Stop: the kinds of tasks. A file goes up, a file comes down, and a data task becomes a download half-way.

use parking_lot::Mutex;
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use urlsession::{
    DataTask, Decision, DelegateQueue, DownloadTask, ResponseDisposition, Task, TaskDelegate, UrlError,
    UrlRequest, UrlResponse, UrlSession,
};
use urlsession_testkit::{Origin, Reply, Wire};

use super::page::Page;
use super::{Outcome, PATIENCE, Stop, ensure, trusting};

pub(super) const STOP: Stop = Stop {
    title: "Files up, files down",
    why: "What is large is never held in memory, and a response can be looked at before it is decided how to take it.",
    visit,
};

fn visit(page: &mut Page) -> Outcome {
    let origin = Origin::start(Wire::TlsH2);
    origin.enqueue("/report", Reply::new(200).pattern(0, 3_000_000));
    let session = UrlSession::new(trusting(&origin));
    let (file, _) = session.download(origin.url("/report")).wait()?;
    page.say(format_args!("down: {} bytes in a temporary file", file.len()));
    ensure(fs::metadata(file.path())?.len() == 3_000_000, "the file holds the whole response")?;

    let mut put = UrlRequest::new(origin.url("/upload").parse()?);
    put.set_http_method("PUT")?;
    session.upload_from_file(put, file.path()).wait()?;
    let sent = origin.requests().pop().ok_or("no request came")?;
    page.say(format_args!("up again: {} bytes of that file, with their length", sent.body_len));
    ensure(
        sent.header("content-length") == Some("3000000") && sent.body_is_pattern,
        "the file is sent as it is",
    )?;
    let path = file.path().to_owned();
    drop(file);
    ensure(!path.exists(), "a file nobody keeps goes away")?;

    origin.enqueue("/maybe", Reply::new(200).pattern(0, 1_000_000));
    let (sender, over) = channel();
    let delegate = Arc::new(LargeToFile { calls: Mutex::default(), over: sender });
    let session =
        UrlSession::with_task_delegate(trusting(&origin), delegate.clone(), DelegateQueue::serial());
    session.data_task(origin.url("/maybe")).resume();
    over.recv_timeout(PATIENCE)?;
    let calls = delegate.calls.lock().join(", ");
    page.say(format_args!("a data task whose response is large: {calls}"));
    page.say("");
    ensure(
        calls == "response, became a download, 1000000 bytes, complete",
        "the download goes on where it was",
    )
}

/// Takes large responses as files.
struct LargeToFile {
    calls: Mutex<Vec<String>>,
    over: Sender<()>,
}

impl LargeToFile {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().push(call.into());
    }
}

impl TaskDelegate for LargeToFile {
    fn did_receive_response(&self, _: &DataTask, response: &UrlResponse) -> Decision<ResponseDisposition> {
        self.note("response");
        match response.expected_content_length() {
            Some(length) if length > 100_000 => ResponseDisposition::BecomeDownload.into(),
            _ => ResponseDisposition::Allow.into(),
        }
    }

    fn did_become_download_task(&self, _: &DataTask, _: &DownloadTask) {
        self.note("became a download");
    }

    fn did_finish_downloading(&self, _: &DownloadTask, location: &std::path::Path) {
        let length = fs::metadata(location).map(|metadata| metadata.len()).unwrap_or_default();
        self.note(format!("{length} bytes"));
    }

    fn did_complete(&self, _: &Task, error: Option<&UrlError>) {
        self.note(error.map_or("complete".into(), ToString::to_string));
        // The stop may have given up by now.
        let _ = self.over.send(());
    }
}
