//! A server of one file that gives ranges as it should, unless a test makes it answer otherwise.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use urlsession::{DownloadFuture, DownloadTask, ResumeData, UrlSession};
use urlsession_testkit::{Gate, Origin, Recorded, Reply, Wire, pattern};

use super::{Recorder, WIRES, recorded, session};

/// The length of the file, which is the origin's pattern.
pub const LENGTH: u64 = 300_000;

type Respond = Box<dyn Fn(&Recorded) -> Reply + Send>;

/// An origin whose file has the entity tag `"v1"`.
pub struct Ranges {
    pub origin: Origin,
    answers: Arc<Mutex<VecDeque<Respond>>>,
}

impl Ranges {
    pub fn start(wire: Wire) -> Self {
        let answers = Arc::new(Mutex::new(VecDeque::<Respond>::new()));
        let queue = answers.clone();
        let answer = move |request: &Recorded| {
            let next = queue.lock().unwrap().pop_front();
            next.map_or_else(|| honest(request), |answer| answer(request))
        };
        Self { origin: Origin::builder().wire(wire).handler(answer).start(), answers }
    }

    /// Answers the next request that has no answer yet.
    pub fn then(&self, answer: impl Fn(&Recorded) -> Reply + Send + 'static) -> &Self {
        self.answers.lock().unwrap().push_back(Box::new(answer));
        self
    }

    pub fn url(&self) -> String {
        self.origin.url("/file.bin")
    }

    pub fn session(&self) -> UrlSession {
        session(&self.origin)
    }

    pub fn download(&self) -> DownloadFuture {
        self.session().download(self.url())
    }

    /// A download of which 150,001 bytes are written; the rest comes when the gate is released.
    pub fn begun(&self) -> (UrlSession, Recorder, DownloadTask, Gate) {
        let (session, recorder) = recorded(&self.origin);
        let gate = self.origin.hold();
        let held = gate.clone();
        self.then(move |_| whole().body_gate(150_001, held.clone()));
        let task = session.download_task(self.url());
        task.resume();
        recorder.wait_for(|log| log.written.last().is_some_and(|(_, total, _)| *total == 150_001));
        (session, recorder, task, gate)
    }

    /// What a download is resumed with that broke after about `at` bytes of `reply`.
    pub fn stopped(&self, reply: Reply, at: u64) -> Option<ResumeData> {
        self.then(move |_| reply.clone().truncate_at(at));
        self.download().wait().unwrap_err().resume_data()
    }

    /// The same, of the honest file.
    pub fn broken_at(&self, at: u64) -> ResumeData {
        self.stopped(whole(), at).expect("it can be resumed")
    }
}

/// Runs a test on every wire; the client must not break the protocol.
pub fn on_every_range_server(test: impl Fn(&Ranges)) {
    for wire in WIRES {
        let ranges = Ranges::start(wire);
        test(&ranges);
        let violations = ranges.origin.journal(|journal| journal.violations.clone());
        assert!(violations.is_empty(), "{wire:?}: {violations:?}");
    }
}

/// What the file is.
pub fn content() -> Vec<u8> {
    pattern(0, LENGTH as usize)
}

/// The whole file.
pub fn whole() -> Reply {
    tagged(200).pattern(0, LENGTH)
}

/// A reply with the file's tag.
pub fn tagged(status: u16) -> Reply {
    Reply::new(status).header("ETag", "\"v1\"")
}

/// `first..end` of the file as a part of it.
pub fn part(first: u64, end: u64) -> Reply {
    let range = format!("bytes {first}-{}/{LENGTH}", end - 1);
    tagged(206).header("Content-Range", range).pattern(first, end - first)
}

/// Where a request wants to go on.
pub fn asked(request: &Recorded) -> u64 {
    let range = request.header("range").expect("a range is asked for");
    range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap()
}

/// As RFC 9110 has it.
pub fn honest(request: &Recorded) -> Reply {
    match request.header("range") {
        Some(_) if request.header("if-range") == Some("\"v1\"") => match asked(request) {
            LENGTH.. => tagged(416).header("Content-Range", format!("bytes */{LENGTH}")),
            first => part(first, LENGTH),
        },
        _ => whole(),
    }
}
